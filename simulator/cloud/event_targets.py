"""What a rule's target is called with: the event, a part of it, or a text made from it.

Source: EventBridge user guide, "Event bus targets" and "Input transformation".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Params

_SUPPORTED = ("lambda", "sns", "sqs", "states")
_TAKEN = (
    "Id",
    "Arn",
    "RoleArn",
    "Input",
    "InputPath",
    "InputTransformer",
    "DeadLetterConfig",
    "RetryPolicy",
)
"""RetryPolicy changes nothing: what a target of the twin refuses, it refuses again."""
_PLACE = re.compile(r"<([A-Za-z0-9_.\-]+)>")
_PATH = re.compile(r"\$(\.[A-Za-z0-9_\-]+|\[\d+\])*")
_STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\[(\d+)\]")


def service_of(target: Mapping[str, Any]) -> str:
    """Return a target's service; what the twin would not call as AWS does is refused by name."""
    service = str(target["Arn"]).split(":")[2]
    if service not in _SUPPORTED:
        raise NotSupportedByTwin(f"events:PutTargets with a target in {service}")
    for name in target:
        if name not in _TAKEN:
            raise NotSupportedByTwin(f"events:PutTargets with {name}")
    if sum(name in target for name in ("Input", "InputPath", "InputTransformer")) > 1:
        raise AwsError(
            "ValidationException",
            "Only one of Input, InputPath, or InputTransformer must be provided for target "
            f"{target['Id']}.",
        )
    if service == "states" and "RoleArn" not in target:
        raise AwsError(
            "ValidationException",
            f"RoleArn is required for target {target['Arn']}.",
        )
    paths = [target.get("InputPath", "$")]
    paths += target.get("InputTransformer", {}).get("InputPathsMap", {}).values()
    for path in paths:
        if _PATH.fullmatch(path) is None:
            raise NotSupportedByTwin(f"events:PutTargets with the path {path!r}")
    return service


def arguments_of(target: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[str, str, Params]:
    """Return service, operation and parameters of the call that a target gets for an event."""
    text, arn, service = _input(target, event), target["Arn"], service_of(target)
    if service == "states":
        return "stepfunctions", "StartExecution", {"stateMachineArn": arn, "input": text}
    if service == "lambda":
        given = {"FunctionName": arn, "InvocationType": "Event", "Payload": text.encode()}
        return "lambda", "Invoke", given
    if service == "sns":
        return "sns", "Publish", {"TopicArn": arn, "Message": text}
    account, name = arn.split(":")[-2:]
    return "sqs", "SendMessage", {"QueueUrl": f"/{account}/{name}", "MessageBody": text}


def _input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    if "Input" in target:
        return str(target["Input"])
    if "InputTransformer" in target:
        return _transformed(target["InputTransformer"], event)
    return json.dumps(_at(event, target.get("InputPath", "$")))


def _transformed(transformer: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Fill a template: a string lands in quotes as it is, anything else as JSON."""
    values = {name: _at(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    template = str(transformer["InputTemplate"])
    is_json = template.lstrip().startswith("{")

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name == "aws.events.event.json":
            return json.dumps(event)
        value = values.get(name, "")
        if not isinstance(value, str):
            return json.dumps(value)
        quoted = json.dumps(value)
        is_bare = is_json and template[found.start() - 1 : found.start()] not in ('"', "\\")
        in_text = template[: found.start()].count('"') % 2 == 1
        return quoted if is_bare and not in_text else quoted[1:-1]

    text = _PLACE.sub(fill, template)
    # A template in quotes is a text, not JSON: the target gets what stands between them.
    return text if is_json else text.strip().strip('"')


def _at(event: Any, path: str) -> Any:
    value = event
    for name, place in _STEP.findall(path):
        try:
            value = value[int(place)] if place else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value
