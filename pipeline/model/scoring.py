"""Scores feature rows: how far a row is from what its own machine does when it is healthy.

Pure NumPy and the only implementation: training calibrates with it and the endpoint serves with
it, so a score means the same on both sides and serving does not have to import torch. Baselines
are in `baseline.py`, thresholds in `calibration.py`, the files in `artefact.py`.

A row is normalised by its machine's baseline (z), the autoencoder reconstructs it (z_hat), and two
distances are taken, of z and of the residual z - z_hat: whitened by the machine's covariance,
the share of the sensor that stands out most. Their weighted geometric mean is the score: the
first sees a machine that leaves its usual region, the second one whose sensors no longer move
together. The residual's weight is small, because the whitened input sees most of that already
and its false-alarm rate stays what was designed (docs/detection.md has what was measured with
other weights). The largest sensor decides, not the sum: a fault moves one or two
channels, and the noise of all the others would hide it (measured on two fleets of 20 pumps with
12 moderate faults each: 20 of 24 found instead of 16, at 1 false alarm instead of none in 3
machine-days).
The rule without a model is the same rule with z_hat = 0 and no covariance: the root mean square
of z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.model.baseline import Baselines
from pipeline.model.levels import Levels

Floats = NDArray[np.float64]
Layers = tuple[tuple[Floats, Floats], ...]

# The network only sees inputs in the range it was trained in; the residual of a wild value is
# then the value itself, instead of an extrapolation of tanh layers.
INPUT_LIMIT = 10.0

# A share of the mean variance added to every direction: the residuals of a good autoencoder are
# nearly singular, and a direction with no variance in training would decide every score.
RIDGE = 0.01

# Deviations below this, in units of a feature's usual movement, are rounding.
ROUNDING = 1e-9

# tanh of it is 1.0 in single precision.
ALWAYS_ONE = 20.0


@dataclass(frozen=True)
class Parts:
    """Distances of n rows before they are combined; each (n,) and not negative."""

    of_input: Floats
    of_residual: Floats
    of_nothing: Floats


@dataclass(frozen=True)
class Metric:
    """Symmetric whitening matrices (n_units + 1, d, d); the last one is for unknown units."""

    whitening: Floats

    def whiten(self, positions: NDArray[np.int64], vectors: Floats) -> Floats:
        """Return (n, d) vectors in units of their own machine's usual movement.

        `positions` (n,) are positions of machines, -1 for an unknown one. The symmetric root is
        used because its columns stay closest to the original ones, so that a whitened column
        can be read as that feature's.
        """
        whitened: Floats = _times_own(vectors[None], positions, self.whitening[:, None])[0]
        return whitened


def _times_own(stack: Floats, positions: NDArray[np.int64], matrices: Floats) -> Floats:
    """Multiply each row of (k, n, d) vectors with its own machine's (k, d, d) matrices.

    `matrices` is (n_units + 1, k, d, d). One product a machine, not one a row: a row's matrix
    is larger than the row, and copying it for each takes longer than multiplying.
    """
    if len(positions) <= 1:
        alone: Floats = stack @ matrices[positions[0]] if len(positions) else stack
        return alone
    changes = positions[1:] - positions[:-1]
    if (changes < 0).any():
        order = np.argsort(positions, kind="stable")
        found = np.empty_like(stack)
        found[:, order] = _times_own(stack.take(order, axis=1), positions[order], matrices)
        return found
    products = np.empty_like(stack)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    ends = [*starts[1:], len(positions)]
    for start, end, unit in zip(starts, ends, positions[starts].tolist(), strict=True):
        np.matmul(stack[:, start:end], matrices[unit], products[:, start:end])
    return products


def ledoit_wolf(rows: Floats) -> Floats:
    """Return the covariance of (n, d) rows, shrunk towards a multiple of the identity.

    Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    J. Multivariate Analysis 88 (2004), lemma 3.2-3.4: the weight is the estimated sampling error
    of the covariance over its distance from the target, at most 1.
    """
    n_rows, n_columns = rows.shape
    centred = rows - rows.mean(axis=0)
    sample = centred.T @ centred / n_rows
    mean_variance = float(np.trace(sample)) / n_columns
    target: Floats = mean_variance * np.eye(n_columns)
    distance = float(np.sum((sample - target) ** 2))
    squares = centred * centred
    error = float(np.sum(squares.T @ squares / n_rows - sample * sample)) / n_rows
    weight = 1.0 if distance <= 0.0 else min(max(error, 0.0) / distance, 1.0)
    shrunk: Floats = weight * target + (1.0 - weight) * sample
    return shrunk


def fit_metric(
    vectors: Floats,
    positions: NDArray[np.int64],
    unit_share: float,
    known: NDArray[np.bool_] | None = None,
) -> Metric:
    """Estimate the whitening of healthy (n, d) vectors of the machines at `positions` (n,).

    A machine's covariance is `unit_share` its own and the rest everybody's: relations between
    sensors differ a little from machine to machine, but one machine's history alone is short
    and autocorrelated. Only the columns in `known` (d,) count, all when None; one of them that
    never moved has the ridge for its variance.
    """
    used_columns = np.ones(vectors.shape[1], np.bool_) if known is None else known
    size = int(used_columns.sum())
    units = int(positions.max()) + 1
    whitening = np.zeros((units + 1, vectors.shape[1], vectors.shape[1]))
    if size and (vectors[:, used_columns].std(axis=0) > ROUNDING).any():
        used, block = vectors[:, used_columns], np.ix_(used_columns, used_columns)
        pooled = ledoit_wolf(used)
        floor = RIDGE * np.trace(pooled) / size * np.eye(size)
        for unit in range(units):
            own = used[positions == unit]
            covariance = own.T @ own / max(1, len(own))
            mixed = unit_share * covariance + (1.0 - unit_share) * pooled
            whitening[unit][block] = _inverse_root(mixed + floor)
        whitening[units][block] = _inverse_root(pooled + floor)
    return Metric(whitening)


def _inverse_root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors / np.sqrt(values)) @ vectors.T
    return root


def reconstruct(layers: Layers, z: Floats) -> Floats:
    """Run the autoencoder on (n, d) normalised rows: four dense layers."""
    return _joined(layers).run(_limited(z)).astype(np.float64)


def _limited(z: Floats) -> Floats:
    limited: Floats = np.minimum(z, INPUT_LIMIT)
    return np.maximum(limited, -INPUT_LIMIT, out=limited)


@dataclass(frozen=True)
class _Network:
    """The four layers as three products of single precision, which training had too.

    The bottleneck is linear, so that the layers before and after it are one. Each hidden layer
    has a unit more that is always 1, and what comes from it is the next layer's bias: an
    addition less.
    """

    encode: NDArray[np.float32]
    bias: NDArray[np.float32]
    through: NDArray[np.float32]
    decode: NDArray[np.float32]

    def run(self, limited: Floats) -> NDArray[np.float32]:
        """Return the reconstruction of (n, d) rows within the limits."""
        hidden: NDArray[np.float32] = limited.astype(np.float32).dot(self.encode)
        hidden += self.bias
        np.tanh(hidden, out=hidden)
        hidden = hidden.dot(self.through)
        np.tanh(hidden, out=hidden)
        rebuilt: NDArray[np.float32] = hidden.dot(self.decode)
        return rebuilt


def _joined(layers: Layers) -> _Network:
    (encode, in_bias), (squeeze, code_bias), (expand, out_bias), (decode, bias) = layers
    between = np.vstack([(expand @ squeeze).T, expand @ code_bias + out_bias])
    return _Network(
        *(
            np.ascontiguousarray(part, dtype=np.float32)
            for part in (
                np.hstack([encode.T, np.zeros((encode.shape[1], 1))]),
                np.append(in_bias, ALWAYS_ONE),
                np.hstack([between, [[0.0]] * len(in_bias) + [[ALWAYS_ONE]]]),
                np.vstack([decode.T, bias]),
            )
        )
    )


@dataclass(frozen=True)
class Combination:
    """How parts become scores: the references make both distances 1.0 on a bad healthy row.

    `residual_weight` is the residual's exponent in the geometric mean, the input's is the rest.
    `slow_threshold` is the length of a slow mean that counts as 1, 0 where there is none.
    """

    input_reference: float
    residual_reference: float
    threshold: float = 1.0
    no_model_threshold: float = 1.0
    residual_weight: float = 0.5
    slow_threshold: float = 0.0

    def score(self, parts: Parts) -> Floats:
        """Return the model's score of each row, 1.0 at the calibrated threshold."""
        weight = self.residual_weight
        score: Floats = np.power(parts.of_input, 1.0 - weight)
        if weight > 0.0:
            score *= np.power(parts.of_residual, weight)
        score *= self._factor
        return score

    @cached_property
    def _factor(self) -> float:
        """Return what makes the product of the powers 1 at the threshold."""
        weight = self.residual_weight
        usual = self.input_reference ** (1.0 - weight) * self.residual_reference**weight
        return float(1.0 / (usual * self.threshold))

    def no_model_score(self, parts: Parts) -> Floats:
        """Return the score with x_hat = 0, 1.0 at its own calibrated threshold."""
        return parts.of_nothing / self.no_model_threshold


