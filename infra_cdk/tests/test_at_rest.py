"""What is stored is encrypted, private and let go, and only whom a policy names may touch it."""

from __future__ import annotations

import pytest

from infra_cdk.config import KMS, STAGES
from infra_cdk.tests.snapshot import listed, of_each_stage, resources, template


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::S3::Bucket"))
def test_a_bucket_is_encrypted_private_and_has_a_life_cycle(stage: str, logical_id: str) -> None:
    bucket = resources("AWS::S3::Bucket", stage)[logical_id]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    algorithm = "aws:kms" if STAGES[stage].encryption == KMS else "AES256"
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
    blocked = bucket["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert any("ExpirationInDays" in rule for rule in rules)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert all(rule["Status"] == "Enabled" for rule in rules)


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::S3::Bucket"))
def test_a_bucket_refuses_what_comes_without_tls(stage: str, logical_id: str) -> None:
    (policy,) = (
        body["PolicyDocument"]
        for body in resources("AWS::S3::BucketPolicy", stage).values()
        if body["Bucket"] == {"Ref": logical_id}
    )
    assert any(
        statement["Effect"] == "Deny"
        and statement["Action"] == "s3:*"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy["Statement"]
    )


@pytest.mark.parametrize("stage", STAGES)
def test_the_stream_is_encrypted_and_has_the_shards_of_its_stage(stage: str) -> None:
    (stream,) = resources("AWS::Kinesis::Stream", stage).values()
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
    assert stream["ShardCount"] == {"dev": 1, "prod": 4}[stage]


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::SQS::Queue"))
def test_a_queue_is_encrypted(stage: str, logical_id: str) -> None:
    assert resources("AWS::SQS::Queue", stage)[logical_id]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("stage", STAGES)
def test_a_policy_of_a_resource_allows_actions_by_name_to_principals_by_name(stage: str) -> None:
    seen = set()
    for body in template(stage)["Resources"].values():
        properties = body.get("Properties", {})
        document = properties.get("KeyPolicy") or properties.get("PolicyDocument")
        for statement in document["Statement"] if document else ():
            if statement["Effect"] == "Deny":
                continue
            seen.add(body["Type"])
            assert not [action for action in listed(statement["Action"]) if "*" in action]
            # A device's policy is attached to it, and a key's resource is the key itself.
            assert ("Principal" in statement) == (body["Type"] != "AWS::IoT::Policy")
            assert statement.get("Principal") not in ("*", {"AWS": "*"})
            is_key = body["Type"] == "AWS::KMS::Key"
            assert (statement["Resource"] == "*") == is_key
    policies = {"AWS::IoT::Policy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}
    assert seen == policies | ({"AWS::KMS::Key"} if STAGES[stage].encryption == KMS else set())
