"""Feature rows of simulated machines without a cloud: their own samples, the pipeline's own kernel.

The benchmark's fleet needs hundreds of machine-days. Nothing is lost or late here: every sample
of a machine goes straight into `pipeline.features.feature_rows`, which the Glue job and the
detector call as well. Machines are made in processes of their own, each from its seed and id.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from pipeline.bursts import burst_features
from pipeline.features import Signals, feature_rows
from pipeline.settings import FeatureSpec
from simulator.fleet.ground_truth import GroundTruth
from simulator.fleet.history import blocks_of
from simulator.fleet.plant import PlantPlan, Unit, life_of, plan_of
from simulator.fleet.truth import told, truth_of
from simulator.fleet.vibration import SCALE_M_S2
from simulator.scenario import Scenario


@dataclass(frozen=True)
class MachineRows:
    """One machine's feature rows: times (n,) in epoch milliseconds, features (n, d)."""

    device_id: str
    event_time_ms: NDArray[np.int64]
    features: NDArray[np.float64]


@dataclass(frozen=True)
class FleetRows:
    """All machines' rows, sorted by device, what happened to them, and when the live part began."""

    machines: tuple[MachineRows, ...]
    truth: GroundTruth
    live_start_ms: int


def plan(scenario: Scenario) -> PlantPlan:
    """Return what the machines of a scenario do."""
    return plan_of(scenario, round(scenario.start.timestamp() * 1000))


def rows_of(scenario: Scenario, spec: FeatureSpec, workers: int) -> FleetRows:
    """Make the rows of all machines of a scenario."""
    wanted = plan(scenario)
    devices = sorted(wanted.devices)
    make = partial(machine_rows, wanted, spec)
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            machines = tuple(pool.map(make, devices))
    else:
        machines = tuple(map(make, devices))
    lives = {device: life for device in devices if (life := life_of(wanted, device)) is not None}
    told(wanted, lives)
    start_ms = wanted.base_ms + round(wanted.live_start_s * 1000)
    return FleetRows(machines, truth_of(wanted, lives), start_ms)


def machine_rows(wanted: PlantPlan, spec: FeatureSpec, device_id: str) -> MachineRows:
    """Make one machine's rows, over the history and the live part."""
    unit = Unit(wanted, device_id, bursts=spec.bursts)
    times, values, burst_times, bursts = [], [], [], []
    for block in blocks_of(unit, wanted):
        stamps_ms = unit.stamps_ms(block.times_s)
        times.append(stamps_ms)
        values.append(np.column_stack([block.values[sensor] for sensor in spec.sensors]))
        starts_ms = unit.burst_starts_ms(block, stamps_ms)
        for burst, start_ms in zip(block.bursts, starts_ms, strict=True):
            burst_times.append(start_ms)
            found = burst_features(burst.samples, burst.rate_hz, SCALE_M_S2, spec.bearing_hz)
            bursts.append(found)
    made_ms = np.concatenate(times)
    signals = Signals(
        np.zeros(len(made_ms), np.int64),
        made_ms,
        np.concatenate(values),
        np.zeros(len(burst_times), np.int64),
        np.array(burst_times, np.int64),
        np.array(bursts).reshape(len(bursts), -1),
    )
    end_ms = np.array([made_ms[-1] + 1])
    rows = feature_rows(signals, made_ms[:1] + spec.window_ms, end_ms, spec)
    return MachineRows(device_id, rows.event_time_ms, rows.features)


def joined(
    machines: Sequence[MachineRows], start_ms: int, end_ms: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Return devices, times and features of the rows in [start_ms, end_ms)."""
    devices: list[str] = []
    times, features = [], []
    for machine in machines:
        kept = (machine.event_time_ms >= start_ms) & (machine.event_time_ms < end_ms)
        devices += [machine.device_id] * int(kept.sum())
        times.append(machine.event_time_ms[kept])
        features.append(machine.features[kept])
    return devices, np.concatenate(times), np.concatenate(features)
