"""Heat maps of a QuickSight dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from simulator.quicksight.fields import Row, grouped
from simulator.quicksight.reading import categories, dimension_of, measure_of
from simulator.quicksight.shapes import INK, box, mixed, moment, named, number, short, text

LEFT, RIGHT, TOP, BOTTOM = 78, 62, 4, 22
DEFAULT = ({"Color": "#E8F1FA"}, {"Color": "#12467B"})
NOTHING = "#f3f5f8"


def draw(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return the elements of a heat map; rows are those that its filters left."""
    wells = chart["FieldWells"]["HeatMapAggregatedFieldWells"]
    sorting = chart.get("SortConfiguration", {})
    measure = measure_of(wells["Values"][0])
    down, along = (
        categories(
            rows,
            dimension_of(wells[name][0]),
            [measure],
            sorting.get(f"HeatMap{one}Sort", []),
            sorting.get(f"HeatMap{one}ItemsLimitConfiguration"),
        )
        for name, one in (("Rows", "Row"), ("Columns", "Column"))
    )
    shown = along.relabelled(down.relabelled(rows))
    cells = {
        group.key: group.values[0] for group in grouped(shown, [down.plain, along.plain], [measure])
    }
    known = [value for value in cells.values() if value is not None]
    colours = _Colours(chart.get("ColorScale", {}), known)
    wide = (width - LEFT - RIGHT) / max(1, len(along.labels))
    high = (height - TOP - BOTTOM) / max(1, len(down.labels))
    parts = []
    for row, one in enumerate(down.labels):
        name = named(one, down.dimension.granularity)
        if high >= 10 or row % (int(11 / high) + 1) == 0:
            middle = TOP + high * (row + 0.5) + 4
            parts.append(text(LEFT - 8, middle, short(name, 12), anchor="end", colour=INK))
        for column, other in enumerate(along.labels):
            value = cells.get((one, other))
            where = named(other, along.dimension.granularity)
            parts.append(
                box(
                    *(LEFT + wide * column, TOP + high * row),
                    *(wide - (1 if wide > 4 else 0), high - (1 if high > 4 else 0)),
                    colours.of(value),
                    f"{name}, {where}: {number(value, measure.format)}",
                )
            )
    parts.append(_below(along.labels, along.dimension.granularity, wide, height))
    if chart.get("Legend", {}).get("Visibility") != "HIDDEN" and known:
        parts.append(_key(colours, measure.format, width, height))
    return "".join(parts)


def _below(labels: Sequence[Any], granularity: str, wide: float, height: int) -> str:
    parts, last = [], -1e9
    for column, label in enumerate(labels):
        x = LEFT + wide * (column + 0.5)
        if x - last < 58:
            continue
        is_time = isinstance(label, datetime)
        words = moment(label, granularity) if is_time else named(label, granularity)
        parts.append(text(x, height - 6, short(words, 9), anchor="middle"))
        last = x
    return "".join(parts)


class _Colours:
    """Colours of values, between those of the scale or, discrete, the nearest below."""

    def __init__(self, given: Mapping[str, Any], values: Sequence[float]) -> None:
        low, high = min(values, default=0.0), max(values, default=1.0)
        colours = given.get("Colors") or DEFAULT
        steps = max(1, len(colours) - 1)
        self.stops = [
            (float(one.get("DataValue", low + (high - low) * place / steps)), one["Color"])
            for place, one in enumerate(colours)
        ]
        self._nothing = given.get("NullValueColor", {}).get("Color", NOTHING)
        self._is_discrete = given.get("ColorFillType") == "DISCRETE"

    def of(self, value: float | None) -> str:
        """Return the colour of a value."""
        if value is None:
            return str(self._nothing)
        below = [stop for stop in self.stops if stop[0] <= value] or self.stops[:1]
        above = [stop for stop in self.stops if stop[0] > value] or self.stops[-1:]
        (low, first), (high, second) = below[-1], above[0]
        if self._is_discrete or high <= low:
            return str(first)
        return mixed(first, second, max(0.0, (value - low) / (high - low)))


def _key(colours: _Colours, written: Any, width: int, height: int) -> str:
    """Return the scale of colours, the highest value on top."""
    tall, x = min(140, height - TOP - BOTTOM - 10), width - RIGHT + 14
    low, high = colours.stops[0][0], colours.stops[-1][0]
    steps = 40
    parts = []
    for step in range(steps):
        value = high - (high - low) * step / (steps - 1)
        y = TOP + 6 + tall * step / steps
        parts.append(
            f'<rect x="{x}" y="{y:.1f}" width="10" height="{tall / steps + 0.5:.1f}" '
            f'fill="{colours.of(value)}"/>'
        )
    for value, _ in colours.stops:
        share = (high - value) / (high - low or 1.0)
        parts.append(text(x + 14, TOP + 10 + tall * share, number(value, written)))
    return "".join(parts)
