"""Express machines: asked and answered at once, five minutes at most, nothing kept to ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import simpy

from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import (
    PUBLISH,
    ROLE,
    RUN_JOB,
    SECONDS,
    Bench,
    machine,
    task,
)
from simulator.cloud.validation import validate_answer


@pytest.fixture
def bench() -> Bench:
    return Bench()


def express(bench: Bench, definition: dict[str, Any]) -> str:
    """Return the ARN of a new Express machine."""
    params = {"name": "fast", "definition": json.dumps(definition), "roleArn": ROLE}
    return str(bench.do("CreateStateMachine", **params, type="EXPRESS")["stateMachineArn"])


def asked(bench: Bench, arn: str, data: Any, **more: Any) -> dict[str, Any]:
    """Start an execution and wait for its answer."""
    params = {"stateMachineArn": arn, "input": json.dumps(data), **more}
    event = bench.dispatch(bench.dispatch.root, "stepfunctions", "StartSyncExecution", params)
    assert isinstance(event, simpy.Event)
    answer: dict[str, Any] = bench.engine.run(event)
    validate_answer("stepfunctions", "StartSyncExecution", answer)
    return answer


def test_a_synchronous_execution_is_answered_with_its_output_and_its_bill(bench: Bench) -> None:
    arn = express(bench, machine(Wait=SECONDS))
    answer = asked(bench, arn, {"s": 7}, name="one")
    assert bench.engine.env.now == 7.0
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"s": 7})
    assert answer["executionArn"].startswith(arn.replace(":stateMachine:", ":express:") + ":one:")
    assert answer["billingDetails"] == {
        "billedMemoryUsedInMB": 64,
        "billedDurationInMilliseconds": 7_000,
    }
    again = asked(bench, arn, {"s": 0}, name="one", includedData="METADATA_ONLY")
    assert again["executionArn"] != answer["executionArn"]
    assert "output" not in again
    assert again["outputDetails"] == {"included": False}
    assert again["billingDetails"]["billedDurationInMilliseconds"] == 100


def test_a_failure_is_an_answer_and_five_minutes_are_the_end(bench: Bench) -> None:
    fail = {"Type": "Fail", "Error": "Bad", "Cause": "on purpose"}
    answer = asked(bench, express(bench, machine(Fail=fail)), {})
    assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "Bad", "on purpose")
    bench = Bench()
    answer = asked(bench, express(bench, machine(Wait=SECONDS)), {"s": 301})
    assert (answer["status"], bench.engine.env.now) == ("TIMED_OUT", 300.0)


def test_an_express_execution_runs_and_is_not_there_to_be_asked_for(bench: Bench) -> None:
    heard: list[Any] = []
    bench.context.emit = lambda *event: heard.append(event)
    arn = express(bench, machine(Send=task()))
    started = bench.do("StartExecution", stateMachineArn=arn)
    bench.engine.run(1.0)
    assert bench.called("Publish") == [0.0]
    assert "ExecutionsSucceeded" in bench.counted
    assert heard == []
    for operation in ("DescribeExecution", "StopExecution", "GetExecutionHistory"):
        with pytest.raises(AwsError, match="InvalidArn"):
            bench.do(operation, executionArn=started["executionArn"])
    with pytest.raises(AwsError, match="StateMachineTypeNotSupported: This operation is not"):
        bench.do("ListExecutions", stateMachineArn=arn)
    assert bench.do("ListStateMachines")["stateMachines"][0]["type"] == "EXPRESS"


@pytest.mark.parametrize(
    ("resource", "pattern"), [(RUN_JOB, ".sync"), (f"{PUBLISH}.waitForTaskToken", ".waitForTask")]
)
def test_what_waits_is_refused_in_an_express_machine(
    bench: Bench, resource: str, pattern: str
) -> None:
    text = f"Express state machine does not support '{pattern}.* integration at /States/A/Resource"
    with pytest.raises(AwsError, match=text):
        express(bench, machine(A=task(resource)))


def test_a_definition_can_be_validated_without_making_a_machine(bench: Bench) -> None:
    def validated(text: str, **more: Any) -> dict[str, Any]:
        return bench.do("ValidateStateMachineDefinition", definition=text, **more)

    assert validated(json.dumps(machine(A=task()))) == {
        "result": "OK",
        "diagnostics": [],
        "truncated": False,
    }
    # As recorded on AWS.
    assert validated(json.dumps({"States": {"A": {"Type": "Pass", "End": True}}})) == {
        "result": "FAIL",
        "diagnostics": [
            {
                "severity": "ERROR",
                "code": "SCHEMA_VALIDATION_FAILED",
                "message": "These fields are required: [StartAt]",
                "location": "/",
            }
        ],
        "truncated": False,
    }
    (found,) = validated("{")["diagnostics"]
    assert found["code"] == "INVALID_JSON_DESCRIPTION"
    text = json.dumps(machine(A=task(RUN_JOB), B={"Type": "Pass"}))
    assert validated(text, type="EXPRESS", maxResults=1)["truncated"] is True
    assert bench.do("ListStateMachines")["stateMachines"] == []
