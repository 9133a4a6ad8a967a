"""Pies and donuts of a QuickSight dashboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.quicksight.fields import Row, grouped
from simulator.quicksight.reading import categories, dimension_of, measure_of
from simulator.quicksight.shapes import COLOURS, INK, named, number, short, text
from simulator.report_svg import escaped

HOLES = {"WHOLE": 0.0, "LARGE": 0.4, "MEDIUM": 0.62, "SMALL": 0.8}
"""The hole's share of the radius; the thickness is that of the arc."""
MOST = 20
"""Slices where no limit is given, the rest being one."""


def draw(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return the elements of a pie; rows are those that its filters left."""
    wells = chart["FieldWells"]["PieChartAggregatedFieldWells"]
    measure = measure_of(wells["Values"][0])
    sorting = chart.get("SortConfiguration", {})
    limit = sorting.get("CategoryItemsLimit") or {"ItemsLimit": MOST}
    dimension = dimension_of(wells["Category"][0])
    found = categories(rows, dimension, [measure], sorting.get("CategorySort", []), limit)
    groups = grouped(found.relabelled(rows), [found.plain], [measure])
    values = {group.key[0]: group.values[0] for group in groups}
    slices = [
        (named(one, dimension.granularity), float(values[one]))
        for one in found.labels
        if values.get(one) is not None and values[one] > 0
    ]
    total = math.fsum(value for _, value in slices)
    ring = chart.get("DonutOptions", {}).get("ArcOptions", {}).get("ArcThickness", "MEDIUM")
    has_legend = chart.get("Legend", {}).get("Visibility") != "HIDDEN"
    radius = min(height / 2 - 8, (width * 0.5 if has_legend else width) / 2 - 8)
    middle = (radius + 12 if has_legend else width / 2, height / 2)
    parts, turned = [], 0.0
    for place, (name, value) in enumerate(slices):
        share = value / total
        said = f"{name}: {number(value, measure.format)}, {share:.0%}"
        colour = COLOURS[place % len(COLOURS)]
        parts.append(
            f'<path d="{_arc(middle, radius, radius * HOLES[ring], turned, turned + share)}" '
            f'fill="{colour}" stroke="#fff" stroke-width="1.5" fill-rule="evenodd">'
            f"<title>{escaped(said)}</title></path>"
        )
        turned += share
        y = height / 2 + (place - len(slices) / 2) * 36 + 14
        if has_legend:
            x = 2 * radius + 34
            parts.append(
                f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" rx="2" fill="{colour}"/>'
            )
            parts.append(text(x + 16, y, short(name, 18), colour=INK, size=12))
            amount = f"{number(value, measure.format)} · {share:.0%}"
            parts.append(text(x + 16, y + 14, amount))
    if HOLES[ring] and total:
        x, y = middle
        parts.append(
            text(x, y + 2, number(total, measure.format), anchor="middle", colour=INK, size=19)
        )
        parts.append(text(x, y + 18, "in all", anchor="middle"))
    return "".join(parts)


def _arc(middle: tuple[float, float], outer: float, inner: float, start: float, end: float) -> str:
    """Return the path of a ring's part, in turns from the top; a whole turn has no seam to miss."""
    end = min(end, start + 0.99999)

    def at(radius: float, turn: float) -> str:
        angle = 2 * math.pi * turn
        return (
            f"{middle[0] + radius * math.sin(angle):.2f},{middle[1] - radius * math.cos(angle):.2f}"
        )

    large = int(end - start > 0.5)
    return (
        f"M{at(outer, start)} A{outer:.2f},{outer:.2f} 0 {large} 1 {at(outer, end)} "
        f"L{at(inner, end)} A{inner:.2f},{inner:.2f} 0 {large} 0 {at(inner, start)} Z"
    )
