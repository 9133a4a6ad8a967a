"""Two sides' latencies compared, hop by hop: quantiles and a distance with its interval (L4).

Never two single numbers: the distance is between distributions, Wasserstein's of order 1, and its
interval is from resampling both. `latency_words` and `latency_page` tell it, `journey` has it in
its comparison. Samples count as independent of each other, which those of one batch are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.parity.latency_fit import Floats, Traces

Counts = NDArray[np.int64]
Pair = tuple[float, float]

LEAST = 30
"""Samples on each side below which nothing is said of a hop."""
LEAST_P99 = 100
"""Below it the 99th percentile is only the largest sample."""
RESAMPLES = 400
CONFIDENCE = 0.95
TOLERANCE = 0.1
"""Share of the mean of both sides by which a hop may differ."""
QUANTILES = (0.5, 0.9, 0.99)
SHARES = np.linspace(0.0, 1.0, 101)
"""Where a side's distribution is kept for its picture."""
KNOTS = 1_000
"""Distinct values that resamples are drawn from, at most: neighbours count as their mean."""

SAME, DIFFERENT, UNCLEAR, TOO_FEW = "same", "DIFFERENT", "unclear", "too few"


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


@dataclass(frozen=True)
class HopDifference:
    """One hop on two sides; ``distance`` is None where one has too few samples.

    ``means_s`` and each of ``quantiles_s`` (p50, p90, p99; None where samples are too few) are
    here and there; ``curves_s`` are the two sides' quantiles at `SHARES`.
    """

    hop: str
    samples: tuple[int, int]
    means_s: Pair
    quantiles_s: tuple[Pair | None, ...]
    distance: Distance | None
    curves_s: tuple[tuple[float, ...], tuple[float, ...]]

    def beyond(self, tolerance: float) -> bool:
        """Tell whether the hop surely differs by more than the tolerance."""
        return self.distance is not None and self.distance.interval[0] > tolerance

    def verdict(self, tolerance: float) -> str:
        """Return SAME or DIFFERENT where the whole interval says so, UNCLEAR or TOO_FEW else."""
        if self.distance is None:
            return TOO_FEW
        low, high = self.distance.interval
        if low > tolerance:
            return DIFFERENT
        return SAME if high <= tolerance else UNCLEAR

    def to_json(self, tolerance: float) -> dict[str, Any]:
        """Return the numbers as plain values."""
        found = self.distance
        return {
            "hop": self.hop,
            "samples": list(self.samples),
            "mean_s": list(self.means_s),
            **{
                f"p{share * 100:.0f}_s": None if pair is None else list(pair)
                for share, pair in zip(QUANTILES, self.quantiles_s, strict=True)
            },
            "wasserstein_1_s": None if found is None else found.seconds,
            "interval_s": None if found is None else [found.low_s, found.high_s],
            "share_of_mean": None if found is None else found.share,
            "interval_of_share": None if found is None else list(found.interval),
            "verdict": self.verdict(tolerance),
        }


@dataclass(frozen=True)
class Latencies:
    """What two sides say of all their hops; ``only_here`` and ``only_there`` cannot be compared."""

    hops: tuple[HopDifference, ...] = ()
    only_here: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    @property
    def different(self) -> tuple[str, ...]:
        """The hops that surely differ by more than the tolerance."""
        return tuple(each.hop for each in self.hops if each.beyond(self.tolerance))

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {
            "tolerance": self.tolerance,
            "confidence": CONFIDENCE,
            "least_samples": LEAST,
            "different": list(self.different),
            "hops": [each.to_json(self.tolerance) for each in self.hops],
            "only_here": list(self.only_here),
            "only_there": list(self.only_there),
        }


def latencies(
    here: Traces, there: Traces, tolerance: float = TOLERANCE, seed: int = 0
) -> Latencies:
    """Compare every hop that both sides have."""
    return Latencies(
        tuple(latency_differences(here, there, seed)),
        tuple(sorted(set(here) - set(there))),
        tuple(sorted(set(there) - set(here))),
        tolerance,
    )


def latency_differences(here: Traces, there: Traces, seed: int = 0) -> list[HopDifference]:
    """Return the difference of every hop that both sides have, by name."""
    return [_compared(hop, here[hop], there[hop], seed) for hop in sorted(here) if hop in there]


