"""One machine's picture as SVG: its signals, its anomaly score, the faults and the detections.

`report_html` puts it on the page. A line has at most two points for each pixel column, the
lowest and the highest value in it, so that no spike is lost. Colours are the page's.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from simulator.report import Episode, Fault, RunReport, Standstill
from simulator.report_style import SOFT

WIDTH = 900
LEFT = 150
RIGHT = 10
ROW = 46
GAP = 10
TICK_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 10080)
"""Steps between the marks of a time axis that read well."""
DAY_MS = 86_400_000
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_UNITS = {
    "c": "°C",
    "mm_s_rms": "mm/s RMS",
    "bar": "bar",
    "a": "A",
    "v": "V",
    "l_min": "l/min",
    "m3_h": "m³/h",
    "rpm": "rpm",
}


@dataclass
class Trace:
    """One machine's picture: signals by name and the score, each with its own times (ms)."""

    device_id: str
    signals: dict[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)
    score: tuple[IntArray, FloatArray] | None = None
    no_model: tuple[IntArray, FloatArray] | None = None


@dataclass
class Axes:
    """Maps event time to pixels; one for all rows of a picture."""

    start_ms: int
    end_ms: int

    def x(self, at_ms: float) -> float:
        """Return the pixel column of a time, kept inside the picture."""
        share = (at_ms - self.start_ms) / max(1, self.end_ms - self.start_ms)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)


def machine_figure(report: RunReport, trace: Trace, live_from_ms: int) -> str:
    """Return the HTML figure of a machine; what is before ``live_from_ms`` gets a grey ground."""
    judged = report.judged
    faults = [f for f in report.faults if f.device_id == trace.device_id]
    episodes = [e for e in report.episodes if e.rule == "model" and e.device_id == trace.device_id]
    lines = [line for line in [*trace.signals.values(), trace.score] if line and len(line[0])]
    if not lines:
        return f"<figure><figcaption>{escaped(trace.device_id)}</figcaption><p>no data</p></figure>"
    axes = Axes(min(int(t[0]) for t, _ in lines), max(int(t[-1]) for t, _ in lines))
    rows: list[str] = []
    top = GAP
    for name, (times, values) in trace.signals.items():
        rows.append(_row(axes, name, times, values, top, "var(--signal)"))
        top += ROW + GAP
    if trace.score is not None:
        rows.append(_score_row(axes, trace, top))
        top += 2 * ROW + GAP
    height = top + 16
    stops = [stop for stop in report.stops if stop.device_id == trace.device_id]
    shade = _shades(axes, faults, stops, live_from_ms, top)
    marks = "".join(_mark(axes, episode, judged.outcome(episode), top) for episode in episodes)
    marked = ticks(axes, top)
    kinds = ", ".join(fault.kind.replace("_", " ") for fault in faults) or "healthy"
    label = f"{trace.device_id}: {kinds}"
    return (
        f"<figure><figcaption>{escaped(label)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(label)}">'
        f"{shade}{''.join(rows)}{marks}{marked}</svg></figure>"
    )


def _shades(
    axes: Axes,
    faults: Sequence[Fault],
    stops: Sequence[Standstill],
    live_from_ms: int,
    bottom: int,
) -> str:
    parts = []
    width = axes.x(live_from_ms) - LEFT
    if width > 0:
        parts.append(
            f'<rect x="{LEFT}" y="0" width="{width:.1f}" height="{bottom}" fill="var(--ground)"/>'
        )
    for fault in faults:
        x = axes.x(fault.onset_ms)
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(2.0, axes.x(fault.end_ms) - x):.1f}" '
            f'height="{bottom}" fill="var(--fault)" opacity=".6">'
            f"<title>{escaped(fault.kind)}</title></rect>"
        )
    for stop in stops:
        x = axes.x(stop.start_ms)
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(2.0, axes.x(stop.end_ms) - x):.1f}" '
            f'height="{bottom}" fill="var(--halt)" opacity=".45">'
            f"<title>{escaped(stop.reason)}</title></rect>"
        )
    return "".join(parts)


def _mark(axes: Axes, episode: Episode, outcome: str, bottom: int) -> str:
    colour = {"false_alarm": "var(--false)", "standstill": "var(--soft)"}.get(
        outcome, "var(--found)"
    )
    start = axes.x(episode.started_ms)
    end = axes.x(axes.end_ms if episode.ended_ms is None else episode.ended_ms)
    return (
        f'<line x1="{start:.1f}" x2="{start:.1f}" y1="0" y2="{bottom}" stroke="{colour}" '
        f'stroke-width="1.5"/><rect x="{start:.1f}" y="{bottom - 5}" '
        f'width="{max(2.0, end - start):.1f}" height="5" fill="{colour}">'
        f"<title>{escaped(outcome)} {_utc(episode.started_ms):%m-%d %H:%M:%S}</title></rect>"
    )