@dataclass(frozen=True)
class Model:
    """Everything that turns feature rows into parts; `columns` are the features it looks at.

    `sensor_of[i]` is the position in `sensors` of the sensor that column i belongs to.
    """

    columns: tuple[int, ...]
    sensors: tuple[str, ...]
    sensor_of: tuple[int, ...]
    baselines: Baselines
    layers: Layers
    input_metric: Metric
    residual_metric: Metric
    levels: Levels = field(default_factory=Levels.none)

    @cached_property
    def _matrices(self) -> Floats:
        """Return both metrics' whitening as (n_units + 1, 2, d, d)."""
        return np.stack([self.input_metric.whitening, self.residual_metric.whitening], axis=1)

    @cached_property
    def _network(self) -> _Network:
        return _joined(self.layers)

    @cached_property
    def _of_sensor(self) -> Floats:
        """Return what takes the mean of each sensor's columns, (n_sensors, d)."""
        mine = np.arange(len(self.sensors))[:, None] == np.array(self.sensor_of)
        shares: Floats = mine / mine.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def _are_the_first(self) -> bool:
        return self.columns == tuple(range(len(self.columns)))

    def looked_at(self, features: Floats) -> Floats:
        """Return the columns that the model looks at; all of them, in order, without a copy."""
        if self._are_the_first and features.shape[1] == len(self.columns):
            return features
        return features[:, list(self.columns)]

    def _squares(self, units: Sequence[str], features: Floats) -> tuple[Floats, Floats]:
        """Return the squared lengths of z (n,) and, of both whitened, those of each sensor.

        The latter are means over the sensor's columns, (n_sensors, 2, n): sensors first, because
        NumPy takes a maximum over few long rows ten times as fast as over many short ones.
        """
        positions = self.baselines.positions(units)
        both = np.empty((2, len(positions), len(self.columns)))
        z = both[0]
        lengths, longest = self.baselines.normalise_at(positions, self.looked_at(features), z)
        # No column can be beyond the limit when the row as a whole is not.
        limited = z if longest <= INPUT_LIMIT * INPUT_LIMIT else _limited(z)
        np.subtract(z, self._network.run(limited), out=both[1])
        whitened = _times_own(both, positions, self._matrices)
        np.square(whitened, out=whitened)
        squares = self._of_sensor.dot(whitened.reshape(2 * len(z), z.shape[1]).T)
        return lengths, squares.reshape(len(self.sensors), 2, len(z))

    def parts(self, units: Sequence[str], features: Floats) -> Parts:
        """Measure (n, n_features) rows of the named machines; NaN counts as "as usual"."""
        return self._parts(self._squares(units, features))

    def level_vectors(self, units: Sequence[str], features: Floats) -> Floats:
        """Return the rows' deviations for the slow mean, (n, k); k is 0 where there is none."""
        return self.levels.vectors(self.baselines.positions(units), features)

    def parts_and_contributions(
        self, units: Sequence[str], features: Floats, residual_weight: float
    ) -> tuple[Parts, Floats]:
        """Return both of one look at the rows: the parts, and each sensor's share of the score.

        Shares (n, n_sensors) are of the squared distances, of input and residual by the weights
        that the score gives them (`Combination`); rows sum to 1.
        """
        looked = self._squares(units, features)
        return self._parts(looked), _shares(looked[1], residual_weight)

    def _parts(self, looked: tuple[Floats, Floats]) -> Parts:
        lengths, squares = looked
        of_input, of_residual = np.sqrt(np.maximum.reduce(squares))
        return Parts(of_input, of_residual, np.sqrt(lengths / len(self.columns)))

    def without_values(self, features: Floats, parts: Parts) -> NDArray[np.int64]:
        """Return which of the (n, n_features) rows have no value in any column looked at.

        `parts` are those of the rows: one without a value counts as usual in everything.
        """
        if parts.of_nothing.all():
            return np.empty(0, np.int64)
        usual = np.flatnonzero(parts.of_nothing == 0.0)
        return usual[np.isnan(self.looked_at(features[usual])).all(axis=1)]


def _shares(squares: Floats, residual_weight: float) -> Floats:
    """Return each sensor's share (n, n_sensors) of both (n_sensors, 2, n) squares, weighted."""
    total = np.add.reduce(squares)
    if total.all():
        parts: Floats = squares / total
    else:
        even = np.full_like(squares, 1.0 / len(squares))
        parts = np.divide(squares, total, out=even, where=total > 0.0)
    shares: Floats = (1.0 - residual_weight) * parts[:, 0]
    shares += residual_weight * parts[:, 1]
    return np.ascontiguousarray(shares.T)


def smooth(scores: Floats, rows: int) -> Floats:
    """Return the causal mean over the last `rows` scores; NaN until that many were seen."""
    if len(scores) < rows:
        return np.full(len(scores), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(scores, rows)
    return np.concatenate([np.full(rows - 1, np.nan), windows.mean(axis=1)])
