"""Rewrites the many small objects of an hour as one; a job of its own, for both zones.

Plain boto3 and pyarrow on the driver: an hour's objects are small, that is why it runs. Arguments:
``--bucket``, ``--prefix`` (``telemetry``, ``bursts`` or ``features``, or several with commas),
the hours, and optionally ``--minimum_files`` (an hour with fewer is left alone). The hours are
``--start`` and ``--end`` (whole hours, UTC), or those of the day before ``--day_before``, a time.

The new object is written first, then what it replaces is removed, and it names that in its
metadata: a run that is killed in between is finished by the next one. Lines of the raw zone that
lie twice in between count once all the same, by device and sequence number. Hours that are still
being written to must not be asked for. What cannot be read stays where it is and is reported.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import JobInputError
from pipeline.etl.arguments import hour_ms, resolved_options
from pipeline.etl.object_store import ObjectStore
from pipeline.partitions import HOUR_MS, partition_of

PREFIXES = ("telemetry", "bursts", "features")
MARK = "compacted-from"
"""Metadata of a new object: the hash of its sources. They are listed in an object beside it,
because metadata holds 2 KB (S3 User Guide, "Working with object metadata")."""
SOURCES_PREFIX = "compaction"
DAY_MS = 24 * HOUR_MS
_DELETED_AT_ONCE = 1_000
"""DeleteObjects' limit."""


@dataclass(frozen=True)
class _Source:
    key: str
    etag: str


class Compaction:
    """Compacts the hours of one prefix of a bucket."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str, minimum_files: int) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._minimum_files = minimum_files
        self.counts: Counter[str] = Counter()
        self.unreadable: list[dict[str, str]] = []

    def compact(self, start_ms: int, end_ms: int) -> None:
        """Compact every hour in ``[start_ms, end_ms)``."""
        for hour in range(start_ms // HOUR_MS, end_ms // HOUR_MS):
            self._compact_hour(partition_of(hour * HOUR_MS))

    def _compact_hour(self, partition: str) -> None:
        folder = f"{self._prefix}/{partition}/"
        self._finish(partition)
        sources = self._listed(folder)
        if len(sources) < self._minimum_files:
            return
        good: list[tuple[_Source, Any]] = []
        for source in sources:
            answer = self._store.get_object(Bucket=self._bucket, Key=source.key)
            try:
                good.append((source, self._parsed(source.key, answer["Body"].read())))
            except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                self.unreadable.append({"key": source.key, "reason": reason})
        if len(good) < max(2, self._minimum_files):
            return
        names = "\n".join(f"{source.key} {source.etag}" for source, _ in good)
        digest = hashlib.sha256(names.encode()).hexdigest()[:24]
        parts = [part for _, part in good]
        is_parquet = self._prefix == "features"
        body = _joined_tables(parts) if is_parquet else self._joined_lines(parts)
        key = f"{folder}compact-{digest}" + (".parquet" if is_parquet else ".jsonl.gz")
        # The list first: a list without an object asks for nothing, an object without one would
        # leave its sources beside it for ever.
        listed = {"target": key, "sources": [source.key for source, _ in good]}
        self._store.put_object(
            Bucket=self._bucket, Key=self._list_key(partition), Body=orjson.dumps(listed)
        )
        self._store.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata={MARK: digest})
        self.counts["objects_before"] += len(good)
        self.counts["objects_after"] += 1
        self._finish(partition)

    def _list_key(self, partition: str) -> str:
        return f"{SOURCES_PREFIX}/{self._prefix}/{partition}/sources.json"

    def _finish(self, partition: str) -> None:
        """Remove the sources of an object that is there, and then the list of them."""
        list_key = self._list_key(partition)
        if not any(source.key == list_key for source in self._listed(list_key)):
            return
        body = self._store.get_object(Bucket=self._bucket, Key=list_key)["Body"].read()
        listed = orjson.loads(body)
        there = {source.key for source in self._listed(f"{self._prefix}/{partition}/")}
        if listed["target"] in there:
            self._delete([key for key in listed["sources"] if key in there])
        self._delete([list_key])

    def _delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            objects = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            answer = self._store.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
            if errors := answer.get("Errors"):
                first = errors[0]
                raise JobInputError(f"{first['Key']}: {first['Code']}: {first['Message']}")

    def _listed(self, prefix: str) -> list[_Source]:
        """Return the objects below a prefix by key; compacted ones are sources like others."""
        found: list[_Source] = []
        token: dict[str, str] = {}
        while True:
            page = self._store.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            found += [_Source(one["Key"], one["ETag"]) for one in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _parsed(self, key: str, body: bytes) -> Any:
        """Return an object's lines, or its table; raises what the library raises."""
        if key.endswith(".parquet"):
            if self._prefix != "features":
                raise OSError("Parquet among lines: left to the features job")
            return pq.read_table(io.BytesIO(body))
        if self._prefix == "features":
            raise OSError("not Parquet")
        return (gzip.decompress(body) if key.endswith(".gz") else body).splitlines()

    def _joined_lines(self, parts: list[list[bytes]]) -> bytes:
        """Return the lines in order, a message that lies twice once; wrong lines are kept."""
        seen: set[tuple[str, int]] = set()
        kept = []
        for lines in parts:
            for line in lines:
                identity = _identity(line)
                if identity is not None:
                    if identity in seen:
                        self.counts["duplicates"] += 1
                        continue
                    seen.add(identity)
                kept.append(line)
        self.counts["rows"] += len(kept)
        return gzip.compress(b"".join(line + b"\n" for line in kept), 6, mtime=0)


