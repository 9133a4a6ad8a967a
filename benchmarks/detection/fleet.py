"""What the pipeline's detector is worth on simulated fleets; the command line calls it.

Three questions, each on machines that live for days: how often does it call somebody for nothing
(healthy plants, against the designed rate), how early does it see bearings that run to their
failure, and which faults of some ten minutes to an hour does it see at all. Every model is trained
on its plant's own history, as the training job does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.fleet_data import FleetRows, MachineRows, joined, rows_of
from benchmarks.detection.metrics import Rate, lead_times
from infra_cdk.config import DEV
from pipeline.detection import episodes
from pipeline.model import calibration, fitting
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.scoring import Floats
from pipeline.settings import FeatureSpec
from simulator.scenario import Scenario

DAY_S = 86_400.0


@dataclass(frozen=True)
class Seeds:
    """Those of the plants of each question."""

    healthy: tuple[int, ...]
    bearings: int
    faults: int


USUAL = Seeds(healthy=(1, 2, 3), bearings=1, faults=3)
"""The detector was made with these plants in view."""
HELD_OUT = Seeds(healthy=(12,), bearings=12, faults=12)
"""Nobody looked at these before the detector was finished."""

# An episode that opens so soon after a fault's end still belongs to it: windows reach back.
GRACE_MS = 600_000

FAULTS: tuple[tuple[str, str], ...] = (
    ("bearing_outer_race", ""),
    ("bearing_inner_race", ""),
    ("imbalance", ""),
    ("misalignment", ""),
    ("looseness", ""),
    ("cavitation", ""),
    ("overheating", ""),
    ("rotor_bar", ""),
    ("lubrication_loss", ""),
    ("seal_leak", ""),
    ("filter_clogging", ""),
    ("bias_drift", "temperature_c"),
    ("stuck_at", "pressure_bar"),
    ("gain", "current_a"),
    ("noise_increase", "velocity_mm_s_rms"),
)


@dataclass(frozen=True)
class Episode:
    """One episode: opened and closed at these times in epoch milliseconds."""

    opened_ms: int
    closed_ms: int


@dataclass(frozen=True)
class HealthyReport:
    """False-alarm episodes of healthy plants over machine-days, by rule, against the design."""

    designed_per_day: float
    plants: tuple[Rate, ...]

    @property
    def rate(self) -> Rate:
        """All plants together."""
        return Rate(sum(p.count for p in self.plants), sum(p.exposure for p in self.plants))


@dataclass(frozen=True)
class LeadReport:
    """Lead of each bearing that ran to its failure: seconds, and share of its growth time."""

    leads_s: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def found_share(self) -> float:
        """The share of failures that an episode came before."""
        return float(np.mean(np.array(self.shares) > 0.0))

    @property
    def median_share(self) -> float:
        """The median lead as a share of the growth time; 0 where there was none."""
        return float(np.median(self.shares))


@dataclass(frozen=True)
class FaultsReport:
    """By kind of fault: how many there were and the delays (s) of those found; false episodes."""

    injected: Mapping[str, int]
    delays_s: Mapping[str, tuple[float, ...]]
    false: Rate


def spec() -> FeatureSpec:
    """Return the feature spec of the stack's default."""
    return FeatureSpec.parse(DEV.feature_spec)


def healthy_plant(seed: int, machines: int, history_d: float, live_d: float) -> Scenario:
    """Return pumps that have no fault, with bursts every ten minutes."""
    return _scenario("healthy", seed, machines, history_d * DAY_S, live_d * DAY_S, burst_s=600.0)


def bearings(seed: int, machines: int) -> Scenario:
    """Return pumps whose bearings fail; a defect grows in about 80 minutes, as in the demo."""
    return _scenario(
        "bearings",
        seed,
        machines,
        14_400.0,
        60_000.0,
        life={
            "wear": [
                {
                    "kind": "bearing_outer_race",
                    "life_s": 40_000.0,
                    "shape": 3.0,
                    "growth_s": 4_800.0,
                    "spread": 0.2,
                }
            ],
            "maintenance": {"policy": "run_to_failure"},
        },
    )


def faulty_plant(seed: int, machines: int, live_d: float) -> Scenario:
    """Return pumps with faults of all kinds at random, of severity 0.3 to 0.7, 20 to 60 minutes."""
    rates = [{"kind": kind, "per_machine_day": 0.2, "sensor": sensor} for kind, sensor in FAULTS]
    return _scenario("faults", seed, machines, 2 * DAY_S, live_d * DAY_S, fault_rates=rates)


def _scenario(
    name: str,
    seed: int,
    machines: int,
    history_s: float,
    live_s: float,
    burst_s: float = 120.0,
    **more: object,
) -> Scenario:
    fleet = {"sensors": list(spec().sensors), "machines": machines, "burst_period_s": burst_s}
    table = {"name": name, "seed": seed, "history_s": history_s, "live_s": live_s, "fleet": fleet}
    return Scenario.from_table({**table, **more})


