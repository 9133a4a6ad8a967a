"""Every group that the pipeline logs to forgets, and the account's groups are owned by choice."""

from __future__ import annotations

import pytest

from infra_cdk.config import STAGES
from infra_cdk.tests.snapshot import (
    ACCOUNT_LOGS,
    all_role_statements,
    listed,
    of_each_stage,
    resources,
    template,
    text_of,
)

GROUP = "AWS::Logs::LogGroup"
RETENTION_DAYS = {"dev": 30, "prod": 365}
OF_STAGE = {
    "/aws/lambda/fleetwin-dev-raw-writer",
    "/aws/lambda/fleetwin-dev-detector",
    "/aws/sagemaker/Endpoints/fleetwin-dev-detector",
    "/aws-glue/fleetwin-dev/output",
    "/aws-glue/fleetwin-dev/error",
    *(
        f"/aws/vendedlogs/states/fleetwin-dev-{name}"
        for name in ("batch", "compaction", "features", "monitoring", "nightly", "training")
    ),
}


def of_stage(stage: str) -> set[str]:
    return {name.replace("fleetwin-dev", f"fleetwin-{stage}") for name in OF_STAGE}


def groups(stage: str) -> dict[str, str]:
    """Return the logical id of each log group, by name."""
    return {
        body["LogGroupName"]: logical_id for logical_id, body in resources(GROUP, stage).items()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_the_groups_of_the_stage_and_of_the_account_are_there(stage: str) -> None:
    assert groups(stage).keys() == of_stage(stage) | ACCOUNT_LOGS


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage(GROUP))
def test_a_group_forgets_after_the_time_of_its_stage(stage: str, logical_id: str) -> None:
    assert resources(GROUP, stage)[logical_id]["RetentionInDays"] == RETENTION_DAYS[stage]


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage(GROUP))
def test_a_group_of_the_account_is_owned_by_choice_and_never_deleted(
    stage: str, logical_id: str
) -> None:
    resource = template(stage)["Resources"][logical_id]
    condition = resource.get("Condition")
    if resource["Properties"]["LogGroupName"] in of_stage(stage):
        assert (condition, resource["DeletionPolicy"]) == (None, "Delete")
        return
    assert resource["DeletionPolicy"] == "Retain"
    asked = {"Fn::Equals": [{"Ref": "AccountLogs"}, "true"]}
    assert template(stage)["Conditions"][condition] == asked
    assert template(stage)["Parameters"]["AccountLogs"]["Default"] == "false"


@pytest.mark.parametrize("stage", STAGES)
def test_whoever_writes_logs_writes_to_groups_that_forget(stage: str) -> None:
    written = {
        text_of(resource).split(":log-group:")[-1].split(":")[0].removesuffix("/*")
        for _, statement in all_role_statements(stage)
        if statement["Sid"] == "WriteLogs"
        for resource in listed(statement["Resource"])
        if ":log-group:" in text_of(resource)
    }
    assert written == {f"/aws-glue/fleetwin-{stage}"} | ACCOUNT_LOGS | {
        f"/aws/sagemaker/Endpoints/fleetwin-{stage}-detector"
    }


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::StepFunctions::StateMachine"))
def test_a_state_machine_logs_what_failed_with_its_input_to_its_own_group(
    stage: str, logical_id: str
) -> None:
    body = resources("AWS::StepFunctions::StateMachine", stage)[logical_id]
    logging = body["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", True)
    (destination,) = logging["Destinations"]
    group = groups(stage)[f"/aws/vendedlogs/states/{body['StateMachineName']}"]
    arn = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert arn == {"Fn::GetAtt": [group, "Arn"]}


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::Glue::Job"))
def test_a_glue_job_logs_to_the_groups_of_its_stage(stage: str, logical_id: str) -> None:
    arguments = resources("AWS::Glue::Job", stage)[logical_id]["DefaultArguments"]
    assert arguments["--custom-logGroup-prefix"] == f"/aws-glue/fleetwin-{stage}"
