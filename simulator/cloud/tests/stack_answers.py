"""Everything that the describe operations say of a twin, without times and what is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.iam_credentials import role_session

LISTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("s3", "ListBuckets", {}),
    ("kinesis", "ListStreams", {}),
    ("iot", "ListTopicRules", {}),
    ("iot", "ListThingTypes", {}),
    ("lambda", "ListFunctions", {}),
    ("lambda", "ListEventSourceMappings", {}),
    ("glue", "GetDatabases", {}),
    ("stepfunctions", "ListStateMachines", {}),
    ("stepfunctions", "ListActivities", {}),
    ("sns", "ListTopics", {}),
    ("sns", "ListSubscriptions", {}),
    ("sqs", "ListQueues", {}),
    ("cloudwatch", "DescribeAlarms", {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}),
    ("cloudwatch", "ListDashboards", {}),
    ("events", "ListRules", {}),
    ("logs", "DescribeLogGroups", {}),
    ("logs", "DescribeMetricFilters", {}),
    ("ssm", "DescribeParameters", {}),
    ("dynamodb", "ListTables", {}),
    ("kms", "ListAliases", {}),
    ("datasync", "ListTasks", {}),
    ("datasync", "ListLocations", {}),
    ("sagemaker", "ListModelPackageGroups", {}),
    ("lakeformation", "ListLFTags", {}),
    ("lakeformation", "ListResources", {}),
    ("lakeformation", "ListPermissions", {}),
)
SETTINGS = (
    "BucketEncryption",
    "BucketLifecycleConfiguration",
    "BucketVersioning",
    "BucketLogging",
    "BucketPolicy",
    "BucketNotificationConfiguration",
    "BucketOwnershipControls",
    "PublicAccessBlock",
)
ASKED = [
    (action, target)
    for action in ("s3:ListBucket", "s3:GetBucketPolicy", "s3:GetObject")
    for target in ("arn:aws:s3:::raw", "arn:aws:s3:::raw/key")
]


def described(cloud: Cloud) -> dict[str, Any]:
    """Return what the describe operations say, without times and what is drawn."""
    found: dict[str, Any] = normal(dict(_described(cloud)))
    return found


def _described(cloud: Cloud) -> Iterator[tuple[str, Any]]:
    for service, operation, params in LISTS:
        answer = cloud.call(service, operation, **params)
        yield f"{service}:{operation}", answer
        for which, asked in _each(service, answer):
            for name, given in asked.items():
                yield f"{name} {which}", _answer(cloud, service, name, given)
    for role in cloud.iam.role_arns():
        name = role.rpartition("/")[2]
        session = role_session(cloud.iam.account, role, "s", None)
        allowed = {f"{a} {target}": cloud.iam.may(session, a, target) for a, target in ASKED}
        yield f"role {name}", allowed


def _answer(cloud: Cloud, service: str, operation: str, params: dict[str, Any]) -> Any:
    try:
        return cloud.call(service, operation, **params)
    except AwsError as error:
        return error.code


def _each(service: str, answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    for bucket in answer.get("Buckets", []):
        name = bucket["Name"]
        yield name, {f"Get{setting}": {"Bucket": name} for setting in SETTINGS}
    for stream in answer.get("StreamNames", []):
        yield stream, {"DescribeStreamSummary": {"StreamName": stream}}
    for arn in (topic["TopicArn"] for topic in answer.get("Topics", [])):
        yield arn, {"GetTopicAttributes": {"TopicArn": arn}}
    for url in answer.get("QueueUrls", []):
        asked = {"QueueUrl": url, "AttributeNames": ["All"]}
        yield url.rpartition("/")[2], {"GetQueueAttributes": asked}
    for one in answer.get("Subscriptions", []):
        arn = one["SubscriptionArn"]
        yield one["Endpoint"], {"GetSubscriptionAttributes": {"SubscriptionArn": arn}}
    for machine in answer.get("stateMachines", []):
        arn = machine["stateMachineArn"]
        yield arn, {"DescribeStateMachine": {"stateMachineArn": arn}}
    for name in answer.get("TableNames", []):
        which = {"TableName": name}
        names = ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups")
        yield name, dict.fromkeys(names, which)
    for rule in answer.get("Rules", []) if service == "events" else []:
        yield rule["Name"], {"ListTargetsByRule": {"Rule": rule["Name"]}}
    for one in answer.get("Parameters", []):
        yield one["Name"], {"GetParameter": {"Name": one["Name"]}}
    for one in answer.get("DatabaseList", []):
        yield one["Name"], {"GetTables": {"DatabaseName": one["Name"]}}
    for one in answer.get("DashboardEntries", []):
        yield one["DashboardName"], {"GetDashboard": {"DashboardName": one["DashboardName"]}}
    for function in answer.get("Functions", []):
        yield function["FunctionName"], {"GetPolicy": {"FunctionName": function["FunctionName"]}}


DRAWN = {
    "CreationTime",
    "EarliestRestorableDateTime",
    "LatestRestorableDateTime",
    "AlarmConfigurationUpdatedTimestamp",
    "CreatedTimestamp",
    "CreateTime",
    "CreationDate",
    "CreationDateTime",
    "LastModified",
    "LastModifiedDate",
    "LastModifiedTimestamp",
    "LastModifiedUser",
    "QueueUrl",
    "QueueUrls",
    "RevisionId",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
    "StreamCreationTimestamp",
    "SubscriptionArn",
    "SubscriptionsDeleted",
    "TableId",
    "UUID",
    "EventSourceMappingArn",
    "UpdateTime",
    "Version",
    "VersionId",
    "creationDate",
    "creationTime",
    "revisionId",
    "updateDate",
}
_SUFFIX = re.compile(r"-[0-9A-Fa-f]{12}(?=$|[\"/,:.])")
_PORT = re.compile(r"http://127\.0\.0\.1:\d+")


def normal(value: Any) -> Any:
    """Return a value without times and ids, and with one generated name for every generation."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in DRAWN}
        return {_text(key): normal(each) for key, each in kept.items()}
    if isinstance(value, list):
        return sorted((normal(each) for each in value), key=repr)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return _SUFFIX.sub("-X", _PORT.sub("http://twin", value))
