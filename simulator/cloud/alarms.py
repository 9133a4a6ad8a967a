"""CloudWatch metric alarms: evaluated each virtual minute, actions to SNS when a state changes.

`alarm_rules.py` decides the state and words the reason; this file keeps the alarms, their
history, and tells the topics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.alarm_rules import (
    ACTIONS,
    COMPARISONS,
    EXTRA_PERIODS,
    check_definition,
    evaluate,
    reason,
)
from simulator.cloud.asl_payload import dumps
from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.metrics import RESOLUTION_S, Metrics, metric_key
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

REGION_NAMES = {"us-east-1": "US East (N. Virginia)"}
"""How alarm messages call a region; other regions keep their code."""

_DEFAULTS: dict[str, Any] = {"ActionsEnabled": True, "Dimensions": []} | {
    kind: [] for kind in ACTIONS.values()
}
_PAGE = 100
"""Most alarms, or history items, in one answer (DescribeAlarms API reference)."""


@dataclass
class Alarm:
    """One alarm: its definition as it was put, its state, and what happened to it."""

    arn: str
    definition: Params
    configured: datetime
    changed: datetime
    state: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    history: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[datetime, str, str]] = field(default_factory=list)


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
            "DeleteAlarms": Operation(self._delete, resources=self._named),
        }

    def states(self) -> dict[str, str]:
        """Return every alarm's state by name."""
        return {name: alarm.state for name, alarm in sorted(self._alarms.items())}

    def changes(self) -> list[tuple[datetime, str, str]]:
        """Return (when, alarm, new state) of every change so far, in order."""
        return sorted(change for alarm in self._alarms.values() for change in alarm.changes)

    # -- definitions

    def _arn(self, name: str) -> str:
        return self._context.arn("cloudwatch", f"alarm:{name}")

    def _one(self, params: Params) -> list[str]:
        return [self._arn(params["AlarmName"])]

    def _named(self, params: Params) -> list[str]:
        return [self._arn(name) for name in params["AlarmNames"]]

    def _put(self, call: Call) -> Answer:
        check_definition(call.params)
        name, now = call.params["AlarmName"], self._context.engine.now()
        definition = {**_DEFAULTS, **call.params}
        definition.pop("Tags", None)
        known = self._alarms.get(name)
        if known is None:
            self._alarms[name] = Alarm(self._arn(name), definition, configured=now, changed=now)
        else:
            # An update keeps the state (PutMetricAlarm API reference).
            known.definition, known.configured = definition, now
        if not self._running:
            self._running = True
            self._context.engine.process(self._watch())
        return {}

    def _delete(self, call: Call) -> Answer:
        for name in call.params["AlarmNames"]:
            self._alarms.pop(name, None)
        return {}

    # -- evaluation

    def _watch(self) -> SimGenerator:
        while True:
            yield self._context.engine.env.timeout(RESOLUTION_S)
            for name in sorted(self._alarms):
                self._check(self._alarms[name])

    def _check(self, alarm: Alarm) -> None:
        definition = alarm.definition
        of, period_s = int(definition["EvaluationPeriods"]), int(definition["Period"])
        periods = of + EXTRA_PERIODS
        start_s = self._context.engine.epoch_s() // period_s * period_s - periods * period_s
        dimensions = {d["Name"]: d["Value"] for d in definition["Dimensions"]}
        values = self._metrics.statistics(
            metric_key(definition["Namespace"], definition["MetricName"], dimensions),
            definition["Statistic"],
            start_s,
            period_s,
            periods,
            definition.get("Unit"),
        )
        compare = COMPARISONS[definition["ComparisonOperator"]][0]
        breaches = [None if v is None else compare(v, definition["Threshold"]) for v in values]
        state = evaluate(
            breaches,
            int(definition.get("DatapointsToAlarm", of)),
            of,
            str(definition.get("TreatMissingData", "missing")),
            alarm.state,
        )
        if state != alarm.state:
            timed = [
                None if value is None else (value, start_s + number * period_s)
                for number, value in enumerate(values)
            ]
            self._change(alarm, state, reason(timed, breaches, definition, state))

    def _change(self, alarm: Alarm, state: str, why: str) -> None:
        now = self._context.engine.now()
        states = {"oldState": _state(alarm)}
        old, alarm.state, alarm.reason, alarm.changed = alarm.state, state, why, now
        states["newState"] = _state(alarm)
        alarm.changes.append((now, str(alarm.definition["AlarmName"]), state))
        self._note(alarm, "StateUpdate", f"Alarm updated from {old} to {state}", states)
        if alarm.definition["ActionsEnabled"]:
            for action in alarm.definition[ACTIONS[state]]:
                self._act(alarm, action, old)

    def _note(self, alarm: Alarm, kind: str, summary: str, data: dict[str, Any]) -> None:
        alarm.history.append(
            {
                "AlarmName": alarm.definition["AlarmName"],
                "AlarmType": "MetricAlarm",
                "Timestamp": self._context.engine.now(),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": dumps({"version": "1.0", **data}),
            }
        )

    def _act(self, alarm: Alarm, topic: str, old: str) -> None:
        """Publish a change; a topic that refuses it is noted in the history, as AWS does."""
        region = REGION_NAMES.get(self._context.region, self._context.region)
        subject = f'{alarm.state}: "{alarm.definition["AlarmName"]}" in {region}'
        request = {
            "TopicArn": topic,
            # SNS takes subjects of up to 100 characters.
            "Subject": subject[:100],
            "Message": dumps(_message(alarm, old, self._context.account, region)),
        }
        caller = self._context.iam.service_principal("cloudwatch.amazonaws.com", alarm.arn)
        try:
            self._context.dispatch(caller, "sns", "Publish", request)
        except AwsError as error:
            ended, summary = "Failed", f"Failed to execute action {topic}. Received error: "
            summary += f'"{error}"'
        else:
            ended, summary = "Succeeded", f"Successfully executed action {topic}"
        data = {"actionState": ended, "notificationResource": topic, "publishedMessage": request}
        self._note(alarm, "Action", summary, data)

    def _set(self, call: Call) -> Answer:
        alarm = self._alarms.get(call.params["AlarmName"])
        if alarm is None:
            raise AwsError("ResourceNotFound", f"Unknown alarm {call.params['AlarmName']}", 404)
        if call.params["StateValue"] not in ACTIONS:
            raise AwsError("ValidationError", "The parameter StateValue is invalid")
        if call.params["StateValue"] != alarm.state:
            self._change(alarm, call.params["StateValue"], call.params["StateReason"])
        return {}

    # -- what there is

    def _describe(self, call: Call) -> Answer:
        params = call.params
        for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if name in params:
                raise NotSupportedByTwin(f"{name} (composite alarms)")
        shown = [_shown(alarm) for alarm in self._chosen(params)]
        return _paged("MetricAlarms", shown, params, 50) | {"CompositeAlarms": []}

    def _chosen(self, params: Params) -> Iterator[Alarm]:
        """Yield the alarms that DescribeAlarms asks for, by name."""
        names, wanted = params.get("AlarmNames"), params.get("StateValue")
        action = params.get("ActionPrefix", "")
        if "MetricAlarm" not in params.get("AlarmTypes", ["MetricAlarm"]):
            return
        for name, alarm in sorted(self._alarms.items()):
            actions = [a for kind in ACTIONS.values() for a in alarm.definition[kind]]
            if (
                (names is None or name in names)
                and name.startswith(params.get("AlarmNamePrefix", ""))
                and wanted in (None, alarm.state)
                and (not action or any(a.startswith(action) for a in actions))
            ):
                yield alarm

    def _describe_history(self, call: Call) -> Answer:
        params = call.params
        if "AlarmContributorId" in params:
            raise NotSupportedByTwin("AlarmContributorId of DescribeAlarmHistory")
        since, until = params.get("StartDate"), params.get("EndDate")
        items = [
            item
            for name, alarm in sorted(self._alarms.items())
            for item in alarm.history
            if params.get("AlarmName") in (None, name)
            and params.get("HistoryItemType") in (None, item["HistoryItemType"])
            and (since is None or item["Timestamp"] >= since)
            and (until is None or item["Timestamp"] <= until)
        ]
        items.sort(key=lambda item: item["Timestamp"])
        if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            items.reverse()
        return _paged("AlarmHistoryItems", items, params, _PAGE)


