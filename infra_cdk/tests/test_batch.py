"""Batch scoring and the nightly workflow as they stand in the template."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.tests.snapshot import (
    LOG_DELIVERY,
    listed,
    resources,
    role_statements,
    sagemaker_job,
    template,
    text_of,
)
from pipeline.etl import scores_job

FOLDER = Path(__file__).parents[2] / "pipeline" / "workflow"
NAMES = ("batch", "nightly")
MACHINES = {
    name: machine
    for machine in resources("AWS::StepFunctions::StateMachine").values()
    for name in NAMES
    if machine["StateMachineName"] == f"fleetwin-dev-{name}"
}
DEFINITIONS = {name: json.loads(MACHINES[name]["DefinitionString"]) for name in NAMES}
STATES = {name: DEFINITIONS[name]["States"] for name in NAMES}
TASKS = {
    (name, state): body
    for name in NAMES
    for state, body in STATES[name].items()
    if body["Type"] == "Task"
}
OF_RULES = {"events:PutTargets", "events:PutRule", "events:DescribeRule"}

# Step Functions Developer Guide, "How Step Functions generates IAM policies for integrated
# services".
NEEDED = {
    "arn:aws:states:::aws-sdk:sfn:listExecutions": {"states:ListExecutions"},
    "arn:aws:states:::aws-sdk:sagemaker:listModelPackages": {"sagemaker:ListModelPackages"},
    "arn:aws:states:::aws-sdk:sagemaker:describeModelPackage": {"sagemaker:DescribeModelPackage"},
    "arn:aws:states:::aws-sdk:s3:getObject": {"s3:GetObject"},
    "arn:aws:states:::glue:startJobRun.sync": {
        "glue:StartJobRun",
        "glue:GetJobRun",
        "glue:GetJobRuns",
        "glue:BatchStopJobRun",
    },
    # No role is passed: a transform job acts as its model's.
    "arn:aws:states:::sagemaker:createTransformJob.sync": sagemaker_job(
        "Transform", passes_role=False
    ),
    "arn:aws:states:::states:startExecution.sync:2": {
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
        *OF_RULES,
    },
    "arn:aws:states:::aws-sdk:s3:putObject": {"s3:PutObject"},
    "arn:aws:states:::sns:publish": {"sns:Publish"},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_template_has_the_definition_of_the_pipeline_with_every_name(name: str) -> None:
    assert json.loads((FOLDER / f"{name}.asl.json").read_text()) == DEFINITIONS[name]
    used = set(re.findall(r"\$\{(\w+)\}", MACHINES[name]["DefinitionString"]))
    assert used == MACHINES[name]["DefinitionSubstitutions"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_role_may_do_what_the_states_call_and_nothing_else(name: str) -> None:
    allowed = {
        action
        for statement in role_statements(f"fleetwin-dev-{name}").values()
        for action in listed(statement["Action"])
    }
    of_name = [body for (owner, _), body in TASKS.items() if owner == name]
    assert allowed == LOG_DELIVERY.union(*(NEEDED[body["Resource"]] for body in of_name))


@pytest.mark.parametrize(("name", "state"), TASKS)
def test_every_task_catches_every_error_and_ends_by_telling(name: str, state: str) -> None:
    last = TASKS[name, state]["Catch"][-1]
    assert last["ErrorEquals"] == ["States.ALL"]
    after = {"RecordFailure": "NotifyFailure", "NotifyFailure": "FailedUntold"}
    assert last["Next"] == after.get(state, "RecordFailure")


@pytest.mark.parametrize(("name", "state"), TASKS)
def test_a_task_is_tried_again_with_patience_on_errors_that_aws_names(
    name: str, state: str
) -> None:
    for retrier in TASKS[name, state]["Retry"]:
        assert retrier["BackoffRate"] > 1
        assert 0 < retrier["MaxAttempts"] < 10
        assert all(re.fullmatch(r"\w+\.\w+Exception", text) for text in retrier["ErrorEquals"])


def test_the_transform_job_reads_and_writes_where_the_scores_job_writes_and_reads() -> None:
    job: dict[str, Any] = STATES["batch"]["Score"]["Parameters"]
    runs = f"States.Format('s3://${{ProcessedBucket}}/{scores_job.RUNS_PREFIX}/{{}}"
    source = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri.$"]
    assert source == f"{runs}/rows/', $$.Execution.Name)"
    assert job["TransformOutput"]["S3OutputPath.$"] == f"{runs}/scored', $$.Execution.Name)"
    kept = job["DataProcessing"]["OutputFilter"]
    assert f"'{scores_job.ANSWER}'" in kept
    assert len("fleetwin-staging-scores-") + 36 <= 63, "SageMaker's longest name"
    assert "Transform" in role_statements("fleetwin-dev-hosting"), "as the model's role"


def test_the_scores_job_is_given_what_its_script_asks_for() -> None:
    (job,) = (
        body
        for body in resources("AWS::Glue::Job").values()
        if body["Name"] == "fleetwin-dev-scores"
    )
    given = {name.removeprefix("--") for name in job["DefaultArguments"]}
    arguments = STATES["batch"]["WriteRows"]["Parameters"]["Arguments"]
    asked = {name.removeprefix("--").removesuffix(".$") for name in arguments}
    assert set(scores_job.NAMES) <= given | asked
    assert asked | {"feature_spec"} <= set(scores_job.NAMES)


def test_the_table_of_scores_has_the_columns_that_the_job_writes() -> None:
    (table,) = (
        body["TableInput"]
        for body in resources("AWS::Glue::Table").values()
        if body["TableInput"]["Name"] == "scores"
    )
    columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
    assert columns == scores_job.COLUMNS.names
    location = text_of(table["StorageDescriptor"]["Location"])
    assert location.endswith(f"/{scores_job.SCORES_PREFIX}/")


def test_the_nightly_schedule_is_a_parameter_and_off_until_somebody_turns_it_on() -> None:
    (rule,) = (
        body
        for body in resources("AWS::Events::Rule").values()
        if body["Name"] == "fleetwin-dev-nightly-schedule"
    )
    assert rule["ScheduleExpression"] == {"Ref": "NightlySchedule"}
    assert rule["State"] == {"Ref": "NightlyState"}
    parameters = template()["Parameters"]
    assert parameters["NightlyState"]["Default"] == "DISABLED"
    assert parameters["NightlySchedule"]["Default"] == "cron(30 2 * * ? *)"
    assert parameters["NightlyScoring"]["Default"] == "false"


def test_a_day_is_judged_before_it_is_scored() -> None:
    states = STATES["nightly"]
    assert states["RunFeatures"]["Next"] == "ReadQuality"
    (good,) = states["IsQualityGood"]["Choices"]
    assert (good["Variable"], good["StringEquals"]) == ("$.broken", "")
    assert states["IsQualityGood"]["Default"] == "QualityPoor"
    assert states["QualityPoor"]["Next"] == "RecordFailure"
