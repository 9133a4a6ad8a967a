"""Captured requests and answers of the endpoint as rows: what was asked, and how it was scored.

Read by the monitoring job from files of data capture, in a folder or by the hour from S3. Format:
developer guide, "Capture data from real-time endpoint"; bodies as in `pipeline.model.inference`.
Only JSON bodies can be read: CSV has no times, BASE64 says that the type was not configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

MS_PER_HOUR = 3_600_000

_Row = tuple[int, list[object], float | None, tuple[float, ...]]


class S3(Protocol):
    """The operations of boto3's client in use."""

    def get_paginator(self, operation_name: str, /) -> Any:
        """Return what lists."""

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        """Read one object."""


@dataclass(frozen=True)
class Traffic:
    """Rows by device and event time; `values` are the features as they were sent.

    `arrived_ms` is when the endpoint was asked (inferenceTime). `levels` are each row's deviations
    for the slow mean, none where the model has no such thing. `unreadable` records could not
    be understood, `foreign` rows were scored by another model than the one that is monitored.
    """

    device_ids: list[str]
    event_time_ms: NDArray[np.int64]
    arrived_ms: NDArray[np.int64]
    values: list[list[object]]
    scores: list[float | None]
    levels: list[tuple[float, ...]]
    unreadable: int = 0
    foreign: int = 0

    def __len__(self) -> int:
        return len(self.device_ids)

    def at(self, rows: NDArray[np.intp]) -> Traffic:
        """Return the rows at these positions, in their order."""
        chosen = rows.tolist()
        return Traffic(
            [self.device_ids[row] for row in chosen],
            self.event_time_ms[rows],
            self.arrived_ms[rows],
            [self.values[row] for row in chosen],
            [self.scores[row] for row in chosen],
            [self.levels[row] for row in chosen],
            self.unreadable,
            self.foreign,
        )

    def within(self, start_ms: int, end_ms: int) -> Traffic:
        """Return the rows that arrived in [start_ms, end_ms)."""
        kept = (self.arrived_ms >= start_ms) & (self.arrived_ms < end_ms)
        return self.at(np.flatnonzero(kept))


def read_lines(lines: Iterable[bytes], model_version: str) -> Traffic:
    """Return the rows of captured lines; a row that is there twice counts once."""
    rows: dict[tuple[str, int], _Row] = {}
    unreadable = foreign = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            arrived_ms, asked, answer = _record(line)
            found = [
                ((str(row["device_id"]), int(row["event_time_ms"])), list(row["features"]))
                for row in asked["rows"]
            ]
            scores = [None if score is None else float(score) for score in answer["scores"]]
            levels = [tuple(map(float, each)) for each in answer.get("levels", [()] * len(found))]
            if not len(scores) == len(levels) == len(found):
                raise ValueError("as many scores as rows")
        except (KeyError, TypeError, ValueError):
            unreadable += 1
            continue
        if answer.get("model_version") != model_version:
            foreign += len(found)
            continue
        for (key, features), score, deviations in zip(found, scores, levels, strict=True):
            rows.setdefault(key, (arrived_ms, features, score, deviations))
    keys = sorted(rows)
    return Traffic(
        [device_id for device_id, _ in keys],
        np.array([moment for _, moment in keys], np.int64),
        np.array([rows[key][0] for key in keys], np.int64),
        [rows[key][1] for key in keys],
        [rows[key][2] for key in keys],
        [rows[key][3] for key in keys],
        unreadable,
        foreign,
    )


def _record(line: bytes) -> tuple[int, dict[str, Any], dict[str, Any]]:
    record = orjson.loads(line)
    sides = record["captureData"]
    for side in ("endpointInput", "endpointOutput"):
        if sides[side]["encoding"] != "JSON":
            raise ValueError(f"encoding {sides[side]['encoding']}")
    at = datetime.fromisoformat(record["eventMetadata"]["inferenceTime"])
    return (
        int(at.timestamp() * 1000),
        orjson.loads(sides["endpointInput"]["data"]),
        orjson.loads(sides["endpointOutput"]["data"]),
    )


def captured_lines(source: str, start_ms: int, end_ms: int, s3: S3 | None) -> Iterator[bytes]:
    """Yield the lines captured in [start_ms, end_ms), rounded out to whole hours.

    `source` is a folder, of which every file is read, or ``s3://bucket/prefix/endpoint``, of
    which only the range's hours of each variant are. Raises ValueError for S3 without a client.
    """
    if not source.startswith("s3://"):
        for path in sorted(Path(source).rglob("*.jsonl")):
            yield from path.read_bytes().splitlines()
        return
    if s3 is None:
        raise ValueError(f"{source} needs a client of S3")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/"
    pages = s3.get_paginator("list_objects_v2")
    variants = [
        found["Prefix"]
        for page in pages.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        for found in page.get("CommonPrefixes", ())
    ]
    for variant in sorted(variants):
        for hour in _hours(start_ms, end_ms):
            for page in pages.paginate(Bucket=bucket, Prefix=f"{variant}{hour}/"):
                for found in page.get("Contents", ()):
                    body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                    yield from body.splitlines()


def _hours(start_ms: int, end_ms: int) -> Sequence[str]:
    first = start_ms // MS_PER_HOUR
    return [
        f"{datetime.fromtimestamp(hour * 3600, UTC):%Y/%m/%d/%H}"
        for hour in range(first, -(-end_ms // MS_PER_HOUR))
    ]
