"""Lambda functions, their event source mappings, and who may invoke them."""

from __future__ import annotations

from functools import partial
from typing import Any

from simulator.cloud.iam import Iam
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::Lambda::Function",
    recorded={
        "SnapStart": "workers are kept warm anyway",
        "RuntimeManagementConfig": "the runtime is this machine's Python",
    },
)
def function(resource: Resource) -> Outcome:
    """Create a function and wait until it is Active; reserved concurrency is its own call."""
    properties = resource.properties
    name = resource.name("FunctionName")
    reserved = properties.take("ReservedConcurrentExecutions")
    values = {"FunctionName": name, **properties.rest()}
    params = resource.fit("lambda", "CreateFunction", values)
    answer = resource.call("lambda", "CreateFunction", params)

    def ready() -> bool:
        now = resource.call("lambda", "GetFunctionConfiguration", {"FunctionName": name})
        return bool(now.get("State", "Active") == "Active")

    if answer.get("State", "Active") != "Active":
        resource.wait_until(ready, f"function {name}")
    if reserved is not None:
        concurrency = {"FunctionName": name, "ReservedConcurrentExecutions": int(reserved)}
        resource.call("lambda", "PutFunctionConcurrency", concurrency)
    return name, {"Arn": resource.context.arn("lambda", f"function:{name}")}


@maps("AWS::Lambda::EventSourceMapping")
def event_source_mapping(resource: Resource) -> Outcome:
    """Create a mapping; its id comes from the service."""
    params = resource.fit("lambda", "CreateEventSourceMapping", resource.properties.rest())
    answer = resource.call("lambda", "CreateEventSourceMapping", params)
    uuid = str(answer["UUID"])
    arn = resource.context.arn("lambda", f"event-source-mapping:{uuid}")
    return uuid, {"Id": uuid, "EventSourceMappingArn": arn}


@maps("AWS::Lambda::Permission")
def permission(resource: Resource) -> Outcome:
    """Add a statement to a function's policy, in Lambda and for decisions."""
    sid = resource.own_id()
    values = {"StatementId": sid, **resource.properties.rest()}
    params = resource.fit("lambda", "AddPermission", values)
    given = str(params["FunctionName"])
    is_arn = given.startswith("arn:")
    arn = given if is_arn else resource.context.arn("lambda", f"function:{given}")
    document = {"Version": "2012-10-17", "Statement": _statement(params, arn)}
    resource.register(partial(Iam.put_resource_policy, arn=arn, document=document, name=sid))
    resource.call("lambda", "AddPermission", params)
    return sid, {"Id": sid}


def _statement(params: dict[str, Any], arn: str) -> dict[str, Any]:
    """Return the statement that AddPermission stands for."""
    principal = str(params["Principal"])
    conditions: dict[str, dict[str, str]] = {}
    for name, operator in (("SourceArn", "ArnLike"), ("SourceAccount", "StringEquals")):
        if name in params:
            conditions.setdefault(operator, {})[f"aws:{name}"] = params[name]
    return {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": {"Service" if principal.endswith(".amazonaws.com") else "AWS": principal},
        "Action": params["Action"],
        "Resource": [arn, f"{arn}:*"],
        "Condition": conditions,
    }
