"""The reverse check: what the twin's describe calls return is what the template asked for.

Every property of the committed template is looked for in the answer of its type's describe
operation; those that no answer has are listed with the reason.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud import template
from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.context import Context
from simulator.cloud.resources import Resource
from simulator.targets import SNAPSHOT

PARAMETERS = {"MaintenanceServer": "plant", "AgentActivationKey": "-".join(["LOCAL"] * 5)} | {
    "QuickSightPrincipal": "arn:aws:quicksight:us-east-1:000000000000:user/default/reader"
}
"""With them there is a resource of every type in the template."""

Values = dict[str, Any]
Describe = Callable[[Cloud, str, Values], Values]


def one(service: str, operation: str, parameter: str, *below: str | int) -> Describe:
    """Return what asks an operation for a physical id and takes the answer's inside."""

    def describe(cloud: Cloud, physical_id: str, values: Values) -> Values:
        asked = [physical_id] if parameter.endswith("Names") else physical_id
        found: Any = cloud.call(service, operation, **{parameter: asked})
        for name in below:
            found = found[name]
        return dict(found)

    return describe


def queue(cloud: Cloud, url: str, values: Values) -> Values:
    return dict(
        cloud.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    )


def table(cloud: Cloud, name: str, values: Values) -> Values:
    found = dict(cloud.call("dynamodb", "DescribeTable", TableName=name)["Table"])
    ttl = cloud.call("dynamodb", "DescribeTimeToLive", TableName=name)["TimeToLiveDescription"]
    on = ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    return {**found, "TimeToLiveSpecification": {**ttl, "Enabled": on}}


def glue_table(cloud: Cloud, name: str, values: Values) -> Values:
    wanted = values["TableInput"]["Name"]
    found = cloud.call("glue", "GetTable", DatabaseName=values["DatabaseName"], Name=wanted)
    return {**found["Table"], "TableInput": found["Table"]}


def glue_database(cloud: Cloud, name: str, values: Values) -> Values:
    found = cloud.call("glue", "GetDatabase", Name=name)["Database"]
    return {**found, "DatabaseInput": found}


def rule(cloud: Cloud, physical_id: str, values: Values) -> Values:
    name = values["Name"]
    found = cloud.call("events", "DescribeRule", Name=name)
    if "EventPattern" in found:
        found["EventPattern"] = json.loads(found["EventPattern"])
    return {**found, **cloud.call("events", "ListTargetsByRule", Rule=name)}


def topic_rule(cloud: Cloud, name: str, values: Values) -> Values:
    found = cloud.call("iot", "GetTopicRule", ruleName=name)["rule"]
    return {**found, "TopicRulePayload": found}


def iot_policy(cloud: Cloud, name: str, values: Values) -> Values:
    found = cloud.call("iot", "GetPolicy", policyName=name)
    return {**found, "PolicyDocument": json.loads(found["policyDocument"])}


def quicksight(kind: str) -> Describe:
    """Return what describes a resource, with its definition where it has one."""

    def describe(cloud: Cloud, physical_id: str, values: Values) -> Values:
        named = {"AwsAccountId": values["AwsAccountId"], f"{kind}Id": physical_id}
        found = cloud.call("quicksight", f"Describe{kind}", **named)[kind]
        if kind in ("Analysis", "Dashboard"):
            defined = cloud.call("quicksight", f"Describe{kind}Definition", **named)
            found = {**found, "Definition": defined["Definition"]}
        return {"AwsAccountId": values["AwsAccountId"], **found}

    return describe


def bucket_policy(cloud: Cloud, name: str, values: Values) -> Values:
    policy = cloud.call("s3", "GetBucketPolicy", Bucket=name)["Policy"]
    return {"Bucket": name, "PolicyDocument": json.loads(policy)}


def group(cloud: Cloud, arn: str, values: Values) -> Values:
    name = values["ModelPackageGroupName"]
    return cloud.call("sagemaker", "DescribeModelPackageGroup", ModelPackageGroupName=name)


def log_group(cloud: Cloud, name: str, values: Values) -> Values:
    (found,) = cloud.call("logs", "DescribeLogGroups", logGroupNamePrefix=name)["logGroups"]
    return dict(found)


def bucket(cloud: Cloud, name: str, values: Values) -> Values:
    """Return a bucket's settings, spelt as CloudFormation spells them."""

    def ask(what: str, member: str) -> Any:
        return cloud.call("s3", f"Get{what}", Bucket=name)[member]

    rules = cloud.call("s3", "GetBucketLifecycleConfiguration", Bucket=name)["Rules"]
    for each in rules:
        each["Prefix"] = each.get("Filter", {}).get("Prefix", "")
        each["ExpirationInDays"] = each.get("Expiration", {}).get("Days")
        for transition in each.get("Transitions", []):
            transition["TransitionInDays"] = transition["Days"]
    told = cloud.call("s3", "GetBucketNotificationConfiguration", Bucket=name)
    encryption = ask("BucketEncryption", "ServerSideEncryptionConfiguration")["Rules"]
    for each in encryption:
        each["ServerSideEncryptionByDefault"] = each["ApplyServerSideEncryptionByDefault"]
    return {
        "BucketName": name,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": encryption},
        "LifecycleConfiguration": {"Rules": rules},
        "OwnershipControls": ask("BucketOwnershipControls", "OwnershipControls"),
        "PublicAccessBlockConfiguration": ask(
            "PublicAccessBlock", "PublicAccessBlockConfiguration"
        ),
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {"EventBridgeEnabled": "EventBridgeConfiguration" in told}
        },
    }


