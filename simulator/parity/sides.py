"""What `fleetwin parity` compares is given as paths: a run's folder or a cassette.

Tells which it is. Two cassettes are also compared by what their conversations were answered
(`CallsDifference`); runs, and the runs on cassettes, are by `journey`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from simulator.errors import ParityError
from simulator.parity.cassette import Cassette
from simulator.parity.journey import Journey, load
from simulator.parity.latency_diff import TOLERANCE, Latencies, latencies
from simulator.parity.latency_fit import TRACES_FILE, Floats, load_traces
from simulator.parity.latency_words import explained, latency_words
from simulator.parity.recorder import Mismatch, mismatches


@dataclass(frozen=True)
class Side:
    """One of two paths: its run, where it has one, and the cassette, where it is one."""

    name: str
    journey: Journey | None
    cassette: Cassette | None = None


@dataclass(frozen=True)
class CallsDifference:
    """Two cassettes' conversations, the steps that both have. Targets as they were recorded."""

    here: str
    there: str
    steps: int
    otherwise: tuple[Mismatch, ...]
    latency: Latencies
    counts: bool
    """Whether latencies that surely differ make the two different."""

    @property
    def same(self) -> bool:
        """Whether every step was answered the same, and took as long where that counts."""
        return not self.otherwise and not (self.counts and self.latency.different)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {
            "here": self.here,
            "there": self.there,
            "same": self.same,
            "steps": self.steps,
            "answered_otherwise": [
                {"step": each.step, "call": each.call, "lines": list(each.lines)}
                for each in self.otherwise
            ],
            "latency": self.latency.to_json(),
        }


def side(path: Path) -> Side:
    """Return what a path holds; raises ParityError for neither a run's folder nor a cassette."""
    if not path.is_file():
        return Side(str(path), load(path))
    cassette = Cassette.load(path)
    journey = None if cassette.run is None else cassette.run.journey(str(path))
    return Side(str(path), journey, cassette)


def calls_difference(here: Side, there: Side, share: float | None = None) -> CallsDifference | None:
    """Compare two cassettes' conversations; None where a side is a run's folder.

    Steps are the same that have the same name, service, operation and parameters.
    """
    if here.cassette is None or there.cassette is None:
        return None
    theirs = {each.step.name: each for each in there.cassette.played}
    both = [
        (each, theirs[each.step.name])
        for each in here.cassette.played
        if each.step.name in theirs and theirs[each.step.name].step == each.step
    ]
    if not both:
        raise ParityError(f"{here.name} and {there.name}: no step is in both conversations")
    ours, others = zip(*both, strict=True)
    return CallsDifference(
        _recorded(here.cassette),
        _recorded(there.cassette),
        sum(not each.step.tidies for each in ours),
        # What is there was answered later: a mismatch tells it first.
        tuple(mismatches(ours, others)),
        latencies(
            here.cassette.latencies(),
            there.cassette.latencies(),
            TOLERANCE if share is None else share,
        ),
        share is not None,
    )


def calls_words(found: CallsDifference) -> str:
    """Return the comparison of two conversations as people read it; the last line sums it up."""
    lines = [f"conversations on {found.here}, here, and {found.there}, there"]
    for each in found.otherwise:
        lines.append(f"  {each.step} ({each.call})")
        lines += [f"    there {line} here" for line in each.lines]
    lines += [latency_words(found.latency), f"  {explained(found.latency)}"]
    same = found.steps - len(found.otherwise)
    return "\n".join([*lines, f"{same} of {found.steps} steps are answered the same"])


def no_scenario(here: Side, there: Side) -> str:
    """Return which side has no run of a scenario, and how it gets one."""
    bare = [each.name for each in (here, there) if each.journey is None]
    return (
        f"{' and '.join(bare)}: recorded without a scenario; record it again with --scenario "
        "NAME, or with --run OUT for a finished run"
    )


def traces_of(path: Path) -> Mapping[str, Floats]:
    """Return how long each hop took, of a run's folder, its `traces.jsonl` or a cassette."""
    if path.is_dir():
        return load_traces(path / TRACES_FILE)
    if not _is_cassette(path):
        return load_traces(path)
    run = Cassette.load(path).run
    if run is None:
        raise ParityError(f"{path}: this cassette has no traces: record it with --scenario NAME")
    return run.seconds()


def expired(paths: Iterable[Path], today: date | None = None) -> list[str]:
    """Return what to tell of each path that is a cassette and too old; ``today``: by default now.

    Of a path that cannot be read nothing is told: whoever reads it next says why.
    """
    day = today or datetime.now(UTC).date()
    found = []
    for path in paths:
        if path.is_file() and _is_cassette(path):
            warning = Cassette.load(path).warning(day)
            found += [f"{path}: {warning}"] if warning is not None else []
    return found


def _is_cassette(path: Path) -> bool:
    """Tell a cassette from a file of traces by its first line."""
    try:
        with path.open(encoding="utf-8") as lines:
            head = json.loads(lines.readline())
            return isinstance(head, dict) and "recorded" in head
    except (OSError, ValueError):
        return False


def _recorded(cassette: Cassette) -> str:
    return f"{cassette.target} ({cassette.recorded})"
