"""What a transfer reads and writes: a local folder or a part of a bucket, behind one interface.

`simulator.cloud.datasync_transfer` is the user. Both list in the order of their keys (UTF-8
bytes), so two listings can be merged without holding either. Buckets are reached through
`dispatch` as the location's role. Nothing here knows tasks, filters or time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Params, Principal

CHUNK_BYTES = 8 * 1024 * 1024
"""What is read at once; what is larger goes to S3 in parts."""
MOST_PARTS = 10_000
_SYSTEM_METADATA = (
    "ContentType",
    "ContentEncoding",
    "ContentLanguage",
    "ContentDisposition",
    "CacheControl",
)
_SCRATCH = ".fleetwin-datasync"


class FileFailed(Exception):
    """One file could not be moved; ``code`` and ``detail`` stand in results and reports."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Item:
    """One file or object. ``path`` is relative to the location and starts with a slash.

    ``metadata`` is the user metadata that it has, or would have, as an object; ``system`` the
    members of PutObject that travel along. Both are empty in S3's listings.
    """

    path: str
    size: int
    mtime_ns: int
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, Any] = field(default_factory=dict)


class Writer(Protocol):
    """Takes one file's bytes; it appears as a whole at `commit` or not at all."""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def commit(self) -> None:
        """Make the file appear."""

    def abort(self) -> None:
        """Forget what was added; a file that was there before stays as it was."""


class Place(Protocol):
    """A location as a transfer sees it. Failures are AwsError, OSError or FileFailed."""

    def walk(self) -> Iterator[Item]:
        """Yield every file in order of paths."""

    def describe(self, item: Item) -> Item:
        """Return an item with its metadata."""

    def read(self, path: str) -> tuple[Item, Iterator[bytes]]:
        """Return a file and its bytes; the iterator fails if the file changes meanwhile."""

    def writer(self, item: Item) -> Writer:
        """Return what takes the bytes of a file."""

    def delete(self, path: str) -> None:
        """Remove a file."""


def posix_metadata(state: os.stat_result, options: Mapping[str, Any]) -> dict[str, str]:
    """Return a file's metadata as DataSync keeps it with an object (user guide, "Metadata")."""
    kept = {"user-agent": "aws-datasync"}
    if options["Mtime"] == "PRESERVE":
        kept["file-mtime"] = f"{state.st_mtime_ns}ns"
    if options["Uid"] != "NONE":
        kept["file-owner"] = str(state.st_uid)
    if options["Gid"] != "NONE":
        kept["file-group"] = str(state.st_gid)
    if options["PosixPermissions"] == "PRESERVE":
        kept["file-permissions"] = f"{stat.S_IMODE(state.st_mode):04o}"
    return kept


def mtime_of(metadata: Mapping[str, str], modified: datetime) -> int:
    """Return an object's modification time in ns: its file's, else its own."""
    text = metadata.get("file-mtime", "").removesuffix("ns")
    return int(text) if text.isdecimal() else int(modified.timestamp()) * 1_000_000_000


class LocalPlace:
    """A folder. Symbolic links and special files are not followed, nor copied."""

    def __init__(self, root: Path, options: Mapping[str, Any], *, posix: bool = True) -> None:
        self._root = str(root)
        self._options = options if posix else {**options, **_NO_OWNERS}

    def walk(self) -> Iterator[Item]:
        """Yield regular files in the order in which S3 would list them."""
        pending = [iter(self._sorted(""))]
        while pending:
            for path, entry in pending[-1]:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(iter(self._sorted(path)))
                    break
                if entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        yield self._item(path, entry.stat(follow_symlinks=False))
            else:
                pending.pop()

    def _sorted(self, folder: str) -> list[tuple[str, os.DirEntry[str]]]:
        with os.scandir(self._root + folder) as entries:
            found = [one for one in entries if not one.name.startswith(_SCRATCH)]
        # A folder's files stand where its name with a slash would: "a.csv" before "a/b.csv".
        found.sort(key=lambda one: os.fsencode(one.name) + b"/" * one.is_dir(follow_symlinks=False))
        return [(f"{folder}/{one.name}", one) for one in found]

    def _item(self, path: str, state: os.stat_result) -> Item:
        metadata = posix_metadata(state, self._options)
        return Item(path, state.st_size, state.st_mtime_ns, metadata=metadata)

    def describe(self, item: Item) -> Item:
        """Return the item: a listing says everything."""
        return item

    def read(self, path: str) -> tuple[Item, Iterator[bytes]]:
        """Open a file; a symbolic link in its place is refused."""
        descriptor = os.open(self._root + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            os.close(descriptor)
            raise FileFailed("SourceChanged", f"{path}: is no longer a regular file")
        return self._item(path, before), self._chunks(path, descriptor, before)

    def _chunks(self, path: str, descriptor: int, before: os.stat_result) -> Iterator[bytes]:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            done = 0
            while chunk := file.read(CHUNK_BYTES):
                done += len(chunk)
                yield chunk
            after = os.fstat(descriptor)
        with suppress(FileNotFoundError):
            named = os.stat(self._root + path, follow_symlinks=False)
            if _mark(named) == _mark(after) == _mark(before) and done == before.st_size:
                return
        raise FileFailed("SourceChanged", f"{path}: changed while it was read")

    def writer(self, item: Item) -> LocalWriter:
        """Return a writer that renames a finished file into its place."""
        parts = item.path.split("/")[1:]
        if any(part in ("", ".", "..") for part in parts):
            raise FileFailed("InvalidPath", f"{item.path}: cannot be the path of a file")
        folder = self._root
        for part in parts[:-1]:
            folder += "/" + part
            if os.path.islink(folder):
                raise FileFailed("InvalidPath", f"{item.path}: a folder of it is a symbolic link")
        os.makedirs(folder, exist_ok=True)
        return LocalWriter(folder, self._root + item.path, item, self._options)

    def delete(self, path: str) -> None:
        """Remove a file."""
        os.unlink(self._root + path)


_NO_OWNERS = {"Uid": "NONE", "Gid": "NONE", "PosixPermissions": "NONE"}


def _mark(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


class LocalWriter:
    """Writes beside the file's place, then renames."""

    def __init__(self, folder: str, path: str, item: Item, options: Mapping[str, Any]) -> None:
        self._path = path
        self._item = item
        self._options = options
        self._scratch = f"{folder}/{_SCRATCH}-{os.getpid()}"
        self._file = Path(self._scratch).open("wb", buffering=0)  # noqa: SIM115

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]

    def commit(self) -> None:
        """Restore time and permissions, then rename."""
        self._file.close()
        permissions = self._item.metadata.get("file-permissions", "")
        if self._options["PosixPermissions"] == "PRESERVE" and permissions:
            os.chmod(self._scratch, int(permissions, 8) & 0o777)
        if self._options["Mtime"] == "PRESERVE":
            os.utime(self._scratch, ns=(self._item.mtime_ns, self._item.mtime_ns))
        try:
            os.replace(self._scratch, self._path)
        except OSError:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove the scratch file."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._scratch)


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
        attributes: Params = {"Metadata": dict(item.metadata)}
        if self._class != "STANDARD":
            attributes["StorageClass"] = self._class
        system = dict(item.system)
        tags = system.pop("TagSet", None)
        if self._options["ObjectMetadata"] == "PRESERVE":
            attributes |= system
        return BucketWriter(self, item, attributes, tags)

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
