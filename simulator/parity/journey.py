"""What a run leaves behind for comparison: detections, scores, books (L3), traces of hops (L4).

`load` reads the folder that `fleetwin run` wrote on any target, `difference` compares two of the
same scenario and seed. CloudWatch alarms follow the run's clock and not event time, so they are
not compared. Text and pages are made by `journey_words` and `journey_page`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from simulator.errors import ParityError
from simulator.parity.latency_diff import TOLERANCE, Latencies, latencies
from simulator.parity.latency_fit import TRACES_FILE, Traces, load_traces

SCORES_FILE = "scores.jsonl"
"""Beside `report.json`: every smoothed score of a run, a line each."""
BILLABLE_FILE = "billable.json"
"""Beside it: the units used of what AWS charges for, by name."""

Scores = Mapping[str, Mapping[int, float]]
"""Smoothed score of the model by device and event time in ms."""
ScoreRow = tuple[str, int, float]
"""Device, event time in ms, smoothed score."""


@dataclass(frozen=True)
class Found:
    """One detection as `report.json` has it, times in epoch milliseconds."""

    device_id: str
    started_ms: int
    ended_ms: int | None
    score: float
    contributions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Journey:
    """What one target made of a scenario."""

    name: str
    scenario: str
    seed: int
    target: str
    readings: Mapping[str, int]
    alerts: int
    detections: tuple[Found, ...]
    scores: Scores
    traces: Traces = field(default_factory=dict, compare=False)
    """Seconds that each hop took, in order; empty where a run wrote none."""
    billable: Mapping[str, float] = field(default_factory=dict, compare=False)
    """Units used of what AWS charges for, by name; empty where a run wrote none."""


@dataclass(frozen=True)
class Tolerance:
    """How far two runs may be apart and still count as the same.

    ``join_s``: detections of a device that start at most this far apart are the same one.
    ``start_s``: then their starts and ends may differ by so much. ``score``: so may their peaks,
    and the smoothed scores of each row. ``latency``: hops may surely differ by this share of
    their mean; None: they are compared all the same, and do not count.
    """

    score: float = 1e-6
    start_s: float = 0.0
    join_s: float = 60.0
    latency: float | None = None


REPORTED = 1e-6
"""`report.json` rounds scores to this; one digit of it is no difference."""


@dataclass(frozen=True)
class Pair:
    """One detection, on both sides."""

    here: Found
    there: Found

    @property
    def start_shift_s(self) -> float:
        """How much later it starts there, in seconds."""
        return (self.there.started_ms - self.here.started_ms) / 1000

    @property
    def end_shift_s(self) -> float | None:
        """How much later it ends there; None when it is still open on one side only."""
        if self.here.ended_ms is None or self.there.ended_ms is None:
            return 0.0 if self.here.ended_ms == self.there.ended_ms else None
        return (self.there.ended_ms - self.here.ended_ms) / 1000

    @property
    def score_difference(self) -> float:
        """How much higher its score is there."""
        return self.there.score - self.here.score

    def within(self, tolerance: Tolerance) -> bool:
        """Tell whether both sides say the same of it."""
        end_shift_s = self.end_shift_s
        return (
            abs(self.start_shift_s) <= tolerance.start_s
            and end_shift_s is not None
            and abs(end_shift_s) <= tolerance.start_s
            and abs(self.score_difference) <= max(tolerance.score, 1.5 * REPORTED)
        )


@dataclass(frozen=True)
class Divergence:
    """The first row, by event time, that is not the same; None where a side has no score."""

    device_id: str
    event_time_ms: int
    here: float | None
    there: float | None


@dataclass(frozen=True)
class Difference:
    """Two runs of one scenario, joined."""

    here: Journey
    there: Journey
    tolerance: Tolerance
    pairs: tuple[Pair, ...]
    only_here: tuple[Found, ...]
    only_there: tuple[Found, ...]
    rows: int
    """Rows that have a score on both sides."""
    rows_only_here: int
    rows_only_there: int
    largest: float
    """The largest difference of a row's scores."""
    first: Divergence | None
    books: Mapping[str, tuple[int, int]]
    """The sums of the readings, and the alerts, that differ."""
    latency: Latencies = field(default_factory=Latencies)

    @property
    def billable(self) -> dict[str, tuple[float, float]]:
        """The units that AWS charges for, here and there, where both sides know theirs."""
        ours, theirs = self.here.billable, self.there.billable
        names = sorted({*ours, *theirs}) if ours and theirs else ()
        return {name: (ours.get(name, 0.0), theirs.get(name, 0.0)) for name in names}

    @property
    def moved(self) -> tuple[Pair, ...]:
        """The detections on both sides that do not agree within the tolerance."""
        return tuple(pair for pair in self.pairs if not pair.within(self.tolerance))

    @property
    def same(self) -> bool:
        """Whether the two are the same within the tolerance."""
        return not (
            self.only_here
            or self.only_there
            or self.moved
            or self.first is not None
            or self.books
            or self.slower
        )

    @property
    def slower(self) -> bool:
        """Whether hops surely differ, where that counts."""
        return self.tolerance.latency is not None and bool(self.latency.different)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {
            "here": _identity(self.here),
            "there": _identity(self.there),
            "same": self.same,
            "tolerance": vars(self.tolerance),
            "detections": {
                "on_both": [_pair(pair, self.tolerance) for pair in self.pairs],
                "only_here": [_found(each) for each in self.only_here],
                "only_there": [_found(each) for each in self.only_there],
            },
            "rows": {
                "compared": self.rows,
                "only_here": self.rows_only_here,
                "only_there": self.rows_only_there,
                "largest_difference": self.largest,
            },
            "first_divergence": None if self.first is None else vars(self.first),
            "books": {name: list(values) for name, values in self.books.items()},
            "billable": {name: list(units) for name, units in self.billable.items()},
            "latency": self.latency.to_json(),
        }