def _identity(line: bytes) -> tuple[str, int] | None:
    """Return what makes a message that message; None where the line does not say."""
    try:
        body = orjson.loads(line)
        return str(body["device_id"]), int(body["seq"])
    except (ValueError, KeyError, TypeError):
        return None


def _joined_tables(parts: list[pa.Table]) -> bytes:
    """Return the tables in one, sorted as the features job sorts; new columns are null before."""
    table = pa.concat_tables(parts, promote_options="default")
    order = [(name, "ascending") for name in ("device_id", "event_time_ms")]
    out = io.BytesIO()
    pq.write_table(table.sort_by(order), out, compression="snappy")
    return out.getvalue()


def main(argv: Sequence[str], store: ObjectStore | None = None) -> dict[str, Any]:
    """Run the job; return what it prints. Raises JobInputError."""
    options = resolved_options(argv, ("bucket", "prefix"))
    prefixes = options["prefix"].split(",")
    for prefix in prefixes:
        if prefix not in PREFIXES:
            raise JobInputError(f"--prefix: {prefix!r} is not one of {', '.join(PREFIXES)}")
    minimum = _optional(argv, "minimum_files") or "8"
    if not minimum.isdigit() or int(minimum) < 2:
        raise JobInputError("--minimum_files: must be a whole number of at least 2")
    start_ms, end_ms = _hours(argv)
    store = store or boto3.client("s3")
    counts: Counter[str] = Counter()
    unreadable: list[dict[str, str]] = []
    for prefix in prefixes:
        compaction = Compaction(store, options["bucket"], prefix, int(minimum))
        compaction.compact(start_ms, end_ms)
        counts.update(compaction.counts)
        unreadable += compaction.unreadable
    names = ("objects_before", "objects_after", "rows", "duplicates")
    result = {
        "event": "compaction_job",
        **{name: counts[name] for name in names},
        "unreadable": unreadable,
    }
    print(json.dumps(result))
    return result


def _optional(argv: Sequence[str], name: str) -> str:
    given = any(word.partition("=")[0] == f"--{name}" for word in argv)
    return resolved_options(argv, (name,))[name] if given else ""


def _hours(argv: Sequence[str]) -> tuple[int, int]:
    """Return the range of hours in epoch ms; raises JobInputError."""
    if text := _optional(argv, "day_before"):
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise JobInputError(f"--day_before: {text!r} is not an ISO time") from None
        midnight = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        midnight_ms = int(midnight.timestamp() * 1000) // DAY_MS * DAY_MS
        return midnight_ms - DAY_MS, midnight_ms
    options = resolved_options(argv, ("start", "end"))
    start_ms, end_ms = hour_ms(options["start"], "start"), hour_ms(options["end"], "end")
    if start_ms >= end_ms:
        raise JobInputError(f"--start {options['start']} is not before --end {options['end']}")
    return start_ms, end_ms


if __name__ == "__main__":
    main(sys.argv)
