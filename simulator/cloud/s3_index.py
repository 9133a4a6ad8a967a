"""The side-car index of the object store: what S3 knows about an object and a file does not.

Size, ETag, modification time on the run's clock, content type, metadata, tags and checksums
live in one SQLite file beside the buckets. `simulator.cloud.s3_store` is its only user; one
connection, used on the engine's thread. It knows nothing of files or of AWS's errors.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITES_PER_COMMIT = 2_000
"""Writes that share one transaction: a commit for each object would cost more than the object.
The index can be rebuilt by a commit scan, so a lost tail is no loss of objects."""
_OPEN, _CLOSED = 1, 2
"""SQLite's `user_version`: whether a twin works with the file, or its last one has closed it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified_s INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
"""
_COLUMNS = "key, size, etag, modified_s, mtime_ns, attributes"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. ``etag`` has no quotes; ``modified_s`` is the run's clock since 1970, in
    whole seconds as S3 answers it; ``mtime_ns`` is the file's own, to notice changes.

    ``attributes`` holds members of the HeadObject answer (ContentType, Metadata, ...)
    and ``TagSet``.
    """

    key: str
    size: int
    etag: str
    modified_s: int
    mtime_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Index:
    """Objects by bucket and key, in the order in which S3 lists them (UTF-8 bytes)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # A crash of the machine may lose the index, never an object: speed before safety.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        self.was_left_open = version == _OPEN
        """Whether the last twin was killed: its last writes may be missing."""
        self._db.execute(f"PRAGMA user_version={_OPEN}")
        self._writes = 0
        self._closed = False

    def close(self) -> None:
        """Commit what is open and close the file; may be called more than once."""
        if not self._closed:
            self.flush()
            self._db.execute(f"PRAGMA user_version={_CLOSED}")
            self._db.close()
            self._closed = True

    def flush(self) -> None:
        """Commit the open transaction."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        self._writes = 0

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        self._db.execute(statement, values)
        self._writes += 1
        if self._writes >= WRITES_PER_COMMIT:
            self.flush()

    # -- buckets

    def add_bucket(self, name: str, created_s: int) -> None:
        """Record a bucket; an existing one keeps its time."""
        self._write("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (name, created_s))

    def remove_bucket(self, name: str) -> None:
        """Forget a bucket."""
        self._write("DELETE FROM buckets WHERE name = ?", (name,))

    def buckets(self) -> dict[str, int]:
        """Return creation times (seconds since 1970) by name, sorted by name."""
        return dict(self._db.execute("SELECT name, created_s FROM buckets ORDER BY name"))

    # -- objects

    def put(self, bucket: str, entry: Entry) -> None:
        """Record an object, or what became of it."""
        attributes = json.dumps(entry.attributes) if entry.attributes else ""
        self._write(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                bucket,
                entry.key,
                entry.size,
                entry.etag,
                entry.modified_s,
                entry.mtime_ns,
                attributes,
            ),
        )

    def get(self, bucket: str, key: str) -> Entry | None:
        """Return one object, or None."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?", (bucket, key)
        ).fetchone()
        return None if row is None else _entry(row)

    def remove(self, bucket: str, key: str) -> None:
        """Forget one object."""
        self._write("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))

    def has_objects(self, bucket: str) -> bool:
        """Tell whether a bucket holds anything."""
        row = self._db.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket,))
        return row.fetchone() is not None

    def states(self, bucket: str) -> dict[str, tuple[int, int]]:
        """Return size and time of change (ns) of every object of a bucket, by key."""
        rows = self._db.execute(
            "SELECT key, size, mtime_ns FROM objects WHERE bucket = ?", (bucket,)
        )
        return {key: (size, mtime_ns) for key, size, mtime_ns in rows}

    def walk(
        self, bucket: str, prefix: str = "", after: str = "", *, at: bool = False
    ) -> Iterator[Entry]:
        """Yield objects below ``prefix`` in key order, after the key ``after`` (or from it on)."""
        compare = ">=" if at or prefix > after else ">"
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key {compare} ? ORDER BY key",
            (bucket, max(prefix, after)),
        )
        for row in rows:
            if not row[0].startswith(prefix):
                return
            yield _entry(row)


def _entry(row: tuple[Any, ...]) -> Entry:
    key, size, etag, modified_s, mtime_ns, attributes = row
    return Entry(
        key, size, etag, modified_s, mtime_ns, json.loads(attributes) if attributes else {}
    )
