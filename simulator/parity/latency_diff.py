"""Two runs' latencies compared, hop by hop: quantiles and a distance with its interval (L4).

Never single runs of a hop: the distance between two distributions is given with a bootstrap
interval, and two hops differ when even its lower end is above the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.parity.latency_fit import Floats, Traces

RESAMPLES = 200
POINTS = (np.arange(199) + 0.5) / 199
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class HopDifference:
    """One hop on two sides. ``distance``: mean gap of the quantiles, as a share of the mean here.

    ``low`` and ``high`` are the 95 % bootstrap interval of the distance, less what two halves of
    the same side would be apart by chance.
    """

    hop: str
    samples: tuple[int, int]
    means_s: tuple[float, float]
    quantiles_s: tuple[tuple[float, float], ...]
    distance: float
    low: float
    high: float

    def beyond(self, tolerance: float) -> bool:
        """Tell whether the hop surely differs by more than the tolerance."""
        return self.low > tolerance


def latency_differences(here: Traces, there: Traces, seed: int = 0) -> list[HopDifference]:
    """Compare every hop that both sides have."""
    return [_compared(hop, here[hop], there[hop], seed) for hop in sorted(here) if hop in there]


def latency_words(found: list[HopDifference], tolerance: float) -> str:
    """Return the comparison as a table; the last line is the verdict."""
    lines = [
        f"  {'hop':<34} {'samples':>13} {'mean ms':>17} {'p50 ms':>17} {'p90 ms':>17} "
        f"{'p99 ms':>17}  distance"
    ]
    for each in found:
        pairs = "".join(f" {a * 1e3:>8.1f} {b * 1e3:>8.1f}" for a, b in each.quantiles_s)
        mark = "  DIFFERENT" if each.beyond(tolerance) else ""
        lines.append(
            f"  {each.hop:<34} {each.samples[0]:>6} {each.samples[1]:>6} "
            f"{each.means_s[0] * 1e3:>8.1f} {each.means_s[1] * 1e3:>8.1f}{pairs}  "
            f"{each.distance:.1%} ({each.low:.1%} to {each.high:.1%}){mark}"
        )
    apart = [each.hop for each in found if each.beyond(tolerance)]
    lines.append(
        f"DIFFERENT by more than {tolerance:.0%}: {', '.join(apart)}"
        if apart
        else f"no hop is surely more than {tolerance:.0%} apart"
    )
    return "\n".join(lines)


def _compared(hop: str, here: Floats, there: Floats, seed: int) -> HopDifference:
    rng = np.random.default_rng(seed)
    scale = float(here.mean()) or float(there.mean()) or 1.0
    distances, chances = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        a, b = _again(rng, here), _again(rng, there)
        distances[number] = _apart(a, b)
        chances[number] = 0.5 * (_apart(a, _again(rng, here)) + _apart(b, _again(rng, there)))
    corrected = np.maximum(0.0, distances - chances.mean()) / scale
    quantiles = tuple(
        (float(np.quantile(here, share)), float(np.quantile(there, share))) for share in QUANTILES
    )
    return HopDifference(
        hop,
        (len(here), len(there)),
        (float(here.mean()), float(there.mean())),
        quantiles,
        _apart(here, there) / scale,
        float(np.quantile(corrected, 0.025)),
        float(np.quantile(corrected, 0.975)),
    )


def _again(rng: np.random.Generator, values: Floats) -> Floats:
    found: Floats = values[rng.integers(0, len(values), len(values))]
    return found


def _apart(here: Floats, there: Floats) -> float:
    """Return the Wasserstein distance of two samples, from their quantiles."""
    gap = np.abs(np.quantile(here, POINTS) - np.quantile(there, POINTS))
    return float(gap.mean())
