"""The state of the object store: files, their index, and the rules that join the two.

The operations in `simulator.cloud.s3` and its siblings are answers around this class. It has
AWS's errors but no request or answer shapes, and it is used on the engine's thread only.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.s3_files import ObjectFiles
from simulator.cloud.s3_index import Entry, Index

Listener = Callable[[str, Entry, str], None]
"""Called with (bucket, entry, event name such as ``ObjectCreated:Put``)."""

_BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_UNSUPPORTED_CHECKSUMS = (
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA512",
    "ChecksumMD5",
    "ChecksumXXHASH64",
    "ChecksumXXHASH3",
    "ChecksumXXHASH128",
)


def timestamp(seconds: float) -> datetime:
    """Return seconds since 1970 as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def md5(body: bytes) -> str:
    """Return the ETag of a body without quotes."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def check_body(body: bytes, params: Mapping[str, Any]) -> dict[str, str]:
    """Verify the checksums that came with a body and return those that S3 keeps.

    Raises BadDigest when one does not match (S3 API reference, PutObject).
    """
    kept: dict[str, str] = {}
    if "ContentMD5" in params:
        _compare(hashlib.md5(body, usedforsecurity=False).digest(), params["ContentMD5"], "MD5")
    if "ChecksumCRC32" in params:
        kept["ChecksumCRC32"] = params["ChecksumCRC32"]
        _compare(zlib.crc32(body).to_bytes(4, "big"), params["ChecksumCRC32"], "CRC32")
    if "ChecksumSHA1" in params:
        kept["ChecksumSHA1"] = params["ChecksumSHA1"]
        digest = hashlib.sha1(body, usedforsecurity=False).digest()
        _compare(digest, params["ChecksumSHA1"], "SHA1")
    if "ChecksumSHA256" in params:
        kept["ChecksumSHA256"] = params["ChecksumSHA256"]
        _compare(hashlib.sha256(body).digest(), params["ChecksumSHA256"], "SHA256")
    for name in _UNSUPPORTED_CHECKSUMS:
        if name in params:
            raise NotSupportedByTwin(f"the S3 checksum {name}")
    return kept


def typed(checksums: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checksums of an object with their type; nothing where there is none.

    An object that was put at once always has FULL_OBJECT (S3 API reference, PutObject).
    """
    return {**checksums, "ChecksumType": "FULL_OBJECT"} if checksums else {}


def _compare(digest: bytes, stated: str, algorithm: str) -> None:
    if base64.b64encode(digest).decode() != stated:
        raise AwsError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received."
            if algorithm == "MD5"
            else f"The {algorithm} you specified did not match the calculated checksum.",
        )


