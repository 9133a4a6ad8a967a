"""What alarms show and send: descriptions, messages to topics, events of EventBridge.

Used by `alarms`, which decides when. Members of messages are from memory of such messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulator.cloud.alarm_rules import ACTIONS

if TYPE_CHECKING:
    from simulator.cloud.alarms import Alarm

REGION_NAMES = {"us-east-1": "US East (N. Virginia)"}
"""How alarm messages call a region; other regions keep their code."""


def shown(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as DescribeAlarms tells it."""
    return {
        **alarm.definition,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.changed,
        "StateTransitionedTimestamp": alarm.changed,
    }


def message(alarm: Mapping[str, Any], old: str, account: str, region: str) -> dict[str, Any]:
    """Return what an alarm, as it is shown, sends to its topics."""
    told = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": alarm["StateReason"],
        "StateChangeTime": _stamp(alarm["StateUpdatedTimestamp"]),
        "Region": region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        **{kind: alarm[kind] for kind in ACTIONS.values()},
    }
    if "AlarmRule" in alarm:
        return told | {"AlarmRule": alarm["AlarmRule"]}
    return told | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    common = {
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm["Threshold"],
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
    }
    if "Metrics" in alarm:
        return common | {"Metrics": alarm["Metrics"]}
    statistic = (
        {"StatisticType": "Statistic", "Statistic": str(alarm["Statistic"]).upper()}
        if "Statistic" in alarm
        else {
            "StatisticType": "ExtendedStatistic",
            "ExtendedStatistic": alarm["ExtendedStatistic"],
        }
    )
    return {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        **statistic,
        "Unit": alarm.get("Unit"),
        "Dimensions": [{"name": d["Name"], "value": d["Value"]} for d in alarm["Dimensions"]],
        "Period": alarm["Period"],
        **common,
    }


def change_event(
    arn: str, definition: Mapping[str, Any], states: Mapping[str, Mapping[str, str]], at: datetime
) -> tuple[str, str, dict[str, Any], list[str]]:
    """Return source, detail type, detail and ARNs of the event of a change.

    Source: CloudWatch user guide, "Alarm events and EventBridge".
    """
    old, new = (
        {"value": states[which]["stateValue"], "reason": states[which]["stateReason"]}
        for which in ("oldState", "newState")
    )
    if "AlarmRule" in definition:
        configuration: dict[str, Any] = {"alarmRule": definition["AlarmRule"]}
    else:
        configuration = {"metrics": _event_metrics(definition)}
    configuration["description"] = definition.get("AlarmDescription", "")
    detail = {
        "alarmName": definition["AlarmName"],
        "state": {**new, "timestamp": _stamp(at)},
        "previousState": old,
        "configuration": configuration,
    }
    return "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [arn]


def _event_metrics(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" in definition:
        return [
            {"id": one["Id"], "returnData": one.get("ReturnData", True)}
            | ({"expression": one["Expression"]} if "Expression" in one else {})
            for one in definition["Metrics"]
        ]
    metric = {
        "namespace": definition["Namespace"],
        "name": definition["MetricName"],
        "dimensions": {d["Name"]: d["Value"] for d in definition["Dimensions"]},
    }
    stat = definition.get("Statistic") or definition["ExtendedStatistic"]
    read = {"metric": metric, "period": definition["Period"], "stat": stat}
    return [{"id": "m1", "metricStat": read, "returnData": True}]


def _stamp(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
