"""EventBridge rules with their targets."""

from __future__ import annotations

import json
from typing import Any

from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps("AWS::Events::Rule")
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
