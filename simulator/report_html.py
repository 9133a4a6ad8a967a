"""`report.html`: one page, no scripts, no network; a picture for each machine.

Each picture has the machine's signals, the anomaly score with its threshold, the true fault
intervals shaded, and the detections as marks. Drawn as SVG from at most WIDTH points a line,
each pixel column showing the lowest and highest value in it, so that no spike is lost.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from simulator.report import Episode, Fault, Judged, RunReport

WIDTH = 900
LEFT = 150
ROW = 46
GAP = 8
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STYLE = """
:root{color-scheme:light;--ink:#1d2733;--soft:#5b6b7b;--line:#d9e0e7;--fault:#f6c9a0;
--found:#0a7d4f;--false:#c22f2f;--signal:#3a6ea5;--score:#20303f}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);margin:2rem auto;max-width:1100px;
padding:0 1rem}h1{margin-bottom:.2rem}h2{margin:2rem 0 .4rem}p.lead{color:var(--soft);margin-top:0}
table{border-collapse:collapse;margin:.5rem 0}th,td{text-align:left;padding:.25rem .9rem .25rem 0;
border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}th{color:var(--soft);
font-weight:600}.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.tile{border:1px solid
var(--line);border-radius:8px;padding:.6rem 1rem;min-width:9rem}.tile b{display:block;
font-size:1.5rem}.tile span{color:var(--soft)}figure{margin:0 0 1.4rem}figcaption{font-weight:600;
margin-bottom:.2rem}svg{width:100%;height:auto;background:#fff;border:1px solid var(--line);
border-radius:6px}.found{color:var(--found)}.false_alarm,.missed{color:var(--false)}
.legend span{margin-right:1.4rem}.key{display:inline-block;width:.9rem;height:.7rem;
margin-right:.35rem}
"""


@dataclass
class Trace:
    """One machine's picture: signals by name and the score, each with its own times (ms)."""

    device_id: str
    signals: dict[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)
    score: tuple[IntArray, FloatArray] | None = None
    no_model: tuple[IntArray, FloatArray] | None = None


