"""The model directory: what training writes and the endpoint reads.

`model.json` says what the model is (version, features, rule, thresholds, how it was calibrated),
`arrays.npz` has its numbers, `autoencoder.pth` the same weights for PyTorch. All three are the
same bytes for the same data and hyperparameters.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pipeline.errors import ModelNotReady
from pipeline.model.baseline import Baselines
from pipeline.model.levels import Levels
from pipeline.model.scoring import Combination, Metric, Model

SCHEMA = 1
DESCRIPTION_FILE = "model.json"
ARRAYS_FILE = "arrays.npz"
WEIGHTS_FILE = "autoencoder.pth"
LEVEL_SUFFIX = "_mean"
"""Of the features that are a sensor's level: the mean of the main window."""

_LAYER_COUNT = 4


@dataclass(frozen=True)
class EpisodeRule:
    """When an episode opens and closes; levels in thresholds, counts in feature rows.

    `memory_rows` is that of the slow mean, 0 for none.
    """

    smoothing_rows: int
    enter: float
    exit: float
    enter_rows: int
    exit_rows: int
    memory_rows: int = 0


@dataclass(frozen=True)
class Artefact:
    """A trained model with its thresholds; `notes` is for people and never read back."""

    version: str
    feature_names: tuple[str, ...]
    model: Model
    combination: Combination
    rule: EpisodeRule
    notes: dict[str, Any]

    @property
    def level_sensors(self) -> tuple[str, ...]:
        """The sensors whose levels are judged slowly."""
        names = (self.feature_names[column] for column in self.model.levels.columns)
        return tuple(name.removesuffix(LEVEL_SUFFIX) for name in names)


def save(artefact: Artefact, folder: Path) -> None:
    """Write `model.json` and `arrays.npz`; the network's own file is the trainer's."""
    model = artefact.model
    description = {
        "schema": SCHEMA,
        "version": artefact.version,
        "feature_names": artefact.feature_names,
        "columns": model.columns,
        "sensors": model.sensors,
        "sensor_of": model.sensor_of,
        "level_columns": model.levels.columns,
        "units": model.baselines.units,
        "combination": asdict(artefact.combination),
        "rule": asdict(artefact.rule),
        "notes": artefact.notes,
    }
    text = json.dumps(description, indent=1, sort_keys=True)
    (folder / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")
    baselines = model.baselines
    arrays = {
        "location": baselines.location,
        "scale": baselines.scale,
        "unknown_location": baselines.unknown_location,
        "unknown_scale": baselines.unknown_scale,
        "input_whitening": model.input_metric.whitening,
        "residual_whitening": model.residual_metric.whitening,
    }
    if model.levels.columns:
        arrays |= {
            "level_centre": model.levels.centre,
            "level_whitening": model.levels.whitening,
        }
    for position, (weight, bias) in enumerate(model.layers):
        arrays[f"weight_{position}"] = weight
        arrays[f"bias_{position}"] = bias
    np.savez(folder / ARRAYS_FILE, allow_pickle=False, **arrays)


def load(folder: Path) -> Artefact:
    """Read a model directory; raises ModelNotReady when it has no usable model."""
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        with np.load(folder / ARRAYS_FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ModelNotReady(f"no model in {folder.name}: {error}") from error
    try:
        return _parsed(description, arrays)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelNotReady(f"no model in {folder.name}: {error!r} in its files") from error


def _parsed(description: Any, arrays: dict[str, Any]) -> Artefact:
    if description.get("schema") != SCHEMA:
        raise ModelNotReady(f"model schema {description.get('schema')!r} is not {SCHEMA}")
    baselines = Baselines(
        units=tuple(description["units"]),
        location=arrays["location"],
        scale=arrays["scale"],
        unknown_location=arrays["unknown_location"],
        unknown_scale=arrays["unknown_scale"],
    )
    model = Model(
        columns=tuple(description["columns"]),
        sensors=tuple(description["sensors"]),
        sensor_of=tuple(description["sensor_of"]),
        baselines=baselines,
        layers=tuple(
            (arrays[f"weight_{position}"], arrays[f"bias_{position}"])
            for position in range(_LAYER_COUNT)
        ),
        input_metric=Metric(arrays["input_whitening"]),
        residual_metric=Metric(arrays["residual_whitening"]),
        levels=_levels(description, arrays),
    )
    return Artefact(
        version=description["version"],
        feature_names=tuple(description["feature_names"]),
        model=model,
        combination=Combination(**description["combination"]),
        rule=EpisodeRule(**description["rule"]),
        notes=description["notes"],
    )


def _levels(description: Any, arrays: dict[str, Any]) -> Levels:
    """Return what is judged slowly: nothing in models of before there was such a thing."""
    columns = tuple(description.get("level_columns", ()))
    if not columns:
        return Levels.none()
    return Levels(columns, arrays["level_centre"], arrays["level_whitening"])
