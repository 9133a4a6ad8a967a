"""Categories crossed with series: what line charts and bar charts are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.quicksight.fields import Dimension, Measure, NumberFormat, Row, grouped
from simulator.quicksight.reading import Categories, categories, dimension_of, measure_of
from simulator.quicksight.shapes import named


@dataclass(frozen=True)
class Crossed:
    """``values[series][category]``, None where there is none; ``format`` writes them."""

    categories: Categories
    series: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    format: NumberFormat

    @property
    def labels(self) -> list[str]:
        """Return what the categories are called."""
        return [named(one, self.categories.dimension.granularity) for one in self.categories.labels]

    def has_legend(self, chart: Mapping[str, Any]) -> bool:
        """Tell whether a chart names its series: it may say not to, and one alone needs no name."""
        return chart.get("Legend", {}).get("Visibility") != "HIDDEN" and len(self.series) > 1

    @property
    def known(self) -> list[float]:
        """Return all values that there are."""
        return [value for one in self.values for value in one if value is not None]


def crossed(
    wells: Mapping[str, Any],
    sorting: Mapping[str, Any],
    rows: Sequence[Row],
    *,
    limits: tuple[str, str],
) -> Crossed:
    """Return categories and series of a chart; ``limits`` are its names of the two limits.

    A chart with colours has a series for each of their values, of its first measure; without, one
    for each measure.
    """
    category = dimension_of(wells["Category"][0]) if wells.get("Category") else Dimension("", "")
    measures = [measure_of(one) for one in wells["Values"]]
    if not wells.get("Category"):
        rows = [{**row, "": "All"} for row in rows]
    found = categories(
        rows, category, measures, sorting.get("CategorySort", []), sorting.get(limits[0])
    )
    shown = found.relabelled(rows)
    if not wells.get("Colors"):
        values = _of_measures(shown, found, measures)
        names = [_named(one) for one in measures]
        return Crossed(found, tuple(names), values, measures[0].format)
    colour = dimension_of(wells["Colors"][0])
    colours = categories(
        shown, colour, measures[:1], sorting.get("ColorSort", []), sorting.get(limits[1])
    )
    groups = {
        group.key: group.values[0]
        for group in grouped(colours.relabelled(shown), [colours.plain, found.plain], measures[:1])
    }
    table = tuple(
        tuple(groups.get((series, one)) for one in found.labels) for series in colours.labels
    )
    names = [named(one, colour.granularity) for one in colours.labels]
    return Crossed(found, tuple(names), table, measures[0].format)


def _of_measures(
    rows: Sequence[Row], found: Categories, measures: Sequence[Measure]
) -> tuple[tuple[Any, ...], ...]:
    groups = {group.key[0]: group.values for group in grouped(rows, [found.plain], measures)}
    nothing = (None,) * len(measures)
    return tuple(
        tuple(groups.get(one, nothing)[place] for one in found.labels)
        for place in range(len(measures))
    )


def _named(measure: Measure) -> str:
    return f"{measure.column} ({measure.how.replace('_', ' ').lower()})"
