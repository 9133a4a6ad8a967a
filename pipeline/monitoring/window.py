"""What one window of traffic violates, and since when it has drifted.

Pure: rows and a baseline in, a judgement out. Called by the monitoring job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model.alarms import rule_of
from pipeline.model.artefact import Artefact
from pipeline.monitoring import health
from pipeline.monitoring.baseline import (
    SCORE,
    Baseline,
    drift_names,
    drift_values,
)
from pipeline.monitoring.blocks import distances
from pipeline.monitoring.columns import Column, column_of_numbers, column_of_values, statistics
from pipeline.monitoring.constraints import violations
from pipeline.monitoring.sketch import KllSketch
from pipeline.monitoring.traffic import Traffic

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DRIFT = "baseline_drift_check"

LEAST_SHARE = 0.5
"""With fewer of a window's usual healthy rows its distances are larger for no other reason."""


LASTING_SHARE = 0.75
"""Drift lasts while so many of the windows have drifted: a night may look as usual."""


@dataclass(frozen=True)
class Judgement:
    """What a window is like. `apart` has the distances by column, where they were measured."""

    start_ms: int
    end_ms: int
    statistics: dict[str, Any]
    violations: list[dict[str, str]]
    apart: dict[str, float]
    rows: int
    healthy_rows: int
    alarmed_rows: int
    judged: bool

    @property
    def drifted(self) -> list[str]:
        """The columns that have drifted, in the baseline's order."""
        return [
            found["feature_name"]
            for found in self.violations
            if found["constraint_check_type"] == DRIFT
        ]


class Monitor:
    """Judges windows of one stretch of traffic against the baseline of its model."""

    def __init__(
        self, model: Artefact, baseline: Baseline, traffic: Traffic, margin_ms: int
    ) -> None:
        self._model = model
        self._baseline = baseline
        self._traffic = traffic
        self._names = drift_names(model)
        self._reference = baseline.sketches(self._names)
        self._judged: dict[tuple[int, int], Judgement] = {}
        self._alarmed = health.in_alarm(
            traffic.device_ids,
            traffic.event_time_ms,
            traffic.scores,
            traffic.levels,
            rule_of(model),
            margin_ms,
        )

    def judge(self, start_ms: int, end_ms: int) -> Judgement:
        """Judge the rows that arrived in [start_ms, end_ms)."""
        if (start_ms, end_ms) not in self._judged:
            self._judged[start_ms, end_ms] = self._judge(start_ms, end_ms)
        return self._judged[start_ms, end_ms]

    def _judge(self, start_ms: int, end_ms: int) -> Judgement:
        arrived = self._traffic.arrived_ms
        inside = np.flatnonzero((arrived >= start_ms) & (arrived < end_ms))
        rows, alarmed = self._traffic.at(inside), self._alarmed[inside]
        columns = self._columns(rows)
        kept = np.flatnonzero(health.healthy(alarmed))
        values, devices = self._drift_values(rows.at(kept))
        judged = len(kept) >= LEAST_SHARE * self._baseline.usual_rows
        healthy: dict[str, Column] = {}
        apart: dict[str, float] = {}
        if judged:
            healthy = {
                name: column_of_numbers(name, values[:, at]) for at, name in enumerate(self._names)
            }
            measured = zip(self._names, distances(values, self._reference), strict=True)
            apart = {name: float(far) for name, far in measured if np.isfinite(far)}
        found: list[dict[str, str]] = []
        if len(rows):
            constraints, reference = self._baseline.constraints, self._baseline.reference
            found = [
                each
                for each in violations(columns, constraints, reference, healthy)
                if each["constraint_check_type"] != DRIFT
                or self._of_the_fleet(each["feature_name"], values, devices)
            ]
        return Judgement(
            start_ms,
            end_ms,
            statistics(columns, len(rows)),
            found,
            apart,
            len(rows),
            len(kept),
            int(alarmed.sum()),
            judged,
        )

    def drifted_since(self, last: Judgement, earliest_ms: int) -> int:
        """Return since when, not before `earliest_ms`, the windows up to a drifted one drifted.

        The earliest drifted window from which on at least `LASTING_SHARE` of those that could be
        judged have drifted.
        """
        length_ms = last.end_ms - last.start_ms
        since_ms = last.start_ms
        drifted = judged = 1
        for start_ms in range(since_ms - length_ms, earliest_ms - 1, -length_ms):
            before = self.judge(start_ms, start_ms + length_ms)
            judged += before.judged
            drifted += bool(before.drifted)
            if before.drifted and drifted >= LASTING_SHARE * judged:
                since_ms = start_ms
        return since_ms

    def lasted_before(
        self, last: Judgement, needed_ms: int, every_ms: int, earliest_ms: int
    ) -> bool:
        """Tell whether the drift had lasted for `needed_ms` already when it was last seen.

        Seen is what a job judged: one window `every_ms`.
        """
        length_ms = last.end_ms - last.start_ms
        for start_ms in range(last.start_ms - every_ms, last.end_ms - needed_ms - 1, -every_ms):
            if start_ms < earliest_ms:
                break
            before = self.judge(start_ms, start_ms + length_ms)
            if before.drifted:
                return self.drifted_since(before, earliest_ms) <= before.end_ms - needed_ms
        return False

    def _columns(self, rows: Traffic) -> list[Column]:
        """Return the columns as they were sent: a short row lacks the last, a long one has more."""
        names = self._model.feature_names
        width = max(map(len, rows.values), default=0)
        columns = []
        for at in range(width):
            name = names[at] if at < len(names) else f"_c{at}"
            sent = [row[at] if at < len(row) else None for row in rows.values]
            columns.append(column_of_values(name, sent))
        return [*columns, column_of_values(SCORE, rows.scores)]

    def _drift_values(self, rows: Traffic) -> tuple[Floats, list[str]]:
        width = len(self._model.feature_names)
        features = np.full((len(rows), width), np.nan)
        for at, sent in enumerate(rows.values):
            for place, value in enumerate(sent[:width]):
                if isinstance(value, (int, float)) and abs(value) <= 1e308:
                    features[at, place] = value
        scored = drift_values(self._model, rows.device_ids, features, rows.scores)
        return scored, rows.device_ids

    def _of_the_fleet(self, name: str, values: Floats, devices: list[str]) -> bool:
        """Tell whether a column is beyond its limit without any one of the machines too.

        A single machine that is far off is a fault that the detector has not found yet, or a
        changed machine: no reason to train everybody's model anew.
        """
        at = self._names.index(name)
        sketch, limit = self._reference[at], self._baseline.limits()[name]
        owners = np.array(devices)
        units = sorted(set(devices))
        if len(units) < 2:
            return True
        return all(self._apart(values[owners != unit, at], sketch) > limit for unit in units)

    def _apart(self, values: Floats, sketch: KllSketch | None) -> float:
        far = distances(values[:, None], [sketch])[0]
        return float(far) if np.isfinite(far) else 0.0