def ticks(axes: Axes, bottom: int) -> str:
    """Mark whole steps of the clock, about six of them."""
    span_min = (axes.end_ms - axes.start_ms) / 60_000
    step_ms = 60_000 * next((s for s in TICK_STEPS_MIN if span_min / s <= 8), TICK_STEPS_MIN[-1])
    parts = []
    for at_ms in range(-(-axes.start_ms // step_ms) * step_ms, axes.end_ms + 1, step_ms):
        x = axes.x(at_ms)
        anchor = "end" if x > WIDTH - 3 * RIGHT else "middle"
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 3}" stroke="{SOFT}"/>'
            f'<text x="{x:.1f}" y="{bottom + 13}" font-size="10" fill="{SOFT}" '
            f'text-anchor="{anchor}">{_mark_of(at_ms, step_ms, span_min)}</text>'
        )
    return "".join(parts)


def _mark_of(at_ms: int, step_ms: int, span_min: float) -> str:
    """Return what a mark of the axis says: the day where days matter, the time where hours do."""
    if step_ms >= DAY_MS:
        return f"{_utc(at_ms):%m-%d}"
    return f"{_utc(at_ms):%m-%d %H:%M}" if span_min * 60_000 > DAY_MS else clock(at_ms)[:5]


def _title(name: str) -> tuple[str, str]:
    """Return a signal's name in words and its unit, which ends the name."""
    for ending, unit in _UNITS.items():
        if name.endswith("_" + ending):
            return name.removesuffix("_" + ending).replace("_", " "), " " + unit
    return name.replace("_", " "), ""


def _row(axes: Axes, name: str, times: IntArray, values: FloatArray, top: int, colour: str) -> str:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    points = points_of(axes, times, values, top, ROW, low, high)
    title, unit = _title(name)
    return (
        f'<text x="8" y="{top + 16}" font-size="12">{escaped(title)}</text>'
        f'<text x="8" y="{top + 31}" font-size="10" fill="{SOFT}">'
        f"{low:.3g} to {high:.3g}{escaped(unit)}</text>"
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width=".8"/>'
    )


def _score_row(axes: Axes, trace: Trace, top: int) -> str:
    assert trace.score is not None
    times, values = trace.score
    if not len(times):
        return ""
    high = min(6.0, max(2.0, float(np.nanmax(values))))
    height = 2 * ROW
    y = top + height - height * 1.0 / high
    parts = [
        f'<text x="8" y="{top + 16}" font-size="12">anomaly score</text>'
        f'<text x="8" y="{top + 31}" font-size="10" fill="{SOFT}">threshold 1, shown to '
        f"{high:.2g}</text>"
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--false)" '
        'stroke-dasharray="4 3" stroke-width="1"/>'
    ]
    if trace.no_model is not None and len(trace.no_model[0]):
        points = points_of(axes, *trace.no_model, top, height, 0.0, high)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="var(--plain)" '
            'stroke-width=".8"><title>no model</title></polyline>'
        )
    points = points_of(axes, times, values, top, height, 0.0, high)
    parts.append(
        f'<polyline points="{points}" fill="none" stroke="var(--score)" stroke-width="1.2"/>'
    )
    return "".join(parts)


def points_of(
    axes: Axes,
    times: IntArray,
    values: FloatArray,
    top: int,
    height: int,
    low: float,
    high: float,
) -> str:
    """Return polyline points: the lowest and highest value of each pixel column, in time order."""
    finite = np.isfinite(values)
    times, values = times[finite], np.clip(values[finite], low, high)
    if not len(times):
        return ""
    span = max(1, axes.end_ms - axes.start_ms)
    columns = ((times - axes.start_ms) * (WIDTH - LEFT - RIGHT) // span).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(columns) != 0])
    lows = np.minimum.reduceat(values, starts)
    highs = np.maximum.reduceat(values, starts)
    scale = height / ((high - low) or 1.0)
    parts = []
    # As Python's numbers, which are quicker to calculate with and to write than NumPy's.
    rows = columns[starts].tolist(), lows.tolist(), highs.tolist()
    for column, lowest, highest in zip(*rows, strict=True):
        x = LEFT + column
        parts.append(f"{x},{top + height - (lowest - low) * scale:.1f}")
        if highest != lowest:
            parts.append(f"{x},{top + height - (highest - low) * scale:.1f}")
    return " ".join(parts)


def clock(at_ms: int) -> str:
    """Return the time of day, UTC."""
    return f"{_utc(at_ms):%H:%M:%S}"


def moment(report: RunReport, at_ms: int) -> str:
    """Return the time of day, with the day where the run is longer than one."""
    day = f"{_utc(at_ms):%m-%d} " if report.virtual_s * 1000 > DAY_MS else ""
    return day + clock(at_ms)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def escaped(text: object) -> str:
    """Return text that is safe in HTML and SVG."""
    return html.escape(str(text))
