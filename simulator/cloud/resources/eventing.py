"""EventBridge rules with their targets."""

from __future__ import annotations

import json
from typing import Any

from simulator.cloud.resources.declarations import NAMED, TEXT, enforced, honoured
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::Events::Rule",
    {
        "Name": NAMED,
        "Description": TEXT,
        "EventBusName": enforced("test_events.test_what_a_rule_cannot_do_here_is_refused_by_name"),
        "EventPattern": honoured("test_events.test_an_object_that_arrives_starts_the_machine"),
        "ScheduleExpression": honoured(
            "test_events.test_a_schedule_starts_the_machine_on_the_runs_clock"
        ),
        "State": honoured("test_events.test_a_schedule_starts_the_machine_on_the_runs_clock"),
        "Targets": enforced(
            "test_events.test_a_role_that_may_not_start_it_does_not_and_the_queue_gets_the_event"
        ),
    },
)
def rule(resource: Resource) -> Outcome:
    """Create a rule, then its targets."""
    properties = resource.properties
    name = resource.name("Name", longest=64)
    pattern = properties.take("EventPattern")
    targets: list[dict[str, Any]] = properties.take("Targets", [])
    values = {"Name": name, **properties.rest()}
    if pattern is not None:
        values["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(pattern)
    params = resource.fit("events", "PutRule", values)
    resource.call("events", "PutRule", params)
    if targets:
        given = resource.fit("events", "PutTargets", {"Rule": name, "Targets": targets})
        resource.call("events", "PutTargets", given)
    return name, {"Arn": resource.context.arn("events", f"rule/{name}")}
