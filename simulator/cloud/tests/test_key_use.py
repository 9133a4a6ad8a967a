"""Keys of KMS that buckets and streams are encrypted with: who may use them, and in which state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Principal
from simulator.cloud.s3_encryption import bucket_keys
from simulator.cloud.tests.fakes import START

ROOT = "arn:aws:iam::000000000000:root"
ROLE = "arn:aws:iam::000000000000:role/reader"
SESSION = "arn:aws:sts::000000000000:assumed-role/reader/test"
VIA_S3 = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
ANYTHING = {"Effect": "Allow", "Action": ["s3:*", "kinesis:*"], "Resource": "*"}
CALLER = Principal(SESSION, ROLE)
BY_ACCOUNT = {
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": "kms:*",
    "Resource": "*",
}
numbers = count()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(START, tmp_path_factory.mktemp("twin"))
    yield made
    made.close()


def a_key(cloud: Cloud, *statements: dict[str, Any]) -> str:
    policy = json.dumps({"Statement": list(statements or [BY_ACCOUNT])})
    return str(cloud.call("kms", "CreateKey", Policy=policy)["KeyMetadata"]["Arn"])


def a_bucket(cloud: Cloud, key: str | None) -> str:
    name = f"bucket-{next(numbers)}"
    cloud.call("s3", "CreateBucket", Bucket=name)
    default = {"SSEAlgorithm": "aws:kms", **({"KMSMasterKeyID": key} if key else {})}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    setting = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    cloud.call("s3", "PutBucketEncryption", Bucket=name, **setting)
    return name


def a_stream(cloud: Cloud, key: str) -> str:
    cloud.engine.run(cloud.engine.env.now + 1.0)  # Creating streams is limited to five a second.
    name = f"stream-{next(numbers)}"
    cloud.call("kinesis", "CreateStream", StreamName=name, ShardCount=1)
    cloud.call("kinesis", "StartStreamEncryption", StreamName=name, EncryptionType="KMS", KeyId=key)
    return name


def allow(cloud: Cloud, *statements: dict[str, Any]) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    documents = {"p": {"Statement": [ANYTHING, *statements]}}
    cloud.iam.put_role(ROLE, {"Statement": [trust]}, documents)


def use(key: str, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": key, **more}


def refusal(cloud: Cloud, service: str, operation: str, **params: Any) -> AwsError | None:
    """Do a call as the role; return what refused it, None when nothing did."""
    try:
        cloud.dispatch(CALLER, service, operation, params)
    except AwsError as error:
        return error
    return None


def put_and_get(cloud: Cloud, bucket: str) -> tuple[bool, bool]:
    """Tell whether the role may write an object, and read one that is there."""
    cloud.call("s3", "PutObject", Bucket=bucket, Key="there", Body=b"x")
    put = refusal(cloud, "s3", "PutObject", Bucket=bucket, Key="new", Body=b"x")
    get = refusal(cloud, "s3", "GetObject", Bucket=bucket, Key="there")
    return put is None, get is None


ACTIONS = st.sets(st.sampled_from(["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"]))


@settings(max_examples=30, deadline=None)
@given(identity=ACTIONS, of_key=ACTIONS, denied=ACTIONS, delegates=ACTIONS, via=st.booleans())
def test_an_object_needs_one_action_to_be_written_and_one_to_be_read(
    cloud: Cloud,
    identity: set[str],
    of_key: set[str],
    denied: set[str],
    delegates: set[str],
    via: bool,
) -> None:
    condition = {"Condition": VIA_S3} if via else {}
    statements = [{**BY_ACCOUNT, "Sid": "Administer", "Action": "kms:PutKeyPolicy"}]
    for who, effect, actions in (
        (ROOT, "Allow", delegates),
        (ROLE, "Allow", of_key),
        (ROLE, "Deny", denied),
    ):
        if actions:
            principal = {"Principal": {"AWS": who}, "Resource": "*", **condition}
            statements.append({"Effect": effect, "Action": sorted(actions), **principal})
    key = a_key(cloud, *statements)
    allow(cloud, *([use(key, *sorted(identity))] if identity else []))
    may = (of_key | (identity & delegates)) - denied
    wanted = ("kms:GenerateDataKey" in may, "kms:Decrypt" in may)
    assert put_and_get(cloud, a_bucket(cloud, key)) == wanted


@pytest.mark.parametrize("named", ["arn", "id", "alias"])
def test_an_object_says_which_key_it_has_however_the_bucket_names_it(
    cloud: Cloud, named: str
) -> None:
    key = a_key(cloud)
    alias = f"alias/k-{next(numbers)}"
    cloud.call("kms", "CreateAlias", AliasName=alias, TargetKeyId=key)
    bucket = a_bucket(cloud, {"arn": key, "id": key.rpartition("/")[2], "alias": alias}[named])
    answers = [
        cloud.call("s3", "PutObject", Bucket=bucket, Key="a", Body=b"x"),
        cloud.call("s3", "HeadObject", Bucket=bucket, Key="a"),
    ]
    (cloud.context.state / "s3" / bucket / "b").write_bytes(b"by a job")
    cloud.s3.commit_scan(bucket)
    answers.append(cloud.call("s3", "GetObject", Bucket=bucket, Key="b"))
    for answer in answers:
        assert answer["ServerSideEncryption"] == "aws:kms"
        assert answer["SSEKMSKeyId"] == key
        assert answer["BucketKeyEnabled"] is True
    assert bucket_keys(cloud.context.state)[bucket] == key


def test_a_denial_is_worded_as_aws_words_it(cloud: Cloud) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    allow(cloud)
    refused = refusal(cloud, "s3", "PutObject", Bucket=bucket, Key="a", Body=b"x")
    assert refused is not None
    assert refused.status == 403
    assert refused.message == (
        f"User: {SESSION} is not authorized to perform: kms:GenerateDataKey on resource: {key} "
        "because no identity-based policy allows the kms:GenerateDataKey action"
    )


STATES = {
    "DisableKey": ("KMS.DisabledException", "is disabled."),
    "ScheduleKeyDeletion": ("KMS.KMSInvalidStateException", "is pending deletion."),
}


@pytest.mark.parametrize("operation", STATES)
def test_a_key_that_is_off_or_going_away_is_refused_to_root_too(
    cloud: Cloud, operation: str
) -> None:
    key = a_key(cloud)
    bucket, stream = a_bucket(cloud, key), a_stream(cloud, key)
    cloud.call("s3", "PutObject", Bucket=bucket, Key="a", Body=b"x")
    cloud.call("kms", operation, KeyId=key)
    code, words = STATES[operation]
    in_kinesis = code.removeprefix("KMS.").removeprefix("KMS")
    calls: list[tuple[str, str, str, dict[str, Any]]] = [
        ("s3", "PutObject", code, {"Bucket": bucket, "Key": "a", "Body": b"x"}),
        ("s3", "GetObject", code, {"Bucket": bucket, "Key": "a"}),
        (
            *("kinesis", "PutRecord", f"KMS{in_kinesis}"),
            {"StreamName": stream, "Data": b"x", "PartitionKey": "k"},
        ),
    ]
    for service, name, wanted, params in calls:
        with pytest.raises(AwsError, match=words) as caught:
            cloud.call(service, name, **params)
        assert (caught.value.code, caught.value.status) == (wanted, 400)
    if operation == "DisableKey":
        cloud.call("kms", "EnableKey", KeyId=key)
        assert cloud.call("s3", "GetObject", Bucket=bucket, Key="a")["Body"] == b"x"


@pytest.mark.parametrize(
    ("granted", "puts", "gets"),
    [
        ((), False, False),
        (("kms:GenerateDataKey",), True, False),
        (("kms:Decrypt",), False, True),
        (("kms:GenerateDataKey", "kms:Decrypt"), True, True),
    ],
)
def test_a_stream_needs_one_action_to_be_written_and_one_to_be_read(
    cloud: Cloud, granted: tuple[str, ...], puts: bool, gets: bool
) -> None:
    key = a_key(cloud)
    stream = a_stream(cloud, key)
    allow(cloud, *([use(key, *granted)] if granted else []))
    record = {"Data": b"x", "PartitionKey": "k"}
    for operation, params in (("PutRecord", record), ("PutRecords", {"Records": [record]})):
        put = refusal(cloud, "kinesis", operation, StreamName=stream, **params)
        assert (put is None) is puts
        if put is not None:
            assert (put.code, put.message) == (
                "KMSAccessDeniedException",
                f"User: {SESSION} is not authorized to perform: kms:GenerateDataKey on resource: "
                f"{key}",
            )
    where = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    token = cloud.call("kinesis", "GetShardIterator", StreamName=stream, **where)["ShardIterator"]
    get = refusal(cloud, "kinesis", "GetRecords", ShardIterator=token)
    assert (get is None) is gets
    if get is not None:
        assert get.code == "KMSAccessDeniedException"
        assert "is not authorized to decrypt records in stream" in get.message


def test_a_key_of_the_request_goes_before_the_buckets_and_sse_s3_needs_none(cloud: Cloud) -> None:
    of_bucket, of_request = a_key(cloud), a_key(cloud)
    bucket = a_bucket(cloud, of_bucket)
    allow(cloud, use(of_request, "kms:GenerateDataKey"))
    by_kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": of_request}
    by_s3 = {"ServerSideEncryption": "AES256"}
    place = {"Bucket": bucket, "Body": b"x"}
    assert refusal(cloud, "s3", "PutObject", **place, Key="a", **by_kms) is None
    assert refusal(cloud, "s3", "PutObject", **place, Key="b", **by_s3) is None
    assert refusal(cloud, "s3", "PutObject", **place, Key="c") is not None
    assert refusal(cloud, "s3", "GetObject", Bucket=bucket, Key="b") is None
    assert refusal(cloud, "s3", "GetObject", Bucket=bucket, Key="a") is not None
    assert refusal(cloud, "s3", "HeadObject", Bucket=bucket, Key="a") is None
    checked = {"Bucket": bucket, "Key": "a", "ChecksumMode": "ENABLED"}
    assert refusal(cloud, "s3", "HeadObject", **checked) is not None


def test_a_copy_reads_with_one_key_and_writes_with_the_other(cloud: Cloud) -> None:
    source, target = a_key(cloud), a_key(cloud)
    here, there = a_bucket(cloud, source), a_bucket(cloud, target)
    cloud.call("s3", "PutObject", Bucket=here, Key="a", Body=b"x")
    copy = {"Bucket": there, "Key": "a", "CopySource": f"{here}/a"}
    for granted in ([use(source, "kms:Decrypt")], [use(target, "kms:GenerateDataKey")], []):
        allow(cloud, *granted)
        assert refusal(cloud, "s3", "CopyObject", **copy) is not None
    allow(cloud, use(source, "kms:Decrypt"), use(target, "kms:GenerateDataKey"))
    assert refusal(cloud, "s3", "CopyObject", **copy) is None
    assert cloud.call("s3", "HeadObject", Bucket=there, Key="a")["SSEKMSKeyId"] == target


def test_an_upload_in_parts_needs_both_actions(cloud: Cloud) -> None:
    key = a_key(cloud)
    place = {"Bucket": a_bucket(cloud, key), "Key": "big"}
    allow(cloud, use(key, "kms:GenerateDataKey"))
    upload = cloud.dispatch(CALLER, "s3", "CreateMultipartUpload", place)
    assert isinstance(upload, dict)
    assert upload["SSEKMSKeyId"] == key
    part = {**place, "UploadId": upload["UploadId"], "PartNumber": 1, "Body": b"x"}
    assert refusal(cloud, "s3", "UploadPart", **part) is not None
    allow(cloud, use(key, "kms:Decrypt"))
    assert refusal(cloud, "s3", "UploadPart", **part) is None
    assert refusal(cloud, "s3", "CreateMultipartUpload", **place) is not None


def test_a_key_that_aws_manages_and_a_bucket_without_a_key_ask_for_nothing(cloud: Cloud) -> None:
    allow(cloud)
    for key in (None, "alias/aws/s3"):
        assert put_and_get(cloud, a_bucket(cloud, key)) == (True, True)


def test_a_policy_that_is_put_later_decides_from_then_on(cloud: Cloud) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    allow(cloud, use(key, "kms:GenerateDataKey", "kms:Decrypt"))
    assert put_and_get(cloud, bucket) == (True, True)
    admin = {**BY_ACCOUNT, "Action": "kms:PutKeyPolicy"}
    policy = json.dumps({"Statement": [admin]})
    cloud.call("kms", "PutKeyPolicy", KeyId=key, PolicyName="default", Policy=policy)
    assert put_and_get(cloud, bucket) == (False, False)


def test_a_key_that_does_not_exist_is_told_when_it_is_used(cloud: Cloud) -> None:
    bucket = a_bucket(cloud, "arn:aws:kms:us-east-1:000000000000:key/none")
    with pytest.raises(AwsError, match="does not exist") as caught:
        cloud.call("s3", "PutObject", Bucket=bucket, Key="a", Body=b"x")
    assert caught.value.code == "KMS.NotFoundException"