def trained(rows: FleetRows) -> Artefact:
    """Train on the history, with the pipeline's defaults."""
    devices, times, features = joined(rows.machines, 0, rows.live_start_ms)
    chosen = Hyperparameters(feature_spec=spec().to_json())
    with redirect_stdout(io.StringIO()):
        return fitting.train(Dataset(devices, times, features), chosen).artefact


def episodes_of(
    artefact: Artefact, machine: MachineRows, from_ms: int, *, no_model: bool = False
) -> list[Episode]:
    """Return a machine's episodes by the model's own rule from a time on."""
    live = machine.event_time_ms >= from_ms
    times = machine.event_time_ms[live]
    model, rule = artefact.model, artefact.rule
    parts = model.parts([machine.device_id] * len(times), machine.features[live])
    combined = artefact.combination
    scores: Floats = combined.no_model_score(parts) if no_model else combined.score(parts)
    gap_ms = spec().reach_ms + spec().hop_ms
    memory_rows = 0 if no_model else rule.memory_rows
    steps = episodes.Rule(
        rule.smoothing_rows,
        rule.enter,
        rule.exit,
        rule.enter_rows,
        rule.exit_rows,
        gap_ms,
        memory_rows=memory_rows,
    )
    levels: list[list[float]] = [[]] * len(times)
    if memory_rows:
        vectors = model.level_vectors([machine.device_id] * len(times), machine.features[live])
        levels = (vectors / combined.slow_threshold).tolist()
    state, found = episodes.EpisodeState(), []
    for time_ms, score, deviations in zip(times.tolist(), scores.tolist(), levels, strict=True):
        state, step = episodes.advance(state, steps, time_ms, score, deviations)
        if step.closed and step.episode is not None:
            found.append(Episode(step.episode.started_ms, time_ms))
    if state.is_open:
        found.append(Episode(state.started_ms, int(times[-1])))
    return found


def healthy(
    workers: int,
    seeds: Sequence[int] = USUAL.healthy,
    machines: int = 20,
    history_d: float = 2.0,
    live_d: float = 16.0,
) -> HealthyReport:
    """Count episodes on healthy plants, one model a plant."""
    plants = []
    for seed in seeds:
        rows = rows_of(healthy_plant(seed, machines, history_d, live_d), spec(), workers)
        artefact = trained(rows)
        found = sum(
            len(episodes_of(artefact, machine, rows.live_start_ms)) for machine in rows.machines
        )
        live = sum(int((m.event_time_ms >= rows.live_start_ms).sum()) for m in rows.machines)
        plants.append(Rate(found, live * spec().hop_ms / calibration.MS_PER_DAY))
    designed = Hyperparameters(feature_spec="").false_alarms_per_machine_day
    return HealthyReport(designed, tuple(plants))


def run_to_failure(
    workers: int, seed: int = USUAL.bearings, machines: int = 60, *, no_model: bool = False
) -> LeadReport:
    """Measure how long before the failure each bearing was found; its first live failure counts."""
    rows = rows_of(bearings(seed, machines), spec(), workers)
    artefact = trained(rows)
    leads, shares = [], []
    for machine in rows.machines:
        found = episodes_of(artefact, machine, rows.live_start_ms, no_model=no_model)
        starts = [episode.opened_ms for episode in found]
        for fault in rows.truth.of(machine.device_id):
            failed = fault.fails_ms is not None and fault.fails_ms <= fault.end_ms
            if fault.start_ms < rows.live_start_ms or not failed:
                continue
            assert fault.fails_ms is not None
            lead, share = lead_times(starts, fault.start_ms, fault.fails_ms)
            leads.append(lead / 1000.0)
            shares.append(share)
    return LeadReport(tuple(leads), tuple(shares))


def faults(
    workers: int, seed: int = USUAL.faults, machines: int = 20, live_d: float = 4.0
) -> FaultsReport:
    """Measure which of many short faults are found."""
    rows = rows_of(faulty_plant(seed, machines, live_d), spec(), workers)
    artefact = trained(rows)
    injected: dict[str, int] = {}
    delays: dict[str, list[float]] = {}
    false = 0
    for machine in rows.machines:
        found = episodes_of(artefact, machine, rows.live_start_ms)
        known = rows.truth.of(machine.device_id)
        for fault in known:
            injected[fault.kind] = injected.get(fault.kind, 0) + 1
            hits = [
                max(0, episode.opened_ms - fault.start_ms)
                for episode in found
                if episode.opened_ms <= fault.end_ms and episode.closed_ms >= fault.start_ms
            ]
            if hits:
                delays.setdefault(fault.kind, []).append(min(hits) / 1000.0)
        false += sum(
            not any(f.start_ms <= e.opened_ms <= f.end_ms + GRACE_MS for f in known) for e in found
        )
    days = rows.truth.machine_days(grace_ms=GRACE_MS)
    kept = {kind: tuple(delays.get(kind, ())) for kind in injected}
    return FaultsReport(injected, kept, Rate(false, days))
