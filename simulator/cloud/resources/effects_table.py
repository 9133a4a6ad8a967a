"""For each call that a mapper makes: what changes it in place and what takes it back.

An operation that is not here can neither be changed nor undone, and a stack that has it can
not be updated where it is concerned (`simulator.cloud.stack_changes` says so).
"""

from __future__ import annotations

from typing import Any

from simulator.cloud.resources import effects_special as special
from simulator.cloud.resources.effects import (
    Effect,
    again,
    attributes_by,
    fixed,
    put,
    undone_by,
    undone_for,
    updated_by,
)
from simulator.cloud.resources.mapping import PERMISSIONS

_QUEUE_DEFAULTS = {
    "DelaySeconds": "0",
    "KmsMasterKeyId": "",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "RedrivePolicy": "",
    "VisibilityTimeout": "30",
}
"""SetQueueAttributes API reference."""
_SUBSCRIPTION_DEFAULTS = {
    "DeliveryPolicy": "",
    "FilterPolicy": "",
    "FilterPolicyScope": "MessageAttributes",
    "RawMessageDelivery": "false",
    "RedrivePolicy": "",
}
_MAPPING_DEFAULTS = {
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "Enabled": True,
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
}
_MACHINE_DEFAULTS = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
}


def _location(kind: str, **defaults: Any) -> Effect:
    update = updated_by(
        f"UpdateLocation{kind}", answer={"LocationArn": "LocationArn"}, defaults=defaults
    )
    return Effect((), undone_for("DeleteLocation", LocationArn="LocationArn"), update)


