"""The object store against a plain dict, and the answers that boto3 must understand."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.s3 import S3
from simulator.cloud.tests.twin import Permissions, context_of, executor
from simulator.cloud.tests.wire import answer, client_of

BUCKET = "fleetwin-dev-raw-000000000000"
SEGMENTS = st.sampled_from(["a", "b c", "dt=2026-01-05", "é+%", "z.gz", "a!"])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
BODIES = st.binary(max_size=40)


@pytest.fixture
def twin(tmp_path: Path) -> Any:
    service = S3(context_of(tmp_path))
    yield service
    service.close()


@pytest.fixture
def s3(twin: S3) -> Any:
    client = client_of("s3", executor(s3=twin))
    client.create_bucket(Bucket=BUCKET)
    return client


def code_of(error: Any) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


class ObjectsAgainstADict(RuleBasedStateMachine):
    """Whatever is done, the store holds what a dict holds, and the files say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.twin = S3(context_of(Path(self.folder.name)))
        self.s3 = client_of("s3", executor(s3=self.twin))
        self.s3.create_bucket(Bucket=BUCKET)
        self.expected: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.twin.close()
        self.folder.cleanup()

    def clashes(self, key: str) -> bool:
        """Tell whether a key cannot be a file beside the others."""
        return any(
            other.startswith(key + "/") or key.startswith(other + "/") for other in self.expected
        )

    @rule(key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        if self.clashes(key):
            with pytest.raises(ClientError, match="NotSupportedByTwin"):
                self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        else:
            etag = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]
            assert etag == f'"{hashlib.md5(body).hexdigest()}"'
            self.expected[key] = body

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.expected.pop(key, None)

    @rule(key=KEYS, first=st.integers(0, 9), length=st.integers(1, 9))
    def get_a_range(self, key: str, first: int, length: int) -> None:
        wanted = f"bytes={first}-{first + length - 1}"
        body = self.expected.get(key)
        if body is not None and first < len(body):
            found = self.s3.get_object(Bucket=BUCKET, Key=key, Range=wanted)
            assert found["Body"].read() == body[first : first + length]
        else:
            with pytest.raises(ClientError, match=r"NoSuchKey|InvalidRange"):
                self.s3.get_object(Bucket=BUCKET, Key=key, Range=wanted)

    @rule(key=KEYS, body=BODIES)
    def a_job_writes_a_file(self, key: str, body: bytes) -> None:
        if self.clashes(key):
            return
        path = self.twin.bucket_path(BUCKET) / key
        changed = self.expected.get(key) != body
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        registered = self.twin.commit_scan(BUCKET)
        assert registered == [key] or not changed
        self.expected[key] = body

    @rule(key=KEYS)
    def a_job_removes_a_file(self, key: str) -> None:
        if key in self.expected:
            (self.twin.bucket_path(BUCKET) / key).unlink()
            assert self.twin.commit_scan(BUCKET, key[:1]) == []
            del self.expected[key]

    @rule(
        prefix=st.sampled_from(["", "a", "b c/", "é+%/a"]),
        delimiter=st.sampled_from(["", "/", "+"]),
        page=st.integers(1, 4),
    )
    def list_pages(self, prefix: str, delimiter: str, page: int) -> None:
        keys, prefixes = [], []
        wanted: dict[str, Any] = {"Bucket": BUCKET, "Prefix": prefix, "MaxKeys": page}
        if delimiter:
            wanted["Delimiter"] = delimiter
        while True:
            found = self.s3.list_objects_v2(**wanted)
            keys += [one["Key"] for one in found.get("Contents", [])]
            prefixes += [one["Prefix"] for one in found.get("CommonPrefixes", [])]
            assert found["KeyCount"] <= page
            if not found["IsTruncated"]:
                break
            wanted["ContinuationToken"] = found["NextContinuationToken"]
        below = sorted(key for key in self.expected if key.startswith(prefix))
        cut = [key.find(delimiter, len(prefix)) if delimiter else -1 for key in below]
        assert keys == [key for key, at in zip(below, cut, strict=True) if at < 0]
        grouped = {
            key[: at + len(delimiter)] for key, at in zip(below, cut, strict=True) if at >= 0
        }
        assert prefixes == sorted(grouped)

    @invariant()
    def every_object_reads_back(self) -> None:
        for key, body in self.expected.items():
            assert self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
            assert self.twin.open_path(BUCKET, key).read_bytes() == body
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        assert {one["Key"]: one["Size"] for one in found} == {
            key: len(body) for key, body in self.expected.items()
        }


