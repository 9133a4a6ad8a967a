"""What the pipeline's detector is worth on simulated fleets; the command line calls it.

Three questions, each on machines that live for days: how often does it call somebody for nothing
(healthy plants, against the designed rate), how early does it see bearings that run to their
failure, and which faults of some ten minutes to an hour does it see at all. The rules of
`fleet_rules` that are named answer each, on the same rows, calibrated on its plant's own history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.fleet_data import FleetRows, rows_of
from benchmarks.detection.fleet_rules import RULES, Judged, judges
from benchmarks.detection.fleet_scenarios import (
    DEFECTS,
    USUAL,
    bearings,
    faulty_plant,
    healthy_plant,
    spec,
)
from benchmarks.detection.metrics import Rate, average_precision, lead_times
from pipeline.model import calibration
from pipeline.model.hyperparameters import Hyperparameters
from simulator.fleet.ground_truth import FaultInterval

# An episode that opens so soon after a fault's end still belongs to it: windows reach back.
GRACE_MS = 600_000


@dataclass(frozen=True)
class HealthyReport:
    """False-alarm episodes of healthy plants over machine-days, by rule, against the design.

    `in_alarm` is the share of the rows that are in an episode.
    """

    designed_per_day: float
    plants: tuple[Rate, ...]
    in_alarm: float

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
    """By kind of fault: how many there were and the delays (s) of those found; false episodes.

    `auc_pr` is the area under the precision-recall curve of the smoothed scores, mean of the
    machines that have a fault.
    """

    injected: Mapping[str, int]
    delays_s: Mapping[str, tuple[float, ...]]
    false: Rate
    auc_pr: float


def healthy(
    workers: int,
    seeds: Sequence[int] = USUAL.healthy,
    machines: int = 20,
    history_d: float = 2.0,
    live_d: float = 16.0,
    names: Sequence[str] = RULES,
) -> dict[str, HealthyReport]:
    """Count episodes on healthy plants by rule, one model a plant."""
    designed = Hyperparameters(feature_spec="").false_alarms_per_machine_day
    plants: dict[str, list[Rate]] = {}
    alarmed: dict[str, int] = {}
    all_rows = 0
    for seed in seeds:
        rows = rows_of(healthy_plant(seed, machines, history_d, live_d), spec(), workers)
        live = sum(int((m.event_time_ms >= rows.live_start_ms).sum()) for m in rows.machines)
        all_rows += live
        for name, judge in judges(rows, names).items():
            found = [judge(machine) for machine in rows.machines]
            count = sum(len(each.episodes) for each in found)
            days = live * spec().hop_ms / calibration.MS_PER_DAY
            plants.setdefault(name, []).append(Rate(count, days))
            inside = sum(int(each.in_episode.sum()) for each in found)
            alarmed[name] = alarmed.get(name, 0) + inside
    return {
        name: HealthyReport(designed, tuple(rates), alarmed[name] / all_rows)
        for name, rates in plants.items()
    }


def run_to_failure(
    workers: int,
    seed: int = USUAL.bearings,
    machines: int = 60,
    names: Sequence[str] = RULES,
    defect: str = DEFECTS[0],
) -> dict[str, LeadReport]:
    """Measure how long before the failure each bearing was found; its first live failure counts."""
    rows = rows_of(bearings(seed, machines, defect), spec(), workers)
    found = {}
    for name, judge in judges(rows, names).items():
        leads, shares = [], []
        for machine in rows.machines:
            starts = [episode.opened_ms for episode in judge(machine).episodes]
            for fault in rows.truth.of(machine.device_id):
                failed = fault.fails_ms is not None and fault.fails_ms <= fault.end_ms
                if fault.start_ms < rows.live_start_ms or not failed:
                    continue
                assert fault.fails_ms is not None
                lead, share = lead_times(starts, fault.start_ms, fault.fails_ms)
                leads.append(lead / 1000.0)
                shares.append(share)
        found[name] = LeadReport(tuple(leads), tuple(shares))
    return found


def faults(
    workers: int,
    seed: int = USUAL.faults,
    machines: int = 20,
    live_d: float = 4.0,
    names: Sequence[str] = RULES,
) -> dict[str, FaultsReport]:
    """Measure which of many short faults are found, by rule."""
    rows = rows_of(faulty_plant(seed, machines, live_d), spec(), workers)
    return {
        name: _faults_report(rows, [judge(machine) for machine in rows.machines])
        for name, judge in judges(rows, names).items()
    }


def _faults_report(rows: FleetRows, judged: Sequence[Judged]) -> FaultsReport:
    injected: dict[str, int] = {}
    delays: dict[str, list[float]] = {}
    areas, false = [], 0
    for machine, found in zip(rows.machines, judged, strict=True):
        known = rows.truth.of(machine.device_id)
        for fault in known:
            injected[fault.kind] = injected.get(fault.kind, 0) + 1
            hits = [
                max(0, episode.opened_ms - fault.start_ms)
                for episode in found.episodes
                if episode.opened_ms <= fault.end_ms and episode.closed_ms >= fault.start_ms
            ]
            if hits:
                delays.setdefault(fault.kind, []).append(min(hits) / 1000.0)
        false += sum(
            not any(f.start_ms <= e.opened_ms <= f.end_ms + GRACE_MS for f in known)
            for e in found.episodes
        )
        areas.append(_area(found, known))
    days = rows.truth.machine_days(grace_ms=GRACE_MS)
    kept = {kind: tuple(delays.get(kind, ())) for kind in injected}
    there = [area for area in areas if not np.isnan(area)]
    area = float(np.mean(there)) if there else float("nan")
    return FaultsReport(injected, kept, Rate(false, days), area)


def _area(found: Judged, known: Sequence[FaultInterval]) -> float:
    """Return the area under a machine's precision-recall curve; NaN without a fault."""
    labels = np.zeros(len(found.times_ms), np.bool_)
    for fault in known:
        labels |= (found.times_ms >= fault.start_ms) & (found.times_ms <= fault.end_ms)
    return average_precision(labels, np.nan_to_num(found.levels))
