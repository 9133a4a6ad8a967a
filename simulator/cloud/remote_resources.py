"""Is what a template created really in the endpoint behind the twin?

`missing_there` asks it for each resource of a forwarded type, by the operation that describes it.
Called by `simulator.cloud.remote` after a deployment. Types that are not in the table are the
twin's alone (docs/localstack.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.resources import Created

Describe = tuple[str, str, Callable[[Created, RemoteEndpoint], list[Params]]]
"""Service, operation, and what it is asked with: once for each thing that a resource changed."""

NO_ID = ("", "unknown")
"""Physical ids of what was not made: LocalStack's CloudFormation gives the second."""


def _by_id(service: str, operation: str, member: str) -> Describe:
    return service, operation, lambda one, _: [{member: one.physical_id}]


def _subscription(one: Created, _: RemoteEndpoint) -> list[Params]:
    """Ask only for those of queues: the twin delivers to everything else (`remote_sns`)."""
    is_there = any(made.params.get("Protocol") == "sqs" for made in one.made)
    return [{"SubscriptionArn": one.physical_id}] if is_there else []


def _topics_of_policy(one: Created, _: RemoteEndpoint) -> list[Params]:
    return [
        {"TopicArn": made.params["TopicArn"]}
        for made in one.made
        if made.operation == "SetTopicAttributes"
    ]


def _queues_of_policy(one: Created, remote: RemoteEndpoint) -> list[Params]:
    names = [
        str(made.params["QueueUrl"]).rpartition("/")[2]
        for made in one.made
        if made.operation == "SetQueueAttributes"
    ]
    # The endpoint has URLs of its own.
    urls = [remote.forward("sqs", "GetQueueUrl", {"QueueName": n})["QueueUrl"] for n in names]
    return [{"QueueUrl": url, "AttributeNames": ["Policy"]} for url in urls]


_ALARM: Describe = (
    "cloudwatch",
    "DescribeAlarms",
    lambda one, _: [
        {"AlarmNames": [one.physical_id], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    ],
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
    "AWS::SNS::Subscription": ("sns", "GetSubscriptionAttributes", _subscription),
    "AWS::SNS::Topic": _by_id("sns", "GetTopicAttributes", "TopicArn"),
    "AWS::SNS::TopicPolicy": ("sns", "GetTopicAttributes", _topics_of_policy),
    "AWS::SQS::Queue": (
        "sqs",
        "GetQueueUrl",
        lambda one, _: [{"QueueName": one.attributes["QueueName"]}],
    ),
    "AWS::SQS::QueuePolicy": ("sqs", "GetQueueAttributes", _queues_of_policy),
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

_SETS = ("SetTopicAttributes", "SetQueueAttributes")
_POLICIES: dict[str, Callable[[Params], str]] = {
    "AWS::SNS::TopicPolicy": lambda params: params["AttributeValue"],
    "AWS::SQS::QueuePolicy": lambda params: params["Attributes"]["Policy"],
}
"""The document in a call that sets it: topics have one of their own before."""


def missing_there(remote: RemoteEndpoint, resources: Iterable[tuple[str, Created]]) -> list[str]:
    """Return the logical ids of forwarded resources that the endpoint does not know, and why."""
    missing: list[str] = []
    for logical_id, one in resources:
        service, operation, asked = DESCRIBES.get(one.type, ("", "", lambda *_: []))
        if service not in remote.services:
            continue
        if one.physical_id in NO_ID:
            missing.append(f"{logical_id} ({one.type} without a name)")
            continue
        try:
            answers = [remote.forward(service, operation, params) for params in asked(one, remote)]
        except AwsError as error:
            missing.append(f"{logical_id} ({one.physical_id}: {error.code})")
            continue
        for answer in answers:
            if operation in _NAMES and one.physical_id not in _NAMES[operation](answer):
                missing.append(f"{logical_id} ({one.physical_id}: not listed)")
            if one.type in _POLICIES and not _has_policy(one, answer):
                missing.append(f"{logical_id} ({one.physical_id}: another policy)")
    return missing


def _has_policy(one: Created, answer: Answer) -> bool:
    """Tell whether a queue or topic has the policy that this resource set on all of its."""
    find = _POLICIES[one.type]
    wanted = [find(made.params) for made in one.made if made.operation in _SETS]
    found = answer.get("Attributes", {}).get("Policy") or "{}"
    return [json.loads(found)] == [json.loads(each) for each in wanted[:1]]
