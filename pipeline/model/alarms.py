"""When machines were in alarm, found anew from rows by a model's score and the detector's rule.

Pure. Training leaves such rows out (`healthy_rows`), monitoring judges drift on the others
(`pipeline.monitoring.health`). It reads nothing of the detector's tables, so that it answers for
rows that no detector has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.episodes import EpisodeState, Rule, advance
from pipeline.model.artefact import Artefact
from pipeline.settings import FeatureSpec

Floats = NDArray[np.float64]
Levels = Sequence[Sequence[float]]

# Rows that are scored at once: some tens of MB.
CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Alarm:
    """One episode: scores rose at `since_ms`, before it opened; `ended_ms` is None while open."""

    since_ms: int
    ended_ms: int | None


def rule_of(model: Artefact) -> Rule:
    """Return the detector's rule for a model, the slow mean included."""
    spec = FeatureSpec.parse(model.notes["hyperparameters"]["feature_spec"])
    rule = model.rule
    return Rule(
        rule.smoothing_rows,
        rule.enter,
        rule.exit,
        rule.enter_rows,
        rule.exit_rows,
        spec.window_ms,
        memory_rows=rule.memory_rows,
    )


def scored(
    model: Artefact, device_ids: Sequence[str], features: Floats
) -> tuple[list[float | None], Levels]:
    """Return what the endpoint would answer to (n, n_features) rows: scores and levels.

    A score is None for a row without a value; no levels where the model has no slow mean.
    """
    scores: list[float | None] = []
    levels: list[list[float]] = []
    for start in range(0, len(device_ids), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        units, rows = device_ids[part], features[part]
        parts = model.model.parts(units, rows)
        found: list[float | None] = list(model.combination.score(parts).tolist())
        for empty in model.model.without_values(rows, parts).tolist():
            found[empty] = None
        scores += found
        if model.rule.memory_rows:
            vectors = model.model.level_vectors(units, rows) / model.combination.slow_threshold
            levels += vectors.tolist()
    return scores, levels


def alarms_of(
    event_time_ms: NDArray[np.int64], scores: Sequence[float | None], levels: Levels, rule: Rule
) -> list[Alarm]:
    """Return the episodes of one machine's rows, which are in order of time."""
    state = EpisodeState()
    found = []
    for row, (moment, score) in enumerate(zip(event_time_ms.tolist(), scores, strict=True)):
        if score is None:
            continue
        state, step = advance(state, rule, moment, score, levels[row] if levels else ())
        if step.closed and step.episode is not None:
            found.append(Alarm(step.episode.above_since_ms, moment))
    if state.is_open:
        found.append(Alarm(state.above_since_ms, None))
    return found


def alarms_by_device(
    device_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    scores: Sequence[float | None],
    levels: Levels,
    rule: Rule,
) -> dict[str, list[Alarm]]:
    """Return the episodes of each machine that has one; its rows are in order of time."""
    names = np.array(device_ids)
    found = {}
    for name in sorted(set(device_ids)):
        rows = np.flatnonzero(names == name)
        own = rows.tolist()
        alarms = alarms_of(
            event_time_ms[rows],
            [scores[row] for row in own],
            [levels[row] for row in own] if levels else (),
            rule,
        )
        if alarms:
            found[name] = alarms
    return found
