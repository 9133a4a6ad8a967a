"""Quantile sketches of columns, as Deequ makes them: deterministic, and written level by level.

`columns` writes them to statistics.json, `distance` compares their distributions. The
algorithm is KLL (Karnin, Lang & Liberty, "Optimal quantile approximation in streams", 2016) in
the variant without sampling of Deequ's `QuantileNonSample`: compaction keeps every second of the
sorted items, and which half it keeps alternates instead of being drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SKETCH_SIZE = 2048
SHRINKING_FACTOR = 0.64
"""Deequ's defaults; up to 2,050 items are kept as they are."""


@dataclass
class KllSketch:
    """Levels of items; one of level h stands for 2**h values."""

    size: int = SKETCH_SIZE
    shrink: float = SHRINKING_FACTOR
    levels: list[Floats] = field(default_factory=lambda: [np.empty(0)])
    compactions: list[int] = field(default_factory=lambda: [0])
    _ordered: tuple[Floats, Floats] | None = field(default=None, init=False, repr=False)
    """The distribution, once it was asked for: a reference is compared with many windows."""

    @classmethod
    def of(cls, values: Floats) -> KllSketch:
        """Return the sketch of (n,) finite values in their order."""
        sketch = cls()
        sketch.update(values)
        return sketch

    @classmethod
    def from_levels(cls, levels: list[list[float]], size: int, shrink: float) -> KllSketch:
        """Return a stored sketch; raises ValueError without a level."""
        if not levels:
            raise ValueError("a sketch has at least one level")
        arrays = [np.array(level, np.float64) for level in levels]
        return cls(size, shrink, arrays, [0] * len(arrays))

    def _capacity(self, level: int) -> int:
        depth = len(self.levels) - level - 1
        return 2 * (math.ceil(self.size * self.shrink**depth / 2) + 1)

    def _room(self) -> int:
        total = sum(self._capacity(level) for level in range(len(self.levels)))
        return total - sum(map(len, self.levels))

    def update(self, values: Floats) -> None:
        """Take (n,) values; the same as taking them one by one."""
        self._ordered = None
        start = 0
        while start < len(values):
            # One more than there is room for, as the item that overflows is taken first.
            end = start + max(self._room(), 0) + 1
            self.levels[0] = np.concatenate([self.levels[0], values[start:end]])
            start = end
            self._condense()

    def merge(self, other: KllSketch) -> None:
        """Take what another sketch of the same size stands for; raises ValueError otherwise."""
        if (self.size, self.shrink) != (other.size, other.shrink):
            raise ValueError("sketches of different sizes cannot be merged")
        self._ordered = None
        while len(self.levels) < len(other.levels):
            self._grow()
        for level, items in enumerate(other.levels):
            self.levels[level] = np.concatenate([self.levels[level], items])
        while self._room() < 0:
            self._condense()

    def _grow(self) -> None:
        self.levels.append(np.empty(0))
        self.compactions.append(0)

    def _condense(self) -> None:
        """Compact the lowest full levels until all fits."""
        level = 0
        while level < len(self.levels) and self._room() < 0:
            if len(self.levels[level]) >= self._capacity(level):
                if level + 1 == len(self.levels):
                    self._grow()
                self._compact(level)
            level += 1

    def _compact(self, level: int) -> None:
        items = self.levels[level]
        even = len(items) // 2 * 2
        offset = self.compactions[level] % 2
        kept = np.sort(items[:even])[offset::2]
        self.compactions[level] += 1
        self.levels[level] = items[even:]
        self.levels[level + 1] = np.concatenate([self.levels[level + 1], kept])

    def count(self) -> int:
        """Return how many values the sketch stands for."""
        return sum(len(items) << level for level, items in enumerate(self.levels))

    def distribution(self) -> tuple[Floats, Floats]:
        """Return items (m,) ascending and the share of values up to each, (m,)."""
        if self._ordered is None:
            items = np.concatenate(self.levels)
            sizes = [len(level) for level in self.levels]
            weights = np.repeat(2.0 ** np.arange(len(self.levels)), sizes)
            order = np.argsort(items, kind="stable")
            shares = np.cumsum(weights[order])
            self._ordered = items[order], shares / shares[-1] if len(shares) else shares
        return self._ordered

    def share_up_to(self, points: Floats) -> Floats:
        """Return the share of values <= each of (k,) points; zeros for an empty sketch."""
        items, shares = self.distribution()
        found: Floats = np.concatenate([[0.0], shares])[np.searchsorted(items, points, "right")]
        return found