def composite_alarm(cloud: Cloud, name: str, values: Values) -> Values:
    found = cloud.call(
        "cloudwatch", "DescribeAlarms", AlarmNames=[name], AlarmTypes=["CompositeAlarm"]
    )
    return dict(found["CompositeAlarms"][0])


def dashboard(cloud: Cloud, name: str, values: Values) -> Values:
    found = cloud.call("cloudwatch", "GetDashboard", DashboardName=name)
    # Texts: what may differ is space between the words of JSON.
    values["DashboardBody"] = json.loads(values["DashboardBody"])
    return {**found, "DashboardBody": json.loads(found["DashboardBody"])}


def metric_filter(cloud: Cloud, name: str, values: Values) -> Values:
    group = values["LogGroupName"]
    answer = cloud.call("logs", "DescribeMetricFilters", logGroupName=group, filterNamePrefix=name)
    (found,) = (one for one in answer["metricFilters"] if one["filterName"] == name)
    for each in found["metricTransformations"]:
        named = each.get("dimensions", {}).items()
        each["dimensions"] = [{"Key": key, "Value": value} for key, value in named]
    return dict(found)


def topic_policy(cloud: Cloud, name: str, values: Values) -> Values:
    (arn,) = values["Topics"]
    found = cloud.call("sns", "GetTopicAttributes", TopicArn=arn)["Attributes"]
    return {"Topics": [found["TopicArn"]], "PolicyDocument": json.loads(found["Policy"])}


def queue_policy(cloud: Cloud, name: str, values: Values) -> Values:
    (url,) = values["Queues"]
    found = queue(cloud, url, values)
    return {"Queues": [url], "PolicyDocument": json.loads(found["Policy"])}


DESCRIBE: dict[str, Describe] = {
    "AWS::CloudWatch::Alarm": one("cloudwatch", "DescribeAlarms", "AlarmNames", "MetricAlarms", 0),
    "AWS::CloudWatch::CompositeAlarm": composite_alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::DataSync::Agent": one("datasync", "DescribeAgent", "AgentArn"),
    "AWS::DataSync::LocationNFS": one("datasync", "DescribeLocationNfs", "LocationArn"),
    "AWS::DataSync::LocationS3": one("datasync", "DescribeLocationS3", "LocationArn"),
    "AWS::DataSync::Task": one("datasync", "DescribeTask", "TaskArn"),
    "AWS::DynamoDB::Table": table,
    "AWS::Events::Rule": rule,
    "AWS::Glue::Database": glue_database,
    "AWS::Glue::Job": one("glue", "GetJob", "JobName", "Job"),
    "AWS::Glue::Table": glue_table,
    "AWS::IoT::Policy": iot_policy,
    "AWS::IoT::ThingType": one("iot", "DescribeThingType", "thingTypeName"),
    "AWS::IoT::TopicRule": topic_rule,
    "AWS::Kinesis::Stream": one(
        "kinesis", "DescribeStreamSummary", "StreamName", "StreamDescriptionSummary"
    ),
    "AWS::Lambda::EventSourceMapping": one("lambda", "GetEventSourceMapping", "UUID"),
    "AWS::Lambda::Function": one("lambda", "GetFunctionConfiguration", "FunctionName"),
    "AWS::Logs::LogGroup": log_group,
    "AWS::Logs::MetricFilter": metric_filter,
    **{
        f"AWS::QuickSight::{kind}": quicksight(kind)
        for kind in ("Analysis", "Dashboard", "DataSet", "DataSource")
    },
    "AWS::S3::Bucket": bucket,
    "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::SNS::Subscription": one(
        "sns", "GetSubscriptionAttributes", "SubscriptionArn", "Attributes"
    ),
    "AWS::SNS::Topic": one("sns", "GetTopicAttributes", "TopicArn", "Attributes"),
    "AWS::SNS::TopicPolicy": topic_policy,
    "AWS::SQS::Queue": queue,
    "AWS::SQS::QueuePolicy": queue_policy,
    "AWS::SSM::Parameter": one("ssm", "GetParameter", "Name", "Parameter"),
    "AWS::SageMaker::ModelPackageGroup": group,
    "AWS::StepFunctions::StateMachine": one(
        "stepfunctions", "DescribeStateMachine", "stateMachineArn"
    ),
}

