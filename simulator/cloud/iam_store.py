"""The account's roles and policies beside the lake, so that a twin that has ended can be asked.

`fleetwin sql --role` decides with them as the twin did. Written when a twin has booted and when
it ends; a twin that starts takes its roles from its templates and reads nothing here.
"""

from __future__ import annotations

import json
from pathlib import Path

from simulator.cloud.glue_store import write_json
from simulator.cloud.iam import Iam

FORMAT = 1


def save(iam: Iam, state: Path) -> None:
    """Write what was done to the account's roles and policies, in its order.

    A twin in which nothing was done leaves what an earlier one has written.
    """
    if not iam.history:
        return
    write_json(_path(state), {"format": FORMAT, "account": iam.account, "history": iam.history})


def load(state: Path, account: str, region: str) -> Iam:
    """Return the permissions of the twin whose state this is; none where it left none."""
    path = _path(state)
    if not path.exists():
        return Iam(account, region)
    found = json.loads(path.read_text("utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path}: format {found.get('format')}, not {FORMAT}")
    iam = Iam(found["account"], region)
    restore(iam, state)
    return iam


def restore(iam: Iam, state: Path) -> None:
    """Do in an account what was done in the one that left its state here."""
    if _path(state).exists():
        for method, arguments in json.loads(_path(state).read_text("utf-8"))["history"]:
            getattr(iam, method)(*arguments)


def _path(state: Path) -> Path:
    return state / "iam" / "policies.json"
