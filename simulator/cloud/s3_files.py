"""Objects as plain files: how a key becomes a path, and what cannot be a path.

Buckets are folders ``<root>/<bucket>``, keys are relative paths in them, so that Spark, pandas
or a shell read what S3 holds. `simulator.cloud.s3_store` is the only user; this module knows
neither the index nor requests.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from simulator.cloud.errors import AwsError, NotSupportedByTwin

MAX_KEY_BYTES = 1_024


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder name is scratch: Hadoop's `_temporary`, checksums, dot files.

    On AWS the committers write these elsewhere or not at all, so a scan must not show them.
    """
    return name.startswith(".") or name == "_temporary" or name.endswith(".crc")


class ObjectFiles:
    """The files of all buckets below one folder."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root = str(root)
        self._scratch = str(scratch / "incoming")
        self._folders: set[str] = set()
        root.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)

    def bucket_path(self, bucket: str) -> Path:
        """Return the folder of a bucket."""
        return Path(self._root, bucket)

    def path(self, bucket: str, key: str) -> str:
        """Return the path of a key that can be a file; refuse by name one that cannot."""
        if len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES:
            raise AwsError("KeyTooLongError", "Your key is too long", 400)
        # One pass over the usual key: only suspicious ones are split into segments.
        if (
            "//" in key
            or "./" in key
            or "\0" in key
            or key[:1] in ("/", "")
            or key[-1:] in ("/", ".")
        ):
            for segment in key.split("/"):
                if segment in ("", ".", "..") or "\0" in segment:
                    raise NotSupportedByTwin(
                        f"the S3 key {key!r}, which cannot be the path of a plain file"
                        f" (segment {segment!r}),"
                    )
        return f"{self._root}/{bucket}/{key}"

    def write(self, bucket: str, key: str, body: bytes) -> int:
        """Store a body as a whole or not at all; return the file's modification time in ns.

        Written beside the buckets and renamed, so a reader of the folder (Spark in another
        process) never meets half an object.
        """
        path = self.path(bucket, key)
        descriptor = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(descriptor, view) :]
            mtime_ns = os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
        self._move_into_place(path, key)
        return mtime_ns

    def adopt(self, bucket: str, key: str, source: Path) -> int:
        """Move a finished file into a bucket; return its modification time in ns."""
        path = self.path(bucket, key)
        os.replace(source, self._scratch)
        self._move_into_place(path, key)
        return os.stat(path).st_mtime_ns

    def _move_into_place(self, path: str, key: str) -> None:
        folder = path.rpartition("/")[0]
        try:
            if folder not in self._folders:
                os.makedirs(folder, exist_ok=True)
                self._folders.add(folder)
            try:
                os.replace(self._scratch, path)
            except FileNotFoundError:
                # Somebody (a job that overwrites its output) removed the folder meanwhile.
                os.makedirs(folder, exist_ok=True)
                os.replace(self._scratch, path)
            except IsADirectoryError:
                self._remove_empty_tree(path)
                os.replace(self._scratch, path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise NotSupportedByTwin(
                f"the S3 key {key!r}, which is also a folder of other keys (or has an object as"
                " its folder),"
            ) from error
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
                raise NotSupportedByTwin(
                    f"the S3 key {key!r}, which cannot be the path of a plain file"
                    f" ({error.strerror}),"
                ) from error
            raise

    def _remove_empty_tree(self, path: str) -> None:
        """Remove a folder that holds no file; a folder with files stays and the rename fails."""
        for folder, _, names in os.walk(path, topdown=False):
            if names:
                return
            os.rmdir(folder)
            self._folders.discard(folder)

    def read(self, bucket: str, key: str, start: int = 0, length: int = -1) -> bytes:
        """Return bytes of an object's file; raise FileNotFoundError when it is not there."""
        with open(self.path(bucket, key), "rb", buffering=0) as file:
            if start:
                file.seek(start)
            return file.readall() if length < 0 else file.read(length)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object's file if it is there, and folders that are empty then."""
        path = self.path(bucket, key)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        top = f"{self._root}/{bucket}"
        folder = path.rpartition("/")[0]
        while folder != top:
            try:
                os.rmdir(folder)
            except OSError:
                return
            self._folders.discard(folder)
            folder = folder.rpartition("/")[0]

    def buckets(self) -> list[str]:
        """Return the buckets that have a folder, sorted."""
        try:
            return sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir())
        except FileNotFoundError:
            return []

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket's folder, with empty or scratch folders in it."""
        top = f"{self._root}/{bucket}"
        for folder, _, names in os.walk(top, topdown=False):
            for name in names:
                os.unlink(f"{folder}/{name}")
            os.rmdir(folder)
            self._folders.discard(folder)

    def stat(self, bucket: str, key: str) -> os.stat_result | None:
        """Return the state of an object's file, or None when there is no such file."""
        try:
            return os.stat(self.path(bucket, key))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def scan(self, bucket: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield keys and file states below a prefix, sorted within each folder, scratch hidden."""
        top = f"{self._root}/{bucket}"
        head = prefix.rpartition("/")[0]
        if any(is_hidden(name) or name == ".." for name in head.split("/")):
            return
        pending = [f"{top}/{head}" if head else top]
        while pending:
            try:
                entries = sorted(os.scandir(pending.pop()), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                key = entry.path[len(top) + 1 :]
                if entry.is_dir():
                    folder = key + "/"
                    if folder.startswith(prefix) or prefix.startswith(folder):
                        pending.append(entry.path)
                elif key.startswith(prefix):
                    yield key, entry.stat()
