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

from pipeline.bursts import burst_feature_names
from pipeline.settings import BURST_SENSOR, FeatureSpec
from pipeline.window_statistics import gap_counts, window_statistics

GAPS = "gaps"
"""The name under which counts of gaps are attributed."""

EWMA_SHARE = 1 / 3
"""Time constant of the exponentially weighted mean, as a share of its window: what is left out
beyond the window's start weighs 5 % (exp -3)."""

_DEVICE_STRIDE_MS = 1 << 44
"""Apart from each other by this, devices share one sorted axis (2^44 ms: the year 2527)."""


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
    """Return the names of the columns, e.g. ``temperature_c_mean``, ``temperature_c_mean_300s``.

    First each sensor's statistics over the main window, then over the longer ones, then ratios,
    counts of gaps, and the features of the latest burst.
    """
    return tuple(name for name, _ in _columns(spec))


def sensor_of_feature(spec: FeatureSpec) -> tuple[str, ...]:
    """Return for each feature the sensor it belongs to.

    A ratio belongs to its numerator; bursts are one sensor of their own, and so are gaps.
    """
    return tuple(sensor for _, sensor in _columns(spec))


def _columns(spec: FeatureSpec) -> list[tuple[str, str]]:
    """Return (name, sensor) of each column."""
    suffixes = ["", *(f"_{ms / 1000:g}s".replace(".", "_") for ms in spec.long_windows_ms)]
    columns = [
        (f"{sensor}_{statistic}{suffix}", sensor)
        for suffix in suffixes
        for sensor in spec.sensors
        for statistic in spec.statistics
    ]
    columns += [(f"{above}_per_{below}", above) for above, below in spec.ratios]
    if spec.gap_ms:
        columns += [(f"gap_count{suffix}", GAPS) for suffix in suffixes]
    if spec.bursts:
        columns += [(name, BURST_SENSOR) for name in burst_feature_names(spec)]
    return columns


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
    at_keys = at_keys[enough]
    windows = [(low, high, spec.window_ms)]
    for window_ms in spec.long_windows_ms:
        windows.append((np.searchsorted(keys, at_keys - window_ms, side="right"), high, window_ms))
    parts = [
        _statistics(signals.event_time_ms, signals.values, first, last, window_ms, spec)
        for first, last, window_ms in windows
    ]
    if spec.ratios:
        parts.append(_ratios(signals, low, high, spec))
    if spec.gap_ms:
        parts += [
            gap_counts(signals.event_time_ms, first, last, spec.gap_ms)[:, None].astype(np.float64)
            for first, last, _ in windows
        ]
    if spec.bursts:
        parts.append(_latest_bursts(signals, at_keys, spec))
    features = np.hstack(parts) if len(parts) > 1 else parts[0]
    return FeatureRows(device, at_ms, high - low, features)


def telemetry_features(
    event_time_ms: NDArray[np.int64],
    values: NDArray[np.float64],
    at_ms: NDArray[np.int64],
    spec: FeatureSpec,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return one device's statistics of the main window, and counts ``(m,)``, at given times.

    Statistics are ``(m, n_sensors * n_statistics)``. ``event_time_ms`` is sorted. An empty
    window gives NaN.
    """
    low = np.searchsorted(event_time_ms, at_ms - spec.window_ms, side="right")
    high = np.searchsorted(event_time_ms, at_ms, side="right")
    some = high > low
    features = np.full((len(at_ms), len(spec.statistics) * values.shape[1]), np.nan)
    features[some] = _statistics(event_time_ms, values, low[some], high[some], spec.window_ms, spec)
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
    latest = np.full((len(at_keys), signals.burst_values.shape[1]), np.nan)
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
    window_ms: int,
    spec: FeatureSpec,
) -> NDArray[np.float64]:
    """Return the statistics of the non-empty windows, a row a window."""
    found = window_statistics(
        event_time_ms, values, low, high, spec.statistics, window_ms * EWMA_SHARE
    )
    return found.reshape(len(low), found.shape[1] * found.shape[2])


def _ratios(
    signals: Signals, low: NDArray[np.intp], high: NDArray[np.intp], spec: FeatureSpec
) -> NDArray[np.float64]:
    """Return the ratios of the main window's means; NaN where the lower one is 0 or missing."""
    means = window_statistics(
        signals.event_time_ms, signals.values, low, high, ("mean",), float(spec.window_ms)
    )[:, :, 0]
    above = means[:, [spec.sensors.index(name) for name, _ in spec.ratios]]
    below = means[:, [spec.sensors.index(name) for _, name in spec.ratios]]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return np.where(below == 0, np.nan, above / below)
