"""The shared features over Arrow batches: what Spark's Python workers run for the job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bursts import burst_feature_names
from pipeline.etl.healthy_baseline import HealthyBaseline
from pipeline.etl.maintenance import MaintenanceLog
from pipeline.etl.packed import Columns
from pipeline.etl.row_quality import QUALITY_COLUMNS, row_quality
from pipeline.features import FeatureRows, Signals, feature_names, feature_rows
from pipeline.partitions import HOUR_MS
from pipeline.settings import FeatureSpec

COUNTS = (
    "readings",
    "bursts",
    "late",
    "malformed",
    "duplicates",
    "missing",
    "impossible",
)
"""What the job counts; a row without a time carries them, one for each Spark partition."""

MAINTENANCE_COLUMNS = ("maintenance_count", "since_maintenance_s")
_INTEGERS = ("n", *QUALITY_COLUMNS, "maintenance_count")


@dataclass(frozen=True)
class Computation:
    """What is computed: the spec, the range ``[start_ms, end_ms)``, and what rows are joined with.

    With a ``baseline`` every feature is there once more, normalised, as ``<name>_z``.
    """

    spec: FeatureSpec
    start_ms: int
    end_ms: int
    maintenance: MaintenanceLog = field(default_factory=MaintenanceLog)
    baseline: HealthyBaseline | None = None


def table_columns(spec: FeatureSpec, *, normalised: bool) -> list[tuple[str, str]]:
    """Return (name, type) of the table's columns, without the partition keys."""
    names = feature_names(spec)
    if normalised:
        names += tuple(f"{name}_z" for name in names)
    kinds = [("device_id", "string"), ("event_time_ms", "bigint"), ("n", "bigint")]
    kinds += [(name, "double") for name in names]
    further = (*QUALITY_COLUMNS, *MAINTENANCE_COLUMNS)
    return kinds + [(name, "bigint" if name in _INTEGERS else "double") for name in further]


def output_schema(computation: Computation) -> str:
    """Return Spark's schema of what `compute_features` yields."""
    columns = table_columns(computation.spec, normalised=computation.baseline is not None)
    columns += [("dt", "string"), ("hour", "string"), *((name, "bigint") for name in COUNTS)]
    return ", ".join(f"`{name}` {kind}" for name, kind in columns)


class _Devices(NamedTuple):
    """The messages of several devices: names, and per kind the device of each message."""

    ids: list[str]
    reading_device: NDArray[np.int64]
    readings: Columns
    burst_device: NDArray[np.int64]
    bursts: Columns
    malformed: int


def compute_features(
    batches: Iterable[pa.RecordBatch], computation: Computation
) -> Iterator[pa.RecordBatch]:
    """Yield the final rows of the devices in one Spark partition, given as `PACKED_SCHEMA`.

    The partition has all messages of its devices. A last row has no time but the counts.
    """
    spec = computation.spec
    found = _unpacked(batches, spec)
    counts = {
        "readings": len(found.readings.seq),
        "bursts": len(found.bursts.seq),
        "late": int(found.readings.late.sum()) + int(found.bursts.late.sum()),
        "malformed": found.malformed,
    }
    # As online: the newest message of either kind is how far the device has come.
    newest = np.full(len(found.ids), -1, np.int64)
    reading_device, readings = _on_time(found.reading_device, found.readings, newest)
    burst_device, bursts = _on_time(found.burst_device, found.bursts, newest)
    kept = _sorted_once(reading_device, readings)
    signals = Signals(*kept, *_sorted_once(burst_device, bursts))
    counts["duplicates"] = (
        len(reading_device) + len(burst_device) - len(kept[0]) - len(signals.burst_device)
    )
    rows = feature_rows(
        signals,
        np.full(len(newest), computation.start_ms, np.int64),
        np.minimum(newest - spec.allowed_lateness_ms, computation.end_ms),
        spec,
    )
    yield _output(signals, rows, found.ids, counts, computation)


