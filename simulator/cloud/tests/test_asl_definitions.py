"""What CreateStateMachine makes of a definition: AWS's refusals, and the twin's own by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.cloud.asl_validation import validate
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.tests.workflow_bench import RUN_JOB, Bench, machine, task

WAIT = {"Type": "Wait", "Seconds": 1, "End": True}


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"StartAt": "A"}, "SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /"),
        ([], "Expected an object at /"),
        (machine(A={"Type": "Pass", "Next": "B"}), "MISSING_TRANSITION_TARGET: Missing 'Next' "),
        (machine(A=WAIT, B=WAIT), 'State "B" is not reachable. at /States/B'),
        (machine(A={"Type": "Jump"}), "Value is not a valid state Type at /States/A/Type"),
        (machine(A={"Type": "Pass"}), "[Next or End] at /States/A"),
        (machine(A={"Type": "Wait", "End": True}), "Exactly one of"),
        (machine(A={**WAIT, "Seconds": -1}), "/States/A/Seconds"),
        (machine(A={"Type": "Wait", "Timestamp": "soon", "End": True}), "ISO-8601"),
        (machine(A={"Type": "Map", "End": True}), "[ItemProcessor] at /States/A"),
        (machine(A=task(Retry=[{}])), "[ErrorEquals] at /States/A/Retry[0]"),
        (machine(A=task(Catch=[{"ErrorEquals": ["E"]}])), "[Next] at /States/A/Catch[0]"),
        (
            machine(A=task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}])),
            "States.ALL must appear alone",
        ),
        (
            machine(A=task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}])),
            "1.0 or more at /States/A/Retry[0]/BackoffRate",
        ),
        (
            machine(A=task(Parameters={"x.$": "plain"})),
            "The value for the field 'x.$' must be a valid JSONPath or a valid intrinsic",
        ),
        ({**machine(A=WAIT), "Startat": "A"}, "Field is not supported at /Startat"),
        (
            machine(A={"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True}]}),
            "[Next] at /States/A/Choices[0]",
        ),
    ],
)
def test_a_definition_that_aws_refuses_is_refused_with_its_place(
    definition: Any, text: str
) -> None:
    with pytest.raises(AwsError) as error:
        validate(json.dumps(definition))
    assert error.value.code == "InvalidDefinition"
    assert text in error.value.message


def test_what_is_no_json_and_what_is_too_long_is_refused_too() -> None:
    with pytest.raises(AwsError, match="INVALID_JSON_DESCRIPTION"):
        validate("{")
    with pytest.raises(AwsError, match="1048576 bytes"):
        validate(json.dumps({**machine(A=WAIT), "Comment": "x" * 1_048_576}))


def _choice(**rule: Any) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": [{"Variable": "$", **rule, "Next": "A"}]}


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (task("arn:aws:states:::glue:startJobRun.waitForTaskToken"), "waitForTaskToken"),
        (task("arn:aws:states:::ecs:runTask.sync"), "ecs:runTask.sync"),
        (task("arn:aws:states:::aws-sdk:sqs:fly"), "sqs:Fly"),
        (task("arn:aws:states:::aws-sdk:quantum:leap"), "quantum"),
        (task("arn:aws:states:::glue:startJobRun.sync:2"), "sync:2"),
        (task(HeartbeatSeconds=3), "HeartbeatSeconds"),
        (task(Credentials={"RoleArn": "r"}), "Credentials"),
        (_choice(StringLike="x"), "StringLike"),
        (_choice(BooleanLessThan=True), "BooleanLessThan"),
        (_choice(), "operator"),
        ({"Type": "Map", "ItemReader": {}, "ItemProcessor": {}, "End": True}, "ItemReader"),
    ],
)
def test_what_the_twin_does_not_run_is_refused_by_name_when_it_is_created(
    state: dict[str, Any], name: str
) -> None:
    with pytest.raises(NotSupportedByTwin, match=name):
        validate(json.dumps(machine(A=state)))


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::aws-sdk:sqs:listQueues",
        "arn:aws:states:::glue:startCrawler.sync",
        "arn:aws:states:::sns:publish.sync",
    ],
)
def test_a_task_whose_service_is_not_there_or_not_followed_is_refused_when_it_is_created(
    resource: str,
) -> None:
    with pytest.raises(NotSupportedByTwin):
        Bench().create(machine(A=task(resource)))
    assert Bench().create(machine(A=task(RUN_JOB)))
