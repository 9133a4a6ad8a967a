"""What a workflow does when a state fails or takes its time: Retry, Catch, time-outs, Wait."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import (
    FUNCTION,
    RUN_JOB,
    SECONDS,
    THROTTLED,
    Bench,
    kinds,
    machine,
    output,
    task,
)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- Retry


@settings(max_examples=60, deadline=None)
@given(
    failures=st.integers(0, 6),
    interval_s=st.integers(1, 5),
    attempts=st.integers(0, 4),
    backoff=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    longest_s=st.none() | st.integers(1, 20),
)
def test_a_retry_waits_longer_each_time_and_gives_up_when_attempts_are_used(
    failures: int, interval_s: int, attempts: int, backoff: float, longest_s: int | None
) -> None:
    bench = Bench()
    left = iter([True] * failures)
    bench.program["Publish"] = lambda call: THROTTLED if next(left, False) else {"MessageId": "m"}
    retrier = {
        "ErrorEquals": ["SNS.ThrottledException"],
        "IntervalSeconds": interval_s,
        "MaxAttempts": attempts,
        "BackoffRate": backoff,
        **({"MaxDelaySeconds": longest_s} if longest_s else {}),
    }
    execution = bench.run_states(Send=task(Retry=[retrier]))
    expected, at_s = [0.0], 0.0
    for number in range(min(failures, attempts)):
        at_s += min(interval_s * backoff**number, longest_s or float("inf"))
        expected.append(at_s)
    assert bench.called("Publish") == pytest.approx(expected)
    assert execution.status == ("SUCCEEDED" if failures <= attempts else "FAILED")
    if execution.status == "FAILED":
        assert execution.error == "SNS.ThrottledException"
    assert kinds(execution).count("TaskFailed") == min(failures, attempts + 1)


def test_retriers_count_their_attempts_apart_and_defaults_are_three_one_and_two(
    bench: Bench,
) -> None:
    errors = iter([THROTTLED, AwsError("InternalError", "x", 500)] * 4)
    bench.program["Publish"] = lambda call: next(errors)
    retry = [{"ErrorEquals": ["SNS.ThrottledException"]}, {"ErrorEquals": ["States.ALL"]}]
    execution = bench.run_states(Send=task(Retry=retry))
    # 1, 1, 2, 2, 4, 4 seconds; the fourth throttling finds its retrier used up.
    assert bench.called("Publish") == [0, 1, 2, 4, 6, 10, 14]
    assert execution.error == "SNS.ThrottledException"


def test_only_the_first_retrier_that_matches_an_error_is_ever_used_for_it(bench: Bench) -> None:
    bench.program["Publish"] = THROTTLED
    retry = [
        {"ErrorEquals": ["SNS.NotFoundException"], "IntervalSeconds": 9},
        {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 2, "MaxAttempts": 1},
        {"ErrorEquals": ["SNS.ThrottledException"], "IntervalSeconds": 5},
    ]
    execution = bench.run_states(Send=task(Retry=retry))
    assert bench.called("Publish") == [0.0, 2.0]
    assert execution.error == "SNS.ThrottledException"


def test_the_context_tells_how_often_a_state_was_retried(bench: Bench) -> None:
    texts: list[str] = []

    def publish(call: Any) -> Any:
        texts.append(call.params["Message"])
        return THROTTLED if len(texts) < 3 else {"MessageId": "m"}

    bench.program["Publish"] = publish
    parameters = {"Message.$": "States.Format('{}', $$.State.RetryCount)", "TopicArn": "t"}
    retry = [{"ErrorEquals": ["States.TaskFailed"]}]
    bench.run_states(Send=task(Parameters=parameters, Retry=retry))
    assert texts == ["0", "1", "2"]


# -- Catch


@pytest.mark.parametrize(
    ("names", "caught"),
    [
        (["SNS.ThrottledException"], True),
        (["States.TaskFailed"], True),
        (["States.ALL"], True),
        (["SNS.NotFoundException"], False),
        (["States.Timeout"], False),
    ],
)
def test_a_catcher_gets_error_and_cause_where_it_asks_for_them(
    bench: Bench, names: list[str], caught: bool
) -> None:
    bench.program["Publish"] = THROTTLED
    catch = [{"ErrorEquals": names, "ResultPath": "$.error", "Next": "Caught"}]
    states = {
        "Send": task(Catch=catch, Next="Sent"),
        "Sent": {"Type": "Succeed"},
        "Caught": {"Type": "Succeed"},
    }
    execution = bench.run_states({"kept": 1}, **states)
    if not caught:
        assert execution.error == "SNS.ThrottledException"
        assert "TaskStateExited" not in kinds(execution)
        return
    assert output(execution) == {
        "kept": 1,
        "error": {
            "Error": "SNS.ThrottledException",
            "Cause": "slow down (Service: AmazonSNS; Status Code: 429; Error Code: Throttled; "
            "Request ID: 0; Proxy: null)",
        },
    }


def test_the_first_catcher_that_matches_is_taken_after_retries_are_used(bench: Bench) -> None:
    bench.program["Publish"] = THROTTLED
    states = {
        "Send": task(
            Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
            Catch=[
                {"ErrorEquals": ["SNS.ThrottledException"], "Next": "First"},
                {"ErrorEquals": ["States.ALL"], "Next": "Second"},
            ],
        ),
        "First": {"Type": "Pass", "Result": 1, "End": True},
        "Second": {"Type": "Pass", "Result": 2, "End": True},
    }
    assert output(bench.run_states(**states)) == 1
    assert bench.called("Publish") == [0.0, 1.0]


def test_a_runtime_error_ends_the_execution_whatever_is_caught(bench: Bench) -> None:
    catch = [
        {"ErrorEquals": ["States.Runtime"], "Next": "Caught"},
        {"ErrorEquals": ["States.ALL"], "Next": "Caught"},
    ]
    parameters = {"Message.$": "$.not_there", "TopicArn": "t"}
    states = {"Send": task(Parameters=parameters, Catch=catch), "Caught": {"Type": "Succeed"}}
    execution = bench.run_states(**states)
    assert (execution.status, execution.error) == ("FAILED", "States.Runtime")
    assert execution.cause == (
        "An error occurred while executing the state 'Send' (entered at the event id #2). The "
        "JSONPath '$.not_there' specified for the field 'Message.$' could not be found in the "
        "input '{}'"
    )


def test_a_result_path_through_something_that_is_no_object_fails_by_its_name(bench: Bench) -> None:
    states = {"Put": {"Type": "Pass", "Result": 1, "ResultPath": "$.a.b", "End": True}}
    assert output(bench.run_states({}, **states)) == {"a": {"b": 1}}
    assert bench.run_states({"a": 3}, **states).error == "States.ResultPathMatchFailure"
    assert bench.run_states([1], **states).error == "States.ResultPathMatchFailure"


def test_a_fail_state_names_its_error_from_its_input_which_must_be_text(bench: Bench) -> None:
    state = {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"}
    execution = bench.run_states({"e": "Mine", "c": "why"}, Stop=state)
    assert (execution.error, execution.cause) == ("Mine", "why!")
    assert bench.run_states({"e": 5, "c": "why"}, Stop=state).error == "States.Runtime"


# -- time


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([FUNCTION, RUN_JOB]))
def test_a_task_times_out_exactly_when_its_work_is_longer(
    work_s: int, timeout_s: int, resource: str
) -> None:
    bench = Bench()
    bench.program["Invoke"] = lambda call: bench.later(
        work_s, {"StatusCode": 200, "Payload": b"{}"}
    )
    execution = bench.run_states({"s": work_s}, Work=task(resource, TimeoutSeconds=timeout_s))
    assert bench.engine.env.now == min(work_s, timeout_s)
    if work_s > timeout_s:
        assert (execution.status, execution.error) == ("FAILED", "States.Timeout")
        assert ("LambdaFunctionTimedOut" if resource == FUNCTION else "TaskTimedOut") in kinds(
            execution
        )
    elif work_s < timeout_s:
        assert execution.status == "SUCCEEDED"
    # What the task had started may still fail: that concerns nobody.
    events = len(execution.history.events)
    bench.engine.run(100.0)
    assert len(execution.history.events) == events


def test_work_that_fails_after_its_task_timed_out_concerns_nobody(bench: Bench) -> None:
    bench.program["Invoke"] = lambda call: bench.later(5.0, AwsError("TooLate", "late"))
    execution = bench.run_states(Work=task(FUNCTION, TimeoutSeconds=2))
    assert execution.error == "States.Timeout"
    bench.engine.run(10.0)
    assert execution.status == "FAILED"


def test_a_time_out_is_caught_by_its_name_and_not_as_a_failed_task(bench: Bench) -> None:
    catch = [
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Failed"},
        {"ErrorEquals": ["States.Timeout"], "Next": "Late"},
    ]
    states = {
        "Work": task(RUN_JOB, TimeoutSeconds=3, Catch=catch),
        "Failed": {"Type": "Fail"},
        "Late": {"Type": "Pass", "Result": "late", "End": True},
    }
    assert output(bench.run_states({"s": 9}, **states)) == "late"


def test_the_machines_own_time_out_has_neither_error_nor_cause(bench: Bench) -> None:
    definition = {**machine(Work=task(RUN_JOB)), "TimeoutSeconds": 4}
    execution = bench.run(definition, {"s": 60})
    assert (execution.status, execution.error, execution.cause) == ("TIMED_OUT", None, None)
    assert bench.engine.env.now == 4.0
    assert bench.called("BatchStopJobRun") == [4.0]
    assert "ExecutionsTimedOut" in bench.counted
    assert bench.run(definition, {"s": 3}).status == "SUCCEEDED"


def test_a_wait_lasts_until_a_time_or_for_seconds(bench: Bench) -> None:
    until = {"Type": "Wait", "TimestampPath": "$.t", "Next": "For"}
    bench.run_states({"t": "2026-01-05T01:00:00+00:30", "s": 7}, Until=until, For=SECONDS)
    assert bench.engine.env.now == 1_807.0
    for bad in (-1, "x", 1.5, True):
        assert bench.run_states({"s": bad}, For=SECONDS).error == "States.Runtime"
