"""S3 operations on single objects and lists of them: put, get, head, delete, copy, list, tags.

`simulator.cloud.s3` joins their table with those of buckets and multipart uploads. Bodies are
whole `bytes`: the twin moves micro-batches and model archives, not films.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.s3_encryption import MEMBERS, Encryption, encryption_of
from simulator.cloud.s3_index import Entry
from simulator.cloud.s3_store import ObjectStore, check_body, timestamp, typed

KEPT_MEMBERS = (
    "ContentType",
    "ContentEncoding",
    "ContentLanguage",
    "ContentDisposition",
    "CacheControl",
    "Expires",
    "Metadata",
    "StorageClass",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)
"""Members of PutObject that HeadObject answers again."""

COMMUTING = ("PutObject", "GetObject", "HeadObject")
"""What two functions may do at one moment in any order: nobody counts or lists by it."""

REFUSED_MEMBERS = (
    "ACL",
    "GrantFullControl",
    "GrantRead",
    "GrantReadACP",
    "GrantWriteACP",
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "ObjectLockLegalHoldStatus",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "VersionId",
    "PartNumber",
    "WriteOffsetBytes",
    "WebsiteRedirectLocation",
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def object_arn(params: Params) -> Sequence[str]:
    """Return the ARN of the object that a request names."""
    return (f"arn:aws:s3:::{params['Bucket']}/{params['Key']}",)


def bucket_arn(params: Params) -> Sequence[str]:
    """Return the ARN of the bucket that a request names."""
    return (f"arn:aws:s3:::{params['Bucket']}",)


def refuse_members(operation: str, params: Params) -> None:
    """Raise for members whose meaning the twin does not keep."""
    for name in REFUSED_MEMBERS:
        if params.get(name) and (name, params[name]) != ("ACL", "private"):
            raise NotSupportedByTwin(f"s3:{operation} with {name}")


def attributes_of(params: Params) -> dict[str, Any]:
    """Return what a put keeps beside the body."""
    kept = {name: params[name] for name in KEPT_MEMBERS if params.get(name)}
    if isinstance(kept.get("Expires"), datetime):
        kept["Expires"] = kept["Expires"].timestamp()
    if tagging := params.get("Tagging"):
        pairs = (pair.partition("=") for pair in tagging.split("&"))
        kept["TagSet"] = [
            {"Key": unquote(key.replace("+", " ")), "Value": unquote(value.replace("+", " "))}
            for key, _, value in pairs
        ]
    return kept


def check_write_conditions(params: Params, current: Entry | None) -> None:
    """Apply If-None-Match and If-Match of a write (S3 user guide, conditional requests)."""
    if "IfNoneMatch" in params:
        if params["IfNoneMatch"] != "*":
            raise NotSupportedByTwin("an S3 write with If-None-Match other than *")
        if current is not None:
            raise precondition_failed("If-None-Match")
    if "IfMatch" in params:
        if current is None:
            raise AwsError(
                "NoSuchKey", "The specified key does not exist.", 404, {"Key": params["Key"]}
            )
        if not _etag_matches(params["IfMatch"], current.etag):
            raise precondition_failed("If-Match")


def require_readable(entry: Entry, message: str) -> None:
    """Raise InvalidObjectState for an archived object, of which nothing was restored."""
    found = entry.attributes.get("StorageClass")
    if found in ("GLACIER", "DEEP_ARCHIVE"):
        raise AwsError("InvalidObjectState", message, 403, {"StorageClass": found})


def precondition_failed(condition: str) -> AwsError:
    """Return S3's 412."""
    return AwsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        {"Condition": condition},
    )


def _etag_matches(header: str, etag: str) -> bool:
    return any(one.strip().strip('"') in ("*", etag) for one in header.split(","))


def _seconds(value: datetime | str) -> int:
    moment = parsedate_to_datetime(value) if isinstance(value, str) else value
    return int(moment.timestamp())


