"""Thresholds from healthy rows that the model has not seen.

Limits fitted on a model's own training rows explode out of sample, so every row's score used here
comes from a model that was fitted without the row's block of time (`folds`). The threshold is the
level that the *episode rule itself* (smoothing, rows in a row) passes at the designed rate of
false alarms per machine-day; rarer rates than the healthy history can show are extrapolated from
the tail of the peaks (`threshold_for_rate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MS_PER_DAY = 86_400_000.0

# The share of the peaks that describes the tail, and the fewest that do. Fewer make the threshold
# jump with every new history, more reach into the body. Measured by calibrating on each 40 of 320
# healthy machine-days and counting on the others, for two plants, at a design of 0.05 episodes a
# machine-day: 0.011 to 0.111 with the highest 20 peaks and an exponential tail, mean 0.047; 0.007
# to 0.054 with the highest 184 of 12,254 and their squares, mean 0.033.
TAIL_SHARE = 0.015
TAIL_PEAKS = 20

# With so small a chance the highest peak of a healthy history is taken for a fault.
OUTLIER_CHANCE = 0.001


def folds(
    units: list[str], times_ms: NDArray[np.int64], count: int, purge_ms: int
) -> Iterator[tuple[Mask, Mask]]:
    """Yield (train, held out) masks: block b of each unit's own time is held out in fold b.

    Rows closer than `purge_ms` to a held-out block are in neither mask: their windows overlap.
    """
    names = np.array(units)
    for block in range(count):
        train = np.ones(len(names), dtype=np.bool_)
        held = np.zeros(len(names), dtype=np.bool_)
        for name in sorted(set(units)):
            rows = np.flatnonzero(names == name)
            rows = rows[np.argsort(times_ms[rows], kind="stable")]
            part = np.array_split(rows, count)[block]
            if not len(part):
                continue
            held[part] = True
            first, last = times_ms[part[0]], times_ms[part[-1]]
            near = (times_ms[rows] > first - purge_ms) & (times_ms[rows] < last + purge_ms)
            train[rows[near]] = False
            train[part] = False
        yield train, held


def episode_peaks(smoothed: Floats, enter_rows: int, separation_rows: int) -> Floats:
    """Return the independent peaks of the level that `enter_rows` rows in a row keep above.

    Peaks closer than `separation_rows` belong to one episode and only the highest counts. NaN
    rows (a smoothing that is not full yet) take no part.
    """
    levels = smoothed[np.isfinite(smoothed)]
    if len(levels) < enter_rows:
        return np.empty(0)
    kept = np.lib.stride_tricks.sliding_window_view(levels, enter_rows).min(axis=1)
    taken = np.zeros(len(kept), dtype=np.bool_)
    peaks: list[float] = []
    for row in np.argsort(-kept, kind="stable"):
        near = slice(max(0, row - separation_rows), row + separation_rows + 1)
        if not taken[near].any():
            taken[row] = True
            peaks.append(float(kept[row]))
    return np.array(peaks)


def threshold_for_rate(peaks: Floats, machine_days: float, per_machine_day: float) -> float:
    """Return the level passed by `per_machine_day` episodes a day, given peaks of so many days.

    Peaks are not negative. Within the history it is the peak of that rank; beyond, the excesses
    of the *squares* over a high level are taken as exponential: scores are lengths of vectors, and
    the squared length of a Gaussian vector has that tail, whatever its correlations. The level is
    the one that future peaks pass at the rate wanted when the uncertainty of the tail's mean is
    counted in (the Pareto law that an exponential with a Gamma-distributed rate becomes).

    Where the history has fewer than `TAIL_PEAKS` for a tail, they reach into the body, and the
    excesses of the scores themselves are taken as exponential (the limit law of light tails:
    Pickands 1975), which errs on the high side. Raises ValueError without peaks.
    """
    if not len(peaks):
        raise ValueError("no healthy rows to calibrate on")
    ordered = np.sort(peaks)[::-1]
    wanted = per_machine_day * machine_days
    tail = _tail(len(ordered))
    if wanted >= tail:
        return float(ordered[min(int(wanted), len(ordered) - 1)])
    few = tail < TAIL_PEAKS
    levels = ordered if few else np.square(ordered)
    start = float(levels[min(tail, len(ordered) - 1)])
    mean_excess = float(np.mean(levels[:tail] - start))
    if few:
        return start + mean_excess * float(np.log(tail / wanted))
    further = tail * (float(tail / wanted) ** (1.0 / tail) - 1.0)
    return float(np.sqrt(start + mean_excess * further))


def outlier_limit(peaks: Sequence[Floats]) -> float:
    """Return the level from which on a peak is a fault's, given each machine's healthy and other.

    The highest healthy peak passes it with the chance `OUTLIER_CHANCE`, by the exponential tail of
    the squares (`threshold_for_rate`), with its mean taken from the median. The tail is that of
    the machines that agree: beginning with more than half of them, those with the lowest
    maxima, the others are taken in by their maxima until one is beyond the limit (a forward
    search: Hadi, J. R. Statist. Soc. B 54 (1992)). Infinity where none is, and where those have
    too few peaks for a tail.
    """
    ordered = sorted(peaks, key=lambda own: float(own.max(initial=0.0)))
    for count in range(len(ordered) // 2 + 1, len(ordered)):
        limit = _highest_healthy(np.concatenate(ordered[:count]))
        if ordered[count].max(initial=0.0) > limit:
            return limit
    return float("inf")


def _highest_healthy(peaks: Floats) -> float:
    tail = _tail(len(peaks))
    if tail < TAIL_PEAKS:
        return float("inf")
    squares = np.sort(np.square(peaks))[::-1]
    start = float(squares[tail])
    mean_excess = float(np.median(squares[:tail] - start)) / float(np.log(2.0))
    return float(np.sqrt(start + mean_excess * np.log(tail / OUTLIER_CHANCE)))


def _tail(peaks: int) -> int:
    """Return how many of so many peaks describe the tail."""
    return max(1, min(max(TAIL_PEAKS, int(TAIL_SHARE * peaks)), peaks // 2))
