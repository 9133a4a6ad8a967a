"""The service: machines and executions over their life, histories, pages, what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.tests.fakes import START
from simulator.cloud.tests.workflow_bench import (
    MACHINES,
    ROLE,
    SECONDS,
    Bench,
    check_history,
    machine,
    output,
    task,
)


@pytest.fixture
def bench() -> Bench:
    return Bench()


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
        self.bench.engine.run(self.bench.engine.env.now + 0.250_001_3)

    @rule(halves=st.integers(0, 8))
    def live(self, halves: int) -> None:
        """Let time pass; never exactly to an end: no few steps add up to whole seconds."""
        self.bench.engine.run(self.bench.engine.env.now + 0.300_1 + halves / 2)

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
    logging = {"level": "OFF", "includeExecutionData": True}
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


def test_the_same_run_has_the_same_ids_and_times(bench: Bench) -> None:
    def events(bench: Bench) -> tuple[str, list[dict[str, Any]]]:
        bench.program["Publish"] = {"MessageId": "m"}
        body = machine(Send=task(ResultPath="$.sent", Next="Wait"), Wait=SECONDS)
        each = {"Type": "Map", "ItemProcessor": body, "End": True}
        execution = bench.run_states([{"s": 3}, {"s": 1}], Each=each)
        return execution.arn, execution.history.events

    arn, first = events(bench)
    assert events(Bench()) == (arn, first)
    assert (first[0]["timestamp"], first[-1]["timestamp"]) == (START, START + timedelta(seconds=3))
    assert events(bench)[0] != arn


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"publish": True}, "publish"),
        ({"definition": json.dumps(machine(A=task(HeartbeatSeconds=3)))}, "HeartbeatSeconds"),
        (
            {"definition": json.dumps(machine(A=task("arn:aws:states:::glue:x.waitForTaskToken")))},
            "waitForTaskToken",
        ),
    ],
)
def test_creating_a_machine_with_what_the_twin_lacks_is_refused_by_name_and_makes_none(
    bench: Bench, change: dict[str, Any], name: str
) -> None:
    params = {"name": "one", "definition": json.dumps(machine(A=task())), "roleArn": ROLE}
    with pytest.raises(NotSupportedByTwin, match=name):
        bench.do("CreateStateMachine", **{**params, **change})
    assert bench.do("ListStateMachines")["stateMachines"] == []
    bench.do("CreateStateMachine", **params)


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