def _paged(name: str, items: list[dict[str, Any]], params: Params, default: int) -> Answer:
    limit = min(params.get("MaxRecords", default), _PAGE)
    shown, token = page(items, limit, params.get("NextToken"), "InvalidNextToken")
    return {name: shown, **({"NextToken": token} if token else {})}


def _state(alarm: Alarm) -> dict[str, str]:
    return {"stateValue": alarm.state, "stateReason": alarm.reason}


def _shown(alarm: Alarm) -> dict[str, Any]:
    return {
        **alarm.definition,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.changed,
        "StateTransitionedTimestamp": alarm.changed,
    }


def _message(alarm: Alarm, old: str, account: str, region: str) -> dict[str, Any]:
    """Return what an alarm sends to its topics (members from memory of such messages)."""
    definition = alarm.definition
    return {
        "AlarmName": definition["AlarmName"],
        "AlarmDescription": definition.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configured),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": _stamp(alarm.changed),
        "Region": region,
        "AlarmArn": alarm.arn,
        "OldStateValue": old,
        **{kind: definition[kind] for kind in ACTIONS.values()},
        "Trigger": {
            "MetricName": definition["MetricName"],
            "Namespace": definition["Namespace"],
            "StatisticType": "Statistic",
            "Statistic": str(definition["Statistic"]).upper(),
            "Unit": definition.get("Unit"),
            "Dimensions": [
                {"name": d["Name"], "value": d["Value"]} for d in definition["Dimensions"]
            ],
            "Period": definition["Period"],
            "EvaluationPeriods": definition["EvaluationPeriods"],
            "ComparisonOperator": definition["ComparisonOperator"],
            "Threshold": definition["Threshold"],
            "TreatMissingData": definition.get("TreatMissingData", "missing"),
        },
    }


def _stamp(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
