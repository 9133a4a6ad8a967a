"""Flags of feature rows: what their windows hold that no healthy sensor gives.

A flagged value still counts, online as here: who reads the rows decides what to do with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.features import FeatureRows, Signals
from pipeline.settings import FeatureSpec

QUALITY_COLUMNS = ("impossible_values", "stuck_sensors", "gaps")
"""Values beyond the sensor's limits; sensors that gave one value all the time; steps between
readings of more than the gap time. All of the row's main window."""

GAP_HOPS = 3
"""A gap, where the spec does not say: this many hops without a reading."""

_STRIDE_MS = 1 << 44


def gap_ms(spec: FeatureSpec) -> int:
    """Return from how long on a step between readings is a gap."""
    return spec.gap_ms or GAP_HOPS * spec.hop_ms


def row_quality(
    signals: Signals, rows: FeatureRows, spec: FeatureSpec
) -> tuple[list[NDArray[np.int64]], dict[str, int]]:
    """Return `QUALITY_COLUMNS` of each row, and counts over all values."""
    values = signals.values
    keys = signals.device * _STRIDE_MS + signals.event_time_ms
    at_keys = rows.device * _STRIDE_MS + rows.event_time_ms
    low = np.searchsorted(keys, at_keys - spec.window_ms, side="right")
    high = np.searchsorted(keys, at_keys, side="right")
    limits = np.array(spec.limits)
    # A comparison with NaN is false: a value that is not there is not impossible.
    impossible = (values < limits[:, 0]) | (values > limits[:, 1])
    counted = _running(impossible.sum(axis=1))
    stuck = np.zeros(len(rows), np.int64)
    for sensor in range(values.shape[1]):
        given = ~np.isnan(values[:, sensor])
        moved = _running(_moves(values[given, sensor]))
        before = _running(given)
        n = before[high] - before[low]
        # The step into a window is not the window's own.
        still = moved[before[high]] == moved[np.minimum(before[low] + 1, len(moved) - 1)]
        stuck += (n >= max(2, spec.min_count)) & still
    longer = _running(np.diff(signals.event_time_ms, prepend=0) > gap_ms(spec))
    gaps = longer[high] - longer[np.minimum(low + 1, len(longer) - 1)]
    columns = [counted[high] - counted[low], stuck, gaps]
    totals = {
        "missing": int(np.isnan(values).sum()),
        "impossible": int(impossible.sum()),
    }
    return [np.asarray(column, np.int64) for column in columns], totals


def _moves(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each value differs from the one before it."""
    moves = np.ones(len(values), np.bool_)
    moves[1:] = values[1:] != values[:-1]
    return moves


def _running(marks: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many marks there are before each place, and in all."""
    return np.concatenate([[0], np.cumsum(marks)])
