"""Map runs: listed by their execution, counted by item and by child, changed under way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.cloud.asl_execution import Execution
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.tests.workflow_bench import SECONDS, Bench, machine

FAIL = {"Type": "Fail", "Error": "Broken"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def mapped(**more: Any) -> dict[str, Any]:
    """Return a distributed map whose children wait as long as their item says; 13 is bad luck."""
    unlucky = {"Variable": "$.s", "NumericEquals": 13, "Next": "Bad"}
    body = machine(
        Look={"Type": "Choice", "Choices": [unlucky], "Default": "Wait"}, Wait=SECONDS, Bad=FAIL
    )
    body |= {"StartAt": "Look", "ProcessorConfig": {"Mode": "DISTRIBUTED"}}
    body["ProcessorConfig"]["ExecutionType"] = "STANDARD"
    return {"Type": "Map", "ItemProcessor": body, "End": True, **more}


def started(bench: Bench, state: dict[str, Any], seconds: list[int]) -> Execution:
    """Start an execution of a map over items that last so long."""
    return bench.start(machine(Each=state), [{"s": each} for each in seconds])


def run_of(bench: Bench, execution: Execution) -> dict[str, Any]:
    """Return the description of an execution's only map run."""
    (listed,) = bench.do("ListMapRuns", executionArn=execution.arn)["mapRuns"]
    return bench.do("DescribeMapRun", mapRunArn=listed["mapRunArn"])


def counts(found: dict[str, int]) -> dict[str, int]:
    """Return what there is at least one of."""
    return {name: count for name, count in found.items() if count}


def test_a_run_is_counted_while_it_is_under_way_and_when_it_has_ended(bench: Bench) -> None:
    execution = started(bench, mapped(MaxConcurrency=2), [5, 30, 30])
    bench.engine.run(10.0)
    found = run_of(bench, execution)
    assert (found["status"], found["maxConcurrency"]) == ("RUNNING", 2)
    assert found["executionArn"] == execution.arn
    assert counts(found["itemCounts"]) == {"running": 2, "succeeded": 1, "total": 3}
    assert "stopDate" not in found
    bench.engine.run(execution.done)
    ended = run_of(bench, execution)
    assert ended["status"] == "SUCCEEDED"
    assert ended["stopDate"] == execution.stopped
    assert counts(ended["executionCounts"]) == {"succeeded": 3, "total": 3}


def test_what_waits_for_a_place_is_pending_and_a_batch_counts_as_its_items(bench: Bench) -> None:
    batched = mapped(MaxConcurrency=1, ItemBatcher={"MaxItemsPerBatch": 2}, ToleratedFailureCount=9)
    long = machine(Long={"Type": "Wait", "Seconds": 9, "End": True})
    batched["ItemProcessor"] |= {"StartAt": "Long", "States": long["States"]}
    execution = started(bench, batched, [1, 2, 3])
    bench.engine.run(5.0)
    found = run_of(bench, execution)
    assert counts(found["itemCounts"]) == {"running": 2, "pending": 1, "total": 3}
    assert counts(found["executionCounts"]) == {"running": 1, "pending": 1, "total": 2}
    assert found["toleratedFailureCount"] == 9


def test_too_many_failures_fail_the_run_and_a_stop_aborts_it(bench: Bench) -> None:
    failed = started(bench, mapped(), [13, 30])
    bench.engine.run(failed.done)
    found = run_of(bench, failed)
    assert found["status"] == "FAILED"
    assert counts(found["itemCounts"]) == {"failed": 1, "aborted": 1, "total": 2}
    stopped = started(bench, mapped(), [30])
    bench.engine.run(bench.engine.env.now + 3.0)
    bench.do("StopExecution", executionArn=stopped.arn)
    bench.engine.run(stopped.done)
    assert run_of(bench, stopped)["status"] == "ABORTED"


