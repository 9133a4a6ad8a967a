"""CloudWatch metrics: what was put, by whom ever, at the time that it says it happened.

Services record theirs through `record`; functions through PutMetricData or embedded metric
format. Values are kept as statistic sets per minute, which is what standard-resolution metrics
keep. Alarms (`alarms.py`) read them with `statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation

RESOLUTION_S = 60
STATISTICS = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")

MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class StatisticSet:
    """Sum, count, minimum and maximum of the values of one minute."""

    total: float = 0.0
    count: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, value: float, count: float = 1.0) -> None:
        """Take in a value that was seen ``count`` times."""
        self.total += value * count
        self.count += count
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)

    def merge(self, other: StatisticSet) -> None:
        """Take in another set."""
        self.total += other.total
        self.count += other.count
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def value(self, statistic: str) -> float:
        """Return one of STATISTICS."""
        return {
            "Sum": self.total,
            "Average": self.total / self.count,
            "Minimum": self.minimum,
            "Maximum": self.maximum,
            "SampleCount": self.count,
        }[statistic]


def metric_key(namespace: str, name: str, dimensions: Mapping[str, str]) -> MetricKey:
    """Return the identity of a metric; the order of dimensions does not matter."""
    return namespace, name, tuple(sorted(dimensions.items()))


class Metrics:
    """The account's metrics, on the run's clock."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._data: dict[MetricKey, dict[int, StatisticSet]] = {}
        self._units: dict[MetricKey, str] = {}

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
        key = metric_key(namespace, name, dimensions)
        minute = int((self._context.engine.epoch_s() if at_s is None else at_s) // RESOLUTION_S)
        sets = self._data.setdefault(key, {})
        if minute not in sets:
            sets[minute] = StatisticSet()
        sets[minute].add(float(value))
        self._units[key] = unit

    def statistics(
        self, key: MetricKey, statistic: str, start_s: float, period_s: int, periods: int
    ) -> list[float | None]:
        """Return one value per period from ``start_s`` on; ``None`` where there is no data."""
        sets = self._data.get(key, {})
        values: list[float | None] = []
        per_period = period_s // RESOLUTION_S
        first = int(start_s // RESOLUTION_S)
        for number in range(periods):
            merged = StatisticSet()
            for minute in range(first + number * per_period, first + (number + 1) * per_period):
                if minute in sets:
                    merged.merge(sets[minute])
            values.append(merged.value(statistic) if merged.count else None)
        return values

    def _put(self, call: Call) -> Answer:
        for datum in call.params.get("MetricData", []):
            if "StatisticValues" in datum:
                raise NotSupportedByTwin("StatisticValues in PutMetricData")
            if "Value" in datum and "Values" in datum:
                raise AwsError(
                    "InvalidParameterCombination",
                    "The parameters MetricData.member.1.Value and MetricData.member.1.Values "
                    "are mutually exclusive and you have specified both.",
                )
            values = datum.get("Values", [datum["Value"]] if "Value" in datum else [])
            counts = datum.get("Counts", [1.0] * len(values))
            at = datum.get("Timestamp", self._context.engine.now())
            dimensions = {d["Name"]: d["Value"] for d in datum.get("Dimensions", [])}
            for value, count in zip(values, counts, strict=True):
                if not math.isfinite(value) or abs(value) > 2.0**360:
                    raise AwsError(
                        "InvalidParameterValue",
                        f"The value {value} for parameter MetricData.member.1.Value is invalid.",
                    )
                for _ in range(int(count)):
                    self.record(
                        call.params["Namespace"],
                        datum["MetricName"],
                        dimensions,
                        value,
                        datum.get("Unit", "None"),
                        at.timestamp(),
                    )
        return {}

    def _get_statistics(self, call: Call) -> Answer:
        params = call.params
        if "ExtendedStatistics" in params:
            raise NotSupportedByTwin("ExtendedStatistics (percentiles) of metrics")
        period_s = params["Period"]
        if period_s % RESOLUTION_S:
            raise NotSupportedByTwin("a metric period below one minute")
        start_s = params["StartTime"].timestamp() // period_s * period_s
        periods = math.ceil((params["EndTime"].timestamp() - start_s) / period_s)
        if periods > 1440:
            raise AwsError(
                "InvalidParameterCombination",
                f"You have requested up to {periods} datapoints, which exceeds the limit of 1440. "
                "You may reduce the datapoints requested by increasing Period, or decreasing the "
                "time range.",
            )
        dimensions = {d["Name"]: d["Value"] for d in params.get("Dimensions", [])}
        key = metric_key(params["Namespace"], params["MetricName"], dimensions)
        columns = {
            s: self.statistics(key, s, start_s, period_s, periods) for s in params["Statistics"]
        }
        points: list[dict[str, Any]] = []
        for number in range(periods):
            row = {name: values[number] for name, values in columns.items()}
            if None not in row.values():
                at = datetime.fromtimestamp(start_s + number * period_s, UTC)
                points.append({"Timestamp": at, "Unit": self._units[key], **row})
        return {"Label": params["MetricName"], "Datapoints": points}

    def _list(self, call: Call) -> Answer:
        wanted = {name: call.params.get(name) for name in ("Namespace", "MetricName")}
        return {
            "Metrics": [
                {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions],
                }
                for namespace, name, dimensions in sorted(self._data)
                if wanted["Namespace"] in (None, namespace) and wanted["MetricName"] in (None, name)
            ]
        }
