"""Days of a monitored fleet in seconds: its rows, its windows, its models one after another.

The fleet's physics make the readings, the pipeline's own code the features, the model, the
baselines and the judgements; only the services in between are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from pipeline.features import Signals, feature_rows
from pipeline.model import alarms, hyperparameters
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.model.fitting import train
from pipeline.monitoring import baseline as baselines
from pipeline.monitoring.health import in_alarm
from pipeline.monitoring.publishing import retraining
from pipeline.monitoring.traffic import Traffic
from pipeline.monitoring.window import Monitor
from pipeline.settings import FeatureSpec
from simulator.fleet.plant import PlantPlan, Unit
from simulator.fleet.settings import AmbientSettings, FaultPlan, FleetSettings

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SENSORS = ("temperature_c", "velocity_mm_s_rms", "pressure_bar", "current_a")
SPEC = FeatureSpec(
    sensors=SENSORS,
    limits=((-1e3, 1e3),) * len(SENSORS),
    window_ms=600_000,
    hop_ms=240_000,
    bursts=False,
)
MARGIN_MS = 30 * 60_000
DAY_S = 86_400.0
BASE_MS = int(datetime(2026, 4, 6, tzinfo=UTC).timestamp() * 1000)
MACHINES = 12
ONSET_H = 72


def rows_of(plan: PlantPlan) -> Dataset:
    """Return the feature rows of all machines of a plan."""
    ids, times, features = [], [], []
    for device_id in plan.devices:
        unit = Unit(plan, device_id, bursts=False)
        block = unit.until(plan.total_s)
        assert block is not None
        stamps_ms = unit.stamps_ms(block.times_s)
        values = np.column_stack([block.values[name] for name in SENSORS])
        none = np.zeros(0, np.int64)
        signals = Signals(
            np.zeros(len(stamps_ms), np.int64), stamps_ms, values, none, none, np.zeros((0, 0))
        )
        end_ms = plan.base_ms + int(plan.total_s * 1000)
        bounds = np.array([plan.base_ms], np.int64), np.array([end_ms], np.int64)
        made = feature_rows(signals, *bounds, SPEC)
        ids += [device_id] * len(made.event_time_ms)
        times.append(made.event_time_ms)
        features.append(made.features)
    return Dataset(ids, np.concatenate(times), np.vstack(features))


def trained(rows: Dataset, seed: int = 0) -> Artefact:
    """Return a model of rows."""
    values = {"feature_spec": SPEC.to_json(), "seed": str(seed), "epochs": "10"}
    return train(rows, hyperparameters.parse(values)).artefact


def scored(model: Artefact, rows: Dataset) -> Traffic:
    """Return rows as the monitoring job reads them of the endpoint's capture."""
    scores, levels = alarms.scored(model, rows.device_ids, rows.features)
    return Traffic(
        rows.device_ids,
        rows.event_time_ms,
        rows.event_time_ms,
        rows.features.tolist(),
        scores,
        [tuple(each) for each in levels] or [()] * len(rows),
    )


@dataclass
class Month:
    """What happened: hours from the start that drifted, and of retrainings; models in order."""

    rows: Dataset
    base_ms: int
    retraining_ms: int = DAY_MS
    drifted: dict[int, list[str]] = field(default_factory=dict)
    judged: int = 0
    retrained: list[int] = field(default_factory=list)
    models: list[Artefact] = field(default_factory=list)

    def run(self, hours: range) -> None:
        """Monitor hour by hour, with a model of the `retraining_ms` before the first hour."""
        monitor = self._train(hours.start)
        for hour in hours:
            start_ms = self.base_ms + hour * HOUR_MS
            judged = monitor.judge(start_ms, start_ms + HOUR_MS)
            self.judged += judged.judged
            if not judged.drifted:
                continue
            self.drifted[hour] = judged.drifted
            needed_ms = self.retraining_ms
            earliest_ms = max(start_ms - needed_ms * 3 // 2, self._since_ms)
            again = monitor.lasted_before(judged, needed_ms, HOUR_MS, earliest_ms)
            since_ms = monitor.drifted_since(judged, earliest_ms)
            if retraining(since_ms, start_ms + HOUR_MS, needed_ms, HOUR_MS, again=again).due:
                self.retrained.append(hour + 1)
                monitor = self._train(hour + 1)

    def _train(self, hour: int) -> Monitor:
        """Return the monitor of a model of the time before an hour, which serves from then on."""
        end_ms = self.base_ms + hour * HOUR_MS
        rows = self.rows.within(end_ms - self.retraining_ms, end_ms)
        model = trained(rows)
        self._since_ms = end_ms
        self.models.append(model)
        baseline = baselines.make(model, rows, HOUR_MS, MARGIN_MS)
        return Monitor(model, baseline, scored(model, self.rows), MARGIN_MS)

    def false_alarms(self, model: int, hours: range) -> tuple[int, float]:
        """Return a model's episodes in some hours, and the share of the rows that are in one.

        All of them are false where the fleet has no faults.
        """
        served = self.models[model]
        start_ms, end_ms = (self.base_ms + hour * HOUR_MS for hour in (hours.start, hours.stop))
        rows = scored(served, self.rows.within(start_ms, end_ms))
        rule = alarms.rule_of(served)
        marked = in_alarm(rows.device_ids, rows.event_time_ms, rows.scores, rows.levels, rule, 0)
        names = np.array(rows.device_ids)
        begun = marked & ~np.concatenate([[False], marked[:-1] & (names[1:] == names[:-1])])
        return int(begun.sum()), float(marked.mean())


def gain(machine: int, severity: float, onset_s: float = (ONSET_H - 24) * 3600.0) -> FaultPlan:
    """Return a current that is shown too large from the fourth day on."""
    return FaultPlan(
        device=f"pump-{machine:03d}",
        kind="gain",
        onset_s=onset_s,
        duration_s=30 * DAY_S,
        severity=severity,
        sensor="current_a",
    )


def monitored(days: int, *faults: FaultPlan, season_swing_c: float = 0.0) -> Month:
    """Return what became of a fleet whose first day is the first model's history."""
    ambient = AmbientSettings(mean_c=18.0, season_swing_c=season_swing_c)
    fleet = FleetSettings(machines=MACHINES, sensors=SENSORS, rate_hz=1 / 60, ambient=ambient)
    plan = PlantPlan(1, fleet, DAY_S, days * DAY_S, BASE_MS, faults)
    month = Month(rows_of(plan), BASE_MS)
    month.run(range(24, 24 * days))
    return month