def _unpacked(batches: Iterable[pa.RecordBatch], spec: FeatureSpec) -> _Devices:
    widths = {False: len(spec.sensors), True: len(burst_feature_names(spec))}
    position: dict[str, int] = {}
    parts: dict[bool, list[Columns]] = defaultdict(list)
    owners: dict[bool, list[NDArray[np.int64]]] = {
        False: [np.zeros(0, np.int64)],
        True: [np.zeros(0, np.int64)],
    }
    malformed = 0
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("device_id", "is_burst", "n")]
        for name, is_burst, n, packed in zip(*columns, batch.column("packed"), strict=True):
            if name is None:
                malformed += 1
                continue
            device = position.setdefault(name, len(position))
            parts[is_burst].append(Columns.unpack(packed.as_buffer(), n, widths[is_burst]))
            owners[is_burst].append(np.full(n, device, np.int64))
    return _Devices(
        list(position),
        np.concatenate(owners[False]),
        Columns.joined(parts[False], widths[False]),
        np.concatenate(owners[True]),
        Columns.joined(parts[True], widths[True]),
        malformed,
    )


def _on_time(
    device: NDArray[np.int64], columns: Columns, newest: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Columns]:
    """Return the messages that count, and note in ``newest`` how far each device has come."""
    if columns.late.any():
        device = device[~columns.late]
        columns = columns.taken(~columns.late)
    np.maximum.at(newest, device, columns.event_time_ms)
    return device, columns


def _output(
    signals: Signals,
    rows: FeatureRows,
    ids: list[str],
    counts: dict[str, int],
    computation: Computation,
) -> pa.RecordBatch:
    """Return the rows as `output_schema` says, and the row of counts."""
    spec = computation.spec
    quality, in_all = row_quality(signals, rows, spec)
    counts |= in_all
    features = rows.features
    baseline = computation.baseline
    if baseline is not None:
        features = np.hstack([features, baseline.normalise(ids, rows.device, features)])
    done, since_s = computation.maintenance.until(ids, rows.device, rows.event_time_ms)
    dt, hour = _hours(rows.event_time_ms)
    table = table_columns(spec, normalised=baseline is not None)
    values = [
        pa.array(ids, pa.string()).take(pa.array(rows.device)),
        pa.array(rows.event_time_ms),
        pa.array(rows.n.astype(np.int64)),
        *map(pa.array, features.T),
        *(pa.array(column) for column in quality),
        pa.array(done),
        pa.array(since_s, from_pandas=True),
        pa.array(dt, pa.string()),
        pa.array(hour, pa.string()),
        *(pa.nulls(len(rows), pa.int64()) for _ in COUNTS),
    ]
    last = [pa.nulls(1, column.type) for column in values[: -len(COUNTS)]]
    last += [pa.array([counts[name]], pa.int64()) for name in COUNTS]
    return pa.RecordBatch.from_arrays(
        [pa.concat_arrays(pair) for pair in zip(values, last, strict=True)],
        names=[*(name for name, _ in table), "dt", "hour", *COUNTS],
    )


def _sorted_once(
    device: NDArray[np.int64], columns: Columns
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return device, time, values of the messages, each once, sorted by time and seq."""
    seq, time = columns.seq, columns.event_time_ms
    by_seq = np.lexsort((time, seq, device))
    device, seq, time = device[by_seq], seq[by_seq], time[by_seq]
    first = np.ones(len(seq), np.bool_)
    first[1:] = (seq[1:] != seq[:-1]) | (device[1:] != device[:-1])
    by_seq, device, seq, time = by_seq[first], device[first], seq[first], time[first]
    by_time = np.lexsort((seq, time, device))
    return device[by_time], time[by_time], columns.values[by_seq[by_time]]


def _hours(time_ms: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Return the partition values of each time: date and hour in UTC."""
    hours, place = np.unique(time_ms // HOUR_MS, return_inverse=True)
    text = np.datetime_as_string(hours.astype("datetime64[h]"), unit="h")
    split = [stamp.split("T") for stamp in text.tolist()]
    days, of_day = np.array([dt for dt, _ in split]), np.array([hour for _, hour in split])
    if not len(place):
        return [], []
    return days[place].tolist(), of_day[place].tolist()
