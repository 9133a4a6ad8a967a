"""The report of the journey on every target that is present, and which were not and why.

Written by `test_journey` into the folder that FLEETWIN_PARITY_REPORT names, as CI does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from simulator.parity.journey import Difference
from simulator.parity.journey_page import page
from simulator.parity.journey_words import verdict, words

VARIABLE = "FLEETWIN_PARITY_REPORT"
ABSENT = {
    "localstack": "`fleetwin run` has no target localstack yet",
    "aws": "`fleetwin run` has no target aws yet; nothing has been run in a real account",
}
"""Targets of the design that no comparison could be made with."""


def folder() -> Path | None:
    """Return where the report is wanted; None where nobody asked for one."""
    wanted = os.environ.get(VARIABLE)
    return Path(wanted) if wanted else None


def write(found: Mapping[str, Difference], out: Path) -> None:
    """Write `journey.json`, `journey.txt` and a page for each comparison."""
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, difference in found.items():
        lines.append(f"{name}: {verdict(difference)}")
        file = name.replace(" ", "-").replace(",", "")
        (out / f"{file}.html").write_text(page(difference), encoding="utf-8")
        (out / f"{file}.txt").write_text(words(difference) + "\n", encoding="utf-8")
    lines += [f"{name}: not present: {why}" for name, why in ABSENT.items()]
    (out / "journey.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {
        "compared": {name: difference.to_json() for name, difference in found.items()},
        "not_present": ABSENT,
    }
    (out / "journey.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
