"""How the types of the catalog, of Lake Formation, of reports and of watching are asked for.

Used by `simulator.cloud.drift`, beside `drift_answers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from simulator.cloud import drift_answers as basic
from simulator.cloud import drift_roles
from simulator.cloud.drift_answers import Answers, Ask, Values, one, only


def glue_table(ask: Ask, name: str, values: Values) -> Values:
    """Return a table of the catalog; names are kept in lower case."""
    wanted = values["TableInput"]["Name"]
    database = values["DatabaseName"]
    found = ask("glue", "GetTable", DatabaseName=database, Name=wanted)["Table"]
    if str(found["Name"]) == str(wanted).lower():
        found = {**found, "Name": wanted, "DatabaseName": database}
    return {**found, "TableInput": found}


def glue_database(ask: Ask, name: str, values: Values) -> Values:
    """Return a database of the catalog; names are kept in lower case."""
    found = ask("glue", "GetDatabase", Name=name)["Database"]
    found = {**found, "Name": values["DatabaseInput"]["Name"]}
    return {**found, "DatabaseInput": found}


def lake_settings(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return the data lake's settings."""
    found = ask("lakeformation", "GetDataLakeSettings")["DataLakeSettings"]
    return {**found, "Admins": found.get("DataLakeAdmins")}