def distance_of(here: Floats, there: Floats, seed: int = 0) -> Distance:
    """Return the distance of two samples (n,), (m,), with its interval.

    The interval has the wider of both ends of the percentile and of the basic bootstrap (Davison
    and Hinkley, Bootstrap Methods, 5.2-5.3): resamples are further apart than what they are made
    of, and near 0 either alone misses. It begins at 0 where samples drawn from both sides as one
    are as far apart in one case of twenty. Sides may be exchanged without any effect.
    """
    scale_s = 0.5 * (float(here.mean()) + float(there.mean()))
    first, second = sorted((here, there), key=lambda side: (len(side), np.sort(side).tobytes()))
    values, merged = np.unique(np.concatenate((first, second)), return_inverse=True)
    ours: Counts = np.bincount(merged[: len(first)], minlength=len(values))
    theirs: Counts = np.bincount(merged[len(first) :], minlength=len(values))
    gaps = np.diff(values)
    (seconds,) = _distances(gaps, ours[None, :], theirs[None, :]).tolist()
    if seconds == 0.0:
        return Distance(0.0, 0.0, 0.0, scale_s)
    rng = np.random.default_rng(seed)
    values, ours, theirs = _fewer(values, ours, theirs)
    gaps = np.diff(values)
    found = _resampled(rng, gaps, (ours, theirs), (ours, theirs))
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(found, (tail, 1.0 - tail)).tolist()
    alike = _resampled(rng, gaps, (ours, theirs), (ours + theirs, ours + theirs))
    by_chance = seconds <= float(np.quantile(alike, CONFIDENCE))
    return Distance(
        seconds,
        0.0 if by_chance else max(0.0, min(low, 2 * seconds - high)),
        max(high, 2 * seconds - low),
        scale_s,
    )


def _compared(hop: str, here: Floats, there: Floats, seed: int) -> HopDifference:
    samples = len(here), len(there)
    kept = [share if share < 0.99 or min(samples) >= LEAST_P99 else None for share in QUANTILES]
    enough = min(samples) >= LEAST
    return HopDifference(
        hop,
        samples,
        (float(here.mean()), float(there.mean())),
        tuple(
            (float(np.quantile(here, share)), float(np.quantile(there, share)))
            if enough and share is not None
            else None
            for share in kept
        ),
        distance_of(here, there, seed) if enough else None,
        (_curve(here), _curve(there)),
    )


def _curve(seconds: Floats) -> tuple[float, ...]:
    return tuple(np.quantile(seconds, SHARES).tolist())


def _fewer(values: Floats, ours: Counts, theirs: Counts) -> tuple[Floats, Counts, Counts]:
    """Return at most `KNOTS` values, each with as many samples of both sides as any other."""
    both = ours + theirs
    if len(values) <= KNOTS:
        return values, ours, theirs
    place = (np.cumsum(both) - 1) * KNOTS // both.sum()
    _, place = np.unique(place, return_inverse=True)
    counts = [np.bincount(place, weights=side).astype(np.int64) for side in (ours, theirs)]
    means: Floats = np.bincount(place, weights=values * both) / (counts[0] + counts[1])
    return means, counts[0], counts[1]


def _resampled(
    rng: np.random.Generator,
    gaps: Floats,
    sizes: tuple[Counts, Counts],
    sources: tuple[Counts, Counts],
) -> Floats:
    """Return distances of samples as large as ``sizes``, drawn from ``sources`` with putting back.

    What is drawn are counts of each value: nothing has to be sorted again.
    """
    first, second = (
        rng.multinomial(int(size.sum()), source / source.sum(), size=RESAMPLES)
        for size, source in zip(sizes, sources, strict=True)
    )
    return _distances(gaps, first, second)


def _distances(gaps: Floats, ours: Counts, theirs: Counts) -> Floats:
    """Return the area between each two distribution functions (k, values), in seconds."""
    size_here, size_there = ours.sum(axis=1, keepdims=True), theirs.sum(axis=1, keepdims=True)
    apart = np.cumsum(ours, axis=1) / size_here - np.cumsum(theirs, axis=1) / size_there
    found: Floats = np.abs(apart[:, :-1]) @ gaps
    return found
