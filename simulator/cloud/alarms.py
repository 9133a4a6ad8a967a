"""CloudWatch alarms: M of N periods against a threshold, the rules for missing data, actions.

Evaluated once a virtual minute. Source of the missing-data rules: "Configuring how CloudWatch
alarms treat missing data" in the CloudWatch user guide; its tables are this module's test.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.asl_payload import dumps
from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.metrics import RESOLUTION_S, STATISTICS, Metrics, metric_key
from simulator.cloud.operations import Answer, Call, Operation, Params

EXTRA_PERIODS = 2
"""How many periods beyond N are looked at; AWS shows 5 for N = 3 and documents no rule."""

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
_REFUSED = ("Metrics", "ThresholdMetricId", "ExtendedStatistic", "EvaluateLowSampleCountPercentile")


def evaluate(
    points: Sequence[bool | None], needed: int, of: int, missing: str, current: str
) -> str:
    """Return the state that AWS gives for points (oldest first; ``None`` is missing).

    ``needed`` of the newest ``of`` must breach; ``missing`` is TreatMissingData.
    """
    real = [point for point in points if point is not None]
    if len(real) >= of:
        return "ALARM" if sum(real[-of:]) >= needed else "OK"
    breaching, absent = sum(real), of - len(real)
    if missing == "breaching":
        return "ALARM" if breaching + absent >= needed else "OK"
    if missing == "notBreaching":
        return "ALARM" if breaching >= needed else "OK"
    if breaching >= needed:
        return "ALARM"
    if len(real) > breaching:
        return "OK"
    if missing == "ignore":
        return current
    if not real:
        return "INSUFFICIENT_DATA"
    # All that is there breaches: AWS raises the alarm once the oldest of it is old enough.
    oldest_age = len(points) - next(i for i, point in enumerate(points) if point)
    return "ALARM" if oldest_age >= needed else current


@dataclass
class Alarm:
    """One alarm: its definition as it was put, its state, and what happened to it."""

    arn: str
    definition: Params
    state: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    changed: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    history: list[dict[str, Any]] = field(default_factory=list)


class Alarms:
    """The account's metric alarms; actions go to SNS when the state changes."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics
        self._alarms: dict[str, Alarm] = {}
        self._running = False

    def operations(self) -> dict[str, Operation]:
        """Return the operations on alarms."""
        return {
            "PutMetricAlarm": Operation(self._put, resources=self._one),
            "DescribeAlarms": Operation(self._describe),
            "DescribeAlarmHistory": Operation(self._describe_history),
            "SetAlarmState": Operation(self._set, resources=self._one),
            "DeleteAlarms": Operation(self._delete),
        }

    def states(self) -> dict[str, str]:
        """Return every alarm's state by name."""
        return {name: alarm.state for name, alarm in sorted(self._alarms.items())}

    def changes(self) -> list[tuple[datetime, str, str]]:
        """Return (when, alarm, new state) of every change so far, in order."""
        found = [
            (item["Timestamp"], name, item["NewState"])
            for name, alarm in self._alarms.items()
            for item in alarm.history
        ]
        return sorted(found)

    def _one(self, params: Params) -> list[str]:
        return [self._context.arn("cloudwatch", f"alarm:{params['AlarmName']}")]

    def _put(self, call: Call) -> Answer:
        params = call.params
        for name in _REFUSED:
            if name in params:
                raise NotSupportedByTwin(f"{name} of an alarm")
        if params.get("ComparisonOperator") not in COMPARISONS:
            raise NotSupportedByTwin(f"the comparison {params.get('ComparisonOperator')}")
        if params.get("Statistic") not in STATISTICS or params["Period"] % RESOLUTION_S:
            raise NotSupportedByTwin("an alarm without a standard statistic and whole minutes")
        if params["Period"] * params["EvaluationPeriods"] > 86_400 and params["Period"] < 3600:
            raise AwsError(
                "ValidationError",
                "Metrics cannot be checked across more than a day (EvaluationPeriods * Period "
                "must be <= 86400).",
            )
        known = self._alarms.get(params["AlarmName"])
        if known is None:
            self._alarms[params["AlarmName"]] = Alarm(
                self._one(params)[0], dict(params), changed=self._context.engine.now()
            )
        else:
            known.definition = dict(params)
        if not self._running:
            self._running = True
            self._context.engine.process(self._watch())
        return {}

    def _watch(self) -> SimGenerator:
        while True:
            yield self._context.engine.env.timeout(RESOLUTION_S)
            for name in sorted(self._alarms):
                self._check(self._alarms[name])

    def _check(self, alarm: Alarm) -> None:
        definition = alarm.definition
        of, period_s = definition["EvaluationPeriods"], definition["Period"]
        periods = of + EXTRA_PERIODS
        now_s = self._context.engine.epoch_s()
        start_s = now_s // period_s * period_s - periods * period_s
        dimensions = {d["Name"]: d["Value"] for d in definition.get("Dimensions", [])}
        key = metric_key(definition["Namespace"], definition["MetricName"], dimensions)
        values = self._metrics.statistics(key, definition["Statistic"], start_s, period_s, periods)
        compare, words = COMPARISONS[definition["ComparisonOperator"]]
        threshold = definition["Threshold"]
        points = [None if v is None else compare(v, threshold) for v in values]
        needed = definition.get("DatapointsToAlarm", of)
        missing = definition.get("TreatMissingData", "missing")
        state = evaluate(points, needed, of, missing, alarm.state)
        if state != alarm.state:
            self._change(
                alarm,
                state,
                _reason(values, points, start_s, period_s, words, threshold, missing, state),
            )

    def _change(self, alarm: Alarm, state: str, reason: str) -> None:
        now = self._context.engine.now()
        alarm.history.append(
            {
                "AlarmName": alarm.definition["AlarmName"],
                "AlarmType": "MetricAlarm",
                "Timestamp": now,
                "HistoryItemType": "StateUpdate",
                "NewState": state,
                "HistorySummary": f"Alarm updated from {alarm.state} to {state}",
            }
        )
        old, alarm.state, alarm.reason, alarm.changed = alarm.state, state, reason, now
        if not alarm.definition.get("ActionsEnabled", True):
            return
        kind = {
            "ALARM": "AlarmActions",
            "OK": "OKActions",
            "INSUFFICIENT_DATA": "InsufficientDataActions",
        }[state]
        for action in alarm.definition.get(kind, []):
            self._act(alarm, action, old)

    def _act(self, alarm: Alarm, action: str, old: str) -> None:
        if ":sns:" not in action:
            raise NotSupportedByTwin(f"the alarm action {action}")
        definition = alarm.definition
        message = {
            "AlarmName": definition["AlarmName"],
            "AlarmDescription": definition.get("AlarmDescription"),
            "AWSAccountId": self._context.account,
            "NewStateValue": alarm.state,
            "NewStateReason": alarm.reason,
            "StateChangeTime": alarm.changed.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "AlarmArn": alarm.arn,
            "OldStateValue": old,
        }
        caller = self._context.iam.service_principal("cloudwatch.amazonaws.com", alarm.arn)
        self._context.dispatch(
            caller,
            "sns",
            "Publish",
            {
                "TopicArn": action,
                "Subject": f'{alarm.state}: "{definition["AlarmName"]}" in {self._context.region}',
                "Message": dumps(message),
            },
        )

    def _set(self, call: Call) -> Answer:
        name = call.params["AlarmName"]
        if name not in self._alarms:
            raise AwsError("ResourceNotFound", f"Unknown alarm {name}", 404)
        alarm = self._alarms[name]
        if call.params["StateValue"] != alarm.state:
            self._change(alarm, call.params["StateValue"], call.params["StateReason"])
        return {}

    def _describe(self, call: Call) -> Answer:
        names = call.params.get("AlarmNames")
        prefix = call.params.get("AlarmNamePrefix", "")
        wanted = call.params.get("StateValue")
        return {
            "MetricAlarms": [
                {
                    **alarm.definition,
                    "AlarmArn": alarm.arn,
                    "StateValue": alarm.state,
                    "StateReason": alarm.reason,
                    "StateUpdatedTimestamp": alarm.changed,
                }
                for name, alarm in sorted(self._alarms.items())
                if (names is None or name in names)
                and name.startswith(prefix)
                and wanted in (None, alarm.state)
            ]
        }

    def _describe_history(self, call: Call) -> Answer:
        name = call.params.get("AlarmName")
        items = [
            item
            for key, alarm in sorted(self._alarms.items())
            if name in (None, key)
            for item in alarm.history
        ]
        shown = [{k: v for k, v in item.items() if k != "NewState"} for item in items]
        return {"AlarmHistoryItems": shown[::-1]}

    def _delete(self, call: Call) -> Answer:
        for name in call.params["AlarmNames"]:
            self._alarms.pop(name, None)
        return {}


def _reason(
    values: Sequence[float | None],
    points: Sequence[bool | None],
    start_s: float,
    period_s: int,
    words: str,
    threshold: float,
    missing: str,
    state: str,
) -> str:
    """Word a change as AWS does: how many points, the newest of them, the threshold."""
    wanted = state == "ALARM"
    shown = [
        (value, start_s + number * period_s)
        for number, (value, point) in enumerate(zip(values, points, strict=True))
        if point is wanted and value is not None
    ]
    if not shown:
        count = sum(value is None for value in values)
        treated = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(missing, "Missing")
        return (
            f"Threshold Crossed: no datapoints were received for {count} periods and {count} "
            f"missing datapoints were treated as [{treated}]."
        )
    value, at_s = shown[-1]
    at = datetime.fromtimestamp(at_s, UTC).strftime("%d/%m/%y %H:%M:%S")
    plural, verb = ("", "was") if len(shown) == 1 else ("s", "were")
    not_ = "" if wanted else "not "
    return (
        f"Threshold Crossed: {len(shown)} datapoint{plural} [{value} ({at})] {verb} {not_}{words} "
        f"the threshold ({threshold})."
    )
