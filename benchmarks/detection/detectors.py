"""The detectors that are compared; each learns from feature rows and then scores others.

`pipeline` is what the pipeline runs: `pipeline.model.fitting.train` with its defaults and the
settings in `SETTINGS`. `input_only` (no autoencoder), `half_residual` and `residual_only` differ
from it in the residual's weight, `convolutional` is `residual_only` with the other network;
`no_model` is its score with x_hat = 0.
Then linear ones, and trivial ones that a detector has to beat. Every threshold comes from rows that
the detector has not seen, by the pipeline's episode rule and its extrapolation; none sees a label.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.rows import ROW_MS, FeatureSet, times_ms
from pipeline.detection import episodes
from pipeline.model import calibration, fitting, thresholds
from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.scoring import RIDGE, Combination, Floats, Model, ledoit_wolf

Mask = NDArray[np.bool_]
Scorer = Callable[[Floats], Floats]
Fit = Callable[[Floats, int], Scorer]

UNIT = "unit"
PCA_SHARE = 0.9
LAGS = 3

# In a recording of the length of its healthy history three in ten have one false episode.
EPISODES_PER_HISTORY = 0.3

# A feature row a reading, so that the windows do the smoothing and one row is enough. There is no
# slow mean: no recording is long enough to tell a slow fault from the next operating point.
SETTINGS: Mapping[str, int | str] = {
    "statistics": "mean",
    "smoothing_rows": 1,
    "enter_rows": 1,
    "memory_rows": 0,
}


@dataclass(frozen=True)
class Judged:
    """Scores (m,) of a run's rows, 1 at the threshold, and of the rows before and those learnt."""

    scores: Floats
    before: Floats
    learnt: Floats

    @property
    def alarms(self) -> Mask:
        """Which rows are in an episode, (m,)."""
        return episode_mask(self.scores)


def settings_of(features: FeatureSet, seed: int, changes: Mapping[str, object]) -> Hyperparameters:
    """Return the hyperparameters for a run; `changes` come last."""
    days = features.history_rows * ROW_MS / calibration.MS_PER_DAY
    chosen = Hyperparameters(
        feature_spec=features.spec.to_json(),
        seed=seed,
        false_alarms_per_machine_day=EPISODES_PER_HISTORY / days,
    )
    return replace(chosen, **{**SETTINGS, **changes})  # type: ignore[arg-type]


def trained(
    features: FeatureSet, seed: int, changes: Mapping[str, object]
) -> tuple[Model, Combination]:
    """Train as the pipeline does; thresholds from `unseen` rows where the run has them."""
    chosen = settings_of(features, seed, changes)
    with redirect_stdout(io.StringIO()):
        made = fitting.train(_dataset(features.healthy), chosen).artefact
    if features.unseen is None:
        return made.model, made.combination
    unseen = _dataset(features.unseen)
    parts = made.model.parts(unseen.device_ids, unseen.features)
    return made.model, thresholds.calibrated(unseen, parts, chosen)[0]


def _of_the_pipeline(**changes: object) -> Callable[[FeatureSet, int], Judged]:
    def judge(features: FeatureSet, seed: int) -> Judged:
        model, combination = trained(features, seed, changes)
        rows = (features.values, features.before, features.healthy)
        return Judged(*(combination.score(model.parts([UNIT] * len(x), x)) for x in rows))

    return judge


def _no_model(features: FeatureSet, seed: int) -> Judged:
    model, combination = trained(features, seed, {"epochs": 1})
    rows = (features.values, features.before, features.healthy)
    return Judged(*(combination.no_model_score(model.parts([UNIT] * len(x), x)) for x in rows))


def _fitted(fit: Fit) -> Callable[[FeatureSet, int], Judged]:
    """Return the judge of a detector of which nothing is in the pipeline but its threshold."""

    def judge(features: FeatureSet, seed: int) -> Judged:
        chosen, healthy = settings_of(features, seed, {}), features.healthy
        score = fit(healthy, seed)
        if features.unseen is not None:
            held = score(features.unseen)
        else:
            held = np.full(len(healthy), np.nan)
            blocks = calibration.folds(
                [UNIT] * len(healthy), times_ms(len(healthy)), chosen.folds, chosen.spec.reach_ms
            )
            for learnt, out in blocks:
                held[out] = fit(healthy[learnt], seed)(healthy[out])
        separation = chosen.smoothing_rows + chosen.exit_rows + features.memory_rows
        peaks = calibration.episode_peaks(held, chosen.enter_rows, separation)
        level = calibration.threshold_for_rate(peaks, 1.0, EPISODES_PER_HISTORY)
        rows = (features.values, features.before, healthy)
        return Judged(*(score(x) / level if len(x) else np.empty(0) for x in rows))

    return judge


def episode_mask(scores: Floats) -> Mask:
    """Return which rows (m,) are in an episode of the pipeline's rule, by scores in thresholds."""
    chosen = replace(Hyperparameters(feature_spec=""), **SETTINGS)  # type: ignore[arg-type]
    rule = episodes.Rule(
        chosen.smoothing_rows,
        1.0,
        chosen.exit_level,
        chosen.enter_rows,
        chosen.exit_rows,
        max_gap_ms=1 << 60,
    )
    state, inside = episodes.EpisodeState(), np.zeros(len(scores), np.bool_)
    for row, score in enumerate(scores.tolist()):
        state, _ = episodes.advance(state, rule, (row + 1) * ROW_MS, score)
        inside[row] = state.is_open
    return inside


def _dataset(features: Floats) -> Dataset:
    return Dataset([UNIT] * len(features), times_ms(len(features)), features)


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
    return lambda new: np.random.default_rng((seed, len(new))).random(len(new))


def _always(features: FeatureSet, seed: int) -> Judged:
    del seed
    rows = (features.values, features.before, features.healthy)
    return Judged(*(np.full(len(x), 2.0) for x in rows))


def _row_index(features: FeatureSet, seed: int) -> Judged:
    """Score a row by its number, 1 where the recording begins: looks at no sensor at all."""
    del seed
    index = np.arange(1.0, len(features.values) + 1)
    return Judged(index, np.zeros(len(features.before)), np.zeros(len(features.healthy)))


DETECTORS: dict[str, Callable[[FeatureSet, int], Judged]] = {
    "pipeline": _of_the_pipeline(),
    "input_only": _of_the_pipeline(residual_weight=0.0),
    "half_residual": _of_the_pipeline(residual_weight=0.5),
    "residual_only": _of_the_pipeline(residual_weight=1.0),
    "convolutional": _of_the_pipeline(architecture="convolutional", residual_weight=1.0),
    "mahalanobis": _fitted(_mahalanobis),
    "mahalanobis_lags": _fitted(_lagged),
    "pca_q": _fitted(_pca_q),
    "no_model": _no_model,
    "random": _fitted(_random),
    "always_alarm": _always,
    "row_index": _row_index,
}

UNDESIGNED = ("always_alarm", "row_index")
"""Those whose alarms follow no rate."""
SEEDED = ("pipeline", "half_residual", "residual_only", "convolutional", "random")
