"""Healthy feature rows for the tests of the model: a load that moves all sensors, and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters, parse
from pipeline.settings import DEFAULT_STATISTICS, FeatureSpec

Floats = NDArray[np.float64]

SENSORS = ("flow", "heat", "current")
SPEC = FeatureSpec(
    sensors=SENSORS,
    limits=((-1e6, 1e6),) * len(SENSORS),
    window_ms=10_000,
    hop_ms=5_000,
    bursts=False,
)
WIDTH = len(SENSORS) * len(DEFAULT_STATISTICS)


def chosen(**changes: str) -> Hyperparameters:
    """Return quick hyperparameters with changes."""
    quick = {"epochs": "3", "smoothing_rows": "3", "folds": "3"}
    return parse({"feature_spec": SPEC.to_json(), **quick, **changes})


def autoregressive(rng: np.random.Generator, rows: int, memory: float) -> Floats:
    """Return a stationary AR(1) series of variance 1, (rows,)."""
    noise = rng.standard_normal(rows) * np.sqrt(1.0 - memory**2)
    series = np.empty(rows)
    series[0] = rng.standard_normal()
    for row in range(1, rows):
        series[row] = memory * series[row - 1] + noise[row]
    return series


def features(rng: np.random.Generator, rows: int, level: float = 0.0) -> Floats:
    """Return (rows, WIDTH) features of one machine: every sensor follows one load."""
    load = autoregressive(rng, rows, 0.9)
    columns = []
    for sensor in range(len(SENSORS)):
        columns.append(level + (sensor + 1) * load + 0.2 * autoregressive(rng, rows, 0.5))
        columns.append(1.0 + 0.1 * autoregressive(rng, rows, 0.5))
        columns.append(0.01 * autoregressive(rng, rows, 0.5))
    return np.column_stack(columns)


def dataset(seed: int, units: int = 3, rows: int = 200) -> Dataset:
    """Return healthy rows of machines m0, m1, ... whose levels differ by far more than noise."""
    rng = np.random.default_rng(seed)
    names = [f"m{unit}" for unit in range(units)]
    return Dataset(
        [name for name in names for _ in range(rows)],
        np.tile(np.arange(1, rows + 1, dtype=np.int64) * SPEC.hop_ms, units),
        np.vstack([features(rng, rows, 100.0 * unit) for unit in range(units)]),
    )
