"""An execution that is stopped, or runs out of time, is told of with its link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.targets import Embedded

CONSOLE = "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1"
NO_MANIFEST = json.dumps({"detail": {"bucket": {"name": "nowhere"}, "object": {"key": "gone"}}})


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Embedded]:
    made = Embedded(datetime(2026, 1, 5, tzinfo=UTC), tmp_path, speed=None, seed=1)
    try:
        made.boot({}, prewarmed=False)
        yield made
    finally:
        made.close()


def alerts(target: Embedded) -> list[dict[str, Any]]:
    """Take what has come into the inbox."""
    url = target.name_of("AWS::SQS::Queue", "alert-inbox")
    found = target.call("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in found.get("Messages", [])]


def test_an_execution_that_is_stopped_or_out_of_time_alerts_with_its_link(
    target: Embedded,
) -> None:
    features = target.name_of("AWS::StepFunctions::StateMachine", "-features")
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
    role = target.call("stepfunctions", "DescribeStateMachine", stateMachineArn=features)["roleArn"]
    slow, foreign = (
        target.call(
            "stepfunctions",
            "CreateStateMachine",
            name=name,
            definition=json.dumps({**wait, "TimeoutSeconds": 5}),
            roleArn=role,
        )["stateMachineArn"]
        for name in ("fleetwin-dev-slow", "another-slow")
    )
    # It waits to read a manifest again when it is stopped.
    stopped = target.call(
        "stepfunctions", "StartExecution", stateMachineArn=features, input=NO_MANIFEST
    )["executionArn"]
    late = target.call("stepfunctions", "StartExecution", stateMachineArn=slow)["executionArn"]
    target.call("stepfunctions", "StartExecution", stateMachineArn=foreign)
    target.run_until(2.0)
    target.call("stepfunctions", "StopExecution", executionArn=stopped, cause="by hand")
    target.run_until(20.0)
    expected = [("ABORTED", features, stopped), ("TIMED_OUT", slow, late)]
    assert alerts(target) == [
        {
            "kind": "workflow_ended",
            "status": status,
            "workflow": workflow,
            "execution": execution.rpartition(":")[2],
            "link": f"{CONSOLE}#/v2/executions/details/{execution}",
        }
        for status, workflow, execution in expected
    ]