def load(out: Path) -> Journey:
    """Read what a run left in its ``--out`` folder; raises ParityError."""
    traces = load_traces(out / TRACES_FILE) if (out / TRACES_FILE).exists() else {}
    report, scores = read_report(out), read_scores(out)
    return journey_of(str(out), report, scores, traces, read_billable(out))


def journey_of(
    name: str,
    report: Mapping[str, Any],
    rows: Iterable[ScoreRow],
    traces: Traces,
    billable: Mapping[str, float],
) -> Journey:
    """Return the journey of a run's report, scores, traces and billable units."""
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    for device, at_ms, score in rows:
        scores[device][at_ms] = score
    found = tuple(
        Found(
            each["device_id"],
            _milliseconds(each["started"]),
            None if each["ended"] is None else _milliseconds(each["ended"]),
            each["score"],
            each["contributions"],
        )
        for each in report["detections"]
    )
    return Journey(
        name,
        report["scenario"],
        report["seed"],
        report["target"],
        report["readings"],
        report["alerts"],
        found,
        scores,
        traces,
        billable,
    )


def read_billable(out: Path) -> dict[str, float]:
    """Return the units that a run used, none where it wrote none; raises ParityError."""
    path = out / BILLABLE_FILE
    try:
        return {name: float(units) for name, units in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError) as error:
        raise ParityError(f"{path}: no billable units: {error!r}") from None


def read_report(out: Path) -> dict[str, Any]:
    """Return a run's `report.json`; raises ParityError."""
    try:
        report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(out, error) from None
    except ValueError as error:
        raise ParityError(f"{out / 'report.json'}: not JSON: {error}") from None
    return report


def read_scores(out: Path) -> list[ScoreRow]:
    """Return device, event time in ms and smoothed score of every row; raises ParityError."""
    try:
        rows = map(orjson.loads, (out / SCORES_FILE).read_bytes().splitlines())
        return [
            (row["device_id"], row["event_time_ms"], row["score"])
            for row in rows
            if row["score"] is not None
        ]
    except FileNotFoundError as error:
        raise _missing(out, error) from None


def _missing(out: Path, error: FileNotFoundError) -> ParityError:
    return ParityError(
        f"{error.filename}: not there; {out} must be what `fleetwin run --out` wrote"
    )


