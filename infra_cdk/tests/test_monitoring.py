"""Monitoring as it stands in the template: its workflow, its rights, its two rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
from pipeline.monitoring import job_settings, publishing

MACHINE = next(
    machine
    for machine in resources("AWS::StepFunctions::StateMachine").values()
    if machine["StateMachineName"] == "fleetwin-dev-monitoring"
)
DEFINITION = json.loads(MACHINE["DefinitionString"])
STATES = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
JOBS = {name: TASKS[name]["Parameters"] for name in ("MakeBaseline", "Monitor")}
FILE = Path(__file__).parents[2] / "pipeline" / "workflow" / "monitoring.asl.json"
RULES = {body["Name"]: body for body in resources("AWS::Events::Rule").values()}

# Step Functions Developer Guide, "How Step Functions generates IAM policies for integrated
# services".
NEEDED = {
    "arn:aws:states:::aws-sdk:sfn:listExecutions": {"states:ListExecutions"},
    "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint": {"sagemaker:DescribeEndpoint"},
    "arn:aws:states:::aws-sdk:sagemaker:describeModel": {"sagemaker:DescribeModel"},
    "arn:aws:states:::aws-sdk:s3:listObjectsV2": {"s3:ListBucket"},
    "arn:aws:states:::sagemaker:createProcessingJob.sync": sagemaker_job("Processing"),
    "arn:aws:states:::aws-sdk:s3:putObject": {"s3:PutObject"},
    "arn:aws:states:::sns:publish": {"sns:Publish"},
}


def test_the_template_has_the_definition_of_the_pipeline_with_every_name() -> None:
    assert json.loads(FILE.read_text()) == DEFINITION
    used = set(re.findall(r"\$\{(\w+)\}", MACHINE["DefinitionString"]))
    assert used == MACHINE["DefinitionSubstitutions"].keys()


def test_the_role_may_do_what_the_states_call_and_nothing_else() -> None:
    allowed = {
        action
        for statement in role_statements("fleetwin-dev-monitoring").values()
        for action in listed(statement["Action"])
    }
    assert allowed == LOG_DELIVERY.union(*(NEEDED[state["Resource"]] for state in TASKS.values()))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_catches_every_error_and_ends_by_telling(name: str) -> None:
    last = TASKS[name]["Catch"][-1]
    assert last["ErrorEquals"] == ["States.ALL"]
    after = {"RecordFailure": "NotifyFailure", "NotifyFailure": "FailedUntold"}
    assert last["Next"] == after.get(name, "RecordFailure")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_gets_the_variables_that_it_reads_and_a_name_that_fits(name: str) -> None:
    given = {key.removesuffix(".$") for key in JOBS[name]["Environment"]}
    text = Path(job_settings.__file__).read_text()
    assert {key for key in given if f'"{key}"' not in text} == set()
    kind = JOBS[name]["ProcessingJobName.$"].split("-{}")[0].rpartition("-")[2]
    assert len(f"fleetwin-staging-{kind}-") + 36 <= 63, "SageMaker's longest name"
    folders = {each["S3Input"]["LocalPath"] for each in JOBS[name]["ProcessingInputs"]}
    assert "/opt/ml/processing/input/model" in folders


def test_the_job_may_write_its_results_only_and_metrics_of_the_project_only() -> None:
    statements = role_statements("fleetwin-dev-monitoring-job")
    writers = {
        sid
        for sid, statement in statements.items()
        if "s3:PutObject" in listed(statement["Action"])
    }
    assert writers == {"KeepResults"}
    assert text_of(statements["KeepResults"]["Resource"]).endswith("/monitoring/*")
    condition = statements["PutMetrics"]["Condition"]
    assert condition == {"StringEquals": {"cloudwatch:namespace": "Fleetwin"}}


def test_the_schedule_is_a_parameter_and_off_until_somebody_turns_it_on() -> None:
    rule = RULES["fleetwin-dev-monitoring-schedule"]
    assert rule["ScheduleExpression"] == {"Ref": "MonitoringSchedule"}
    assert rule["State"] == {"Ref": "MonitoringState"}
    parameters = template()["Parameters"]
    assert parameters["MonitoringState"]["Default"] == "DISABLED"
    assert parameters["MonitoringSchedule"]["Default"] == "cron(5 * * * ? *)"


def test_only_drift_that_is_due_starts_a_training_on_the_range_that_it_names() -> None:
    rule = RULES["fleetwin-dev-retraining"]
    assert rule["EventPattern"] == {
        "source": [publishing.SOURCE],
        "detail-type": [publishing.DETAIL_TYPE],
        "detail": {"endpoint": ["fleetwin-dev-detector"], "retrain": [True]},
    }
    (target,) = rule["Targets"]
    assert target["InputPath"] == "$.detail.training"
    (statement,) = role_statements("fleetwin-dev-retraining-starter").values()
    assert text_of(statement["Resource"]) == text_of(target["Arn"])
