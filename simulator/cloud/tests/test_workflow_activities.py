"""Activities: workers fetch tasks, answer with tokens, and are missed when they fall silent."""

from __future__ import annotations

import json
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import Bench, check_history, kinds, machine, output
from simulator.cloud.validation import validate_answer


@pytest.fixture
def bench() -> Bench:
    return Bench()


def created(bench: Bench) -> str:
    return str(bench.do("CreateActivity", name="by-hand")["activityArn"])


def by_hand(arn: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": arn, "End": True, **more}


def fetching(bench: Bench, arn: str, worker: str = "me") -> simpy.Event:
    params = {"activityArn": arn, "workerName": worker}
    event = bench.dispatch(bench.dispatch.root, "stepfunctions", "GetActivityTask", params)
    assert isinstance(event, simpy.Event)
    return event


def fetched(bench: Bench, arn: str) -> dict[str, Any]:
    answer: dict[str, Any] = bench.engine.run(fetching(bench, arn))
    validate_answer("stepfunctions", "GetActivityTask", answer)
    return answer


def working(bench: Bench, arn: str, times: int, done: list[int]) -> SimGenerator:
    """Fetch so many tasks, work a second on each, and answer with the double."""
    while times:
        answer = yield fetching(bench, arn)
        if not answer:
            continue
        times -= 1
        yield bench.engine.env.timeout(1.0)
        value = json.loads(answer["input"])
        done.append(value)
        bench.do("SendTaskSuccess", taskToken=answer["taskToken"], output=json.dumps(2 * value))


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.integers(0, 99), min_size=1, max_size=8),
    workers=st.integers(1, 3),
    late_s=st.sampled_from([0.0, 0.5, 90.0]),
)
def test_every_task_is_fetched_once_whoever_comes_first(
    values: list[int], workers: int, late_s: float
) -> None:
    bench, done = Bench(), list[int]()
    arn = created(bench)
    each = machine(Ask=by_hand(arn))
    state = {"Type": "Map", "ItemProcessor": each, "End": True}
    shares = [len(values[number::workers]) for number in range(workers)]
    if late_s < 60:
        crew = [bench.engine.process(working(bench, arn, share, done)) for share in shares]
        bench.engine.run(late_s)
    execution = bench.start(machine(All=state), values)
    if late_s >= 60:
        bench.engine.run(late_s)
        crew = [bench.engine.process(working(bench, arn, share, done)) for share in shares]
    bench.engine.run(execution.done)
    check_history(execution)
    assert output(execution) == [2 * value for value in values]
    assert sorted(done) == sorted(values)
    assert all(not worker.is_alive for worker in crew)


def test_the_history_says_who_works_and_since_when(bench: Bench) -> None:
    arn = created(bench)
    execution = bench.start(machine(Ask=by_hand(arn, TimeoutSeconds=60)), {"a": 1})
    bench.engine.run(5.0)
    task = fetched(bench, arn)
    assert json.loads(task["input"]) == {"a": 1}
    bench.do("SendTaskFailure", taskToken=task["taskToken"], error="No", cause="refused")
    bench.engine.run(execution.done)
    check_history(execution)
    assert kinds(execution)[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivityFailed"]
    scheduled = execution.history.events[2]["activityScheduledEventDetails"]
    assert (scheduled["resource"], scheduled["timeoutInSeconds"]) == (arn, 60)
    started = execution.history.events[3]["activityStartedEventDetails"]
    assert started == {"workerName": "me"}
    assert (execution.error, execution.cause) == ("No", "refused")


def test_who_asks_for_a_task_waits_a_minute_and_gets_none(bench: Bench) -> None:
    assert fetched(bench, created(bench)) == {}
    assert bench.engine.env.now == 60.0


def test_a_task_that_has_timed_out_is_not_handed_out(bench: Bench) -> None:
    arn = created(bench)
    execution = bench.run(machine(Ask=by_hand(arn, TimeoutSeconds=5)))
    assert (execution.error, kinds(execution)[3]) == ("States.Timeout", "ActivityTimedOut")
    assert fetched(bench, arn) == {}


def test_a_heartbeat_is_missed_only_after_a_worker_has_fetched_the_task(bench: Bench) -> None:
    arn = created(bench)
    execution = bench.start(machine(Ask=by_hand(arn, HeartbeatSeconds=10)))
    bench.engine.run(100.0)
    task = fetched(bench, arn)
    bench.engine.run(108.0)
    bench.do("SendTaskHeartbeat", taskToken=task["taskToken"])
    bench.engine.run(execution.done)
    check_history(execution)
    assert (bench.engine.env.now, execution.error) == (118.0, "States.Timeout")


def test_the_token_of_an_activity_that_is_gone_is_of_no_task(bench: Bench) -> None:
    arn = created(bench)
    bench.start(machine(Ask=by_hand(arn)))
    bench.engine.run(1.0)
    task = fetched(bench, arn)
    bench.do("DeleteActivity", activityArn=arn)
    with pytest.raises(AwsError, match="TaskDoesNotExist"):
        bench.do("SendTaskSuccess", taskToken=task["taskToken"], output="1")
    execution = bench.run(machine(Ask=by_hand(arn)))
    assert execution.error == "ActivityDoesNotExist"


def test_an_activity_is_made_once_and_listed(bench: Bench) -> None:
    arn = created(bench)
    assert created(bench) == arn
    shown = bench.do("DescribeActivity", activityArn=arn)
    assert bench.do("ListActivities")["activities"] == [shown]
    assert shown["name"] == "by-hand"
    with pytest.raises(AwsError, match="InvalidName"):
        bench.do("CreateActivity", name="a b")
    with pytest.raises(AwsError, match="does not support activities"):
        bench.do(
            "CreateStateMachine",
            name="fast",
            definition=json.dumps(machine(Ask=by_hand(arn))),
            roleArn="arn:aws:iam::000000000000:role/machine",
            type="EXPRESS",
        )
