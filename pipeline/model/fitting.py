"""From healthy feature rows to a calibrated model: cross-fitting, thresholds, version.

The model that is served is fitted on all rows. Its thresholds come from `folds` other models,
each fitted without one block of every machine's time and scored on that block, so that each
healthy row has a score from a model that has not seen it. What stands out by far in these scores
is a fault in the history (`standing_out`): it is left out, and all is fitted anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, astuple, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DatasetError
from pipeline.features import feature_names, sensor_of_feature
from pipeline.job_log import say
from pipeline.model import autoencoder, calibration
from pipeline.model.artefact import LEVEL_SUFFIX, Artefact, EpisodeRule
from pipeline.model.baseline import fit_baselines
from pipeline.model.checkpoints import Checkpoints, Interrupted
from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.levels import Levels, enough_rows, fit_levels
from pipeline.model.scoring import Combination, Model, Parts, fit_metric, reconstruct
from pipeline.model.standing_out import standing_out
from pipeline.model.thresholds import calibrated
from pipeline.settings import BURST_SENSOR, STATISTICS, FeatureSpec

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# So often at most the history is searched for faults anew: a large one hides a small one.
MAX_SEARCHES = 3

# The last part of each machine's own time ends the fitting of the network early.
VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class Training:
    """The result of a training job; `stood_out` are rows that were left out of it."""

    artefact: Artefact
    network: autoencoder.Network
    metrics: dict[str, float]
    complete: bool = True
    stood_out: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fit:
    """Models of one set of rows: what is served, and what the folds' say of rows unseen."""

    data: Dataset
    model: Model
    fitted: autoencoder.Fitted
    held: Parts
    levels: Floats
    rows: NDArray[np.int64]
    complete: bool

    @property
    def scored(self) -> Dataset:
        """The rows that have a score from a model that has not seen them."""
        return self.data if self.complete else self.data.at(self.rows)


def train(
    data: Dataset, chosen: Hyperparameters, checkpoints: Checkpoints | None = None
) -> Training:
    """Fit and calibrate a model; raises DatasetError when there is too little to learn from.

    Told to stop, it calibrates the served model on the blocks whose folds are done
    (`Training.complete` is False), and raises Interrupted when there is not one of them.
    """
    kept = checkpoints or Checkpoints()
    fit = _fit(data, chosen, kept)
    spans: dict[str, list[list[int]]] = {}
    for search in range(1, MAX_SEARCHES + 1):
        found = standing_out(fit.scored, fit.held, fit.levels, chosen) if fit.complete else None
        if found is None or not found.rows.any():
            break
        say(f"search {search}: left out {found.rows.sum()} rows that stand out")
        for device, own in found.spans.items():
            spans[device] = sorted([*spans.get(device, []), *own])
        try:
            fit = _fit(fit.data.at(np.flatnonzero(~found.rows)), chosen, kept.of_search(search))
        except Interrupted:
            # The model of all rows is usable, with thresholds of those that do not stand out.
            fit = _without(fit, ~found.rows)
    combination, designed = calibrated(fit.scored, fit.held, chosen, fit.levels)
    return _training(fit, combination, designed, spans, version(data, chosen), chosen)


def _fit(data: Dataset, chosen: Hyperparameters, kept: Checkpoints) -> _Fit:
    _check_size(data, chosen)
    everything = np.ones(len(data), dtype=np.bool_)
    model, fitted = fit_model(data, everything, chosen, chosen.seed, kept, autoencoder.SERVED)
    return _Fit(data, model, fitted, *_unseen_parts(data, chosen, kept))


def _without(fit: _Fit, kept: Mask) -> _Fit:
    """Return a fit whose calibration knows only the rows of a mask; it is not complete."""
    rows = np.flatnonzero(kept)
    parts = Parts(*(each[rows] for each in astuple(fit.held)))
    return replace(fit, held=parts, levels=fit.levels[rows], rows=rows, complete=False)


def _training(
    fit: _Fit,
    combination: Combination,
    designed: dict[str, float],
    stood_out: dict[str, list[list[int]]],
    made_of: str,
    chosen: Hyperparameters,
) -> Training:
    metrics = {
        "rows": float(len(fit.data)),
        "units": float(len(fit.model.baselines.units)),
        "epochs": float(fit.fitted.epochs),
        "train_loss": fit.fitted.train_loss,
        "validation_loss": fit.fitted.validation_loss,
        **designed,
    }
    artefact = Artefact(
        version=made_of if fit.complete else f"{made_of}-stopped",
        feature_names=feature_names(chosen.spec),
        model=fit.model,
        combination=combination,
        rule=EpisodeRule(
            smoothing_rows=chosen.smoothing_rows,
            enter=1.0,
            exit=chosen.exit_level,
            enter_rows=chosen.enter_rows,
            exit_rows=chosen.exit_rows,
            memory_rows=chosen.memory_rows if fit.model.levels.columns else 0,
        ),
        notes={"hyperparameters": asdict(chosen), "metrics": metrics},
    )
    return Training(artefact, fit.fitted.network, metrics, fit.complete, stood_out)


def version(data: Dataset, chosen: Hyperparameters) -> str:
    """Return 16 hex digits of the hash of rows and hyperparameters: the same in, the same out."""
    digest = hashlib.sha256(json.dumps(asdict(chosen), sort_keys=True).encode())
    digest.update("\n".join(data.device_ids).encode())
    digest.update(data.event_time_ms.astype("<i8").tobytes())
    digest.update(data.features.astype("<f8").tobytes())
    return digest.hexdigest()[:16]


