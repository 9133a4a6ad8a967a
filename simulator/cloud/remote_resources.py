"""Is what a template created really in the endpoint behind the twin?

`missing_there` asks it for each resource of a forwarded type, by the operation that describes it.
Called by `simulator.cloud.remote` after a deployment. Types that are not in the table are the
twin's alone (docs/localstack.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.resources import Created

Describe = tuple[str, str, Callable[[Created], Params]]

NO_ID = ("", "unknown")
"""Physical ids of what was not made: LocalStack's CloudFormation gives the second."""


def _by_id(service: str, operation: str, member: str) -> Describe:
    return service, operation, lambda one: {member: one.physical_id}


_ALARM: Describe = (
    "cloudwatch",
    "DescribeAlarms",
    lambda one: {"AlarmNames": [one.physical_id], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]},
)
DESCRIBES: dict[str, Describe] = {
    "AWS::CloudWatch::Alarm": _ALARM,
    "AWS::CloudWatch::CompositeAlarm": _ALARM,
    "AWS::CloudWatch::Dashboard": _by_id("cloudwatch", "GetDashboard", "DashboardName"),
    "AWS::DynamoDB::Table": _by_id("dynamodb", "DescribeTable", "TableName"),
    "AWS::Events::Rule": _by_id("events", "DescribeRule", "Name"),
    "AWS::IAM::ManagedPolicy": _by_id("iam", "GetPolicy", "PolicyArn"),
    "AWS::IAM::Role": _by_id("iam", "GetRole", "RoleName"),
    "AWS::Kinesis::Stream": _by_id("kinesis", "DescribeStreamSummary", "StreamName"),
    "AWS::Logs::LogGroup": _by_id("logs", "DescribeLogGroups", "logGroupNamePrefix"),
    "AWS::S3::Bucket": _by_id("s3", "HeadBucket", "Bucket"),
    "AWS::SNS::Topic": _by_id("sns", "GetTopicAttributes", "TopicArn"),
    "AWS::SQS::Queue": (
        "sqs",
        "GetQueueUrl",
        lambda one: {"QueueName": one.attributes["QueueName"]},
    ),
    "AWS::SSM::Parameter": _by_id("ssm", "GetParameter", "Name"),
}
"""How the endpoint is asked for a resource of each type."""

_NAMES: dict[str, Callable[[Answer], Iterable[Any]]] = {
    "DescribeAlarms": lambda answer: (
        each["AlarmName"]
        for each in [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    ),
    "DescribeLogGroups": lambda answer: (each["logGroupName"] for each in answer["logGroups"]),
}
"""Names in the answers of operations that answer nothing where others refuse."""


def missing_there(remote: RemoteEndpoint, resources: Iterable[tuple[str, Created]]) -> list[str]:
    """Return the logical ids of forwarded resources that the endpoint does not know, and why."""
    missing: list[str] = []
    for logical_id, one in resources:
        service, operation, params = DESCRIBES.get(one.type, ("", "", lambda _: {}))
        if service not in remote.services:
            continue
        if one.physical_id in NO_ID:
            missing.append(f"{logical_id} ({one.type} without a name)")
            continue
        try:
            answer = remote.forward(service, operation, params(one))
        except AwsError as error:
            missing.append(f"{logical_id} ({one.physical_id}: {error.code})")
            continue
        if operation in _NAMES and one.physical_id not in _NAMES[operation](answer):
            missing.append(f"{logical_id} ({one.physical_id}: not listed)")
    return missing
