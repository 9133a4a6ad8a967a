"""Multipart uploads: parts are scratch files until CompleteMultipartUpload joins them.

`simulator.cloud.s3` joins their table with the others'. An upload that is never completed
stays invisible until a lifecycle rule aborts it, and is removed with the run.
"""

from __future__ import annotations

import binascii
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.s3_encryption import Encryption, encryption_of
from simulator.cloud.s3_index import Entry
from simulator.cloud.s3_objects import (
    attributes_of,
    bucket_arn,
    byte_range,
    check_copy_conditions,
    check_write_conditions,
    copy_source,
    object_arn,
    refuse_members,
    require_readable,
)
from simulator.cloud.s3_store import ObjectStore, check_body, md5, timestamp

MIN_PART_BYTES = 5 * 1024 * 1024
"""Every part but the last (S3 user guide, multipart upload limits)."""


@dataclass
class _Part:
    number: int
    size: int
    etag: str
    modified_s: int


@dataclass
class _Upload:
    bucket: str
    key: str
    folder: Path
    started_s: int
    attributes: dict[str, Any]
    parts: dict[int, _Part] = field(default_factory=dict)


class MultipartOperations:
    """Uploads in progress and their operations."""

    def __init__(self, context: Context, store: ObjectStore, encryption: Encryption) -> None:
        self._context = context
        self._store = store
        self._encryption = encryption
        self._uploads: dict[str, _Upload] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the table (actions: S3 user guide, multipart upload permissions)."""
        table: dict[str, tuple[Callable[[Call], Answer], str]] = {
            "CreateMultipartUpload": (self._create, "s3:PutObject"),
            "UploadPart": (self._upload, "s3:PutObject"),
            "UploadPartCopy": (self._upload_copy, "s3:PutObject"),
            "CompleteMultipartUpload": (self._complete, "s3:PutObject"),
            "AbortMultipartUpload": (self._abort, "s3:AbortMultipartUpload"),
            "ListParts": (self._list_parts, "s3:ListMultipartUploadParts"),
        }
        found = {
            name: Operation(execute, object_arn, action)
            for name, (execute, action) in table.items()
        }
        found["ListMultipartUploads"] = Operation(
            self._list_uploads, bucket_arn, "s3:ListBucketMultipartUploads"
        )
        return found

    def of_bucket(self, bucket: str) -> list[tuple[str, str, int]]:
        """Return id, key and start (seconds since 1970) of a bucket's uploads."""
        return [
            (upload_id, upload.key, upload.started_s)
            for upload_id, upload in self._uploads.items()
            if upload.bucket == bucket
        ]

    def abort(self, upload_id: str) -> None:
        """Drop an upload and its parts."""
        self._forget(upload_id)

    def _upload_of(self, params: Params) -> _Upload:
        upload = self._uploads.get(params["UploadId"])
        if upload is None or (upload.bucket, upload.key) != (params["Bucket"], params["Key"]):
            raise AwsError(
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the"
                " upload may have been aborted or completed.",
                404,
                {"UploadId": params["UploadId"]},
            )
        return upload

    def _create(self, call: Call) -> Answer:
        params = call.params
        refuse_members("CreateMultipartUpload", params)
        bucket = self._store.require_bucket(params["Bucket"])
        self._store.files.path(bucket, params["Key"])
        attributes = attributes_of(params)
        self._encryption.apply(call.principal, bucket, attributes)
        upload_id = self._context.engine.new_id()
        folder = self._store.scratch / upload_id
        folder.mkdir(parents=True)
        upload = _Upload(bucket, params["Key"], folder, self._store.now_s(), attributes)
        self._uploads[upload_id] = upload
        return {
            "Bucket": bucket,
            "Key": params["Key"],
            "UploadId": upload_id,
            **encryption_of(upload.attributes),
        }

    def _upload(self, call: Call) -> Answer:
        params = call.params
        body = params.get("Body", b"")
        checksums = check_body(body, params)
        part = self._store_part(call, body)
        return {"ETag": f'"{part.etag}"', **checksums}

    def _upload_copy(self, call: Call) -> Answer:
        params = call.params
        bucket, key = copy_source(params["CopySource"])
        self._context.iam.authorise(call.principal, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        source = self._store.entry(bucket, key)
        check_copy_conditions(params, source)
        require_readable(source, "Operation is not valid for the source object's storage class")
        self._encryption.require_read(call.principal, source.attributes)
        first, last = 0, source.size - 1
        if "CopySourceRange" in params:
            first, last = byte_range(params["CopySourceRange"], source.size) or (first, last)
        part = self._store_part(call, self._store.read(bucket, key, first, last - first + 1))
        result = {"ETag": f'"{part.etag}"', "LastModified": timestamp(part.modified_s)}
        return {"CopyPartResult": result}

    def _store_part(self, call: Call, body: bytes) -> _Part:
        upload, number = self._upload_of(call.params), call.params["PartNumber"]
        self._encryption.require_read(call.principal, upload.attributes)
        if not 1 <= number <= 10_000:
            raise AwsError(
                "InvalidArgument",
                "Part number must be an integer between 1 and 10000, inclusive",
                fields={"ArgumentName": "partNumber", "ArgumentValue": str(number)},
            )
        (upload.folder / str(number)).write_bytes(body)
        part = _Part(number, len(body), md5(body), self._store.now_s())
        upload.parts[number] = part
        return part

    def _complete(self, call: Call) -> Answer:
        params = call.params
        upload = self._upload_of(params)
        check_write_conditions(params, self._store.index.get(upload.bucket, upload.key))
        self._encryption.require_read(call.principal, upload.attributes)
        parts = self._chosen_parts(upload, params.get("MultipartUpload", {}).get("Parts", []))
        joined = upload.folder / "joined"
        with joined.open("wb") as whole:
            for part in parts:
                with (upload.folder / str(part.number)).open("rb") as piece:
                    shutil.copyfileobj(piece, whole)
        digests = b"".join(binascii.unhexlify(part.etag) for part in parts)
        # The ETag of a multipart object: MD5 of the parts' MD5s, a dash, their number.
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        size = sum(part.size for part in parts)
        mtime_ns = self._store.files.adopt(upload.bucket, upload.key, joined)
        entry = Entry(upload.key, size, etag, self._store.now_s(), mtime_ns, upload.attributes)
        self._store.register(upload.bucket, entry, "ObjectCreated:CompleteMultipartUpload")
        self._forget(params["UploadId"])
        return {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "ETag": f'"{etag}"',
            "Location": f"https://{upload.bucket}.s3.amazonaws.com/{upload.key}",
            **encryption_of(upload.attributes),
        }

    def _chosen_parts(self, upload: _Upload, asked: list[dict[str, Any]]) -> list[_Part]:
        if not asked:
            raise AwsError("InvalidRequest", "You must specify at least one part")
        numbers = [one["PartNumber"] for one in asked]
        if any(right <= left for left, right in pairwise(numbers)):
            raise AwsError(
                "InvalidPartOrder",
                "The list of parts was not in ascending order. Parts must be ordered by part"
                " number.",
            )
        chosen = []
        for one in asked:
            part = upload.parts.get(one["PartNumber"])
            if part is None or one.get("ETag", "").strip('"') != part.etag:
                raise AwsError(
                    "InvalidPart",
                    "One or more of the specified parts could not be found.  The part may not"
                    " have been uploaded, or the specified entity tag may not match the part's"
                    " entity tag.",
                    fields={"PartNumber": str(one["PartNumber"])},
                )
            chosen.append(part)
        for part in chosen[:-1]:
            if part.size < MIN_PART_BYTES:
                raise AwsError(
                    "EntityTooSmall",
                    "Your proposed upload is smaller than the minimum allowed size",
                    fields={
                        "ProposedSize": str(part.size),
                        "MinSizeAllowed": str(MIN_PART_BYTES),
                        "PartNumber": str(part.number),
                    },
                )
        return chosen

    def _abort(self, call: Call) -> Answer:
        self._upload_of(call.params)
        self._forget(call.params["UploadId"])
        return {}

    def _forget(self, upload_id: str) -> None:
        shutil.rmtree(self._uploads.pop(upload_id).folder)

    def _list_parts(self, call: Call) -> Answer:
        params = call.params
        upload = self._upload_of(params)
        limit = min(params.get("MaxParts", 1_000), 1_000)
        after = params.get("PartNumberMarker", 0)
        rest = [upload.parts[number] for number in sorted(upload.parts) if number > after]
        answer: Answer = {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": params["UploadId"],
            "PartNumberMarker": after,
            "MaxParts": limit,
            "IsTruncated": len(rest) > limit,
            "StorageClass": upload.attributes.get("StorageClass", "STANDARD"),
        }
        if page := rest[:limit]:
            answer["NextPartNumberMarker"] = page[-1].number
            answer["Parts"] = [
                {
                    "PartNumber": part.number,
                    "LastModified": timestamp(part.modified_s),
                    "ETag": f'"{part.etag}"',
                    "Size": part.size,
                }
                for part in page
            ]
        return answer

    def _list_uploads(self, call: Call) -> Answer:
        bucket = self._store.require_bucket(call.params["Bucket"])
        prefix = call.params.get("Prefix", "")
        found = [
            {
                "UploadId": upload_id,
                "Key": upload.key,
                "Initiated": timestamp(upload.started_s),
                "StorageClass": upload.attributes.get("StorageClass", "STANDARD"),
            }
            for upload_id, upload in self._uploads.items()
            if upload.bucket == bucket and upload.key.startswith(prefix)
        ]
        found.sort(key=lambda one: (one["Key"], one["Initiated"]))
        marker, last_id = (call.params.get(name, "") for name in ("KeyMarker", "UploadIdMarker"))
        # Uploads of one key go on behind the upload named, which may have ended meanwhile.
        names = [(one["Key"], one["UploadId"]) for one in found]
        if (marker, last_id) in names:
            found = found[names.index((marker, last_id)) + 1 :]
        else:
            found = [one for one in found if one["Key"] > marker]
        limit = min(call.params.get("MaxUploads", 1_000), 1_000)
        answer: Answer = {
            "Bucket": bucket,
            "Prefix": prefix,
            "KeyMarker": marker,
            "UploadIdMarker": last_id,
            "MaxUploads": limit,
            "IsTruncated": len(found) > limit,
        }
        if page := found[:limit]:
            answer["Uploads"] = page
            if len(found) > limit:
                answer["NextKeyMarker"] = page[-1]["Key"]
                answer["NextUploadIdMarker"] = page[-1]["UploadId"]
        return answer
