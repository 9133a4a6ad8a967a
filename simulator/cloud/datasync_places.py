"""What a transfer reads and writes: a local folder or a part of a bucket, behind one interface.

`simulator.cloud.datasync_transfer` is the user. Both list in the order of their keys (UTF-8
bytes), so two listings can be merged without holding either. The folder is here, the bucket in
`datasync_buckets`. Neither knows tasks, filters or time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

CHUNK_BYTES = 8 * 1024 * 1024
"""What is read at once; what is larger goes to S3 in parts."""
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

    def same(self, source: Item, here: Item) -> bool:
        """Tell whether a described file here is what writing the source would make of it."""


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

    def same(self, source: Item, here: Item) -> bool:
        """Compare time and, if the source has any, permissions."""
        if self._options["Mtime"] == "PRESERVE" and source.mtime_ns != here.mtime_ns:
            return False
        if self._options["PosixPermissions"] == "NONE":
            return True
        permissions = source.metadata.get("file-permissions")
        return permissions in (None, here.metadata.get("file-permissions"))


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
