"""A recorded run as the pipeline would see it: feature rows of two windows, hop one row.

Each row of a recording counts as one second. The pipeline's own kernel takes the means of each
channel over the last `SHORT_ROWS` and `LONG_ROWS` rows; these are all that any detector sees, so
that none is better for its smoothing. docs/detection.md says how the lengths came about, and the
table has the figures with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.datasets import Run
from pipeline.features import Signals, feature_rows
from pipeline.settings import FeatureSpec

Floats = NDArray[np.float64]

ROW_MS = 1_000
SHORT_ROWS = 3
LONG_ROWS = 12


@dataclass(frozen=True)
class FeatureSet:
    """Feature rows of a run: `healthy` (n, d) and `unseen` to learn from, `values` (m, d) to judge.

    `before` (b, d) are the rows right before `values`, none where these begin a recording.
    """

    spec: FeatureSpec
    healthy: Floats
    before: Floats
    values: Floats
    unseen: Floats | None

    @property
    def memory_rows(self) -> int:
        """How far a row looks back."""
        return self.spec.reach_ms // ROW_MS

    @property
    def history_rows(self) -> int:
        """How many rows the threshold comes from."""
        return len(self.healthy if self.unseen is None else self.unseen)


def spec_of(channels: int, short_rows: int = SHORT_ROWS, long_rows: int = LONG_ROWS) -> FeatureSpec:
    """Return the feature spec for rows of so many channels."""
    return FeatureSpec(
        sensors=tuple(f"channel_{channel}" for channel in range(channels)),
        limits=((-1e300, 1e300),) * channels,
        window_ms=short_rows * ROW_MS,
        hop_ms=ROW_MS,
        bursts=False,
        min_count=1,
        long_windows_ms=(long_rows * ROW_MS,),
        statistics=("mean",),
    )


def features_of(run: Run, spec: FeatureSpec) -> FeatureSet:
    """Return the run's feature rows; those to learn from begin where both windows are full."""
    whole = spec.reach_ms // ROW_MS - 1
    healthy = _features(run.healthy, spec)[whole:]
    before = run.healthy if run.history else run.values[:0]
    values = _features(np.vstack([before, run.values]), spec)
    unseen = None if run.unseen is None else _features(run.unseen, spec)[whole:]
    return FeatureSet(spec, healthy, values[: len(before)], values[len(before) :], unseen)


def unlabelled_windows(runs: Sequence[Run]) -> tuple[int, int]:
    """Return lengths of both windows that healthy rows alone suggest, the same for all runs.

    The longer one is the integrated autocorrelation time, of the mean over channels and runs up
    to its first zero: rows so far apart say something new. The shorter one is half way between one
    row and that in ratio.
    """
    found = [_autocorrelation(run.healthy) for run in runs]
    shortest = min(map(len, found))
    mean = np.mean([one[:shortest] for one in found], axis=0)
    below = np.flatnonzero(mean <= 0.0)
    end = int(below[0]) if len(below) else shortest
    long_rows = max(2, round(1.0 + 2.0 * float(mean[1:end].sum())))
    return max(1, round(long_rows**0.5)), long_rows


def _autocorrelation(rows: Floats) -> Floats:
    """Return the mean autocorrelation of the channels that move, by lag up to half the rows."""
    moving = rows[:, rows.std(axis=0) > 0.0]
    z = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    spectrum = np.abs(np.fft.rfft(z, 2 * len(z), axis=0)) ** 2
    found: Floats = np.fft.irfft(spectrum, axis=0)[: len(z) // 2].mean(axis=1) / len(z)
    return found


def times_ms(count: int) -> NDArray[np.int64]:
    """Return the event times of so many rows that follow each other, from `ROW_MS` on."""
    return np.arange(1, count + 1, dtype=np.int64) * ROW_MS


def _features(rows: Floats, spec: FeatureSpec) -> Floats:
    count, none = len(rows), np.zeros(0, np.int64)
    device = np.zeros(count, np.int64)
    signals = Signals(device, times_ms(count), rows, none, none, np.empty((0, 0)))
    first, end = np.array([ROW_MS]), np.array([(count + 1) * ROW_MS])
    return feature_rows(signals, first, end, spec).features
