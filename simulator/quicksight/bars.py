"""Bar charts of a QuickSight dashboard: lying or standing, beside or on top of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from simulator.quicksight.fields import NumberFormat, Row
from simulator.quicksight.series import Crossed, crossed
from simulator.quicksight.shapes import (
    COLOURS,
    INK,
    Scale,
    box,
    legend,
    levels,
    marked,
    number,
    rule,
    scale,
    short,
    text,
)

LABELS, RIGHT, TOP, BOTTOM, LEGEND = 84, 14, 6, 22, 112
FILLED = 0.68
"""The share of a category's place that its bars take."""
THICKEST = 26
Bar = tuple[float, float, float, float, str, str, Any]
"""From and to along the values, from and to across, colour, what it says, its value."""


def draw(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return the elements of a bar chart; rows are those that its filters left."""
    found = crossed(
        chart["FieldWells"]["BarChartAggregatedFieldWells"],
        chart.get("SortConfiguration", {}),
        rows,
        limits=("CategoryItemsLimit", "ColorItemsLimit"),
    )
    arrangement = chart.get("BarsArrangement", "CLUSTERED")
    if arrangement == "STACKED_PERCENT":
        found = _shares(found)
    is_stacked = arrangement != "CLUSTERED"
    has_legend = found.has_legend(chart)
    right = width - (LEGEND if has_legend else RIGHT)
    is_lying = chart.get("Orientation", "VERTICAL") == "HORIZONTAL"
    if is_lying:
        # As far as the labels of values reach beyond the longest bar.
        last = right - (6 if is_stacked else 34)
        along = _scale(found, LABELS, last, is_stacked=is_stacked)
        across = (float(TOP), float(height - BOTTOM))
    else:
        along = _scale(found, height - BOTTOM - 4, TOP + 12, is_stacked=is_stacked)
        across = (46.0, float(right))
    parts = [_frame(found, along, across, is_lying=is_lying, height=height)]
    has_values = chart.get("DataLabels", {}).get("Visibility") == "VISIBLE"
    for start, end, near, far, colour, said, value in _bars(
        found, along, across, is_stacked=is_stacked
    ):
        low, size = min(start, end), abs(end - start)
        if is_lying:
            parts.append(box(low, near, size, far - near, colour, said, round_by=2))
        else:
            parts.append(box(near, low, far - near, size, colour, said, round_by=2))
        if has_values and not is_stacked:
            words = number(value, found.format)
            x, y = (end + 5, (near + far) / 2 + 4) if is_lying else ((near + far) / 2, end - 4)
            anchor = "start" if is_lying else "middle"
            parts.append(text(x, y, words, anchor=anchor, colour=INK))
    if has_legend:
        parts.append(legend(right + 6, TOP, found.series, height))
    return "".join(parts)


def _shares(found: Crossed) -> Crossed:
    totals = [sum(value or 0.0 for value in column) for column in zip(*found.values, strict=True)]
    values = tuple(
        tuple(
            None if value is None or not total else value / total
            for value, total in zip(one, totals, strict=True)
        )
        for one in found.values
    )
    return replace(found, values=values, format=NumberFormat("", "%", None, 100.0))


def _scale(found: Crossed, start: float, end: float, *, is_stacked: bool) -> Scale:
    values = found.known
    if is_stacked:
        columns = list(zip(*found.values, strict=True))
        values = [sum(max(0.0, value or 0.0) for value in one) for one in columns]
        values += [sum(min(0.0, value or 0.0) for value in one) for one in columns]
    return scale(values, start, end, from_zero=True)


def _frame(
    found: Crossed, along: Scale, across: tuple[float, float], *, is_lying: bool, height: int
) -> str:
    parts = []
    near, far = across
    if is_lying:
        for at, words in marked(along, found.format):
            parts.append(rule(at, near, at, far))
            parts.append(text(at, height - 6, words, anchor="middle"))
    else:
        parts.append(levels(along, found.format, near, far))
    step = (far - near) / max(1, len(found.labels))
    every = 1 if is_lying else max(1, round(46 / step + 0.49))
    for place, label in enumerate(found.labels):
        middle = near + step * (place + 0.5)
        if is_lying:
            parts.append(text(LABELS - 8, middle + 4, short(label, 13), anchor="end", colour=INK))
        elif place % every == 0:
            words = short(label, max(4, int(step * every / 6)))
            parts.append(text(middle, height - 6, words, anchor="middle"))
    return "".join(parts)


def _bars(
    found: Crossed, along: Scale, across: tuple[float, float], *, is_stacked: bool
) -> list[Bar]:
    bars: list[Bar] = []
    near, far = across
    step = (far - near) / max(1, len(found.labels))
    thick = min(step * FILLED, THICKEST * (1 if is_stacked else len(found.series)))
    for place, label in enumerate(found.labels):
        begin = near + step * (place + 0.5) - thick / 2
        up = down = 0.0
        for number_of, series in enumerate(found.series):
            value = found.values[number_of][place]
            if value is None:
                continue
            first, last = begin, begin + thick
            base = 0.0
            if is_stacked:
                base = up if value >= 0 else down
                up, down = (up + value, down) if value >= 0 else (up, down + value)
            else:
                first = begin + thick * number_of / len(found.series)
                last = begin + thick * (number_of + 1) / len(found.series)
            said = f"{label}, {series}: {number(value, found.format)}"
            colour = COLOURS[number_of % len(COLOURS)]
            bars.append((along.at(base), along.at(base + value), first, last, colour, said, value))
    return bars
