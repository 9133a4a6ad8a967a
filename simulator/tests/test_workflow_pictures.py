"""Executions as trees, text and pictures: nothing of a history is lost or put elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from simulator.cloud import workflows_store
from simulator.cloud.asl_execution import Execution
from simulator.cloud.tests.workflow_bench import RUN_JOB, THROTTLED, Bench, machine, task
from simulator.cloud.tests.workflow_trees import TREES, Flaky, Grown
from simulator.workflow_runs import StateRun, WorkflowRun, run_of, visits
from simulator.workflow_svg import svg_of
from simulator.workflow_text import FAILS, WORKS, lasting, reason_of, table_of, text_of

GOLDEN = Path(__file__).with_name("golden")
CAUGHT = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Each"}


def shown(bench: Bench, execution: Execution) -> WorkflowRun:
    described = bench.do("DescribeExecution", executionArn=execution.arn)
    return run_of(described, execution.history.events)


def broken(**more: Any) -> dict[str, Any]:
    """Return a task whose job runs forty seconds and fails."""
    arguments = {"--seconds": "40", "--state": "FAILED"}
    return task(RUN_JOB, Parameters={"JobName": "j", "Arguments": arguments}, **more)


def example() -> tuple[Bench, Execution]:
    """Run what has one of everything: retries, a caught error, a map, branches, a failure."""
    bench = Bench()
    slow = iter([THROTTLED, THROTTLED])
    bench.program["Publish"] = lambda call: bench.later(20, next(slow, {"MessageId": "m"}))
    retry = {"ErrorEquals": ["SNS.ThrottledException"], "IntervalSeconds": 30}
    pause = {"Type": "Wait", "Seconds": 20, "Next": "Tell"}
    each = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 1,
        "ItemProcessor": machine(Pause=pause, Tell=task()),
        "ResultPath": None,
        "Next": "Both",
    }
    branches = [machine(Work=task(RUN_JOB)), machine(Fail=broken())]
    definition = machine(
        Begin={"Type": "Pass", "Next": "Send"},
        Send=task(Retry=[retry], ResultPath=None, Next="Risk"),
        Risk=broken(Catch=[CAUGHT], Next="Each"),
        Each=each,
        Both={"Type": "Parallel", "Branches": branches, "Next": "Done"},
        Done={"Type": "Succeed"},
    )
    return bench, bench.run(definition, {"s": 50, "items": ["a", "b"]})


def test_a_list_has_no_time_of_what_runs_and_no_errors_where_none_are_known() -> None:
    ended = shown(*example())
    runs = [replace(ended, error=None), replace(ended, error=None, status="RUNNING", stopped=None)]
    head, first, second = table_of(runs).splitlines()
    assert head.split("  ")[-1].strip() == "time"
    assert first.endswith("5 min 10 s")
    assert second.endswith("RUNNING"), "what still runs has taken no time that could be named"
    assert table_of([ended]).splitlines()[0].endswith("error")


@settings(max_examples=40, deadline=None)
@given(tree=TREES)
def test_every_state_and_every_attempt_of_a_history_is_in_the_tree_once(tree: Any) -> None:
    bench, grown = Bench(), Grown(tree)
    Flaky(bench, grown.failures)
    execution = bench.run(grown.definition, {})
    for redrives in range(sum(grown.failures.values()) + 1):
        run = shown(bench, execution)
        kinds = [event["type"] for event in execution.history.events]
        states = list(visits(run.states))
        assert len(states) == sum(kind.endswith("StateEntered") for kind in kinds)
        tries = sum(len(state.attempts) for state in states if state.kind == "Task")
        assert tries == kinds.count("TaskScheduled")
        ended = [each for state in states for each in state.attempts if state.kind == "Task"]
        assert sum(each.error is not None for each in ended) == kinds.count("TaskFailed")
        assert run.redrives == redrives
        for state in states:
            check_parts(state)
        if execution.status == "SUCCEEDED":
            assert {state.status for state in states} == {"succeeded"}
            return
        assert {state.status for state in states} <= {"succeeded", "failed", "aborted"}
        assert run.states[-1].status == "failed"
        bench.do("RedriveExecution", executionArn=execution.arn)
        bench.engine.run(execution.done)
    raise AssertionError("it never succeeded")


def check_parts(state: StateRun) -> None:
    """Assert that what is within a state is drawn within its time."""
    for part in state.parts:
        assert part.states or state.status != "succeeded"
        for inner in part.states:
            assert state.entered <= inner.entered
            assert state.left is None or (inner.left or state.left) <= state.left


def test_the_picture_of_an_execution_is_the_golden_file() -> None:
    bench, execution = example()
    run = replace(shown(bench, execution), name="an-execution")
    text = f"{text_of(run)}\n\n{table_of([run])}\n"
    file = GOLDEN / "workflow_failed.txt"
    assert text == file.read_text("utf-8")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_picture_fits_the_terminal_and_bars_lie_where_time_passed(width: int) -> None:
    bench, execution = example()
    lines = text_of(shown(bench, execution), width).splitlines()
    bars = [line.partition("|")[2].rpartition("|")[0] for line in lines if line.count("|") == 2]
    assert len({len(bar) for bar in bars}) == 1
    sent = next(line for line in lines if line.startswith("Send"))
    assert sent.count(FAILS) == 2
    assert sent.index(WORKS) < sent.index(FAILS) < sent.rindex(WORKS)


def test_the_svg_has_every_state_and_says_what_failed() -> None:
    bench, execution = example()
    run = shown(bench, execution)
    root = ElementTree.fromstring(svg_of(run))
    words = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    for state in visits(run.states):
        assert state.name in words
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    assert any("Risk (Task): caught" in title and "caught, to Each" in title for title in titles)


def test_what_is_running_timed_out_or_stopped_is_told_so() -> None:
    bench = Bench()
    execution = bench.start({**machine(Run=task(RUN_JOB)), "TimeoutSeconds": 60}, {"s": 90})
    bench.engine.run(10.0)
    run = shown(bench, execution)
    assert (run.status, run.states[0].status, run.stopped) == ("RUNNING", "running", None)
    assert "RUNNING, known until 0 s after its start" in text_of(run)
    bench.engine.run(execution.done)
    assert shown(bench, execution).states[0].status == "timed out"
    other = bench.start(machine(Run=task(RUN_JOB)), {"s": 90})
    bench.engine.run(bench.engine.env.now + 1)
    bench.do("StopExecution", executionArn=other.arn)
    bench.engine.run(other.done)
    run = shown(bench, other)
    assert run.states[0].status == "aborted"
    assert "ABORTED after 1 s" in text_of(run)


def test_what_was_saved_is_drawn_as_it_was_and_kept_beside_what_comes_later(
    tmp_path: Path,
) -> None:
    bench, execution = example()
    workflows_store.save(bench.workflows.executions(), tmp_path)
    workflows_store.save(bench.workflows.executions(), tmp_path)
    (saved,) = workflows_store.load(tmp_path)
    assert run_of(saved["description"], saved["events"]) == shown(bench, execution)
    later = Bench()
    later.engine.run(5.0)
    other = later.run(machine(A={"Type": "Pass", "End": True}), {"n": 1})
    workflows_store.save([other], tmp_path)
    workflows_store.save([], tmp_path)
    names = [each["description"]["executionArn"] for each in workflows_store.load(tmp_path)]
    assert names == list(dict.fromkeys([execution.arn, other.arn]))
    file = tmp_path / "workflows" / "executions.json"
    file.write_text(json.dumps({"format": 0}), "utf-8")
    with pytest.raises(ValueError, match="format 0"):
        workflows_store.load(tmp_path)
    workflows_store.save([other], tmp_path)
    assert len(workflows_store.load(tmp_path)) == 1, "a twin that ends replaces it"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (59, "59 s"),
        (60, "1 min"),
        (252, "4 min 12 s"),
        (3_840, "1 h 4 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ('{"Id":"jr_0","JobRunState":"FAILED","ErrorMessage":"no input"}', "no input"),
        ('Alerted: {"TrainingJobName":"t","FailureReason":"no data"}', "Alerted: no data"),
        ('{"errorMessage":"boom","errorType":"ValueError"}', "boom"),
        ('{"Id":"jr_0"}', '{"Id":"jr_0"}'),
        ("Item {0} is missing", "Item {0} is missing"),
        ("", ""),
    ],
)
def test_of_the_description_of_what_failed_the_reason_is_told(cause: str, reason: str) -> None:
    assert reason_of(cause) == reason


def test_the_error_of_an_execution_is_told_in_full() -> None:
    cause = "The JSONPath '$.start' could not be found. " * 8
    run = replace(shown(*example()), status="FAILED", error="States.Runtime", cause=cause)
    lines = text_of(run, 60).splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("error"))
    told = " ".join(line.strip() for line in lines[begin : lines.index("", begin)])
    assert told == f"error   States.Runtime: {cause}".rstrip()
    assert max(map(len, lines[begin : lines.index("", begin)])) <= 60
