"""Each kind of resource is changed in place, changed back and deleted, on a twin of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.stack_deletion import DeletionFailed
from simulator.cloud.stack_update import UpdateFailed
from simulator.cloud.tests.recording import only, written
from simulator.cloud.tests.stack_answers import described
from simulator.cloud.tests.stack_bench import ACCOUNT, applied, policy, resource, trust, twin
from simulator.errors import TemplateError

Resources = dict[str, dict[str, Any]]
REGION = "us-east-1"
BUCKET = resource("AWS::S3::Bucket", {"BucketName": "raw"})
TOPIC = resource("AWS::SNS::Topic", {"TopicName": "t"})
STREAM = resource("AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1})
ROLE = resource(
    "AWS::IAM::Role",
    {"RoleName": "r", "AssumeRolePolicyDocument": trust("iot.amazonaws.com")},
)
LAKE = resource("AWS::Glue::Database", {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": "lake"}})
ROLE_ARN = {"Fn::GetAtt": ["R", "Arn"]}
LAKE_OF = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "L"}}}


def topic_policy(action: str) -> dict[str, Any]:
    document = policy(action, {"Ref": "T"}, Principal={"Service": "events.amazonaws.com"})
    return resource("AWS::SNS::TopicPolicy", {"Topics": [{"Ref": "T"}], "PolicyDocument": document})


def bucket_policy(action: str) -> dict[str, Any]:
    document = policy(action, "arn:aws:s3:::raw", Principal="*", Effect="Deny")
    return resource("AWS::S3::BucketPolicy", {"Bucket": {"Ref": "B"}, "PolicyDocument": document})


def queue_policy(action: str) -> dict[str, Any]:
    document = policy(action, "*", Principal={"Service": "sns.amazonaws.com"})
    return resource("AWS::SQS::QueuePolicy", {"Queues": [{"Ref": "Q"}], "PolicyDocument": document})


def topic_rule(sql: str, **more: Any) -> dict[str, Any]:
    kinesis = {"RoleArn": ROLE_ARN, "StreamName": {"Ref": "S"}, "PartitionKey": "k"}
    payload = {"Sql": sql, "Actions": [{"Kinesis": kinesis}], **more}
    return resource("AWS::IoT::TopicRule", {"RuleName": "rule", "TopicRulePayload": payload})


def job(**more: Any) -> dict[str, Any]:
    given = {
        "Name": "job",
        "Role": ROLE_ARN,
        "GlueVersion": "5.0",
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://assets/job.py"},
    }
    return resource("AWS::Glue::Job", {**given, **more})


def composite(rule: str) -> dict[str, Any]:
    return resource("AWS::CloudWatch::CompositeAlarm", {"AlarmName": "both", "AlarmRule": rule})


def key(*actions: str) -> dict[str, Any]:
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    documents = [policy(action, "*", Principal=root)["Statement"][0] for action in actions]
    document = {"Version": "2012-10-17", "Statement": documents}
    return resource("AWS::KMS::Key", {"KeyPolicy": document})


def managed(action: str) -> dict[str, Any]:
    return resource(
        "AWS::IAM::ManagedPolicy",
        {
            "ManagedPolicyName": "m",
            "Roles": [{"Ref": "R"}],
            "PolicyDocument": policy(action, "arn:aws:s3:::raw"),
        },
    )


def lake_tag(*values: str) -> dict[str, Any]:
    return resource("AWS::LakeFormation::Tag", {"TagKey": "zone", "TagValues": list(values)})


def grant(*permissions: str) -> dict[str, Any]:
    return resource(
        "AWS::LakeFormation::PrincipalPermissions",
        {
            "Principal": {"DataLakePrincipalIdentifier": ROLE_ARN},
            "Resource": LAKE_OF,
            "Permissions": list(permissions),
            "PermissionsWithGrantOption": [],
        },
    )


def tagged(value: str) -> dict[str, Any]:
    tags = [{"CatalogId": ACCOUNT, "TagKey": {"Ref": "Z"}, "TagValues": [value]}]
    return resource("AWS::LakeFormation::TagAssociation", {"Resource": LAKE_OF, "LFTags": tags})


def dashboard(title: str) -> dict[str, Any]:
    widget = {"type": "text", "properties": {"markdown": title}}
    body = json.dumps({"widgets": [{**widget, "x": 0, "y": 0, "width": 6, "height": 6}]})
    return resource("AWS::CloudWatch::Dashboard", {"DashboardName": "board", "DashboardBody": body})


def table(**more: Any) -> dict[str, Any]:
    given = {
        "TableName": "items",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    }
    return resource("AWS::DynamoDB::Table", {**given, **more})


def alias(target: str) -> dict[str, Any]:
    return resource("AWS::KMS::Alias", {"AliasName": "alias/a", "TargetKeyId": {"Ref": target}})


def described_key(text: str) -> dict[str, Any]:
    made = key("kms:*")
    return resource("AWS::KMS::Key", {**made["Properties"], "Description": text})


def device_policy(action: str) -> dict[str, Any]:
    given = {"PolicyName": "devices", "PolicyDocument": policy(action, "*")}
    return resource("AWS::IoT::Policy", given)


def thing_type(properties: dict[str, Any] | None, deprecated: bool = False) -> dict[str, Any]:
    given = {"ThingTypeName": "pump", "DeprecateThingType": deprecated}
    more = {} if properties is None else {"ThingTypeProperties": properties}
    return resource("AWS::IoT::ThingType", {**given, **more})


def agent(name: str) -> dict[str, Any]:
    activation = "-".join(["LOCAL"] * 5)
    return resource("AWS::DataSync::Agent", {"AgentName": name, "ActivationKey": activation})


def location(folder: str) -> dict[str, Any]:
    given = {
        "ServerHostname": "plant",
        "Subdirectory": folder,
        "OnPremConfig": {"AgentArns": [{"Ref": "A"}]},
    }
    return resource("AWS::DataSync::LocationNFS", given)


def objects(**more: Any) -> dict[str, Any]:
    given = {
        "S3BucketArn": {"Fn::GetAtt": ["B", "Arn"]},
        "S3Config": {"BucketAccessRoleArn": ROLE_ARN},
    }
    return resource("AWS::DataSync::LocationS3", {**given, **more})


def report(kind: str, name: str, **more: Any) -> dict[str, Any]:
    given = {f"{kind}Id": f"a-{kind}", "AwsAccountId": ACCOUNT, "Name": name}
    return resource(f"AWS::QuickSight::{kind}", {**given, **more})


def rows(name: str, query: str) -> dict[str, Any]:
    sql = {"DataSourceArn": {"Fn::GetAtt": ["S", "Arn"]}, "Name": "rows", "SqlQuery": query}
    columns = [{"Name": "device_id", "Type": "STRING"}]
    tables = {"rows": {"CustomSql": {**sql, "Columns": columns}}}
    return report("DataSet", name, ImportMode="DIRECT_QUERY", PhysicalTableMap=tables)


def drawn(kind: str, name: str, **more: Any) -> dict[str, Any]:
    declared = [{"Identifier": "rows", "DataSetArn": {"Fn::GetAtt": ["D", "Arn"]}}]
    sheets = [{"SheetId": "one", "Name": name}]
    definition = {"DataSetIdentifierDeclarations": declared, "Sheets": sheets}
    return report(kind, name, Definition=definition, **more)


FILTERED = {"AdHocFilteringOption": {"AvailabilityStatus": "DISABLED"}}
SOURCE = report("DataSource", "lake", Type="ATHENA")
SETS = {"S": SOURCE, "D": rows("rows", "select 1")}
UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}
PROTECTED = {"DeletionProtectionEnabled": True, "SSESpecification": {"SSEEnabled": True}}
DATASYNC_ROLE = resource(
    "AWS::IAM::Role",
    {
        "RoleName": "sync",
        "AssumeRolePolicyDocument": trust("datasync.amazonaws.com"),
        "Policies": [{"PolicyName": "all", "PolicyDocument": policy("s3:*", "*")}],
    },
)
ROOT_KEY = key("kms:*")
BACKUPS = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
SQL = "SELECT * FROM 'a'"
QUEUE = resource("AWS::SQS::Queue", {"QueueName": "q"})
CHANGES: dict[str, tuple[Resources, dict[str, Any], dict[str, Any]]] = {
    "topic policy": ({"T": TOPIC}, topic_policy("sns:Publish"), topic_policy("sns:Subscribe")),
    "bucket policy": (
        {"B": BUCKET},
        bucket_policy("s3:ListBucket"),
        bucket_policy("s3:GetBucketPolicy"),
    ),
    "queue policy": (
        {"Q": QUEUE},
        queue_policy("sqs:SendMessage"),
        queue_policy("sqs:ReceiveMessage"),
    ),
    "topic rule": (
        {"R": ROLE, "S": STREAM},
        topic_rule(SQL),
        topic_rule("SELECT * FROM 'b'", RuleDisabled=True),
    ),
    "job": ({"R": ROLE}, job(), job(Timeout=7, DefaultArguments={"--a": "b"})),
    "composite alarm": ({}, composite("TRUE"), composite("FALSE")),
    "key": ({}, ROOT_KEY, key("kms:*", "kms:Encrypt")),
    "alias": ({"K": ROOT_KEY, "O": ROOT_KEY}, alias("K"), alias("O")),
    "managed policy": ({"R": ROLE}, managed("s3:ListBucket"), managed("s3:GetBucketPolicy")),
    "lake tag": ({}, lake_tag("raw"), lake_tag("raw", "processed")),
    "grant": ({"R": ROLE, "L": LAKE}, grant("DESCRIBE"), grant("ALTER", "DESCRIBE")),
    "tagged": (
        {"L": LAKE, "Z": lake_tag("raw", "processed")},
        tagged("raw"),
        tagged("processed"),
    ),
    "dashboard": ({}, dashboard("one"), dashboard("two")),
    "table's backups": ({}, table(), table(**BACKUPS)),
    "table's billing": ({}, table(), table(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)),
    "table's protection": ({}, table(), table(**PROTECTED)),
    "key's description": ({}, described_key("one"), described_key("two")),
    "policy of devices": ({}, device_policy("iot:Connect"), device_policy("iot:Publish")),
    "agent": ({}, agent("one"), agent("two")),
    "thing type": (
        {},
        thing_type({"ThingTypeDescription": "turns", "SearchableAttributes": ["site"]}),
        thing_type({"ThingTypeDescription": "spins"}),
    ),
    "thing type without properties": (
        {},
        thing_type(None),
        thing_type({"SearchableAttributes": []}),
    ),
    "thing type that takes no thing": ({}, thing_type(None), thing_type(None, deprecated=True)),
    "location of files": ({"A": agent("one")}, location("/a"), location("/b")),
    "location of objects": (
        {"R": DATASYNC_ROLE, "B": BUCKET},
        objects(Subdirectory="/a"),
        objects(Subdirectory="/b", S3StorageClass="STANDARD_IA"),
    ),
    "activity": (
        {},
        resource("AWS::StepFunctions::Activity", {"Name": "by-hand"}),
        resource("AWS::StepFunctions::Activity", {"Name": "by-machine"}),
    ),
    "source of reports": ({}, SOURCE, report("DataSource", "sea", Type="ATHENA")),
    "set of reports": ({"S": SOURCE}, rows("rows", "select 1"), rows("more", "select 2")),
    "analysis": (SETS, drawn("Analysis", "one"), drawn("Analysis", "two")),
    "reports": (
        SETS,
        drawn("Dashboard", "one", VersionDescription="first", DashboardPublishOptions=FILTERED),
        drawn("Dashboard", "two"),
    ),
    "group of packages": (
        {},
        resource("AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "one"}),
        resource("AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "two"}),
    ),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_resource_is_changed_and_changed_back_and_deleted(tmp_path: Path, name: str) -> None:
    others, one, two = CHANGES[name]
    with twin(tmp_path) as cloud:
        nothing = described(cloud)
        app = tmp_path / "app"
        applied(cloud, app, only(**others, X=one))
        cloud.engine.run(cloud.engine.env.timeout(2.0))
        first = described(cloud)
        assert "/X  " in applied(cloud, app, only(**others, X=two))
        cloud.engine.run(cloud.engine.env.timeout(2.0))
        second = described(cloud)
        assert second != first or name in NOT_IN_ANSWERS
        applied(cloud, app, only(**others, X=one))
        cloud.engine.run(cloud.engine.env.timeout(2.0))
        assert described(cloud) == first
        cloud.destroy()
        cloud.engine.run(cloud.engine.env.timeout(2.0))
        assert described(cloud) == nothing


NOT_IN_ANSWERS = {
    *("job", "topic rule", "key", "tagged", "key's description", "policy of devices", "agent"),
    *("location of objects", "source of reports", "set of reports", "analysis", "reports"),
}
"""What the answers that are compared do not say of each: asked for below."""


def test_what_the_listings_do_not_say_is_the_new_one_as_well(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        app, others = tmp_path / "app", {"R": ROLE, "S": STREAM, "L": LAKE}
        others["Z"] = lake_tag("raw", "processed")
        applied(cloud, app, only(**others, J=job(), K=ROOT_KEY, X=topic_rule(SQL), T=tagged("raw")))
        changed: Resources = {
            "J": job(Timeout=7),
            "K": key("kms:*", "kms:Encrypt"),
            "X": topic_rule("SELECT * FROM 'b'"),
            "T": tagged("processed"),
        }
        table = applied(cloud, app, only(**others, **changed))
        assert "4 changes: 0 add, 3 modify, 1 replace, 0 remove, 0 retain" in table
        assert cloud.call("glue", "GetJob", JobName="job")["Job"]["Timeout"] == 7
        rule = cloud.call("iot", "GetTopicRule", ruleName="rule")["rule"]
        assert rule["sql"] == "SELECT * FROM 'b'"
        assert cloud.deployment is not None
        (made,) = cloud.deployment.find("AWS::KMS::Key")
        document = cloud.call("kms", "GetKeyPolicy", KeyId=made.physical_id, PolicyName="default")[
            "Policy"
        ]
        assert "kms:Encrypt" in document
        where = {"Database": {"CatalogId": ACCOUNT, "Name": "lake"}}
        tags = cloud.call("lakeformation", "GetResourceLFTags", Resource=where)
        assert [one["TagValues"] for one in tags["LFTagOnDatabase"]] == [["processed"]]


def test_an_update_of_reports_publishes_what_it_makes_and_is_refused_for_permissions(
    tmp_path: Path,
) -> None:
    with twin(tmp_path) as cloud:
        app, which = tmp_path / "app", {"AwsAccountId": ACCOUNT, "DashboardId": "a-Dashboard"}
        for number, name in enumerate(("one", "two", "one"), 1):
            applied(cloud, app, only(**SETS, X=drawn("Dashboard", name)))
            shown = cloud.call("quicksight", "DescribeDashboard", **which)["Dashboard"]
            assert (shown["Name"], shown["Version"]["VersionNumber"]) == (name, number)
        permissions = [{"Principal": "arn:aws:quicksight:::user/a/b", "Actions": ["quicksight:a"]}]
        written(app, Dev=only(**SETS, X=drawn("Dashboard", "one", Permissions=permissions)))
        with pytest.raises(TemplateError, match=r"X.*Permissions"):
            cloud.plan(app, {})


def test_a_policys_earlier_document_comes_back_without_another_version(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        app, broken = tmp_path / "app", resource("AWS::S3::Bucket", {"BucketName": "No Name"})
        for number in range(5):
            applied(cloud, app, only(X=device_policy(f"iot:{number}")))
        written(app, Dev=only(X=device_policy("iot:2"), Y={**broken, "DependsOn": "X"}))
        with pytest.raises(UpdateFailed, match="UPDATE_ROLLBACK_COMPLETE"):
            cloud.update(cloud.plan(app, {}))
        assert cloud.drift() == []
        written(app, Dev=only(X=device_policy("iot:one too many")))
        with pytest.raises(UpdateFailed, match="VersionsLimitExceeded"):
            cloud.update(cloud.plan(app, {}))
        assert cloud.drift() == []
        cloud.destroy()
        assert cloud.call("iot", "ListPolicies")["policies"] == []


def test_a_protected_table_is_not_deleted_with_its_stack(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        app = tmp_path / "app"
        applied(cloud, app, only(X=table(**PROTECTED)))
        cloud.call("dynamodb", "PutItem", TableName="items", Item={"pk": {"S": "kept"}})
        with pytest.raises(DeletionFailed, match="protected against deletion"):
            cloud.destroy()
        applied(cloud, app, only(X=table()))
        assert cloud.call("dynamodb", "Scan", TableName="items")["Count"] == 1
        cloud.destroy()
        assert cloud.call("dynamodb", "ListTables")["TableNames"] == []
