"""The baseline of a model: what its training rows are like, and how far a window may be off.

Made once a model by the monitoring job; read back for each window. `statistics.json` and
`constraints.json` are as Model Monitor has them; `reference.json`, ours, has in the same schema
the distributions that drift is measured from: healthy rows, in units of what is usual for each
machine, so that which machines take part does not matter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobInputError
from pipeline.model.alarms import rule_of, scored
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.monitoring import blocks, health
from pipeline.monitoring.columns import Column, column_of_numbers, statistics, stored_sketch
from pipeline.monitoring.constraints import suggest
from pipeline.monitoring.sketch import KllSketch

Floats = NDArray[np.float64]

SCORE = "score"
STATISTICS_FILE = "statistics.json"
CONSTRAINTS_FILE = "constraints.json"
REFERENCE_FILE = "reference.json"


@dataclass(frozen=True)
class Baseline:
    """The three files as they are parsed."""

    statistics: dict[str, Any]
    constraints: dict[str, Any]
    reference: dict[str, Any]

    @property
    def model_version(self) -> str:
        """The model that this is the baseline of."""
        return str(self.reference["model_version"])

    @property
    def usual_rows(self) -> int:
        """The median number of healthy rows of a window of the reference."""
        return int(self.reference["usual_rows"])

    def sketches(self, names: tuple[str, ...]) -> list[KllSketch | None]:
        """Return the reference distribution of each of the columns; None where there is none."""
        stored = {feature["name"]: feature for feature in self.reference["features"]}
        return [stored_sketch(stored[name]) if name in stored else None for name in names]

    def limits(self) -> dict[str, float]:
        """Return the limit of drift by column."""
        return {
            feature["name"]: feature["monitoringConfigOverrides"]["distribution_constraints"][
                "comparison_threshold"
            ]
            for feature in self.constraints["features"]
            if "monitoringConfigOverrides" in feature
        }

    def save(self, folder: Path) -> None:
        """Write the three files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            (STATISTICS_FILE, self.statistics),
            (CONSTRAINTS_FILE, self.constraints),
            (REFERENCE_FILE, self.reference),
        ):
            (folder / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


def load(statistics_file: Path, constraints_file: Path) -> Baseline:
    """Read a baseline; the reference lies beside the statistics. Raises JobInputError."""
    paths = (statistics_file, constraints_file, statistics_file.with_name(REFERENCE_FILE))
    try:
        found = Baseline(*(json.loads(path.read_text(encoding="utf-8")) for path in paths))
        int(found.reference["usual_rows"]), str(found.reference["model_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobInputError(f"no usable baseline in {statistics_file.parent}: {error}") from error
    return found


def drift_names(model: Artefact) -> tuple[str, ...]:
    """Return the columns that are judged for drift: what the model looks at, and the score."""
    return (*(model.feature_names[column] for column in model.model.columns), SCORE)


def drift_values(
    model: Artefact, device_ids: list[str], features: Floats, scores: list[float | None]
) -> Floats:
    """Return (n, d) values of `drift_names`: in each machine's own units; NaN is missing."""
    looked_at = model.model.looked_at(features)
    z = model.model.baselines.normalise(device_ids, looked_at)
    z[~np.isfinite(looked_at)] = np.nan
    return np.column_stack([z, np.array(scores, np.float64)])


def make(model: Artefact, data: Dataset, window_ms: int, margin_ms: int) -> Baseline:
    """Return the baseline of a model on its training rows.

    Raises JobInputError when there are too few for limits of drift.
    """
    if not len(data):
        raise JobInputError("the reference has no rows")
    scores, levels = scored(model, data.device_ids, data.features)
    numbers = np.array(scores, np.float64)
    alarmed = health.in_alarm(
        data.device_ids, data.event_time_ms, scores, levels, rule_of(model), margin_ms
    )
    # Whatever the share in alarm: a model is not monitored against its own false alarms.
    kept = np.flatnonzero(~alarmed)
    values = drift_values(model, data.device_ids, data.features, scores)[kept]
    limits = blocks.drift_limits(data.event_time_ms[kept], values, window_ms)
    names = drift_names(model)
    of_drift = [column_of_numbers(name, values[:, at]) for at, name in enumerate(names)]
    raw = [
        *(
            column_of_numbers(name, data.features[:, at])
            for at, name in enumerate(model.feature_names)
        ),
        column_of_numbers(SCORE, numbers),
    ]
    constraints = suggest(raw, dict(zip(names, limits.by_column.tolist(), strict=True)))
    _relax(constraints, raw, data, numbers, limits.starts_ms, window_ms)
    reference = statistics(of_drift, len(kept))
    reference |= {
        "model_version": model.version,
        "usual_rows": limits.rows,
        "window_s": window_ms // 1000,
        "blocks": limits.blocks,
        "rows_in_alarm": int(alarmed.sum()),
    }
    return Baseline(statistics(raw, len(data)), constraints, reference)


def _relax(
    constraints: dict[str, Any],
    raw: list[Column],
    data: Dataset,
    scores: Floats,
    starts_ms: NDArray[np.int64],
    window_ms: int,
) -> None:
    """Ask for as complete columns as the least complete window of the reference had.

    The mean of the reference, which Model Monitor suggests, is missed by every second window of
    a column with gaps.
    """
    everything = np.column_stack([data.features, scores])
    for at, column in enumerate(raw):
        if column.completeness >= 1.0:
            continue
        there = np.isfinite(everything[:, at])
        lowest = 1.0
        for start in starts_ms.tolist():
            inside = (data.event_time_ms >= start) & (data.event_time_ms < start + window_ms)
            if inside.any():
                lowest = min(lowest, float(there[inside].mean()))
        missing = blocks.MARGIN * (1.0 - lowest)
        constraints["features"][at]["completeness"] = max(0.0, 1.0 - missing)
