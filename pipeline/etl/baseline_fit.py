"""Fits the healthy baseline from feature rows, device by device, on Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from pipeline.etl.healthy_baseline import HealthyBaseline

_SCHEMA = "device_id string, n array<double>, mean array<double>, squares array<double>"


def fit_baseline(rows: DataFrame, names: tuple[str, ...]) -> HealthyBaseline:
    """Return the baseline of the features ``names`` over all rows."""
    columns = rows.select("device_id", *(f"`{name}`" for name in names))
    tasks = rows.sparkSession.sparkContext.defaultParallelism
    moments = columns.repartition(tasks, "device_id").mapInArrow(
        partial(_moments, names=names), _SCHEMA
    )
    found = sorted(moments.collect(), key=lambda row: str(row["device_id"]))
    return HealthyBaseline.of_moments(
        names,
        [
            (row["device_id"], *(np.array(row[key]) for key in ("n", "mean", "squares")))
            for row in found
        ],
    )


def _moments(batches: Iterable[pa.RecordBatch], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield count, mean and sum of squared deviations of each device's features."""
    found = list(batches)
    if not found:
        return
    table = pa.Table.from_batches(found).sort_by("device_id")
    ids = table["device_id"].to_numpy()
    cuts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1), len(ids)]
    values = np.column_stack([table[name].to_numpy() for name in names])
    rows = [(ids[start], *_of_device(values[start:stop])) for start, stop in pairwise(cuts)]
    kinds = [pa.string(), *[pa.list_(pa.float64())] * 3]
    columns = zip(*rows, strict=True)
    yield pa.RecordBatch.from_arrays(
        [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)],
        names=["device_id", "n", "mean", "squares"],
    )


def _of_device(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[list[float]]:
    """Return counts, means and sums of squared deviations of the columns' finite values."""
    moments = []
    for column in values.T:
        # In one order, so that the sums have the same bits in every run.
        finite = np.sort(column[np.isfinite(column)])
        mean = float(finite.mean()) if len(finite) else 0.0
        moments.append((float(len(finite)), mean, float(((finite - mean) ** 2).sum())))
    return [list(part) for part in zip(*moments, strict=True)]