def difference(here: Journey, there: Journey, tolerance: Tolerance | None = None) -> Difference:
    """Join two runs by device and window; raises ParityError for runs of different things."""
    if (here.scenario, here.seed) != (there.scenario, there.seed):
        raise ParityError(
            f"{here.name} is {here.scenario} with seed {here.seed}, {there.name} is "
            f"{there.scenario} with seed {there.seed}: run the same on both"
        )
    allowed = tolerance or Tolerance()
    pairs = _joined(here.detections, there.detections, allowed.join_s * 1000)
    ours, theirs = {id(pair.here) for pair in pairs}, {id(pair.there) for pair in pairs}
    rows, largest, alone_here, alone_there, first = _rows(here.scores, there.scores, allowed.score)
    books = {
        name: (here.readings.get(name, 0), there.readings.get(name, 0))
        for name in sorted({*here.readings, *there.readings})
        if here.readings.get(name, 0) != there.readings.get(name, 0)
    }
    if here.alerts != there.alerts:
        books["alerts"] = (here.alerts, there.alerts)
    share = TOLERANCE if allowed.latency is None else allowed.latency
    return Difference(
        here,
        there,
        allowed,
        tuple(pairs),
        tuple(each for each in here.detections if id(each) not in ours),
        tuple(each for each in there.detections if id(each) not in theirs),
        rows,
        alone_here,
        alone_there,
        largest,
        first,
        books,
        latencies(here.traces, there.traces, share),
    )


def _joined(here: Iterable[Found], there: Iterable[Found], most_ms: float) -> list[Pair]:
    """Pair detections of the same device, the closest starts first, each at most once."""
    theirs: dict[str, list[Found]] = defaultdict(list)
    for each in there:
        theirs[each.device_id].append(each)
    ours = list(here)
    candidates = sorted(
        (abs(a.started_ms - b.started_ms), a.started_ms, b.started_ms, number, position)
        for number, a in enumerate(ours)
        for position, b in enumerate(theirs[a.device_id])
        if abs(a.started_ms - b.started_ms) <= most_ms
    )
    taken_here: set[int] = set()
    taken_there: set[tuple[str, int]] = set()
    pairs = []
    for _, _, _, number, position in candidates:
        device = ours[number].device_id
        if number not in taken_here and (device, position) not in taken_there:
            taken_here.add(number)
            taken_there.add((device, position))
            pairs.append(Pair(ours[number], theirs[device][position]))
    return sorted(pairs, key=lambda pair: (pair.here.started_ms, pair.here.device_id))


def _rows(
    here: Scores, there: Scores, most: float
) -> tuple[int, float, int, int, Divergence | None]:
    """Compare the scores row by row; return how many, the largest difference, who is alone."""
    compared, largest, alone_here, alone_there = 0, 0.0, 0, 0
    diverged: list[Divergence] = []
    for device in sorted({*here, *there}):
        ours, theirs = here.get(device, {}), there.get(device, {})
        for at_ms in sorted({*ours, *theirs}):
            a, b = ours.get(at_ms), theirs.get(at_ms)
            if a is not None and b is not None:
                compared += 1
                largest = max(largest, abs(a - b))
                if abs(a - b) <= most:
                    continue
            alone_here += b is None
            alone_there += a is None
            diverged.append(Divergence(device, at_ms, a, b))
    first = min(diverged, key=lambda row: (row.event_time_ms, row.device_id), default=None)
    return compared, largest, alone_here, alone_there, first


def _identity(journey: Journey) -> dict[str, Any]:
    return {
        "folder": journey.name,
        "scenario": journey.scenario,
        "seed": journey.seed,
        "target": journey.target,
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "device_id": found.device_id,
        "started_ms": found.started_ms,
        "ended_ms": found.ended_ms,
        "score": found.score,
    }


def _pair(pair: Pair, tolerance: Tolerance) -> dict[str, Any]:
    return {
        **_found(pair.here),
        "start_shift_s": pair.start_shift_s,
        "end_shift_s": pair.end_shift_s,
        "score_difference": round(pair.score_difference, 9),
        "within_tolerance": pair.within(tolerance),
    }


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
