"""Slow faults: how far each sensor's level is from where it should be, as vectors to be averaged.

A fault that moves a level by less than the duty does cannot be seen in a row, nor in the mean of
many rows' scores: a score has no sign, so that its mean keeps the noise's share. The mean of the
*signed* deviations loses it. The endpoint gives each row's whitened deviations, the detector keeps
their exponentially weighted mean (`pipeline.detection.episodes`), and the length of that mean is
compared with a threshold: the multivariate EWMA chart of Lowry et al., Technometrics 34 (1992).
Only the sensors' means take part. Spreads, slopes and bursts change at once or not at all.

Training fits and calibrates with it, inference serves it; the score of a row is in `scoring.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]

# A machine's history must have this many memories, or where its levels lie is not known well
# enough to judge their means: at 20, a tenth of the mean's variance.
MIN_MEMORIES = 20

# A share of the mean variance added to every direction of the slow mean. Less than for rows: what
# is looked for are small shifts across relations that hold tightly.
RIDGE = 0.001

# A vector beyond this is a broken sensor's; it must stay a number.
LARGEST = 1e3


@dataclass(frozen=True)
class Levels:
    """What turns k columns of features (`columns`) into deviations of k sensors' levels.

    `centre` (n_units + 1, k) is where a machine's features lie on average, `whitening`
    (n_units + 1, k, k) makes the slow mean of their deviations one of unit variance. The last of
    each, for unknown machines, is zero: where their levels should be nobody knows. No columns:
    there is no slow judgement.
    """

    columns: tuple[int, ...]
    centre: Floats
    whitening: Floats

    @classmethod
    def none(cls) -> Levels:
        """Return those of a model that does not judge slowly."""
        return cls((), np.zeros((1, 0)), np.zeros((1, 0, 0)))

    def vectors(self, positions: Positions, features: Floats) -> Floats:
        """Return (n, k) whitened deviations of (n, n_features) rows; 0 where a value is missing.

        `positions` (n,) are those of the machines, -1 for an unknown one.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            deviations = features[:, list(self.columns)] - self.centre.take(
                positions, axis=0, mode="wrap"
            )
            deviations[np.isnan(deviations)] = 0.0
            own = self.whitening.take(positions, axis=0, mode="wrap")
            found: Floats = np.matmul(deviations[:, None, :], own)[:, 0, :]
        found[np.isnan(found)] = 0.0
        return np.clip(found, -LARGEST, LARGEST)


def enough_rows(rows: int, units: int, memory_rows: int) -> bool:
    """Whether so many rows of so many machines say where levels lie; never without a memory."""
    return memory_rows > 0 and rows >= MIN_MEMORIES * memory_rows * units


def fit_levels(
    features: Floats,
    positions: Positions,
    columns: tuple[int, ...],
    scale: Floats,
    memory_rows: int,
    unit_share: float,
) -> Levels:
    """Estimate levels from healthy (n, n_features) rows, by machine (`positions`) and time.

    `scale` (k,) is how far each of the `columns` usually moves, 0 for one that never had a value.
    As in `scoring.fit_metric`, a machine's covariance is `unit_share` its own and the rest
    everybody's. A sensor that a machine does not have takes no part on this machine.
    """
    units, size = int(positions.max()) + 1, len(columns)
    factor = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    centre, own = np.zeros((units + 1, size)), np.zeros((units, size, size))
    factors, counts = np.zeros((units, size)), np.zeros(units)
    for unit in range(units):
        rows = features[positions == unit][:, list(columns)]
        known = np.isfinite(rows)
        seen = known.sum(axis=0)
        centre[unit] = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(seen, 1)
        factors[unit] = np.where(seen > 0, factor, 0.0)
        deviations = np.where(known, rows - centre[unit], 0.0) * factors[unit]
        slow = running_mean(deviations, memory_rows)
        own[unit] = slow.T @ slow / max(1, len(slow))
        counts[unit] = len(slow)
    pooled = np.tensordot(counts / counts.sum(), own, axes=1)
    floor = (RIDGE * np.trace(pooled) / size + np.finfo(float).tiny) * np.eye(size)
    whitening = np.zeros((units + 1, size, size))
    for unit in range(units):
        mixed = unit_share * own[unit] + (1.0 - unit_share) * pooled + floor
        values, vectors = np.linalg.eigh(mixed)
        whitening[unit] = factors[unit][:, None] * ((vectors / np.sqrt(values)) @ vectors.T)
    return Levels(columns, centre, whitening)


def running_mean(vectors: Floats, memory_rows: int) -> Floats:
    """Return the exponentially weighted means (n, k) of (n, k) vectors, which begin at 0.

    The newest vector has the weight 1 / `memory_rows`.
    """
    share = 1.0 / memory_rows
    steps = np.arange(memory_rows)
    decay = (1.0 - share) ** (steps + 1.0)
    lags = steps[:, None] - steps
    weights = np.where(lags >= 0, share * (1.0 - share) ** np.maximum(lags, 0), 0.0)
    means = np.empty_like(vectors)
    last = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), memory_rows):
        block = vectors[start : start + memory_rows]
        count = len(block)
        means[start : start + count] = weights[:count, :count] @ block
        means[start : start + count] += decay[:count, None] * last
        last = means[start + count - 1]
    return means


def slow_scores(vectors: Floats, ordinary: NDArray[np.bool_], memory_rows: int) -> Floats:
    """Return the length of the slow mean at each row of one machine, (n,).

    Rows that are not `ordinary` (n,) leave it as it is: as the detector does it.
    """
    means = running_mean(vectors[ordinary], memory_rows)
    lengths = np.concatenate([[0.0], np.sqrt(np.mean(means * means, axis=1))])
    found: Floats = lengths[np.cumsum(ordinary)]
    return found
