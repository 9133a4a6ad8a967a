"""Hand messages to the broker in order of arrival, one batch per virtual second.

One SimPy process serves the whole fleet. `fleet` and `replay` fill it with what a `Connection`
returns; it keeps the books (`books`), measures the way (`hops`) and knows no broker, only a
callback. Of a slow fleet several seconds go together where nobody could tell (`look_ahead`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, Protocol

import numpy as np
import simpy

from simulator.fleet.books import BoolArray, FleetCounters, Ledger, MessageCounters
from simulator.fleet.hops import Hops, HopStatistics
from simulator.fleet.parcels import Parcels, Pending
from simulator.fleet.sent import BURST, REPEAT, Sent

__all__ = [
    "Delivery",
    "FleetCounters",
    "Message",
    "MessageCounters",
    "Publish",
    "PublishResult",
    "Unnoticed",
]


class Message(NamedTuple):
    """One MQTT publish. ``at_s``: seconds on the simulation clock when it reaches the broker."""

    topic: str
    payload: bytes
    client_id: str
    at_s: float


class PublishResult(Protocol):
    """The broker's answer to a batch: how many messages it took and how many it dropped.

    A broker that can drop names the dropped ones in ``discarded_positions`` (indices into the
    batch); without it a batch with drops is counted as if its last messages were dropped.
    """

    @property
    def delivered(self) -> int:
        """Return how many messages of the batch were accepted."""
        ...

    @property
    def discarded(self) -> int:
        """Return how many messages of the batch were dropped."""
        ...


Publish = Callable[[Sequence[Message]], PublishResult]

Unnoticed = Callable[[Sequence[Message]], int]
"""How many of these messages, from the first on, may come when the last of them is due."""

Topics = tuple[str, str]
"""Where a device publishes its readings, and its bursts."""

MOST_AHEAD = 64
"""Messages that are handed over together at most, unless more arrive in one second."""


class Delivery:
    """Collect messages with their arrival times and publish them when they are due."""

    def __init__(self, env: simpy.Environment, publish: Publish) -> None:
        self._env = env
        self._publish = publish
        self._ledger = Ledger()
        self._hops = Hops()
        self._pending = Pending()
        self._devices: dict[str, int] = {}
        self._names: list[str] = []
        self._addresses: list[Topics] = []
        self._addressed = 0
        self._topics = self._clients = np.empty(0, dtype=np.object_)
        self._emptied = env.event()
        self._ended = env.event()
        self._timer: simpy.Event | None = None
        self._due_s = math.inf
        """When the next batch is handed over, and the timer that is set for it."""
        self._unnoticed: Unnoticed | None = None
        self._first_s = math.inf
        """When the first message under way is due, where no timer is set before it must be."""
        self._running = self._closed = False

    @property
    def counters(self) -> FleetCounters:
        """Return the books so far."""
        return self._ledger.counters

    def hops(self) -> dict[str, HopStatistics]:
        """Return what the arrivals so far tell about each device's way; by device id."""
        return {name: self._hops.of(device) for name, device in self._devices.items()}

    def put(self, device_id: str, topics: Topics, sent: Sent, origin_s: float = 0.0) -> None:
        """Take what a device's connection tells of its messages.

        Times in ``sent`` count from ``origin_s`` on the simulation clock. What arrives before
        the present second is published with it. ``topics`` are those of the first call.
        """
        self._ledger.enter(sent)
        device = self._devices.get(device_id)
        if device is None:
            device = self._devices[device_id] = len(self._devices)
            self._names.append(device_id)
            self._addresses.append(topics)
        self._pending.put(device, sent, origin_s)
        if self._running and len(sent.at_s):
            # A block may bring arrivals before those known.
            self._appoint(float(sent.at_s.min()) + origin_s)

    def emptied(self) -> simpy.Event:
        """Return an event that succeeds when nothing is under way (at once if so now)."""
        self._emptied = self._env.event()
        if self._pending.empty:
            self._emptied.succeed()
        return self._emptied

    def look_ahead(self, unnoticed: Unnoticed) -> Callable[[float], None]:
        """Have a batch hold more than one second's messages where that changes nothing.

        Returns what must be called before each move of the clock, with the time of the next event:
        all that is due until then is handed over first, when the last message of it is due, as
        long as ``unnoticed`` says that nobody would have seen the earlier ones sooner.
        """
        self._unnoticed = unnoticed
        return self._before

    def close(self) -> None:
        """Tell that nothing more will be put; `run` ends when all is delivered."""
        self._closed = True
        self._rest()

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Publish batches until closed and empty (a SimPy process).

        The batch of second s holds arrivals in [s, s + 1) and is handed over at s + 1, when
        no earlier arrival can be put any more. Seconds in which nothing arrives are slept over: one
        event a batch, because a slow fleet has a batch a message.
        """
        self._running = True
        self._go_on()
        yield self._ended

    def _go_on(self) -> None:
        """Wait for the next batch, or rest until there is one."""
        if self._pending.empty:
            self._rest()
        else:
            self._appoint(self._pending.next_s(self._names))

    def _appoint(self, arrival_s: float) -> None:
        """Have a batch handed over at the end of the second of an arrival, or of this second."""
        due_s = max(int(arrival_s), int(self._env.now)) + 1.0
        if self._unnoticed is None:
            self._set_timer(due_s)
            return
        self._first_s = min(self._first_s, due_s)
        if due_s < self._due_s:
            # It was not among those that were asked for.
            self._timer, self._due_s = None, math.inf

    def _set_timer(self, due_s: float) -> None:
        if due_s < self._due_s:
            self._due_s = due_s
            self._timer = timer = self._env.event()
            timer._ok, timer._value = True, None
            timer.callbacks = [self._due]
            # Before all else at its time, however early or late the timer was set.
            self._env.schedule(timer, simpy.events.URGENT, due_s - self._env.now)

    def _before(self, next_s: float) -> None:
        """Set the timer for what must be handed over before the clock moves to the next event."""
        if self._first_s <= next_s and (self._timer is None or next_s < self._due_s):
            self._set_timer(self._together_until(next_s))

    def _together_until(self, next_s: float) -> float:
        """Return when the last message is due that goes with the first, at most at ``next_s``."""
        assert self._unnoticed is not None
        within_s = next_s if next_s == math.inf else float(int(next_s))
        parcels = self._pending.look(within_s, MOST_AHEAD, self._names)
        if len(parcels.at_s) < 2 or parcels.at_s[-1] < self._first_s:
            return self._first_s
        count = self._unnoticed(self._messages(parcels))
        return max(self._first_s, int(parcels.at_s[max(0, count - 1)]) + 1.0)

    def _due(self, timer: simpy.Event) -> None:
        """Hand over what has arrived, unless an earlier batch took the timer's place."""
        if timer is not self._timer:
            return
        before_s, self._timer = self._due_s, None
        self._due_s = self._first_s = math.inf
        parcels = self._pending.take_before(before_s, self._names)
        if parcels is not None:
            self._hand_over(parcels)
        self._go_on()

    def _rest(self) -> None:
        """Tell who waits for it that nothing is under way, and for good when nothing more comes."""
        if not self._running or not self._pending.empty:
            return
        if not self._emptied.triggered:
            self._emptied.succeed()
        if self._closed and not self._ended.triggered:
            self._ended.succeed()

    def _hand_over(self, parcels: Parcels) -> None:
        result = self._publish(self._messages(parcels))
        accepted = _accepted(result, len(parcels.at_s))
        devices, numbers, flags = parcels.devices, parcels.numbers, parcels.flags
        self._ledger.settle(devices, numbers, flags, accepted)
        travel_s = parcels.at_s - parcels.sent_s
        if flags.max() >= REPEAT:
            first = flags < REPEAT
            devices, numbers, travel_s = devices[first], numbers[first], travel_s[first]
        self._hops.follow(devices, numbers, travel_s)

    def _messages(self, parcels: Parcels) -> list[Message]:
        """Return parcels as the broker takes them."""
        if len(parcels.devices) == 1:
            # A slow fleet's batches: columns would cost more than the message.
            device, flag = int(parcels.devices[0]), int(parcels.flags[0])
            return [
                Message(
                    self._addresses[device][flag & BURST],
                    parcels.payloads[0],
                    self._names[device],
                    float(parcels.at_s[0]),
                )
            ]
        if self._addressed != len(self._devices):
            self._topics = np.array(self._addresses, dtype=np.object_)
            self._clients = np.array(self._names, dtype=np.object_)
            self._addressed = len(self._devices)
        rows = zip(
            self._topics[parcels.devices, parcels.flags & BURST].tolist(),
            parcels.payloads.tolist(),
            self._clients[parcels.devices].tolist(),
            parcels.at_s.tolist(),
            strict=True,
        )
        # Not Message(*row) nor Message._make: this loop makes no step in Python's own code.
        return list(map(tuple.__new__, repeat(Message), rows))


def _accepted(result: PublishResult, count: int) -> BoolArray | None:
    """Return which messages of a batch the broker took; None for all."""
    if not result.discarded:
        return None
    positions = getattr(result, "discarded_positions", None)
    accepted = np.ones(count, dtype=np.bool_)
    accepted[slice(count - result.discarded, count) if positions is None else list(positions)] = (
        False
    )
    return accepted
