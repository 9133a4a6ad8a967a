"""CloudWatch with its metrics, alarms and dashboards in another endpoint as well.

Every value, also those of the twin's own services, is written there as a statistic set of its
minute on the run's clock. Alarms are decided by the twin: the endpoint's clock is not the run's. It
gets their definitions and, at each change, their states. Used by `simulator.cloud.remote`;
docs/localstack.md says who answers which operation, and why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.alarms import Alarms
from simulator.cloud.dashboards import Dashboards
from simulator.cloud.metrics import RESOLUTION_S, MetricKey, Metrics, StatisticSet, metric_key
from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint

_BATCH = 1_000
"""Data of one PutMetricData request (API reference)."""

_STATISTIC = ("Period", "Unit", "Stat")
_OF_METRIC = ("Namespace", "MetricName", "Dimensions")
_LATEST_REASON = 1_023
"""Characters of a StateReason (SetAlarmState API reference)."""


class RemoteCloudWatch:
    """What replaces executors of `Metrics`, `Alarms` and `Dashboards`."""

    def __init__(
        self, metrics: Metrics, alarms: Alarms, dashboards: Dashboards, remote: RemoteEndpoint
    ) -> None:
        self._metrics = metrics
        self._remote = remote
        self._own = {**metrics.operations(), **alarms.operations(), **dashboards.operations()}
        self._waiting: dict[tuple[MetricKey, str, int], StatisticSet] = {}
        metrics.on_values.append(self._valued)
        alarms.on_change.append(self._changed)
        alarms.on_tracking.append(self._tracked)

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        return {
            "GetMetricStatistics": self._get_statistics,
            "PutMetricAlarm": self._put_alarm,
            "PutCompositeAlarm": self._put_composite,
            "DeleteAlarms": self._both("DeleteAlarms"),
            "PutDashboard": self._both("PutDashboard"),
            "DeleteDashboards": self._both("DeleteDashboards"),
            "GetDashboard": self._get_dashboard,
        }

    def flush(self) -> None:
        """Write there what was recorded since the last time."""
        waiting, self._waiting = self._waiting, {}
        by_namespace: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for (key, unit, minute), values in waiting.items():
            by_namespace[key[0]].append(_datum(key, unit, minute, values))
        for namespace, data in by_namespace.items():
            for first in range(0, len(data), _BATCH):
                batch = data[first : first + _BATCH]
                self._forward("PutMetricData", {"Namespace": namespace, "MetricData": batch})

    def _forward(self, operation: str, params: Params) -> Answer:
        return self._remote.forward("cloudwatch", operation, params)

    def _both(self, operation: str) -> Execute:
        def execute(call: Call) -> Answer:
            # The twin checks more than the endpoints do, so what it refuses is not sent there.
            answer: Answer = self._own[operation].execute(call)
            self._forward(operation, call.params)
            return answer

        return execute

    # -- metrics

    def _valued(self, key: MetricKey, unit: str, at_s: float, added: StatisticSet) -> None:
        minute = int(at_s // RESOLUTION_S)
        found = self._waiting.get((key, unit, minute))
        if found is None:
            found = self._waiting[key, unit, minute] = StatisticSet()
        found.merge(added)

    def _get_statistics(self, call: Call) -> Answer:
        """Ask the endpoint where it answers for this metric alone; the twin checks the request."""
        answer: Answer = self._own["GetMetricStatistics"].execute(call)
        params = call.params
        dimensions = {d["Name"]: d["Value"] for d in params.get("Dimensions", [])}
        key = metric_key(params["Namespace"], params["MetricName"], dimensions)
        if params.get("ExtendedStatistics") or self._is_mistaken(key):
            return answer
        self.flush()
        start_s = params["StartTime"].timestamp() // RESOLUTION_S * RESOLUTION_S
        asked = {**params, "StartTime": datetime.fromtimestamp(start_s, UTC)}
        there = self._forward("GetMetricStatistics", asked)["Datapoints"]
        there.sort(key=lambda point: (point["Unit"], point["Timestamp"]))
        return {"Label": answer["Label"], "Datapoints": there}

    def _is_mistaken(self, wanted: MetricKey) -> bool:
        """Tell whether LocalStack would take other metrics for this one.

        It compares dimensions as parts of a text: those of a metric with more dimensions, or with
        a longer value, are found too.
        """
        patterns = [f"{name}={value}" for name, value in wanted[2]]
        if not patterns:
            return False
        if any(sign in pattern for pattern in patterns for sign in "%_"):
            return True
        return any(
            all(pattern in "\t".join(f"{n}={v}" for n, v in key[2]) for pattern in patterns)
            for key in self._metrics.known()
            if key[:2] == wanted[:2] and key != wanted
        )

    # -- alarms

    def _put_alarm(self, call: Call) -> Answer:
        answer: Answer = self._own["PutMetricAlarm"].execute(call)
        self._forward("PutMetricAlarm", _stored(call.params))
        return answer

    def _put_composite(self, call: Call) -> Answer:
        answer: Answer = self._own["PutCompositeAlarm"].execute(call)
        self._forward("PutCompositeAlarm", {**call.params, "ActionsEnabled": False})
        return answer

    def _tracked(self, name: str, definition: Params | None) -> None:
        """Keep an alarm there, too, that Application Auto Scaling has put or removed."""
        if definition is None:
            self._forward("DeleteAlarms", {"AlarmNames": [name]})
        else:
            self._forward("PutMetricAlarm", _stored(definition))

    def _changed(self, name: str, state: str, why: str) -> None:
        reason = why[:_LATEST_REASON]
        self._forward(
            "SetAlarmState", {"AlarmName": name, "StateValue": state, "StateReason": reason}
        )

    # -- dashboards

    def _get_dashboard(self, call: Call) -> Answer:
        self._own["GetDashboard"].execute(call)  # Which one does not exist is said by the twin.
        return self._forward("GetDashboard", call.params)


def _datum(key: MetricKey, unit: str, minute: int, values: StatisticSet) -> dict[str, Any]:
    return {
        "MetricName": key[1],
        "Dimensions": [{"Name": name, "Value": value} for name, value in key[2]],
        "Timestamp": datetime.fromtimestamp(minute * RESOLUTION_S, UTC),
        "Unit": unit,
        "StatisticValues": {
            "SampleCount": values.count,
            "Sum": values.total,
            "Minimum": values.minimum,
            "Maximum": values.maximum,
        },
    }


def _stored(definition: Mapping[str, Any]) -> Params:
    """Return an alarm as the endpoint gets it: with no actions, in the form of a query.

    The twin acts. LocalStack would evaluate an alarm on one metric by its own clock and overwrite
    the state; it keeps one that is written as a query (the same alarm to AWS) as it is told.
    """
    params = {**definition, "ActionsEnabled": False}
    if "Metrics" in params:
        return params
    metric = {name: params.pop(name) for name in _OF_METRIC if name in params}
    statistic: dict[str, Any] = {"Period": params.pop("Period")}
    statistic["Stat"] = params.pop("Statistic", None) or params.pop("ExtendedStatistic")
    if "Unit" in params:
        statistic["Unit"] = params.pop("Unit")
    query = {"Id": "m1", "MetricStat": {"Metric": metric, **statistic}, "ReturnData": True}
    return {**params, "Metrics": [query]}
