"""Tasks that wait for their token: who may send it, heartbeats, time-outs; jitter of retries."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.asl_execution import Execution
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import (
    PUBLISH,
    THROTTLED,
    Bench,
    check_history,
    kinds,
    machine,
    output,
    task,
)

QUEUE = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
BODY = {"QueueUrl": "http://q", "MessageBody": {"token.$": "$$.Task.Token"}}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def waiting(resource: str = QUEUE, **more: Any) -> dict[str, Any]:
    """Return a state that sends its token to a queue and waits."""
    return task(resource, Parameters=BODY, **more)


def tokens(bench: Bench) -> list[str]:
    """Return the tokens that came into the queue, in order."""
    sent = [params for _, name, params in bench.calls if name == "SendMessage"]
    return [json.loads(params["MessageBody"])["token"] for params in sent]


def begun(bench: Bench, **state: Any) -> tuple[Execution, str]:
    """Start a machine of one waiting state; return it when it waits, with its token."""
    bench.program.setdefault("SendMessage", {"MessageId": "m"})
    execution = bench.start(machine(Ask=waiting(**state)))
    bench.engine.run(bench.engine.env.now + 1)
    return execution, tokens(bench)[-1]


def ended(bench: Bench, execution: Execution) -> Execution:
    bench.engine.run(execution.done)
    check_history(execution)
    return execution


@settings(max_examples=25, deadline=None)
@given(
    result=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_what_is_sent_with_the_token_is_the_states_result(result: Any) -> None:
    bench = Bench()
    execution, token = begun(bench)
    assert execution.status == "RUNNING"
    bench.do("SendTaskSuccess", taskToken=token, output=json.dumps(result))
    assert output(ended(bench, execution)) == result


@pytest.mark.parametrize(
    ("resource", "operation", "parameters"),
    [
        ("sqs:sendMessage", "SendMessage", {"QueueUrl": "http://q", "MessageBody.$": "$$.Task"}),
        ("sns:publish", "Publish", {"TopicArn": "t", "Message.$": "$$.Task"}),
        ("lambda:invoke", "Invoke", {"FunctionName": "f", "Payload.$": "$$.Task"}),
        (
            "aws-sdk:dynamodb:putItem",
            "PutItem",
            {"TableName": "t-1", "Item": {"pk": {"S.$": "States.JsonToString($$.Task)"}}},
        ),
    ],
)
def test_every_integration_with_a_token_calls_first_and_waits_then(
    bench: Bench, resource: str, operation: str, parameters: dict[str, Any]
) -> None:
    bench.program["Invoke"] = {"StatusCode": 200, "Payload": b'"seen"'}
    state = task(f"arn:aws:states:::{resource}.waitForTaskToken", Parameters=parameters)
    execution = bench.start(machine(Ask=state))
    bench.engine.run(100.0)
    ((_, name, params),) = bench.calls
    assert name == operation
    value: Any = params
    while not isinstance(value, (str, bytes)):
        value = value.get(list(value)[-1])
    bench.do("SendTaskSuccess", taskToken=json.loads(value)["Token"], output='{"by": "hand"}')
    assert output(ended(bench, execution)) == {"by": "hand"}
    assert bench.engine.env.now == 100.0
    assert kinds(execution)[2:6] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    details = execution.history.events[4]["taskSubmittedEventDetails"]
    assert details["resource"] == f"{resource.rpartition(':')[2]}.waitForTaskToken"
    assert ("SdkHttpMetadata" in details["output"]) == ("aws-sdk" not in resource)


def test_a_token_counts_once_and_only_while_its_task_waits(bench: Bench) -> None:
    execution, token = begun(bench, TimeoutSeconds=10)
    with pytest.raises(AwsError, match="InvalidOutput"):
        bench.do("SendTaskSuccess", taskToken=token, output="{")
    bench.do("SendTaskSuccess", taskToken=token, output="1")
    for operation in ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"):
        more = {"output": "2"} if operation == "SendTaskSuccess" else {}
        with pytest.raises(AwsError, match="TaskTimedOut: Task Timed Out: 'Provided task"):
            bench.do(operation, taskToken=token, **more)
        with pytest.raises(AwsError, match="InvalidToken: Invalid Token: 'Invalid token'"):
            bench.do(operation, taskToken="never issued", **more)
    assert output(ended(bench, execution)) == 1
    late, token = begun(bench, TimeoutSeconds=10)
    assert ended(bench, late).error == "States.Timeout"
    with pytest.raises(AwsError, match="TaskTimedOut"):
        bench.do("SendTaskSuccess", taskToken=token, output="1")
    stopped, token = begun(bench)
    bench.do("StopExecution", executionArn=stopped.arn)
    assert ended(bench, stopped).status == "ABORTED"
    with pytest.raises(AwsError, match="TaskTimedOut"):
        bench.do("SendTaskHeartbeat", taskToken=token)


@pytest.mark.parametrize("sent", [{"error": "No", "cause": "refused"}, {"error": "No"}, {}])
def test_a_failure_that_is_sent_is_the_tasks_own(bench: Bench, sent: dict[str, str]) -> None:
    execution, token = begun(bench)
    bench.do("SendTaskFailure", taskToken=token, **sent)
    ended(bench, execution)
    assert execution.status == "FAILED"
    assert (execution.error, execution.cause) == (sent.get("error"), sent.get("cause"))
    catch = [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.e", "Next": "Caught"}]
    caught = bench.start(machine(Ask=waiting(Catch=catch), Caught={"Type": "Succeed"}))
    bench.engine.run(bench.engine.env.now + 1)
    bench.do("SendTaskFailure", taskToken=tokens(bench)[-1], **sent)
    # What was not sent is null, as recorded on AWS.
    shown = {"Error": sent.get("error"), "Cause": sent.get("cause")}
    assert output(ended(bench, caught)) == {"e": shown}


def test_each_attempt_has_a_token_of_its_own(bench: Bench) -> None:
    retry = [{"ErrorEquals": ["No"], "IntervalSeconds": 5, "MaxAttempts": 1}]
    execution, first = begun(bench, Retry=retry)
    bench.do("SendTaskFailure", taskToken=first, error="No")
    bench.engine.run(20.0)
    second = tokens(bench)[-1]
    assert second != first
    with pytest.raises(AwsError, match="TaskTimedOut"):
        bench.do("SendTaskSuccess", taskToken=first, output="1")
    bench.do("SendTaskSuccess", taskToken=second, output="2")
    assert output(ended(bench, execution)) == 2


def beating(bench: Bench, token: str, beats: list[float]) -> SimGenerator:
    """Send heartbeats so many seconds after one another."""
    for wait_s in beats:
        yield bench.engine.env.timeout(wait_s)
        bench.do("SendTaskHeartbeat", taskToken=token)


@settings(max_examples=25, deadline=None)
@given(beats=st.lists(st.floats(0.1, 8.9), max_size=5))
def test_a_task_lives_as_long_as_its_heartbeats_come_and_so_long_after(beats: list[float]) -> None:
    bench = Bench()
    execution, token = begun(bench, HeartbeatSeconds=10)
    bench.engine.process(beating(bench, token, beats))
    began_s = bench.engine.env.now if beats else 0.0
    ended(bench, execution)
    assert bench.engine.env.now == pytest.approx(began_s + sum(beats) + 10.0)
    # As recorded on AWS: both the event and the execution say States.Timeout.
    assert (execution.error, execution.cause) == ("States.Timeout", None)
    assert kinds(execution)[-2:] == ["TaskTimedOut", "ExecutionFailed"]
    assert execution.history.events[2]["taskScheduledEventDetails"]["heartbeatInSeconds"] == 10


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout", "States.ALL"])
def test_a_missed_heartbeat_is_caught_by_either_of_its_names(bench: Bench, name: str) -> None:
    bench.program["SendMessage"] = {"MessageId": "m"}
    catch = [
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Wrong"},
        {"ErrorEquals": [name], "Next": "Right"},
    ]
    ask = waiting(HeartbeatSecondsPath="$.s", TimeoutSecondsPath="$.t", Catch=catch)
    ends: dict[str, dict[str, Any]] = {
        "Right": {"Type": "Pass", "End": True},
        "Wrong": {"Type": "Fail"},
    }
    execution = bench.run(machine(Ask=ask, **ends), {"s": 3, "t": 60})
    assert output(execution)["Error"] == "States.Timeout"
    assert bench.engine.env.now == 3.0
    if name != "States.ALL":
        timed_out = bench.run(machine(Ask=ask, **ends), {"s": 30, "t": 2})
        assert timed_out.status == ("SUCCEEDED" if name == "States.Timeout" else "FAILED")


@pytest.mark.parametrize("value", [0, -1, "5", None, True, 1.5])
def test_limits_by_path_must_be_positive_whole_numbers(bench: Bench, value: Any) -> None:
    ask = waiting(HeartbeatSecondsPath="$.s")
    assert bench.run(machine(Ask=ask), {"s": value}).error == "States.Runtime"


@pytest.mark.parametrize(
    "limits",
    [
        {"HeartbeatSeconds": 5, "TimeoutSeconds": 5},
        {"HeartbeatSeconds": 0},
        {"TimeoutSeconds": 1.5},
        {"HeartbeatSeconds": 5, "HeartbeatSecondsPath": "$.s"},
    ],
)
def test_limits_that_cannot_be_are_refused_when_the_machine_is_made(
    bench: Bench, limits: dict[str, Any]
) -> None:
    with pytest.raises(AwsError, match="InvalidDefinition"):
        bench.create(machine(Ask=waiting(**limits)))


def test_in_jsonata_the_token_is_in_the_context_and_limits_are_expressions(bench: Bench) -> None:
    ask = {
        "Type": "Task",
        "Resource": QUEUE,
        "Arguments": {"QueueUrl": "http://q", "MessageBody": "{% $states.context.Task %}"},
        "HeartbeatSeconds": "{% $states.input.s %}",
        "End": True,
    }
    execution = bench.start({"QueryLanguage": "JSONata", **machine(Ask=ask)}, {"s": 7})
    bench.engine.run(1.0)
    assert json.loads(bench.calls[0][2]["MessageBody"])["Token"]
    bench.engine.run(execution.done)
    assert bench.engine.env.now == 7.0


def test_full_jitter_waits_at_most_the_delay_and_the_same_in_every_run() -> None:
    def waits(**more: Any) -> list[float]:
        bench = Bench()
        bench.program["Publish"] = THROTTLED
        retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 8, "MaxAttempts": 6, **more}
        bench.run(machine(Send=task(PUBLISH, Retry=[retry])))
        times = bench.called("Publish")
        return [later - sooner for sooner, later in pairwise(times)]

    plain = waits(MaxDelaySeconds=30)
    assert plain == [8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    jittered = waits(MaxDelaySeconds=30, JitterStrategy="FULL")
    assert jittered == waits(MaxDelaySeconds=30, JitterStrategy="FULL")
    assert all(0 <= wait_s <= most_s for wait_s, most_s in zip(jittered, plain, strict=True))
    assert len(set(jittered)) == 6


def test_a_task_that_fails_in_a_branch_is_aborted_there_as_recorded(bench: Bench) -> None:
    bench.program["SendMessage"] = {"MessageId": "m"}
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Caught"}]
    both = {"Type": "Parallel", "Branches": [machine(Ask=waiting())], "Catch": catch}
    execution = bench.start(machine(Both={**both, "End": True}, Caught={"Type": "Succeed"}))
    bench.engine.run(1.0)
    bench.do("SendTaskFailure", taskToken=tokens(bench)[-1])
    assert output(ended(bench, execution)) == {"e": {"Error": None, "Cause": None}}
    links = [(event["type"], event["previousEventId"]) for event in execution.history.events]
    assert links[7:11] == [
        ("TaskFailed", 7),
        ("TaskStateAborted", 8),
        ("ParallelStateFailed", 8),
        ("ParallelStateExited", 10),
    ]
