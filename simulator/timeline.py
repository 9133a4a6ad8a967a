"""A scenario's plan as a picture in text: who has which fault when, who is offline or repaired.

Known before anything runs: planned and drawn faults, offline periods, storms, and the lives of
machines whose maintenance waits for nobody's alerts. `timeline_svg` draws the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simulator.fleet.catalogue import SENSOR_FAULTS
from simulator.fleet.plant import life_of, plan_of
from simulator.scenario import Scenario

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OFFLINE, DOWN, WEAR = "x", "#", "~"


@dataclass(frozen=True)
class Span:
    """Something that lasts, in seconds since the fleet's start."""

    start_s: float
    end_s: float
    what: str
    mark: str
    severity: float = 1.0


@dataclass
class Row:
    """What happens to one machine."""

    device: str
    kind: str
    spans: list[Span] = field(default_factory=list)


@dataclass
class Timeline:
    """All machines of a scenario with something on them, and what concerns all."""

    live_start_s: float
    total_s: float
    rows: list[Row]
    storms_s: list[float]
    legend: dict[str, str]
    machines: int
    reacts: bool
    drifts: list[tuple[float, str]] = field(default_factory=list)
    """When all machines begin to show something differently, and what."""


def timeline_of(scenario: Scenario) -> Timeline:
    """Return what is known of a scenario before it runs."""
    plan = plan_of(scenario, round(scenario.start.timestamp() * 1000))
    start_s = plan.live_start_s
    kinds = sorted({fault.kind for fault in plan.faults}, key=_order)
    marks = {kind: LETTERS[i % len(LETTERS)] for i, kind in enumerate(kinds)}
    rows = {device: Row(device, kind) for device, kind in plan.devices.items()}
    for fault in plan.faults:
        onset_s = start_s + fault.onset_s
        what = fault.kind + (f" of {fault.sensor}" if fault.sensor else "")
        rows[fault.device].spans.append(
            Span(onset_s, onset_s + fault.duration_s, what, marks[fault.kind], fault.severity)
        )
    for period in scenario.network.offline:
        onset_s = start_s + period.onset_s
        rows[period.device].spans.append(
            Span(onset_s, onset_s + period.duration_s, "offline", OFFLINE)
        )
    reacts = scenario.life.maintenance.policy == "condition_based"
    worn = False
    for device, row in rows.items():
        life = life_of(plan, device)
        if life is None or reacts:
            continue
        life.up(np.array([plan.total_s]))
        for defect in life.truth():
            worn = True
            end_s = plan.total_s if defect.ended_s is None else defect.ended_s
            row.spans.append(Span(defect.begun_s, min(end_s, plan.total_s), defect.kind, WEAR))
        for stop in life.stops():
            row.spans.append(Span(stop.begun_s, min(stop.ended_s, plan.total_s), stop.reason, DOWN))
    legend = {mark: kind.replace("_", " ") for kind, mark in marks.items()}
    if scenario.network.offline:
        legend[OFFLINE] = "offline"
    if worn:
        legend[WEAR] = "a defect grows"
        legend[DOWN] = "stands still: failure or work"
    storms = [start_s + at_s for at_s in scenario.network.outages.storms]
    busy = [row for row in rows.values() if row.spans]
    drifts = [
        (start_s + drift.onset_s, f"{drift.kind.replace('_', ' ')} of {drift.sensor}")
        for drift in plan.drifts
    ]
    return Timeline(start_s, plan.total_s, busy, storms, legend, len(rows), reacts, drifts)


def _order(kind: str) -> tuple[bool, str]:
    return kind in SENSOR_FAULTS, kind


def text_of(timeline: Timeline, width: int = 100) -> str:
    """Return the picture for a terminal of ``width`` columns."""
    left = max([len(row.device) for row in timeline.rows] + [8]) + 1
    columns = max(20, width - left - 1)
    lines = [_scale(timeline, left, columns)]
    for row in timeline.rows:
        lines.append(f"{row.device:<{left}}{_cells(timeline, row, columns)}")
    quiet = timeline.machines - len(timeline.rows)
    if quiet:
        lines.append(f"{'':<{left}}and {quiet} machines with nothing on them")
    if timeline.storms_s:
        times = ", ".join(clock(at_s - timeline.live_start_s) for at_s in timeline.storms_s)
        lines.append(f"{'':<{left}}the broker disconnects everybody at live {times}")
    for at_s, what in timeline.drifts:
        since = clock(at_s - timeline.live_start_s)
        lines.append(f"{'':<{left}}all machines drift from live {since} on: {what}")
    if timeline.reacts:
        lines.append(f"{'':<{left}}repairs follow the pipeline's alerts: known when it has run")
    if timeline.legend:
        lines += ["", *_legend(timeline.legend, width)]
    return "\n".join(line.rstrip() for line in lines)


def _scale(timeline: Timeline, left: int, columns: int) -> str:
    live = round(timeline.live_start_s / timeline.total_s * columns)
    history = f"history {clock(timeline.live_start_s)} "
    rest = f"|live {clock(timeline.total_s - timeline.live_start_s)} "
    head = history[:live].ljust(live, "-")
    return " " * left + head + rest.ljust(max(0, columns - live), "-")


def _cells(timeline: Timeline, row: Row, columns: int) -> str:
    cells = ["."] * columns
    live = round(timeline.live_start_s / timeline.total_s * columns)
    cells[:live] = [" "] * live
    # Stops over wear, faults over both: what is drawn last stays.
    for span in sorted(row.spans, key=lambda s: (s.mark in LETTERS, s.mark == DOWN)):
        first = int(span.start_s / timeline.total_s * columns)
        last = max(first + 1, round(span.end_s / timeline.total_s * columns))
        cells[first:last] = [span.mark] * (min(last, columns) - first)
    return "".join(cells[:columns])


def _legend(legend: dict[str, str], width: int) -> Iterator[str]:
    line = ""
    for mark, words in legend.items():
        entry = f"{mark} {words}"
        if line and len(line) + len(entry) + 3 > width:
            yield line
            line = ""
        line = f"{line}   {entry}" if line else entry
    yield line


def clock(seconds: float) -> str:
    """Return a duration in the largest unit that reads well."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.3g} d"
    if seconds >= 2 * 3_600:
        return f"{seconds / 3_600:.3g} h"
    return f"{seconds / 60:.3g} min"
