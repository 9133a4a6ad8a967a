"""A small twin for tests of streams, functions, mappings and rules.

Real engine and processes; dispatch checks every request *and answer* against botocore's
models; permissions are a set of denied actions; metrics and logs are lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import botocore.session
import simpy
from botocore.validate import ParamValidator

from simulator.cloud.context import Context
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AccessDenied, NotSupportedByTwin, ValidationError
from simulator.cloud.metered import Metered
from simulator.cloud.operations import Call, Operation, Principal
from simulator.cloud.processes import Processes

START = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::000000000000:role/worker"


@cache
def model(service: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def misfit(shape: Any, value: Any) -> str:
    """Say how a value does not fit a botocore shape; empty when it does.

    botocore's model asks for a FailedRecordCount of 1 or more and for at least one
    ShardLevelMetric; AWS itself answers 0 and an empty list.
    """
    if shape is None:
        return ""
    report = cast(str, ParamValidator().validate(value, shape).generate_report())
    lines = report.splitlines()
    known = "FailedRecordCount", "ShardLevelMetrics"
    return "\n".join(line for line in lines if not any(name in line for name in known))


@dataclass
class FakeIam:
    """Everyone may do everything but what is in ``denied`` (``service:Operation``)."""

    account: str = "000000000000"
    denied: set[str] = field(default_factory=set)

    def principal_for_role(
        self, role_arn: str, session: str, service: str = "lambda.amazonaws.com"
    ) -> Principal:
        """Return the session of any role."""
        name = role_arn.rpartition("/")[2]
        return Principal(f"arn:aws:sts::{self.account}:assumed-role/{name}/{session}", role_arn)

    def authorise(
        self, principal: Principal, action: str, resource: str, *_: Any, **__: Any
    ) -> None:
        """Raise AccessDenied for what is in ``denied``."""
        if action in self.denied:
            raise AccessDenied(principal.arn, action, resource, explicit=False)

    def put_resource_policy(self, arn: str, document: Any, name: str = "") -> None:
        """Take a policy that nobody asks."""

    def issue_credentials(self, role_arn: str, session: str, worker: str) -> tuple[str, str, str]:
        """Return credentials that nobody checks."""
        return ("AKIDTEST", "secret", "token")


class FakeDispatch:
    """Authorise by the fake IAM, validate both ways, execute; records calls' names."""

    def __init__(self, iam: FakeIam) -> None:
        self.metered = Metered()
        self.iam = iam
        self.table: dict[tuple[str, str], Operation] = {}
        self.calls: list[tuple[str, str]] = []
        self.root = Principal(arn=f"arn:aws:iam::{iam.account}:root")

    def register(self, service: str, operations: Mapping[str, Operation]) -> None:
        """Add a service's operations."""
        for name, operation in operations.items():
            self.table[service, name] = operation

    def __call__(
        self,
        principal: Principal,
        service: str,
        operation: str,
        params: dict[str, Any],
        *,
        built_to_model: bool = False,
    ) -> Any:
        """Do one operation; always validated here, so that what claims to fit is checked."""
        self.calls.append((service, operation))
        entry = self.table.get((service, operation))
        if entry is None:
            raise NotSupportedByTwin(f"{service}:{operation}")
        if principal.role_arn is not None:
            action = entry.action or f"{service}:{operation}"
            if callable(action):
                action = action(params)
            for resource in entry.resources(params):
                self.iam.authorise(principal, action, resource)
        shapes = model(service).operation_model(operation)
        if report := misfit(shapes.input_shape, params):
            raise ValidationError(report)
        answer = entry.execute(Call(principal, params))
        if not isinstance(answer, simpy.Event):
            assert not misfit(shapes.output_shape, answer), answer
        return answer


@dataclass
class FakeCloudwatch:
    """Metrics as a list of (namespace, name, dimensions, value, unit, at_s)."""

    points: list[tuple[str, str, dict[str, str], float, str, float | None]] = field(
        default_factory=list
    )

    def record(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        unit: str,
        at_s: float | None = None,
    ) -> None:
        """Keep a point."""
        self.points.append((namespace, name, dict(dimensions), value, unit, at_s))

    def total(self, name: str) -> float:
        """Return the sum of a metric's values."""
        return sum(point[3] for point in self.points if point[1] == name)


@dataclass
class FakeLogs:
    """Log lines by group."""

    groups: dict[str, list[str]] = field(default_factory=dict)

    def has(self, group: str) -> bool:
        """Tell whether there are lines of a group."""
        return group in self.groups

    def append(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Keep lines."""
        self.groups.setdefault(group, []).extend(lines)


class Inbox:
    """S3 and SQS as far as destinations and error actions need them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.messages: list[str] = []

    def head_bucket(self, call: Call) -> dict[str, Any]:
        """Know every bucket."""
        return {}

    def put_object(self, call: Call) -> dict[str, Any]:
        """Keep an object by its key."""
        self.objects[call.params["Key"]] = call.params["Body"]
        return {}

    def send_message(self, call: Call) -> dict[str, Any]:
        """Keep a message."""
        self.messages.append(call.params["MessageBody"])
        return {"MessageId": "m", "MD5OfMessageBody": "0" * 32}


@dataclass
class Twin:
    """What a test works with; ``close`` ends the children."""

    context: Context
    engine: Engine
    dispatch: FakeDispatch
    iam: FakeIam
    cloudwatch: FakeCloudwatch
    logs: FakeLogs
    inbox: Inbox
    processes: Processes

    def do(self, service: str, operation: str, **params: Any) -> Any:
        """Do an operation as the account's root; runs the engine when it takes its time."""
        answer = self.dispatch(self.dispatch.root, service, operation, params)
        return self.engine.run(answer) if isinstance(answer, simpy.Event) else answer

    def close(self) -> None:
        """End every child process."""
        self.processes.close(0.5)


def fake_twin(state: Path) -> Twin:
    """Return a twin with S3 and SQS stubs and no other service."""
    engine, iam = Engine(START), FakeIam()
    dispatch, cloudwatch, logs, inbox = (
        FakeDispatch(iam),
        FakeCloudwatch(),
        FakeLogs(),
        Inbox(),
    )
    processes = Processes(engine, state)
    context = Context(engine, cast(Any, dispatch), cast(Any, iam), processes, state, gateway_url="")
    context.cloudwatch = cast(Any, cloudwatch)
    context.logs = cast(Any, logs)
    dispatch.register(
        "s3",
        {
            "HeadBucket": Operation(inbox.head_bucket, action="s3:ListBucket"),
            "PutObject": Operation(inbox.put_object),
        },
    )
    dispatch.register("sqs", {"SendMessage": Operation(inbox.send_message)})
    return Twin(context, engine, dispatch, iam, cloudwatch, logs, inbox, processes)
