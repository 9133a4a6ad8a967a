"""S3 with its objects in another endpoint, and a copy of them as files for the jobs here.

What is written goes to the endpoint first and then into the copy; what is read comes from the
endpoint. Spark works on the copy: it is brought up to date before a job (`refresh`), and what a
job has written is uploaded. Bucket settings (policies, lifecycle, notifications) stay with the
twin, which acts on them. Used by `simulator.cloud.remote`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.s3 import S3
from simulator.cloud.s3_index import Entry
from simulator.cloud.s3_objects import attributes_of

_READS = (
    "GetObject HeadObject ListObjects ListObjectsV2 HeadBucket ListBuckets GetObjectTagging"
    " CreateMultipartUpload UploadPart UploadPartCopy AbortMultipartUpload ListParts"
    " ListMultipartUploads"
)
"""Passed on as they are: reads, and what leaves no object."""

_WRITES = "PutObject DeleteObject DeleteObjects DeleteBucket PutObjectTagging DeleteObjectTagging"
_COPIES = "CopyObject CompleteMultipartUpload"
_NOT_IN_PUT = ("TagSet", "Expires")


class RemoteS3:
    """What replaces the executors of `simulator.cloud.s3.S3`."""

    def __init__(self, s3: S3, remote: RemoteEndpoint) -> None:
        self._store = s3.store
        self._remote = remote
        self._own = s3.operations()
        self._forwarding = False
        s3.store.listeners.append(self._appeared)
        s3.store.on_removed = self._vanished

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        table: dict[str, Execute] = {name: self._there(name) for name in _READS.split()}
        table |= {name: self._both(name) for name in _WRITES.split()}
        table |= {name: self._fetched(name) for name in _COPIES.split()}
        table["CreateBucket"] = self._create
        return {name: execute for name, execute in table.items() if name in self._own}

    def refresh(self) -> None:
        """Make the copy agree with the endpoint, for objects that somebody put past the twin."""
        for bucket in self._store.buckets:
            there = {each["Key"]: each["ETag"].strip('"') for each in self._walk(bucket)}
            here = {entry.key: entry.etag for entry in self._store.walk(bucket)}
            with self._forwarded():
                for key in here.keys() - there.keys():
                    self._store.delete(bucket, key)
                for key in sorted(there):
                    if here.get(key) != there[key]:
                        self._fetch(bucket, key)

    def _forward(self, operation: str, params: Params) -> Answer:
        return self._remote.forward("s3", operation, params)

    def _there(self, operation: str) -> Callable[[Call], Answer]:
        return lambda call: self._forward(operation, call.params)

    def _both(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            answer = self._forward(operation, call.params)
            with self._forwarded():
                self._own[operation].execute(call)
            return answer

        return execute

    def _fetched(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            answer = self._forward(operation, call.params)
            with self._forwarded():
                self._fetch(call.params["Bucket"], call.params["Key"])
            return answer

        return execute

    def _create(self, call: Call) -> Answer:
        bucket = call.params["Bucket"]
        if bucket not in self._store.buckets and self._has(bucket):
            raise AwsError(
                "BucketAlreadyOwnedByYou",
                f"the endpoint {self._remote.url} has the bucket {bucket} of an earlier run: "
                "start the endpoint afresh",
                409,
            )
        answer = self._forward("CreateBucket", call.params)
        self._own["CreateBucket"].execute(call)
        return answer

    def _has(self, bucket: str) -> bool:
        try:
            self._forward("HeadBucket", {"Bucket": bucket})
        except AwsError as error:
            if error.status == 404:
                return False
            raise
        return True

    # -- the copy

    @contextmanager
    def _forwarded(self) -> Iterator[None]:
        """Say that a change of the copy is in the endpoint already."""
        before, self._forwarding = self._forwarding, True
        try:
            yield
        finally:
            self._forwarding = before

    def _fetch(self, bucket: str, key: str) -> None:
        found = self._forward("GetObject", {"Bucket": bucket, "Key": key})
        self._store.put(bucket, key, found["Body"], attributes_of(found))

    def _appeared(self, bucket: str, entry: Entry, event: str) -> None:
        """Upload what a job wrote into the copy."""
        if self._forwarding:
            return
        kept = {k: v for k, v in entry.attributes.items() if k not in _NOT_IN_PUT}
        body = self._store.files.read(bucket, entry.key)
        self._forward("PutObject", {"Bucket": bucket, "Key": entry.key, "Body": body, **kept})

    def _vanished(self, bucket: str, key: str) -> None:
        """Delete what a job, or a lifecycle rule, took out of the copy."""
        if not self._forwarding:
            self._forward("DeleteObject", {"Bucket": bucket, "Key": key})

    def _walk(self, bucket: str) -> Iterator[Answer]:
        token: dict[str, str] = {}
        while True:
            page = self._forward("ListObjectsV2", {"Bucket": bucket, **token})
            yield from page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}
