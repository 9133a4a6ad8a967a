"""The shared features over Arrow batches: what Spark's Python workers run for the job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bursts import burst_feature_names
from pipeline.etl.raw_lines import RawMessage, parse_line
from pipeline.features import FeatureRows, Signals, feature_names, feature_rows
from pipeline.partitions import HOUR_MS
from pipeline.settings import FeatureSpec

COUNTS = ("readings", "bursts", "late", "malformed", "duplicates")
"""What the job counts; a row without a time carries them, one for each Spark partition."""

MESSAGE_SCHEMA = (
    "device_id string, is_burst boolean, late boolean, seq long, event_time_ms long, "
    "values array<double>, malformed binary"
)
"""Readings and bursts in one table: one shuffle brings both of a device together."""

_MESSAGE_TYPES = (
    pa.string(),
    pa.bool_(),
    pa.bool_(),
    pa.int64(),
    pa.int64(),
    pa.list_(pa.float64()),
    pa.binary(),
)
_MESSAGE_NAMES = (*RawMessage._fields, "malformed")

_Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def output_schema(spec: FeatureSpec) -> str:
    """Return Spark's schema of what `compute_features` yields."""
    features = ", ".join(f"`{name}` double" for name in feature_names(spec))
    counts = ", ".join(f"{name} long" for name in COUNTS)
    return (
        f"device_id string, event_time_ms long, n long, {features}, "
        f"dt string, hour string, {counts}"
    )


def parse_lines(batches: Iterable[pa.RecordBatch], spec: FeatureSpec) -> Iterator[pa.RecordBatch]:
    """Yield the messages of raw lines (one binary column); a malformed line keeps its text."""
    for batch in batches:
        rows: list[tuple[object, ...]] = []
        for line in batch.column(0).to_pylist():
            if line.isspace() or not line:
                continue
            message = parse_line(line, spec)
            if message is None:
                rows.append((None, False, False, 0, 0, [], line))
            else:
                rows.append((*message, None))
        columns = zip(*rows, strict=True) if rows else [()] * len(_MESSAGE_TYPES)
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns, _MESSAGE_TYPES, strict=True)],
            names=_MESSAGE_NAMES,
        )


def compute_features(
    batches: Iterable[pa.RecordBatch], spec: FeatureSpec, start_ms: int, end_ms: int
) -> Iterator[pa.RecordBatch]:
    """Yield the final rows in ``[start_ms, end_ms)`` of the devices in one Spark partition.

    The partition has all messages of its devices. A last row has no time but the counts.
    """
    found = list(batches)
    if not found:
        return
    table = pa.Table.from_batches(found)
    is_burst, late = table["is_burst"].to_numpy(), table["late"].to_numpy()
    well_formed = table["device_id"].is_valid().to_numpy()
    on_time = well_formed & ~late
    counts = {
        "readings": int((well_formed & ~is_burst).sum()),
        "bursts": int(is_burst.sum()),
        "late": int(late.sum()),
        "malformed": int((~well_formed).sum()),
    }
    table, is_burst = table.filter(pa.array(on_time)), is_burst[on_time]
    encoded = table["device_id"].combine_chunks().dictionary_encode()
    device = encoded.indices.to_numpy().astype(np.int64)
    # As online: the newest message of either kind is how far the device has come.
    newest = np.full(len(encoded.dictionary), -1, np.int64)
    np.maximum.at(newest, device, table["event_time_ms"].to_numpy())
    readings = _sorted_once(table, device, ~is_burst, len(spec.sensors))
    bursts = _sorted_once(table, device, is_burst, len(burst_feature_names(spec)))
    counts["duplicates"] = len(device) - len(readings[0]) - len(bursts[0])
    rows = feature_rows(
        Signals(*readings, *bursts),
        np.full(len(newest), start_ms, np.int64),
        np.minimum(newest - spec.allowed_lateness_ms, end_ms),
        spec,
    )
    yield _output(rows, encoded.dictionary, counts, spec)


def _output(
    rows: FeatureRows, device_ids: pa.Array, counts: dict[str, int], spec: FeatureSpec
) -> pa.RecordBatch:
    """Return the rows as `output_schema` says, and the row of counts."""
    dt, hour = _hours(rows.event_time_ms)
    columns = {
        "device_id": device_ids.take(pa.array(rows.device)),
        "event_time_ms": pa.array(rows.event_time_ms),
        "n": pa.array(rows.n.astype(np.int64)),
        **dict(zip(feature_names(spec), map(pa.array, rows.features.T), strict=True)),
        "dt": pa.array(dt, pa.string()),
        "hour": pa.array(hour, pa.string()),
        **{name: pa.nulls(len(rows), pa.int64()) for name in COUNTS},
    }
    last = {name: pa.nulls(1, column.type) for name, column in columns.items()}
    last |= {name: pa.array([count], pa.int64()) for name, count in counts.items()}
    return pa.RecordBatch.from_arrays(
        [pa.concat_arrays([column, last[name]]) for name, column in columns.items()],
        names=list(columns),
    )


def _sorted_once(
    table: pa.Table, device: NDArray[np.int64], chosen: NDArray[np.bool_], width: int
) -> _Columns:
    """Return device, time, values of the chosen messages, each once, sorted by time and seq."""
    part = table.filter(pa.array(chosen))
    device, seq = device[chosen], part["seq"].to_numpy()
    time = part["event_time_ms"].to_numpy()
    cells = part["values"].combine_chunks().flatten().to_numpy()
    values = cells.reshape(-1, width)
    by_seq = np.lexsort((time, seq, device))
    device, seq, time = device[by_seq], seq[by_seq], time[by_seq]
    first = np.ones(len(seq), np.bool_)
    first[1:] = (seq[1:] != seq[:-1]) | (device[1:] != device[:-1])
    by_seq, device, seq, time = by_seq[first], device[first], seq[first], time[first]
    by_time = np.lexsort((seq, time, device))
    return device[by_time], time[by_time], values[by_seq[by_time]]


def _hours(time_ms: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Return the partition values of each time: date and hour in UTC."""
    text = np.datetime_as_string((time_ms // HOUR_MS).astype("datetime64[h]"), unit="h")
    split = [stamp.split("T") for stamp in text.tolist()]
    return [dt for dt, _ in split], [hour for _, hour in split]
