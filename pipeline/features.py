"""The features, once: the Glue job, training and the detector all compute them here.

A feature row at time t describes the readings of one device with event time in
``(t - window, t]``, t being a whole multiple of the hop. Sums are taken window by window over
that window's readings alone, so a row has the same bits whether it is computed with a million
others or by itself; only the order of the readings counts, which is (event time, seq).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bursts import BURST_FEATURES
from pipeline.settings import BURST_SENSOR, FeatureSpec

STATISTICS = ("mean", "std", "slope")
"""Per sensor: mean, deviation of the window's readings (divided by n), trend per second."""

_DEVICE_STRIDE_MS = 1 << 44
"""Apart from each other by this, devices share one sorted axis (2^44 ms: the year 2527)."""
_CHUNK_READINGS = 1 << 17
"""Readings gathered at once: bounds the memory of a batch without slowing it."""


@dataclass(frozen=True)
class Signals:
    """Readings of several devices, sorted by (device, event time, seq).

    ``device`` ``(n,) int64`` counts from 0, ``event_time_ms`` ``(n,) int64``, ``values``
    ``(n, n_sensors) float64``. ``burst_device``, ``burst_time_ms`` ``(b,)`` and
    ``burst_values`` ``(b, n_burst_features)`` are the bursts, sorted alike.
    """

    device: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    burst_device: NDArray[np.int64]
    burst_time_ms: NDArray[np.int64]
    burst_values: NDArray[np.float64]


@dataclass(frozen=True)
class FeatureRows:
    """Feature rows of several devices, sorted by (device, event time).

    ``device`` ``(m,) int64`` as in the signals, ``event_time_ms`` ``(m,) int64``, ``n`` ``(m,)
    int64`` readings in the window, ``features`` ``(m, n_features) float64``.
    """

    device: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    n: NDArray[np.int64]
    features: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_time_ms)


def feature_names(spec: FeatureSpec) -> tuple[str, ...]:
    """Return the names of the columns, e.g. ``temperature_c_mean``."""
    names = tuple(f"{sensor}_{statistic}" for sensor in spec.sensors for statistic in STATISTICS)
    return names + BURST_FEATURES if spec.bursts else names


def sensor_of_feature(spec: FeatureSpec) -> tuple[str, ...]:
    """Return for each feature the sensor it belongs to; bursts are one sensor of their own."""
    names = tuple(sensor for sensor in spec.sensors for _ in STATISTICS)
    return names + (BURST_SENSOR,) * len(BURST_FEATURES) if spec.bursts else names


def feature_rows(
    signals: Signals, lower_ms: NDArray[np.int64], upper_ms: NDArray[np.int64], spec: FeatureSpec
) -> FeatureRows:
    """Return the rows with time in ``[lower_ms[device], upper_ms[device])`` of each device.

    A row exists when its window has at least ``spec.min_count`` readings. Its burst features
    are those of the latest burst in ``(t - burst_max_age, t]``, NaN when there is none.
    """
    device, at_ms = _candidates(signals.device, signals.event_time_ms, lower_ms, upper_ms, spec)
    keys = signals.device * _DEVICE_STRIDE_MS + signals.event_time_ms
    at_keys = device * _DEVICE_STRIDE_MS + at_ms
    low = np.searchsorted(keys, at_keys - spec.window_ms, side="right")
    high = np.searchsorted(keys, at_keys, side="right")
    enough = high - low >= spec.min_count
    device, at_ms, low, high = device[enough], at_ms[enough], low[enough], high[enough]
    features = _statistics(signals.event_time_ms, signals.values, low, high)
    if spec.bursts:
        latest = _latest_bursts(signals, at_keys[enough], spec)
        features = np.hstack([features, latest])
    return FeatureRows(device, at_ms, high - low, features)