# Types without a describe operation here, and what tests them instead.
OTHERWISE = {
    "AWS::IAM::Role": "test_statement_removal: each statement of each role",
}

NAME = "the answer has the ARN or URL, which ends in it"
ELSEWHERE = "another operation has it"
URI = "the answer has it as a part of LocationUri"

# Properties that no answer has under that name, and where they are.
NOT_DESCRIBED = {
    ("AWS::DataSync::Agent", "ActivationKey"): "used up by the activation",
    ("AWS::DataSync::Agent", "AgentName"): "the answer calls it Name",
    ("AWS::DataSync::LocationNFS", "ServerHostname"): URI,
    ("AWS::DataSync::LocationNFS", "Subdirectory"): URI,
    ("AWS::DataSync::LocationS3", "S3BucketArn"): URI,
    ("AWS::DataSync::LocationS3", "Subdirectory"): URI,
    ("AWS::DynamoDB::Table", "BillingMode"): "the answer has BillingModeSummary",
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): ELSEWHERE,
    ("AWS::Kinesis::Stream", "Name"): "the answer calls it StreamName",
    ("AWS::Kinesis::Stream", "ShardCount"): "the answer has OpenShardCount",
    ("AWS::Kinesis::Stream", "StreamEncryption"): "the answer has its members one by one",
    ("AWS::Lambda::EventSourceMapping", "FunctionName"): "the answer has FunctionArn",
    ("AWS::Lambda::Function", "Code"): ELSEWHERE,
    **{
        (f"AWS::QuickSight::{kind}", "Permissions"): "there are no users; kept only"
        for kind in ("Analysis", "Dashboard", "DataSet", "DataSource")
    },
    ("AWS::SNS::Topic", "TopicName"): NAME,
    ("AWS::SQS::Queue", "QueueName"): NAME,
    ("AWS::SSM::Parameter", "Tier"): ELSEWHERE,
    ("AWS::StepFunctions::StateMachine", "DefinitionString"): "the answer calls it definition",
    ("AWS::StepFunctions::StateMachine", "DefinitionSubstitutions"): "filled into the definition",
    ("AWS::StepFunctions::StateMachine", "StateMachineName"): "the answer calls it name",
    ("AWS::StepFunctions::StateMachine", "StateMachineType"): "the answer calls it type",
}


def differences(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Yield where ``found`` lacks what is wanted; names may differ in case, numbers be texts."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        by_lower = {name.lower(): value for name, value in found.items()}
        for name, value in wanted.items():
            if name.lower() in by_lower:
                yield from differences(value, by_lower[name.lower()], f"{path}.{name}")
            else:
                yield f"{path}.{name}: not in the answer"
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one_wanted, one_found) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one_wanted, one_found, f"{path}[{number}]")
    elif _text(wanted) != _text(found):
        yield f"{path}: {wanted!r} was asked for, not {found!r}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def created(assembly: Path, cloud: Cloud) -> list[tuple[str, str, Values]]:
    """Create an assembly; return (type, physical id, properties asked for) of each resource."""
    asked: dict[str, Values] = {}

    class Kept(Resource):
        def __init__(self, stack: str, name: str, kind: str, values: Any, context: Context) -> None:
            asked[name] = copy.deepcopy(values)
            super().__init__(stack, name, kind, values, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(template, "Resource", Kept)
        made = template.deploy(load_assembly(assembly), cloud.context, PARAMETERS)
    found = made.resources.items()
    return [(each.type, each.physical_id, asked[name]) for name, each in found]


def unlike_answers(cloud: Cloud, resources: list[tuple[str, str, Values]]) -> list[str]:
    """Return where the describe operations answer otherwise than was asked for."""
    unlike: list[str] = []
    for kind, physical_id, values in resources:
        if kind in OTHERWISE:
            continue
        found = DESCRIBE[kind](cloud, physical_id, values)
        wanted = {
            name: value for name, value in values.items() if (kind, name) not in NOT_DESCRIBED
        }
        unlike += differences(wanted, found, kind)
    return unlike


@pytest.fixture(scope="module")
def twin(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Cloud, list[tuple[str, str, Values]]]]:
    """Return a twin and what `created` returns."""
    cloud = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path_factory.mktemp("described"))
    try:
        yield cloud, created(SNAPSHOT, cloud)
    finally:
        cloud.close()


def test_every_property_comes_back_or_it_is_listed_why_not(
    twin: tuple[Cloud, list[tuple[str, str, Values]]],
) -> None:
    assert unlike_answers(*twin) == []


def test_the_tables_name_nothing_that_is_not_in_the_template(
    twin: tuple[Cloud, list[tuple[str, str, Values]]],
) -> None:
    _, resources = twin
    assert {kind for kind, _, _ in resources} <= DESCRIBE.keys() | OTHERWISE.keys()
    named = {(kind, name) for kind, _, values in resources for name in values}
    assert NOT_DESCRIBED.keys() <= named