def render(report: RunReport, traces: Sequence[Trace], live_from_ms: int) -> str:
    """Return the page. Machines with a fault or a detection come first."""
    judged = report.judged
    body = [
        f"<h1>{_e(report.scenario)}</h1>",
        f'<p class="lead">seed {report.seed} on the {_e(report.target)} target: '
        f"{_hours(report.virtual_s)} of machine time in {report.wall_s:.0f} s</p>",
        _tiles(report, judged),
        _faults(report, judged),
        _detections(report, judged),
        _readings(report),
        _stages(report),
        "<h2>Machines</h2>",
        '<p class="legend"><span><i class="key" style="background:var(--fault)"></i>true fault'
        '</span><span><i class="key" style="background:var(--found)"></i>detection that found it'
        '</span><span><i class="key" style="background:var(--false)"></i>false alarm</span>'
        "<span>dashed: threshold; grey: before the model was in service</span></p>",
    ]
    eventful = {f.device_id for f in report.faults} | {
        e.device_id for e in report.episodes if e.rule == "model"
    }
    for trace in sorted(traces, key=lambda t: (t.device_id not in eventful, t.device_id)):
        faults = [f for f in report.faults if f.device_id == trace.device_id]
        episodes = [
            e for e in report.episodes if e.rule == "model" and e.device_id == trace.device_id
        ]
        body.append(_picture(trace, faults, episodes, judged, live_from_ms))
    title = _e(f"fleetwin: {report.scenario}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _e(text: object) -> str:
    return html.escape(str(text))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _tiles(report: RunReport, judged: Judged) -> str:
    values = report.to_json()
    delay = values["detection_delay_s"]
    tiles = [
        (f"{len(judged.found)} of {len(report.faults)}", "faults found"),
        (str(len(judged.false_alarms)), f"false alarms in {report.machine_days:.2f} machine-days"),
        (_seconds(delay["median"]), f"median delay (p90 {_seconds(delay['p90'])})"),
        (
            f"{values['no_model']['found']} of {len(report.faults)}",
            f"found with no model, {values['no_model']['false_alarm_episodes']} false alarms",
        ),
        (f"{report.readings.published:,}", "readings published"),
    ]
    cells = "".join(f'<div class="tile"><b>{_e(b)}</b><span>{_e(s)}</span></div>' for b, s in tiles)
    return f'<div class="tiles">{cells}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_e(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _faults(report: RunReport, judged: Judged) -> str:
    rows = []
    for number, fault in enumerate(report.faults):
        episode = judged.found.get(number)
        if episode:
            delay = (
                f'<span class="found">{(episode.started_ms - fault.onset_ms) / 1000:.0f} s</span>'
            )
        else:
            delay = '<span class="missed">not found</span>'
        rows.append(
            [
                _e(fault.device_id),
                _e(fault.kind.replace("_", " ")),
                f"{fault.severity:.2f}",
                _clock(fault.onset_ms),
                _clock(fault.end_ms),
                delay,
                "yes" if number in report.judged_no_model.found else "no",
            ]
        )
    head = ("machine", "fault", "severity", "from", "to", "found after", "with no model")
    return "<h2>Faults</h2>" + (_table(head, rows) if rows else "<p>No fault was injected.</p>")


def _detections(report: RunReport, judged: Judged) -> str:
    rows = []
    for episode in report.episodes:
        if episode.rule != "model":
            continue
        outcome = judged.outcome(episode)
        drivers = sorted(episode.contributions.items(), key=lambda item: -item[1])[:3]
        rows.append(
            [
                _e(episode.device_id),
                _clock(episode.started_ms),
                "open" if episode.ended_ms is None else _clock(episode.ended_ms),
                f'<span class="{outcome}">{_e(outcome.replace("_", " "))}</span>',
                f"{episode.score:.2f}",
                ", ".join(f"{_e(name)} {share:.0%}" for name, share in drivers),
            ]
        )
    head = ("machine", "from", "to", "outcome", "peak score", "driven by")
    return "<h2>Detections</h2>" + (_table(head, rows) if rows else "<p>None.</p>")


def _readings(report: RunReport) -> str:
    values = report.to_json()["readings"]
    rows = [[_e(name.replace("_", " ")), f"{value:,}"] for name, value in values.items()]
    return "<h2>Readings</h2>" + _table(("", "messages"), rows)


def _stages(report: RunReport) -> str:
    rows = [
        [_e(s.name), f"{s.wall_s:.1f} s", _hours(s.virtual_s), _e(s.result)] for s in report.stages
    ]
    return "<h2>Stages</h2>" + _table(("stage", "took", "on the run's clock", "result"), rows)


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")


@dataclass
class _Axes:
    """Maps event time to pixels; one for all rows of a picture."""

    start_ms: int
    end_ms: int

    def x(self, at_ms: float) -> float:
        """Return the pixel column of a time, kept inside the picture."""
        share = (at_ms - self.start_ms) / max(1, self.end_ms - self.start_ms)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - 10)


def _picture(
    trace: Trace,
    faults: Sequence[Fault],
    episodes: Sequence[Episode],
    judged: Judged,
    live_from_ms: int,
) -> str:
    lines = [line for line in [*trace.signals.values(), trace.score] if line and len(line[0])]
    if not lines:
        return f"<figure><figcaption>{_e(trace.device_id)}</figcaption><p>no data</p></figure>"
    axes = _Axes(min(int(t[0]) for t, _ in lines), max(int(t[-1]) for t, _ in lines))
    rows: list[str] = []
    top = GAP
    for name, (times, values) in trace.signals.items():
        rows.append(_row(axes, name, times, values, top, "var(--signal)"))
        top += ROW + GAP
    if trace.score is not None:
        rows.append(_score_row(axes, trace, top))
        top += 2 * ROW + GAP
    height = top + 16
    shade = _shades(axes, faults, live_from_ms, top)
    marks = "".join(_mark(axes, episode, judged.outcome(episode), top) for episode in episodes)
    ticks = _ticks(axes, top)
    kinds = ", ".join(fault.kind.replace("_", " ") for fault in faults) or "healthy"
    label = f"{trace.device_id}: {kinds}"
    return (
        f"<figure><figcaption>{_e(label)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_e(label)}">'
        f"{shade}{''.join(rows)}{marks}{ticks}</svg></figure>"
    )


