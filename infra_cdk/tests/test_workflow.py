"""The workflow's definition, as it stands in the template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.config import STAGES
from infra_cdk.tests.snapshot import LOG_DELIVERY, listed, resources, role_statements, sagemaker_job
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.training_metrics import METRIC_DEFINITIONS
from simulator.cloud.sagemaker_models import MOST_INSTANCES

MACHINES = {
    machine["StateMachineName"]: machine
    for machine in resources("AWS::StepFunctions::StateMachine").values()
}
MACHINE = MACHINES["fleetwin-dev-training"]
DEFINITION = json.loads(MACHINE["DefinitionString"])
STATES = DEFINITION["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
FILE = Path(__file__).parents[2] / "pipeline" / "workflow" / "training.asl.json"

# What the machine's role needs for each of the integrations in use (Step Functions Developer
# Guide, "How Step Functions generates IAM policies for integrated services").
NEEDED = {
    "arn:aws:states:::aws-sdk:ssm:getParameter": {"ssm:GetParameter"},
    "arn:aws:states:::glue:startJobRun.sync": {
        "glue:StartJobRun",
        "glue:GetJobRun",
        "glue:GetJobRuns",
        "glue:BatchStopJobRun",
    },
    "arn:aws:states:::sagemaker:createTrainingJob.sync": sagemaker_job("Training"),
    "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync": sagemaker_job(
        "HyperParameterTuning"
    ),
    "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob": {"sagemaker:DescribeTrainingJob"},
    "arn:aws:states:::sagemaker:createModel": {"sagemaker:CreateModel", "iam:PassRole"},
    "arn:aws:states:::sagemaker:createEndpointConfig": {"sagemaker:CreateEndpointConfig"},
    "arn:aws:states:::sagemaker:createEndpoint": {"sagemaker:CreateEndpoint"},
    # The alarms of a rollback are looked at as the caller.
    "arn:aws:states:::sagemaker:updateEndpoint": {
        "sagemaker:UpdateEndpoint",
        "cloudwatch:DescribeAlarms",
    },
    "arn:aws:states:::sagemaker:createProcessingJob.sync": sagemaker_job("Processing"),
    "arn:aws:states:::aws-sdk:sagemaker:listModelPackages": {"sagemaker:ListModelPackages"},
    "arn:aws:states:::aws-sdk:sagemaker:describeModelPackage": {"sagemaker:DescribeModelPackage"},
    "arn:aws:states:::aws-sdk:sagemaker:createModelPackage": {"sagemaker:CreateModelPackage"},
    "arn:aws:states:::aws-sdk:sagemaker:updateModelPackage": {"sagemaker:UpdateModelPackage"},
    "arn:aws:states:::aws-sdk:s3:getObject": {"s3:GetObject"},
    "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint": {"sagemaker:DescribeEndpoint"},
    "arn:aws:states:::aws-sdk:dynamodb:putItem": {"dynamodb:PutItem"},
    "arn:aws:states:::aws-sdk:s3:putObject": {"s3:PutObject"},
    "arn:aws:states:::sns:publish": {"sns:Publish"},
    "arn:aws:states:::aws-sdk:sfn:listExecutions": {"states:ListExecutions"},
    # Application Auto Scaling looks at the endpoint, and makes its alarms, as the caller.
    "arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget": {
        "application-autoscaling:RegisterScalableTarget",
        "sagemaker:DescribeEndpoint",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        "iam:CreateServiceLinkedRole",
    },
    "arn:aws:states:::aws-sdk:applicationautoscaling:putScalingPolicy": {
        "application-autoscaling:PutScalingPolicy",
        "cloudwatch:PutMetricAlarm",
    },
}


def test_the_template_has_the_definition_of_the_pipeline() -> None:
    assert json.loads(FILE.read_text()) == DEFINITION


def test_every_name_in_the_definition_is_substituted_and_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", MACHINE["DefinitionString"]))
    assert used == MACHINE["DefinitionSubstitutions"].keys()


def test_the_role_may_do_what_the_states_call_and_nothing_else() -> None:
    allowed = {
        action
        for statement in role_statements("fleetwin-dev-training").values()
        for action in listed(statement["Action"])
    }
    needed = LOG_DELIVERY.union(*(NEEDED[state["Resource"]] for state in TASKS.values()))
    assert allowed == needed


def test_tuning_looks_for_what_the_training_script_prints_and_takes() -> None:
    job = TASKS["Tune"]["Arguments"]
    (metric,) = job["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert metric in METRIC_DEFINITIONS
    settings = job["HyperParameterTuningJobConfig"]
    assert settings["HyperParameterTuningJobObjective"]["MetricName"] == metric["Name"]
    ranges = [one for each in settings["ParameterRanges"].values() for one in each]
    known = {field.name: field.type for field in fields(Hyperparameters)}
    assert all(one["Name"] in known for one in ranges)
    static = job["TrainingJobDefinition"]["StaticHyperParameters"]
    assert str([one["Name"] for one in ranges]) in static, "left out there"


def test_every_state_is_reached_and_every_next_exists() -> None:
    reached = {target for state in STATES.values() for target in _targets(state)}
    assert reached | {DEFINITION["StartAt"]} == STATES.keys()


@pytest.mark.parametrize("name", TASKS)
def test_every_task_catches_every_error_and_ends_by_telling(name: str) -> None:
    last = TASKS[name]["Catch"][-1]
    assert last["ErrorEquals"] == ["States.ALL"]
    after = {"RecordFailure": "NotifyFailure", "NotifyFailure": "FailedUntold"}
    assert last["Next"] == after.get(name, "RecordFailure")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_tried_again_with_patience_on_errors_that_aws_names(name: str) -> None:
    assert TASKS[name]["Retry"]
    for retrier in TASKS[name]["Retry"]:
        assert retrier["BackoffRate"] > 1
        assert 0 < retrier["MaxAttempts"] < 10
        assert all(re.fullmatch(r"\w+\.\w+Exception", text) for text in retrier["ErrorEquals"])


def test_an_endpoint_is_touched_only_when_there_is_a_model_and_active_only_in_service() -> None:
    path = _happy_path()
    order = [path.index(name) for name in ("Train", "CreateModel", "FindEndpoint", "ActivateModel")]
    assert order == sorted(order)
    ready, pending = STATES["IsEndpointReady"]["Choices"]
    assert ready["Next"] == "ActivateModel"
    assert {"Variable": "$.endpoint.status", "StringEquals": "InService"} in ready["And"]
    assert {"Variable": "$.endpoint.config", "StringEqualsPath": "$.name"} in ready["And"]
    assert pending["Next"] == "WaitForEndpoint"
    assert STATES["IsEndpointReady"]["Default"] == "EndpointFailed"


def test_scaling_stays_within_the_stages_numbers_and_an_update_keeps_what_it_made() -> None:
    target = TASKS["RegisterScaling"]["Parameters"]
    policy = TASKS["ScaleOnRequests"]["Parameters"]
    (variant,) = TASKS["CreateEndpointConfig"]["Parameters"]["ProductionVariants"]
    place = f"endpoint/${{EndpointName}}/variant/{variant['VariantName']}"
    assert target["ResourceId"] == policy["ResourceId"] == place
    assert target["MinCapacity.$"] == variant["InitialInstanceCount.$"]
    for config in STAGES.values():
        assert 2 <= config.endpoint_instances < config.endpoint_most_instances <= MOST_INSTANCES
    update = TASKS["UpdateEndpoint"]["Parameters"]
    assert update["RetainAllVariantProperties"] is True
    left_out = [each["VariantPropertyType"] for each in update["ExcludeRetainedVariantProperties"]]
    assert "DesiredInstanceCount" not in left_out


def test_an_update_is_a_canary_of_one_instance_that_alarms_of_the_stack_roll_back() -> None:
    (variant,) = TASKS["CreateEndpointConfig"]["Parameters"]["ProductionVariants"]
    deployment = TASKS["UpdateEndpoint"]["Parameters"]["DeploymentConfig"]
    routing = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "CANARY"
    assert routing["CanarySize"] == {"Type": "INSTANCE_COUNT", "Value": 1}
    assert variant["InitialInstanceCount.$"] == "States.StringToJson('${EndpointInstances}')"
    assert all(config.endpoint_instances >= 2 for config in STAGES.values())
    names = MACHINE["DefinitionSubstitutions"]
    alarms = {body["AlarmName"]: body for body in resources("AWS::CloudWatch::Alarm").values()}
    for named in deployment["AutoRollbackConfiguration"]["Alarms"]:
        alarm = alarms[names[named["AlarmName"][2:-1]]]
        dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        assert dimensions == {
            "EndpointName": names["EndpointName"],
            "VariantName": variant["VariantName"],
        }


def test_what_is_rejected_is_told_and_what_serves_is_approved() -> None:
    first, *_ = STATES["IsThereSomethingToCompare"]["Choices"]
    assert (first["Variable"], first["IsPresent"]) == ("$.current", True)
    assert STATES["HoldOut"]["Next"] == "RunFeatures", "held out only if there is a current model"
    assert STATES["DescribeCurrentModel"]["Next"] == "HoldOut"
    for name in ("NotBetter", "EndpointFailed"):
        assert STATES[name]["Next"] == "RejectCandidate"
    assert TASKS["RejectCandidate"]["Parameters"]["ModelApprovalStatus"] == "Rejected"
    assert TASKS["ApproveCandidate"]["Parameters"]["ModelApprovalStatus"] == "Approved"
    assert TASKS["ActivateModel"]["Next"] == "ApproveCandidate"


def test_what_sagemaker_creates_is_named_after_the_run_and_hyperparameters_are_text() -> None:
    train = TASKS["Train"]["Arguments"]
    assert train["TrainingJobName"] == "{% $states.input.name %}"
    names = [
        TASKS["CreateModel"]["Parameters"]["ModelName.$"],
        TASKS["CreateEndpointConfig"]["Parameters"]["EndpointConfigName.$"],
    ]
    assert names == ["$.name"] * 2
    prefix = MACHINE["DefinitionSubstitutions"]["EndpointName"]
    assert len(f"{prefix}-") + 40 <= 63, "SageMaker's longest name"
    merged = train["HyperParameters"]
    assert merged == "{% $merge([$states.input.settings.values, $states.input.hyperparameters]) %}"
    own = STATES["NameHyperparameters"]["Parameters"]
    assert own.keys() == {"feature_spec.$", "train_start.$", "train_end.$"}


def _happy_path() -> list[str]:
    name, path = DEFINITION["StartAt"], []
    while name:
        path.append(name)
        state = STATES[name]
        name = state["Choices"][0]["Next"] if state["Type"] == "Choice" else state.get("Next", "")
    return path


def _targets(state: dict[str, Any]) -> Iterator[str]:
    for rule in [state, *state.get("Choices", []), *state.get("Catch", [])]:
        if "Next" in rule:
            yield rule["Next"]
    if "Default" in state:
        yield state["Default"]
