"""The fleet on the simulation clock: pumps as SimPy processes that publish MQTT messages.

`simulator.run` makes one from a scenario and gives it the clock and the broker's callback.
A pump is one process that wakes once a block, makes the block's samples at once and puts the
messages on their way; one process for the whole fleet hands them to the broker when due.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol

import simpy

from pipeline.messages import burst_topic, telemetry_topic
from simulator.errors import InvariantBroken
from simulator.fleet.delivery import Delivery, FleetCounters, Publish
from simulator.fleet.faults import MACHINE_FAULTS, FaultPlan
from simulator.fleet.ground_truth import FaultInterval, GroundTruth
from simulator.fleet.machine import MachineSettings
from simulator.fleet.network import Connection, NetworkSettings
from simulator.fleet.workshop import Ahead, Batch, Order, made_of

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

    ``start_epoch_s`` is the epoch time of ``env.now == 0``. ``apart`` makes the messages ahead in a
    process of their own (then `close` must be called); the bytes are the same. The first sample
    lies within one sampling period after the whole second at which `start` is called.
    """

    def __init__(
        self,
        scenario: FleetPlan,
        env: simpy.Environment,
        start_epoch_s: float,
        publish: Publish,
        block_s: float = BLOCK_S,
        *,
        apart: bool = False,
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
        self._apart = apart
        self._batches: Iterator[Batch] = iter(())
        self._ahead: Ahead | None = None

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
        self._batches, self._ahead = made_of(self._order(), apart=self._apart)
        self._env.process(self._run())

    def close(self) -> None:
        """End the process that makes messages ahead, if there is one."""
        if self._ahead is not None:
            self._ahead.close()

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
        """Run one pump (a SimPy process): once a block, put its messages on their way."""
        scenario = self._scenario
        live_start_s = scenario.history_s
        offline = [
            (self._origin() + live_start_s + o.onset_s,
             self._origin() + live_start_s + o.onset_s + o.duration_s)
            for o in scenario.network.offline
            if o.device == device_id
        ]  # fmt: skip
        connection = Connection(device_id, scenario.seed, scenario.network, offline)
        total_s = scenario.history_s + scenario.live_s
        begun = 0
        while begun * self._block_s < total_s:
            end_s = min(total_s, (begun + 1) * self._block_s)
            # All machines wake at the same times and in the order in which batches are made.
            batch = next(self._batches)
            if batch.device_id != device_id:
                raise InvariantBroken(f"messages of {batch.device_id} came for {device_id}")
            if batch.payloads:
                self._send(batch, connection)
            yield self._env.timeout(end_s - begun * self._block_s)
            begun += 1

    def _send(self, batch: Batch, connection: Connection) -> None:
        """Give each message of a batch its fate, in order of production."""
        device_id = batch.device_id
        fates = connection.send(batch.sent_s + self._origin())
        readings, bursts = self.counters.readings, self.counters.bursts
        topic, fast_topic = telemetry_topic(device_id), burst_topic(device_id)
        for payload, is_reading, fate in zip(batch.payloads, batch.is_reading, fates, strict=True):
            if is_reading:
                self._delivery.add(device_id, readings, topic, payload, fate)
            else:
                self._delivery.add(device_id, bursts, fast_topic, payload, fate)

    def _order(self) -> Order:
        scenario = self._scenario
        return Order(
            seed=scenario.seed,
            settings=scenario.fleet,
            faults=tuple(scenario.faults),
            devices=self.devices,
            live_start_s=scenario.history_s,
            total_s=scenario.history_s + scenario.live_s,
            block_s=self._block_s,
            base_ms=self._epoch_ms(self._origin()),
        )

    def _origin(self) -> float:
        if self._origin_s is None:
            raise InvariantBroken("the fleet has not been started")
        return self._origin_s

    def _epoch_ms(self, clock_s: float) -> int:
        return round((self._start_epoch_s + clock_s) * 1000.0)
