"""What is needed to make any device of a fleet, and its samples as messages.

A `PlantPlan` is plain data that travels to other processes and to Spark; a `Unit` is one device
made of it: machine, life and clock. A unit depends on (plan, device id) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.messages import Burst, encode_burst, encode_readings
from simulator.fleet.catalogue import KINDS, devices_of
from simulator.fleet.clock import DeviceClock
from simulator.fleet.life import MachineLife
from simulator.fleet.machine import Block, Machine
from simulator.fleet.maintenance import Decision
from simulator.fleet.settings import (
    ClockSettings,
    DriftPlan,
    FaultPlan,
    FleetSettings,
    LifeSettings,
    NetworkSettings,
    WearSettings,
)
from simulator.fleet.streams import FloatArray
from simulator.fleet.vibration import SCALE_M_S2


@dataclass(frozen=True)
class PlantPlan:
    """Everything that decides what the machines of a fleet do.

    The history goes from 0 to ``live_start_s``, the live part to ``total_s``; ``base_ms`` is the
    epoch time of second 0. ``decisions`` are orders for maintenance that somebody gave.
    """

    seed: int
    fleet: FleetSettings
    live_start_s: float
    total_s: float
    base_ms: int
    faults: tuple[FaultPlan, ...] = ()
    drifts: tuple[DriftPlan, ...] = ()
    life: LifeSettings = field(default_factory=LifeSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    decisions: tuple[Decision, ...] = ()

    @cached_property
    def devices(self) -> dict[str, str]:
        """Device id -> kind of machine, in the order of the fleet."""
        return devices_of(self.fleet)

    def faults_of(self, device_id: str) -> tuple[FaultPlan, ...]:
        """Return the faults planned for a device, and what it shows differently as all do."""
        mine = tuple(plan for plan in self.faults if plan.device == device_id)
        fitted = KINDS[self.devices[device_id]].sensors
        return mine + tuple(
            FaultPlan(
                device_id,
                drift.kind,
                drift.onset_s,
                # Past the end, so that the last sample has it too.
                self.total_s - self.live_start_s - drift.onset_s + 1.0,
                drift.severity,
                drift.sensor,
            )
            for drift in self.drifts
            if drift.sensor in fitted
        )


class FleetPlan(Protocol):
    """The part of a scenario that the fleet reads."""

    @property
    def seed(self) -> int: ...
    @property
    def history_s(self) -> float: ...
    @property
    def live_s(self) -> float: ...
    @property
    def fleet(self) -> FleetSettings: ...
    @property
    def network(self) -> NetworkSettings: ...
    @property
    def life(self) -> LifeSettings: ...
    @property
    def all_faults(self) -> Sequence[FaultPlan]: ...
    @property
    def drifts(self) -> Sequence[DriftPlan]: ...


def plan_of(scenario: FleetPlan, base_ms: int, decisions: tuple[Decision, ...] = ()) -> PlantPlan:
    """Return what a scenario asks of its machines when second 0 is at ``base_ms``."""
    return PlantPlan(
        seed=scenario.seed,
        fleet=scenario.fleet,
        live_start_s=scenario.history_s,
        total_s=scenario.history_s + scenario.live_s,
        base_ms=base_ms,
        faults=tuple(scenario.all_faults),
        drifts=tuple(scenario.drifts),
        life=scenario.life,
        clock=scenario.network.clock,
        decisions=decisions,
    )


def reacts(life: LifeSettings) -> bool:
    """Tell whether what the machines do depends on what the pipeline says of them."""
    return life.maintenance.policy == "condition_based"


class Batch(NamedTuple):
    """One device's messages of one block in the order of sending.

    ``sent_s`` (n,) counts from the fleet's start; ``is_reading`` tells readings from bursts.
    """

    device_id: str
    sent_s: FloatArray
    payloads: list[bytes]
    is_reading: list[bool]


class Unit:
    """One device: its machine, the life of its parts, and its clock."""

    def __init__(self, plan: PlantPlan, device_id: str, *, bursts: bool = True) -> None:
        """``bursts`` False makes no burst: they cost most, and a history may not want them."""
        self.device_id = device_id
        self.kind = plan.devices[device_id]
        self._plan = plan
        plans = plan.faults_of(device_id)
        self.life = life_of(plan, device_id)
        self.machine = Machine(
            device_id,
            self.kind,
            plan.seed,
            plan.fleet,
            plan.live_start_s,
            plans,
            self.life,
            start_epoch_s=plan.base_ms / 1000.0,
            with_bursts=bursts,
        )
        self.clock = DeviceClock(
            plan.seed, device_id, plan.clock, live_start_s=plan.live_start_s, plans=plans
        )
        self._made = 0

    def until(self, end_s: float) -> Block | None:
        """Return the samples before ``end_s`` that were not made yet; None when there are none."""
        count = self.machine.samples_before(end_s) - self._made
        if count <= 0:
            return None
        self._made += count
        return self.machine.take(count)

    def stamps_ms(self, times_s: FloatArray) -> np.ndarray:
        """Return what the device's clock shows at times that follow each other; (n,) int64."""
        shown = np.rint(self.clock.stamp(times_s) * 1000.0).astype(np.int64)
        return np.asarray(np.maximum(shown + self._plan.base_ms, 0))

    def batch(self, end_s: float) -> Batch:
        """Return the messages of `until` in the order in which the device sends them."""
        block = self.until(end_s)
        if block is None:
            return Batch(self.device_id, np.empty(0), [], [])
        stamps_ms = self.stamps_ms(block.times_s)
        payloads = encode_readings(self.device_id, block.first_seq, stamps_ms, block.values)
        if not block.bursts:
            return Batch(self.device_id, block.times_s, payloads, [True] * len(payloads))
        sent_s = np.concatenate([block.times_s, [burst.end_s for burst in block.bursts]])
        payloads += self._bursts(block, stamps_ms)
        # Stable: a burst that ends with a sample is sent after that sample's reading.
        positions = np.argsort(sent_s, kind="stable")
        return Batch(
            self.device_id,
            sent_s[positions],
            [payloads[i] for i in positions.tolist()],
            (positions < len(block.times_s)).tolist(),
        )

    def burst_starts_ms(self, block: Block, stamps_ms: np.ndarray) -> list[int]:
        """Return when each burst of a block began by the device's clock.

        A burst ends with a sample: the clock that stamped the one stamps both.
        """
        rows = np.searchsorted(block.times_s, [burst.end_s for burst in block.bursts])
        return [
            max(0, int(stamps_ms[row]) - round((burst.end_s - burst.start_s) * 1000.0))
            for burst, row in zip(block.bursts, rows.tolist(), strict=True)
        ]

    def _bursts(self, block: Block, stamps_ms: np.ndarray) -> list[bytes]:
        return [
            encode_burst(
                Burst(self.device_id, burst.seq, start_ms, burst.rate_hz, SCALE_M_S2, burst.samples)
            )
            for burst, start_ms in zip(
                block.bursts, self.burst_starts_ms(block, stamps_ms), strict=True
            )
        ]


def life_of(plan: PlantPlan, device_id: str) -> MachineLife | None:
    """Return the life of a device's parts; None where nothing wears and nothing is serviced."""
    kind = plan.devices[device_id]
    wear = wear_of(plan.life, kind)
    if not wear and plan.life.maintenance.policy == "run_to_failure":
        return None
    return MachineLife(plan.seed, device_id, kind, plan.life, decisions=plan.decisions)


def wear_of(settings: LifeSettings, kind: str) -> Sequence[WearSettings]:
    """Return the failure modes that a kind of machine has."""
    return [
        wear
        for wear in settings.wear
        if wear.kind in KINDS[kind].faults
        and (not wear.kinds_of_machine or kind in wear.kinds_of_machine)
    ]