def chosen_columns(spec: FeatureSpec, statistics: tuple[str, ...]) -> tuple[int, ...]:
    """Return the positions of the features the model looks at.

    These statistics of every window, and all that is no statistic: ratios, gaps, bursts.
    """
    left_out = set(STATISTICS) - set(statistics)
    pairs = zip(feature_names(spec), sensor_of_feature(spec), strict=True)
    return tuple(
        position
        for position, (name, sensor) in enumerate(pairs)
        if sensor == BURST_SENSOR
        or name.removeprefix(f"{sensor}_").partition("_")[0] not in left_out
    )


def fit_model(
    data: Dataset,
    rows: Mask,
    chosen: Hyperparameters,
    seed: int,
    checkpoints: Checkpoints | None = None,
    name: str = "network",
) -> tuple[Model, autoencoder.Fitted]:
    """Fit baselines, network and metrics on the masked rows; (n,) mask."""
    spec = chosen.spec
    columns = chosen_columns(spec, chosen.chosen_statistics)
    owners = tuple(sensor_of_feature(spec)[column] for column in columns)
    sensors = tuple(dict.fromkeys(owners))
    units = [unit for unit, used in zip(data.device_ids, rows, strict=True) if used]
    features = data.features[rows][:, list(columns)]
    baselines = fit_baselines(units, features)
    z = baselines.normalise(units, features)
    late = _late_rows(units, VALIDATION_SHARE)
    settings = autoencoder.FitSettings(
        hidden=chosen.hidden,
        bottleneck=min(chosen.bottleneck, max(1, len(columns) // 2)),
        epochs=chosen.epochs,
        patience=chosen.patience,
        batch_rows=chosen.batch_rows,
        learning_rate=chosen.learning_rate,
        seed=seed,
        architecture=chosen.architecture,
    )
    fitted = autoencoder.fit(z[~late], z[late], settings, checkpoints, name)
    layers = fitted.network.layers()
    positions, share = baselines.positions(units), chosen.unit_share
    known = baselines.scale > 0.0
    slow = _level_columns(chosen) if _judges_slowly(data, chosen) else ()
    scale = baselines.scale[[columns.index(column) for column in slow]]
    memory = chosen.memory_rows
    model = Model(
        columns=columns,
        sensors=sensors,
        sensor_of=tuple(sensors.index(owner) for owner in owners),
        baselines=baselines,
        layers=layers,
        input_metric=fit_metric(z, positions, share, known),
        residual_metric=fit_metric(z - reconstruct(layers, z), positions, share, known),
        levels=fit_levels(data.features[rows], positions, slow, scale, memory, share)
        if slow
        else Levels.none(),
    )
    return model, fitted


def _judges_slowly(data: Dataset, chosen: Hyperparameters) -> bool:
    """Whether the whole history, not a fold's part, is enough for a slow mean."""
    return enough_rows(len(data), len(set(data.device_ids)), chosen.memory_rows)


def _level_columns(chosen: Hyperparameters) -> tuple[int, ...]:
    """Return the positions of the sensors' levels among all features."""
    names = feature_names(chosen.spec)
    looked_at = chosen_columns(chosen.spec, chosen.chosen_statistics)
    levels = {f"{sensor}{LEVEL_SUFFIX}" for sensor in chosen.spec.sensors}
    return tuple(column for column in looked_at if names[column] in levels)


def _late_rows(units: list[str], share: float) -> Mask:
    """Mark the last share of each unit's rows; rows are sorted by unit and time."""
    _, starts, counts = np.unique(np.array(units), return_index=True, return_counts=True)
    late = np.zeros(len(units), dtype=np.bool_)
    for start, count in zip(starts, counts, strict=True):
        late[start + count - max(1, int(count * share)) : start + count] = True
    return late


def _check_size(data: Dataset, chosen: Hyperparameters) -> None:
    if len(data) < chosen.min_rows:
        raise DatasetError(
            f"{len(data)} feature rows are too few to train on: at least {chosen.min_rows} needed"
        )
    if not np.isfinite(data.features).any():
        raise DatasetError("no feature has a value in any row")


def _unseen_parts(
    data: Dataset, chosen: Hyperparameters, checkpoints: Checkpoints
) -> tuple[Parts, Floats, NDArray[np.int64], bool]:
    """Return parts and level vectors (n, k) from the fold's model fitted without the row, which
    rows, if all folds ran.

    All rows, unless the job is told to stop: then those of the folds that are done. Raises
    Interrupted when none is.
    """
    parts = np.full((3, len(data)), np.nan)
    width = len(_level_columns(chosen)) if _judges_slowly(data, chosen) else 0
    levels = np.zeros((len(data), width))
    blocks = calibration.folds(
        data.device_ids, data.event_time_ms, chosen.folds, chosen.spec.reach_ms
    )
    complete = True
    for fold, (fit_rows, held_rows) in enumerate(blocks):
        if fit_rows.sum() < chosen.min_rows // 2 or not held_rows.any():
            raise DatasetError(
                f"{len(data)} feature rows are too few for {chosen.folds} blocks of time with "
                f"{chosen.spec.reach_ms // 1000} s between them"
            )
        try:
            seed = chosen.seed + 1 + fold
            model, _ = fit_model(data, fit_rows, chosen, seed, checkpoints, f"fold_{fold}")
        except Interrupted:
            if fold == 0:
                raise
            complete = False
            break
        units = [unit for unit, held in zip(data.device_ids, held_rows, strict=True) if held]
        measured = model.parts(units, data.features[held_rows])
        parts[:, held_rows] = [measured.of_input, measured.of_residual, measured.of_nothing]
        levels[held_rows] = model.level_vectors(units, data.features[held_rows])
    scored = np.flatnonzero(np.isfinite(parts).all(axis=0))
    return Parts(*parts[:, scored]), levels[scored], scored, complete
