"""What there is of alarms: descriptions by name, metric and relation, and their history.

Used by `alarms`, whose alarms these are; nothing here changes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simulator.cloud.alarm_messages import shown
from simulator.cloud.alarm_rules import ACTIONS
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Params
from simulator.cloud.pages import page

if TYPE_CHECKING:
    from simulator.cloud.alarms import Alarm

PAGE = 100
"""Most alarms, or history items, in one answer (DescribeAlarms API reference)."""


class AlarmLists:
    """Answers about alarms, by name."""

    def __init__(self, alarms: Mapping[str, Alarm]) -> None:
        self._alarms = alarms

    def describe(self, call: Call) -> Answer:
        """Answer DescribeAlarms."""
        params = call.params
        found = _paged("Alarms", list(self._chosen(params)), params, 50)
        alarms = found.pop("Alarms")
        return found | {
            f"{kind}s": [shown(alarm) for alarm in alarms if alarm.kind == kind]
            for kind in ("MetricAlarm", "CompositeAlarm")
        }

    def describe_for_metric(self, call: Call) -> Answer:
        """Answer the alarms on one metric; those with expressions are not among them."""
        params = call.params
        wanted = ("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Period", "Unit")
        dimensions = {d["Name"]: d["Value"] for d in params.get("Dimensions", [])}
        found = [
            shown(alarm)
            for _, alarm in sorted(self._alarms.items())
            if "MetricName" in alarm.definition
            and {d["Name"]: d["Value"] for d in alarm.definition["Dimensions"]} == dimensions
            and all(params[n] == alarm.definition.get(n) for n in wanted if n in params)
        ]
        return {"MetricAlarms": found}

    def _chosen(self, params: Params) -> Iterator[Alarm]:
        """Yield the alarms that DescribeAlarms asks for, by name."""
        names, wanted = params.get("AlarmNames"), params.get("StateValue")
        action = params.get("ActionPrefix", "")
        # Without AlarmTypes only metric alarms are told of (DescribeAlarms API reference), but
        # for relatives, which are asked for by the name of another alarm.
        family = [n for n in ("ChildrenOfAlarmName", "ParentsOfAlarmName") if n in params]
        kinds = ["MetricAlarm", "CompositeAlarm"] if family else ["MetricAlarm"]
        kinds = params.get("AlarmTypes", kinds)
        children = self._children(params.get("ChildrenOfAlarmName"))
        child = params.get("ParentsOfAlarmName")
        for name, alarm in sorted(self._alarms.items()):
            actions = [a for kind in ACTIONS.values() for a in alarm.definition[kind]]
            if (
                (names is None or name in names)
                and alarm.kind in kinds
                and (children is None or name in children)
                and (child is None or (alarm.rule is not None and child in alarm.rule.children))
                and name.startswith(params.get("AlarmNamePrefix", ""))
                and wanted in (None, alarm.state)
                and (not action or any(a.startswith(action) for a in actions))
            ):
                yield alarm

    def _children(self, parent: str | None) -> frozenset[str] | None:
        if parent is None:
            return None
        rule = self._alarms[parent].rule if parent in self._alarms else None
        return frozenset() if rule is None else rule.children

    def describe_history(self, call: Call) -> Answer:
        """Answer DescribeAlarmHistory."""
        params = call.params
        if "AlarmContributorId" in params:
            raise NotSupportedByTwin("AlarmContributorId of DescribeAlarmHistory")
        since, until = params.get("StartDate"), params.get("EndDate")
        items = [
            item
            for name, alarm in sorted(self._alarms.items())
            for item in alarm.history
            if params.get("AlarmName") in (None, name)
            and alarm.kind in params.get("AlarmTypes", [alarm.kind])
            and params.get("HistoryItemType") in (None, item["HistoryItemType"])
            and (since is None or item["Timestamp"] >= since)
            and (until is None or item["Timestamp"] <= until)
        ]
        items.sort(key=lambda item: item["Timestamp"])
        if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            items.reverse()
        return _paged("AlarmHistoryItems", items, params, PAGE)


def _paged(name: str, items: list[Any], params: Params, default: int) -> Answer:
    limit = min(params.get("MaxRecords", default), PAGE)
    found, token = page(items, limit, params.get("NextToken"), "InvalidNextToken")
    return {name: found, **({"NextToken": token} if token else {})}
