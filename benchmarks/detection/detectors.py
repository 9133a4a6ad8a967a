"""The detectors that are compared; the runner fits each on healthy rows and thresholds it.

`pipeline` is the score of `pipeline.model` on means alone, without the episode rule's smoothing;
`input_only` (no autoencoder) and `residual_only` are its two halves. Then linear ones, and four
trivial ones that a detector has to beat. All see causal means of `SMOOTHING_ROWS` rows, the same
for each set. That length was found on SKAB valve1 with its labels, earlier: on that set it is not
an independent choice. No other constant was chosen by a label.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.model import autoencoder
from pipeline.model.baseline import fit_baselines
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.scoring import (
    RIDGE,
    Floats,
    Model,
    Parts,
    fit_metric,
    ledoit_wolf,
    reconstruct,
)

Scorer = Callable[[Floats], Floats]
Detector = Callable[[Floats, int], Scorer]

SMOOTHING_ROWS = 15
PCA_SHARE = 0.9
LAGS = 3
VALIDATION_SHARE = 0.15
ALARM_SHARE = 0.01
BLOCKS = 4
SEEDED = ("pipeline", "residual_only", "random")


def causal_means(rows: Floats, count: int = SMOOTHING_ROWS) -> Floats:
    """Return (n, d) means over the last `count` rows, over fewer at the beginning."""
    sums = np.cumsum(np.vstack([np.zeros((1, rows.shape[1])), rows]), axis=0)
    stop = np.arange(1, len(rows) + 1)
    start = np.maximum(stop - count, 0)
    means: Floats = (sums[stop] - sums[start]) / (stop - start)[:, None]
    return means


def fit_pipeline(rows: Floats, seed: int) -> Callable[[Floats], Parts]:
    """Fit the pipeline's model to one machine's (n, d) rows, a column a sensor."""
    chosen = Hyperparameters(feature_spec="")
    width = rows.shape[1]
    baselines = fit_baselines(["unit"] * len(rows), rows)
    z = baselines.normalise(["unit"] * len(rows), rows)
    late = len(z) - max(1, int(VALIDATION_SHARE * len(z)))
    settings = autoencoder.FitSettings(
        hidden=chosen.hidden,
        bottleneck=min(chosen.bottleneck, max(1, width // 2)),
        epochs=chosen.epochs,
        patience=chosen.patience,
        batch_rows=chosen.batch_rows,
        learning_rate=chosen.learning_rate,
        seed=seed,
    )
    layers = autoencoder.fit(z[:late], z[late:], settings).network.layers()
    positions = np.zeros(len(z), dtype=np.int64)
    model = Model(
        columns=tuple(range(width)),
        sensors=tuple(f"s{column}" for column in range(width)),
        sensor_of=tuple(range(width)),
        baselines=baselines,
        layers=layers,
        input_metric=fit_metric(z, positions, chosen.unit_share),
        residual_metric=fit_metric(z - reconstruct(layers, z), positions, chosen.unit_share),
    )
    return lambda new: model.parts(["unit"] * len(new), new)


def _pipeline(rows: Floats, seed: int) -> Scorer:
    # The references only scale the geometric mean, so its order needs none.
    measure = fit_pipeline(rows, seed)

    def score(new: Floats) -> Floats:
        parts = measure(new)
        found: Floats = np.sqrt(parts.of_input * parts.of_residual)
        return found

    return score


def _residual_only(rows: Floats, seed: int) -> Scorer:
    measure = fit_pipeline(rows, seed)
    return lambda new: measure(new).of_residual


def _input_only(rows: Floats, seed: int) -> Scorer:
    del seed
    baselines = fit_baselines(["unit"] * len(rows), rows)
    z = baselines.normalise(["unit"] * len(rows), rows)
    metric = fit_metric(z, np.zeros(len(z), dtype=np.int64), 0.5)

    def score(new: Floats) -> Floats:
        units = ["unit"] * len(new)
        white = metric.whiten(np.zeros(len(new), dtype=np.int64), baselines.normalise(units, new))
        found: Floats = np.abs(white).max(axis=1)
        return found

    return score


def _no_model(rows: Floats, seed: int) -> Scorer:
    del seed
    baselines = fit_baselines(["unit"] * len(rows), rows)

    def score(new: Floats) -> Floats:
        z = baselines.normalise(["unit"] * len(new), new)
        found: Floats = np.sqrt(np.mean(z * z, axis=1))
        return found

    return score


def _standard(rows: Floats) -> Callable[[Floats], Floats]:
    centre, scale = rows.mean(axis=0), rows.std(axis=0)
    moving = scale > 1e-9
    return lambda new: (new[:, moving] - centre[moving]) / scale[moving]


def _mahalanobis(rows: Floats, seed: int) -> Scorer:
    del seed
    standard = _standard(rows)
    covariance = ledoit_wolf(standard(rows))
    inverse = np.linalg.inv(covariance + RIDGE**2 * np.eye(len(covariance)))

    def score(new: Floats) -> Floats:
        z = standard(new)
        found: Floats = np.sqrt(np.mean((z @ inverse) * z, axis=1))
        return found

    return score


def _lagged(rows: Floats, seed: int) -> Scorer:
    def stack(new: Floats) -> Floats:
        earlier = [np.vstack([new[:1]] * lag + [new[: len(new) - lag]]) for lag in range(LAGS)]
        return np.hstack(earlier)

    inner = _mahalanobis(stack(rows), seed)
    return lambda new: inner(stack(new))


def _pca_q(rows: Floats, seed: int) -> Scorer:
    del seed
    standard = _standard(rows)
    z_rows = standard(rows)
    values, vectors = np.linalg.eigh(z_rows.T @ z_rows / len(z_rows))
    shares = np.cumsum(values[::-1]) / values.sum()
    kept = min(int(np.searchsorted(shares, PCA_SHARE)) + 1, len(values) - 1)
    axes = vectors[:, ::-1][:, :kept]

    def score(new: Floats) -> Floats:
        z = standard(new)
        rest = z - (z @ axes) @ axes.T
        found: Floats = np.sqrt(np.mean(rest * rest, axis=1))
        return found

    return score


def _random(rows: Floats, seed: int) -> Scorer:
    del rows
    return lambda new: np.random.default_rng(seed).random(len(new))


def _always(rows: Floats, seed: int) -> Scorer:
    del rows, seed
    return lambda new: np.ones(len(new))


def _row_index(rows: Floats, seed: int) -> Scorer:
    del rows, seed
    return lambda new: np.arange(len(new), dtype=np.float64)


DETECTORS: dict[str, Detector] = {
    "pipeline": _pipeline,
    "input_only": _input_only,
    "residual_only": _residual_only,
    "mahalanobis": _mahalanobis,
    "mahalanobis_lags": _lagged,
    "pca_q": _pca_q,
    "no_model": _no_model,
    "random": _random,
    "always_alarm": _always,
    "row_index": _row_index,
}


def threshold(name: str, healthy: Floats, unseen: Floats | None, seed: int) -> float:
    """Return the score that `ALARM_SHARE` of unseen healthy rows pass; sees no label.

    Rows are smoothed. Without `unseen`, each block of `healthy` is scored by a detector fitted
    to the others, rows within a smoothing window of the block left out.
    """
    if name == "always_alarm":
        return 0.0
    if unseen is not None:
        return float(np.quantile(DETECTORS[name](healthy, seed)(unseen), 1.0 - ALARM_SHARE))
    scores = []
    for block in np.array_split(np.arange(len(healthy)), BLOCKS):
        rows = np.arange(len(healthy))
        apart = (rows <= block[0] - SMOOTHING_ROWS) | (rows >= block[-1] + SMOOTHING_ROWS)
        scores.append(DETECTORS[name](healthy[apart], seed)(healthy[block]))
    return float(np.quantile(np.concatenate(scores), 1.0 - ALARM_SHARE))


def mask(scores: Floats, level: float) -> NDArray[np.bool_]:
    """Return which rows alarm."""
    return scores > level
