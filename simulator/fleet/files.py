"""Files of the batch path: what one device recorded, by the day of its event times.

    telemetry/dt=2026-01-05/pump-001.parquet   readings: device_id, seq, event_time_ms, channels
    telemetry/dt=2026-01-05/pump-001.jsonl.gz  or the MQTT payloads, one a line
    bursts/dt=2026-01-05/pump-001.i16          samples of all bursts, int16 little endian
    bursts/dt=2026-01-05/pump-001.jsonl        one line a burst: where its samples lie, and rate

A file has its name only when it is complete; until then it ends in ``.partial``. The same samples
give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages import encode_readings
from simulator.fleet.machine import MachineBurst
from simulator.fleet.streams import FloatArray
from simulator.fleet.vibration import SCALE_M_S2

PARTIAL = ".partial"
DAY_MS = 86_400_000
KEPT_OPEN = 2
"""Days whose files stay open: a clock that is set back writes into the day before."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """One file that is complete; ``path`` is relative to the history's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class _Sheet(Protocol):
    """One open file of readings."""

    def write(self, first_seq: int, times_ms: Times, values: Mapping[str, FloatArray]) -> None: ...

    def close(self) -> None: ...


def day_of(day: int) -> str:
    """Return the partition of a day, counted from 1970-01-01."""
    return f"dt={np.datetime64(day, 'D')}"


def schema_of(channels: Sequence[str]) -> pa.Schema:
    """Return the columns of readings; a channel that gave no value is null."""
    return pa.schema(
        [
            pa.field("device_id", pa.string(), nullable=False),
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("event_time_ms", pa.int64(), nullable=False),
            *(pa.field(name, pa.float64()) for name in channels),
        ]
    )


def batch_of(
    device_id: str,
    first_seq: int,
    times_ms: Times,
    values: Mapping[str, FloatArray],
    channels: Sequence[str],
) -> pa.RecordBatch:
    """Return readings (n,) as one Arrow batch; channels that the device lacks are null."""
    count = len(times_ms)
    columns: list[pa.Array] = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [device_id]).cast(
            pa.string()
        ),
        pa.array(np.arange(first_seq, first_seq + count, dtype=np.int64)),
        pa.array(times_ms),
    ]
    for name in channels:
        column = values.get(name)
        if column is None:
            columns.append(pa.nulls(count, pa.float64()))
        else:
            columns.append(pa.array(column, from_pandas=True))
    return pa.record_batch(columns, schema=schema_of(channels))


class _ParquetSheet:
    """Rounded values repeat, so their dictionaries are small: 7 bytes a reading of six channels."""

    def __init__(self, path: Path, device_id: str, channels: Sequence[str]) -> None:
        self._device_id = device_id
        self._channels = channels
        self._writer = pq.ParquetWriter(
            path,
            schema_of(channels),
            compression="zstd",
            compression_level=1,
            use_dictionary=["device_id", *channels],
            column_encoding={
                "seq": "DELTA_BINARY_PACKED",
                "event_time_ms": "DELTA_BINARY_PACKED",
            },
        )

    def write(self, first_seq: int, times_ms: Times, values: Mapping[str, FloatArray]) -> None:
        self._writer.write_batch(
            batch_of(self._device_id, first_seq, times_ms, values, self._channels)
        )

    def close(self) -> None:
        self._writer.close()


class _JsonSheet:
    def __init__(self, path: Path, device_id: str) -> None:
        self._device_id = device_id
        self._raw = path.open("wb")
        # No name and no time in the header: the same readings give the same bytes.
        self._zip = gzip.GzipFile("", "wb", compresslevel=1, fileobj=self._raw, mtime=0)

    def write(self, first_seq: int, times_ms: Times, values: Mapping[str, FloatArray]) -> None:
        payloads = encode_readings(self._device_id, first_seq, times_ms, values)
        self._zip.write(b"\n".join(payloads) + b"\n")

    def close(self) -> None:
        self._zip.close()
        self._raw.close()


