"""Workflows: errors, retries and time on the run's clock; integrations; what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.tests.workflow_bench import (
    FUNCTION,
    MACHINES,
    PUBLISH,
    ROLE,
    RUN_JOB,
    Bench,
    check_history,
    kinds,
    machine,
    output,
    task,
)

THROTTLED = AwsError("Throttled", "slow down", 429)
SECONDS = {"Type": "Wait", "SecondsPath": "$.s", "End": True}


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
    assert bench.run(definition, {"s": 4}).status == "SUCCEEDED"


def test_a_wait_lasts_until_a_time_or_for_seconds(bench: Bench) -> None:
    until = {"Type": "Wait", "TimestampPath": "$.t", "Next": "For"}
    bench.run_states({"t": "2026-01-05T01:00:00+00:30", "s": 7}, Until=until, For=SECONDS)
    assert bench.engine.env.now == 1_807.0
    for bad in (-1, "x", 1.5, True):
        assert bench.run_states({"s": bad}, For=SECONDS).error == "States.Runtime"


# -- Parallel and Map


def _branch(seconds: int, fails: bool) -> dict[str, Any]:
    after = {"Type": "Fail", "Error": f"E{seconds}"} if fails else task()
    return machine(Wait={"Type": "Wait", "Seconds": seconds, "Next": "Then"}, Then=after)


BRANCHES = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(BRANCHES)
def test_the_first_branch_that_fails_ends_the_others(branches: list[tuple[int, bool]]) -> None:
    bench = Bench()
    bench.program["Publish"] = {"MessageId": "m"}
    state = {"Type": "Parallel", "Branches": [_branch(*b) for b in branches], "End": True}
    execution = bench.run_states(All=state)
    failing = [seconds for seconds, fails in branches if fails]
    end_s = min(failing) if failing else max(seconds for seconds, _ in branches)
    assert bench.engine.env.now == end_s
    assert execution.error == (f"E{end_s}" if failing else None)
    bench.engine.run(20.0)
    sent = bench.called("Publish")
    assert all(at_s <= end_s for at_s in sent)
    assert sorted(s for s, fails in branches if not fails and s < end_s) == sorted(
        at_s for at_s in sent if at_s < end_s
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=6), st.integers(0, 3))
def test_a_map_keeps_the_order_of_items_and_its_concurrency(
    seconds: list[int], concurrency: int
) -> None:
    bench = Bench()
    state = {
        "Type": "Map",
        "MaxConcurrency": concurrency,
        "ItemSelector": {"s.$": "$$.Map.Item.Value", "n.$": "$$.Map.Item.Index"},
        "ItemProcessor": machine(Wait=SECONDS),
        "End": True,
    }
    execution = bench.run_states(seconds, Each=state)
    assert output(execution) == [{"s": s, "n": n} for n, s in enumerate(seconds)]
    slots = [0] * (concurrency or max(len(seconds), 1))
    for s in seconds:
        slots[slots.index(min(slots))] += s
    assert bench.engine.env.now == max(slots)


def test_a_failing_item_ends_the_map_and_the_jobs_of_the_others(bench: Bench) -> None:
    body = machine(
        Which={
            "Type": "Choice",
            "Choices": [{"Variable": "$.s", "NumericGreaterThan": 0, "Next": "Run"}],
            "Default": "Stop",
        },
        Run=task(RUN_JOB),
        Stop={"Type": "Wait", "Seconds": 3, "Next": "Failed"},
        Failed={"Type": "Fail", "Error": "Bad"},
    )
    each = {"Type": "Map", "ItemProcessor": body, "Next": "Never", "Catch": []}
    each["Catch"] = [{"ErrorEquals": ["Bad"], "ResultPath": None, "Next": "After"}]
    states = {
        "Each": each,
        "Never": {"Type": "Succeed"},
        "After": {"Type": "Wait", "Seconds": 50, "End": True},
    }
    execution = bench.run_states([{"s": 1}, {"s": 20}, {"s": 0}], **states)
    assert execution.status == "SUCCEEDED"
    assert bench.called("BatchStopJobRun") == [3.0]
    found = kinds(execution)
    assert found.count("MapIterationAborted") == 1
    assert found.index("MapIterationAborted") < found.index("MapStateFailed")
    assert found.count("TaskSucceeded") == 1


@pytest.mark.parametrize(
    ("settings_", "failures", "succeeds"),
    [
        ({}, 1, False),
        ({"ToleratedFailureCount": 2}, 2, True),
        ({"ToleratedFailureCount": 2}, 3, False),
        ({"ToleratedFailurePercentage": 50}, 2, True),
        ({"ToleratedFailurePercentage": 50, "ToleratedFailureCount": 1}, 2, False),
    ],
)
def test_a_distributed_map_tolerates_failures_up_to_every_threshold(
    bench: Bench, settings_: dict[str, int], failures: int, succeeds: bool
) -> None:
    body = machine(
        Which={
            "Type": "Choice",
            "Choices": [{"Variable": "$", "BooleanEquals": True, "Next": "Failed"}],
            "Default": "Fine",
        },
        Failed={"Type": "Fail", "Error": "Bad"},
        Fine={"Type": "Pass", "End": True},
    )
    body["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {"Type": "Map", "ItemProcessor": body, "End": True, **settings_}
    execution = bench.run_states([n < failures for n in range(4)], Each=state)
    if succeeds:
        assert output(execution) == [False] * (4 - failures)
    else:
        assert execution.error == "States.ExceedToleratedFailureThreshold"


def test_a_stop_reaches_tasks_in_branches_within_branches(bench: Bench) -> None:
    inner = {"Type": "Parallel", "Branches": [machine(Run=task(RUN_JOB))] * 2, "End": True}
    outer = {"Type": "Parallel", "Branches": [machine(Inner=inner)] * 2, "End": True}
    execution = bench.start(machine(Outer=outer), {"s": 100})
    bench.engine.run(5.0)
    bench.do("StopExecution", executionArn=execution.arn, error="Enough", cause="because")
    bench.engine.run(execution.done)
    check_history(execution)
    assert (execution.status, execution.error, execution.cause) == ("ABORTED", "Enough", "because")
    assert bench.called("BatchStopJobRun") == [5.0] * 4
    events = len(execution.history.events)
    bench.engine.run(200.0)
    assert len(execution.history.events) == events


# -- integrations


def test_sync_waits_for_the_job_itself_and_gives_its_description(bench: Bench) -> None:
    execution = bench.run_states({"s": 30}, Run=task(RUN_JOB))
    assert bench.engine.env.now == 30.0
    # The SDK's time as optimised integrations show it: milliseconds.
    assert output(execution) == {
        "Id": "jr_0",
        "JobName": "j",
        "JobRunState": "SUCCEEDED",
        "CompletedOn": int(bench.engine.epoch_s() * 1000),
    }
    assert kinds(execution)[2:6] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    submitted = json.loads(execution.history.events[4]["taskSubmittedEventDetails"]["output"])
    assert submitted["JobRunId"] == "jr_0"
    assert submitted["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_a_job_that_ran_and_failed_is_a_failed_task_with_its_description(bench: Bench) -> None:
    parameters = {"JobName": "j", "Arguments": {"--state": "FAILED"}}
    execution = bench.run_states(Run=task(RUN_JOB, Parameters=parameters))
    assert execution.error == "States.TaskFailed"
    assert json.loads(str(execution.cause))["JobRunState"] == "FAILED"


ERRORS = [
    (
        "arn:aws:states:::aws-sdk:s3:getObject",
        "GetObject",
        "NoSuchBucket",
        "S3.NoSuchBucketException",
    ),
    ("arn:aws:states:::aws-sdk:s3:getObject", "GetObject", "SlowDown", "S3.S3Exception"),
    (
        "arn:aws:states:::aws-sdk:ssm:getParameter",
        "GetParameter",
        "ParameterNotFound",
        "Ssm.ParameterNotFoundException",
    ),
    (
        "arn:aws:states:::aws-sdk:sqs:sendMessage",
        "SendMessage",
        "AWS.SimpleQueueService.NonExistentQueue",
        "Sqs.QueueDoesNotExistException",
    ),
    (
        "arn:aws:states:::aws-sdk:dynamodb:putItem",
        "PutItem",
        "InternalServerError",
        "DynamoDb.InternalServerErrorException",
    ),
    (PUBLISH, "Publish", "NotFound", "SNS.NotFoundException"),
    (PUBLISH, "Publish", "Mystery", "SNS.AmazonSNSException"),
    (FUNCTION, "Invoke", "ResourceNotFoundException", "Lambda.ResourceNotFoundException"),
]
NEEDED = {
    "GetObject": {"Bucket": "b", "Key": "k"},
    "GetParameter": {"Name": "n"},
    "SendMessage": {"QueueUrl": "http://q", "MessageBody": {"a": 1}},
    "PutItem": {"TableName": "t-1", "Item": {"pk": {"S": "x"}}},
}


@pytest.mark.parametrize(("resource", "operation", "code", "name"), ERRORS, ids=lambda v: v[-40:])
def test_an_error_has_the_name_that_the_sdk_behind_the_integration_gives_it(
    bench: Bench, resource: str, operation: str, code: str, name: str
) -> None:
    bench.program[operation] = AwsError(code, "text", 404)
    parameters = NEEDED.get(operation, {"Message": "m", "TopicArn": "t"})
    execution = bench.run_states(Call=task(resource, Parameters=parameters))
    assert execution.error == name
    assert str(execution.cause).startswith("text (Service: ")
    assert ("Proxy" in str(execution.cause)) == (":aws-sdk:" not in resource)


def test_a_caller_without_permission_is_an_error_of_the_service(bench: Bench) -> None:
    bench.iam.put_role_policy(
        ROLE,
        "all",
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "glue:*", "Resource": "*"},
        },
    )
    execution = bench.run_states(Send=task())
    assert execution.error == "SNS.AmazonSNSException"
    assert "is not authorized to perform: sns:Publish" in str(execution.cause)


def test_what_the_twin_refuses_while_it_runs_cannot_be_caught_away(bench: Bench) -> None:
    bench.program["Publish"] = NotSupportedByTwin("MessageStructure of Publish")
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    execution = bench.run_states(Send=task(Catch=catch), Caught={"Type": "Succeed"})
    assert execution.error == "States.Runtime"
    assert "MessageStructure" in str(execution.cause)


def test_parameters_are_pascal_case_and_so_are_answers(bench: Bench) -> None:
    bench.program["GetParameter"] = {"Parameter": {"Name": "n", "Value": "v"}}
    execution = bench.run_states(
        Get=task("arn:aws:states:::aws-sdk:ssm:getParameter", Parameters={"Name": "n"})
    )
    assert output(execution) == {"Parameter": {"Name": "n", "Value": "v"}}
    bad = task("arn:aws:states:::aws-sdk:ssm:getParameter", Parameters={"Nme": "n"})
    assert bench.run_states(Get=bad).error == "States.Runtime"


def test_an_object_as_a_message_is_sent_as_json(bench: Bench) -> None:
    bench.program["Publish"] = {"MessageId": "m"}
    parameters = {"Message": {"a.$": "$.b"}, "TopicArn": "t"}
    execution = bench.run_states({"b": 2}, Send=task(Parameters=parameters))
    assert bench.calls[0][2]["Message"] == '{"a":2}'
    assert output(execution)["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_a_function_gets_the_input_and_its_own_exception_is_the_error(bench: Bench) -> None:
    bench.program["Invoke"] = lambda call: {"StatusCode": 200, "Payload": call.params["Payload"]}
    state = {"Type": "Task", "Resource": FUNCTION, "End": True}
    assert output(bench.run_states({"x": [1]}, Call=state)) == {"x": [1]}
    wrapped = task("arn:aws:states:::lambda:invoke")
    wrapped["Parameters"] = {"FunctionName": "f", "Payload.$": "$"}
    answer = output(bench.run_states({"x": 1}, Call=wrapped))
    assert (answer["Payload"], answer["ExecutedVersion"]) == ({"x": 1}, "$LATEST")
    text = '{"errorType": "KeyError", "errorMessage": "x"}'
    failure = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": text.encode()}
    bench.program["Invoke"] = failure
    execution = bench.run_states(Call=state)
    assert (execution.error, execution.cause) == ("KeyError", text)
    assert "LambdaFunctionFailed" in kinds(execution)


def test_a_result_that_is_too_large_can_be_caught_and_a_pass_states_cannot(bench: Bench) -> None:
    bench.program["Invoke"] = {"StatusCode": 200, "Payload": b'"' + b"x" * 262_143 + b'"'}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    call = {"Type": "Task", "Resource": FUNCTION, "Catch": catch, "End": True}
    caught = output(bench.run_states(Call=call, Caught={"Type": "Pass", "End": True}))
    assert caught["Error"] == "States.DataLimitExceeded"
    assert caught["Cause"].startswith(f"The state/task '{FUNCTION}' returned a result with a size")
    big = {"Type": "Pass", "Result": "x" * 262_143, "End": True}
    assert bench.run_states(Big=big).error == "States.DataLimitExceeded"


# -- the service


class Executions(RuleBasedStateMachine):
    """Named executions that wait for a while, against a dict of when each ends."""

    names = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.arn = self.bench.create(machine(Wait=SECONDS), "waits")
        self.model: dict[str, tuple[int, float]] = {}
        self.stopped: dict[str, float] = {}

    def _arn(self, name: str) -> str:
        return f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"

    def _running(self, name: str) -> bool:
        return name not in self.stopped and self.bench.engine.env.now < self.model[name][1]

    @rule(name=names, seconds=st.integers(1, 9))
    def start(self, name: str, seconds: int) -> None:
        """The same name and input while it runs is the same execution; else the name is taken."""
        params = {"stateMachineArn": self.arn, "name": name, "input": json.dumps({"s": seconds})}
        known = self.model.get(name)
        if known is None or (self._running(name) and known[0] == seconds):
            assert self.bench.do("StartExecution", **params)["executionArn"] == self._arn(name)
            self.model.setdefault(name, (seconds, self.bench.engine.env.now + seconds))
        else:
            with pytest.raises(AwsError, match="ExecutionAlreadyExists"):
                self.bench.do("StartExecution", **params)

    @rule(name=names)
    def stop(self, name: str) -> None:
        """A stop ends what runs, and does nothing to what has ended."""
        if name not in self.model:
            with pytest.raises(AwsError, match="ExecutionDoesNotExist"):
                self.bench.do("StopExecution", executionArn=self._arn(name))
            return
        if self._running(name):
            self.stopped[name] = self.bench.engine.env.now
        self.bench.do("StopExecution", executionArn=self._arn(name), error="E")
        self.bench.engine.run(self.bench.engine.env.now + 0.25)

    @rule(halves=st.integers(0, 8))
    def live(self, halves: int) -> None:
        """Let time pass; never exactly to an end."""
        self.bench.engine.run(self.bench.engine.env.now + 0.3 + halves / 2)

    @invariant()
    def every_description_fits(self) -> None:
        """Status, list and history agree with the model."""
        shown = {}
        for name in self.model:
            found = self.bench.do("DescribeExecution", executionArn=self._arn(name))
            shown[name] = found["status"]
            expected = "RUNNING" if self._running(name) else "SUCCEEDED"
            assert found["status"] == ("ABORTED" if name in self.stopped else expected)
            assert ("stopDate" in found) == (found["status"] != "RUNNING")
            if found["status"] != "RUNNING":
                check_history(self.bench.workflows.execution(self._arn(name)))
        listed = self.bench.do("ListExecutions", stateMachineArn=self.arn)["executions"]
        assert {one["name"]: one["status"] for one in listed} == shown


TestExecutions = Executions.TestCase
TestExecutions.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_the_same_machine_created_again_is_the_same_and_another_definition_is_refused(
    bench: Bench,
) -> None:
    definition = machine(Wait=SECONDS)
    assert bench.create(definition, "one") == bench.create(definition, "one") == f"{MACHINES}:one"
    with pytest.raises(AwsError, match="StateMachineAlreadyExists"):
        bench.create(machine(Other=SECONDS), "one")
    params = {"name": "one", "definition": json.dumps(definition), "roleArn": f"{ROLE}-2"}
    bench.do("CreateStateMachine", **params)
    shown = bench.do("DescribeStateMachine", stateMachineArn=f"{MACHINES}:one")
    assert shown["roleArn"] == ROLE


def test_an_update_changes_what_the_next_execution_runs(bench: Bench) -> None:
    arn = bench.create(machine(One={"Type": "Pass", "Result": 1, "End": True}), "one")
    logging = {"level": "ALL", "includeExecutionData": True}
    new = json.dumps(machine(Two={"Type": "Pass", "Result": 2, "End": True}))
    bench.do(
        "UpdateStateMachine", stateMachineArn=arn, definition=new, loggingConfiguration=logging
    )
    assert bench.do("DescribeStateMachine", stateMachineArn=arn)["loggingConfiguration"] == logging
    started = bench.do("StartExecution", stateMachineArn=arn)
    execution = bench.workflows.execution(started["executionArn"])
    bench.engine.run(execution.done)
    assert output(execution) == 2
    with pytest.raises(AwsError, match="MissingRequiredParameter"):
        bench.do("UpdateStateMachine", stateMachineArn=arn)


def test_a_role_that_step_functions_may_not_assume_fails_the_execution(bench: Bench) -> None:
    arn = bench.create(machine(Wait=SECONDS), "one")
    bench.do("UpdateStateMachine", stateMachineArn=arn, roleArn=f"{ROLE}-2")
    started = bench.do("StartExecution", stateMachineArn=arn)
    execution = bench.workflows.execution(started["executionArn"])
    bench.engine.run(execution.done)
    assert execution.status == "FAILED"
    assert "sts:AssumeRole" in str(execution.cause)


def test_handing_another_role_to_a_machine_needs_pass_role(bench: Bench) -> None:
    arn = bench.create(machine(Wait=SECONDS), "one")
    may = {"Effect": "Allow", "Action": "states:*", "Resource": "*"}
    bench.iam.put_role_policy(ROLE, "all", {"Version": "2012-10-17", "Statement": may})
    me = bench.iam.principal_for_role(ROLE, "me", "states.amazonaws.com")
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        bench.dispatch(
            me, "stepfunctions", "UpdateStateMachine", {"stateMachineArn": arn, "roleArn": "r"}
        )


def test_histories_and_lists_come_in_pages(bench: Bench) -> None:
    execution = bench.run_states({"s": 1}, Wait=SECONDS)
    arn = execution.arn
    first = bench.do("GetExecutionHistory", executionArn=arn, maxResults=3)
    rest = bench.do("GetExecutionHistory", executionArn=arn, nextToken=first["nextToken"])
    assert first["events"] + rest["events"] == execution.history.events
    back = bench.do("GetExecutionHistory", executionArn=arn, reverseOrder=True)["events"]
    assert back == execution.history.events[::-1]
    with pytest.raises(AwsError, match="InvalidToken"):
        bench.do("GetExecutionHistory", executionArn=arn, nextToken="x")
    for number in range(3):
        bench.create(machine(Wait=SECONDS), f"more{number}")
    listed = bench.do("ListStateMachines", maxResults=3)
    assert len(listed["stateMachines"]) == 3
    assert len(bench.do("ListStateMachines", nextToken=listed["nextToken"])["stateMachines"]) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"input": "{"}, "InvalidExecutionInput"),
        ({"input": json.dumps("x" * 262_144)}, "InvalidExecutionInput"),
        ({"name": "a b"}, "InvalidName"),
        ({"name": "x" * 81}, "InvalidName"),
        ({"stateMachineArn": f"{MACHINES}:none"}, "StateMachineDoesNotExist"),
    ],
)
def test_a_start_that_aws_refuses_is_refused(bench: Bench, params: Any, code: str) -> None:
    arn = bench.create(machine(Wait=SECONDS), "one")
    with pytest.raises(AwsError) as error:
        bench.do("StartExecution", **{"stateMachineArn": arn, **params})
    assert error.value.code == code