def check_read_conditions(params: Params, entry: Entry) -> None:
    """Apply If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since in RFC 9110's order."""
    if "IfMatch" in params:
        if not _etag_matches(params["IfMatch"], entry.etag):
            raise precondition_failed("If-Match")
    elif "IfUnmodifiedSince" in params and entry.modified_s > _seconds(params["IfUnmodifiedSince"]):
        raise precondition_failed("If-Unmodified-Since")
    if "IfNoneMatch" in params:
        if _etag_matches(params["IfNoneMatch"], entry.etag):
            raise AwsError("304", "Not Modified", 304)
    elif "IfModifiedSince" in params and entry.modified_s <= _seconds(params["IfModifiedSince"]):
        raise AwsError("304", "Not Modified", 304)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return (first, last) of a Range header, None for one to ignore; raise InvalidRange.

    A range that is no byte range is ignored; several ranges too, as S3 answers one only.
    """
    matched = _RANGE.fullmatch(header.strip())
    if matched is None or matched.groups() == ("", ""):
        return None
    low, high = matched.groups()
    if low == "":
        first, last = max(0, size - int(high)), size - 1
    else:
        first, last = int(low), min(int(high), size - 1) if high else size - 1
        if high and int(high) < first:
            return None
    if first >= size or (low == "" and int(high) == 0):
        raise AwsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            {"RangeRequested": header, "ActualObjectSize": str(size)},
        )
    return first, last


class ObjectOperations:
    """The answers around `ObjectStore` for one object at a time."""

    def __init__(self, context: Context, store: ObjectStore, encryption: Encryption) -> None:
        self._context = context
        self._store = store
        self._encryption = encryption

    def operations(self) -> dict[str, Operation]:
        """Return the table (S3 API reference; actions: service authorization reference)."""
        table: dict[str, tuple[Callable[[Call], Answer], str]] = {
            "PutObject": (self._put, "s3:PutObject"),
            "GetObject": (self._get, "s3:GetObject"),
            "HeadObject": (self._head, "s3:GetObject"),
            "DeleteObject": (self._delete, "s3:DeleteObject"),
            "CopyObject": (self._copy, "s3:PutObject"),
            "GetObjectTagging": (self._get_tagging, "s3:GetObjectTagging"),
            "PutObjectTagging": (self._put_tagging, "s3:PutObjectTagging"),
            "DeleteObjectTagging": (self._delete_tagging, "s3:DeleteObjectTagging"),
        }
        found = {
            name: Operation(execute, object_arn, action, commutes=name in COMMUTING)
            for name, (execute, action) in table.items()
        }
        found["DeleteObjects"] = Operation(
            self._delete_many,
            lambda params: [
                f"arn:aws:s3:::{params['Bucket']}/{one['Key']}"
                for one in params["Delete"]["Objects"]
            ],
            "s3:DeleteObject",
        )
        return found

    # -- write

    def _put(self, call: Call) -> Answer:
        params = call.params
        refuse_members("PutObject", params)
        store, bucket, key = self._store, params["Bucket"], params["Key"]
        store.require_bucket(bucket)
        body = params.get("Body", b"")
        checksums = check_body(body, params)
        if "IfNoneMatch" in params or "IfMatch" in params:
            check_write_conditions(params, store.index.get(bucket, key))
        attributes = {**attributes_of(params), **checksums}
        self._encryption.apply(call.principal, bucket, attributes)
        entry = store.put(bucket, key, body, attributes)
        return {"ETag": f'"{entry.etag}"', **typed(checksums), **encryption_of(attributes)}

    def _delete(self, call: Call) -> Answer:
        refuse_members("DeleteObject", call.params)
        if "IfMatch" in call.params:
            current = self._store.index.get(call.params["Bucket"], call.params["Key"])
            check_write_conditions(call.params, current)
        self._store.delete(call.params["Bucket"], call.params["Key"])
        return {}

    def _delete_many(self, call: Call) -> Answer:
        delete = call.params["Delete"]
        if len(delete["Objects"]) > 1_000:
            raise AwsError(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our"
                " published schema",
            )
        for one in delete["Objects"]:
            refuse_members("DeleteObjects", one)
            self._store.delete(call.params["Bucket"], one["Key"])
        if delete.get("Quiet"):
            return {}
        return {"Deleted": [{"Key": one["Key"]} for one in delete["Objects"]]}

    def _copy(self, call: Call) -> Answer:
        params = call.params
        refuse_members("CopyObject", params)
        bucket, key = copy_source(params["CopySource"])
        self._context.iam.authorise(call.principal, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        source = self._store.entry(bucket, key)
        check_copy_conditions(params, source)
        require_readable(source, "Operation is not valid for the source object's storage class")
        self._encryption.require_read(call.principal, source.attributes)
        replace = params.get("MetadataDirective") == "REPLACE"
        same = (bucket, key) == (params["Bucket"], params["Key"])
        changes = "StorageClass" in params or "ServerSideEncryption" in params
        if same and not replace and not changes:
            raise AwsError(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself"
                " without changing the object's metadata, storage class, website redirect"
                " location or encryption attributes.",
            )
        # A copy begins in the class that the request names, and has the encryption that it names
        # or the bucket's, never the source's.
        new = ("StorageClass", *MEMBERS)
        attributes = {k: v for k, v in source.attributes.items() if k not in new}
        attributes |= {name: params[name] for name in MEMBERS if params.get(name)}
        if "StorageClass" in params:
            attributes["StorageClass"] = params["StorageClass"]
        if replace:
            tags = {name: attributes[name] for name in ("TagSet",) if name in attributes}
            attributes = {**tags, **attributes_of(params)}
        if params.get("TaggingDirective") == "REPLACE":
            attributes["TagSet"] = attributes_of(params).get("TagSet", [])
        self._encryption.apply(call.principal, params["Bucket"], attributes)
        body = self._store.read(bucket, key)
        entry = self._store.put(params["Bucket"], params["Key"], body, attributes)
        result = {"ETag": f'"{entry.etag}"', "LastModified": timestamp(entry.modified_s)}
        return {"CopyObjectResult": result, **encryption_of(attributes)}

    # -- read

    def _get(self, call: Call) -> Answer:
        params = call.params
        entry = self._readable("GetObject", params)
        require_readable(entry, "The operation is not valid for the object's storage class")
        self._encryption.require_read(call.principal, entry.attributes)
        wanted = byte_range(params["Range"], entry.size) if "Range" in params else None
        if wanted is None:
            body = self._store.read(params["Bucket"], params["Key"])
            return {**describe(params, entry), "ContentLength": len(body), "Body": body}
        first, last = wanted
        body = self._store.read(params["Bucket"], params["Key"], first, last - first + 1)
        return {
            **describe(params, entry, whole=False),
            "ContentLength": len(body),
            "ContentRange": f"bytes {first}-{last}/{entry.size}",
            "Body": body,
        }

    def _head(self, call: Call) -> Answer:
        params = call.params
        entry = self._readable("HeadObject", params)
        if params.get("ChecksumMode") == "ENABLED":  # API reference, HeadObject
            self._encryption.require_read(call.principal, entry.attributes)
        answer = describe(params, entry)
        if "Range" in params and (wanted := byte_range(params["Range"], entry.size)):
            answer["ContentLength"] = wanted[1] - wanted[0] + 1
            answer["ContentRange"] = f"bytes {wanted[0]}-{wanted[1]}/{entry.size}"
        return answer

    def _readable(self, operation: str, params: Params) -> Entry:
        refuse_members(operation, params)
        entry = self._store.entry(params["Bucket"], params["Key"])
        check_read_conditions(params, entry)
        return entry

    # -- tags

    def _get_tagging(self, call: Call) -> Answer:
        entry = self._store.entry(call.params["Bucket"], call.params["Key"])
        return {"TagSet": entry.attributes.get("TagSet", [])}

    def _put_tagging(self, call: Call) -> Answer:
        return self._retag(call.params, call.params["Tagging"]["TagSet"])

    def _delete_tagging(self, call: Call) -> Answer:
        return self._retag(call.params, [])

    def _retag(self, params: Params, tags: list[dict[str, str]]) -> Answer:
        if len(tags) > 10:
            raise AwsError("BadRequest", "Object tags cannot be greater than 10")
        old = self._store.entry(params["Bucket"], params["Key"])
        attributes = {**old.attributes, "TagSet": tags}
        entry = Entry(old.key, old.size, old.etag, old.modified_s, old.mtime_ns, attributes)
        self._store.index.put(params["Bucket"], entry)
        return {}


def describe(params: Params, entry: Entry, *, whole: bool = True) -> Answer:
    """Return the members that GetObject and HeadObject share."""
    attributes = entry.attributes
    answer: Answer = {
        "AcceptRanges": "bytes",
        "LastModified": timestamp(entry.modified_s),
        "ContentLength": entry.size,
        "ETag": f'"{entry.etag}"',
        "ContentType": "binary/octet-stream",
        "Metadata": {},
        **encryption_of(attributes),
    }
    for name in KEPT_MEMBERS:
        if name in attributes:
            answer[name] = attributes[name]
    if "Expires" in answer:
        answer["Expires"] = timestamp(answer["Expires"])
    if tags := attributes.get("TagSet"):
        answer["TagCount"] = len(tags)
    if whole and params.get("ChecksumMode") == "ENABLED":
        answer.update(typed({k: v for k, v in attributes.items() if k.startswith("Checksum")}))
    for asked, name in (
        ("ResponseContentType", "ContentType"),
        ("ResponseContentEncoding", "ContentEncoding"),
        ("ResponseContentDisposition", "ContentDisposition"),
        ("ResponseCacheControl", "CacheControl"),
    ):
        if asked in params:
            answer[name] = params[asked]
    return answer


def copy_source(source: str | Mapping[str, str]) -> tuple[str, str]:
    """Return (bucket, key) of a CopySource, as header text or boto3's dictionary."""
    if not isinstance(source, str):
        if "VersionId" in source:
            raise NotSupportedByTwin("s3:CopyObject of a version")
        return source["Bucket"], source["Key"]
    bucket, _, key = source.removeprefix("/").partition("/")
    key, _, version = key.partition("?versionId=")
    if version:
        raise NotSupportedByTwin("s3:CopyObject of a version")
    return bucket, unquote(key)


def check_copy_conditions(params: Params, source: Entry) -> None:
    """Apply the x-amz-copy-source-if-* conditions; all failures answer 412."""
    renamed = {
        name.removeprefix("CopySource"): value
        for name, value in params.items()
        if name.startswith("CopySourceIf")
    }
    try:
        check_read_conditions(renamed, source)
    except AwsError as error:
        if error.status == 304:
            raise precondition_failed("x-amz-copy-source-If-None-Match") from None
        raise
