"""Templates that differ at random, and everything that the describe operations say of a twin.

For tests of updates: a template has each resource of `POOL` in one of its variants, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.tests.recording import only, written

ACCOUNT = "000000000000"
Template = dict[str, Any]


def resource(kind: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a resource of a template."""
    return {"Type": kind, "Properties": properties, **more}


def policy(action: str, target: Any, **more: Any) -> dict[str, Any]:
    """Return a policy document of one statement."""
    statement = {"Effect": "Allow", "Action": action, "Resource": target, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(service: str) -> dict[str, Any]:
    """Return the trust policy that lets a service in."""
    allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return {"Version": "2012-10-17", "Statement": [allowed]}


def _machine(state: str) -> str:
    return json.dumps({"StartAt": state, "States": {state: {"Type": "Succeed"}}})


def _alarm(**more: Any) -> dict[str, Any]:
    given = {
        "AlarmName": "hot",
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1,
        "Namespace": "n",
        "MetricName": "m",
        "Period": 60,
        "Statistic": "Sum",
    }
    return resource("AWS::CloudWatch::Alarm", {**given, **more})


def _bucket(**more: Any) -> dict[str, Any]:
    return resource("AWS::S3::Bucket", {"BucketName": "raw", **more})


LIFECYCLE = {"Rules": [{"Id": "age", "Status": "Enabled", "Prefix": "a/", "ExpirationInDays": 9}]}
VERSIONED = {"VersioningConfiguration": {"Status": "Enabled"}}
BRIDGE = {"NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}}
OWNER = {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}

POOL: dict[str, tuple[dict[str, Any], ...]] = {
    "Raw": (_bucket(), _bucket(LifecycleConfiguration=LIFECYCLE), _bucket(**BRIDGE, **OWNER)),
    "Loose": (
        resource("AWS::S3::Bucket", {}),
        resource("AWS::S3::Bucket", {"BucketName": "named"}),
    ),
    "Stream": (
        resource("AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1}),
        resource(
            "AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1, "RetentionPeriodHours": 48}
        ),
        resource(
            "AWS::Kinesis::Stream",
            {
                "Name": "s",
                "ShardCount": 2,
                "RetentionPeriodHours": 36,
                "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
            },
        ),
    ),
    "Alerts": (
        resource("AWS::SNS::Topic", {"TopicName": "alerts"}),
        resource("AWS::SNS::Topic", {"TopicName": "alerts", "DisplayName": "Alerts"}),
        resource("AWS::SNS::Topic", {"TopicName": "warnings"}),
    ),
    "Queue": (
        resource("AWS::SQS::Queue", {"QueueName": "q"}),
        resource("AWS::SQS::Queue", {"QueueName": "q", "VisibilityTimeout": 60}),
        resource("AWS::SQS::Queue", {}),
    ),
    "Role": (
        resource(
            "AWS::IAM::Role",
            {"RoleName": "r", "AssumeRolePolicyDocument": trust("lambda.amazonaws.com")},
        ),
        resource(
            "AWS::IAM::Role",
            {
                "RoleName": "r",
                "AssumeRolePolicyDocument": trust("states.amazonaws.com"),
                "Policies": [{"PolicyName": "own", "PolicyDocument": policy("s3:Get*", "*")}],
            },
        ),
        resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust("states.amazonaws.com")}),
    ),
    "Hot": (_alarm(), _alarm(Threshold=2), _alarm(Dimensions=[{"Name": "d", "Value": "1"}])),
    "Value": (
        resource("AWS::SSM::Parameter", {"Name": "/p", "Type": "String", "Value": "1"}),
        resource("AWS::SSM::Parameter", {"Name": "/p", "Type": "String", "Value": "2"}),
    ),
    "Group": (
        resource("AWS::Logs::LogGroup", {"LogGroupName": "/g"}),
        resource("AWS::Logs::LogGroup", {"LogGroupName": "/g", "RetentionInDays": 7}),
    ),
    "Daily": (
        resource("AWS::Events::Rule", {"Name": "daily", "ScheduleExpression": "rate(1 day)"}),
        resource(
            "AWS::Events::Rule",
            {
                "Name": "daily",
                "ScheduleExpression": "rate(2 days)",
                "State": "DISABLED",
                "Targets": [{"Id": "a", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}],
            },
        ),
    ),
    "Board": (
        resource(
            "AWS::CloudWatch::Dashboard",
            {"DashboardName": "b", "DashboardBody": '{"widgets": []}'},
        ),
    ),
    "Items": (
        resource(
            "AWS::DynamoDB::Table",
            {
                "TableName": "items",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            },
        ),
        resource(
            "AWS::DynamoDB::Table",
            {
                "TableName": "items",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
            },
        ),
    ),
    "Lake": (
        resource("AWS::Glue::Database", {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": "lake"}}),
        resource(
            "AWS::Glue::Database",
            {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": "lake", "Description": "d"}},
        ),
    ),
}

# What refers to others, and what it refers to: it is there only where they are.
DEPENDENT: dict[str, tuple[tuple[str, ...], tuple[dict[str, Any], ...]]] = {
    "Bound": (
        ("Role", "Raw"),
        tuple(
            resource(
                "AWS::IAM::Policy",
                {
                    "PolicyName": name,
                    "Roles": [{"Ref": "Role"}],
                    "PolicyDocument": policy(action, {"Fn::GetAtt": ["Raw", "Arn"]}),
                },
            )
            for name, action in (("bound", "s3:ListBucket"), ("other", "s3:GetBucketPolicy"))
        ),
    ),
    "Flow": (
        ("Role",),
        tuple(
            resource(
                "AWS::StepFunctions::StateMachine",
                {
                    "StateMachineName": "flow",
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionString": _machine(state),
                },
            )
            for state in ("One", "Two")
        ),
    ),
    "Told": (
        ("Alerts", "Queue"),
        (
            resource(
                "AWS::SNS::Subscription",
                {
                    "TopicArn": {"Ref": "Alerts"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                },
            ),
            resource(
                "AWS::SNS::Subscription",
                {
                    "TopicArn": {"Ref": "Alerts"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "FilterPolicy": {"kind": ["drift"]},
                },
            ),
        ),
    ),
    "Counted": (
        ("Group",),
        (
            resource(
                "AWS::Logs::MetricFilter",
                {
                    "FilterName": "errors",
                    "LogGroupName": {"Ref": "Group"},
                    "FilterPattern": "ERROR",
                    "MetricTransformations": [
                        {"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1"}
                    ],
                },
            ),
        ),
    ),
    "Rows": (
        ("Lake",),
        tuple(
            resource(
                "AWS::Glue::Table",
                {
                    "CatalogId": ACCOUNT,
                    "DatabaseName": {"Ref": "Lake"},
                    "TableInput": {"Name": "rows", "Parameters": {"v": version}},
                },
            )
            for version in ("1", "2")
        ),
    ),
    "Address": (
        ("Queue",),
        (
            resource(
                "AWS::SSM::Parameter",
                {"Name": "/address", "Type": "String", "Value": {"Ref": "Queue"}},
            ),
        ),
    ),
}


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Draw a template: some resources of the pool, each in one of its variants."""
    found = {}
    for name, variants in POOL.items():
        chosen = draw(st.sampled_from((None, *variants)))
        if chosen is not None:
            found[name] = chosen
    for name, (needs, variants) in DEPENDENT.items():
        if all(each in found for each in needs):
            chosen = draw(st.sampled_from((None, *variants)))
            if chosen is not None:
                found[name] = chosen
    return only(**found)


@contextmanager
def twin(folder: Path) -> Iterator[Cloud]:
    """Give a twin with nothing in it."""
    cloud = Cloud(datetime(2026, 1, 5, tzinfo=UTC), folder / "state")
    try:
        yield cloud
    finally:
        cloud.close()


def applied(cloud: Cloud, folder: Path, template: Template, **parameters: str) -> str:
    """Apply a template; return the change set's table, having checked what is there by then."""
    folder.mkdir(exist_ok=True)
    written(folder, Dev=template)
    changes = cloud.plan(folder, parameters)
    table = changes.table()
    assert cloud.update(changes) == []
    assert cloud.drift() == []
    return table
