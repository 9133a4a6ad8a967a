"""How far two distributions are apart, as Deequ and Model Monitor measure it.

Used by `constraints` for the check of drift. Numbers: the largest difference of
the cumulative shares (`simple`), or that less what chance explains (`robust`). Categories: the
largest difference of shares, or the chi-squared test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pipeline.monitoring.sketch import KllSketch

CHANCE = 1.8
"""Deequ's c(alpha) of the two-sample Kolmogorov-Smirnov test, alpha about 0.003."""


def simple(one: KllSketch, other: KllSketch) -> float:
    """Return max |CDF1 - CDF2|, 0 to 1; raises ValueError for an empty sketch."""
    if not one.count() or not other.count():
        raise ValueError("an empty distribution has no distance")
    points = np.concatenate([one.distribution()[0], other.distribution()[0]])
    return float(np.abs(one.share_up_to(points) - other.share_up_to(points)).max())


def robust(distance: float, n: int, m: int) -> float:
    """Return a simple distance less what chance explains in samples of n and m."""
    return max(0.0, distance - CHANCE * math.sqrt((n + m) / (n * m)))


def categorical(one: Mapping[str, int], other: Mapping[str, int], corrected: bool = False) -> float:
    """Return the largest difference of the shares of a category (L-infinity), 0 to 1.

    `corrected` takes off what chance explains. Raises ValueError for an empty distribution.
    """
    n, m = sum(one.values()), sum(other.values())
    if not n or not m:
        raise ValueError("an empty distribution has no distance")
    largest = max(abs(one.get(key, 0) / n - other.get(key, 0) / m) for key in {*one, *other})
    return robust(largest, n, m) if corrected else largest


def chi_squared(sample: Mapping[str, int], expected: Mapping[str, int]) -> tuple[float, int]:
    """Return the chi-squared statistic of a sample against expected shares, and its freedom.

    Categories are regrouped until at most a fifth of the expected counts are below 5 (Yates,
    Moore & McCabe); two categories both need 10 (Cochran). Freedom 0: nothing can be told.
    Raises ValueError for an empty distribution.
    """
    n, m = sum(sample.values()), sum(expected.values())
    if not n or not m:
        raise ValueError("an empty distribution has no distance")
    cells = sorted(
        ((expected.get(key, 0) * n / m, float(sample.get(key, 0))) for key in {*sample, *expected}),
        reverse=True,
    )
    while len(cells) > 1 and _too_small([cell[0] for cell in cells]):
        last, before = cells.pop(), cells.pop()
        cells.append((last[0] + before[0], last[1] + before[1]))
        cells.sort(reverse=True)
    if len(cells) < 2:
        return 0.0, 0
    statistic = sum((seen - hoped) ** 2 / hoped for hoped, seen in cells)
    return float(statistic), len(cells) - 1


def _too_small(counts: list[float]) -> bool:
    if min(counts) <= 0.0:
        return True
    if len(counts) == 2:
        return min(counts) < 10.0
    return sum(count < 5.0 for count in counts) > 0.2 * len(counts)
