"""The log of decisions: what was ordered from outside, as a file that repeats a run's repairs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from simulator.errors import ScenarioError
from simulator.fleet.maintenance import Decision

FILE = "decisions.jsonl"


def write_decisions(decisions: Iterable[Decision], path: Path) -> None:
    """Write a decision a line: `fleetwin history --decisions` reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(decision)) + "\n" for decision in decisions)
    path.write_text("".join(lines), encoding="utf-8")


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Return the decisions of a file; raises ScenarioError with the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read ({error}); take a run's {FILE}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Decision(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ScenarioError(
                f"{path}: line {number}: not a decision ({error}); take a run's {FILE}"
            ) from None
    return tuple(found)
