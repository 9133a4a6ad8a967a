"""The report of the journey on every target that is present, and which were not and why.

Written by `test_journey` into the folder that FLEETWIN_PARITY_REPORT names, as CI does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from simulator import localstack_host
from simulator.parity.journey import Difference
from simulator.parity.journey_page import page
from simulator.parity.journey_words import verdict, words

VARIABLE = "FLEETWIN_PARITY_REPORT"
LOCALSTACK = "embedded against localstack"
"""The comparison that is made where `make localstack` has prepared one."""


@dataclass(frozen=True)
class Failed:
    """A comparison that could not be made, and why."""

    why: str


Outcome = Difference | Failed


def absent() -> dict[str, str]:
    """Return targets of the design that a comparison may be missing with, and why."""
    return {
        "localstack": _no_localstack(),
        "aws": "nothing has been run in a real account; these tests never talk to one",
    }


def _no_localstack() -> str:
    named = os.environ.get(localstack_host.VARIABLE)
    if not named:
        return (
            "none was named: run `make localstack` once and then `make parity`, or have "
            f"{localstack_host.VARIABLE} name the environment that it made"
        )
    return (
        f"{localstack_host.VARIABLE} names {named}, where `make localstack` has not finished "
        f"LocalStack {localstack_host.VERSION}: run it"
    )


_INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>fleetwin: parity</title>
<h1>The journey on every target that was present</h1>
<ul>
{items}
</ul></html>
"""


def folder() -> Path | None:
    """Return where the report is wanted; None where nobody asked for one."""
    wanted = os.environ.get(VARIABLE)
    return Path(wanted) if wanted else None


def write(found: Mapping[str, Outcome], out: Path) -> None:
    """Write `journey.json`, `journey.txt`, `index.html` and a page for each comparison made."""
    out.mkdir(parents=True, exist_ok=True)
    missing = {
        name: why for name, why in absent().items() if f"embedded against {name}" not in found
    }
    lines, items = [], []
    for name, outcome in found.items():
        if isinstance(outcome, Failed):
            lines.append(f"{name}: failed: {outcome.why}")
            items.append(f"<li>{escape(lines[-1])}</li>")
            continue
        lines.append(f"{name}: {verdict(outcome)}")
        file = name.replace(" ", "-").replace(",", "")
        items.append(f'<li><a href="{file}.html">{escape(lines[-1])}</a></li>')
        (out / f"{file}.html").write_text(page(outcome), encoding="utf-8")
        (out / f"{file}.txt").write_text(words(outcome) + "\n", encoding="utf-8")
    not_there = [f"{name}: not present: {why}" for name, why in missing.items()]
    items += [f"<li>{escape(line)}</li>" for line in not_there]
    lines += not_there
    (out / "index.html").write_text(_INDEX.format(items="\n".join(items)), encoding="utf-8")
    (out / "journey.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {
        "compared": {
            n: each.to_json() for n, each in found.items() if isinstance(each, Difference)
        },
        "failed": {name: each.why for name, each in found.items() if isinstance(each, Failed)},
        "not_present": missing,
    }
    (out / "journey.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
