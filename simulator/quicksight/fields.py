"""Fields of a visual, and what QuickSight makes of the rows behind them: groups and aggregates.

`reading` reads fields of a definition; rows are mappings of column names to values, times without
a zone (UTC). Nulls count in no aggregate, and are a group of their own as a dimension.
Source: QuickSight user guide, "Aggregate functions" and the API's TimeGranularity.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

Row = Mapping[str, Any]


@dataclass(frozen=True)
class NumberFormat:
    """How a number is written; without ``decimals`` as short as is exact enough."""

    prefix: str = ""
    suffix: str = ""
    decimals: int | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Dimension:
    """What rows are grouped by; ``granularity`` cuts a time off."""

    field: str
    column: str
    granularity: str = ""

    def of(self, row: Row) -> Any:
        """Return the group of a row."""
        value = row[self.column]
        return truncated(value, self.granularity) if self.granularity and value else value


@dataclass(frozen=True)
class Measure:
    """What is computed of a group's rows; ``how`` as QuickSight calls it, or ``P95``."""

    field: str
    column: str
    how: str
    format: NumberFormat = NumberFormat()

    def of(self, rows: Sequence[Row]) -> Any:
        """Return the aggregate, None where there is nothing to aggregate."""
        return aggregate(self.how, [row[self.column] for row in rows])


class Group(NamedTuple):
    """The rows of one combination of dimensions, aggregated."""

    key: tuple[Any, ...]
    values: tuple[Any, ...]


def truncated(moment: datetime, granularity: str) -> datetime:
    """Return when the period began; a week begins on Sunday, as in QuickSight."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if granularity == "WEEK":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    if granularity == "QUARTER":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if granularity in ("YEAR", "MONTH"):
        return day.replace(month=1 if granularity == "YEAR" else day.month, day=1)
    if granularity == "DAY":
        return day
    if granularity == "MILLISECOND":
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    second = moment.second if granularity == "SECOND" else 0
    minute = 0 if granularity == "HOUR" else moment.minute
    return moment.replace(minute=minute, second=second, microsecond=0)


def shifted(moment: datetime, granularity: str, periods: int) -> datetime:
    """Return the beginning of the period so many periods later; ``moment`` begins one."""
    months = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}
    if granularity in months:
        count = moment.year * 12 + moment.month - 1 + periods * months[granularity]
        return moment.replace(year=count // 12, month=count % 12 + 1)
    lengths = {
        "WEEK": timedelta(weeks=1),
        "DAY": timedelta(days=1),
        "HOUR": timedelta(hours=1),
        "MINUTE": timedelta(minutes=1),
        "SECOND": timedelta(seconds=1),
        "MILLISECOND": timedelta(milliseconds=1),
    }
    return moment + periods * lengths[granularity]


_OF_NUMBERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVERAGE": statistics.fmean,
    "MIN": min,
    "MAX": max,
    "MEDIAN": statistics.median,
    "VARP": statistics.pvariance,
    "STDEVP": statistics.pstdev,
    "VAR": statistics.variance,
    "STDEV": statistics.stdev,
}


def aggregate(how: str, values: Sequence[Any]) -> Any:
    """Return one value of many; of none, or of one where a sample needs two, None."""
    given = [value for value in values if value is not None]
    if how == "COUNT":
        return len(given)
    if how == "DISTINCT_COUNT":
        return len(set(given))
    if len(given) < (2 if how in ("VAR", "STDEV") else 1):
        return None
    if how.startswith("P") and how[1:].replace(".", "").isdigit():
        return _percentile(sorted(given), float(how[1:]))
    return _OF_NUMBERS[how](given)


def _percentile(values: Sequence[float], percent: float) -> float:
    """Return what lies at a share of the way, between two values in proportion."""
    place = (len(values) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (values[high] - values[low]) * (place - low))


def grouped(
    rows: Sequence[Row], dimensions: Sequence[Dimension], measures: Sequence[Measure]
) -> list[Group]:
    """Return the groups in the order of their keys; one without a dimension."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(one.of(row) for one in dimensions), []).append(row)
    if not dimensions and not found:
        found[()] = []
    return [
        Group(key, tuple(measure.of(found[key]) for measure in measures))
        for key in sorted(found, key=lambda key: [rank(each) for each in key])
    ]


def rank(value: Any) -> tuple[bool, str, Any]:
    """Return what sorts values, those of other types apart and nulls last."""
    kind = "number" if isinstance(value, (int, float)) else type(value).__name__
    return value is None, kind, 0 if value is None else value
