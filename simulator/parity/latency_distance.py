"""How far two distributions of latencies are apart, with an interval: by resampling both.

`latency_diff` asks for each hop. The distance is Wasserstein's of order 1. Where a side has several
runs, runs are drawn first and samples within each then, so that the interval holds what differs
from run to run; of one run it holds only what differs within. Samples of a run count as
independent of each other, which those of one batch are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.parity.latency_fit import Floats

Counts = NDArray[np.int64]
Pair = tuple[float, float]
Runs = Sequence[Floats]
"""The samples of one side, (n,) of each run."""

RESAMPLES = 400
CONFIDENCE = 0.95
KNOTS = 1_000
"""Distinct values that resamples are drawn from, at most: neighbours count as their mean."""


@dataclass(frozen=True)
class Distance:
    """Wasserstein-1 distance in seconds: the mean gap between the two sides' quantiles.

    ``low_s`` and ``high_s`` are its 95 % interval, ``scale_s`` is the mean of both sides' means.
    """

    seconds: float
    low_s: float
    high_s: float
    scale_s: float

    @property
    def share(self) -> float:
        """Return the distance as a share of the mean."""
        return self._of_mean(self.seconds)

    @property
    def interval(self) -> Pair:
        """Return the interval as shares of the mean."""
        return self._of_mean(self.low_s), self._of_mean(self.high_s)

    def _of_mean(self, value_s: float) -> float:
        return value_s / self.scale_s if self.scale_s else 0.0


def distance_of(here: Floats | Runs, there: Floats | Runs, seed: int = 0) -> Distance:
    """Return the distance of two sides, each the samples (n,) of a run or of several runs.

    The interval has the wider of both ends of the percentile and of the basic bootstrap (Davison
    and Hinkley, Bootstrap Methods, 5.2-5.3): resamples are further apart than what they are made
    of, and near 0 either alone misses. It begins at 0 where samples drawn from both sides as one
    are as far apart in one case of twenty. Sides may be exchanged without any effect.
    """
    first, second = sorted((_runs(here), _runs(there)), key=_order)
    means = [float(np.concatenate(side).mean()) for side in (first, second)]
    scale_s = 0.5 * sum(means)
    values, merged = np.unique(np.concatenate((*first, *second)), return_inverse=True)
    ends = np.cumsum([len(run) for run in (*first, *second)])[:-1]
    counts = np.array([np.bincount(run, minlength=len(values)) for run in np.split(merged, ends)])
    sides = counts[: len(first)], counts[len(first) :]
    (seconds,) = _distances(np.diff(values), *(each.sum(axis=0)[None, :] for each in sides))
    if seconds == 0.0:
        return Distance(0.0, 0.0, 0.0, scale_s)
    rng = np.random.default_rng(seed)
    values, counts = _fewer(values, counts)
    gaps, ours, theirs = np.diff(values), counts[: len(first)], counts[len(first) :]
    found = _distances(gaps, _resampled(rng, ours), _resampled(rng, theirs))
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(found, (tail, 1.0 - tail)).tolist()
    alike = _distances(gaps, *_as_one(rng, ours, theirs))
    by_chance = seconds <= float(np.quantile(alike, CONFIDENCE))
    return Distance(
        float(seconds),
        0.0 if by_chance else max(0.0, min(low, 2 * float(seconds) - high)),
        max(high, 2 * float(seconds) - low),
        scale_s,
    )


def _runs(side: Floats | Runs) -> list[Floats]:
    return [side] if isinstance(side, np.ndarray) else list(side)


def _order(side: Runs) -> tuple[int, bytes, list[bytes]]:
    """Return what decides which side is drawn first, whichever was given first."""
    pooled = np.concatenate(side)
    return len(pooled), np.sort(pooled).tobytes(), [run.tobytes() for run in side]


def _fewer(values: Floats, counts: Counts) -> tuple[Floats, Counts]:
    """Return at most `KNOTS` values, each with as many samples of all runs as any other."""
    both = counts.sum(axis=0)
    if len(values) <= KNOTS:
        return values, counts
    place = (np.cumsum(both) - 1) * KNOTS // both.sum()
    _, place = np.unique(place, return_inverse=True)
    fewer = np.array([np.bincount(place, weights=run).astype(np.int64) for run in counts])
    means: Floats = np.bincount(place, weights=values * both) / fewer.sum(axis=0)
    return means, fewer


def _resampled(rng: np.random.Generator, runs: Counts) -> Counts:
    """Return counts (RESAMPLES, values) drawn with putting back from the runs (runs, values).

    Of several runs one less is drawn than there are: their mean then varies from resample to
    resample as that of so many runs does (Rao and Wu, 1988), where as many would vary too little.
    What is drawn are counts of each value: nothing has to be sorted again.
    """
    return _drawn(rng, runs, max(1, len(runs) - 1))


def _as_one(rng: np.random.Generator, ours: Counts, theirs: Counts) -> tuple[Counts, Counts]:
    """Return counts of both sides as if they were of one: of the same runs, or the same samples."""
    if min(len(ours), len(theirs)) > 1:
        every = np.concatenate((ours, theirs))
        return _drawn(rng, every, len(ours)), _drawn(rng, every, len(theirs))
    both = ours.sum(axis=0) + theirs.sum(axis=0)
    first, second = (
        rng.multinomial(int(size.sum()), both / both.sum(), size=RESAMPLES)
        for size in (ours, theirs)
    )
    return first, second


def _drawn(rng: np.random.Generator, runs: Counts, number: int) -> Counts:
    """Draw so many runs with putting back, and as many samples of each as it has."""
    sizes = runs.sum(axis=1)
    if len(runs) == 1:
        return rng.multinomial(int(sizes[0]), runs[0] / sizes[0], size=RESAMPLES)
    picked = rng.multinomial(number, np.full(len(runs), 1.0 / len(runs)), size=RESAMPLES)
    found: Counts = np.zeros((RESAMPLES, runs.shape[1]), np.int64)
    for run, size, times in zip(runs, sizes, picked.T, strict=True):
        # So many samples of one run, drawn at once, are those of each time that it was picked.
        found += rng.multinomial(times * size, run / size)
    return found


def _distances(gaps: Floats, ours: Counts, theirs: Counts) -> Floats:
    """Return the area between each two distribution functions (k, values), in seconds."""
    size_here, size_there = ours.sum(axis=1, keepdims=True), theirs.sum(axis=1, keepdims=True)
    apart = np.cumsum(ours, axis=1) / size_here - np.cumsum(theirs, axis=1) / size_there
    found: Floats = np.abs(apart[:, :-1]) @ gaps
    return found
