"""Metric data queries: metrics and expressions by id, for GetMetricData and for alarms.

A query is a metric with a statistic or an expression over other queries. All queries of a
request that belong together have one period. Source: API reference of MetricDataQuery.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.metric_math import Expression, Scope, Series, Value, compile_expression
from simulator.cloud.metrics import RESOLUTION_S, Metrics, check_statistic, metric_key
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.pages import page

_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
MAX_QUERIES, MAX_ALARM_QUERIES = 500, 10
"""Of a GetMetricData request, of one alarm (CloudWatch quotas; metrics of an alarm)."""
MAX_DATAPOINTS = 100_800


@dataclass(frozen=True)
class Queries:
    """Checked queries: ``stats`` and ``expressions`` by id in the order given, one period."""

    stats: Mapping[str, Mapping[str, Any]]
    expressions: Mapping[str, Expression]
    returned: Sequence[str]
    labels: Mapping[str, str]
    period_s: int

    def values(self, metrics: Metrics, start_s: float, periods: int) -> dict[str, Value]:
        """Return every query's value over ``periods`` from ``start_s`` (seconds since 1970)."""
        read = {
            name: _read(metrics, stat, start_s, self.period_s, periods)
            for name, stat in self.stats.items()
        }
        return self._evaluated(read, periods)

    def _evaluated(self, read: Mapping[str, Series], periods: int) -> dict[str, Value]:
        values: dict[str, Value] = {**read}
        waiting = dict(self.expressions)
        while waiting:
            # An expression may name one that stands after it; each round does what it can.
            for name, expression in list(waiting.items()):
                known = _Known(values, waiting)
                try:
                    values[name] = expression(Scope(known, read, self.period_s, periods))
                except _NotYet:
                    continue
                del waiting[name]
                break
            else:
                raise ValidationError(
                    f"The expressions {', '.join(sorted(waiting))} need each other",
                    "ValidationError",
                )
        return values

    def check(self) -> dict[str, Value]:
        """Evaluate without data: raises for ids that are unknown and for the wrong kinds."""
        return self._evaluated({name: [None] for name in self.stats}, 1)


class _NotYet(Exception):
    """An expression needs another that is not evaluated yet."""


class _Known(dict[str, Value]):
    """Values so far; one that is still to come is asked for too early."""

    def __init__(self, values: Mapping[str, Value], waiting: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._waiting = waiting

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name) and name in self._waiting:
            raise _NotYet
        return super().__contains__(name)


def checked_queries(given: Sequence[Mapping[str, Any]]) -> Queries:
    """Check queries and compile their expressions.

    Raises:
        ValidationError: what AWS refuses as well (the wording is ours).
        NotSupportedByTwin: accounts, mixed periods, functions that are not here.
    """
    stats: dict[str, Mapping[str, Any]] = {}
    expressions: dict[str, Expression] = {}
    for query in given:
        name = query["Id"]
        if not _ID.fullmatch(name) or name in stats or name in expressions:
            raise _invalid(f"The id {name} is not valid or not unique")
        if "AccountId" in query:
            raise NotSupportedByTwin("AccountId of a metric data query")
        if ("Expression" in query) == ("MetricStat" in query):
            raise _invalid(f"{name} needs either an Expression or a MetricStat")
        if "Expression" in query:
            expressions[name] = compile_expression(query["Expression"])
        else:
            stats[name] = query["MetricStat"]
            check_statistic(query["MetricStat"]["Stat"])
    periods = {int(stat["Period"]) for stat in stats.values()}
    periods |= {int(query["Period"]) for query in given if "Period" in query}
    if len(periods) != 1:
        if not periods:
            raise _invalid("The queries name no metric and no period")
        raise NotSupportedByTwin("metric data queries of different periods")
    (period_s,) = periods
    if period_s % RESOLUTION_S:
        raise NotSupportedByTwin("a metric period below one minute")
    returned = [query["Id"] for query in given if query.get("ReturnData", True)]
    labels = {query["Id"]: _label(query) for query in given}
    queries = Queries(stats, expressions, returned, labels, period_s)
    queries.check()
    return queries


def alarm_queries(given: Sequence[Mapping[str, Any]]) -> Queries:
    """Check an alarm's queries: one of them returns data, and it is a time series."""
    queries = checked_queries(given)
    if len(given) > MAX_ALARM_QUERIES:
        raise _invalid(f"An alarm has at most {MAX_ALARM_QUERIES} metrics")
    if len(queries.returned) != 1:
        raise _invalid("Exactly one element of the metrics list should return data")
    if not isinstance(queries.check()[queries.returned[0]], list):
        raise _invalid("The expression of an alarm must give a single time series")
    return queries


def _invalid(why: str) -> ValidationError:
    return ValidationError(f"{why}.", "ValidationError")


def _label(query: Mapping[str, Any]) -> str:
    if "Label" in query:
        return str(query["Label"])
    return str(
        query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"]
    )


def _read(
    metrics: Metrics, stat: Mapping[str, Any], start_s: float, period_s: int, periods: int
) -> Series:
    metric = stat["Metric"]
    dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
    key = metric_key(metric["Namespace"], metric["MetricName"], dimensions)
    return metrics.statistics(key, stat["Stat"], start_s, period_s, periods, stat.get("Unit"))


class MetricQueries:
    """The operation GetMetricData."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        return {"GetMetricData": Operation(self._get)}

    def _get(self, call: Call) -> Answer:
        params = call.params
        if "LabelOptions" in params:
            raise NotSupportedByTwin("LabelOptions of GetMetricData")
        if params["EndTime"] <= params["StartTime"]:
            raise AwsError(
                "ValidationError", "The parameter StartTime must be less than the parameter EndTime"
            )
        if len(params["MetricDataQueries"]) > MAX_QUERIES:
            raise _invalid(f"The request has more than {MAX_QUERIES} queries")
        queries = checked_queries(params["MetricDataQueries"])
        start_s = params["StartTime"].timestamp() // queries.period_s * queries.period_s
        periods = math.ceil((params["EndTime"].timestamp() - start_s) / queries.period_s)
        if periods * len(queries.returned) > MAX_DATAPOINTS:
            raise _invalid(f"The request asks for more than {MAX_DATAPOINTS} datapoints")
        values = queries.values(self._metrics, start_s, periods)
        newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results: list[dict[str, Any]] = []
        for name in queries.returned:
            value = values[name]
            for series in value if isinstance(value, tuple) else [value]:
                shown = _points(series, start_s, queries.period_s)
                ordered = shown[::-1] if newest_first else shown
                results.append(
                    {
                        "Id": name,
                        "Label": queries.labels[name],
                        "Timestamps": [at for at, _ in ordered],
                        "Values": [number for _, number in ordered],
                        "StatusCode": "Complete",
                    }
                )
        found, token = page(results, MAX_QUERIES, params.get("NextToken"), "InvalidNextToken")
        return {"MetricDataResults": found, **({"NextToken": token} if token else {})}


def _points(value: Value, start_s: float, period_s: int) -> list[tuple[datetime, float]]:
    """Return the periods that have a value; a scalar stands at the first one."""
    series = value if isinstance(value, list) else [value]
    return [
        (datetime.fromtimestamp(start_s + at * period_s, UTC), number)
        for at, number in enumerate(series)
        if isinstance(number, float | int)
    ]
