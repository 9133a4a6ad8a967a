"""Limits of drift from the reference's own blocks of time.

Used by the baseline. Sensors are autocorrelated: an hour of them differs from a day of them by
far more than independent samples would, so tests for those alarm all the time. How far a healthy
hour is from the rest of the reference is measured instead, on contiguous blocks as long as a
window of monitoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobInputError
from pipeline.monitoring import distance
from pipeline.monitoring.sketch import KllSketch

Floats = NDArray[np.float64]

MIN_BLOCKS = 100
QUANTILE = 0.99
MARGIN = 1.1
MIN_WINDOWS = 10
"""A reference that is shorter cannot tell how much windows differ from each other."""


@dataclass(frozen=True)
class Limits:
    """The largest usual distance of each column (d,), and what it was taken from.

    `rows` is the median number of rows of a block.
    """

    by_column: Floats
    blocks: int
    rows: int
    starts_ms: NDArray[np.int64]


def block_starts(event_time_ms: NDArray[np.int64], window_ms: int) -> NDArray[np.int64]:
    """Return the starts of the reference's blocks: evenly spread, at least `MIN_BLOCKS`.

    They overlap where the reference has fewer windows than that. Raises JobInputError when it
    has fewer than `MIN_WINDOWS`.
    """
    first, last = int(event_time_ms.min()), int(event_time_ms.max())
    windows = (last - first) / window_ms
    if windows < MIN_WINDOWS:
        raise JobInputError(
            f"the reference is {windows:.1f} windows of {window_ms // 1000} s long: "
            f"limits of drift need {MIN_WINDOWS}"
        )
    count = max(MIN_BLOCKS, int(windows))
    return np.linspace(first, last - window_ms, count).astype(np.int64)


def distances(block: Floats, reference: list[KllSketch | None]) -> Floats:
    """Return the distance of each column of (n, d) rows from its reference; NaN: nothing there."""
    found = np.full(block.shape[1], np.nan)
    for column, sketch in enumerate(reference):
        values = block[np.isfinite(block[:, column]), column]
        if sketch is not None and len(values):
            found[column] = distance.simple(KllSketch.of(values), sketch)
    return found


def sketches(values: Floats) -> list[KllSketch | None]:
    """Return a sketch of the finite values of each column of (n, d); None without any."""
    columns = (values[np.isfinite(values[:, place]), place] for place in range(values.shape[1]))
    return [KllSketch.of(column) if len(column) else None for column in columns]


def drift_limits(event_time_ms: NDArray[np.int64], values: Floats, window_ms: int) -> Limits:
    """Return the limits of (n, d) healthy reference rows; NaN counts as missing.

    Columns differ in how fast they forget. So a block's distances are taken in units of the
    column's mean one, the block's largest of these is its extreme, and the 0.99 quantile of the
    extremes, with a tenth on top, is how many units are usual. A block is a part of the
    reference: divided by the share of the others, its distance is the one from the others.
    """
    starts = block_starts(event_time_ms, window_ms)
    reference = sketches(values)
    measured, rows = [], []
    for start in starts.tolist():
        inside = (event_time_ms >= start) & (event_time_ms < start + window_ms)
        share = inside.mean()
        if not inside.any() or share >= 1.0:
            continue
        measured.append(distances(values[inside], reference) / (1.0 - share))
        rows.append(int(inside.sum()))
    if not measured:
        raise JobInputError("no block of the reference has healthy rows")
    apart = np.array(measured)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    # A column that never moved: one row in a block that does is the least that can be seen.
    unit = np.maximum(mean, 1.0 / np.median(rows))
    extremes = np.where(known, apart / unit, 0.0).max(axis=1)
    usual = MARGIN * max(1.0, float(np.quantile(extremes, QUANTILE)))
    return Limits(np.minimum(usual * unit, 1.0), len(measured), int(np.median(rows)), starts)
