"""A dispatch that records calls, refuses parameters that do not fit botocore, does nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from botocore.validate import ParamValidator

from simulator.cloud.assembly import Assembly, load_assembly
from simulator.cloud.context import Context
from simulator.cloud.engine import Engine
from simulator.cloud.errors import ValidationError
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Principal
from simulator.cloud.resources.shapes import input_shape

ACCOUNT = "000000000000"
ARN = f"arn:aws:%s:us-east-1:{ACCOUNT}:%s"


@dataclass
class RecordingDispatch:
    """Keeps (service, operation, params) of every call, and who called."""

    root: Principal
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    fails: Mapping[str, Exception] = field(default_factory=dict)

    def __call__(
        self, principal: Principal, service: str, operation: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        """Check the parameters, remember them, and answer as little as mappers read."""
        assert principal == self.root
        report = ParamValidator().validate(params, input_shape(service, operation))
        if report.has_errors():
            raise ValidationError(f"{service}:{operation}: {report.generate_report()}")
        self.calls.append((service, operation, params))
        if operation in self.fails:
            raise self.fails[operation]
        return _answer(operation, params, len(self.calls))

    def of(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of each call of one operation."""
        return [params for _, name, params in self.calls if name == operation]


def _answer(operation: str, params: Mapping[str, Any], number: int) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "CreateTopic": {"TopicArn": ARN % ("sns", params.get("Name"))},
        "Subscribe": {"SubscriptionArn": ARN % ("sns", f"topic:{number}")},
        "CreateQueue": {
            "QueueUrl": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{params.get('QueueName')}"
        },
        "CreateEventSourceMapping": {"UUID": f"mapping-{number}"},
        "CreateStateMachine": {
            "stateMachineArn": ARN % ("states", f"stateMachine:{params.get('name')}")
        },
        "CreateActivity": {"activityArn": ARN % ("states", f"activity:{params.get('name')}")},
        "CreateKey": {"KeyMetadata": {"KeyId": f"key-{number}"}},
        "DescribeStreamSummary": {"StreamDescriptionSummary": {"StreamStatus": "ACTIVE"}},
    }
    if operation.startswith("CreateLocation"):
        return {"LocationArn": ARN % ("datasync", f"location/loc-{number}")}
    answers["CreateAgent"] = {"AgentArn": ARN % ("datasync", f"agent/agent-{number}")}
    answers["CreateTask"] = {"TaskArn": ARN % ("datasync", f"task/task-{number}")}
    found: dict[str, Any] = answers.get(operation, {})
    return found


def recording_context(state: Path) -> tuple[Context, RecordingDispatch]:
    """Return a context whose calls are recorded and whose permissions are real."""
    iam = Iam(ACCOUNT)
    dispatch = RecordingDispatch(iam.root)
    context = Context(
        engine=Engine(datetime(2026, 1, 5, tzinfo=UTC)),
        dispatch=cast(Any, dispatch),
        iam=iam,
        processes=cast(Any, None),
        state=state,
    )
    return context, dispatch


def written(folder: Path, **templates: Mapping[str, Any]) -> Assembly:
    """Write templates as an assembly, one stack each, and read it back."""
    artifacts = {}
    for name, template in templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{ACCOUNT}/us-east-1",
            "properties": {"templateFile": f"{name}.template.json"},
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return load_assembly(folder)


def only(**resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template of these resources."""
    return {"Resources": resources}


def walk(value: Any) -> Iterator[Any]:
    """Yield every value inside, itself first."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        yield from walk(each)
