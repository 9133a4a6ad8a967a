"""Reads feature rows from the Parquet files of a training channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import DatasetError


@dataclass(frozen=True)
class Dataset:
    """Feature rows sorted by device and event time; `features` is (n, n_features) float64."""

    device_ids: list[str]
    event_time_ms: NDArray[np.int64]
    features: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.device_ids)

    def at(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the rows at these positions, in their order."""
        devices = [self.device_ids[row] for row in rows.tolist()]
        return Dataset(devices, self.event_time_ms[rows], self.features[rows])

    def within(self, start_ms: int, end_ms: int) -> Dataset:
        """Return the rows with event time in [start_ms, end_ms)."""
        kept = (self.event_time_ms >= start_ms) & (self.event_time_ms < end_ms)
        devices = [device for device, keep in zip(self.device_ids, kept, strict=True) if keep]
        return Dataset(devices, self.event_time_ms[kept], self.features[kept])

    def hold_out(self, share: float, purge_ms: int) -> tuple[Dataset, dict[str, int]]:
        """Return the rows to train on, and when each device's last `share` of rows begins.

        Rows closer than `purge_ms` to that time are in neither part: their windows overlap. A
        device with too few rows for the share is trained on entirely and has no such time.
        """
        names, first, counts = np.unique(
            np.array(self.device_ids), return_index=True, return_counts=True
        )
        kept = np.ones(len(self), dtype=np.bool_)
        cut_ms: dict[str, int] = {}
        for name, start, count in zip(names.tolist(), first, counts, strict=True):
            held = int(count * share)
            if held:
                times = self.event_time_ms[start : start + count]
                cut_ms[name] = int(times[-held])
                kept[start : start + count] = times <= cut_ms[name] - max(purge_ms, 1)
        return self.at(np.flatnonzero(kept)), cut_ms


def feature_files(folder: Path) -> list[Path]:
    """Return the Parquet files below a folder, sorted; hidden and temporary ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*.parquet")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def read_features(folder: Path, names: tuple[str, ...]) -> Dataset:
    """Read every Parquet file below a folder; a row stored twice counts once.

    Raises DatasetError when there is no file or a column is missing.
    """
    files = feature_files(folder)
    if not files:
        raise DatasetError(f"no Parquet file in the channel at {folder}")
    columns = ["device_id", "event_time_ms", *names]
    tables = []
    for path in files:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise DatasetError(f"{path.relative_to(folder)}: no column {missing[0]!r}")
            tables.append(file.read(columns=columns))
    table = pa.concat_tables(tables)
    devices = np.array(table["device_id"].to_pylist(), dtype=np.str_)
    times = table["event_time_ms"].to_numpy().astype(np.int64)
    features = np.column_stack(
        [table[name].to_numpy().astype(np.float64) for name in names]
    ).reshape(len(devices), len(names))
    order = np.lexsort((times, devices))
    devices, times, features = devices[order], times[order], features[order]
    new = np.ones(len(devices), dtype=np.bool_)
    new[1:] = (devices[1:] != devices[:-1]) | (times[1:] != times[:-1])
    return Dataset(devices[new].tolist(), times[new], features[new])
