"""Statistics of windows of readings: the arithmetic of the features, window by window.

Every sum is taken over one window's own readings, so a window has the same bits whether it is
computed with a million others or by itself; only the order of the readings counts. Called by
`pipeline.features`, which decides which windows there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHUNK_READINGS = 1 << 17
"""Readings gathered at once: bounds the memory of a batch without slowing it."""

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


def window_statistics(
    event_time_ms: NDArray[np.int64],
    values: Floats,
    low: Places,
    high: Places,
    chosen: tuple[str, ...],
    ewma_ms: float,
) -> Floats:
    """Return ``(n_windows, n_sensors, len(chosen))`` of the non-empty windows ``[low, high)``.

    ``event_time_ms`` ``(n,)`` rises within a window, ``values`` is ``(n, n_sensors)``. A sensor
    that gave no value (NaN) counts with the values it gave; with none it has NaN. ``ewma_ms`` is
    the time constant of the exponentially weighted mean.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return _complete(event_time_ms, values, low, high, chosen, ewma_ms)
    found = np.full((len(low), values.shape[1], len(chosen)), np.nan)
    for sensor in range(values.shape[1]):
        given = ~gaps[:, sensor]
        before = np.concatenate([[0], np.cumsum(given)])
        some = before[high] > before[low]
        found[some, sensor] = _complete(
            event_time_ms[given],
            values[given, sensor : sensor + 1],
            before[low[some]],
            before[high[some]],
            chosen,
            ewma_ms,
        )[:, 0]
    return found


def gap_counts(
    event_time_ms: NDArray[np.int64], low: Places, high: Places, gap_ms: int
) -> NDArray[np.int64]:
    """Return for each non-empty window how many of its steps from reading to reading are longer.

    The step into a window from the reading before it is not the window's own.
    """
    longer = np.concatenate([[0], np.cumsum(np.diff(event_time_ms) > gap_ms)])
    return np.asarray(longer[high - 1] - longer[low], np.int64)


def _complete(
    event_time_ms: NDArray[np.int64],
    values: Floats,
    low: Places,
    high: Places,
    chosen: tuple[str, ...],
    ewma_ms: float,
) -> Floats:
    """Return the statistics of the non-empty windows ``[low, high)`` in chunks."""
    found = np.empty((len(low), values.shape[1], len(chosen)))
    columns = np.ascontiguousarray(values.T)
    ends = np.cumsum(high - low)
    start = 0
    while start < len(low):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK_READINGS, side="right")))
        rows = slice(start, stop)
        found[rows] = _chunk(event_time_ms, columns, low[rows], high[rows], chosen, ewma_ms)
        start = stop
    return found


def _chunk(
    event_time_ms: NDArray[np.int64],
    columns: Floats,
    low: Places,
    high: Places,
    chosen: tuple[str, ...],
    ewma_ms: float,
) -> Floats:
    """Return the statistics in two passes over each window's own readings.

    Values count from the window's first one: that keeps digits, and a stuck sensor has a
    deviation of exactly 0. Overflow of absurd values gives inf, which is theirs to show.
    """
    n = high - low
    starts = np.cumsum(n) - n
    row = np.repeat(np.arange(len(n)), n)
    index = np.arange(len(row)) + (low - starts)[row]
    found: dict[str, Floats] = {}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        base = columns[:, low]
        deviation = columns[:, index] - base[:, row]
        if "min" in chosen:
            found["min"] = base + np.minimum.reduceat(deviation, starts, axis=1)
        if "max" in chosen:
            found["max"] = base + np.maximum.reduceat(deviation, starts, axis=1)
        if "difference" in chosen:
            found["difference"] = columns[:, high - 1] - columns[:, np.maximum(high - 2, low)]
        if "ewma" in chosen:
            weight = np.exp((event_time_ms[index] - event_time_ms[high - 1][row]) / ewma_ms)
            total = np.add.reduceat(weight, starts)
            found["ewma"] = base + np.add.reduceat(deviation * weight, starts, axis=1) / total
        shift = np.add.reduceat(deviation, starts, axis=1) / n
        found["mean"] = base + shift
        if "std" in chosen or "slope" in chosen:
            deviation -= shift[:, row]
            found["std"] = np.sqrt(np.add.reduceat(deviation * deviation, starts, axis=1) / n)
        if "slope" in chosen:
            # From the window's first reading: readings of one moment have a spread of exactly 0.
            seconds = (event_time_ms[index] - event_time_ms[low][row]) / 1000.0
            seconds -= (np.add.reduceat(seconds, starts) / n)[row]
            spread = np.add.reduceat(seconds * seconds, starts)
            slope = np.add.reduceat(deviation * seconds, starts, axis=1) / spread
            slope[:, spread == 0] = 0.0
            found["slope"] = slope
    # (statistic, sensor, row) to (row, sensor, statistic): a sensor's features are neighbours.
    return np.stack([found[name] for name in chosen]).transpose(2, 1, 0)
