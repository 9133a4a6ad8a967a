"""Parallel and Map: order, concurrency, the end of the others when one fails or all are stopped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.fixture
def bench() -> Bench:
    return Bench()


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
    catch = [{"ErrorEquals": ["Bad"], "ResultPath": None, "Next": "After"}]
    states: dict[str, dict[str, Any]] = {
        "Each": {"Type": "Map", "ItemProcessor": body, "Next": "Never", "Catch": catch},
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
