"""What an account hears of executions: EventBridge's events, metrics, lines in a log group."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.asl_notices import DELIVERY, MAX_EVENT_BYTES, is_logged
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import (
    ROLE,
    SECONDS,
    THROTTLED,
    Bench,
    machine,
    task,
)
from simulator.cloud.validation import service_model

GROUP = "/aws/vendedlogs/states/one"
DESTINATION = {
    "cloudWatchLogsLogGroup": {"logGroupArn": f"arn:aws:logs:us-east-1:0:log-group:{GROUP}:*"}
}
FAIL = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}
PASS = {"Type": "Pass", "Result": {"a": 1}, "End": True}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.context.logs.append(GROUP, "made", [])
    yield bench
    bench.context.logs.close()


@pytest.fixture
def heard(bench: Bench) -> list[dict[str, Any]]:
    """Return the events that EventBridge gets."""
    events: list[dict[str, Any]] = []

    def emit(source: str, kind: str, detail: Any, resources: Any) -> None:
        assert (source, kind) == ("aws.states", "Step Functions Execution Status Change")
        assert list(resources) == [detail["executionArn"]]
        events.append(dict(json.loads(json.dumps(detail))))

    bench.context.emit = emit
    return events


@pytest.mark.parametrize(
    ("definition", "status", "shown"),
    [
        (machine(A=PASS), "SUCCEEDED", {"output": '{"a":1}', "outputDetails": {"included": True}}),
        (machine(A=FAIL), "FAILED", {"error": "Broken", "cause": "on purpose", "output": None}),
        ({**machine(A=SECONDS), "TimeoutSeconds": 5}, "TIMED_OUT", {"error": None}),
    ],
)
def test_each_change_of_an_executions_status_is_an_event_and_a_metric(
    bench: Bench, heard: list[dict[str, Any]], definition: Any, status: str, shown: dict[str, Any]
) -> None:
    execution = bench.run(definition, {"s": 30})
    bench.engine.run(bench.engine.env.now + 1)
    first, last = heard
    assert (first["status"], last["status"]) == ("RUNNING", status)
    assert first["stopDate"] is first["output"] is first["outputDetails"] is None
    assert first["input"] == last["input"] == '{"s": 30}'
    assert last["stopDate"] - last["startDate"] == (5_000 if status == "TIMED_OUT" else 0)
    assert {name: last[name] for name in shown} == shown
    assert last["stateMachineArn"] == execution.machine.arn
    word = {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
    assert bench.counted == ["ExecutionsStarted", f"Executions{word}", "ExecutionTime"]


def test_an_execution_that_is_stopped_is_told_with_error_and_cause(
    bench: Bench, heard: list[dict[str, Any]]
) -> None:
    execution = bench.start(machine(A=SECONDS), {"s": 30})
    bench.engine.run(3.0)
    bench.do("StopExecution", executionArn=execution.arn, error="Enough", cause="by hand")
    bench.engine.run(4.0)
    assert [event["status"] for event in heard] == ["RUNNING", "ABORTED"]
    assert (heard[1]["error"], heard[1]["cause"]) == ("Enough", "by hand")
    assert heard[1]["redriveStatus"] == "REDRIVABLE"


def test_what_is_too_long_for_an_event_is_left_out_and_said_to_be(
    bench: Bench, heard: list[dict[str, Any]]
) -> None:
    data = "x" * (MAX_EVENT_BYTES // 2)
    bench.run(machine(A={"Type": "Pass", "End": True}), data)
    bench.engine.run(1.0)
    assert heard[0]["inputDetails"] == {"included": True}
    assert (heard[1]["input"], heard[1]["inputDetails"]) == (None, {"included": False})
    assert heard[1]["outputDetails"] == {"included": True}


def lines(bench: Bench) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bench.context.logs.lines(GROUP)]


def logging(level: str, **more: Any) -> dict[str, Any]:
    return {"level": level, "destinations": [DESTINATION], **more}


def run_logged(bench: Bench, definition: Any, settings: dict[str, Any]) -> Any:
    params = {"name": "one", "definition": json.dumps(definition), "roleArn": ROLE}
    made = bench.do("CreateStateMachine", **params, loggingConfiguration=settings)
    started = bench.do("StartExecution", stateMachineArn=made["stateMachineArn"], input='{"b": 2}')
    execution = bench.workflows.execution(started["executionArn"])
    bench.engine.run(execution.done)
    return execution


@pytest.mark.parametrize("with_data", [True, False])
@pytest.mark.parametrize("level", ["ALL", "ERROR", "FATAL", "OFF"])
def test_a_log_has_the_events_of_its_level(bench: Bench, level: str, with_data: bool) -> None:
    bench.program["Publish"] = THROTTLED
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    definition = machine(A=task(Catch=catch), B=FAIL)
    execution = run_logged(bench, definition, logging(level, includeExecutionData=with_data))
    events = execution.history.events
    wanted = {
        "ALL": [event["type"] for event in events],
        "ERROR": ["TaskFailed", "FailStateEntered", "ExecutionFailed"],
        "FATAL": ["ExecutionFailed"],
        "OFF": [],
    }[level]
    found = lines(bench)
    assert [line["type"] for line in found] == wanted
    for line in found:
        event = events[int(line["id"]) - 1]
        assert line["execution_arn"] == execution.arn
        assert line["previous_event_id"] == str(event["previousEventId"])
        assert line["event_timestamp"] == str(int(event["timestamp"].timestamp() * 1000))
        assert ("input" in line["details"]) == (
            with_data and line["type"] in ("ExecutionStarted", "TaskStateEntered")
        ) or line["type"] == "FailStateEntered"
    if level == "FATAL":
        assert found[0]["details"] == {"error": "Broken", "cause": "on purpose"}


def test_every_type_of_event_has_its_place_in_the_levels() -> None:
    shape: Any = service_model("stepfunctions").shape_for("HistoryEventType")
    kinds = shape.enum
    assert all(is_logged("ALL", kind) and not is_logged("OFF", kind) for kind in kinds)
    fatal = {kind for kind in kinds if is_logged("FATAL", kind)}
    assert fatal == {"ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
    assert fatal < {kind for kind in kinds if is_logged("ERROR", kind)}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"level": "ALL"}, "Must specify exactly one Log Destination."),
        ({"level": "OFF", "destinations": [DESTINATION] * 2}, "Must specify exactly one"),
        (
            {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": "a:b"}}]},
            "must end with",
        ),
        (
            {
                "level": "ALL",
                "destinations": [
                    {"cloudWatchLogsLogGroup": {"logGroupArn": "a:log-group:other:*"}}
                ],
            },
            "not found",
        ),
    ],
)
def test_a_destination_that_cannot_be_is_refused(
    bench: Bench, settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(AwsError, match=f"InvalidLoggingConfiguration: .*{text}"):
        run_logged(bench, machine(A=PASS), settings)


@pytest.mark.parametrize("action", DELIVERY)
def test_a_role_that_may_not_deliver_logs_is_refused_when_the_machine_is_made(
    bench: Bench, action: str
) -> None:
    deny = {"Effect": "Deny", "Action": f"logs:{action}", "Resource": "*"}
    bench.iam.put_role_policy(ROLE, "deny", {"Version": "2012-10-17", "Statement": deny})
    with pytest.raises(AwsError, match="AccessDeniedException: The state machine IAM Role"):
        run_logged(bench, machine(A=PASS), logging("ERROR"))
    run_logged(bench, machine(A=PASS), {"level": "OFF"})


def test_a_history_without_data_keeps_what_happened(bench: Bench) -> None:
    execution = bench.run(machine(A=PASS), {"b": 2})
    shown = bench.do("GetExecutionHistory", executionArn=execution.arn, includeExecutionData=False)
    assert [event["type"] for event in shown["events"]] == [
        event["type"] for event in execution.history.events
    ]
    assert "b" not in json.dumps(
        [event.get("stateEnteredEventDetails") for event in shown["events"]]
    )
    assert shown["events"][1]["stateEnteredEventDetails"] == {"name": "A"}
