"""No two at once: of a workflow's executions that overlap, the one that began first goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.asl_execution import Execution
from simulator.cloud.engine import SimGenerator
from simulator.cloud.tests.workflow_bench import Bench
from simulator.tests.workflow_stand_ins import FOLDER, definition_of

WORK_S = 60
GUARD = {"FindOthers", "IsAlone", "FindFirst", "IsFirst", "AnotherRuns"}
GUARD |= {"RecordFailure", "NotifyFailure", "Failed", "FailedUntold"}


WORKFLOWS = {
    "training": "NameRun",
    "batch": "FindModel",
    "nightly": "WhichDay",
    "monitoring": "FindEndpoint",
}
"""Each with the first state of its work."""


def guarded(name: str) -> dict[str, Any]:
    """Return the workflow's first states, with a minute's wait in the place of its work."""
    definition = definition_of(FOLDER / f"{name}.asl.json")
    states = {each: definition["States"][each] for each in GUARD}
    states[WORKFLOWS[name]] = {"Type": "Wait", "Seconds": WORK_S, "End": True}
    return {"StartAt": definition["StartAt"], "States": states}


@pytest.mark.parametrize("name", WORKFLOWS)
@settings(max_examples=30, deadline=None)
@given(delays_s=st.lists(st.sampled_from([0.0, 0.0, 7.5, 29.5, 61.5]), min_size=1, max_size=6))
def test_of_executions_that_overlap_only_the_first_goes_on_and_the_others_tell(
    name: str, delays_s: list[float]
) -> None:
    bench = Bench()
    arn = bench.create(guarded(name), name)
    started: list[tuple[float, Execution]] = []

    def start() -> SimGenerator:
        for delay_s in delays_s:
            yield bench.engine.env.timeout(delay_s)
            answer = bench.do("StartExecution", stateMachineArn=arn)
            execution = bench.workflows.execution(answer["executionArn"])
            started.append((bench.engine.env.now, execution))

    bench.engine.run(bench.engine.process(start()))
    bench.engine.run(bench.engine.env.now + 2 * WORK_S)
    free_s, running, refused = 0.0, "", 0
    for at_s, execution in started:
        if at_s >= free_s:
            assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
            free_s, running = at_s + WORK_S, execution.name
        else:
            refused += 1
            assert execution.error == "AnotherExecutionRuns"
            assert execution.cause == f"Alerted: {running} has not ended yet"
    told = [json.loads(params["Message"]) for _, call, params in bench.calls if call == "Publish"]
    assert [message["state"] for message in told] == ["AnotherRuns"] * refused
