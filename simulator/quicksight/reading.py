"""Fields, sorting and limits of a visual, read from its definition; `drawn.check` came before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.quicksight.fields import Dimension, Measure, NumberFormat, Row, grouped, rank

OTHER = "Other"
"""What the categories beyond a limit are called together."""


def dimension_of(given: Mapping[str, Any]) -> Dimension:
    """Return a dimension; a time is cut off at the day where nothing else is said."""
    ((kind, body),) = given.items()
    granularity = body.get("DateGranularity", "DAY") if kind == "DateDimensionField" else ""
    return Dimension(body["FieldId"], body["Column"]["ColumnName"], granularity)


def measure_of(given: Mapping[str, Any]) -> Measure:
    """Return a measure; a number is summed, anything else counted where nothing is said."""
    ((kind, body),) = given.items()
    column = body["Column"]["ColumnName"]
    if kind == "NumericalMeasureField":
        how = aggregation_of(
            {"NumericalAggregationFunction": body.get("AggregationFunction", {})}, "SUM"
        )
        return Measure(body["FieldId"], column, how, format_of(body.get("FormatConfiguration", {})))
    return Measure(body["FieldId"], column, body.get("AggregationFunction", "COUNT"))


def aggregation_of(given: Mapping[str, Any], default: str) -> str:
    """Return an aggregation's name; a percentile as ``P95``."""
    for name, inner in given.items():
        if name != "NumericalAggregationFunction":
            return str(inner)
        if "PercentileAggregation" in inner:
            return f"P{inner['PercentileAggregation'].get('PercentileValue', 50):g}"
        return str(inner.get("SimpleNumericalAggregation", default))
    return default


def format_of(given: Mapping[str, Any]) -> NumberFormat:
    """Return how a number is written."""
    for kind, body in given.get("FormatConfiguration", {}).items():
        decimals = body.get("DecimalPlacesConfiguration", {}).get("DecimalPlaces")
        prefix, suffix = body.get("Prefix", ""), body.get("Suffix", "")
        if kind.startswith("Percentage"):
            return NumberFormat(prefix, f"%{suffix}", decimals, 100.0)
        if kind.startswith("Currency"):
            symbol = body.get("Symbol", "")
            prefix = {"USD": "$", "EUR": "€", "GBP": "£"}.get(symbol, f"{symbol} ") + prefix
        return NumberFormat(prefix, suffix, decimals)
    return NumberFormat()


def data_set_of(wells: Any) -> str:
    """Return the one data set that the fields of a visual are of, empty without a field."""
    if isinstance(wells, Mapping):
        if "DataSetIdentifier" in wells:
            return str(wells["DataSetIdentifier"])
        wells = list(wells.values())
    if isinstance(wells, Sequence) and not isinstance(wells, str):
        return next(filter(None, map(data_set_of, wells)), "")
    return ""


@dataclass(frozen=True)
class Categories:
    """A dimension with the order and the number of its values in one visual."""

    dimension: Dimension
    values: tuple[Any, ...]
    has_other: bool = False

    def of(self, row: Row) -> Any:
        """Return the category of a row, None when it is not shown."""
        value = self.dimension.of(row)
        return value if value in self.values else OTHER if self.has_other else None

    def relabelled(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that are shown, their column as it is called in the visual."""
        column = self.dimension.column
        return [{**row, column: label} for row in rows if (label := self.of(row)) is not None]

    @property
    def labels(self) -> tuple[Any, ...]:
        """Return the values in their order, and what the rest is called."""
        return (*self.values, OTHER) if self.has_other else self.values

    @property
    def plain(self) -> Dimension:
        """Return the dimension of relabelled rows, whose times are cut off already."""
        return Dimension(self.dimension.field, self.dimension.column)


def categories(
    rows: Sequence[Row],
    dimension: Dimension,
    measures: Sequence[Measure],
    sorts: Sequence[Mapping[str, Any]] = (),
    limit: Mapping[str, Any] | None = None,
) -> Categories:
    """Return the categories as they are sorted and limited.

    Without a sort a time goes forward and anything else begins with the largest value, as a new
    visual of QuickSight does.
    """
    limit = limit or {}
    found = [group for group in grouped(rows, [dimension], measures) if group.key[0] is not None]
    if not sorts and not dimension.granularity and measures:
        sorts = [{"FieldSort": {"FieldId": measures[0].field, "Direction": "DESC"}}]
    for sort in reversed(list(sorts)):
        ((kind, body),) = sort.items()
        if kind == "ColumnSort":
            how = aggregation_of(body.get("AggregationFunction", {}), "SUM")
            by = Measure("", body["SortBy"]["ColumnName"], how)
            extra = {group.key: group.values[0] for group in grouped(rows, [dimension], [by])}
            keys = {group.key: extra[group.key] for group in found}
        elif body["FieldId"] == dimension.field:
            keys = {group.key: group.key[0] for group in found}
        else:
            place = [one.field for one in measures].index(body["FieldId"])
            keys = {group.key: group.values[place] for group in found}
        nothing = [group for group in found if keys[group.key] is None]
        something = [group for group in found if keys[group.key] is not None]
        something.sort(
            key=lambda group, keys=keys: rank(keys[group.key]),  # type: ignore[misc]
            reverse=body["Direction"] == "DESC",
        )
        found = [*something, *nothing]
    most = int(limit.get("ItemsLimit", len(found)))
    has_other = len(found) > most and limit.get("OtherCategories", "INCLUDE") == "INCLUDE"
    return Categories(dimension, tuple(group.key[0] for group in found[:most]), has_other)
