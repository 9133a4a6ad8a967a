"""Brings what lies under ``landing/NAME/`` into the raw zone, by a mapping file.

Plain boto3, pandas and pyarrow. Arguments: ``--bucket`` and ``--name``; the mapping is the
object ``imports/NAME/mapping.toml``. A file is imported as a whole or not at all: it is read to
its end first, then its objects are written (one an hour, named after the import and the file, so
that again is the same again), then what was done with it (``imports/NAME/files/``). A run that
is killed is completed by the next; a file that has changed replaces what it had brought. At the
end ``imports/NAME/manifest.json`` says which hours have changed: its arrival starts the features
workflow.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import boto3
import orjson

from pipeline.errors import JobInputError
from pipeline.etl.arguments import resolved_options
from pipeline.etl.import_mapping import ImportMapping, parse_mapping
from pipeline.etl.import_table import FileRefused, Readings, read_file
from pipeline.etl.object_store import ObjectStore
from pipeline.partitions import HOUR_MS, partition_of

Report = Callable[[str], None]


@dataclass
class Imported:
    """What a run has done."""

    files: int = 0
    unchanged: int = 0
    rows: int = 0
    refused_rows: int = 0
    objects: int = 0
    devices: set[str] = field(default_factory=set)
    hours: set[int] = field(default_factory=set)
    refused_files: dict[str, str] = field(default_factory=dict)


class ImportJob:
    """One import: the files of one landing folder."""

    def __init__(self, store: ObjectStore, bucket: str, name: str) -> None:
        self._store = store
        self._bucket = bucket
        self._name = name
        self.done = Imported()

    def run(self, report: Report = lambda line: None) -> Imported:
        """Import every file that is new or has changed; raises JobInputError for the mapping."""
        text = self._read(f"imports/{self._name}/mapping.toml").decode()
        mapping = parse_mapping(text)
        landing = f"landing/{self._name}/"
        found = [(key[len(landing) :], etag) for key, etag in self._listed(landing)]
        wanted = [(path, etag) for path, etag in found if mapping.wants(path)]
        if not wanted:
            raise JobInputError(
                f"no file of {len(found)} in {landing} matches files.include = "
                f"{list(mapping.include)}"
            )
        for path, etag in wanted:
            self._import(path, hashlib.sha256(f"{etag} {text}".encode()).hexdigest(), mapping)
            report(path)
        if self.done.hours:
            self._write_manifest()
        return self.done

    def _import(self, path: str, version: str, mapping: ImportMapping) -> None:
        key = f"imports/{self._name}/files/{path}.json"
        old = orjson.loads(self._read(key)) if self._is_there(key) else {}
        if old.get("version") == version:
            self.done.unchanged += 1
            return
        body = self._read(f"landing/{self._name}/{path}")
        try:
            readings = read_file(path, body, mapping)
        except FileRefused as refusal:
            # What an earlier version of the file has brought stays as it is.
            self.done.refused_files[path] = str(refusal)
            return
        digest = hashlib.sha256(path.encode()).hexdigest()[:12]
        objects = []
        for hour, lines in sorted(readings.lines.items()):
            name = f"telemetry/{partition_of(hour * HOUR_MS)}/import-{self._name}-{digest}.jsonl.gz"
            packed = gzip.compress(b"".join(line + b"\n" for line in lines), 6, mtime=0)
            self._put(name, packed)
            objects.append(name)
        gone = sorted(set(old.get("objects", [])) - set(objects))
        for start in range(0, len(gone), 1_000):
            keys = [{"Key": name} for name in gone[start : start + 1_000]]
            self._store.delete_objects(Bucket=self._bucket, Delete={"Objects": keys})
        self._note(key, path, version, readings, objects)

    def _note(
        self, key: str, path: str, version: str, readings: Readings, objects: list[str]
    ) -> None:
        self._put(
            key,
            orjson.dumps(
                {
                    "file": path,
                    "version": version,
                    "rows": readings.rows,
                    "first": _iso(readings.first_ms),
                    "last": _iso(readings.last_ms),
                    "devices": readings.devices,
                    "refused_rows": readings.refused,
                    "refused": [{"row": row, "reason": why} for row, why in readings.reasons],
                    "objects": objects,
                },
                option=orjson.OPT_INDENT_2,
            ),
        )
        done = self.done
        done.files += 1
        done.rows += readings.rows
        done.refused_rows += readings.refused
        done.objects += len(objects)
        done.devices.update(readings.devices)
        done.hours.update(readings.lines)

    def _write_manifest(self) -> None:
        done = self.done
        first, last = min(done.hours), max(done.hours)
        manifest = {
            "start": _hour(first),
            "end": _hour(last + 1),
            "rows": done.rows,
            "files": done.files,
            "devices": len(done.devices),
            "refused_rows": done.refused_rows,
            "refused_files": done.refused_files,
        }
        self._put(
            f"imports/{self._name}/manifest.json",
            orjson.dumps(manifest, option=orjson.OPT_INDENT_2),
        )

    # -- objects

    def _read(self, key: str) -> bytes:
        body: bytes = self._store.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def _put(self, key: str, body: bytes) -> None:
        self._store.put_object(Bucket=self._bucket, Key=key, Body=body)

    def _is_there(self, key: str) -> bool:
        return any(found == key for found, _ in self._listed(key))

    def _listed(self, prefix: str) -> Iterator[tuple[str, str]]:
        token: dict[str, str] = {}
        while True:
            page = self._store.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            for one in page.get("Contents", []):
                yield one["Key"], one["ETag"]
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _hour(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3_600, UTC).strftime("%Y-%m-%dT%H")


def main(argv: Sequence[str], store: ObjectStore | None = None) -> Imported:
    """Run the job and print what it did. Raises JobInputError."""
    options = resolved_options(argv, ("bucket", "name"))
    job = ImportJob(store or boto3.client("s3"), options["bucket"], options["name"])
    done = job.run()
    told = {**vars(done), "devices": sorted(done.devices), "hours": len(done.hours)}
    print(json.dumps({"event": "import_job", **told}))
    return done


if __name__ == "__main__":
    main(sys.argv)
