"""Mappers: what each resource type asks of its service, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AccessDenied
from simulator.cloud.operations import Principal
from simulator.cloud.resources import MAPPINGS, Created
from simulator.cloud.resources.declarations import RECORDED
from simulator.cloud.template import Deployment, deploy, load_assembly
from simulator.cloud.tests.recording import (
    ACCOUNT,
    RecordingDispatch,
    only,
    recording_context,
    walk,
    written,
)
from simulator.errors import TemplateError

SNAPSHOTS = Path(__file__).parents[3] / "infra_cdk" / "snapshots"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
AGENT = f"arn:aws:datasync:us-east-1:{ACCOUNT}:agent/agent-00000000000000000"
CERTIFICATE = f"arn:aws:iot:us-east-1:{ACCOUNT}:cert/{64 * '0'}"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def policy(action: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def created(
    tmp_path: Path, type_name: str, properties: dict[str, Any]
) -> tuple[Created, RecordingDispatch]:
    context, calls = recording_context(tmp_path)
    template = only(R={"Type": type_name, "Properties": properties})
    done = deploy(written(tmp_path, Dev=template), context, {})
    return done.resources["R"], calls


def refused(tmp_path: Path, type_name: str, properties: dict[str, Any]) -> str:
    with pytest.raises(TemplateError) as caught:
        created(tmp_path, type_name, properties)
    assert "\n" not in str(caught.value)
    return str(caught.value)


MINIMAL: dict[str, dict[str, Any]] = {
    "AWS::S3::Bucket": {},
    "AWS::S3::BucketPolicy": {
        "Bucket": "b",
        "PolicyDocument": policy("s3:*", Principal="*", Effect="Deny"),
    },
    "AWS::Kinesis::Stream": {"ShardCount": 1},
    "AWS::IoT::Policy": {"PolicyDocument": policy("iot:Connect")},
    "AWS::IoT::PolicyPrincipalAttachment": {"PolicyName": "p", "Principal": CERTIFICATE},
    "AWS::IoT::Thing": {},
    "AWS::IoT::ThingPrincipalAttachment": {"ThingName": "t", "Principal": CERTIFICATE},
    "AWS::IoT::ThingType": {},
    "AWS::IoT::TopicRule": {"TopicRulePayload": {"Sql": "SELECT * FROM 'a'", "Actions": []}},
    "AWS::Lambda::Function": {
        "Role": ROLE,
        "Runtime": "python3.11",
        "Code": {"S3Bucket": "assets", "S3Key": "a.zip"},
    },
    "AWS::Lambda::EventSourceMapping": {"FunctionName": "f"},
    "AWS::Lambda::Permission": {
        "FunctionName": "f",
        "Action": "lambda:InvokeFunction",
        "Principal": "iot.amazonaws.com",
    },
    "AWS::DynamoDB::Table": {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    },
    "AWS::Glue::Database": {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": "d"}},
    "AWS::Glue::Table": {"CatalogId": ACCOUNT, "DatabaseName": "d", "TableInput": {"Name": "t"}},
    "AWS::Glue::Job": {
        "Role": ROLE,
        "GlueVersion": "5.0",
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://assets/job.py"},
    },
    "AWS::IAM::Role": {"AssumeRolePolicyDocument": TRUST},
    "AWS::IAM::Policy": {"PolicyName": "p", "PolicyDocument": policy("s3:*")},
    "AWS::IAM::ManagedPolicy": {"PolicyDocument": policy("s3:*")},
    "AWS::StepFunctions::StateMachine": {
        "RoleArn": ROLE,
        "DefinitionString": '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
    },
    "AWS::StepFunctions::Activity": {"Name": "by-hand"},
    "AWS::SNS::Topic": {},
    "AWS::SNS::Subscription": {"TopicArn": "t", "Protocol": "sqs", "Endpoint": "q"},
    "AWS::SNS::TopicPolicy": {
        "Topics": ["t"],
        "PolicyDocument": policy("sns:Publish", Principal="*"),
    },
    "AWS::SQS::Queue": {},
    "AWS::SQS::QueuePolicy": {
        "Queues": ["https://sqs/0/q"],
        "PolicyDocument": policy("sqs:*", Principal="*"),
    },
    "AWS::CloudWatch::Alarm": {
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    },
    "AWS::CloudWatch::CompositeAlarm": {"AlarmRule": "TRUE"},
    "AWS::CloudWatch::Dashboard": {"DashboardBody": '{"widgets": []}'},
    "AWS::LakeFormation::Resource": {
        "ResourceArn": "arn:aws:s3:::lake",
        "RoleArn": ROLE,
        "UseServiceLinkedRole": False,
    },
    "AWS::LakeFormation::DataLakeSettings": {"Admins": []},
    "AWS::LakeFormation::Tag": {"TagKey": "zone", "TagValues": ["raw"]},
    "AWS::LakeFormation::TagAssociation": {
        "Resource": {"Database": {"CatalogId": ACCOUNT, "Name": "d"}},
        "LFTags": [{"CatalogId": ACCOUNT, "TagKey": "zone", "TagValues": ["raw"]}],
    },
    "AWS::LakeFormation::PrincipalPermissions": {
        "Principal": {"DataLakePrincipalIdentifier": ROLE},
        "Resource": {"Database": {"CatalogId": ACCOUNT, "Name": "d"}},
        "Permissions": ["DESCRIBE"],
        "PermissionsWithGrantOption": [],
    },
    "AWS::LakeFormation::DataCellsFilter": {
        "TableCatalogId": ACCOUNT,
        "DatabaseName": "d",
        "TableName": "t",
        "Name": "f",
        "ColumnWildcard": {},
        "RowFilter": {"AllRowsWildcard": {}},
    },
    "AWS::DataSync::Agent": {"ActivationKey": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"},
    "AWS::DataSync::LocationS3": {
        "S3BucketArn": "arn:aws:s3:::lake",
        "S3Config": {"BucketAccessRoleArn": ROLE},
    },
    "AWS::DataSync::LocationNFS": {
        "ServerHostname": "plant",
        "Subdirectory": "/",
        "OnPremConfig": {"AgentArns": [AGENT]},
    },
    "AWS::DataSync::LocationSMB": {
        "ServerHostname": "plant",
        "Subdirectory": "/",
        "AgentArns": [AGENT],
        "User": "reader",
        "Password": "not-a-secret",
    },
    "AWS::DataSync::Task": {
        "SourceLocationArn": f"arn:aws:datasync:us-east-1:{ACCOUNT}:location/loc-{17 * '0'}",
        "DestinationLocationArn": f"arn:aws:datasync:us-east-1:{ACCOUNT}:location/loc-{17 * '1'}",
    },
    "AWS::Events::Rule": {"ScheduleExpression": "rate(1 day)"},
    "AWS::Logs::LogGroup": {},
    "AWS::Logs::MetricFilter": {
        "LogGroupName": "/g",
        "FilterPattern": "ERROR",
        "MetricTransformations": [
            {"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1"},
        ],
    },
    "AWS::QuickSight::DataSource": {"DataSourceId": "s", "Name": "s", "Type": "ATHENA"},
    "AWS::QuickSight::DataSet": {
        "DataSetId": "d",
        "Name": "d",
        "ImportMode": "DIRECT_QUERY",
        "PhysicalTableMap": {},
    },
    "AWS::QuickSight::Analysis": {"AnalysisId": "a", "Name": "a"},
    "AWS::QuickSight::Dashboard": {"DashboardId": "d", "Name": "d"},
    "AWS::SSM::Parameter": {"Type": "String", "Value": "v"},
    "AWS::KMS::Key": {"KeyPolicy": policy("kms:*", Principal={"AWS": ACCOUNT})},
    "AWS::KMS::Alias": {"AliasName": "alias/a", "TargetKeyId": "k"},
    "AWS::SageMaker::ModelPackageGroup": {},
}


def test_every_mapped_type_has_a_smallest_example() -> None:
    assert set(MINIMAL) == set(MAPPINGS)


@pytest.mark.parametrize("type_name", sorted(MINIMAL))
def test_the_smallest_resource_of_each_type_is_created(tmp_path: Path, type_name: str) -> None:
    resource, _ = created(tmp_path, type_name, MINIMAL[type_name])
    assert resource.physical_id


@pytest.mark.parametrize("type_name", sorted(MINIMAL))
def test_each_type_refuses_a_property_it_does_not_know(tmp_path: Path, type_name: str) -> None:
    line = refused(tmp_path, type_name, {**MINIMAL[type_name], "Surprise": 1})
    assert line == f"Dev: R.Properties.Surprise: property is not mapped by the twin ({type_name})"


@pytest.mark.parametrize("type_name", sorted(MINIMAL))
def test_generated_names_are_the_same_in_every_run(tmp_path: Path, type_name: str) -> None:
    first, _ = created(tmp_path, type_name, MINIMAL[type_name])
    second, _ = created(tmp_path, type_name, MINIMAL[type_name])
    assert first == second


@pytest.mark.parametrize("type_name", sorted(MAPPINGS))
def test_every_recorded_property_states_why(type_name: str) -> None:
    declared = MAPPINGS[type_name].declared.values()
    assert all(bool(each.why) == (each.verdict == RECORDED) for each in declared)
    assert all(len(each.why) > 10 for each in declared if each.why)


def test_recorded_properties_are_kept_with_their_values(tmp_path: Path) -> None:
    tags = [{"Key": "project", "Value": "fleetwin"}]
    resource, _ = created(tmp_path, "AWS::SNS::Topic", {"Tags": tags})
    assert resource.recorded == {"Tags": tags}


def test_a_bucket_with_every_setting_asks_for_each_in_s3s_own_words(tmp_path: Path) -> None:
    resource, calls = created(
        tmp_path,
        "AWS::S3::Bucket",
        {
            "BucketName": "raw",
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                ]
            },
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": "true"},
            "VersioningConfiguration": {"Status": "Enabled"},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "LoggingConfiguration": {"DestinationBucketName": "logs", "LogFilePrefix": "raw/"},
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "age",
                        "Status": "Enabled",
                        "Prefix": "telemetry/",
                        "ExpirationInDays": 365,
                        "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 90}],
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                    }
                ]
            },
        },
    )
    assert resource.arn == "arn:aws:s3:::raw"
    assert calls.calls[0] == ("s3", "CreateBucket", {"Bucket": "raw"})
    assert {op: params for _, op, params in calls.calls[1:]} == {
        "PutBucketEncryption": {
            "Bucket": "raw",
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        },
        "PutPublicAccessBlock": {
            "Bucket": "raw",
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
        },
        "PutBucketVersioning": {
            "Bucket": "raw",
            "VersioningConfiguration": {"Status": "Enabled"},
        },
        "PutBucketOwnershipControls": {
            "Bucket": "raw",
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        },
        "PutBucketLogging": {
            "Bucket": "raw",
            "BucketLoggingStatus": {
                "LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "raw/"}
            },
        },
        "PutBucketNotificationConfiguration": {
            "Bucket": "raw",
            "NotificationConfiguration": {"EventBridgeConfiguration": {}},
        },
        "PutBucketLifecycleConfiguration": {
            "Bucket": "raw",
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "ID": "age",
                        "Status": "Enabled",
                        "Filter": {"Prefix": "telemetry/"},
                        "Expiration": {"Days": 365},
                        "Transitions": [{"StorageClass": "GLACIER", "Days": 90}],
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                    }
                ]
            },
        },
    }


def test_an_unknown_lifecycle_rule_is_refused(tmp_path: Path) -> None:
    rules = {"Rules": [{"Status": "Enabled", "WhenTired": True}]}
    line = refused(tmp_path, "AWS::S3::Bucket", {"LifecycleConfiguration": rules})
    assert "Rules[0].WhenTired: property is not mapped" in line


def test_a_generated_bucket_name_is_one_that_s3_admits(tmp_path: Path) -> None:
    resource, _ = created(tmp_path, "AWS::S3::Bucket", {})
    assert resource.physical_id == resource.physical_id.lower()
    assert len(resource.physical_id) <= 63


def test_a_stream_gets_its_retention_and_encryption_by_calls_of_their_own(tmp_path: Path) -> None:
    encryption = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    _, calls = created(
        tmp_path,
        "AWS::Kinesis::Stream",
        {"Name": "s", "ShardCount": 1, "RetentionPeriodHours": 48, "StreamEncryption": encryption},
    )
    assert calls.of("CreateStream") == [{"StreamName": "s", "ShardCount": 1}]
    assert calls.of("IncreaseStreamRetentionPeriod")[0]["RetentionPeriodHours"] == 48
    assert calls.of("StartStreamEncryption") == [{"StreamName": "s", **encryption}]


def test_a_topic_rule_is_spelt_as_the_iot_api_spells_it(tmp_path: Path) -> None:
    kinesis = {"RoleArn": ROLE, "StreamName": "s", "PartitionKey": "${topic(2)}"}
    s3 = {"RoleArn": ROLE, "BucketName": "b", "Key": "k"}
    _, calls = created(
        tmp_path,
        "AWS::IoT::TopicRule",
        {
            "RuleName": "r",
            "TopicRulePayload": {
                "Sql": "SELECT * FROM 'fleet/+/telemetry'",
                "AwsIotSqlVersion": "2016-03-23",
                "RuleDisabled": False,
                "Actions": [{"Kinesis": kinesis}],
                "ErrorAction": {"S3": s3},
            },
        },
    )
    assert calls.of("CreateTopicRule") == [
        {
            "ruleName": "r",
            "topicRulePayload": {
                "sql": "SELECT * FROM 'fleet/+/telemetry'",
                "awsIotSqlVersion": "2016-03-23",
                "ruleDisabled": False,
                "actions": [
                    {"kinesis": {"roleArn": ROLE, "streamName": "s", "partitionKey": "${topic(2)}"}}
                ],
                "errorAction": {"s3": {"roleArn": ROLE, "bucketName": "b", "key": "k"}},
            },
        }
    ]


def test_a_function_and_its_mapping_pass_as_they_stand(tmp_path: Path) -> None:
    function = {
        "FunctionName": "f",
        "Handler": "a.b",
        "Runtime": "python3.11",
        "Role": ROLE,
        "Code": {"S3Bucket": "assets", "S3Key": "abc.zip"},
        "Timeout": "60",
        "Environment": {"Variables": {"MAX_FUTURE_S": 300}},
    }
    mapping = {
        "FunctionName": {"Ref": "F"},
        "EventSourceArn": "arn:aws:kinesis:us-east-1:0:stream/s",
        "BatchSize": 1000,
        "StartingPosition": "TRIM_HORIZON",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:0:q"}},
    }
    context, calls = recording_context(tmp_path)
    template = only(
        M={"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
        F={"Type": "AWS::Lambda::Function", "Properties": function},
    )
    done = deploy(written(tmp_path, Dev=template), context, {})
    assert calls.of("CreateFunction") == [
        {**function, "Timeout": 60, "Environment": {"Variables": {"MAX_FUTURE_S": "300"}}}
    ]
    assert calls.of("CreateEventSourceMapping") == [{**mapping, "FunctionName": "f"}]
    assert done.resources["M"].physical_id == done.resources["M"].attributes["Id"]


def test_a_permission_lets_only_the_named_source_invoke(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    source = f"arn:aws:iot:us-east-1:{ACCOUNT}:rule/r"
    template = only(
        P={
            "Type": "AWS::Lambda::Permission",
            "Properties": {**MINIMAL["AWS::Lambda::Permission"], "SourceArn": source},
        }
    )
    deploy(written(tmp_path, Dev=template), context, {})
    iam, arn = context.iam, f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    action = "lambda:InvokeFunction"
    iam.authorise(iam.service_principal("iot.amazonaws.com", source), action, arn)
    with pytest.raises(AccessDenied):
        iam.authorise(iam.service_principal("iot.amazonaws.com", source + "2"), action, arn)


def test_a_table_gets_expiry_and_backups_by_calls_of_their_own(tmp_path: Path) -> None:
    _, calls = created(
        tmp_path,
        "AWS::DynamoDB::Table",
        {
            **MINIMAL["AWS::DynamoDB::Table"],
            "TableName": "t",
            "BillingMode": "PAY_PER_REQUEST",
            "SSESpecification": {"SSEEnabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        },
    )
    assert calls.of("CreateTable")[0]["SSESpecification"] == {"Enabled": True}
    assert calls.of("UpdateContinuousBackups")[0]["TableName"] == "t"
    assert calls.of("UpdateTimeToLive")[0]["TimeToLiveSpecification"]["Enabled"] is True


def test_roles_and_policies_decide_from_the_moment_they_are_deployed(tmp_path: Path) -> None:
    context, calls = recording_context(tmp_path)
    inline = [{"PolicyName": "own", "PolicyDocument": policy("s3:GetObject")}]
    roles = {"Roles": [{"Ref": "Worker"}]}
    template = only(
        Worker={
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "worker",
                "AssumeRolePolicyDocument": TRUST,
                "Policies": inline,
            },
        },
        Beside={
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyName": "beside",
                "PolicyDocument": policy("sqs:SendMessage"),
                **roles,
            },
        },
        Managed={
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"PolicyDocument": policy("sns:Publish"), **roles},
        },
    )
    deploy(written(tmp_path, Dev=template), context, {})
    session = context.iam.principal_for_role(ROLE, "one", "lambda.amazonaws.com")
    for action in ("s3:GetObject", "sqs:SendMessage", "sns:Publish"):
        context.iam.authorise(session, action, "*")
    with pytest.raises(AccessDenied):
        context.iam.authorise(session, "s3:PutObject", "*")
    assert calls.calls == []


def test_a_policy_that_cannot_be_judged_stops_the_deployment(tmp_path: Path) -> None:
    strange = policy("s3:*", Condition={"IpAddress": {"aws:SourceIp": "::1"}})
    line = refused(
        tmp_path,
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": TRUST,
            "Policies": [{"PolicyName": "p", "PolicyDocument": strange}],
        },
    )
    assert line.startswith("Dev: R: the twin does not have policy condition operator IpAddress")


def test_a_policy_for_a_role_that_is_not_there_is_refused(tmp_path: Path) -> None:
    line = refused(
        tmp_path, "AWS::IAM::Policy", {**MINIMAL["AWS::IAM::Policy"], "Roles": ["ghost"]}
    )
    assert "Dev: R.Properties.Roles: there is no role ghost" in line


def test_a_bucket_policy_denies_from_the_moment_it_is_deployed(tmp_path: Path) -> None:
    context, calls = recording_context(tmp_path)
    context.iam.put_role(ROLE, TRUST, {"own": policy("s3:*")})
    document = policy("s3:PutObject", Principal="*", Effect="Deny")
    template = only(
        P={
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": "b", "PolicyDocument": document},
        }
    )
    deploy(written(tmp_path, Dev=template), context, {})
    assert json.loads(calls.of("PutBucketPolicy")[0]["Policy"]) == document
    with pytest.raises(AccessDenied, match="explicit deny"):
        context.iam.authorise(Principal("one", ROLE), "s3:PutObject", "arn:aws:s3:::b/key")


MACHINE = {"StartAt": "${First}", "Comment": "${Text}", "States": {"One": {"Type": "Succeed"}}}


@pytest.mark.parametrize(
    "definition",
    [
        {"DefinitionString": json.dumps(MACHINE)},
        {"Definition": MACHINE},
    ],
)
def test_substitutions_land_escaped_in_the_definition(
    tmp_path: Path, definition: dict[str, Any]
) -> None:
    values = {"First": "One", "Text": 'say "hi"'}
    resource, calls = created(
        tmp_path,
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineName": "m",
            "StateMachineType": "STANDARD",
            "RoleArn": ROLE,
            "DefinitionSubstitutions": values,
            **definition,
        },
    )
    (params,) = calls.of("CreateStateMachine")
    filled = {**MACHINE, "StartAt": "One", "Comment": 'say "hi"'}
    assert json.loads(params["definition"]) == filled
    assert (params["name"], params["type"]) == ("m", "STANDARD")
    assert resource.physical_id == f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"


def test_a_definition_with_an_unknown_substitution_is_refused(tmp_path: Path) -> None:
    line = refused(
        tmp_path,
        "AWS::StepFunctions::StateMachine",
        {"RoleArn": ROLE, "DefinitionString": "${B}", "DefinitionSubstitutions": {"A": "x"}},
    )
    assert "${B} has no substitution" in line


def test_a_queue_subscribed_to_a_topic_receives_raw_messages(tmp_path: Path) -> None:
    context, calls = recording_context(tmp_path)
    subscription = {
        "TopicArn": {"Ref": "Topic"},
        "Protocol": "sqs",
        "Endpoint": {"Fn::GetAtt": ["Inbox", "Arn"]},
        "RawMessageDelivery": True,
        "FilterPolicy": {"rule": ["model"]},
    }
    redrive = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:0:d", "maxReceiveCount": 3}
    queue = {"QueueName": "inbox", "VisibilityTimeout": 30, "RedrivePolicy": redrive}
    template = only(
        S={"Type": "AWS::SNS::Subscription", "Properties": subscription},
        Topic={"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alerts"}},
        Inbox={"Type": "AWS::SQS::Queue", "Properties": queue},
    )
    deploy(written(tmp_path, Dev=template), context, {})
    (created_queue,) = calls.of("CreateQueue")
    assert created_queue["Attributes"]["VisibilityTimeout"] == "30"
    assert json.loads(created_queue["Attributes"]["RedrivePolicy"]) == redrive
    (subscribed,) = calls.of("Subscribe")
    assert subscribed["Endpoint"] == f"arn:aws:sqs:us-east-1:{ACCOUNT}:inbox"
    assert subscribed["Attributes"] == {
        "FilterPolicy": '{"rule":["model"]}',
        "RawMessageDelivery": "true",
    }


def test_a_log_groups_retention_is_a_call_of_its_own(tmp_path: Path) -> None:
    resource, calls = created(
        tmp_path, "AWS::Logs::LogGroup", {"LogGroupName": "/g", "RetentionInDays": 30}
    )
    assert calls.of("PutRetentionPolicy") == [{"logGroupName": "/g", "retentionInDays": 30}]
    assert resource.arn == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/g:*"


def test_a_metric_filters_dimensions_become_a_map_and_its_value_text(tmp_path: Path) -> None:
    transformation = {
        "MetricName": "Latency",
        "MetricNamespace": "Fleet",
        "MetricValue": "$.latency_ms",
        "Unit": "Milliseconds",
        "Dimensions": [{"Key": "Device", "Value": "$.device_id"}],
    }
    properties = {
        **MINIMAL["AWS::Logs::MetricFilter"],
        "FilterName": "latency",
        "FilterPattern": "{ $.latency_ms = * && $.device_id = * }",
        "MetricTransformations": [transformation],
    }
    resource, calls = created(tmp_path, "AWS::Logs::MetricFilter", properties)
    assert resource.physical_id == "latency"
    (put,) = calls.of("PutMetricFilter")
    assert put["metricTransformations"] == [
        {
            "metricName": "Latency",
            "metricNamespace": "Fleet",
            "metricValue": "$.latency_ms",
            "unit": "Milliseconds",
            "dimensions": {"Device": "$.device_id"},
        }
    ]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"Threshold": "high"}, "Threshold: must be a double, not 'high'"),
        ({"Period": 1.5}, "Period: must be a integer, not 1.5"),
        ({"ActionsEnabled": "maybe"}, "ActionsEnabled: must be a boolean"),
        ({"AlarmActions": "arn"}, "AlarmActions: must be a list"),
        ({"Dimensions": ["x"]}, "Dimensions[0]: must be an object"),
        ({"MetricName": ["x"]}, "MetricName: must be a string, not list"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_path(
    tmp_path: Path, properties: dict[str, Any], said: str
) -> None:
    base = MINIMAL["AWS::CloudWatch::Alarm"]
    assert said in refused(tmp_path, "AWS::CloudWatch::Alarm", {**base, **properties})


# -- the committed snapshot


@pytest.fixture(scope="module")
def snapshot(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Deployment, RecordingDispatch]:
    if not (SNAPSHOTS / "manifest.json").exists():
        pytest.skip("no snapshot has been synthesized yet")
    context, calls = recording_context(tmp_path_factory.mktemp("state"))
    return deploy(load_assembly(SNAPSHOTS), context, {}), calls


def test_the_whole_snapshot_deploys(
    snapshot: tuple[Deployment, RecordingDispatch],
) -> None:
    done, calls = snapshot
    assert calls.calls
    assert [each.physical_id for each in done.find("AWS::Kinesis::Stream")] == [
        "fleetwin-dev-telemetry"
    ]


def test_nothing_unresolved_reaches_a_service(
    snapshot: tuple[Deployment, RecordingDispatch],
) -> None:
    _, calls = snapshot
    for _, operation, params in calls.calls:
        for value in walk(params):
            keys = value.keys() if isinstance(value, dict) else ()
            assert not any(str(key).startswith("Fn::") or key == "Ref" for key in keys), operation
            assert "${AWS::" not in str(value), operation


def test_the_snapshots_functions_may_read_the_stream_and_no_more(
    tmp_path: Path,
) -> None:
    if not (SNAPSHOTS / "manifest.json").exists():
        pytest.skip("no snapshot has been synthesized yet")
    context, calls = recording_context(tmp_path)
    deploy(load_assembly(SNAPSHOTS), context, {})
    assert calls.of("CreateFunction")
    for function in calls.of("CreateFunction"):
        role = function["Role"]
        session = context.iam.principal_for_role(role, "one", "lambda.amazonaws.com")
        stream = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/fleetwin-dev-telemetry"
        context.iam.authorise(session, "kinesis:GetRecords", stream)
        with pytest.raises(AccessDenied):
            context.iam.authorise(session, "kinesis:DeleteStream", stream)
        with pytest.raises(AccessDenied):
            context.iam.principal_for_role(role, "one", "glue.amazonaws.com")
