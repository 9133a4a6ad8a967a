"""A dashboard of a finished run as pictures: one for each graph, one for the alarms' states.

`dashboard` puts them on a page or into one SVG file. Widgets of other kinds and graphs with
expressions are named, not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.cloud.dashboards_store import Kept, Line, lines_of
from simulator.report_style import INK, LINE, SOFT
from simulator.report_svg import GAP, LEFT, RIGHT, WIDTH, Axes, escaped, points_of, ticks

GRAPH = 92
BAR = 18
COLOURS = ("#3a6ea5", "#b4541a", "#0a7d4f", "#8a4fa3", "#c22f2f", "#2a8c94")
STATES = {"OK": "#9cc9b3", "ALARM": "#c22f2f", "INSUFFICIENT_DATA": LINE}


def pictures(kept: Kept, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield (title, SVG elements, height in pixels) of each widget of a dashboard."""
    axes = Axes(round(kept.start_s * 1000), max(1, round(kept.end_s * 1000)))
    for widget in kept.bodies[name]["widgets"]:
        properties = widget["properties"]
        title = str(properties.get("title", widget["type"]))
        if widget["type"] == "alarm":
            names = [str(arn).rpartition(":")[2] for arn in properties["alarms"]]
            yield title, *_alarms(axes, kept, names)
        elif widget["type"] == "metric":
            yield title, *_graph(axes, kept, properties)
        else:
            yield title, *_words([f"a widget of the kind {widget['type']} is not drawn"])


def document(kept: Kept, name: str) -> str:
    """Return the whole dashboard as one SVG document."""
    parts: list[str] = []
    top = 34
    for title, drawn, height in pictures(kept, name):
        heading = f'<text x="8" y="{top}" font-size="13" font-weight="600">{escaped(title)}</text>'
        parts.append(f'{heading}<g transform="translate(0,{top + 6})">{drawn}</g>')
        top += height + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="{escaped(name)}">'
        f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _graph(axes: Axes, kept: Kept, properties: Mapping[str, Any]) -> tuple[str, int]:
    lines, left = lines_of(properties)
    if not lines:
        return _words([f"{one}: an expression is not drawn" for one in left])
    values = [value for line in lines for _, value in kept.points.get(line, ())]
    low, high = min([0.0, *values]), max([0.0, *values])
    height = max(GRAPH, 16 * (len(lines) + 1))
    bottom = GAP + height
    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{LINE}"/>'
        for y in (GAP, bottom)
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_legend(line, kept.points.get(line, ()), colour, GAP + 12 + 16 * number))
        parts.append(_polyline(axes, kept.points.get(line, ()), colour, height, low, high))
    if values:
        parts.append(_label(LEFT + 3, GAP + 10, _number(high)))
    parts.append(ticks(axes, bottom))
    return "".join(parts), bottom + 18


def _legend(line: Line, points: Sequence[tuple[float, float]], colour: str, y: int) -> str:
    latest = _number(points[-1][1]) if points else "no data"
    said = f"{line.key[0]} {line.key[1]}, {line.statistic} of {line.period_s} s"
    return (
        f'<rect x="8" y="{y - 8}" width="10" height="8" fill="{colour}"/>'
        f'<text x="22" y="{y}" font-size="11">{escaped(line.label)} '
        f'<tspan fill="{SOFT}">{latest}</tspan><title>{escaped(said)}</title></text>'
    )


def _polyline(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    colour: str,
    height: int,
    low: float,
    high: float,
) -> str:
    if not points:
        return ""
    times = np.array([round(at * 1000) for at, _ in points], dtype=np.int64)
    levels = np.array([value for _, value in points], dtype=np.float64)
    drawn = points_of(axes, times, levels, GAP, height, low, high)
    if len(points) == 1:
        x, _, y = drawn.split(" ")[0].partition(",")
        return f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}"/>'
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.1"/>'


def _alarms(axes: Axes, kept: Kept, names: Sequence[str]) -> tuple[str, int]:
    parts: list[str] = []
    top = GAP
    for name in names:
        state, since_ms = "INSUFFICIENT_DATA", axes.start_ms
        # The stage's prefix says nothing here.
        parts.append(_label(8, top + 12, name.split("-", 2)[-1], INK))
        for at_s, following in [*kept.changes.get(name, ()), (axes.end_ms / 1000, "")]:
            x, end = axes.x(since_ms), axes.x(at_s * 1000)
            parts.append(
                f'<rect x="{x:.1f}" y="{top}" width="{max(1.0, end - x):.1f}" '
                f'height="{BAR - 4}" fill="{STATES.get(state, SOFT)}">'
                f"<title>{escaped(name)}: {escaped(state)}</title></rect>"
            )
            state, since_ms = following, round(at_s * 1000)
        top += BAR
    return "".join([*parts, ticks(axes, top)]), top + 18


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _words(lines: Sequence[str]) -> tuple[str, int]:
    parts = [_label(8, GAP + 12 + 16 * number, line) for number, line in enumerate(lines)]
    return "".join(parts), GAP + 16 * max(1, len(lines)) + 4


def _label(x: int, y: int, text: str, colour: str = SOFT) -> str:
    return f'<text x="{x}" y="{y}" font-size="10" fill="{colour}">{escaped(text)}</text>'