_S3 = {
    "CreateBucket": Effect(("Bucket",), undone_by("DeleteBucket", "Bucket"), fixed),
    "PutBucketEncryption": put("Bucket", undo=undone_by("DeleteBucketEncryption", "Bucket")),
    "PutPublicAccessBlock": put("Bucket", undo=undone_by("DeletePublicAccessBlock", "Bucket")),
    # Versioning is never off again once it was on.
    "PutBucketVersioning": put(
        "Bucket",
        undo=undone_by(
            "PutBucketVersioning", "Bucket", VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    "PutBucketOwnershipControls": put(
        "Bucket", undo=undone_by("DeleteBucketOwnershipControls", "Bucket")
    ),
    "PutBucketLifecycleConfiguration": put(
        "Bucket", undo=undone_by("DeleteBucketLifecycle", "Bucket")
    ),
    "PutBucketLogging": put(
        "Bucket", undo=undone_by("PutBucketLogging", "Bucket", BucketLoggingStatus={})
    ),
    "PutBucketNotificationConfiguration": put(
        "Bucket",
        undo=undone_by(
            "PutBucketNotificationConfiguration", "Bucket", NotificationConfiguration={}
        ),
    ),
    "PutBucketPolicy": put("Bucket", undo=undone_by("DeleteBucketPolicy", "Bucket")),
}
_KINESIS = {
    "CreateStream": Effect(
        ("StreamName",),
        undone_by("DeleteStream", "StreamName", EnforceConsumerDeletion=True),
        special.shards,
    ),
    "IncreaseStreamRetentionPeriod": Effect(
        ("StreamName",), special.retention_undone, special.retention
    ),
    "StartStreamEncryption": put(
        "StreamName",
        undo=undone_by("StopStreamEncryption", "StreamName", "EncryptionType", "KeyId"),
    ),
}
_LAMBDA = {
    "CreateFunction": Effect(
        ("FunctionName",), undone_by("DeleteFunction", "FunctionName"), special.function
    ),
    "CreateEventSourceMapping": Effect(
        (),
        undone_for("DeleteEventSourceMapping", UUID="UUID"),
        updated_by("UpdateEventSourceMapping", answer={"UUID": "UUID"}, defaults=_MAPPING_DEFAULTS),
    ),
    "AddPermission": Effect(
        ("FunctionName", "StatementId"),
        undone_by("RemovePermission", "FunctionName", "StatementId"),
        fixed,
    ),
}
_DYNAMODB = {
    "CreateTable": Effect(
        ("TableName",), undone_by("DeleteTable", "TableName"), special.item_table
    ),
    "UpdateTimeToLive": put("TableName", undo=special.ttl_undone),
    "UpdateContinuousBackups": put(
        "TableName",
        undo=undone_by(
            "UpdateContinuousBackups",
            "TableName",
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
        ),
    ),
}
_GLUE = {
    "CreateJob": Effect(
        ("Name",), undone_by("DeleteJob", "Name", renames={"Name": "JobName"}), special.job
    ),
    "CreateDatabase": Effect(("DatabaseInput/Name",), special.database_undone, special.database),
    "CreateTable": Effect(
        ("DatabaseName", "TableInput/Name"),
        special.table_undone,
        updated_by("UpdateTable", "DatabaseName"),
    ),
}
_PERMISSIONS = {
    "put_role": Effect(("arn",), undone_by("remove_role", "arn"), special.role),
    "describe_role": put("role_arn", undo=undone_by("describe_role", "role_arn")),
    "put_role_policy": put(
        "role_arn", "name", undo=undone_by("remove_role_policy", "role_arn", "name")
    ),
    "put_managed_policy": put("arn", undo=undone_by("remove_managed_policy", "arn")),
    "attach": Effect(
        ("role_arn", "policy_arn"), undone_by("detach", "role_arn", "policy_arn"), again()
    ),
    "put_resource_policy": put(
        "arn", "name", undo=undone_by("remove_resource_policy", "arn", "name")
    ),
}
_STATES = {
    "CreateStateMachine": Effect(
        ("name",),
        undone_for("DeleteStateMachine", stateMachineArn="stateMachineArn"),
        updated_by(
            "UpdateStateMachine",
            answer={"stateMachineArn": "stateMachineArn"},
            defaults=_MACHINE_DEFAULTS,
        ),
    ),
    "CreateActivity": Effect(
        ("name",), undone_for("DeleteActivity", activityArn="activityArn"), fixed
    ),
}
_SNS = {
    "CreateTopic": Effect(
        ("Name",),
        undone_for("DeleteTopic", TopicArn="TopicArn"),
        attributes_by(
            "SetTopicAttributes", {"TopicArn": "TopicArn"}, {"DisplayName": ""}, one_by_one=True
        ),
    ),
    "Subscribe": Effect(
        ("TopicArn", "Protocol", "Endpoint"),
        undone_for("Unsubscribe", SubscriptionArn="SubscriptionArn"),
        attributes_by(
            "SetSubscriptionAttributes",
            {"SubscriptionArn": "SubscriptionArn"},
            _SUBSCRIPTION_DEFAULTS,
            one_by_one=True,
        ),
    ),
    "SetTopicAttributes": put("TopicArn", "AttributeName", undo=special.topic_attribute_undone),
}
_SQS = {
    "CreateQueue": Effect(
        ("QueueName",),
        undone_for("DeleteQueue", QueueUrl="QueueUrl"),
        attributes_by(
            "SetQueueAttributes", {"QueueUrl": "QueueUrl"}, _QUEUE_DEFAULTS, one_by_one=False
        ),
    ),
    "SetQueueAttributes": put("QueueUrl", undo=special.queue_attributes_undone),
}
_CLOUDWATCH = {
    "PutMetricAlarm": put("AlarmName", undo=special.alarm_undone),
    "PutCompositeAlarm": put("AlarmName", undo=special.alarm_undone),
    "PutDashboard": put("DashboardName", undo=special.dashboard_undone),
}
_EVENTS = {
    "PutRule": put("Name", undo=undone_by("DeleteRule", "Name")),
    "PutTargets": Effect(("Rule",), special.targets_undone, special.targets),
}
_LOGS = {
    "CreateLogGroup": Effect(("logGroupName",), undone_by("DeleteLogGroup", "logGroupName"), fixed),
    "PutRetentionPolicy": put(
        "logGroupName", undo=undone_by("DeleteRetentionPolicy", "logGroupName")
    ),
    "PutMetricFilter": put(
        "logGroupName",
        "filterName",
        undo=undone_by("DeleteMetricFilter", "logGroupName", "filterName"),
    ),
}
_SSM = {"PutParameter": put("Name", undo=undone_by("DeleteParameter", "Name"), Overwrite=True)}
_KMS = {
    "CreateKey": Effect((), special.key_undone, special.key),
    "EnableKeyRotation": put("KeyId", undo=undone_by("DisableKeyRotation", "KeyId")),
    "DisableKey": put("KeyId", undo=undone_by("EnableKey", "KeyId")),
    "CreateAlias": Effect(
        ("AliasName",),
        undone_by("DeleteAlias", "AliasName"),
        updated_by("UpdateAlias", "AliasName"),
    ),
}
_SAGEMAKER = {
    "CreateModelPackageGroup": Effect(
        ("ModelPackageGroupName",),
        undone_by("DeleteModelPackageGroup", "ModelPackageGroupName"),
        fixed,
    ),
}
_LAKE_FORMATION = {
    "PutDataLakeSettings": put(undo=undone_by("PutDataLakeSettings", DataLakeSettings={})),
    "RegisterResource": Effect(
        ("ResourceArn",),
        undone_by("DeregisterResource", "ResourceArn"),
        updated_by("UpdateResource", "ResourceArn"),
    ),
    "CreateLFTag": Effect(("TagKey",), undone_by("DeleteLFTag", "TagKey"), special.tag),
    "AddLFTagsToResource": Effect(
        ("Resource",),
        undone_by("RemoveLFTagsFromResource", "Resource", "LFTags"),
        special.tags_of_resource,
        shared=True,
    ),
    "GrantPermissions": Effect(
        ("Principal", "Resource"),
        undone_by(
            "RevokePermissions",
            "CatalogId",
            "Principal",
            "Resource",
            "Permissions",
            "PermissionsWithGrantOption",
        ),
        special.grant,
        shared=True,
    ),
    "CreateDataCellsFilter": Effect(
        tuple(f"TableData/{name}" for name in special.FILTER_NAMES), special.filter_undone, fixed
    ),
}
_DATASYNC = {
    "CreateAgent": Effect((), undone_for("DeleteAgent", AgentArn="AgentArn"), special.agent),
    "CreateLocationS3": _location("S3", Subdirectory="/", S3StorageClass="STANDARD"),
    "CreateLocationNfs": _location("Nfs", Subdirectory="/", MountOptions={"Version": "AUTOMATIC"}),
    "CreateLocationSmb": _location(
        "Smb", Subdirectory="/", Domain="", MountOptions={"Version": "AUTOMATIC"}
    ),
    "CreateTask": Effect(
        (),
        undone_for("DeleteTask", TaskArn="TaskArn"),
        updated_by(
            "UpdateTask",
            answer={"TaskArn": "TaskArn"},
            defaults={"Excludes": [], "Includes": [], "Name": ""},
        ),
    ),
}

_IOT = {
    "CreateTopicRule": Effect(
        ("ruleName",),
        undone_by("DeleteTopicRule", "ruleName"),
        updated_by("ReplaceTopicRule", "ruleName", whole=True),
    ),
    "CreateThing": Effect(
        ("thingName",),
        undone_by("DeleteThing", "thingName"),
        updated_by("UpdateThing", "thingName"),
    ),
    "CreateThingType": Effect(
        ("thingTypeName",),
        special.thing_type_undone,
        updated_by("UpdateThingType", "thingTypeName", defaults={"thingTypeProperties": {}}),
    ),
    "DeprecateThingType": put(
        "thingTypeName", undo=undone_by("DeprecateThingType", "thingTypeName", undoDeprecate=True)
    ),
    "CreatePolicy": Effect(("policyName",), special.iot_policy_undone, special.iot_policy),
    "AttachPolicy": Effect(
        ("policyName", "target"), undone_by("DetachPolicy", "policyName", "target"), fixed
    ),
    "AttachThingPrincipal": Effect(
        ("thingName", "principal"),
        undone_by("DetachThingPrincipal", "thingName", "principal"),
        fixed,
    ),
}


def _report(kind: str) -> Effect:
    """Return the effect of making a thing of QuickSight: an update says all of it anew."""
    which = ("AwsAccountId", f"{kind}Id")
    update = updated_by(f"Update{kind}", *which, whole=True)
    changed = special.published(update) if kind == "Dashboard" else update
    return Effect(which, undone_by(f"Delete{kind}", *which), changed)


_QUICKSIGHT = {
    "CreateDataSource": _report("DataSource"),
    "CreateDataSet": _report("DataSet"),
    "CreateAnalysis": _report("Analysis"),
    "CreateDashboard": _report("Dashboard"),
}

EFFECTS: dict[tuple[str, str], Effect] = {
    (service, operation): effect
    for service, table in {
        "s3": _S3,
        "kinesis": _KINESIS,
        "iot": _IOT,
        "quicksight": _QUICKSIGHT,
        "lambda": _LAMBDA,
        "dynamodb": _DYNAMODB,
        "glue": _GLUE,
        PERMISSIONS: _PERMISSIONS,
        "stepfunctions": _STATES,
        "sns": _SNS,
        "sqs": _SQS,
        "cloudwatch": _CLOUDWATCH,
        "events": _EVENTS,
        "logs": _LOGS,
        "ssm": _SSM,
        "kms": _KMS,
        "sagemaker": _SAGEMAKER,
        "lakeformation": _LAKE_FORMATION,
        "datasync": _DATASYNC,
    }.items()
    for operation, effect in table.items()
}
"""(service, operation) -> effect."""
