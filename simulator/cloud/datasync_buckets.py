"""A part of a bucket as a transfer sees it, reached through `dispatch` as the location's role.

The sibling of `LocalPlace` in `simulator.cloud.datasync_places`; `datasync` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.datasync_places import CHUNK_BYTES, FileFailed, Item
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Params, Principal

MOST_PARTS = 10_000
_SYSTEM_METADATA = (
    "ContentType",
    "ContentEncoding",
    "ContentLanguage",
    "ContentDisposition",
    "CacheControl",
)


def mtime_of(metadata: Mapping[str, str], modified: datetime) -> int:
    """Return an object's modification time in ns: its file's, else its own."""
    text = metadata.get("file-mtime", "").removesuffix("ns")
    return int(text) if text.isdecimal() else int(modified.timestamp()) * 1_000_000_000


class BucketPlace:
    """The part of a bucket below a folder, as one role sees it."""

    def __init__(
        self,
        context: Context,
        caller: Principal,
        bucket: str,
        folder: str,
        options: Mapping[str, Any],
        storage_class: str = "STANDARD",
    ) -> None:
        self._context = context
        self._caller = caller
        self._bucket = bucket
        self._prefix = f"{folder}/" if folder else ""
        self._options = options
        self._class = storage_class

    def call(self, operation: str, path: str | None = None, **params: Any) -> dict[str, Any]:
        """Do one S3 operation as the role, on the object of a path or on the bucket."""
        wanted: Params = {"Bucket": self._bucket, **params}
        if path is not None:
            wanted["Key"] = self._prefix + path[1:]
        answer = self._context.dispatch(self._caller, "s3", operation, wanted, built_to_model=True)
        assert not isinstance(answer, simpy.Event)
        return answer

    def walk(self) -> Iterator[Item]:
        """Yield the objects below the folder, page by page; folder objects are none."""
        after: Params = {}
        while True:
            page = self.call("ListObjectsV2", Prefix=self._prefix, **after)
            for found in page.get("Contents", ()):
                path = "/" + found["Key"][len(self._prefix) :]
                mtime_ns = int(found["LastModified"].timestamp()) * 1_000_000_000
                yield Item(path, found["Size"], mtime_ns, found["ETag"].strip('"'))
            if not page["IsTruncated"]:
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def describe(self, item: Item) -> Item:
        """Return an object with its metadata, by HeadObject."""
        return self._described(item.path, self.call("HeadObject", item.path))

    def _described(self, path: str, head: Mapping[str, Any]) -> Item:
        metadata = dict(head.get("Metadata", {}))
        system = {name: head[name] for name in _SYSTEM_METADATA if name in head}
        size = int(str(head.get("ContentRange", "/")).rpartition("/")[2] or head["ContentLength"])
        mtime_ns = mtime_of(metadata, head["LastModified"])
        return Item(path, size, mtime_ns, head["ETag"].strip('"'), metadata, system)

    def read(self, path: str) -> tuple[Item, Iterator[bytes]]:
        """Read an object in ranges of one version: a change in between is a failure."""
        item = self._described(path, self.call("HeadObject", path))
        if self._options["ObjectTags"] == "PRESERVE":
            item = replace(item, system={**item.system, **self._tags(path)})
        return item, self._chunks(item)

    def _tags(self, path: str) -> dict[str, Any]:
        head = self.call("HeadObject", path)
        if not head.get("TagCount"):
            return {}
        return {"TagSet": self.call("GetObjectTagging", path)["TagSet"]}

    def _chunks(self, item: Item) -> Iterator[bytes]:
        done = 0
        while done < item.size or done == 0:
            last = min(done + CHUNK_BYTES, item.size) - 1
            ranged = {"Range": f"bytes={done}-{last}"} if item.size else {}
            try:
                body = self.call("GetObject", item.path, IfMatch=f'"{item.etag}"', **ranged)["Body"]
            except AwsError as error:
                if error.code in ("PreconditionFailed", "NoSuchKey"):
                    raise FileFailed(
                        "SourceChanged", f"{item.path}: changed while it was read"
                    ) from None
                raise
            yield body
            done += len(body)
            if not body:
                return

    def writer(self, item: Item) -> BucketWriter:
        """Return a writer that puts one object, in parts if it is large."""
        attributes: Params = {"Metadata": self._metadata(item)}
        if self._class != "STANDARD":
            attributes["StorageClass"] = self._class
        system = dict(item.system)
        tags = system.pop("TagSet", None)
        if self._options["ObjectMetadata"] == "PRESERVE":
            attributes |= system
        return BucketWriter(self, item, attributes, tags)

    def _metadata(self, item: Item) -> dict[str, str]:
        """Return the metadata of an object to write: an object's time travels as a file's."""
        metadata = dict(item.metadata)
        if self._options["Mtime"] == "PRESERVE":
            metadata.setdefault("file-mtime", f"{item.mtime_ns}ns")
        return metadata

    def same(self, source: Item, here: Item) -> bool:
        """Compare metadata and, where both are of one piece, the ETags of two objects."""
        if dict(here.metadata) != self._metadata(source):
            return False
        pieces = "-" in source.etag or "-" in here.etag
        return not source.etag or pieces or source.etag == here.etag

    def delete(self, path: str) -> None:
        """Remove an object."""
        self.call("DeleteObject", path)


class BucketWriter:
    """One PutObject, or a multipart upload for what is larger than a part."""

    def __init__(
        self,
        place: BucketPlace,
        item: Item,
        attributes: Params,
        tags: list[dict[str, str]] | None,
    ) -> None:
        self._call = place.call
        self._path = item.path
        self._attributes = attributes
        self._tags = tags
        least = -(-item.size // MOST_PARTS)
        self._part_bytes = max(CHUNK_BYTES, -(-least // CHUNK_BYTES) * CHUNK_BYTES)
        self._pending = bytearray()
        self._upload = ""
        self._parts: list[dict[str, Any]] = []

    def add(self, chunk: bytes) -> None:
        """Take the next bytes; send a part when there is one and more."""
        self._pending += chunk
        while len(self._pending) > self._part_bytes:
            self._send(bytes(self._pending[: self._part_bytes]))
            del self._pending[: self._part_bytes]

    def _send(self, body: bytes) -> None:
        if not self._upload:
            made = self._call("CreateMultipartUpload", self._path, **self._attributes)
            self._upload = made["UploadId"]
        number = len(self._parts) + 1
        sent = self._call(
            "UploadPart", self._path, UploadId=self._upload, PartNumber=number, Body=body
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def commit(self) -> None:
        """Put the object, or join its parts; then its tags."""
        if self._upload:
            self._send(bytes(self._pending))
            self._call(
                "CompleteMultipartUpload",
                self._path,
                UploadId=self._upload,
                MultipartUpload={"Parts": self._parts},
            )
            self._upload = ""
        else:
            self._call("PutObject", self._path, Body=bytes(self._pending), **self._attributes)
        if self._tags:
            self._call("PutObjectTagging", self._path, Tagging={"TagSet": self._tags})

    def abort(self) -> None:
        """Abort the upload, if the role may; its parts never were an object."""
        self._pending.clear()
        if self._upload:
            with suppress(AwsError):
                self._call("AbortMultipartUpload", self._path, UploadId=self._upload)
            self._upload = ""
