"""Examples of EventBridge: rules, targets, events."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

events = Examples("events")

PATTERN = json.dumps({"source": ["plant"], "detail": {"severity": [{"numeric": [">", 0.5]}]}})
ENTRY = {"Source": "plant", "DetailType": "note", "Detail": '{"severity": 0.7}'}


def rule(w: World, key: str = "Name") -> dict[str, Any]:
    """Return the name of a new rule by pattern, with a topic as its target."""
    name = w.new("rule")
    w.do("events", "PutRule", Name=name, EventPattern=PATTERN, Description="of the contract")
    topic = w.do("sns", "CreateTopic", Name=w.new("topic"))["TopicArn"]
    w.do("events", "PutTargets", Rule=name, Targets=[{"Id": "topic", "Arn": topic}])
    return {key: name}


def _bare(w: World) -> dict[str, Any]:
    name = rule(w)["Name"]
    w.do("events", "RemoveTargets", Rule=name, Ids=["topic"])
    return {"Name": name}


def _target(w: World) -> str:
    listed = w.do("events", "ListTargetsByRule", **rule(w, "Rule"))
    return str(listed["Targets"][0]["Arn"])


def _two(w: World) -> dict[str, Any]:
    rule(w)
    rule(w)
    return {"NamePrefix": "rule", "Limit": 1}


events.add(
    "PutRule",
    lambda w: {"Name": w.new("rule"), "ScheduleExpression": "rate(5 minutes)"},
    "RuleArn",
)
events.add("DescribeRule", rule, "Name Arn EventPattern State Description EventBusName CreatedBy")
events.add("ListRules", _two, "Rules.Name Rules.Arn Rules.State Rules.EventBusName NextToken")
events.add("EnableRule", rule)
events.add("DisableRule", rule)
events.add("DeleteRule", _bare)
events.add(
    "PutTargets",
    lambda w: {**rule(w, "Rule"), "Targets": [{"Id": "two", "Arn": _target(w), "Input": "{}"}]},
    "FailedEntryCount",
)
events.add(
    "RemoveTargets",
    lambda w: {**rule(w, "Rule"), "Ids": ["none"]},
    "FailedEntryCount FailedEntries.TargetId FailedEntries.ErrorCode FailedEntries.ErrorMessage",
)
events.add("ListTargetsByRule", lambda w: rule(w, "Rule"), "Targets.Id Targets.Arn")
events.add("ListRuleNamesByTarget", lambda w: {"TargetArn": _target(w)}, "RuleNames")
events.add("PutEvents", lambda w: {"Entries": [ENTRY]}, "FailedEntryCount Entries.EventId")
events.add(
    "PutEvents",
    lambda w: {"Entries": [{**ENTRY, "Detail": "["}]},
    "FailedEntryCount Entries.ErrorCode Entries.ErrorMessage",
    "a detail that is no JSON",
)
events.add(
    "TestEventPattern",
    lambda w: {"EventPattern": PATTERN, "Event": json.dumps({"source": "plant"})},
    "Result",
)