def lake_permissions(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return what of a grant is there: permissions of one principal on one resource."""
    answer = ask("lakeformation", "ListPermissions", Principal=values["Principal"])
    held: dict[str, set[str]] = {"Permissions": set(), "PermissionsWithGrantOption": set()}
    for each in answer["PrincipalResourcePermissions"]:
        if _within(values["Resource"], each["Resource"]):
            for name in held:
                held[name] |= set(each.get(name, []))
    both = {n: [one for one in values.get(n, []) if one in held[n]] for n in held}
    return {**values, **both}


def _within(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(name in found and _within(wanted[name], found[name]) for name in wanted)
    return bool(wanted == found)


def lake_tag(ask: Ask, tag_key: str, values: Values) -> Values:
    """Return a tag; its values have no order."""
    found = ask("lakeformation", "GetLFTag", TagKey=tag_key)
    same = set(found["TagValues"]) == set(values["TagValues"])
    return {**found, "TagValues": values["TagValues"] if same else found["TagValues"]}


def tag_association(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return the tags of a database or table."""
    answer = ask("lakeformation", "GetResourceLFTags", Resource=values["Resource"])
    tags = {
        tag["TagKey"]: tag["TagValues"]
        for members in answer.values()
        if isinstance(members, list)
        for member in members
        for tag in member.get("LFTags", [member])
    }
    there = [
        {**each, "TagValues": tags.get(each["TagKey"], [])} for each in values.get("LFTags", [])
    ]
    return {**values, "LFTags": there}


def cells_filter(ask: Ask, name: str, values: Values) -> Values:
    """Return a filter of columns and rows."""
    named = {n: values[n] for n in ("TableCatalogId", "DatabaseName", "TableName", "Name")}
    return dict(ask("lakeformation", "GetDataCellsFilter", **named)["DataCellsFilter"])


def quicksight(kind: str) -> Answers:
    """Return what describes a resource, with its definition where it has one."""

    def answers(ask: Ask, physical_id: str, values: Values) -> Values:
        named = {"AwsAccountId": values["AwsAccountId"], f"{kind}Id": physical_id}
        found = ask("quicksight", f"Describe{kind}", **named)[kind]
        if kind in ("Analysis", "Dashboard"):
            defined = ask("quicksight", f"Describe{kind}Definition", **named)
            found = {**defined, **found}
            version = found.get("Version", {})
            found["VersionDescription"] = version.get("Description")
        return {"AwsAccountId": values["AwsAccountId"], **found}

    return answers


def log_group(ask: Ask, name: str, values: Values) -> Values:
    """Return a log group."""
    groups = ask("logs", "DescribeLogGroups", logGroupNamePrefix=name)["logGroups"]
    found = only(each for each in groups if each["logGroupName"] == name)
    return dict(found)


def composite_alarm(ask: Ask, name: str, values: Values) -> Values:
    """Return a composite alarm."""
    kinds = ["CompositeAlarm"]
    found = ask("cloudwatch", "DescribeAlarms", AlarmNames=[name], AlarmTypes=kinds)
    return dict(only(found["CompositeAlarms"]))


def dashboard(ask: Ask, name: str, values: Values) -> Values:
    """Return a dashboard; what may differ is space between the words of JSON."""
    found = ask("cloudwatch", "GetDashboard", DashboardName=name)
    wanted, body = values["DashboardBody"], found["DashboardBody"]
    same = _same_json(wanted, body)
    return {**found, "DashboardBody": wanted if same else body}


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def metric_filter(ask: Ask, name: str, values: Values) -> Values:
    """Return a metric filter; a template lists its dimensions."""
    group = values["LogGroupName"]
    answer = ask("logs", "DescribeMetricFilters", logGroupName=group, filterNamePrefix=name)
    found = only(each for each in answer["metricFilters"] if each["filterName"] == name)
    changed = []
    for each in found["metricTransformations"]:
        named = each.get("dimensions", {}).items()
        listed = [{"Key": key, "Value": value} for key, value in named]
        changed.append({**each, "dimensions": listed})
    return {**found, "metricTransformations": changed}


ANSWERS: dict[str, Answers] = {
    "AWS::CloudWatch::Alarm": one("cloudwatch", "DescribeAlarms", "AlarmNames", "MetricAlarms", 0),
    "AWS::CloudWatch::CompositeAlarm": composite_alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::DataSync::Agent": one("datasync", "DescribeAgent", "AgentArn", AgentName="Name"),
    "AWS::DataSync::LocationNFS": one("datasync", "DescribeLocationNfs", "LocationArn"),
    "AWS::DataSync::LocationS3": one("datasync", "DescribeLocationS3", "LocationArn"),
    "AWS::DataSync::LocationSMB": one("datasync", "DescribeLocationSmb", "LocationArn"),
    "AWS::DataSync::Task": one("datasync", "DescribeTask", "TaskArn"),
    "AWS::DynamoDB::Table": basic.table,
    "AWS::Events::Rule": basic.rule,
    "AWS::Glue::Database": glue_database,
    "AWS::Glue::Job": one("glue", "GetJob", "JobName", "Job"),
    "AWS::Glue::Table": glue_table,
    **drift_roles.ANSWERS,
    "AWS::IoT::Policy": basic.iot_policy,
    "AWS::IoT::PolicyPrincipalAttachment": basic.policy_attachment,
    "AWS::IoT::Thing": basic.thing,
    "AWS::IoT::ThingPrincipalAttachment": basic.thing_attachment,
    "AWS::IoT::ThingType": basic.thing_type,
    "AWS::IoT::TopicRule": basic.topic_rule,
    "AWS::KMS::Alias": basic.alias,
    "AWS::KMS::Key": basic.key,
    "AWS::Kinesis::Stream": basic.stream,
    "AWS::LakeFormation::DataCellsFilter": cells_filter,
    "AWS::LakeFormation::DataLakeSettings": lake_settings,
    "AWS::LakeFormation::PrincipalPermissions": lake_permissions,
    "AWS::LakeFormation::Resource": one(
        "lakeformation", "DescribeResource", "ResourceArn", "ResourceInfo"
    ),
    "AWS::LakeFormation::Tag": lake_tag,
    "AWS::LakeFormation::TagAssociation": tag_association,
    "AWS::Lambda::EventSourceMapping": basic.event_source_mapping,
    "AWS::Lambda::Function": basic.function,
    "AWS::Lambda::Permission": basic.permission,
    "AWS::Logs::LogGroup": log_group,
    "AWS::Logs::MetricFilter": metric_filter,
    **{
        f"AWS::QuickSight::{kind}": quicksight(kind)
        for kind in ("Analysis", "Dashboard", "DataSet", "DataSource")
    },
    "AWS::S3::Bucket": basic.bucket,
    "AWS::S3::BucketPolicy": basic.policy_of("s3", "GetBucketPolicy", "Bucket", "Policy"),
    "AWS::SNS::Subscription": basic.subscription,
    "AWS::SNS::Topic": basic.topic,
    "AWS::SNS::TopicPolicy": basic.policy_of(
        "sns", "GetTopicAttributes", "TopicArn", "Attributes", "Policy", where="Topics"
    ),
    "AWS::SQS::Queue": basic.queue,
    "AWS::SQS::QueuePolicy": basic.policy_of(
        "sqs", "GetQueueAttributes", "QueueUrl", "Attributes", "Policy", where="Queues"
    ),
    "AWS::SSM::Parameter": one("ssm", "GetParameter", "Name", "Parameter"),
    "AWS::SageMaker::ModelPackageGroup": one(
        "sagemaker", "DescribeModelPackageGroup", "ModelPackageGroupName"
    ),
    "AWS::StepFunctions::Activity": one("stepfunctions", "DescribeActivity", "activityArn"),
    "AWS::StepFunctions::StateMachine": basic.state_machine,
}
"""Resource type -> how it is asked for."""
