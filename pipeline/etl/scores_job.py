"""The two ends of batch scoring: feature rows to lines for Batch Transform, its lines to scores.

A Glue job of plain boto3 and pyarrow; the batch workflow runs it before and after the transform
job. Arguments: ``--step`` (``rows`` or ``scores``), ``--start`` and ``--end`` (whole hours, UTC),
``--run``, ``--bucket`` (of the processed zone), ``--database``, ``--table``, ``--feature_spec``.

``rows`` writes ``transform/<run>/rows/<partition>/rows.jsonl``: a feature row a line, in the order
of machines and times. ``scores`` reads the same lines, joined with the container's answers, below
``transform/<run>/scored/`` and writes ``batch-scores/<partition>/scores.parquet``, one object an
hour with the same name every time: an hour that is scored again is replaced. Neither scores a row
nor judges one.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import JobInputError
from pipeline.etl.arguments import hour_ms, resolved_options
from pipeline.etl.catalog import GlueCatalog, register_partitions
from pipeline.etl.object_store import ObjectStore
from pipeline.features import feature_names
from pipeline.partitions import HOUR_MS, partition_of
from pipeline.settings import FeatureSpec

NAMES = ("step", "start", "end", "run", "bucket", "database", "table", "feature_spec")
FEATURES_PREFIX = "features"
SCORES_PREFIX = "batch-scores"
"""Not ``scores/``, where the detector keeps its own, as JSON Lines."""
RUNS_PREFIX = "transform"
ANSWER = "SageMakerOutput"
"""Where Batch Transform joins an answer to its line (developer guide, "Associate Prediction
Results with Input Records")."""
COLUMNS = pa.schema(
    [
        ("device_id", pa.string()),
        ("event_time_ms", pa.int64()),
        ("score", pa.float64()),
        ("no_model_score", pa.float64()),
        ("model_version", pa.string()),
    ]
)
"""The columns of the table `scores`."""


class Scoring:
    """One run over the hours of ``[start_ms, end_ms)``."""

    def __init__(
        self, store: ObjectStore, bucket: str, run: str, start_ms: int, end_ms: int
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._run = run
        self._hours = [
            partition_of(hour * HOUR_MS) for hour in range(start_ms // HOUR_MS, end_ms // HOUR_MS)
        ]

    def write_rows(self, names: Sequence[str]) -> int:
        """Write the lines of every hour that has rows; return how many.

        Raises JobInputError when there is no row at all or a feature is missing: a transform job
        without input fails too, but does not say why.
        """
        rows = 0
        for partition in self._hours:
            tables = [
                _features(key, self._read(key), names)
                for key in self._keys(f"{FEATURES_PREFIX}/{partition}/")
                if key.endswith(".parquet")
            ]
            if not tables:
                continue
            lines = _lines(pa.concat_tables(tables), names)
            if not lines:
                continue
            self._write(f"{RUNS_PREFIX}/{self._run}/rows/{partition}/rows.jsonl", b"".join(lines))
            rows += len(lines)
        if not rows:
            raise JobInputError(f"no feature row from {self._hours[0]} to {self._hours[-1]}")
        return rows

    def keep_scores(self) -> tuple[int, list[tuple[str, str]]]:
        """Write the scores of every hour; return how many rows, and the hours (dt, hour).

        Raises JobInputError for a line that is no answer, and when there is none.
        """
        rows, hours = 0, []
        for partition in self._hours:
            folder = f"{RUNS_PREFIX}/{self._run}/scored/{partition}/"
            scored = [
                _scored(key, line)
                for key in self._keys(folder)
                for line in self._read(key).splitlines()
            ]
            if not scored:
                continue
            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(scored, COLUMNS), out, compression="snappy")
            self._write(f"{SCORES_PREFIX}/{partition}/scores.parquet", out.getvalue())
            rows += len(scored)
            dt, hour = (part.partition("=")[2] for part in partition.split("/"))
            hours.append((dt, hour))
        if not rows:
            raise JobInputError(f"no scored line below {RUNS_PREFIX}/{self._run}/scored/")
        return rows, hours

    def _keys(self, prefix: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            page = self._store.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            yield from (one["Key"] for one in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _read(self, key: str) -> bytes:
        body: bytes = self._store.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def _write(self, key: str, body: bytes) -> None:
        self._store.put_object(Bucket=self._bucket, Key=key, Body=body)


def _features(key: str, body: bytes, names: Sequence[str]) -> pa.Table:
    """Return the columns that the model takes; raises JobInputError for one that is missing."""
    table = pq.read_table(io.BytesIO(body))
    columns = ("device_id", "event_time_ms", *names)
    if missing := [name for name in columns if name not in table.column_names]:
        raise JobInputError(f"{key}: no column {missing[0]!r}")
    return table.select(list(columns))


def _lines(table: pa.Table, names: Sequence[str]) -> list[bytes]:
    """Return a line a row, a row that is stored twice once, NaN as null."""
    table = table.sort_by([("device_id", "ascending"), ("event_time_ms", "ascending")])
    devices, times = (table[name].to_pylist() for name in ("device_id", "event_time_ms"))
    columns = [pc.cast(table[name], pa.float64()).to_pylist() for name in names]
    features = zip(*columns, strict=True) if columns else iter([()] * len(devices))
    lines, before = [], None
    for device, time_ms, values in zip(devices, times, features, strict=True):
        if (device, time_ms) == before:
            continue
        before = device, time_ms
        # orjson writes NaN as null, and a number so that it is the same when it is read.
        row = {"device_id": device, "event_time_ms": time_ms, "features": values}
        lines.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return lines


def _scored(key: str, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
        answer = row[ANSWER]
        return {
            "device_id": row["device_id"],
            "event_time_ms": row["event_time_ms"],
            **{name: answer[name] for name in ("score", "no_model_score", "model_version")},
        }
    except (ValueError, KeyError, TypeError) as error:
        raise JobInputError(f"{key}: not a scored line: {error!r}") from None


def main(
    argv: Sequence[str], store: ObjectStore | None = None, glue: GlueCatalog | None = None
) -> dict[str, Any]:
    """Run one step; return what it prints. Raises PipelineError."""
    options = resolved_options(argv, NAMES)
    start_ms, end_ms = hour_ms(options["start"], "start"), hour_ms(options["end"], "end")
    if start_ms >= end_ms:
        raise JobInputError(f"--start {options['start']} is not before --end {options['end']}")
    bucket = options["bucket"]
    scoring = Scoring(store or boto3.client("s3"), bucket, options["run"], start_ms, end_ms)
    result: dict[str, Any] = {"event": "scores_job", "step": options["step"]}
    if options["step"] == "rows":
        names = feature_names(FeatureSpec.parse(options["feature_spec"]))
        result["rows"] = scoring.write_rows(names)
    elif options["step"] == "scores":
        result["rows"], hours = scoring.keep_scores()
        location = f"s3://{bucket}/{SCORES_PREFIX}"
        result["new_partitions"] = register_partitions(
            glue or boto3.client("glue"), options["database"], options["table"], location, hours
        )
    else:
        raise JobInputError(f"--step: {options['step']!r} is neither rows nor scores")
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main(sys.argv)
