"""A small twin for tests of jobs and endpoints: real engine, processes, IAM and S3.

Dispatch authorises as the real one does and checks every request *and answer* against
botocore's models; logs and metrics are lists.
"""

from __future__ import annotations

import json
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
from simulator.cloud.errors import NotSupportedByTwin, ValidationError
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Call, Operation, Principal, passed_roles
from simulator.cloud.processes import Processes
from simulator.cloud.s3 import S3

START = datetime(2026, 1, 5, tzinfo=UTC)
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/job"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/container-assets:tiny"
PREFIXES = {"sagemaker-runtime": "sagemaker"}


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _misfit(shape: Any, value: Any) -> str:
    return str(ParamValidator().validate(value, shape).generate_report()) if shape else ""


class ModelledDispatch:
    """Authorise, validate, execute, and check that the answer fits the service's model."""

    def __init__(self, iam: Iam) -> None:
        self.root = iam.root
        self._iam = iam
        self._table: dict[tuple[str, str], Operation] = {}

    def register(self, service: str, operations: Mapping[str, Operation]) -> None:
        """Add a service's operations."""
        for name, operation in operations.items():
            self._table[service, name] = operation

    def __call__(
        self, principal: Principal, service: str, operation: str, params: dict[str, Any]
    ) -> Any:
        """Do one operation; an event's answer is not checked."""
        entry = self._table.get((service, operation))
        if entry is None:
            raise NotSupportedByTwin(f"{service}:{operation}")
        action = entry.action or f"{PREFIXES.get(service, service)}:{operation}"
        action = action if isinstance(action, str) else action(params)
        for resource in entry.resources(params):
            self._iam.authorise(principal, action, resource)
        for role, receiver in passed_roles(entry, params):
            passed_to = {"iam:PassedToService": receiver}
            self._iam.authorise(principal, "iam:PassRole", role, passed_to)
        shapes = _model(service).operation_model(operation)
        if report := _misfit(shapes.input_shape, params):
            raise ValidationError(report)
        answer = entry.execute(Call(principal, params))
        if not isinstance(answer, simpy.Event):
            assert not _misfit(shapes.output_shape, answer), answer
        return answer


OWN = ("ecr:*", "logs:*")
"""What services do for a job in its role's name."""


@dataclass
class Lines:
    """Log lines by (group, stream)."""

    groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def append(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Keep lines."""
        self.groups.setdefault((group, stream), []).extend(lines)

    def has(self, group: str) -> bool:
        """Tell whether there are lines of a group."""
        return any(each == group for each, _ in self.groups)

    def text(self, group: str) -> str:
        """Return all lines of a group."""
        return "\n".join("\n".join(kept) for key, kept in self.groups.items() if key[0] == group)


@dataclass
class Points:
    """Metric values by name."""

    values: dict[str, list[float]] = field(default_factory=dict)

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
        self.values.setdefault(f"{namespace}/{name}", []).append(value)


@dataclass
class JobTwin:
    """What a test works with."""

    context: Context
    engine: Engine
    iam: Iam
    s3: S3
    logs: Lines
    points: Points
    dispatch: ModelledDispatch

    def do(self, service: str, operation: str, **params: Any) -> Any:
        """Do an operation as the account's root; waits for one that takes its time."""
        answer = self.dispatch(self.dispatch.root, service, operation, params)
        if not isinstance(answer, simpy.Event):
            return answer
        # As the gateway does: the failure belongs to the caller, not to the environment.
        outcome = self.engine.env.event()

        def hand_over(done: simpy.Event) -> None:
            done.defused = True
            outcome.succeed((done.ok, done.value))

        assert answer.callbacks is not None
        answer.callbacks.append(hand_over)
        succeeded, value = self.engine.run(outcome)
        if not succeeded:
            raise value
        return value

    def allow(
        self, *statements: tuple[Sequence[str], Sequence[str]], own: Sequence[str] = OWN
    ) -> None:
        """Give the job's role exactly these (actions, resources), and ``own`` on everything."""
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
                for actions, resources in (*statements, (own, ["*"]))
            ],
        }
        services = {"Service": ["glue.amazonaws.com", "sagemaker.amazonaws.com"]}
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole"}],
        }
        self.iam.put_role(ROLE, trust, {"inline": document})

    def bucket(self, name: str, objects: Mapping[str, str | bytes] | None = None) -> None:
        """Create a bucket with some objects."""
        self.do("s3", "CreateBucket", Bucket=name)
        for key, body in (objects or {}).items():
            data = body.encode() if isinstance(body, str) else body
            self.do("s3", "PutObject", Bucket=name, Key=key, Body=data)

    def keys(self, bucket: str) -> list[str]:
        """Return the keys that S3 lists."""
        answer = self.do("s3", "ListObjectsV2", Bucket=bucket)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def container(self, folder: Path, script: str, entrypoint: str = "python main.py") -> None:
        """Make the asset behind `IMAGE`: a Dockerfile and the script that it runs."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.py").write_text(script)
        words = json.dumps(entrypoint.split())
        (folder / "Dockerfile").write_text(
            f"FROM python:3.11\nCOPY . /opt/program\nWORKDIR /opt/program\nENTRYPOINT {words}\n"
        )
        self.context.assets["tiny"] = folder

    def close(self) -> None:
        """End every child process and close the index."""
        self.context.processes.close(0.5)
        self.s3.close()


def job_twin(state: Path) -> JobTwin:
    """Return a twin that has S3 and IAM; register the service under test on its dispatch."""
    engine, iam = Engine(START), Iam(ACCOUNT)
    dispatch, logs, points = ModelledDispatch(iam), Lines(), Points()
    context = Context(engine, cast(Any, dispatch), iam, Processes(engine, state), state)
    context.logs = cast(Any, logs)
    context.cloudwatch = cast(Any, points)
    s3 = S3(context)
    dispatch.register("s3", s3.operations())
    twin = JobTwin(context, engine, iam, s3, logs, points, dispatch)
    twin.allow((["s3:*"], ["*"]))
    return twin