class ObjectStore:
    """Buckets and objects of one twin. Listeners hear of every object that appears."""

    def __init__(self, engine: Engine, state: Path) -> None:
        self.engine = engine
        self.scratch = state / "s3-scratch"
        self.files = ObjectFiles(state / "s3", self.scratch)
        self.index = Index(state / "s3-index.sqlite")
        self.listeners: list[Listener] = []
        self.on_removed: Callable[[str, str], None] = lambda bucket, key: None
        """Told of every object that is gone, by bucket and key."""
        self.kept_of_files: Callable[[str], Mapping[str, Any]] = lambda bucket: {}
        """Returns what an object keeps that a job has written as a file into a bucket."""
        self.buckets: dict[str, int] = self.index.buckets()
        if self.index.was_left_open:
            self._recover()

    def _recover(self) -> None:
        """Bring the index of a twin that was killed up to its files.

        What it had not committed is known by size, ETag and content again, not by content type,
        metadata, tags and checksums.
        """
        for bucket in self.files.buckets():
            self.create_bucket(bucket)
            self.commit_scan(bucket)

    def close(self) -> None:
        """Write the index to disk."""
        self.index.close()

    def now_s(self) -> int:
        """Return the run's clock in whole seconds, S3's resolution."""
        return int(self.engine.epoch_s())

    # -- buckets

    def require_bucket(self, bucket: str) -> str:
        """Return the name of an existing bucket or raise NoSuchBucket."""
        if bucket not in self.buckets:
            raise AwsError(
                "NoSuchBucket",
                "The specified bucket does not exist",
                404,
                {"BucketName": bucket},
            )
        return bucket

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; making one's own again changes nothing (us-east-1's behaviour)."""
        if not _BUCKET_NAME.fullmatch(bucket) or ".." in bucket:
            raise AwsError(
                "InvalidBucketName",
                "The specified bucket is not valid.",
                fields={"BucketName": bucket},
            )
        if bucket in self.buckets:
            return
        self.files.bucket_path(bucket).mkdir(parents=True, exist_ok=True)
        self.buckets[bucket] = self.now_s()
        self.index.add_bucket(bucket, self.buckets[bucket])

    def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket or raise BucketNotEmpty."""
        self.require_bucket(bucket)
        self.commit_scan(bucket)
        if self.index.has_objects(bucket):
            raise AwsError(
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
                409,
                {"BucketName": bucket},
            )
        self.files.remove_bucket(bucket)
        self.index.remove_bucket(bucket)
        del self.buckets[bucket]

    # -- objects

    def entry(self, bucket: str, key: str) -> Entry:
        """Return what is known of an object or raise NoSuchKey."""
        found = self.index.get(self.require_bucket(bucket), key)
        if found is None:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404, {"Key": key})
        return found

    def put(self, bucket: str, key: str, body: bytes, attributes: Mapping[str, Any]) -> Entry:
        """Store an object as a whole; replaces one of the same key."""
        mtime_ns = self.files.write(self.require_bucket(bucket), key, body)
        entry = Entry(key, len(body), md5(body), self.now_s(), mtime_ns, attributes)
        self.register(bucket, entry, "ObjectCreated:Put")
        return entry

    def register(self, bucket: str, entry: Entry, event: str) -> None:
        """Index an object whose file is in place and tell the listeners."""
        self.index.put(bucket, entry)
        for listener in self.listeners:
            listener(bucket, entry, event)

    def read(self, bucket: str, key: str, start: int = 0, length: int = -1) -> bytes:
        """Return an object's bytes; raise NoSuchKey when its file has vanished."""
        try:
            return self.files.read(bucket, key, start, length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.index.remove(bucket, key)
            raise AwsError(
                "NoSuchKey", "The specified key does not exist.", 404, {"Key": key}
            ) from None

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; removing what is not there succeeds, as on AWS."""
        self.require_bucket(bucket)
        if self.index.get(bucket, key) is not None:
            self.files.remove(bucket, key)
            self.index.remove(bucket, key)
            self.on_removed(bucket, key)

    def walk(
        self, bucket: str, prefix: str = "", after: str = "", *, at: bool = False
    ) -> Iterator[Entry]:
        """Yield objects of a bucket in key order."""
        return self.index.walk(self.require_bucket(bucket), prefix, after, at=at)

    def open_path(self, bucket: str, key: str) -> Path:
        """Return the file of an object for a reader in this process or on this machine.

        Raises NoSuchBucket or NoSuchKey.
        """
        self.entry(bucket, key)
        return Path(self.files.path(bucket, key))

    def commit_scan(self, bucket: str, prefix: str = "") -> list[str]:
        """Make the index agree with the files below a prefix after a job has written there.

        Registers files that are new or changed (their modification time is the run's clock
        now), forgets objects whose file vanished, and returns the keys registered, sorted.
        """
        self.require_bucket(bucket)
        known = {entry.key: entry for entry in self.index.walk(bucket, prefix)}
        registered: list[str] = []
        for key, state in self.files.scan(bucket, prefix):
            old = known.pop(key, None)
            if old and old.size == state.st_size and old.mtime_ns == state.st_mtime_ns:
                continue
            etag = md5(self.files.read(bucket, key))
            kept = self.kept_of_files(bucket)
            entry = Entry(key, state.st_size, etag, self.now_s(), state.st_mtime_ns, kept)
            self.register(bucket, entry, "ObjectCreated:Put")
            registered.append(key)
        for key in known:
            # What the scan hides may still be an object that somebody put by name.
            if self.files.stat(bucket, key) is None:
                self.index.remove(bucket, key)
                self.on_removed(bucket, key)
        return sorted(registered)
