"""RedriveExecution: an execution that failed goes on where it failed, and nothing runs twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings

from simulator.cloud.asl_execution import Execution
from simulator.cloud.asl_history import MAX_EVENTS
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import (
    RUN_JOB,
    SECONDS,
    Bench,
    check_history,
    kinds,
    machine,
    output,
    task,
)
from simulator.cloud.tests.workflow_trees import TREES, Flaky, Grown


@pytest.fixture
def bench() -> Bench:
    return Bench()


def redrive(bench: Bench, execution: Execution) -> Execution:
    bench.do("RedriveExecution", executionArn=execution.arn)
    bench.engine.run(execution.done)
    check_history(execution)
    return execution


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_redriven_until_it_succeeds_every_task_has_succeeded_exactly_once(tree: Any) -> None:
    bench, grown = Bench(), Grown(tree)
    flaky = Flaky(bench, grown.failures)
    execution = bench.run(grown.definition, {})
    for _ in range(sum(grown.failures.values())):
        if execution.status == "SUCCEEDED":
            break
        redrive(bench, execution)
    output(execution)
    events = [event.get("taskSucceededEventDetails", {}) for event in execution.history.events]
    worked = Counter(json.loads(each["output"])["MessageId"] for each in events if each)
    assert worked == dict.fromkeys(grown.failures, 1)
    # One that was under way when another branch failed is called again.
    assert all(flaky.calls[label] > failures for label, failures in grown.failures.items())


def test_a_task_is_scheduled_again_with_the_same_input_and_all_its_retries(bench: Bench) -> None:
    flaky = Flaky(bench, {"hello": 3})
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 4, "MaxAttempts": 1}]
    parameters = {"Message.$": "$.word", "TopicArn": "t"}
    send = task(Parameters=parameters, Retry=retry, Next="Told")
    first = {"Type": "Pass", "Parameters": {"word": "hello"}, "Assign": {"v": 7}, "Next": "Send"}
    told = {
        "Type": "Pass",
        "Parameters": {"v.$": "$v", "count.$": "$$.Execution.RedriveCount"},
        "End": True,
    }
    execution = bench.run(machine(First=first, Send=send, Told=told))
    assert (execution.status, flaky.calls["hello"]) == ("FAILED", 2)
    redrive(bench, execution)
    assert output(execution) == {"v": 7, "count": 1}
    assert flaky.calls["hello"] == 4
    after = kinds(execution)[kinds(execution).index("ExecutionRedriven") :]
    failed = ["TaskScheduled", "TaskStarted", "TaskFailed"]
    worked = ["TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"]
    assert after == [
        "ExecutionRedriven",
        *failed,
        *worked,
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]


def test_what_timed_out_or_was_stopped_goes_on_too_with_the_definition_it_had(
    bench: Bench,
) -> None:
    definition = {**machine(Wait=SECONDS), "TimeoutSeconds": 10}
    execution = bench.run(definition, {"s": 30})
    assert execution.status == "TIMED_OUT"
    bench.do(
        "UpdateStateMachine",
        stateMachineArn=execution.machine.arn,
        definition=json.dumps(machine(Other={"Type": "Pass", "End": True})),
    )
    # The machine's time begins again with each redrive, and is over again after it.
    assert redrive(bench, execution).status == "TIMED_OUT"
    assert bench.engine.env.now == 20.0
    shown = bench.do("DescribeStateMachineForExecution", executionArn=execution.arn)
    assert json.loads(shown["definition"]) == definition
    job = bench.start(machine(Run=task(RUN_JOB)), {"s": 50})
    bench.engine.run(25.0)
    bench.do("StopExecution", executionArn=job.arn, error="Enough")
    bench.engine.run(26.0)
    assert redrive(bench, job).status == "SUCCEEDED"
    assert len(bench.called("StartJobRun")) == 2


def test_a_fail_state_fails_again(bench: Bench) -> None:
    execution = bench.run(machine(Stop={"Type": "Fail", "Error": "No"}))
    assert redrive(bench, execution).error == "No"


def test_only_what_has_ended_without_success_in_the_last_two_weeks_can_be_redriven(
    bench: Bench,
) -> None:
    def refused(execution: Execution, why: str) -> None:
        with pytest.raises(AwsError, match=f"ExecutionNotRedrivable: {why}"):
            bench.do("RedriveExecution", executionArn=execution.arn)
        shown = bench.do("DescribeExecution", executionArn=execution.arn)
        assert shown["redriveStatus"] == "NOT_REDRIVABLE"
        assert shown["redriveStatusReason"] == why

    running = bench.start(machine(Wait=SECONDS), {"s": 5})
    bench.engine.run(1.0)
    refused(running, "Execution is RUNNING and cannot be redriven")
    bench.engine.run(running.done)
    refused(running, "Execution is SUCCEEDED and cannot be redriven")
    failed = bench.run(machine(Stop={"Type": "Fail"}))
    shown = bench.do("DescribeExecution", executionArn=failed.arn)
    assert shown["redriveStatus"] == "REDRIVABLE"
    long = bench.run(machine(Stop={"Type": "Fail"}))
    long.history.events.extend(long.history.events[-1:] * MAX_EVENTS)
    refused(long, "Execution history event limit exceeded")
    bench.engine.run(bench.engine.env.now + 15 * 86_400)
    refused(failed, "Execution redrivable period exceeded")
    bench.engine.run(bench.engine.env.now + 360 * 86_400)
    refused(failed, "Execution has exceeded the max execution time")


def test_redrives_are_counted_shown_and_the_same_for_the_same_client_token(bench: Bench) -> None:
    execution = bench.run(machine(Stop={"Type": "Fail"}))
    bench.engine.run(100.0)
    params = {"executionArn": execution.arn, "clientToken": "t"}
    first = bench.do("RedriveExecution", **params)
    bench.engine.run(execution.done)
    bench.engine.run(200.0)
    assert bench.do("RedriveExecution", **params) == first
    shown = bench.do("DescribeExecution", executionArn=execution.arn)
    assert (shown["redriveCount"], shown["redriveDate"]) == (1, first["redriveDate"])
    other = bench.start(execution.machine.definition)
    listing = {"stateMachineArn": execution.machine.arn}

    def listed(**more: str) -> list[str]:
        answer = bench.do("ListExecutions", **listing, **more)
        return [each["executionArn"] for each in answer["executions"]]

    assert listed(redriveFilter="REDRIVEN") == [execution.arn]
    assert listed(redriveFilter="NOT_REDRIVEN") == []
    listing = {"stateMachineArn": other.machine.arn}
    assert listed(redriveFilter="NOT_REDRIVEN", statusFilter="RUNNING") == [other.arn]
    assert listed(statusFilter="FAILED") == []


def test_a_distributed_map_runs_only_the_items_again_that_failed(bench: Bench) -> None:
    flaky = Flaky(bench, {"a": 0, "b": 1, "c": 0})
    each = machine(Send=task(Parameters={"Message.$": "$", "TopicArn": "t"}))
    each["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    execution = bench.run(
        machine(Each={"Type": "Map", "ItemProcessor": each, "End": True}), ["a", "b", "c"]
    )
    assert execution.error == "States.ExceedToleratedFailureThreshold"
    assert [sent["MessageId"] for sent in output(redrive(bench, execution))] == ["a", "b", "c"]
    assert flaky.calls == {"a": 1, "b": 2, "c": 1}
    assert "MapRunRedriven" in kinds(execution)
