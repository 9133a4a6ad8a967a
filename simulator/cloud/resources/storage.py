"""S3 buckets and DynamoDB tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from simulator.cloud.iam import Iam
from simulator.cloud.resources.declarations import NAMED, enforced, honoured, kept, stored
from simulator.cloud.resources.mapping import Outcome, Properties, Resource, maps

_LIFECYCLE_FLAT = {
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpirationDate": ("Expiration", "Date"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "NoncurrentVersionExpirationInDays": ("NoncurrentVersionExpiration", "NoncurrentDays"),
    "ObjectSizeGreaterThan": ("Filter", "ObjectSizeGreaterThan"),
    "ObjectSizeLessThan": ("Filter", "ObjectSizeLessThan"),
}
"""Properties of a lifecycle rule that the API keeps one level deeper."""

_SETTINGS = (
    ("BucketEncryption", "PutBucketEncryption", "ServerSideEncryptionConfiguration"),
    (
        "PublicAccessBlockConfiguration",
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
    ),
    ("VersioningConfiguration", "PutBucketVersioning", "VersioningConfiguration"),
    ("OwnershipControls", "PutBucketOwnershipControls", "OwnershipControls"),
    ("LifecycleConfiguration", "PutBucketLifecycleConfiguration", "LifecycleConfiguration"),
    ("LoggingConfiguration", "PutBucketLogging", "BucketLoggingStatus"),
    (
        "NotificationConfiguration",
        "PutBucketNotificationConfiguration",
        "NotificationConfiguration",
    ),
)
"""Property of AWS::S3::Bucket -> the call that sets it, and the parameter that takes it."""

_SETTING_RENAMES = {
    # Each name is spelt so in one setting only, so one table serves them all.
    "ServerSideEncryptionConfiguration": "Rules",
    "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
    "TransitionInDays": "Days",
    "DestinationBucketName": "TargetBucket",
    "LogFilePrefix": "TargetPrefix",
    "Id": "ID",
}


@maps(
    "AWS::S3::Bucket",
    {
        "BucketName": NAMED,
        "LifecycleConfiguration": honoured(
            "test_s3_lifecycle.test_a_bucket_is_what_a_simple_model_says_on_every_day"
        ),
        "NotificationConfiguration": honoured(
            "test_events.test_an_object_that_arrives_starts_the_machine"
        ),
        "BucketEncryption": enforced(
            "test_key_use.test_an_object_needs_one_action_to_be_written_and_one_to_be_read"
        ),
        "PublicAccessBlockConfiguration": stored(
            "nobody outside the account reaches a bucket here"
        ),
        "OwnershipControls": stored("every object belongs to the one account"),
        "VersioningConfiguration": stored("objects have one version"),
        "LoggingConfiguration": stored("no access logs are written"),
    },
)
def bucket(resource: Resource) -> Outcome:
    """Create a bucket and its settings, one call for each setting present."""
    properties = resource.properties
    name = resource.name("BucketName", lower=True, longest=63)
    calls = []
    for key, operation, parameter in _SETTINGS:
        if key not in properties:
            continue
        value = properties.take(key)
        if key == "LifecycleConfiguration":
            value = {"Rules": [_lifecycle_rule(rule) for rule in value.get("Rules", [])]}
        if key == "LoggingConfiguration":
            value = {
                "LoggingEnabled": {"DestinationBucketName": name, "LogFilePrefix": "", **value}
            }
        if key == "NotificationConfiguration":
            value = _without_switch(value)
        params = {"Bucket": name, parameter: value}
        renames = {k: v for k, v in _SETTING_RENAMES.items() if k != parameter}
        calls.append((operation, _fit_setting(resource, operation, params, key, renames)))
    create: dict[str, Any] = {"Bucket": name}
    if resource.context.region != "us-east-1":
        create["CreateBucketConfiguration"] = {"LocationConstraint": resource.context.region}
    resource.call("s3", "CreateBucket", create)
    for operation, params in calls:
        resource.call("s3", operation, params)
    region = resource.context.region
    return name, {
        "Arn": resource.context.arn("s3", name, regional=False),
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
    }


def _fit_setting(
    resource: Resource, operation: str, params: dict[str, Any], key: str, renames: Mapping[str, str]
) -> dict[str, Any]:
    # The encryption property and one member inside share a name; the outer one is a parameter.
    if key == "BucketEncryption":
        inner = params["ServerSideEncryptionConfiguration"]
        rules = inner.pop("ServerSideEncryptionConfiguration", [])
        params["ServerSideEncryptionConfiguration"] = {"Rules": rules, **inner}
    return resource.fit("s3", operation, params, renames=renames)


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    fitted: dict[str, Any] = {}
    for name, value in rule.items():
        if name in _LIFECYCLE_FLAT:
            outer, inner = _LIFECYCLE_FLAT[name]
            fitted.setdefault(outer, {})[inner] = value
        elif name == "Prefix":
            fitted.setdefault("Filter", {})["Prefix"] = value
        elif name == "Transition":
            fitted.setdefault("Transitions", []).append(value)
        elif name in ("Transitions", "NoncurrentVersionTransitions"):
            fitted.setdefault(name, []).extend(value)
        else:
            fitted[name] = value
    # S3 wants a filter in each rule; an empty prefix means the whole bucket.
    fitted.setdefault("Filter", {"Prefix": ""})
    return fitted


def _without_switch(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return notification settings in the API's form: EventBridge is on when it is named."""
    fitted = dict(value)
    bridge = fitted.pop("EventBridgeConfiguration", None)
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true":
        fitted["EventBridgeConfiguration"] = {}
    return fitted


