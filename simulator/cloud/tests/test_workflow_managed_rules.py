"""A machine that waits with `.sync` is made only for a role that may have AWS's rule made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.cloud.asl_managed_rules import ACTIONS
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import ROLE, RUN_JOB, SECONDS, Bench, machine, task

START = "arn:aws:states:::states:startExecution"
RULE = (
    "arn:aws:events:us-east-1:000000000000:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
)
REFUSED = f"AccessDeniedException: '{ROLE}' is not authorized to create managed-rule."


@pytest.fixture
def bench() -> Bench:
    return Bench()


def starting(bench: Bench, pattern: str) -> dict[str, Any]:
    """Return a machine that starts another."""
    inner = bench.create(machine(Wait=SECONDS))
    parameters = {"StateMachineArn": inner, "Input.$": "$"}
    return machine(Start=task(f"{START}{pattern}", Parameters=parameters))


def deny(bench: Bench, action: str, resource: str = RULE) -> None:
    statement = {"Effect": "Deny", "Action": action, "Resource": resource}
    bench.iam.put_role_policy(ROLE, "deny", {"Version": "2012-10-17", "Statement": statement})


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
def test_a_machine_that_waits_needs_each_permission_on_the_rule_of_its_kind_of_job(
    bench: Bench, pattern: str, action: str
) -> None:
    definition = starting(bench, pattern)
    deny(bench, action)
    with pytest.raises(AwsError) as caught:
        bench.create(definition, "waits")
    assert str(caught.value) == REFUSED
    listed = bench.do("ListStateMachines")["stateMachines"]
    assert "waits" not in [each["name"] for each in listed]


def test_a_machine_that_does_not_wait_or_whose_job_is_polled_needs_no_rule(bench: Bench) -> None:
    definition = starting(bench, "")
    deny(bench, "events:*", "*")
    bench.create(definition, "starts")
    bench.create(machine(Run=task(RUN_JOB)), "polls")
    listed = bench.do("ListStateMachines")["stateMachines"]
    assert {"starts", "polls"} <= {each["name"] for each in listed}


def test_a_change_is_refused_and_changes_nothing(bench: Bench) -> None:
    waiting = starting(bench, ".sync")
    arn = bench.create(machine(Wait=SECONDS), "changed")
    waits = bench.create(waiting, "waits")
    deny(bench, "events:PutRule")
    with pytest.raises(AwsError) as caught:
        bench.do("UpdateStateMachine", stateMachineArn=arn, definition=json.dumps(waiting))
    assert str(caught.value) == REFUSED
    shown = bench.do("DescribeStateMachine", stateMachineArn=arn)
    assert json.loads(shown["definition"]) == machine(Wait=SECONDS)
    with pytest.raises(AwsError, match="managed-rule"):
        bench.do("UpdateStateMachine", stateMachineArn=waits, roleArn=ROLE)
