"""CloudFormation, to read: a twin's stacks, what they made, and what has happened to them.

Clients look names up with it that are generated or end in an account's number: the AWS CLI, and
`simulator.deployed` on a stack that may be here or on AWS. Stacks are made and changed by the
twin's own commands; the operations that would do that are refused by name, as any that a service
does not list. Source: CloudFormation API reference, actions of the same names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page
from simulator.cloud.stack_events import StackEvent

if TYPE_CHECKING:
    from simulator.cloud.template import Deployment

PAGE = 100
COMPLETE = "CREATE_COMPLETE"


@dataclass
class Stacks:
    """The stacks of the twin's deployment; there are none before it has booted."""

    context: Context
    deployment: Callable[[], Deployment | None]
    made: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.made = self.context.engine.now()

    def operations(self) -> dict[str, Operation]:
        """Return the operations that read."""
        return {
            "DescribeStacks": Operation(self._describe, resources=self._arns),
            "ListStacks": Operation(self._list),
            "ListStackResources": Operation(self._resources, resources=self._arns),
            "DescribeStackResources": Operation(self._all_resources, resources=self._arns),
            "DescribeStackEvents": Operation(self._events, resources=self._arns),
        }

    def _names(self) -> list[str]:
        deployment = self.deployment()
        return [] if deployment is None else sorted(deployment.parameters)

    def _id(self, name: str) -> str:
        return self.context.stack_events.stack_id(name)

    def _arns(self, params: Params) -> list[str]:
        name = params.get("StackName", "*")
        return [name if name.startswith("arn:") else self._id(name)]

    def _known(self, wanted: str | None) -> str:
        """Return the name of the stack that was named, or whose id was given."""
        for name in self._names():
            if wanted in (name, self._id(name)):
                return name
        raise AwsError("ValidationError", f"Stack with id {wanted} does not exist")

    def _describe(self, call: Call) -> Answer:
        wanted = call.params.get("StackName")
        names = [self._known(wanted)] if wanted else self._names()
        shown, token = page(names, PAGE, call.params.get("NextToken"), "ValidationError")
        return _with_token({"Stacks": [self._stack(name) for name in shown]}, token)

    def _stack(self, name: str) -> dict[str, Any]:
        deployment = self.deployment()
        assert deployment is not None, "a stack is known"
        several = len(deployment.parameters) > 1
        outputs = {
            key.removeprefix(f"{name}/") if several else key: value
            for key, value in deployment.outputs.items()
            if not several or key.startswith(f"{name}/")
        }
        return {
            **self._head(name),
            "DisableRollback": False,
            "NotificationARNs": [],
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": _text(value)}
                for key, value in deployment.parameters[name].items()
                if value is not None
            ],
            "Outputs": [
                {"OutputKey": key, "OutputValue": _text(value)} for key, value in outputs.items()
            ],
            "Tags": [],
        }

    def _head(self, name: str) -> dict[str, Any]:
        deployment = self.deployment()
        updated = deployment.updated if deployment is not None else None
        last = self.context.stack_events.of_stack_itself(name)
        return {
            "StackId": self._id(name),
            "StackName": name,
            "CreationTime": self.made,
            "StackStatus": self._status(name),
            **({"StackStatusReason": last.reason} if last is not None and last.reason else {}),
            **({"LastUpdatedTime": updated} if updated is not None else {}),
        }

    def _status(self, name: str) -> str:
        last = self.context.stack_events.of_stack_itself(name)
        return last.status if last is not None else COMPLETE

    def _list(self, call: Call) -> Answer:
        wanted = call.params.get("StackStatusFilter")
        names = [name for name in self._names() if not wanted or self._status(name) in wanted]
        shown, token = page(names, PAGE, call.params.get("NextToken"), "ValidationError")
        return _with_token({"StackSummaries": [self._head(name) for name in shown]}, token)

    def _events(self, call: Call) -> Answer:
        """Return what has happened to a stack, the newest first; to a deleted one by its id."""
        wanted = call.params["StackName"]
        events = self.context.stack_events
        gone = {each.node[0] for each in events.all if wanted == self._id(each.node[0])}
        try:
            name = gone.pop() if gone else self._known(wanted)
        except AwsError:
            message = f"Stack [{wanted}] does not exist"
            raise AwsError("ValidationError", message) from None
        shown, token = page(
            list(events.of(name)), PAGE, call.params.get("NextToken"), "ValidationError"
        )
        return _with_token({"StackEvents": [self._event(each) for each in shown]}, token)

    def _event(self, event: StackEvent) -> dict[str, Any]:
        name, logical_id = event.node
        found: dict[str, Any] = {
            "StackId": self._id(name),
            "EventId": f"{logical_id}-{event.status}-{event.number:06d}",
            "StackName": name,
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.type,
            "Timestamp": event.at,
            "ResourceStatus": event.status,
        }
        if event.reason:
            found["ResourceStatusReason"] = event.reason
        if event.properties is not None:
            found["ResourceProperties"] = json.dumps(event.properties, default=str)
        return found

    def _resources(self, call: Call) -> Answer:
        found = list(self._of(self._known(call.params["StackName"])))
        shown, token = page(found, PAGE, call.params.get("NextToken"), "ValidationError")
        for each in shown:
            each["LastUpdatedTimestamp"] = each.pop("Timestamp")
        return _with_token({"StackResourceSummaries": shown}, token)

    def _all_resources(self, call: Call) -> Answer:
        name, logical_id = call.params.get("StackName"), call.params.get("LogicalResourceId")
        if name is None:
            # By a resource's physical id the service finds the stack; nothing of ours asks so.
            raise AwsError("ValidationError", "Parameters [StackName] must not be null")
        name = self._known(name)
        head = {"StackId": self._id(name), "StackName": name}
        found = [
            {**head, **each}
            for each in self._of(name)
            if logical_id in (None, each["LogicalResourceId"])
        ]
        return {"StackResources": found[:PAGE]}

    def _of(self, name: str) -> Iterator[dict[str, Any]]:
        deployment = self.deployment()
        assert deployment is not None, "a stack is known"
        for one in deployment.resources.values():
            if one.stack != name:
                continue
            node = (one.stack, one.logical_id)
            last = self.context.stack_events.last_of(node, one.physical_id)
            reason = last.reason if last is not None else ""
            yield {
                "LogicalResourceId": one.logical_id,
                "PhysicalResourceId": one.physical_id,
                "ResourceType": one.type,
                "ResourceStatus": last.status if last is not None else COMPLETE,
                "Timestamp": last.at if last is not None else self.made,
                **({"ResourceStatusReason": reason} if reason else {}),
            }


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _with_token(answer: Answer, token: str | None) -> Answer:
    return answer if token is None else {**answer, "NextToken": token}
