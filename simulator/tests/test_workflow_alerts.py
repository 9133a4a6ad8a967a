"""An execution that ends in any way but well is told of once, with its link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.targets import Embedded
from simulator.tests.command import changed_assembly, without_statement

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
    assert logged(target, "features")[-1] == ("ExecutionAborted", stopped, {"cause": "by hand"})


def logged(target: Embedded, workflow: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (type of event, execution, details) of what a workflow's log group has."""
    group = f"/aws/vendedlogs/states/fleetwin-dev-{workflow}"
    events = target.call("logs", "FilterLogEvents", logGroupName=group)["events"]
    lines = [json.loads(event["message"]) for event in events]
    return [(line["type"], line["execution_arn"], line["details"]) for line in lines]


def ended(target: Embedded, ending: str, data: str) -> Any:
    """Run an execution of one of the stack's machines to its end; return what is described."""
    arn = target.name_of("AWS::StepFunctions::StateMachine", f"-{ending}")
    execution = target.start_workflow(arn, data, "an-execution", lambda state, what: None)
    target.run_until(execution.done)
    target.run_until(target.clock.now + 120.0)
    return target.call("stepfunctions", "DescribeExecution", executionArn=execution.arn)


@pytest.mark.parametrize(
    ("ending", "data", "error", "is_caught"),
    [
        ("nightly", "{}", "States.Runtime", False),
        ("nightly", '{"time": "no time"}', "States.QueryEvaluationError", False),
        ("features", '{"detail": {"object": {"key": "k"}}}', "States.Runtime", False),
        ("training", "{}", "States.Runtime", False),
        ("batch", "{}", "NoApprovedModel", True),
    ],
)
def test_an_execution_that_fails_anywhere_is_told_of_once(
    target: Embedded, ending: str, data: str, error: str, is_caught: bool
) -> None:
    found = ended(target, ending, data)
    assert (found["status"], found["error"]) == ("FAILED", error)
    assert found["cause"].startswith("Alerted: ") == is_caught
    (told,) = alerts(target)
    assert (told["kind"], told["error"]) == ("workflow_failed", error)
    assert told["cause"] == found["cause"].removeprefix("Alerted: ")
    assert told["execution"] == "an-execution"
    assert told["link"] == f"{CONSOLE}#/v2/executions/details/{found['executionArn']}"
    assert ("state" in told) == is_caught, "the rule does not know it"
    why = {name: found[name] for name in ("error", "cause")}
    assert logged(target, ending)[-1] == ("ExecutionFailed", found["executionArn"], why)


def test_a_failure_that_the_workflow_may_not_publish_is_told_by_the_rule(tmp_path: Path) -> None:
    def remove(template: dict[str, Any]) -> None:
        without_statement(template, "BatchRole", "Notify")

    assembly = changed_assembly(tmp_path / "app", remove)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    made = Embedded(start, tmp_path / "state", speed=None, seed=1, assembly=assembly)
    try:
        made.boot({}, prewarmed=False)
        found = ended(made, "batch", "{}")
        (told,) = alerts(made)
    finally:
        made.close()
    assert (told["kind"], told["error"]) == ("workflow_failed", "NoApprovedModel")
    assert told["cause"] == found["cause"]
    assert "state" not in told