TestObjectsAgainstADict = ObjectsAgainstADict.TestCase
TestObjectsAgainstADict.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_metadata_tags_and_content_type_come_back(s3: Any) -> None:
    s3.put_object(
        Bucket=BUCKET,
        Key="a",
        Body=b"x",
        ContentType="text/plain",
        ContentEncoding="gzip",
        Metadata={"run": "7"},
        Tagging="kind=raw&who=a%20b",
    )
    head = s3.head_object(Bucket=BUCKET, Key="a")
    assert (head["ContentType"], head["ContentEncoding"]) == ("text/plain", "gzip")
    assert head["Metadata"] == {"run": "7"}
    assert head["LastModified"].isoformat() == "2026-01-05T00:00:00+00:00"
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="a")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "raw"}, {"Key": "who", "Value": "a b"}]


def test_a_conditional_put_creates_an_object_only_once(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"2", IfNoneMatch="*")
    assert code_of(refused) == "PreconditionFailed"
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"3", IfMatch=etag)
    with pytest.raises(ClientError) as changed:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"4", IfMatch=etag)
    assert code_of(changed) == "PreconditionFailed"
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"3"


def test_a_read_that_changed_nothing_answers_304(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as unchanged:
        s3.get_object(Bucket=BUCKET, Key="a", IfNoneMatch=etag)
    assert code_of(unchanged) == "304"


def test_parts_become_one_object_with_aws_own_etag(s3: Any) -> None:
    parts = [b"a" * 5 * 1024 * 1024, b"tail"]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="model.tar.gz")["UploadId"]
    where = {"Bucket": BUCKET, "Key": "model.tar.gz", "UploadId": upload}
    done = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **where)["ETag"]}
        for n, body in enumerate(parts, 1)
    ]
    assert [one["Size"] for one in s3.list_parts(**where)["Parts"]] == [len(p) for p in parts]
    answered = s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **where)
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert answered["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert s3.get_object(Bucket=BUCKET, Key="model.tar.gz")["Body"].read() == b"".join(parts)
    with pytest.raises(ClientError) as gone:
        s3.list_parts(**where)
    assert code_of(gone) == "NoSuchUpload"


def test_a_small_part_that_is_not_the_last_is_refused(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="m")["UploadId"]
    where = {"Bucket": BUCKET, "Key": "m", "UploadId": upload}
    done = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=b"x", **where)["ETag"]}
        for n in (1, 2)
    ]
    with pytest.raises(ClientError) as small:
        s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **where)
    assert code_of(small) == "EntityTooSmall"


def test_the_scan_hides_what_committers_scratch(twin: S3, s3: Any) -> None:
    root = twin.bucket_path(BUCKET)
    for name in ("f/_temporary/0/part-0", "f/.part-0.crc", "f/_SUCCESS", "f/part-0", ".x/y"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"1")
    heard: list[tuple[str, str]] = []
    twin.store.listeners.append(lambda bucket, entry, event: heard.append((entry.key, event)))
    assert twin.commit_scan(BUCKET, "f/") == ["f/_SUCCESS", "f/part-0"]
    assert heard == [("f/_SUCCESS", "ObjectCreated:Put"), ("f/part-0", "ObjectCreated:Put")]
    assert twin.commit_scan(BUCKET, "f/") == []
    assert s3.head_object(Bucket=BUCKET, Key="f/part-0")["ETag"] == (
        f'"{hashlib.md5(b"1").hexdigest()}"'
    )


@pytest.mark.parametrize("key", ["../x", "a//b", "a/", "a/./b", "/a", "a/.."])
def test_a_key_that_cannot_be_a_path_is_refused_by_name(twin: S3, key: str) -> None:
    twin.store.create_bucket(BUCKET)
    with pytest.raises(NotSupportedByTwin, match="S3 key"):
        twin.store.put(BUCKET, key, b"", {})


def test_a_broken_checksum_is_refused(twin: S3) -> None:
    twin.store.create_bucket(BUCKET)
    put = executor(s3=twin)
    with pytest.raises(AwsError) as refused:
        put("s3", "PutObject", {"Bucket": BUCKET, "Key": "a", "Body": b"x", "ChecksumCRC32": "AA"})
    assert refused.value.code == "BadDigest"


