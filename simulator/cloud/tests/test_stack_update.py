"""Updates and deletions of a stack: what stays, what is replaced, refused, rolled back, kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.resources import MAPPINGS, Resource
from simulator.cloud.resources.effects_table import EFFECTS
from simulator.cloud.resources.replacement import CREATE_ONLY
from simulator.cloud.stack_deletion import DeletionFailed
from simulator.cloud.stack_steps import undoing
from simulator.cloud.stack_update import UpdateFailed
from simulator.cloud.tests.recording import only, recording_context, written
from simulator.cloud.tests.stack_answers import described
from simulator.cloud.tests.stack_bench import (
    POOL,
    applied,
    policy,
    resource,
    trust,
    twin,
)
from simulator.cloud.tests.test_resources import MINIMAL
from simulator.errors import TemplateError

SNAPSHOT = Path(__file__).parents[3] / "infra_cdk" / "snapshots"

STREAM = resource("AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1})
LONGER = resource(
    "AWS::Kinesis::Stream", {"Name": "s", "ShardCount": 1, "RetentionPeriodHours": 48}
)
BUCKET = resource("AWS::S3::Bucket", {"BucketName": "raw"})
GROUP = resource("AWS::Logs::LogGroup", {"LogGroupName": "/g"})


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with twin(tmp_path) as found:
        yield found


def apply(cloud: Cloud, **resources: dict[str, Any]) -> str:
    return applied(cloud, cloud.context.state.parent / "app", only(**resources))


def refusal(cloud: Cloud, **resources: dict[str, Any]) -> str:
    """Return why a template cannot be applied, having checked that nothing has changed."""
    before = described(cloud)
    folder = cloud.context.state.parent / "app"
    folder.mkdir(exist_ok=True)
    written(folder, Dev=only(**resources))
    with pytest.raises(TemplateError) as caught:
        cloud.plan(folder, {})
    assert described(cloud) == before
    return str(caught.value)


def parameter(value: Any, name: str = "/p", **more: Any) -> dict[str, Any]:
    properties = {"Name": name, "Type": "String", "Value": value}
    return resource("AWS::SSM::Parameter", properties, **more)


# -- what stays


def test_a_streams_records_and_a_buckets_objects_survive_an_update(cloud: Cloud) -> None:
    apply(cloud, S=STREAM, B=BUCKET)
    cloud.call("kinesis", "PutRecord", StreamName="s", Data=b"kept", PartitionKey="k")
    cloud.call("s3", "PutObject", Bucket="raw", Key="k", Body=b"kept")
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    other = resource("AWS::S3::Bucket", {"BucketName": "raw", "OwnershipControls": rules})
    table = apply(cloud, S=LONGER, B=other, P=parameter("new"))
    assert "3 changes: 1 add, 2 modify, 0 replace, 0 remove, 0 retain" in table
    shard = cloud.call("kinesis", "ListShards", StreamName="s")["Shards"][0]["ShardId"]
    at = cloud.call(
        "kinesis",
        "GetShardIterator",
        StreamName="s",
        ShardId=shard,
        ShardIteratorType="TRIM_HORIZON",
    )["ShardIterator"]
    records = cloud.call("kinesis", "GetRecords", ShardIterator=at)["Records"]
    assert [record["Data"] for record in records] == [b"kept"]
    assert cloud.call("s3", "HeadObject", Bucket="raw", Key="k")["ContentLength"] == 4


def test_what_one_resource_put_on_a_role_survives_the_roles_own_update(cloud: Cloud) -> None:
    def role(service: str) -> dict[str, Any]:
        return resource(
            "AWS::IAM::Role", {"RoleName": "r", "AssumeRolePolicyDocument": trust(service)}
        )

    inline = resource(
        "AWS::IAM::Policy",
        {
            "PolicyName": "p",
            "Roles": [{"Ref": "R"}],
            "PolicyDocument": policy("s3:ListBucket", "arn:aws:s3:::raw"),
        },
    )
    apply(cloud, R=role("lambda.amazonaws.com"), P=inline)
    apply(cloud, R=role("states.amazonaws.com"), P=inline)
    arn = "arn:aws:iam::000000000000:role/r"
    session = cloud.iam.principal_for_role(arn, "s", "states.amazonaws.com")
    assert cloud.iam.may(session, "s3:ListBucket", "arn:aws:s3:::raw")
    with pytest.raises(AwsError):
        cloud.iam.principal_for_role(arn, "s", "lambda.amazonaws.com")


def test_parameters_of_the_template_keep_their_values_when_none_is_given(
    cloud: Cloud, tmp_path: Path
) -> None:
    template = {
        **only(P=parameter({"Ref": "Spec"})),
        "Parameters": {"Spec": {"Type": "String", "Default": "old"}},
    }
    applied(cloud, tmp_path / "app", template, Spec="mine")
    assert applied(cloud, tmp_path / "app", template) == "nothing changes"
    assert "1 modify" in applied(cloud, tmp_path / "app", template, Spec="other")
    assert cloud.call("ssm", "GetParameter", Name="/p")["Parameter"]["Value"] == "other"


def test_the_stacks_status_says_that_it_was_updated(cloud: Cloud) -> None:
    def status() -> list[str]:
        stacks = cloud.call("cloudformation", "DescribeStacks")["Stacks"]
        return [stack["StackStatus"] for stack in stacks]

    apply(cloud, P=parameter("old"))
    assert status() == ["CREATE_COMPLETE"]
    apply(cloud, P=parameter("new"))
    assert status() == ["UPDATE_COMPLETE"]
    summaries = cloud.call("cloudformation", "ListStacks", StackStatusFilter=["UPDATE_COMPLETE"])[
        "StackSummaries"
    ]
    assert [one["StackName"] for one in summaries] == ["Dev"]
    cloud.destroy()
    assert status() == []


# -- replacement


def test_a_replaced_resource_is_made_anew_and_what_refers_to_it_follows(cloud: Cloud) -> None:
    apply(cloud, Q=resource("AWS::SQS::Queue", {}), P=parameter({"Ref": "Q"}))
    first = cloud.call("ssm", "GetParameter", Name="/p")["Parameter"]["Value"]
    table = apply(
        cloud, Q=resource("AWS::SQS::Queue", {"QueueName": "named"}), P=parameter({"Ref": "Q"})
    )
    assert "Replace  AWS::SQS::Queue      Dev/Q  QueueName (needs replacement)" in table
    assert "Modify   AWS::SSM::Parameter  Dev/P  Value" in table
    second = cloud.call("ssm", "GetParameter", Name="/p")["Parameter"]["Value"]
    assert second.endswith("/named")
    assert cloud.call("sqs", "ListQueues")["QueueUrls"] == [second] != [first]


def test_a_custom_named_resource_that_needs_replacing_is_refused(cloud: Cloud) -> None:
    def table(key: str) -> dict[str, Any]:
        return resource(
            "AWS::DynamoDB::Table",
            {
                "TableName": "items",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            },
        )

    apply(cloud, T=table("a"))
    said = refusal(cloud, T=table("b"))
    assert said.startswith("Dev: T.Properties.KeySchema: cannot update a custom-named resource")
    assert "(AWS::DynamoDB::Table)" in said


def test_a_name_that_a_resource_of_the_stack_has_is_refused(cloud: Cloud) -> None:
    apply(cloud, Old=BUCKET)
    assert "New: Old has this name already (AWS::S3::Bucket)" in refusal(cloud, New=BUCKET)


@pytest.mark.parametrize("name", ["Hot", "Daily", "Board", "Raw", "Value"])
def test_two_resources_of_one_name_are_refused(cloud: Cloud, tmp_path: Path, name: str) -> None:
    one, *_, two = POOL[name] if len(POOL[name]) > 1 else POOL[name] * 2
    assert "has this name already" in refusal(cloud, A=one, B=two)
    written(tmp_path, Dev=only(A=one, B=two))
    with pytest.raises(TemplateError, match="already"):
        cloud.boot(tmp_path, {}, prewarmed=False)


@pytest.mark.parametrize("policy_name", ["Retain", "RetainExceptOnCreate"])
def test_a_replaced_resource_that_is_to_be_retained_stays(cloud: Cloud, policy_name: str) -> None:
    kept = {"UpdateReplacePolicy": policy_name}
    apply(cloud, B=resource("AWS::S3::Bucket", {"BucketName": "one"}, **kept))
    apply(cloud, B=resource("AWS::S3::Bucket", {"BucketName": "two"}, **kept))
    names = [bucket["Name"] for bucket in cloud.call("s3", "ListBuckets")["Buckets"]]
    assert names == ["one", "two"]


# -- refusals, before anything is changed


def test_a_change_that_the_twin_cannot_make_is_refused_with_type_id_and_property(
    cloud: Cloud,
) -> None:
    apply(cloud, G=GROUP)
    encrypted = {"LogGroupName": "/g", "KmsKeyId": "arn:aws:kms:us-east-1:0:key/k"}
    more = resource("AWS::Logs::LogGroup", {**encrypted, "RetentionInDays": 7})
    assert refusal(cloud, G=more, P=parameter("new")) == (
        "Dev: G.Properties.KmsKeyId: the twin cannot change this in place, and AWS does not "
        "replace it (AWS::Logs::LogGroup)"
    )


def test_all_refusals_are_in_one_list(cloud: Cloud) -> None:
    apply(cloud, G=GROUP, B=BUCKET)
    more = {"LogGroupName": "/g", "KmsKeyId": "arn:aws:kms:us-east-1:0:key/k"}
    said = refusal(cloud, G=resource("AWS::Logs::LogGroup", more), N=BUCKET)
    assert said.startswith("2 changes that the twin cannot make:\n")


def test_another_type_under_a_logical_id_is_refused_as_cloudformation_does(cloud: Cloud) -> None:
    apply(cloud, X=BUCKET)
    assert "Update of resource type is not permitted" in refusal(cloud, X=STREAM)


def test_an_unknown_property_or_type_is_refused_as_at_the_start(cloud: Cloud) -> None:
    apply(cloud, B=BUCKET)
    surprise = resource("AWS::S3::Bucket", {"BucketName": "raw", "Surprise": 1})
    assert "B.Properties.Surprise: property is not mapped" in refusal(cloud, B=surprise)
    assert "no resource type AWS::EC2::VPC" in refusal(cloud, V=resource("AWS::EC2::VPC", {}))


def test_a_deletion_policy_that_the_twin_does_not_have_is_refused(cloud: Cloud) -> None:
    snapshot = {**BUCKET, "DeletionPolicy": "Snapshot"}
    assert "B.DeletionPolicy: the twin has no Snapshot" in refusal(cloud, B=snapshot)


# -- failure


def test_an_update_that_fails_leaves_everything_as_it_was(cloud: Cloud) -> None:
    apply(cloud, S=STREAM, P=parameter("old"), T=POOL["Alerts"][0])
    before = described(cloud)
    deployment = cloud.deployment
    folder = cloud.context.state.parent / "app"
    late = resource("AWS::S3::Bucket", {"BucketName": "Not A Name"}, DependsOn=["S", "P", "T", "N"])
    written(
        folder,
        Dev=only(
            S=LONGER, P=parameter("new"), T=POOL["Alerts"][2], N=parameter("n", "/n"), Late=late
        ),
    )
    changes = cloud.plan(folder, {})
    assert len(changes.changes) == 5
    with pytest.raises(UpdateFailed, match="UPDATE_ROLLBACK_COMPLETE") as caught:
        cloud.update(changes)
    assert "Dev: Late.Properties: s3:CreateBucket answered" in str(caught.value)
    assert described(cloud) == before
    assert cloud.deployment is deployment
    assert "2 modify, 1 replace" in apply(cloud, S=LONGER, P=parameter("x"), T=POOL["Alerts"][2])


# -- deletion


def test_a_removed_bucket_that_is_not_empty_stays_and_is_reported(cloud: Cloud) -> None:
    apply(cloud, B=BUCKET, P=parameter("x"))
    cloud.call("s3", "PutObject", Bucket="raw", Key="k", Body=b"kept")
    folder = cloud.context.state.parent / "app"
    written(folder, Dev=only(P=parameter("x")))
    (problem,) = cloud.update(cloud.plan(folder, {}))
    assert problem.startswith("Dev/B: DELETE_FAILED, BucketNotEmpty")
    assert cloud.call("s3", "HeadObject", Bucket="raw", Key="k")["ContentLength"] == 4


def test_deletion_stops_at_a_bucket_that_is_not_empty_and_may_be_tried_again(cloud: Cloud) -> None:
    held = parameter({"Ref": "B"})
    rule = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    bucket = resource(
        "AWS::S3::Bucket", {"BucketName": "raw", "OwnershipControls": rule}, DependsOn="Base"
    )
    apply(cloud, B=bucket, P=held, Base=parameter("b", "/base"))
    cloud.call("s3", "PutObject", Bucket="raw", Key="k", Body=b"kept")
    with pytest.raises(DeletionFailed, match="Dev/B: DELETE_FAILED, BucketNotEmpty"):
        cloud.destroy()
    assert cloud.deployment is not None
    assert sorted(cloud.deployment.resources) == ["B", "Base"]
    kept = cloud.call("s3", "GetBucketOwnershipControls", Bucket="raw")["OwnershipControls"]
    assert kept == rule
    cloud.call("s3", "DeleteObject", Bucket="raw", Key="k")
    cloud.destroy()
    assert cloud.call("s3", "ListBuckets")["Buckets"] == []
    assert cloud.call("ssm", "DescribeParameters")["Parameters"] == []


def test_what_is_to_be_retained_outlives_its_stack(cloud: Cloud) -> None:
    apply(cloud, B={**BUCKET, "DeletionPolicy": "Retain"}, P=parameter("x"))
    assert "Retain   AWS::S3::Bucket  Dev/B" in apply(cloud, P=parameter("x"))
    cloud.destroy()
    assert [each["Name"] for each in cloud.call("s3", "ListBuckets")["Buckets"]] == ["raw"]


def test_a_stack_is_made_again_beside_what_was_retained(cloud: Cloud) -> None:
    kept = resource("AWS::S3::Bucket", {}, DeletionPolicy="Retain")
    names = set()
    for _ in range(3):
        apply(cloud, B=kept)
        cloud.destroy()
        names = {bucket["Name"] for bucket in cloud.call("s3", "ListBuckets")["Buckets"]}
    assert len(names) == 3


# -- code


def test_a_functions_new_code_and_settings_run_and_its_permissions_follow(
    cloud: Cloud, tmp_path: Path
) -> None:
    role = resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust("lambda.amazonaws.com")})

    def function(said: str, **more: Any) -> dict[str, Any]:
        source = tmp_path / said
        source.mkdir()
        code = f"import os\ndef handler(event, context):\n    return '{said}' + os.environ['END']\n"
        (source / "main.py").write_text(code)
        cloud.context.assets[said] = source
        return resource(
            "AWS::Lambda::Function",
            {
                "FunctionName": "f",
                "Runtime": "python3.11",
                "Handler": "main.handler",
                "Role": {"Fn::GetAtt": ["R", "Arn"]},
                "Code": {"S3Bucket": "assets", "S3Key": f"{said}.zip"},
                "Environment": {"Variables": {"END": "!"}},
                **more,
            },
        )

    def permission(source: str) -> dict[str, Any]:
        given = {"FunctionName": {"Ref": "F"}, "Action": "lambda:InvokeFunction"}
        from_topic = {"Principal": "sns.amazonaws.com", "SourceArn": source}
        return resource("AWS::Lambda::Permission", {**given, **from_topic})

    apply(cloud, R=role, F=function("first"), P=permission("arn:aws:sns:us-east-1:0:a"))
    assert cloud.call("lambda", "Invoke", FunctionName="f")["Payload"] == b'"first!"'
    environment = {"Variables": {"END": "?"}}
    second = function("second", Environment=environment, Timeout=9)
    table = apply(cloud, R=role, F=second, P=permission("arn:aws:sns:us-east-1:0:b"))
    assert "Dev/F  Code, Environment, Timeout" in table
    assert "Dev/P  SourceArn (needs replacement)" in table
    assert cloud.call("lambda", "Invoke", FunctionName="f")["Payload"] == b'"second?"'
    (statement,) = json.loads(cloud.call("lambda", "GetPolicy", FunctionName="f")["Policy"])[
        "Statement"
    ]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"] == "arn:aws:sns:us-east-1:0:b"


# -- the tables


def test_every_type_has_its_row_of_what_needs_a_replacement() -> None:
    assert set(CREATE_ONLY) == set(MAPPINGS)


@pytest.mark.parametrize("type_name", sorted(MINIMAL))
def test_every_call_of_every_mapper_can_be_taken_back(tmp_path: Path, type_name: str) -> None:
    context, _ = recording_context(tmp_path)
    made = Resource("Dev", "R", type_name, MINIMAL[type_name], context)
    MAPPINGS[type_name].create(made)
    assert [(one.service, one.operation) for one in made.made if not undoing(one)] == []


def test_our_own_stack_is_deployed_again_without_a_change_and_destroyed(cloud: Cloud) -> None:
    cloud.boot(SNAPSHOT, {}, prewarmed=False)
    assert cloud.plan(SNAPSHOT, {}).table() == "nothing changes"
    cloud.destroy()
    assert cloud.deployment is not None
    assert cloud.deployment.resources == {}


def test_every_effect_is_of_an_operation_that_exists(cloud: Cloud) -> None:
    supported = {*cloud.dispatch.supported(), ("lambda", "PutFunctionConcurrency")}
    known = [(service, name) for service, name in EFFECTS if service != "permissions"]
    assert [each for each in known if each not in supported] == []
    assert all(hasattr(cloud.iam, name) for service, name in EFFECTS if service == "permissions")