@maps(
    "AWS::S3::BucketPolicy",
    {
        "Bucket": enforced(
            "test_resources.test_a_bucket_policy_denies_from_the_moment_it_is_deployed"
        ),
        "PolicyDocument": enforced(
            "test_resources.test_a_bucket_policy_denies_from_the_moment_it_is_deployed"
        ),
    },
)
def bucket_policy(resource: Resource) -> Outcome:
    """Set a bucket's policy in S3 and register it for decisions."""
    name = str(resource.properties.need("Bucket"))
    document = resource.properties.need("PolicyDocument")
    arn = resource.context.arn("s3", name, regional=False)
    resource.register(partial(Iam.put_resource_policy, arn=arn, document=document))
    resource.call("s3", "PutBucketPolicy", {"Bucket": name, "Policy": json.dumps(document)})
    return name, {}


@maps(
    "AWS::DynamoDB::Table",
    {
        "TableName": NAMED,
        "KeySchema": enforced("test_dynamodb.test_a_key_that_does_not_fit_the_schema_is_refused"),
        "AttributeDefinitions": enforced(
            "test_dynamodb.test_a_key_that_does_not_fit_the_schema_is_refused"
        ),
        "BillingMode": stored("no table throttles"),
        "ProvisionedThroughput": stored("no table throttles"),
        "PointInTimeRecoverySpecification": stored(
            "there are no backups; the setting is described"
        ),
        "TimeToLiveSpecification": stored("items stay for the length of a run"),
        "SSESpecification": stored("items are kept in memory, without encryption"),
        "GlobalSecondaryIndexes": honoured(
            "test_dynamodb.test_what_the_twin_does_not_keep_is_refused_by_name"
        ),
        "LocalSecondaryIndexes": honoured(
            "test_dynamodb.test_what_the_twin_does_not_keep_is_refused_by_name"
        ),
        "StreamSpecification": honoured(
            "test_dynamodb.test_what_the_twin_does_not_keep_is_refused_by_name"
        ),
        "DeletionProtectionEnabled": enforced(
            "test_stack_types.test_a_protected_table_is_not_deleted_with_its_stack"
        ),
        "ContributorInsightsSpecification": kept(
            "a billing and console feature without effect on data"
        ),
        "TableClass": kept("changes the price of storage only"),
    },
)
def table(resource: Resource) -> Outcome:
    """Create a table; time to live and backups are calls of their own."""
    properties = resource.properties
    name = resource.name("TableName", longest=255)
    follow_ups = _table_follow_ups(properties, name)
    values = {"TableName": name, **properties.rest()}
    values.setdefault("BillingMode", "PROVISIONED")
    renames = {"SSEEnabled": "Enabled"}
    params = resource.fit("dynamodb", "CreateTable", values, renames=renames)
    if "StreamSpecification" in params:
        params["StreamSpecification"].setdefault("StreamEnabled", True)
    answer = resource.call("dynamodb", "CreateTable", params)
    for operation, follow_up in follow_ups:
        fitted = resource.fit("dynamodb", operation, follow_up)
        resource.call("dynamodb", operation, fitted)
    stream = answer.get("TableDescription", {}).get("LatestStreamArn")
    attributes = {"Arn": resource.context.arn("dynamodb", f"table/{name}")}
    return name, attributes | ({"StreamArn": stream} if stream else {})


def _table_follow_ups(properties: Properties, name: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for key, operation in (
        ("TimeToLiveSpecification", "UpdateTimeToLive"),
        ("PointInTimeRecoverySpecification", "UpdateContinuousBackups"),
    ):
        if key in properties:
            found.append((operation, {"TableName": name, key: properties.take(key)}))
    return found