def telemetry_features(
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    at_ms: NDArray[np.int64],
    spec: FeatureSpec,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return one device's statistics ``(m, 3 * n_sensors)`` and counts ``(m,)`` at given times.

    ``event_time_ms`` is sorted. An empty window gives NaN.
    """
    low = np.searchsorted(event_time_ms, at_ms - spec.window_ms, side="right")
    high = np.searchsorted(event_time_ms, at_ms, side="right")
    some = high > low
    features = np.full((len(at_ms), len(STATISTICS) * values.shape[1]), np.nan)
    features[some] = _statistics(event_time_ms, values, low[some], high[some])
    return features, high - low


def grid(
    event_time_ms: NDArray[np.int64], lower_ms: int, upper_ms: int, spec: FeatureSpec
) -> NDArray[np.int64]:
    """Return the times in ``[lower_ms, upper_ms)`` whose window can have a reading."""
    return _candidates(
        np.zeros(len(event_time_ms), np.int64),
        event_time_ms,
        np.array([lower_ms]),
        np.array([upper_ms]),
        spec,
    )[1]


def _candidates(
    device: NDArray[np.int64],
    event_time_ms: NDArray[np.int64],
    lower_ms: NDArray[np.int64],
    upper_ms: NDArray[np.int64],
    spec: FeatureSpec,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (device, time) of the grid points near readings.

    The grid is laid over stretches without a gap longer than the window, not from the first to
    the last reading: one device whose clock once said 1970 must not cost billions of points.
    """
    if not len(event_time_ms):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    gap = (np.diff(event_time_ms) > spec.window_ms) | (np.diff(device) != 0)
    starts = np.concatenate([[0], np.flatnonzero(gap) + 1])
    ends = np.concatenate([starts[1:], [len(device)]]) - 1
    owner = device[starts]
    first = np.maximum(event_time_ms[starts], lower_ms[owner])
    stop = np.minimum(event_time_ms[ends] + spec.window_ms, upper_ms[owner])
    first_step = -(-first // spec.hop_ms)
    steps = np.maximum(-(-stop // spec.hop_ms) - first_step, 0)
    within = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)
    return np.repeat(owner, steps), (np.repeat(first_step, steps) + within) * spec.hop_ms


def _latest_bursts(
    signals: Signals, at_keys: NDArray[np.int64], spec: FeatureSpec
) -> NDArray[np.float64]:
    """Return the features of each row's latest burst that is not too old."""
    latest = np.full((len(at_keys), len(BURST_FEATURES)), np.nan)
    if len(signals.burst_device):
        keys = signals.burst_device * _DEVICE_STRIDE_MS + signals.burst_time_ms
        position = np.searchsorted(keys, at_keys, side="right") - 1
        found = (position >= 0) & (keys[position] > at_keys - spec.burst_max_age_ms)
        latest[found] = signals.burst_values[position[found]]
    return latest


def _statistics(
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the statistics of the non-empty windows ``[low, high)``.

    A sensor that gave no value (NaN) counts with the values it gave; with none it has NaN.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return _complete_statistics(event_time_ms, values, low, high)
    features = np.full((len(low), values.shape[1], len(STATISTICS)), np.nan)
    for sensor in range(values.shape[1]):
        given = ~gaps[:, sensor]
        before = np.concatenate([[0], np.cumsum(given)])
        some = before[high] > before[low]
        features[some, sensor] = _complete_statistics(
            event_time_ms[given],
            values[given, sensor : sensor + 1],
            before[low[some]],
            before[high[some]],
        )
    return features.reshape(len(low), len(STATISTICS) * values.shape[1])


def _complete_statistics(
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the statistics of the non-empty windows ``[low, high)`` in chunks."""
    features = np.empty((len(low), len(STATISTICS) * values.shape[1]))
    columns = np.ascontiguousarray(values.T)
    ends = np.cumsum(high - low)
    start = 0
    while start < len(low):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK_READINGS, side="right")))
        rows = slice(start, stop)
        features[rows] = _chunk_statistics(event_time_ms, columns, low[rows], high[rows])
        start = stop
    return features


def _chunk_statistics(
    event_time_ms: NDArray[np.int64],
    columns: NDArray[np.float64],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return mean, deviation and slope in two passes over each window's own readings.

    Values count from the window's first one: that keeps digits, and a stuck sensor has a
    deviation of exactly 0. Overflow of absurd values gives inf, which is theirs to show.
    """
    n = high - low
    starts = np.cumsum(n) - n
    row = np.repeat(np.arange(len(n)), n)
    index = np.arange(len(row)) + (low - starts)[row]
    # From the window's first reading: readings of one moment have a spread of exactly 0.
    seconds = (event_time_ms[index] - event_time_ms[low][row]) / 1000.0
    seconds -= (np.add.reduceat(seconds, starts) / n)[row]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        base = columns[:, low]
        deviation = columns[:, index] - base[:, row]
        shift = np.add.reduceat(deviation, starts, axis=1) / n
        deviation -= shift[:, row]
        std = np.sqrt(np.add.reduceat(deviation * deviation, starts, axis=1) / n)
        spread = np.add.reduceat(seconds * seconds, starts)
        slope = np.add.reduceat(deviation * seconds, starts, axis=1) / spread
    slope[:, spread == 0] = 0.0
    # (statistic, sensor, row) to (row, sensor, statistic): a sensor's features are neighbours.
    return np.stack([base + shift, std, slope]).transpose(2, 1, 0).reshape(len(n), -1)