class ReadingFiles:
    """Readings of one device, a file for each day; ``format`` is ``parquet`` or ``json``."""

    def __init__(self, folder: Path, device_id: str, channels: Sequence[str], format: str) -> None:
        self.written: list[Written] = []
        self._folder = folder
        self._device_id = device_id
        self._channels = tuple(channels)
        self._format = format
        self._open: dict[int, tuple[Path, _Sheet, int]] = {}

    def write(self, first_seq: int, times_ms: Times, values: Mapping[str, FloatArray]) -> None:
        """Add readings (n,) that follow those before."""
        days = times_ms // DAY_MS
        cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(times_ms)]
        for low, high in pairwise(cuts):
            if low == high:
                continue
            part = {name: column[low:high] for name, column in values.items()}
            self._write_day(int(days[low]), first_seq + low, times_ms[low:high], part)

    def close(self) -> list[Written]:
        """Finish all files and return every file written."""
        for day in sorted(self._open):
            self._finish(day)
        return self.written

    def _write_day(
        self, day: int, first_seq: int, times_ms: Times, values: Mapping[str, FloatArray]
    ) -> None:
        if day not in self._open:
            for old in sorted(d for d in self._open if abs(d - day) >= KEPT_OPEN):
                self._finish(old)
            ending = "parquet" if self._format == "parquet" else "jsonl.gz"
            path = self._folder / "telemetry" / day_of(day) / f"{self._device_id}.{ending}"
            number = 1
            while path.exists() or path.with_name(path.name + PARTIAL).exists():
                # A clock came back to a day whose file is complete.
                number += 1
                path = path.with_name(f"{self._device_id}.{number}.{ending}")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[day] = path, self._sheet(path.with_name(path.name + PARTIAL)), 0
        path, sheet, rows = self._open[day]
        sheet.write(first_seq, times_ms, values)
        self._open[day] = path, sheet, rows + len(times_ms)

    def _sheet(self, path: Path) -> _Sheet:
        if self._format == "parquet":
            return _ParquetSheet(path, self._device_id, self._channels)
        return _JsonSheet(path, self._device_id)

    def _finish(self, day: int) -> None:
        path, sheet, rows = self._open.pop(day)
        sheet.close()
        self.written.append(complete(self._folder, path, rows))


class BurstFiles:
    """Bursts of one device: samples as int16 little endian, and an index line for each."""

    def __init__(self, folder: Path, device_id: str) -> None:
        self.written: list[Written] = []
        self._folder = folder
        self._device_id = device_id
        self._day: int | None = None
        self._samples: BinaryIO | None = None
        self._index: BinaryIO | None = None
        self._path = folder
        self._rows = self._offset = 0

    def write(self, burst: MachineBurst, start_ms: int) -> None:
        """Add a burst that begins at ``start_ms``; bursts come in the order of time."""
        day = start_ms // DAY_MS
        if self._day is None or day > self._day:
            self._finish()
            self._begin(day)
        assert self._samples is not None
        assert self._index is not None
        body = burst.samples.astype("<i2").tobytes()
        self._samples.write(body)
        line: dict[str, Any] = {
            "schema": 1,
            "device_id": self._device_id,
            "seq": burst.seq,
            "event_time_ms": start_ms,
            "rate_hz": burst.rate_hz,
            "scale_m_s2": SCALE_M_S2,
            "offset_bytes": self._offset,
            "samples": len(burst.samples),
        }
        self._index.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._offset += len(body)
        self._rows += 1

    def close(self) -> list[Written]:
        """Finish the files and return every file written."""
        self._finish()
        return self.written

    def _begin(self, day: int) -> None:
        self._day = day
        self._path = self._folder / "bursts" / day_of(day) / f"{self._device_id}.i16"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._samples = self._path.with_name(self._path.name + PARTIAL).open("wb")
        index = self._path.with_suffix(".jsonl")
        self._index = index.with_name(index.name + PARTIAL).open("wb")
        self._rows = self._offset = 0

    def _finish(self) -> None:
        if self._samples is None or self._index is None:
            return
        self._samples.close()
        self._index.close()
        for path in (self._path, self._path.with_suffix(".jsonl")):
            self.written.append(complete(self._folder, path, self._rows))
        self._samples = self._index = None


def complete(folder: Path, path: Path, rows: int) -> Written:
    """Give a finished file its name, and return what it holds."""
    unfinished = path.with_name(path.name + PARTIAL)
    digest, size = hashlib.sha256(), 0
    with unfinished.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    os.replace(unfinished, path)
    return Written(str(path.relative_to(folder)), rows, size, digest.hexdigest())


def write_whole(folder: Path, name: str, text: str, rows: int) -> Written:
    """Write a small text file, whole or not at all."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + PARTIAL).write_text(text, encoding="utf-8")
    return complete(folder, path, rows)
