"""CloudWatch metrics: what was put, by whom ever, at the time that it says it happened.

Services record theirs through `record`; functions through PutMetricData or embedded metric
format. Values are kept as statistic sets per minute and unit, which is what standard-resolution
metrics keep, with how often each value was seen. Alarms (`alarms.py`) read them with `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.extended_statistics import extended_statistic
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

RESOLUTION_S = 60
STATISTICS = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")

MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]

MAX_METRICS, MAX_VALUES, MAX_DIMENSIONS = 1_000, 150, 30
"""Of one PutMetricData request, of one datum, of one metric (API reference)."""
OLDEST, NEWEST = timedelta(weeks=2), timedelta(hours=2)
"""How far before and after now the time of a datum may be (API reference of MetricDatum)."""
MAX_DATAPOINTS = 1_440
_LIST_PAGE = 500


@dataclass(slots=True)
class StatisticSet:
    """Sum, count, minimum and maximum of the values of one minute."""

    total: float = 0.0
    count: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    counts: dict[float, float] | None = None
    """How often each value was seen; ``None`` while there is only one."""
    is_known: bool = True
    """False once a set of unknown values came in: percentiles cannot be told then."""

    def add(self, value: float, count: float = 1.0) -> None:
        """Take in a value that was seen ``count`` times."""
        if self.counts is not None or (self.count and value != self.minimum):
            self._tally(value, count)
        self.total += value * count
        self.count += count
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)

    def merge(self, other: StatisticSet) -> None:
        """Take in another set."""
        self.is_known = self.is_known and other.is_known
        if self.is_known:
            for value, count in other.weighted():
                self.add(value, count)
            return
        self.counts = None
        self.total += other.total
        self.count += other.count
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def _tally(self, value: float, count: float) -> None:
        """Count a value beside others, before it is part of the other members."""
        if self.counts is None:
            self.counts = {self.minimum: self.count}
        self.counts[value] = self.counts.get(value, 0.0) + count

    def weighted(self) -> list[tuple[float, float]]:
        """Return the values in rising order with their counts."""
        if self.counts is not None:
            return sorted(self.counts.items())
        return [(self.minimum, self.count)] if self.count else []

    def value(self, statistic: str) -> float | None:
        """Return one of STATISTICS, or an extended one; ``None`` where that cannot be told."""
        if statistic not in STATISTICS:
            return extended_statistic(statistic)(self.weighted()) if self.is_known else None
        if statistic == "Sum":
            return self.total
        if statistic == "Average":
            return self.total / self.count
        if statistic == "SampleCount":
            return self.count
        return self.minimum if statistic == "Minimum" else self.maximum


def check_statistic(name: str) -> None:
    """Raise InvalidParameterValue for a name that is no statistic."""
    if name not in STATISTICS:
        extended_statistic(name)


def metric_key(namespace: str, name: str, dimensions: Mapping[str, str]) -> MetricKey:
    """Return the identity of a metric; the order of dimensions does not matter."""
    if len(dimensions) < 2:
        return namespace, name, tuple(dimensions.items())
    return namespace, name, tuple(sorted(dimensions.items()))


class Metrics:
    """The account's metrics, on the run's clock."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._data: dict[MetricKey, dict[str, dict[int, StatisticSet]]] = {}
        self._newest: dict[MetricKey, int] = {}
        """The newest minute of each metric that has a value."""
        self.on_values: list[Callable[[MetricKey, str, float, StatisticSet], None]] = []
        """Called with the metric, the unit, seconds since 1970 and what was added."""

    def operations(self) -> dict[str, Operation]:
        """Return the operations on metric data."""
        return {
            "PutMetricData": Operation(self._put),
            "GetMetricStatistics": Operation(self._get_statistics),
            "ListMetrics": Operation(self._list),
        }

    def record(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        unit: str = "None",
        at_s: float | None = None,
    ) -> None:
        """Add one value; ``at_s`` is seconds since 1970 (default: now on the run's clock)."""
        at_s = self._context.engine.epoch_s() if at_s is None else at_s
        key = metric_key(namespace, name, dimensions)
        self._set_of(key, unit, at_s).add(float(value))
        if self.on_values:
            added = StatisticSet()
            added.add(float(value))
            self._tell(key, unit, at_s, added)

    def newest(self, key: MetricKey) -> int:
        """Return the newest minute since 1970 of which a metric has a value; -1 without any."""
        return self._newest.get(key, -1)

    def known(self) -> Iterable[MetricKey]:
        """Return every metric that has data."""
        return self._data.keys()

    def _tell(self, key: MetricKey, unit: str, at_s: float, added: StatisticSet) -> None:
        for listener in self.on_values:
            listener(key, unit, at_s, added)

    def _set_of(self, key: MetricKey, unit: str, at_s: float) -> StatisticSet:
        sets = self._data.setdefault(key, {}).setdefault(unit, {})
        minute = int(at_s // RESOLUTION_S)
        found = sets.get(minute)
        if found is None:
            found = sets[minute] = StatisticSet()
            self._newest[key] = max(minute, self._newest.get(key, minute))
        return found

    def statistics(
        self,
        key: MetricKey,
        statistic: str,
        start_s: float,
        period_s: int,
        periods: int,
        unit: str | None = None,
    ) -> list[float | None]:
        """Return one value per period from ``start_s`` on; ``None`` where there is no data.

        With ``unit`` only values that came with that unit count.
        """
        units = self._data.get(key, {})
        chosen = list(units.values()) if unit is None else [units.get(unit, {})]
        values: list[float | None] = []
        per_period = period_s // RESOLUTION_S
        first = int(start_s // RESOLUTION_S)
        if per_period == 1 and len(chosen) == 1:
            # Alarms ask every minute, mostly so.
            of_minutes = map(chosen[0].get, range(first, first + periods))
            return [each.value(statistic) if each and each.count else None for each in of_minutes]
        for number in range(periods):
            minutes = range(first + number * per_period, first + (number + 1) * per_period)
            found = [sets[minute] for minute in minutes for sets in chosen if minute in sets]
            merged = found[0] if len(found) == 1 else StatisticSet()
            if len(found) > 1:
                for each in found:
                    merged.merge(each)
            values.append(merged.value(statistic) if merged.count else None)
        return values

    def points(
        self, key: MetricKey, statistic: str, period_s: int
    ) -> Iterator[tuple[float, float]]:
        """Yield (start in seconds since 1970, value) of every period that has data, in order."""
        per_period = max(1, period_s // RESOLUTION_S)
        periods: dict[int, list[StatisticSet]] = {}
        for sets in self._data.get(key, {}).values():
            for minute, found in sets.items():
                periods.setdefault(minute // per_period, []).append(found)
        for period in sorted(periods):
            merged, *others = periods[period]
            if others:
                first, merged = merged, StatisticSet()
                for each in (first, *others):
                    merged.merge(each)
            value = merged.value(statistic)
            if value is not None:
                yield float(period * per_period * RESOLUTION_S), value

    # -- writing

    def _put(self, call: Call) -> Answer:
        if "EntityMetricData" in call.params:
            raise NotSupportedByTwin("EntityMetricData in PutMetricData")
        namespace, now = call.params["Namespace"], self._context.engine.now()
        data = call.params.get("MetricData", [])
        if len(data) > MAX_METRICS:
            raise _invalid(
                f"The collection MetricData must not have a size greater than {MAX_METRICS}."
            )
        # All are checked before the first is kept: a request is taken or refused as a whole.
        checked = [_checked(d, f"MetricData.member.{n}", now) for n, d in enumerate(data, 1)]
        for datum, values in zip(data, checked, strict=True):
            dimensions = {d["Name"]: d["Value"] for d in datum.get("Dimensions", [])}
            key = metric_key(namespace, datum["MetricName"], dimensions)
            at_s = datum.get("Timestamp", now).timestamp()
            unit = datum.get("Unit", "None")
            self._set_of(key, unit, at_s).merge(values)
            self._tell(key, unit, at_s, values)
        return {}

    # -- reading

    def _get_statistics(self, call: Call) -> Answer:
        params = call.params
        if not params.get("Statistics") and not params.get("ExtendedStatistics"):
            raise AwsError(
                "MissingParameter", "Must specify either Statistics or ExtendedStatistics."
            )
        for name in params.get("ExtendedStatistics", []):
            check_statistic(name)
        period_s = params["Period"]
        if period_s % RESOLUTION_S:
            raise NotSupportedByTwin("a metric period below one minute")
        # "Round down to the nearest whole minute": periods are counted from there.
        start_s = params["StartTime"].timestamp() // RESOLUTION_S * RESOLUTION_S
        if params["EndTime"] <= params["StartTime"]:
            raise AwsError(
                "InvalidParameterCombination",
                "The parameter StartTime must be less than the parameter EndTime.",
            )
        periods = math.ceil((params["EndTime"].timestamp() - start_s) / period_s)
        if periods > MAX_DATAPOINTS:
            raise AwsError(
                "InvalidParameterCombination",
                f"You have requested up to {periods} datapoints, which exceeds the limit of "
                f"{MAX_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, "
                "or decreasing the time range.",
            )
        points = self._points(params, start_s, period_s, periods)
        return {"Label": params["MetricName"], "Datapoints": points}

    def _points(
        self, params: Params, start_s: float, period_s: int, periods: int
    ) -> list[dict[str, Any]]:
        """Return the periods with data; values of different units are never put together."""
        dimensions = {d["Name"]: d["Value"] for d in params.get("Dimensions", [])}
        key = metric_key(params["Namespace"], params["MetricName"], dimensions)
        wanted = params.get("Unit")
        points: list[dict[str, Any]] = []
        for unit in sorted(self._data.get(key, {})):
            if wanted not in (None, unit):
                continue
            names = ["SampleCount", *params.get("Statistics", [])]
            extended = params.get("ExtendedStatistics", [])
            columns = {
                name: self.statistics(key, name, start_s, period_s, periods, unit)
                for name in (*names, *extended)
            }
            for number in range(periods):
                if columns["SampleCount"][number] is None:
                    continue
                row: dict[str, Any] = {name: columns[name][number] for name in names[1:]}
                told = {name: columns[name][number] for name in extended}
                if told:
                    row["ExtendedStatistics"] = {k: v for k, v in told.items() if v is not None}
                at = datetime.fromtimestamp(start_s + number * period_s, UTC)
                points.append({"Timestamp": at, "Unit": unit, **row})
        return points

    def _list(self, call: Call) -> Answer:
        params = call.params
        for name in ("RecentlyActive", "OwningAccount"):
            if name in params:
                raise NotSupportedByTwin(f"{name} of ListMetrics")
        wanted = {name: params.get(name) for name in ("Namespace", "MetricName")}
        filters = params.get("Dimensions", [])
        found = [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions],
            }
            for namespace, name, dimensions in sorted(self._data)
            if wanted["Namespace"] in (None, namespace)
            and wanted["MetricName"] in (None, name)
            and all(_has(dict(dimensions), one) for one in filters)
        ]
        shown, token = page(found, _LIST_PAGE, params.get("NextToken"), "InvalidParameterValue")
        return {"Metrics": shown, **({"NextToken": token} if token else {})}


def _has(dimensions: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether a metric has a dimension, with the value if the filter names one."""
    found = dimensions.get(wanted["Name"])
    return found is not None and wanted.get("Value") in (None, found)


def _checked(datum: dict[str, Any], where: str, now: datetime) -> StatisticSet:
    """Return a datum's values; raise what PutMetricData answers for one that it refuses.

    The texts about exclusive and unequal members are recorded, the others are ours.
    """
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if not given:
        raise AwsError("MissingParameter", f"The parameter {where}.Value is required.")
    if len(given) > 1:
        raise AwsError(
            "InvalidParameterCombination",
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and "
            "you have specified both.",
        )
    at = datum.get("Timestamp", now)
    if not now - OLDEST <= at <= now + NEWEST:
        raise _invalid(f"The value for parameter {where}.Timestamp is too old or too new.")
    if len(datum.get("Dimensions", [])) > MAX_DIMENSIONS:
        raise _invalid(
            f"The collection {where}.Dimensions must not have a size greater than {MAX_DIMENSIONS}."
        )
    if "StatisticValues" in datum:
        return _given_set(datum["StatisticValues"], where)
    values = datum.get("Values", [datum.get("Value")])
    counts = datum.get("Counts", [1.0] * len(values))
    if len(values) != len(counts):
        raise _invalid(
            f"The parameters {where}.Values and {where}.Counts must be of the same size."
        )
    if len(values) > MAX_VALUES:
        raise _invalid(
            f"The collection {where}.Values must not have a size greater than {MAX_VALUES}."
        )
    found = StatisticSet()
    for value, count in zip(values, counts, strict=True):
        _finite(value, f"{where}.{given[0]}")
        found.add(float(value), float(count))
    return found


def _given_set(values: Mapping[str, float], where: str) -> StatisticSet:
    for name in ("Sum", "SampleCount", "Minimum", "Maximum"):
        _finite(values[name], f"{where}.StatisticValues.{name}")
    if values["SampleCount"] <= 0:
        raise _invalid(f"The value for parameter {where}.StatisticValues.SampleCount is invalid.")
    # "SampleCount is 1, or Min and Max are equal": else percentiles are not to be had (user guide).
    is_known = values["SampleCount"] == 1 or values["Minimum"] == values["Maximum"]
    return StatisticSet(
        float(values["Sum"]),
        float(values["SampleCount"]),
        float(values["Minimum"]),
        float(values["Maximum"]),
        is_known=is_known,
    )


def _finite(value: float, where: str) -> None:
    if not math.isfinite(value) or abs(value) > 2.0**360:
        raise _invalid(f"The value {value} for parameter {where} is invalid.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
