"""The fleet on the simulation clock: pumps as SimPy processes that publish MQTT messages.

`simulator.run` makes one from a scenario and gives it the clock and the broker's callback.
A pump is one process that wakes once a block, makes the block's samples at once and puts the
messages on their way; one process for the whole fleet hands them to the broker when due.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any, Protocol

import numpy as np
import simpy

from pipeline.messages import (
    Burst,
    Reading,
    burst_topic,
    encode_burst,
    encode_reading,
    telemetry_topic,
)
from simulator.errors import InvariantBroken
from simulator.fleet.delivery import Delivery, FleetCounters, Publish
from simulator.fleet.faults import MACHINE_FAULTS, FaultPlan
from simulator.fleet.ground_truth import FaultInterval, GroundTruth
from simulator.fleet.machine import Block, MachineSettings, Pump
from simulator.fleet.network import Connection, NetworkSettings
from simulator.fleet.vibration import SCALE_M_S2

BLOCK_S = 300.0
"""Samples made at one wake-up. Nothing depends on it but speed and memory."""


class FleetPlan(Protocol):
    """The part of a scenario that the fleet reads."""

    @property
    def seed(self) -> int: ...
    @property
    def history_s(self) -> float: ...
    @property
    def live_s(self) -> float: ...
    @property
    def fleet(self) -> MachineSettings: ...
    @property
    def network(self) -> NetworkSettings: ...
    @property
    def faults(self) -> Sequence[FaultPlan]: ...


def device_ids(count: int) -> tuple[str, ...]:
    """Return the ids of a fleet of ``count`` pumps: pump-001, pump-002, ..."""
    return tuple(f"pump-{number:03d}" for number in range(1, count + 1))


class Fleet:
    """All machines of a scenario, first the history and at once after it the live part.

    ``start_epoch_s`` is the epoch time of ``env.now == 0``. The first sample lies within one
    sampling period after the whole second at which `start` is called.
    """

    def __init__(
        self,
        scenario: FleetPlan,
        env: simpy.Environment,
        start_epoch_s: float,
        publish: Publish,
        block_s: float = BLOCK_S,
    ) -> None:
        self.devices = device_ids(scenario.fleet.machines)
        self.finished = env.event()
        """Succeeds when every message has reached its end."""
        self.history_over = env.event()
        """Succeeds at the end of the history, when the live part begins."""
        self._scenario = scenario
        self._env = env
        self._start_epoch_s = start_epoch_s
        self._block_s = block_s
        self._delivery = Delivery(env, publish)
        self._origin_s: float | None = None

    @property
    def counters(self) -> FleetCounters:
        """Return the books so far."""
        return self._delivery.counters

    @property
    def truth(self) -> GroundTruth:
        """Return what is injected when; known from `start` on.

        A fault of severity zero has no effect and therefore no label.
        """
        scenario = self._scenario
        live_s = self._origin() + scenario.history_s
        span = (self._epoch_ms(live_s), self._epoch_ms(live_s + scenario.live_s))
        intervals = [
            FaultInterval(
                start_ms=self._epoch_ms(live_s + plan.onset_s),
                end_ms=self._epoch_ms(live_s + plan.onset_s + plan.duration_s),
                device_id=plan.device,
                kind=plan.kind,
                severity=plan.severity,
                category="unit_fault" if plan.kind in MACHINE_FAULTS else "sensor_fault",
                sensor=plan.sensor,
            )
            for plan in scenario.faults
            if plan.severity > 0.0
        ]
        return GroundTruth(dict.fromkeys(self.devices, span), tuple(sorted(intervals)))

    def start(self) -> None:
        """Switch the machines on."""
        if self._origin_s is not None:
            raise InvariantBroken("the fleet was started twice")
        self._origin_s = float(math.ceil(self._env.now))
        self._env.process(self._run())

    def _run(self) -> Generator[simpy.Event, Any, None]:
        delivering = self._env.process(self._delivery.run())
        yield self._env.timeout(self._origin() - self._env.now)
        machines = [self._env.process(self._machine(device)) for device in self.devices]
        yield self._env.timeout(self._scenario.history_s)
        self.history_over.succeed()
        yield self._env.all_of(machines)
        self._delivery.close()
        yield delivering
        self.finished.succeed()

    def _machine(self, device_id: str) -> Generator[simpy.Event, Any, None]:
        """Run one pump (a SimPy process)."""
        scenario = self._scenario
        live_start_s = scenario.history_s
        pump = Pump(device_id, scenario.seed, scenario.fleet, live_start_s, scenario.faults)
        offline = [
            (self._origin() + live_start_s + o.onset_s,
             self._origin() + live_start_s + o.onset_s + o.duration_s)
            for o in scenario.network.offline
            if o.device == device_id
        ]  # fmt: skip
        connection = Connection(device_id, scenario.seed, scenario.network, offline)
        total_s = scenario.history_s + scenario.live_s
        begun = 0
        made = 0
        while begun * self._block_s < total_s:
            end_s = min(total_s, (begun + 1) * self._block_s)
            count = pump.samples_before(end_s) - made
            if count:
                self._send(device_id, pump.take(count), connection)
                made += count
            yield self._env.timeout(end_s - begun * self._block_s)
            begun += 1

    def _send(self, device_id: str, block: Block, connection: Connection) -> None:
        """Encode a block's messages and give each its fate, in order of production."""
        sent_s = np.concatenate([block.times_s, [burst.end_s for burst in block.bursts]])
        # Stable: a burst that ends with a sample is sent after that sample's reading.
        order = np.argsort(sent_s, kind="stable")
        payloads = [*self._readings(device_id, block), *self._bursts(device_id, block)]
        fates = connection.send(sent_s[order] + self._origin())
        readings, bursts = self.counters.readings, self.counters.bursts
        topic, fast_topic = telemetry_topic(device_id), burst_topic(device_id)
        reading_count = len(block.times_s)
        for i, fate in zip(order.tolist(), fates, strict=True):
            if i < reading_count:
                self._delivery.add(device_id, readings, topic, payloads[i], fate)
            else:
                self._delivery.add(device_id, bursts, fast_topic, payloads[i], fate)

    def _readings(self, device_id: str, block: Block) -> list[bytes]:
        base_ms = self._epoch_ms(self._origin())
        times_ms = (base_ms + np.round(block.times_s * 1000.0).astype(np.int64)).tolist()
        names = tuple(block.values)
        rows = zip(*(block.values[name].tolist() for name in names), strict=True)
        return [
            encode_reading(Reading(device_id, seq, at, dict(zip(names, row, strict=True))))
            for seq, (at, row) in enumerate(zip(times_ms, rows, strict=True), block.first_seq)
        ]

    def _bursts(self, device_id: str, block: Block) -> list[bytes]:
        base_ms = self._epoch_ms(self._origin())
        rate_hz = self._scenario.fleet.burst_rate_hz
        return [
            encode_burst(
                Burst(
                    device_id,
                    burst.seq,
                    base_ms + round(burst.start_s * 1000.0),
                    rate_hz,
                    SCALE_M_S2,
                    burst.samples,
                )
            )
            for burst in block.bursts
        ]

    def _origin(self) -> float:
        if self._origin_s is None:
            raise InvariantBroken("the fleet has not been started")
        return self._origin_s

    def _epoch_ms(self, clock_s: float) -> int:
        return round((self._start_epoch_s + clock_s) * 1000.0)
