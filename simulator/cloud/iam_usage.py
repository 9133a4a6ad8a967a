"""What a run used of what its roles may do: the grants that nothing asked for, the calls denied.

A twin writes `iam/usage.json` as it ends; `fleetwin iam report` joins it with the policies beside
it. A grant is one action of one statement. What a run did not use it may still need (a retry, a
rotation, the path that did not come up): the report is where to look, not what to delete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.cloud.glue_store import write_json
from simulator.cloud.iam import Iam, Observed
from simulator.cloud.iam_policies import matches_pattern

FORMAT = 3


@dataclass(frozen=True, order=True)
class Grant:
    """One action that a statement of a role allows; ``sid`` is "" where it has no name."""

    role: str
    sid: str
    action: str
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Usage:
    """Grants that were used, grants that were not, and (role, action, resource) that was denied.

    ``steps`` names the state of a workflow that was denied, where it was one.
    """

    used: tuple[Grant, ...]
    unused: tuple[Grant, ...]
    denied: tuple[tuple[str, str, str], ...]
    steps: Mapping[tuple[str, str, str], str] = field(default_factory=dict)


def save(iam: Iam, state: Path) -> None:
    """Write what roles asked for and what the answer was; nothing where nobody asked.

    What an earlier twin on the same folder asked for stays: `fleetwin workflow run` after a run
    adds to it.
    """
    if iam.observed:
        found = sorted({**iam.observed, **_earlier(state)}.items())
        write_json(_path(state), {"format": FORMAT, "observed": found})


def _earlier(state: Path) -> dict[Observed, str]:
    try:
        return observed(state)
    except (FileNotFoundError, ValueError):
        return {}


def load(state: Path) -> Usage:
    """Return the usage of the run whose state this is.

    Raises FileNotFoundError where a run has left none, ValueError for another format.
    """
    return judge(grants_of(history(state)), observed(state))


def history(state: Path) -> list[tuple[str, Sequence[Any]]]:
    """Return every change of roles and policies in the run whose state this is."""
    found = json.loads((state / "iam" / "policies.json").read_text("utf-8"))
    changes: list[tuple[str, Sequence[Any]]] = found["history"]
    return changes


def observed(state: Path) -> dict[Observed, str]:
    """Return what roles asked for in the run whose state this is, and the step that did first.

    Raises as `load` does.
    """
    found = json.loads(_path(state).read_text("utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{_path(state)}: format {found.get('format')}, not {FORMAT}")
    return {_observed(*each): step for each, step in found["observed"]}


def _observed(role: str, action: str, resource: str, allowed: bool, context: list[Any]) -> Observed:
    keys = ((key, tuple(v) if isinstance(v, list) else v) for key, v in context)
    return Observed(role, action, resource, allowed, tuple(keys))


def judge(grants: Iterable[Grant], asked: Mapping[Observed, str]) -> Usage:
    """Tell used grants from unused ones."""
    used: list[Grant] = []
    unused: list[Grant] = []
    for grant in sorted(grants):
        (used if any(covers(grant, each) for each in asked) else unused).append(grant)
    denied = {
        (each.role_arn, each.action, each.resource): step
        for each, step in asked.items()
        if not each.allowed
    }
    return Usage(tuple(used), tuple(unused), tuple(sorted(denied)), denied)


def covers(grant: Grant, asked: Observed) -> bool:
    """Tell whether a call that was allowed is one that the grant speaks of."""
    return (
        asked.allowed
        and asked.role_arn == grant.role
        and matches_pattern(grant.action.lower(), asked.action.lower())
        and any(matches_pattern(pattern, asked.resource) for pattern in grant.resources)
    )


def grants_of(history: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[Grant]:
    """Yield what the roles may do at the end of a history of changes."""
    inline: dict[str, dict[str, Any]] = {}
    managed: dict[str, Any] = {}
    attached: dict[str, list[str]] = {}
    for method, arguments in history:
        if method == "put_role":
            inline[arguments[0]], attached[arguments[0]] = dict(arguments[2]), []
        elif method == "remove_role":
            inline.pop(arguments[0], None)
        elif method == "put_role_policy":
            inline[arguments[0]][arguments[1]] = arguments[2]
        elif method == "remove_role_policy":
            inline[arguments[0]].pop(arguments[1], None)
        elif method == "put_managed_policy":
            managed[arguments[0]] = arguments[1]
        elif method == "attach":
            attached[arguments[0]].append(arguments[1])
    for role, documents in inline.items():
        of_managed = [managed[arn] for arn in attached[role] if arn in managed]
        for document in (*documents.values(), *of_managed):
            for statement in _listed(document["Statement"]):
                yield from _of_statement(role, statement)


def _of_statement(role: str, statement: Mapping[str, Any]) -> Iterator[Grant]:
    # A Deny grants nothing, and NotAction names what is not meant.
    if statement["Effect"] == "Allow" and "Action" in statement:
        resources = tuple(map(str, _listed(statement.get("Resource", "*"))))
        for action in _listed(statement["Action"]):
            yield Grant(role, str(statement.get("Sid", "")), action, resources)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _path(state: Path) -> Path:
    return state / "iam" / "usage.json"
