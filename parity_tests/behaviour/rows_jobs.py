"""What Step Functions, Glue, SageMaker, Lake Formation, S3, DynamoDB and IAM answer."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.behaviour.table import DOCUMENTED, RECORDED, Behaviours, differs
from parity_tests.contract.things import training_of, variant_of
from parity_tests.contract.world import World

workflows = Behaviours("stepfunctions")
glue = Behaviours("glue")
sagemaker = Behaviours("sagemaker")
runtime = Behaviours("sagemaker-runtime")
lake = Behaviours("lakeformation")
s3 = Behaviours("s3")
metrics = Behaviours("cloudwatch")

PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
WAIT = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 600, "End": True}}})

# -- Step Functions


def _machine(world: World, definition: str) -> dict[str, Any]:
    return {"name": world.new("machine"), "definition": definition, "roleArn": world.role}


def _running(world: World) -> tuple[dict[str, Any], str]:
    params = {"stateMachineArn": world.machine(WAIT), "name": world.new("run"), "input": "{}"}
    answer = world.do("stepfunctions", "StartExecution", **params)
    return params, answer["executionArn"]


workflows.refuses(
    "CreateStateMachine",
    "a definition without states",
    lambda w: _machine(w, '{"StartAt": "A"}'),
    "InvalidDefinition",
    r"^Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: "
    r"\[States\]",
    date="2025",
)
workflows.refuses(
    "DescribeStateMachine",
    "a machine that is not there",
    lambda w: {"stateMachineArn": w.machine(PASS) + "-not"},
    "StateMachineDoesNotExist",
    r"^State Machine Does Not Exist: 'arn:aws:states:",
    date="2025",
)
workflows.refuses(
    "StartExecution",
    "an input that is not JSON",
    lambda w: {"stateMachineArn": w.machine(PASS), "input": "{"},
    "InvalidExecutionInput",
    r"^Invalid State Machine Execution Input: '",
    date="2025",
)
workflows.refuses(
    "StartExecution",
    "the name of a running execution with another input",
    lambda w: {**_running(w)[0], "input": '{"other": 1}'},
    "ExecutionAlreadyExists",
    r"^Execution Already Exists: 'arn:aws:states:",
    date="2025",
)


def _same_again(world: World) -> str | None:
    params, arn = _running(world)
    return differs(arn, world.ask("stepfunctions", "StartExecution", params)["executionArn"])


workflows.add(
    "StartExecution",
    "name and input of a running execution give its ARN again",
    RECORDED,
    "2025",
    _same_again,
)


def _first_events(world: World) -> str | None:
    arn = world.execution(PASS)
    events = world.ask("stepfunctions", "GetExecutionHistory", {"executionArn": arn})["events"]
    got = [(e["id"], e["previousEventId"], e["type"]) for e in events]
    wanted = [
        (1, 0, "ExecutionStarted"),
        (2, 0, "PassStateEntered"),
        (3, 2, "PassStateExited"),
        (4, 3, "ExecutionSucceeded"),
    ]
    return differs(wanted, got)


workflows.add(
    "GetExecutionHistory",
    "ids from 1, the first state's event comes after none",
    RECORDED,
    "2025",
    _first_events,
)

# -- jobs and endpoints

sagemaker.refuses(
    "CreateTrainingJob",
    "the name of a job that is there",
    lambda w: training_of(w, w.trained),
    "ResourceInUse",
    r"^Training job names must be unique within an AWS account and region, and a training job "
    r"with this name already exists \(arn:aws:sagemaker:",
    date="2023",
)


def _training_without_objects(world: World) -> dict[str, Any]:
    params = training_of(world, world.new("job"))
    source = params["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = f"s3://{world.bucket()}/nothing/"
    return params


sagemaker.refuses(
    "CreateTrainingJob",
    "a channel without objects",
    _training_without_objects,
    "ValidationException",
    r'^No S3 objects found under S3 URL "s3://[^"]*" given in input data source\. Please ensure '
    r"that the bucket exists in the selected region \(us-east-1\), that objects exist under that "
    r'S3 prefix, and that the role "[^"]*" has "s3:ListBucket" permissions on bucket "[^"]*"\.$',
    date="2021",
)


def _spoilt_archive(world: World) -> str | None:
    bucket, name = world.bucket(), world.new("spoilt")
    world.do("s3", "PutObject", Bucket=bucket, Key="model.tar.gz", Body=b"no archive")
    url = f"s3://{bucket}/model.tar.gz"
    container = {"Image": world.image, "ModelDataUrl": url}
    made = {"PrimaryContainer": container, "ExecutionRoleArn": world.role}
    world.do("sagemaker", "CreateModel", ModelName=name, **made)
    variants = {"ProductionVariants": [variant_of(name)]}
    world.do("sagemaker", "CreateEndpointConfig", EndpointConfigName=name, **variants)
    world.ask("sagemaker", "CreateEndpoint", {"EndpointName": name, "EndpointConfigName": name})
    world.cloud.engine.run(world.cloud.endpoints.wait_event(name))
    told = world.do("sagemaker", "DescribeEndpoint", EndpointName=name)
    known = (
        f'Failed to extract model data archive for container "container_1" from URL "{url}". '
        "Please ensure that the object located at the URL is a valid tar.gz archive."
    )
    # The twin appends the cause that it knows, in parentheses.
    return differs(("Failed", known), (told["EndpointStatus"], told["FailureReason"][: len(known)]))


sagemaker.add(
    "CreateEndpoint",
    "a model archive that is none leaves it Failed with the reason",
    RECORDED,
    "2020",
    _spoilt_archive,
)
runtime.refuses(
    "InvokeEndpoint",
    "a body over the limit",
    lambda w: {"EndpointName": w.endpoint, "Body": b"x" * (6_291_456 + 1)},
    "413",
    r"^HTTP content length exceeded \d+ bytes\.$",
    date="2018",
    status=413,
)

# -- Lake Formation

lake.refuses(
    "GrantPermissions",
    "on a table that is not there",
    lambda w: {
        "Principal": {"DataLakePrincipalIdentifier": w.role},
        "Resource": {"Table": {"DatabaseName": "not-there", "Name": "nothing"}},
        "Permissions": ["SELECT"],
    },
    "EntityNotFoundException",
    source=DOCUMENTED,
    date="2026-11 (botocore 1.44.5)",
)

# -- CloudWatch


def _points(world: World, **more: Any) -> dict[str, Any]:
    return {
        "Namespace": "Parity",
        "MetricData": [{"MetricName": "m", "Value": 1.0, "Values": [1.0], **more}],
    }


metrics.refuses(
    "PutMetricData",
    "a value and values at once",
    _points,
    "InvalidParameterCombination",
    r"^The parameters MetricData\.member\.1\.Value and MetricData\.member\.1\.Values are mutually "
    r"exclusive and you have specified both\.$",
    date="2025",
)


def _too_many_points(world: World) -> dict[str, Any]:
    from datetime import timedelta

    return {
        "Namespace": "Parity",
        "MetricName": "m",
        "StartTime": world.now - timedelta(days=2),
        "EndTime": world.now,
        "Period": 60,
        "Statistics": ["Sum"],
    }


metrics.refuses(
    "GetMetricStatistics",
    "more than 1,440 points",
    _too_many_points,
    "InvalidParameterCombination",
    r"which exceeds the limit of 1440\. You may reduce the datapoints requested by increasing "
    r"Period, or decreasing the time range\.$",
    date="2025",
)


def _born(world: World) -> str | None:
    name = world.new("alarm")
    world.do(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName=name,
        Namespace="Parity",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    (alarm,) = world.ask("cloudwatch", "DescribeAlarms", {"AlarmNames": [name]})["MetricAlarms"]
    wanted = "INSUFFICIENT_DATA", "Unchecked: Initial alarm creation"
    return differs(wanted, (alarm["StateValue"], alarm["StateReason"]))


metrics.add("PutMetricAlarm", "a new alarm has insufficient data", RECORDED, "2025", _born)

# -- S3 and IAM


def _read_after_write(world: World) -> str | None:
    place = world.item(b"first")
    world.do("s3", "PutObject", **place, Body=b"second")
    read = bytes(world.ask("s3", "GetObject", place)["Body"])
    listed = world.ask("s3", "ListObjectsV2", {"Bucket": place["Bucket"]})["Contents"]
    return differs((b"second", [6]), (read, [item["Size"] for item in listed]))


s3.add("PutObject", "what was written is read at once", DOCUMENTED, "2026-11", _read_after_write)


def _denied(world: World) -> str | None:
    from botocore.exceptions import ClientError

    name = world.stream()
    role = world.new_role()
    world.become(role)
    try:
        world.ask("kinesis", "PutRecord", {"StreamName": name, "Data": b"x", "PartitionKey": "k"})
    except ClientError as error:
        said = error.response["Error"]
    else:
        return "a role without a policy may write"
    finally:
        world.become(None)
    words = (
        f"User: arn:aws:sts::000000000000:assumed-role/{role.rpartition('/')[2]}/contract is not "
        f"authorized to perform: kinesis:PutRecord on resource: "
        f"{world.cloud.context.arn('kinesis', f'stream/{name}')} because no identity-based policy "
        "allows the kinesis:PutRecord action"
    )
    return differs(("AccessDeniedException", words), (said["Code"], said["Message"]))


denials = Behaviours("kinesis")
denials.add("PutRecord", "the words of a denial", RECORDED, "2025", _denied)
