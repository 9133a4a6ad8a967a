"""A statement less in each role that `test_permissions_end_to_end` leaves out, all in one twin.

Each test has the role's user do what the statement was for: it really is denied, and what depends
on it fails. Which statement stops which step is `golden/permissions.md`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.messages import Reading, encode_reading, telemetry_topic
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.errors import TransferFailed
from simulator.fleet.delivery import Message
from simulator.targets import Embedded
from simulator.tests.command import changed_assembly, without_statement
from simulator.tests.permissions import ACCOUNT, STATEMENTS
from simulator.tests.test_permissions_end_to_end import REMOVED as REMOVED_THERE

PREFIX = "fleetwin-dev-"
REMOVED = {
    "topic-rule": "PutOnStream",
    "training-job": "PullImage",
    "evaluation-job": "LogInToRegistry",
    "monitoring-job": "ReadModelsAndRows",
    "hosting": "ReadModels",
    "features": "ReadManifest",
    "features-starter": "Start",
    "compaction-job": "ReadCode",
    "compaction": "RunCompaction",
    "compaction-starter": "Start",
    "monitoring": "FindOthers",
    "monitoring-starter": "Start",
    "retraining-starter": "Start",
    "scores-job": "ReadCode",
    "batch": "FindModel",
    "nightly": "RunFeatures",
    "nightly-starter": "Start",
    "workflow-alerts": "Alert",
    "maintenance-transfer": "WriteWorkOrders",
    "lake-formation": "LendTables",
}
"""One statement of each role; no test depends on the statement of another's."""
WORKFLOWS = [
    ("features", "ReadManifest", "s3:GetObject"),
    ("compaction", "Compact", "glue:StartJobRun"),
    ("monitoring", "FindOthers", "states:ListExecutions"),
    ("batch", "FindModel", "sagemaker:ListModelPackages"),
    ("nightly", "RunFeatures", "glue:StartJobRun"),
]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return a twin of the template without the removed statements."""
    folder = tmp_path_factory.mktemp("denied-each")

    def remove(template: dict[str, Any]) -> None:
        named = {
            body["Properties"]["RoleName"]: name
            for name, body in template["Resources"].items()
            if body["Type"] == "AWS::IAM::Role"
        }
        for role, sid in REMOVED.items():
            without_statement(template, named[PREFIX + role], sid)

    assembly = changed_assembly(folder, remove)
    start = datetime(2026, 1, 6, tzinfo=UTC)
    made = Embedded(start, folder / "state", speed=None, seed=1, assembly=assembly)
    maintenance = {"MaintenanceServer": "plant", "AgentActivationKey": "-".join(["LOCAL"] * 5)}
    try:
        made.boot(maintenance, prewarmed=False)
        yield made
    finally:
        made.close()


def role_arn(role: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{PREFIX}{role}"


def denials(target: Embedded, role: str) -> set[tuple[str, str]]:
    """Return (action, step) of what a role was denied."""
    return {
        (each.action, step)
        for each, step in target.cloud.iam.observed.items()
        if each.role_arn == role_arn(role) and not each.allowed
    }


def image_of(target: Embedded) -> str:
    arn = target.name_of("AWS::StepFunctions::StateMachine", "-training")
    definition = target.call("stepfunctions", "DescribeStateMachine", stateMachineArn=arn)
    return str(re.findall(r'"([^"]*\.dkr\.ecr\.[^"]*)"', definition["definition"])[0])


def test_every_role_has_a_statement_taken_away_here_or_there() -> None:
    template = {role.removeprefix(PREFIX) for role, _ in STATEMENTS}
    others = {"training", "features-job", "raw-writer", "detector"}
    assert len(others) == len(REMOVED_THERE)
    assert template == REMOVED.keys() | others


@pytest.mark.parametrize(("workflow", "state", "action"), WORKFLOWS)
def test_a_workflow_fails_in_the_state_that_is_denied(
    target: Embedded, workflow: str, state: str, action: str
) -> None:
    bucket = {"name": target.bucket("raw")}
    detail = {"bucket": bucket, "object": {"key": "imports/a/manifest.json"}}
    data = json.dumps({"time": "2026-01-06T03:45:00Z", "detail": detail})
    arn = target.name_of("AWS::StepFunctions::StateMachine", f"-{workflow}")
    execution = target.start_workflow(arn, data, f"denied-{workflow}", lambda *_: None)
    target.run_until(execution.done)
    assert execution.status == "FAILED"
    assert f"is not authorized to perform: {action} on resource: " in str(execution.cause)
    assert denials(target, workflow) == {(action, state)}


@pytest.mark.parametrize("workflow", ["features", "compaction", "monitoring", "nightly"])
def test_a_schedule_starts_nothing(target: Embedded, workflow: str) -> None:
    rule = f"{PREFIX}{workflow}-schedule"
    each_minute = {"ScheduleExpression": "rate(1 minute)", "State": "ENABLED"}
    target.call("events", "PutRule", Name=rule, **each_minute)
    arn = target.name_of("AWS::StepFunctions::StateMachine", f"-{workflow}")
    before = target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)["executions"]
    target.run_until(target.clock.now + 130.0)
    target.call("events", "DisableRule", Name=rule)
    after = target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)["executions"]
    assert len(after) == len(before)
    assert denials(target, f"{workflow}-starter") == {("states:StartExecution", "")}


def test_drift_starts_no_training(target: Embedded) -> None:
    detail = json.dumps({"endpoint": f"{PREFIX}detector", "retrain": True, "training": {}})
    entry = {"Source": "fleetwin.monitoring", "DetailType": "Model Drift", "Detail": detail}
    target.call("events", "PutEvents", Entries=[entry])
    target.run_until(target.clock.now + 60.0)
    arn = target.name_of("AWS::StepFunctions::StateMachine", "-training")
    assert not target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)["executions"]
    assert denials(target, "retraining-starter") == {("states:StartExecution", "")}


def test_an_execution_that_ends_untold_is_told_by_nobody(target: Embedded) -> None:
    arn = target.name_of("AWS::StepFunctions::StateMachine", "-training")
    execution = target.start_workflow(arn, "{}", "untold", lambda *_: None)
    target.run_until(execution.done)
    target.run_until(target.clock.now + 60.0)
    assert (execution.status, execution.error) == ("FAILED", "States.Runtime")
    assert denials(target, "workflow-alerts") == {("sns:Publish", "")}


@pytest.mark.parametrize("job", ["compaction", "scores"])
def test_a_glue_job_that_may_not_read_its_script_is_not_launched(
    target: Embedded, job: str
) -> None:
    name = f"{PREFIX}{job}"
    run_id = target.call("glue", "StartJobRun", JobName=name)["JobRunId"]
    target.run_until(target.cloud.glue.wait_event(run_id))
    run = target.call("glue", "GetJobRun", JobName=name, RunId=run_id)["JobRun"]
    assert run["JobRunState"] == "FAILED"
    assert re.match(r"LAUNCH ERROR .* not authorized to perform: s3:GetObject", run["ErrorMessage"])
    assert denials(target, f"{job}-job") == {("s3:GetObject", "")}


def test_a_training_job_that_may_not_pull_its_image_fails(target: Embedded) -> None:
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
    target.call(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName="denied",
        RoleArn=role_arn("training-job"),
        AlgorithmSpecification={"TrainingImage": image_of(target), "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": f"s3://{target.bucket('artefacts')}/models/"},
        ResourceConfig=cluster,
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    target.run_until(target.cloud.training.wait_event("denied"))
    job = target.call("sagemaker", "DescribeTrainingJob", TrainingJobName="denied")
    assert "Cannot pull algorithm container" in job["FailureReason"]
    assert denials(target, "training-job") == {("ecr:BatchCheckLayerAvailability", "")}


@pytest.mark.parametrize(
    ("role", "action", "told"),
    [
        ("evaluation-job", "ecr:GetAuthorizationToken", "Cannot pull algorithm container"),
        ("monitoring-job", "s3:GetObject", "not authorized to perform: s3:GetObject"),
    ],
)
def test_a_processing_job_without_its_image_or_its_input_fails(
    target: Embedded, role: str, action: str, told: str
) -> None:
    bucket = target.bucket("processed")
    target.call("s3", "PutObject", Bucket=bucket, Key="features/rows.csv", Body=b"1\n")
    source = {
        "S3Uri": f"s3://{bucket}/features/",
        "LocalPath": "/opt/ml/processing/input/rows",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
    target.call(
        "sagemaker",
        "CreateProcessingJob",
        ProcessingJobName=role,
        RoleArn=role_arn(role),
        AppSpecification={"ImageUri": image_of(target)},
        ProcessingInputs=[{"InputName": "rows", "S3Input": source}],
        ProcessingResources={"ClusterConfig": cluster},
    )
    target.run_until(target.cloud.processing.wait_event(role))
    job = target.call("sagemaker", "DescribeProcessingJob", ProcessingJobName=role)
    assert job["ProcessingJobStatus"] == "Failed"
    assert told in job["FailureReason"]
    assert denials(target, role) == {(action, "")}


def test_a_model_that_its_role_may_not_read_is_not_created(target: Embedded) -> None:
    bucket = target.bucket("artefacts")
    target.call("s3", "PutObject", Bucket=bucket, Key="models/m/model.tar.gz", Body=b"")
    uri = f"s3://{bucket}/models/m/model.tar.gz"
    with pytest.raises(AwsError, match="Could not access model data"):
        target.call(
            "sagemaker",
            "CreateModel",
            ModelName="denied",
            ExecutionRoleArn=role_arn("hosting"),
            PrimaryContainer={"Image": image_of(target), "ModelDataUrl": uri},
        )
    assert denials(target, "hosting") == {("s3:GetObject", "")}


def test_readings_that_may_not_be_put_on_the_stream_are_kept_as_dead_letters(
    target: Embedded,
) -> None:
    values = {"temperature_c": 60.0, "velocity_mm_s_rms": 2.0}
    at_ms = int(target.cloud.engine.epoch_s() * 1000)
    payload = encode_reading(Reading("pump-001", 1, at_ms, values))
    message = Message(telemetry_topic("pump-001"), payload, "pump-001", target.clock.now)
    target.publish([message])
    target.run_until(target.clock.now + 60.0)
    assert len(list(target.objects(target.bucket("raw"), "dead-letter/iot/"))) == 1
    assert denials(target, "topic-rule") == {("kinesis:PutRecord", "")}


def test_work_orders_that_may_not_be_written_are_not_transferred(
    target: Embedded, tmp_path: Path
) -> None:
    exported = tmp_path / "maintenance" / "dt=2026-01-05"
    exported.mkdir(parents=True)
    (exported / "orders.csv").write_text("order\n")
    target.serve_files("plant", tmp_path)
    with pytest.raises(TransferFailed, match="maintenance failed"):
        target.transfer("maintenance")
    assert ("s3:PutObject", "") in denials(target, "maintenance-transfer")


def test_files_that_the_registered_role_may_not_read_are_lent_to_nobody(target: Embedded) -> None:
    settings = target.call("lakeformation", "GetDataLakeSettings")["DataLakeSettings"]
    open_to_engines = {**settings, "AllowFullTableExternalDataAccess": True}
    target.call("lakeformation", "PutDataLakeSettings", DataLakeSettings=open_to_engines)
    (database,) = (each["Name"] for each in target.call("glue", "GetDatabases")["DatabaseList"])
    table = f"arn:aws:glue:us-east-1:{ACCOUNT}:table/{database}/features"
    iam = target.cloud.iam
    job = iam.principal_for_role(role_arn("features-job"), "s", "glue.amazonaws.com")
    operation = "GetTemporaryGlueTableCredentials"
    vended = target.cloud.dispatch(job, "lakeformation", operation, {"TableArn": table})
    assert isinstance(vended, dict)
    session = iam.principal_for_key(vended["AccessKeyId"], "s3")
    place = {"Bucket": target.bucket("processed"), "Key": "features/x"}
    with pytest.raises(AccessDenied):
        target.cloud.dispatch(session, "s3", "GetObject", place)
    assert denials(target, "lake-formation") == {("s3:GetObject", "")}
