"""The fleet on the simulation clock: machines as SimPy processes that publish MQTT messages.

`simulator.run` makes one from a scenario and gives it the clock and the broker's callback. A
machine is one process that wakes once a block, makes the block's samples at once and puts the
messages on their way; one process for the whole fleet hands them to the broker when due.

There are two gears. Where nothing reacts to the pipeline, samples are made ahead in blocks by a
process of their own. Where alerts lead to repairs, every block is made when its time comes, with
what was ordered until then. Both give the same bytes for the same orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from typing import Any

import simpy

from pipeline.messages import burst_topic, telemetry_topic
from simulator.errors import InvariantBroken
from simulator.fleet.delivery import Delivery, FleetCounters, Publish, Unnoticed
from simulator.fleet.ground_truth import GroundTruth
from simulator.fleet.life import MachineLife
from simulator.fleet.maintenance import Decision
from simulator.fleet.network import Connection
from simulator.fleet.plant import Batch, FleetPlan, PlantPlan, Unit, life_of, plan_of, reacts
from simulator.fleet.truth import told, truth_of
from simulator.fleet.work_orders import WorkOrder
from simulator.fleet.workshop import Ahead, Order, batches, units_of

BLOCK_S = 300.0
"""Samples made at one wake-up. Nothing depends on it but speed and memory."""

READINGS_OF_A_BLOCK = 60
"""Machines that measure seldom wake less often: a block has at least so many of their samples."""

READINGS_UNDER_WAY = 1_500_000
"""Larger fleets wake more often, so that what is made ahead fits into memory."""


def block_of(plan: PlantPlan, wanted_s: float) -> float:
    """Return the length of a block: no longer than memory and reactions allow."""
    rate_hz = len(plan.devices) * plan.fleet.rate_hz
    wanted_s = max(wanted_s, READINGS_OF_A_BLOCK / plan.fleet.rate_hz)
    block_s = min(wanted_s, max(30.0, READINGS_UNDER_WAY / rate_hz))
    if reacts(plan.life):
        # Work begins no earlier than this after an order, so a block made before stays true.
        block_s = min(block_s, plan.life.maintenance.response_least_s)
    return block_s


class Fleet:
    """All machines of a scenario, first the history and at once after it the live part.

    ``start_epoch_s`` is the epoch time of ``env.now == 0``. ``apart`` allows a process that makes
    the messages ahead (then `close` must be called). The first sample lies within one sampling
    period after the whole second at which `start` is called.
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
        self.finished = env.event()
        """Succeeds when every message has reached its end."""
        self.history_over = env.event()
        """Succeeds at the end of the history, when the live part begins."""
        self._scenario = scenario
        self._env = env
        self._start_epoch_s = start_epoch_s
        self._delivery = Delivery(env, publish)
        self._origin_s: float | None = None
        self._apart = apart and not reacts(scenario.life)
        self._wanted_block_s = block_s
        self._block_s = block_s
        self._plan = plan_of(scenario, 0)
        self.devices = tuple(self._plan.devices)
        self._batches: Iterator[Batch] = iter(())
        self._units: dict[str, Unit] = {}
        self._lives: dict[str, MachineLife] | None = None
        self._ahead: Ahead | None = None

    @property
    def counters(self) -> FleetCounters:
        """Return the books so far."""
        return self._delivery.counters

    @property
    def truth(self) -> GroundTruth:
        """Return what really happened and will; known from `start` on.

        Where the machines react to alerts, the future is what happens without further ones.
        """
        return truth_of(self.plan, self._told_lives())

    @property
    def plan(self) -> PlantPlan:
        """Return what the machines are made of; known from `start` on."""
        self._origin()
        return self._plan

    @property
    def work_orders(self) -> list[WorkOrder]:
        """Return the finished orders of all machines in order of time."""
        orders = [order for life in self._told_lives().values() for order in life.work_orders]
        return sorted(orders, key=lambda order: (order.finished_s, order.device_id))

    @property
    def decisions(self) -> list[Decision]:
        """Return what was ordered from outside: with them the same seed gives the same samples."""
        return sorted(d for life in self._told_lives().values() for d in life.decisions)

    @property
    def reacts(self) -> bool:
        """Tell whether `order` has an effect: machines are repaired when something says so."""
        return reacts(self._scenario.life)

    def order(self, device_id: str, alert_id: str = "") -> None:
        """Have work ordered on a machine now, because of an alert.

        Raises ValueError for a machine that the fleet does not have. Without a policy that
        reacts, alerts change nothing.
        """
        if device_id not in self._plan.devices:
            raise ValueError(f"no machine {device_id!r} in the fleet")
        if self.reacts:
            life = self._units[device_id].life
            assert life is not None, "who reacts has a life"
            life.order(self._env.now - self._origin(), "alert", alert_id)

    def start(self) -> None:
        """Switch the machines on."""
        if self._origin_s is not None:
            raise InvariantBroken("the fleet was started twice")
        self._origin_s = float(math.ceil(self._env.now))
        self._plan = plan_of(self._scenario, self._epoch_ms(self._origin_s))
        order = Order(self._plan, block_of(self._plan, self._wanted_block_s))
        if self._apart:
            self._ahead = Ahead(order)
            self._batches = iter(self._ahead)
        else:
            self._units = units_of(self._plan)
            self._batches = batches(order, self._units)
        self._env.process(self._run(order.block_s))

    def look_ahead(self, unnoticed: Unnoticed) -> Callable[[float], None]:
        """Let messages of several seconds go together where nobody could tell: see `Delivery`."""
        return self._delivery.look_ahead(unnoticed)

    def close(self) -> None:
        """End the process that makes messages ahead, if there is one."""
        if self._ahead is not None:
            self._ahead.close()

    def _run(self, block_s: float) -> Generator[simpy.Event, Any, None]:
        delivering = self._env.process(self._delivery.run())
        yield self._env.timeout(self._origin() - self._env.now)
        machines = [self._env.process(self._machine(device, block_s)) for device in self.devices]
        yield self._env.timeout(self._scenario.history_s)
        self.history_over.succeed()
        yield self._env.all_of(machines)
        self._delivery.close()
        yield delivering
        self.finished.succeed()

    def _machine(self, device_id: str, block_s: float) -> Generator[simpy.Event, Any, None]:
        """Run one machine (a SimPy process): once a block, put its messages on their way."""
        plan, origin_s = self._plan, self._origin()
        connection = Connection(
            device_id,
            plan.seed,
            self._scenario.network,
            live_start_s=plan.live_start_s,
            horizon_s=plan.total_s,
        )
        topics = telemetry_topic(device_id), burst_topic(device_id)
        begun = 0
        while begun * block_s < plan.total_s:
            end_s = min(plan.total_s, (begun + 1) * block_s)
            # All machines wake at the same times and in the order in which batches are made.
            batch = next(self._batches)
            if batch.device_id != device_id:
                raise InvariantBroken(f"messages of {batch.device_id} came for {device_id}")
            sent = connection.send(batch.sent_s, batch.payloads, batch.is_reading, end_s)
            self._delivery.put(device_id, topics, sent, origin_s)
            yield self._env.timeout(end_s - begun * block_s)
            begun += 1
        self._delivery.put(device_id, topics, connection.finish(), origin_s)

    def _told_lives(self) -> dict[str, MachineLife]:
        """Return the lives of all machines that have one, told to the end."""
        self._origin()
        if self._lives is None:
            if self._units:
                found = {device: unit.life for device, unit in self._units.items()}
            else:
                found = {device: life_of(self._plan, device) for device in self.devices}
            self._lives = {device: life for device, life in found.items() if life is not None}
            if not self.reacts:
                told(self._plan, self._lives)
        return self._lives

    def _origin(self) -> float:
        if self._origin_s is None:
            raise InvariantBroken("the fleet has not been started")
        return self._origin_s

    def _epoch_ms(self, clock_s: float) -> int:
        return round((self._start_epoch_s + clock_s) * 1000.0)