def test_an_update_lets_more_children_begin_at_once(bench: Bench) -> None:
    execution = started(bench, mapped(MaxConcurrency=1), [20, 20, 20, 20])
    bench.engine.run(5.0)
    arn = run_of(bench, execution)["mapRunArn"]
    assert bench.do("UpdateMapRun", mapRunArn=arn, maxConcurrency=3) == {}
    bench.engine.run(6.0)
    assert counts(run_of(bench, execution)["itemCounts"]) == {
        "running": 3,
        "pending": 1,
        "total": 4,
    }
    bench.engine.run(execution.done)
    # One from 0 to 20 s, two from 5 s on, the last when the first has ended.
    assert bench.engine.env.now == pytest.approx(40.0, abs=0.5)


def test_an_update_of_what_is_borne_decides_over_the_next_failure(bench: Bench) -> None:
    late = {"s": 13}
    for borne, status in ((1, "SUCCEEDED"), (None, "FAILED")):
        execution = started(bench, mapped(MaxConcurrency=1), [20, late["s"]])
        bench.engine.run(bench.engine.env.now + 5.0)
        arn = run_of(bench, execution)["mapRunArn"]
        if borne:
            bench.do("UpdateMapRun", mapRunArn=arn, toleratedFailureCount=borne)
        bench.engine.run(execution.done)
        assert execution.status == status
        assert run_of(bench, execution)["toleratedFailureCount"] == (borne or 0)


def test_a_redrive_goes_on_with_the_run_and_is_counted(bench: Bench) -> None:
    execution = started(bench, mapped(), [1, 13])
    bench.engine.run(execution.done)
    before = run_of(bench, execution)
    bench.do("RedriveExecution", executionArn=execution.arn)
    bench.engine.run(bench.engine.env.now + 100.0)
    after = run_of(bench, execution)
    assert after["mapRunArn"] == before["mapRunArn"]
    assert (before["redriveCount"], after["redriveCount"]) == (0, 1)
    assert after["status"] == "FAILED"
    assert "redriveDate" in after


def test_the_latest_run_is_listed_first_page_by_page(bench: Bench) -> None:
    first = {**mapped(), "Next": "Again", "ResultPath": None}
    del first["End"]
    definition = machine(Each=first, Again=mapped())
    execution = bench.start(definition, [{"s": 1}])
    bench.engine.run(execution.done)
    pages = []
    token: dict[str, Any] = {}
    for _ in range(2):
        answer = bench.do("ListMapRuns", executionArn=execution.arn, maxResults=1, **token)
        pages += answer["mapRuns"]
        token = {"nextToken": answer.get("nextToken")}
    assert [each["mapRunArn"].split("/")[1].split(":")[0] for each in pages] == ["Again", "Each"]
    assert token == {"nextToken": None}


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("DescribeMapRun", {"mapRunArn": "arn:none"}, "ResourceNotFound"),
        ("UpdateMapRun", {"mapRunArn": "arn:none"}, "ResourceNotFound"),
        ("ListMapRuns", {"executionArn": "arn:none"}, "ExecutionDoesNotExist"),
    ],
)
def test_what_does_not_exist_is_refused(
    bench: Bench, operation: str, params: dict[str, str], code: str
) -> None:
    with pytest.raises(AwsError) as caught:
        bench.do(operation, **params)
    assert caught.value.code == code


def test_a_run_that_has_ended_cannot_be_updated(bench: Bench) -> None:
    execution = started(bench, mapped(), [1])
    bench.engine.run(execution.done)
    arn = run_of(bench, execution)["mapRunArn"]
    with pytest.raises(AwsError, match="not running"):
        bench.do("UpdateMapRun", mapRunArn=arn, maxConcurrency=2)


def test_children_are_still_not_listed_one_by_one(bench: Bench) -> None:
    execution = started(bench, mapped(), [1])
    bench.engine.run(execution.done)
    with pytest.raises(NotSupportedByTwin):
        bench.do("ListExecutions", mapRunArn=run_of(bench, execution)["mapRunArn"])
    assert json.loads(execution.output or "") == [{"s": 1}]