@given(pieces=st.lists(st.binary(min_size=1, max_size=30), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_body_in_signed_chunks_with_a_trailer_arrives_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    framed = b"".join(b"%x;chunk-signature=0\r\n%s\r\n" % (len(p), p) for p in pieces)
    framed += b"0;chunk-signature=0\r\nx-amz-checksum-sha1:stated\r\n\r\n"
    seen: dict[str, Any] = {}

    def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        seen.update(params, operation=operation)
        return {}

    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=A/20260105/us-east-1/s3/aws4_request",
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(whole)),
        "x-amz-trailer": "x-amz-checksum-sha1",
    }
    status, _, _ = answer("PUT", "http://localhost/b/k", headers, framed, execute)
    assert status == 200
    assert (seen["operation"], seen["Body"]) == ("PutObject", whole)
    assert seen["ChecksumSHA1"] == "stated"
    assert "ContentEncoding" not in seen
    for short in (framed[:-12], framed[: len(framed) // 2]):
        status, _, _ = answer("PUT", "http://localhost/b/k", headers, short, execute)
        assert status == 400


def test_copy_needs_permission_to_read_the_source(tmp_path: Path) -> None:
    permissions = Permissions()
    twin = S3(context_of(tmp_path, permissions))
    s3 = client_of("s3", executor(s3=twin))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a b", Body=b"1", Metadata={"m": "1"})
    source = {"Bucket": BUCKET, "Key": "a b"}
    s3.copy_object(Bucket=BUCKET, Key="c", CopySource=source)
    assert s3.head_object(Bucket=BUCKET, Key="c")["Metadata"] == {"m": "1"}
    permissions.denied.add(("s3:GetObject", f"arn:aws:s3:::{BUCKET}/a b"))
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=BUCKET, Key="d", CopySource=source)
    assert code_of(refused) == "AccessDenied"
    twin.close()


def test_iam_asks_for_the_object_or_the_bucket(twin: S3) -> None:
    table = twin.operations()
    params = {"Bucket": "b", "Key": "k/x"}
    assert table["HeadObject"].action == "s3:GetObject"
    assert list(table["PutObject"].resources(params)) == ["arn:aws:s3:::b/k/x"]
    assert table["ListObjectsV2"].action == "s3:ListBucket"
    assert list(table["ListObjectsV2"].resources(params)) == ["arn:aws:s3:::b"]


def test_a_bucket_goes_only_when_it_is_empty(twin: S3, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a/b", Body=b"1")
    with pytest.raises(ClientError) as full:
        s3.delete_bucket(Bucket=BUCKET)
    assert code_of(full) == "BucketNotEmpty"
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a/b"}]})
    s3.delete_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError) as gone:
        s3.list_objects_v2(Bucket=BUCKET)
    assert code_of(gone) == "NoSuchBucket"


LIFECYCLE_RULE: dict[str, Any] = {
    "ID": "r",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "Expiration": {"Days": 1},
}
SETTINGS: list[tuple[str, str, Any, dict[str, Any]]] = [
    (
        "bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        {"Rules": [LIFECYCLE_RULE]},
        {
            "Rules": [LIFECYCLE_RULE],
            "TransitionDefaultMinimumObjectSize": "all_storage_classes_128K",
        },
    ),
    (
        "public_access_block",
        "PublicAccessBlockConfiguration",
        {"BlockPublicAcls": True},
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
    ),
    ("bucket_policy", "Policy", "{}", {"Policy": "{}"}),
    (
        "bucket_versioning",
        "VersioningConfiguration",
        {"Status": "Enabled"},
        {"Status": "Enabled"},
    ),
    (
        "bucket_tagging",
        "Tagging",
        {"TagSet": [{"Key": "a", "Value": "b"}]},
        {"TagSet": [{"Key": "a", "Value": "b"}]},
    ),
]


@pytest.mark.parametrize(("name", "member", "value", "expected"), SETTINGS)
def test_a_bucket_setting_is_answered_as_it_was_put(
    s3: Any, name: str, member: str, value: Any, expected: dict[str, Any]
) -> None:
    getattr(s3, f"put_{name}")(Bucket=BUCKET, **{member: value})
    found = getattr(s3, f"get_{name}")(Bucket=BUCKET)
    del found["ResponseMetadata"]
    assert found == expected


def test_notifications_without_a_listener_are_refused(s3: Any) -> None:
    wanted = {"QueueConfigurations": [{"QueueArn": "arn:q", "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(ClientError, match="NotSupportedByTwin"):
        s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=wanted)


def test_the_index_survives_a_restart(tmp_path: Path) -> None:
    first = S3(context_of(tmp_path))
    first.store.create_bucket(BUCKET)
    first.store.put(BUCKET, "a", b"1", {"ContentType": "text/x"})
    first.close()
    second = S3(context_of(tmp_path))
    assert second.store.entry(BUCKET, "a").attributes == {"ContentType": "text/x"}
    second.close()


def test_a_list_says_with_which_checksums_an_object_was_stored(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x", ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket=BUCKET, Key="b", Body=b"x")  # boto3 sends a CRC-32 unasked.
    for listed in (s3.list_objects_v2(Bucket=BUCKET), s3.list_objects(Bucket=BUCKET)):
        found = {item["Key"]: item["ChecksumAlgorithm"] for item in listed["Contents"]}
        assert found == {"a": ["SHA256"], "b": ["CRC32"]}
