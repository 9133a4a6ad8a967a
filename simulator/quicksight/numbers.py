"""Single numbers (KPIs) and tables of a QuickSight dashboard, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.quicksight.fields import Dimension, Measure, Row, grouped, rank
from simulator.quicksight.reading import dimension_of, format_of, measure_of
from simulator.quicksight.shapes import COLOURS, PLAIN, named, number, scale
from simulator.report_svg import escaped

PAGE = 100
"""Rows of a table that says nothing."""


def kpi(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return a number, how it compares, and its way in small.

    With a trend the number is that of the latest period, compared with the one before; with a
    target it is compared with that.
    """
    wells = chart["FieldWells"]
    measure = measure_of(wells["Values"][0])
    options = chart.get("KPIOptions", {})
    trend: list[Any] = []
    value, other, of_what = measure.of(rows), None, ""
    if wells.get("TrendGroups"):
        dimension = dimension_of(wells["TrendGroups"][0])
        groups = [g for g in grouped(rows, [dimension], [measure]) if g.key[0] is not None]
        trend = [group.values[0] for group in groups if group.values[0] is not None]
        value = trend[-1] if trend else None
        other = trend[-2] if len(trend) > 1 else None
        of_what = f"from the {dimension.granularity.lower() or 'one'} before"
    if wells.get("TargetValues"):
        other, of_what = measure_of(wells["TargetValues"][0]).of(rows), "from the target"
    method = options.get("Comparison", {}).get("ComparisonMethod", "PERCENT_DIFFERENCE")
    line = options.get("Sparkline", {"Visibility": "VISIBLE", "Type": "LINE"})
    picture = ""
    if len(trend) > 1 and line.get("Visibility", "VISIBLE") == "VISIBLE":
        picture = _sparkline(trend, width, is_area=line.get("Type") == "AREA")
    compared = _compared(value, other, method, measure)
    said = f'<p class="than">{escaped(f"{compared} {of_what}")}</p>' if compared else ""
    return f'<p class="kpi">{escaped(number(value, measure.format))}</p>{said}{picture}'


def _compared(value: Any, other: Any, method: str, measure: Measure) -> str:
    if value is None or other is None:
        return ""
    if method == "DIFFERENCE":
        return ("+" if value > other else "") + number(value - other, measure.format)
    if not other:
        return ""
    share = value / other if method == "PERCENT" else (value - other) / abs(other)
    return f"{share:.1%}" if method == "PERCENT" else f"{share:+.1%}"


def _sparkline(values: Sequence[float], width: int, *, is_area: bool) -> str:
    tall = 30
    up = scale(values, tall - 2, 2, from_zero=False)
    step = width / (len(values) - 1)
    points = " ".join(f"{step * at:.1f},{up.at(value):.1f}" for at, value in enumerate(values))
    area = f'<polygon points="0,{tall} {points} {width},{tall}" fill="{COLOURS[0]}" opacity=".14"/>'
    return (
        f'<svg class="spark" viewBox="0 0 {width} {tall}" preserveAspectRatio="none">'
        f'{area if is_area else ""}<polyline points="{points}" fill="none" '
        f'stroke="{COLOURS[0]}" stroke-width="1.5"/></svg>'
    )


def table(chart: Mapping[str, Any], rows: Sequence[Row], width: int, height: int) -> str:
    """Return a table, its page, and how many rows there are."""
    wells = chart["FieldWells"]
    sorting = chart.get("SortConfiguration", {})
    heads, body = (
        _aggregated(wells["TableAggregatedFieldWells"], rows)
        if "TableAggregatedFieldWells" in wells
        else _plain(wells["TableUnaggregatedFieldWells"], rows)
    )
    for sort in reversed(sorting.get("RowSort", [])):
        place = [field for field, *_ in heads].index(sort["FieldSort"]["FieldId"])
        is_falling = sort["FieldSort"]["Direction"] == "DESC"
        empty = [row for row in body if row[place] is None]
        body = [row for row in body if row[place] is not None]
        body.sort(key=lambda row, place=place: rank(row[place]), reverse=is_falling)  # type: ignore[misc]
        body += empty
    pages = sorting.get("PaginationConfiguration", {})
    size = int(pages.get("PageSize", PAGE))
    first = size * (int(pages.get("PageNumber", 1)) - 1)
    given = {
        one["FieldId"]: one for one in chart.get("FieldOptions", {}).get("SelectedFieldOptions", [])
    }
    shown = [
        place
        for place, head in enumerate(heads)
        if given.get(head[0], {}).get("Visibility") != "HIDDEN"
    ]
    names = [given.get(heads[at][0], {}).get("CustomLabel", heads[at][1]) for at in shown]
    lines = [
        "<tr>"
        + "".join(f"<td{_side(row[at])}>{escaped(_cell(row[at], heads[at]))}</td>" for at in shown)
        + "</tr>"
        for row in body[first : first + size]
    ]
    sides = [_side(body[0][at]) if body else "" for at in shown]
    head = "".join(
        f"<th{side}>{escaped(name)}</th>" for side, name in zip(sides, names, strict=True)
    )
    last = min(len(body), first + size)
    count = f"{first + 1} to {last} of {len(body):,}" if last < len(body) or first else ""
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        f'<p class="pages">{count}</p>'
    )


Head = tuple[str, str, Any]
"""A column: its field, its name, how it is written."""


def _aggregated(
    wells: Mapping[str, Any], rows: Sequence[Row]
) -> tuple[list[Head], list[tuple[Any, ...]]]:
    dimensions = [dimension_of(one) for one in wells.get("GroupBy", [])]
    measures = [measure_of(one) for one in wells.get("Values", [])]
    heads: list[Head] = [(one.field, one.column, one.granularity) for one in dimensions]
    heads += [(one.field, f"{one.column} ({one.how.lower()})", one.format) for one in measures]
    return heads, [(*g.key, *g.values) for g in grouped(rows, dimensions, measures)]


def _plain(
    wells: Mapping[str, Any], rows: Sequence[Row]
) -> tuple[list[Head], list[tuple[Any, ...]]]:
    fields = wells["Values"]
    columns = [Dimension(one["FieldId"], one["Column"]["ColumnName"]) for one in fields]
    written = [format_of(one.get("FormatConfiguration", {})) for one in fields]
    heads = [(one.field, one.column, how) for one, how in zip(columns, written, strict=True)]
    return heads, [tuple(one.of(row) for one in columns) for row in rows]


def _cell(value: Any, head: Head) -> str:
    written = head[2]
    if isinstance(written, str):
        return named(value, written)
    return number(value, written if isinstance(value, (int, float)) else PLAIN)


def _side(value: Any) -> str:
    return ' class="n"' if isinstance(value, (int, float)) else ""
