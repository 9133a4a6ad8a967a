"""Filter groups of a definition: which rows a visual has.

Filters of a group are alternatives, groups all have to hold. `page` asks for the filter of
one visual. Now is when the run ended, by its own clock.
Source: QuickSight API reference, "FilterGroup"; LAST and NOW as its user guide describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from simulator.quicksight.fields import Dimension, Measure, Row, grouped, rank, shifted, truncated
from simulator.quicksight.reading import aggregation_of

Keep = Callable[[Row], bool]


def filtered(
    definition: Mapping[str, Any],
    sheet: str,
    visual: str,
    data_set: str,
    rows: Sequence[Row],
    now: datetime,
) -> list[Row]:
    """Return the rows of a data set that a visual's filter groups leave."""
    kept = list(rows)
    for group in definition.get("FilterGroups", []):
        if group.get("Status", "ENABLED") != "ENABLED" or not _concerns(group, sheet, visual):
            continue
        filters = [next(iter(one.items())) for one in group["Filters"]]
        filters = [
            (kind, body)
            for kind, body in filters
            if body["Column"]["DataSetIdentifier"] == data_set
        ]
        if filters:
            # Which are the top ones is asked of what the groups before have left.
            tests = [_keep(kind, body, kept, now) for kind, body in filters]
            kept = [row for row in kept if any(test(row) for test in tests)]
    return kept


def _concerns(group: Mapping[str, Any], sheet: str, visual: str) -> bool:
    scope = group["ScopeConfiguration"]
    if "SelectedSheets" not in scope:
        return True
    return any(
        one["SheetId"] == sheet
        and (one["Scope"] == "ALL_VISUALS" or visual in one.get("VisualIds", []))
        for one in scope["SelectedSheets"]["SheetVisualScopingConfigurations"]
    )


def _keep(kind: str, body: Mapping[str, Any], rows: Sequence[Row], now: datetime) -> Keep:
    column = body["Column"]["ColumnName"]
    if kind == "TopBottomFilter":
        chosen = _top(body, rows)
        return lambda row: row[column] in chosen
    nulls = body.get("NullOption", "NON_NULLS_ONLY")
    if kind == "CategoryFilter":
        ((_, settings),) = body["Configuration"].items()
        nulls = settings.get("NullOption", nulls)
        wants = _categories(settings)
    elif kind == "NumericEqualityFilter":
        is_equal = body["MatchOperator"] == "EQUALS"
        wanted = body["Value"]
        wants = lambda value: (value == wanted) == is_equal  # noqa: E731
    elif kind == "RelativeDatesFilter":
        wants = _relative(body, now)
    else:
        wants = _between(kind, body)

    def keep(row: Row) -> bool:
        value = row[column]
        if value is None:
            return bool(nulls != "NON_NULLS_ONLY")
        return nulls != "NULLS_ONLY" and wants(value)

    return keep


def _categories(settings: Mapping[str, Any]) -> Callable[[Any], bool]:
    operator = settings["MatchOperator"]
    if settings.get("SelectAllOptions") == "FILTER_ALL_VALUES":
        return lambda value: True
    single = [settings["CategoryValue"]] if "CategoryValue" in settings else []
    listed = [*settings.get("CategoryValues", []), *single]
    # In a list of values to choose from, CONTAINS says that a value is one of them.
    is_whole = "CategoryValues" in settings or operator in ("EQUALS", "DOES_NOT_EQUAL")
    is_wanted = not operator.startswith("DOES_NOT")

    def wants(value: Any) -> bool:
        text = str(value)
        if operator == "STARTS_WITH":
            return text.startswith(tuple(listed))
        if operator == "ENDS_WITH":
            return text.endswith(tuple(listed))
        found = text in listed if is_whole else any(one in text for one in listed)
        return found == is_wanted

    return wants


def _between(kind: str, body: Mapping[str, Any]) -> Callable[[Any], bool]:
    ending = "Value" if kind == "TimeRangeFilter" else ""
    low = body.get(f"RangeMinimum{ending}", {}).get("StaticValue")
    high = body.get(f"RangeMaximum{ending}", {}).get("StaticValue")
    if kind == "TimeRangeFilter":
        low, high = _moment(low), _moment(high)
    with_low, with_high = body.get("IncludeMinimum", False), body.get("IncludeMaximum", False)

    def wants(value: Any) -> bool:
        above = low is None or value > low or (with_low and value == low)
        below = high is None or value < high or (with_high and value == high)
        return bool(above and below)

    return wants


def _moment(given: Any) -> datetime | None:
    """Return a time as rows have it; templates give text, the API a time with its zone."""
    if given is None:
        return None
    at = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def _relative(body: Mapping[str, Any], now: datetime) -> Callable[[Any], bool]:
    unit, kind = body["TimeGranularity"], body["RelativeDateType"]
    begun, count = truncated(now, unit), int(body.get("RelativeDateValue", 1))
    low, high = {
        "PREVIOUS": (shifted(begun, unit, -1), begun),
        "THIS": (begun, shifted(begun, unit, 1)),
        "LAST": (shifted(begun, unit, 1 - count), None),
        "NOW": (begun, None),
        "NEXT": (shifted(begun, unit, 1), shifted(begun, unit, 1 + count)),
    }[kind]
    return lambda value: bool(low <= value and (value < high if high else value <= now))


def _top(body: Mapping[str, Any], rows: Sequence[Row]) -> set[Any]:
    """Return the values of a column that come first by an aggregate of another."""
    (by,) = body["AggregationSortConfigurations"]
    how = aggregation_of(by.get("AggregationFunction", {}), "SUM")
    found = grouped(
        rows,
        [Dimension("", body["Column"]["ColumnName"])],
        [Measure("", by["Column"]["ColumnName"], how)],
    )
    known = [group for group in found if group.values[0] is not None]
    known.sort(key=lambda group: rank(group.values[0]), reverse=by["SortDirection"] == "DESC")
    return {group.key[0] for group in known[: int(body.get("Limit", 10))]}
