"""What `fleetwin parity` compares is given as paths: a run's folder or a cassette.

Tells which it is. Two cassettes are also compared by what their conversations were answered
(`CallsDifference`); runs, and the runs on cassettes, are by `journey`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from simulator.errors import ParityError
from simulator.parity.cassette import Cassette
from simulator.parity.journey import Difference, Journey, Tolerance, difference, load
from simulator.parity.latency_diff import TOLERANCE, Latencies, latencies
from simulator.parity.latency_fit import TRACES_FILE, Traces, load_traces
from simulator.parity.latency_words import explained, latency_words
from simulator.parity.recorder import Mismatch, mismatches


@dataclass(frozen=True)
class Side:
    """One of two sides: the runs of its paths, and the cassette, where the first path is one."""

    name: str
    runs: tuple[Journey, ...]
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


def side(path: Path, *more: Path) -> Side:
    """Return what paths of one side hold; raises ParityError for what is neither run nor cassette.

    A cassette's conversation is compared where it is the first path; of ``more`` the runs count.
    """
    cassette = Cassette.load(path) if path.is_file() else None
    runs = [run for each in (path, *more) for run in _runs_of(each)]
    return Side(" ".join(map(str, (path, *more))), tuple(runs), cassette)


def _runs_of(path: Path) -> Iterator[Journey]:
    if not path.is_file():
        yield load(path)
        return
    runs = Cassette.load(path).runs
    for number, run in enumerate(runs, 1):
        yield run.journey(str(path) if len(runs) == 1 else f"{path} ({number})")


def run_differences(here: Side, there: Side, tolerance: Tolerance) -> list[Difference]:
    """Compare the runs of two sides; raises ParityError for runs of different things.

    Detections, scores and books are compared of runs with the same seed, each once, in their order;
    latencies are those of all the runs of a side, in each of the differences.
    """
    if not here.runs or not there.runs:
        return []
    found, left = [], list(there.runs)
    for run in here.runs:
        other = next((each for each in left if each.seed == run.seed), None)
        if other is not None:
            left = [each for each in left if each is not other]
            found.append(difference(run, other, tolerance))
    if not found:
        found = [difference(here.runs[0], there.runs[0], tolerance)]  # Which says what to do.
    scenarios = {each.scenario for each in (*here.runs, *there.runs)}
    if len(scenarios) > 1:
        raise ParityError(f"runs of {' and '.join(sorted(scenarios))}: compare those of one")
    if max(len(here.runs), len(there.runs)) > 1:
        share = TOLERANCE if tolerance.latency is None else tolerance.latency
        ours, theirs = ([run.traces for run in each.runs] for each in (here, there))
        pooled = latencies(ours, theirs, share)
        found = [replace(each, latency=pooled) for each in found]
    return found


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
    bare = [each.name for each in (here, there) if not each.runs]
    return (
        f"{' and '.join(bare)}: recorded without a scenario; record it again with --scenario "
        "NAME, or with --run OUT for a finished run"
    )


def traces_of(*paths: Path) -> list[Traces]:
    """Return how long each hop took in each run of folders, their `traces.jsonl` or cassettes."""
    found: list[Traces] = []
    for path in paths:
        if path.is_dir():
            found.append(load_traces(path / TRACES_FILE))
        elif not _is_cassette(path):
            found.append(load_traces(path))
        elif runs := Cassette.load(path).runs:
            found += [run.seconds() for run in runs]
        else:
            raise ParityError(
                f"{path}: this cassette has no traces: record it with --scenario NAME"
            )
    return found


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
