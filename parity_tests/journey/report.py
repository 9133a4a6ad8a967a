"""The report of the journey on every target that is present, and which were not and why.

Written by `test_journey` into the folder that FLEETWIN_PARITY_REPORT names, as CI does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

from simulator.parity.journey import Difference
from simulator.parity.journey_page import page
from simulator.parity.journey_words import verdict, words

VARIABLE = "FLEETWIN_PARITY_REPORT"
LOCALSTACK = "embedded against localstack"
"""The comparison that is made where `make localstack` has prepared one."""

ABSENT = {
    "localstack": (
        "none was named: run `make localstack` once and then `make parity`, or have "
        "FLEETWIN_LOCALSTACK name the environment that it made"
    ),
    "aws": "nothing has been run in a real account; these tests never talk to one",
}
"""Targets of the design that a comparison may be missing with, and why."""


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


def write(found: Mapping[str, Difference], out: Path) -> None:
    """Write `journey.json`, `journey.txt`, `index.html` and a page for each comparison."""
    out.mkdir(parents=True, exist_ok=True)
    absent = {name: why for name, why in ABSENT.items() if f"embedded against {name}" not in found}
    lines, items = [], []
    for name, difference in found.items():
        lines.append(f"{name}: {verdict(difference)}")
        file = name.replace(" ", "-").replace(",", "")
        items.append(f'<li><a href="{file}.html">{escape(lines[-1])}</a></li>')
        (out / f"{file}.html").write_text(page(difference), encoding="utf-8")
        (out / f"{file}.txt").write_text(words(difference) + "\n", encoding="utf-8")
    missing = [f"{name}: not present: {why}" for name, why in absent.items()]
    items += [f"<li>{escape(line)}</li>" for line in missing]
    lines += missing
    (out / "index.html").write_text(_INDEX.format(items="\n".join(items)), encoding="utf-8")
    (out / "journey.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {
        "compared": {name: difference.to_json() for name, difference in found.items()},
        "not_present": absent,
    }
    (out / "journey.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
