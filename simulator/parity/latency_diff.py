"""Two sides' latencies compared, hop by hop: quantiles and a distance with its interval (L4).

Never two single numbers: the distance is between distributions (`latency_distance`). A side may
have several runs. `latency_words` and `latency_page` tell it, `journey` has it in its comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.parity.latency_distance import CONFIDENCE, Distance, Pair, distance_of
from simulator.parity.latency_fit import Floats, Traces

Sides = Sequence[Traces]
"""The traces of one side, of each run."""

LEAST = 30
"""Samples on each side below which nothing is said of a hop."""
LEAST_P99 = 100
"""Below it the 99th percentile is only the largest sample."""
TOLERANCE = 0.1
"""Share of the mean of both sides by which a hop may differ."""
QUANTILES = (0.5, 0.9, 0.99)
SHARES = np.linspace(0.0, 1.0, 101)
"""Where a side's distribution is kept for its picture."""

SAME, DIFFERENT, UNCLEAR, TOO_FEW = "same", "DIFFERENT", "unclear", "too few"


@dataclass(frozen=True)
class HopDifference:
    """One hop on two sides; ``distance`` is None where one has too few samples.

    ``means_s`` and each of ``quantiles_s`` (p50, p90, p99; None where samples are too few) are
    here and there; ``curves_s`` are the two sides' quantiles at `SHARES`. All of them are of the
    samples of all ``runs`` together.
    """

    hop: str
    samples: tuple[int, int]
    means_s: Pair
    quantiles_s: tuple[Pair | None, ...]
    distance: Distance | None
    curves_s: tuple[tuple[float, ...], tuple[float, ...]]
    runs: tuple[int, int] = (1, 1)

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
            "runs": list(self.runs),
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
    runs: tuple[int, int] = (1, 1)
    """How many runs each side has. Of one nothing is known of how much runs differ."""

    @property
    def within_a_run(self) -> bool:
        """Whether a side has one run only, so that intervals hold what differs within it."""
        return min(self.runs) < 2

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
            "runs": list(self.runs),
            "within_a_run": self.within_a_run,
            "different": list(self.different),
            "hops": [each.to_json(self.tolerance) for each in self.hops],
            "only_here": list(self.only_here),
            "only_there": list(self.only_there),
        }


def latencies(here: Traces | Sides, there: Traces | Sides, share: float = TOLERANCE) -> Latencies:
    """Compare every hop that both sides have, each the traces of a run or of several.

    ``share``: of the mean, by which hops may differ.
    """
    ours, theirs = _runs(here), _runs(there)
    hops, others = ({hop for run in side for hop in run} for side in (ours, theirs))
    return Latencies(
        tuple(latency_differences(ours, theirs)),
        tuple(sorted(hops - others)),
        tuple(sorted(others - hops)),
        share,
        (len(ours), len(theirs)),
    )


def latency_differences(here: Traces | Sides, there: Traces | Sides) -> list[HopDifference]:
    """Return the difference of every hop that both sides have, by name."""
    ours, theirs = _by_hop(_runs(here)), _by_hop(_runs(there))
    return [_compared(hop, ours[hop], theirs[hop]) for hop in sorted(ours) if hop in theirs]


def _runs(side: Traces | Sides) -> Sides:
    return (side,) if isinstance(side, Mapping) else side


def _by_hop(runs: Sides) -> dict[str, list[Floats]]:
    found: dict[str, list[Floats]] = defaultdict(list)
    for run in runs:
        for hop, seconds in run.items():
            found[hop].append(seconds)
    return found


def _compared(hop: str, ours: Sequence[Floats], theirs: Sequence[Floats]) -> HopDifference:
    here, there = np.concatenate(ours), np.concatenate(theirs)
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
        distance_of(ours, theirs) if enough else None,
        (_curve(here), _curve(there)),
        (len(ours), len(theirs)),
    )


def _curve(seconds: Floats) -> tuple[float, ...]:
    return tuple(np.quantile(seconds, SHARES).tolist())