def _shades(axes: _Axes, faults: Sequence[Fault], live_from_ms: int, bottom: int) -> str:
    parts = []
    width = axes.x(live_from_ms) - LEFT
    if width > 0:
        parts.append(
            f'<rect x="{LEFT}" y="0" width="{width:.1f}" height="{bottom}" fill="#eef1f4"/>'
        )
    for fault in faults:
        x = axes.x(fault.onset_ms)
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(2.0, axes.x(fault.end_ms) - x):.1f}" '
            f'height="{bottom}" fill="var(--fault)" opacity=".6">'
            f"<title>{_e(fault.kind)}</title></rect>"
        )
    return "".join(parts)


def _mark(axes: _Axes, episode: Episode, outcome: str, bottom: int) -> str:
    colour = "var(--false)" if outcome == "false_alarm" else "var(--found)"
    start = axes.x(episode.started_ms)
    end = axes.x(axes.end_ms if episode.ended_ms is None else episode.ended_ms)
    return (
        f'<line x1="{start:.1f}" x2="{start:.1f}" y1="0" y2="{bottom}" stroke="{colour}" '
        f'stroke-width="1.5"/><rect x="{start:.1f}" y="{bottom - 5}" '
        f'width="{max(2.0, end - start):.1f}" height="5" fill="{colour}">'
        f"<title>{_e(outcome)} {_clock(episode.started_ms)}</title></rect>"
    )


def _ticks(axes: _Axes, bottom: int) -> str:
    parts = []
    for share in np.linspace(0.0, 1.0, 7):
        at_ms = axes.start_ms + share * (axes.end_ms - axes.start_ms)
        anchor = "end" if share == 1.0 else "middle"
        parts.append(
            f'<text x="{axes.x(at_ms):.1f}" y="{bottom + 12}" font-size="10" fill="#5b6b7b" '
            f'text-anchor="{anchor}">{_clock(int(at_ms))}</text>'
        )
    return "".join(parts)


def _row(axes: _Axes, name: str, times: IntArray, values: FloatArray, top: int, colour: str) -> str:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    points = _points(axes, times, values, top, ROW, low, high)
    return (
        f'<text x="6" y="{top + 16}" font-size="11">{_e(name)}</text>'
        f'<text x="6" y="{top + 30}" font-size="10" fill="#5b6b7b">{low:.3g} to {high:.3g}</text>'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width=".8"/>'
    )


def _score_row(axes: _Axes, trace: Trace, top: int) -> str:
    assert trace.score is not None
    times, values = trace.score
    if not len(times):
        return ""
    high = min(6.0, max(2.0, float(np.nanmax(values))))
    height = 2 * ROW
    y = top + height - height * 1.0 / high
    parts = [
        f'<text x="6" y="{top + 16}" font-size="11">anomaly score</text>'
        f'<text x="6" y="{top + 30}" font-size="10" fill="#5b6b7b">threshold 1, shown to '
        f"{high:.2g}</text>"
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#c22f2f" '
        'stroke-dasharray="4 3" stroke-width="1"/>'
    ]
    if trace.no_model is not None and len(trace.no_model[0]):
        points = _points(axes, *trace.no_model, top, height, 0.0, high)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="#b8c2cc" '
            'stroke-width=".8"><title>no model</title></polyline>'
        )
    points = _points(axes, times, values, top, height, 0.0, high)
    parts.append(
        f'<polyline points="{points}" fill="none" stroke="var(--score)" stroke-width="1.2"/>'
    )
    return "".join(parts)


def _points(
    axes: _Axes,
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
    columns = ((times - axes.start_ms) * (WIDTH - LEFT - 10) // span).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(columns) != 0])
    lows = np.minimum.reduceat(values, starts)
    highs = np.maximum.reduceat(values, starts)
    scale = height / ((high - low) or 1.0)
    parts = []
    for column, lowest, highest in zip(columns[starts], lows, highs, strict=True):
        x = LEFT + int(column)
        parts.append(f"{x},{top + height - (lowest - low) * scale:.1f}")
        if highest != lowest:
            parts.append(f"{x},{top + height - (highest - low) * scale:.1f}")
    return " ".join(parts)
