"""Readings for the features job's benchmarks: in memory, and as objects of a raw zone on disk."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.partitions import partition_of

START = datetime(2026, 1, 5, tzinfo=UTC)
SENSORS = ("temperature_c", "velocity_mm_s_rms", "pressure_bar", "current_a")
DEVICES = 100
LINES_AN_OBJECT = 20_000
LINES_A_TINY = 3


def readings(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return device, time and values of readings at 1 Hz, sorted by device and time."""
    rng = np.random.default_rng(1)
    each = rows // DEVICES
    device = np.repeat(np.arange(DEVICES), each)
    time_ms = int(START.timestamp() * 1000) + np.tile(np.arange(each) * 1000, DEVICES)
    return device, time_ms, np.round(rng.normal(50, 3, (each * DEVICES, len(SENSORS))), 4)


def table_of(
    device: NDArray[np.int64], time_ms: NDArray[np.int64], values: NDArray[np.float64]
) -> pa.Table:
    """Return readings as an Arrow table."""
    columns = {name: values[:, i] for i, name in enumerate(SENSORS)}
    return pa.table({"device": device, "t": time_ms, **columns})


def write_tiny(count: int, raw: Path) -> None:
    """Write an hour in objects of a few lines, as a careless importer would."""
    start_ms = int(START.timestamp() * 1000)
    folder = raw / "telemetry" / partition_of(start_ms)
    folder.mkdir(parents=True)
    line = (
        b'{"schema":1,"device_id":"pump-%03d","seq":%d,"event_time_ms":%d,"late":false,'
        b'"values":{"temperature_c":50.0,"velocity_mm_s_rms":2.0,"pressure_bar":5.0,'
        b'"current_a":10.0}}\n'
    )
    step_ms = 3_600_000 * DEVICES // (count * LINES_A_TINY)
    for number in range(count):
        device, first = number % DEVICES, number // DEVICES * LINES_A_TINY
        seqs = range(first, first + LINES_A_TINY)
        body = b"".join(line % (device, seq, start_ms + seq * step_ms) for seq in seqs)
        (folder / f"{number:06d}.jsonl").write_bytes(body)


def write_raw(rows: int, raw: Path) -> tuple[int, int]:
    """Write readings as the raw writer does, in larger objects; return the hours and the bytes.

    The bytes are those of the lines before compression.
    """
    each = rows // DEVICES
    rng = np.random.default_rng(2)
    start_ms = int(START.timestamp() * 1000)
    line = (
        b'{"schema":1,"device_id":"pump-%03d","seq":%d,"event_time_ms":%d,"late":false,'
        b'"values":{"temperature_c":%.4f,"velocity_mm_s_rms":%.4f,"pressure_bar":%.4f,'
        b'"current_a":%.4f}}\n'
    )
    step = LINES_AN_OBJECT // DEVICES
    encoded = 0
    for first in range(0, each, step):
        seqs = range(first, min(first + step, each))
        values = rng.normal(50, 3, (len(seqs) * DEVICES, len(SENSORS))).tolist()
        body = b"".join(
            line % (device, seq, start_ms + seq * 1000, *values[index * DEVICES + device])
            for index, seq in enumerate(seqs)
            for device in range(DEVICES)
        )
        encoded += len(body)
        # Whole objects an hour: 3,600 is a multiple of the step.
        folder = raw / "telemetry" / partition_of(start_ms + first * 1000)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"shard-{first:09d}.jsonl.gz").write_bytes(gzip.compress(body, 1))
    return -(-each // 3_600), encoded
