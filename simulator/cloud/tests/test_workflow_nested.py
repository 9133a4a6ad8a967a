"""Workflows that start workflows: and wait for them, or do not, and stop them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.cloud.tests.workflow_bench import (
    RUN_JOB,
    SECONDS,
    Bench,
    check_history,
    machine,
    output,
    task,
)

START = "arn:aws:states:::states:startExecution"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def starting(bench: Bench, pattern: str, inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a state that starts a machine with its own input."""
    parameters = {"StateMachineArn": bench.create(inner), "Input.$": "$"}
    return task(f"{START}{pattern}", Parameters=parameters, **more)


@pytest.mark.parametrize("pattern", ["", ".sync", ".sync:2"])
def test_a_nested_workflow_is_waited_for_as_the_pattern_says(bench: Bench, pattern: str) -> None:
    answer = output(bench.run_states({"s": 30}, Start=starting(bench, pattern, machine(W=SECONDS))))
    assert bench.engine.env.now == (30.0 if pattern else 0.0)
    if not pattern:
        assert answer["ExecutionArn"].startswith("arn:aws:states:us-east-1")
        return
    assert answer["Status"] == "SUCCEEDED"
    shown = answer["Output"] if pattern == ".sync:2" else json.loads(answer["Output"])
    assert shown == {"s": 30}


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
def test_a_nested_workflow_that_fails_fails_the_task_with_its_description(
    bench: Bench, pattern: str
) -> None:
    fail = machine(Fail={"Type": "Fail", "Error": "Inner", "Cause": "on purpose"})
    execution = bench.run_states(Start=starting(bench, pattern, fail))
    assert execution.error == "States.TaskFailed"
    cause = json.loads(str(execution.cause))
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Inner", "on purpose")


def test_a_nested_workflow_is_stopped_with_the_one_around_it(bench: Bench) -> None:
    inner = machine(Run=task(RUN_JOB))
    execution = bench.start(machine(Start=starting(bench, ".sync", inner)), {"s": 60})
    bench.engine.run(5.0)
    bench.do("StopExecution", executionArn=execution.arn)
    bench.engine.run(execution.done)
    bench.engine.run(bench.engine.env.now + 1)
    check_history(execution)
    nested = next(each for each in bench.workflows.executions() if each is not execution)
    assert (nested.status, execution.status) == ("ABORTED", "ABORTED")
    assert bench.called("BatchStopJobRun") == [5.0]
