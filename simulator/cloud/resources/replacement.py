"""Which properties of a resource cannot change while it lives: a change makes another resource.

Source: ``createOnlyProperties`` of the CloudFormation resource schemas (us-east-1, October 2026)
and, of ``conditionalCreateOnlyProperties``, those whose update needs a replacement in the
template reference. Used by `simulator.cloud.stack_changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

CREATE_ONLY: Mapping[str, str] = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DataSync::Agent": "ActivationKey SecurityGroupArns SubnetArns VpcEndpointId",
    "AWS::DataSync::LocationNFS": "",
    "AWS::DataSync::LocationS3": "S3BucketArn",
    "AWS::DataSync::LocationSMB": "",
    "AWS::DataSync::Task": "DestinationLocationArn SourceLocationArn TaskMode",
    "AWS::DynamoDB::Table": "TableName ImportSourceSpecification KeySchema",
    "AWS::Events::Rule": "Name EventBusName",
    # DatabaseInput.Name is DatabaseName in the schema; the update of either is a replacement.
    "AWS::Glue::Database": "DatabaseName DatabaseInput/Name CatalogId",
    "AWS::Glue::Job": "Name",
    "AWS::Glue::Table": "DatabaseName CatalogId TableInput/Name Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName Description Path",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "Path RoleName",
    "AWS::IoT::Policy": "PolicyName",
    "AWS::IoT::PolicyPrincipalAttachment": "PolicyName Principal",
    "AWS::IoT::Thing": "ThingName",
    "AWS::IoT::ThingPrincipalAttachment": "Principal ThingName",
    "AWS::IoT::ThingType": "ThingTypeName",
    "AWS::IoT::TopicRule": "RuleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::KMS::Key": "",
    "AWS::Kinesis::Stream": "Name",
    "AWS::LakeFormation::DataCellsFilter": (
        "TableCatalogId DatabaseName TableName Name RowFilter ColumnNames ColumnWildcard"
    ),
    "AWS::LakeFormation::DataLakeSettings": "",
    "AWS::LakeFormation::PrincipalPermissions": (
        "Catalog Principal Resource Permissions PermissionsWithGrantOption"
    ),
    "AWS::LakeFormation::Resource": "ResourceArn",
    "AWS::LakeFormation::Tag": "CatalogId TagKey",
    "AWS::LakeFormation::TagAssociation": "Resource LFTags",
    "AWS::Lambda::EventSourceMapping": (
        "EventSourceArn StartingPosition StartingPositionTimestamp SelfManagedEventSource"
    ),
    "AWS::Lambda::Function": "FunctionName PackageType TenancyConfig",
    "AWS::Lambda::Permission": (
        "FunctionName FunctionUrlAuthType InvokedViaFunctionUrl SourceAccount SourceArn Principal "
        "PrincipalOrgID Action EventSourceToken"
    ),
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::MetricFilter": "FilterName LogGroupName",
    "AWS::QuickSight::Analysis": "AnalysisId AwsAccountId",
    "AWS::QuickSight::Dashboard": "DashboardId AwsAccountId",
    "AWS::QuickSight::DataSet": "DataSetId AwsAccountId",
    "AWS::QuickSight::DataSource": "DataSourceId AwsAccountId Type",
    "AWS::S3::Bucket": "BucketName BucketNamePrefix BucketNamespace",
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SNS::Subscription": "Endpoint Protocol TopicArn",
    "AWS::SNS::Topic": "TopicName FifoTopic",
    "AWS::SNS::TopicPolicy": "",
    "AWS::SQS::Queue": "FifoQueue QueueName",
    "AWS::SQS::QueuePolicy": "",
    "AWS::SSM::Parameter": "Name",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName ModelPackageGroupDescription",
    "AWS::StepFunctions::Activity": "Name EncryptionConfiguration",
    "AWS::StepFunctions::StateMachine": "StateMachineName StateMachineType",
}
"""Type -> its property paths (``/`` leads inside), separated by blanks."""


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names of the properties that differ, sorted."""
    missing = object()
    names = old.keys() | new.keys()
    return sorted(n for n in names if old.get(n, missing) != new.get(n, missing))


def replacing(type_name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the property paths that differ and only a new resource can have otherwise."""
    return [path for path in _paths(type_name) if _at(old, path) != _at(new, path)]


def _paths(type_name: str) -> Iterator[str]:
    yield from CREATE_ONLY.get(type_name, "").split()


def _at(values: Any, path: str) -> Any:
    for name in path.split("/"):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values
