"""Line charts and area charts of a QuickSight dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from simulator.quicksight.fields import Row
from simulator.quicksight.series import Crossed, crossed
from simulator.quicksight.shapes import (
    COLOURS,
    LINE,
    SOFT,
    Scale,
    legend,
    levels,
    moment,
    named,
    number,
    rule,
    scale,
    short,
    text,
)
from simulator.report_svg import escaped

LEFT, RIGHT, TOP, BOTTOM, LEGEND = 46, 12, 8, 22, 128
POINTS = 700
"""Points of a line: more are thinned to the lowest and the highest of each stretch."""


def draw(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return the elements of a line chart; rows are those that its filters left."""
    found = crossed(
        chart["FieldWells"]["LineChartAggregatedFieldWells"],
        chart.get("SortConfiguration", {}),
        rows,
        limits=("CategoryItemsLimitConfiguration", "ColorItemsLimitConfiguration"),
    )
    kind = chart.get("Type", "LINE")
    if kind == "STACKED_AREA":
        found = _stacked(found)
    has_legend = found.has_legend(chart)
    right = width - RIGHT - (LEGEND if has_legend else 0)
    lines = [
        one for one in chart.get("ReferenceLines", []) if one.get("Status", "ENABLED") == "ENABLED"
    ]
    heights = [line["DataConfiguration"]["StaticConfiguration"]["Value"] for line in lines]
    up = _values_scale(chart, [*found.known, *heights], height, is_area=kind != "LINE")
    xs = _places(found, right)
    parts = [_frame(found, up, xs, right, height)]
    for place in reversed(range(len(found.series))):
        parts.append(_line(found, place, xs, up, is_area=kind != "LINE"))
    for line, level in zip(lines, heights, strict=True):
        label = line.get("LabelConfiguration", {}).get("CustomLabelConfiguration", {})
        parts.append(rule(LEFT, up.at(level), right, up.at(level), colour=SOFT, dash="4 3"))
        parts.append(text(right - 4, up.at(level) - 4, label.get("CustomLabel", ""), anchor="end"))
    if has_legend:
        parts.append(legend(right + 14, TOP, found.series, height))
    return "".join(parts)


def _values_scale(
    chart: Mapping[str, Any], values: Sequence[float], height: int, *, is_area: bool
) -> Scale:
    options = chart.get("PrimaryYAxisDisplayOptions", {}).get("AxisOptions", {})
    given = options.get("DataOptions", {}).get("NumericAxisOptions", {}).get("Range", {})
    ends = given.get("MinMax", {})
    fitted = scale(values, height - BOTTOM, TOP, from_zero=is_area)
    return Scale(
        float(ends.get("Minimum", fitted.low)),
        float(ends.get("Maximum", fitted.high)),
        fitted.start,
        fitted.end,
    )


def _places(found: Crossed, right: float) -> list[float]:
    """Return the pixel column of each category; times keep their distances."""
    labels = found.categories.labels
    if all(isinstance(one, datetime) for one in labels) and len(labels) > 1:
        seconds = [(one - min(labels)).total_seconds() for one in labels]
        along = Scale(min(seconds), max(seconds), LEFT, right)
        return [along.at(each) for each in seconds]
    step = (right - LEFT) / max(1, len(labels))
    return [LEFT + step * (place + 0.5) for place in range(len(labels))]


def _frame(found: Crossed, up: Scale, xs: Sequence[float], right: float, height: int) -> str:
    parts = [levels(up, found.format, LEFT, right)]
    labels, granularity = found.categories.labels, found.categories.dimension.granularity
    span_s = 0.0
    if labels and all(isinstance(one, datetime) for one in labels):
        span_s = abs((labels[-1] - labels[0]).total_seconds())
    last = -1e9
    for x, label in zip(xs, labels, strict=True):
        if x - last < 74:
            continue
        words = named(label, granularity)
        if isinstance(label, datetime) and span_s:
            # Over days the day says more, within a day the clock.
            words = moment(label, "DAY" if span_s > 3 * 86_400 else granularity)
        anchor = "start" if x < LEFT + 20 else "end" if x > right - 20 else "middle"
        parts.append(text(x, height - 6, short(words, 14), anchor=anchor))
        parts.append(rule(x, height - BOTTOM, x, height - BOTTOM + 4, colour=LINE))
        last = x
    return "".join(parts)


def _line(found: Crossed, place: int, xs: Sequence[float], up: Scale, *, is_area: bool) -> str:
    colour = COLOURS[place % len(COLOURS)]
    points = [
        (x, up.at(value))
        for x, value in zip(xs, found.values[place], strict=True)
        if value is not None
    ]
    if not points:
        return ""
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned(points))
    latest = next(v for v in reversed(found.values[place]) if v is not None)
    said = f"<title>{escaped(found.series[place])}: {number(latest, found.format)}</title>"
    if len(points) == 1:
        (x, y) = points[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">{said}</circle>'
    area = ""
    if is_area:
        base = up.at(max(0.0, up.low))
        ends = f"{points[-1][0]:.1f},{base:.1f} {points[0][0]:.1f},{base:.1f}"
        area = f'<polygon points="{drawn} {ends}" fill="{colour}" opacity=".25"/>'
    return (
        f'{area}<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.6" '
        f'stroke-linejoin="round">{said}</polyline>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lowest and the highest point of each stretch, so that no peak is lost."""
    if len(points) <= POINTS:
        return list(points)
    size = -(-2 * len(points) // POINTS)
    kept = []
    for first in range(0, len(points), size):
        part = points[first : first + size]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept


def _stacked(found: Crossed) -> Crossed:
    """Return series on top of each other."""
    columns = [
        list(accumulate(value or 0.0 for value in column))
        for column in zip(*found.values, strict=True)
    ]
    values = tuple(zip(*columns, strict=True)) if columns else found.values
    return Crossed(found.categories, found.series, values, found.format)
