"""Every group that the pipeline logs to forgets, and the account's groups are owned by choice."""

from __future__ import annotations

import pytest

from infra_cdk.tests.snapshot import (
    ACCOUNT_LOGS,
    all_role_statements,
    listed,
    resources,
    template,
    text_of,
)

GROUPS = {
    body["LogGroupName"]: (logical_id, body)
    for logical_id, body in resources("AWS::Logs::LogGroup").items()
}
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


def test_the_groups_of_the_stage_and_of_the_account_are_there() -> None:
    assert GROUPS.keys() == OF_STAGE | ACCOUNT_LOGS


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_forgets(name: str) -> None:
    assert GROUPS[name][1]["RetentionInDays"] == 30


@pytest.mark.parametrize("name", sorted(OF_STAGE | ACCOUNT_LOGS))
def test_a_group_of_the_account_is_owned_by_choice_and_never_deleted(name: str) -> None:
    resource = template()["Resources"][GROUPS[name][0]]
    condition = resource.get("Condition")
    if name in OF_STAGE:
        assert (condition, resource["DeletionPolicy"]) == (None, "Delete")
        return
    assert resource["DeletionPolicy"] == "Retain"
    asked = {"Fn::Equals": [{"Ref": "AccountLogs"}, "true"]}
    assert template()["Conditions"][condition] == asked
    assert template()["Parameters"]["AccountLogs"]["Default"] == "false"


def test_whoever_writes_logs_writes_to_groups_that_forget() -> None:
    written = {
        text_of(resource).split(":log-group:")[-1].split(":")[0].removesuffix("/*")
        for _, statement in all_role_statements()
        if statement["Sid"] == "WriteLogs"
        for resource in listed(statement["Resource"])
        if ":log-group:" in text_of(resource)
    }
    assert written == {"/aws-glue/fleetwin-dev"} | ACCOUNT_LOGS | {
        "/aws/sagemaker/Endpoints/fleetwin-dev-detector"
    }


@pytest.mark.parametrize("machine", sorted(resources("AWS::StepFunctions::StateMachine")))
def test_a_state_machine_logs_what_failed_with_its_input_to_its_own_group(machine: str) -> None:
    body = resources("AWS::StepFunctions::StateMachine")[machine]
    logging = body["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", True)
    (destination,) = logging["Destinations"]
    logical_id, _ = GROUPS[f"/aws/vendedlogs/states/{body['StateMachineName']}"]
    arn = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert arn == {"Fn::GetAtt": [logical_id, "Arn"]}


@pytest.mark.parametrize("job", sorted(resources("AWS::Glue::Job")))
def test_a_glue_job_logs_to_the_groups_of_its_stage(job: str) -> None:
    arguments = resources("AWS::Glue::Job")[job]["DefaultArguments"]
    assert arguments["--custom-logGroup-prefix"] == "/aws-glue/fleetwin-dev"
