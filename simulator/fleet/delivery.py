"""Hand messages to the broker in order of arrival, one batch per virtual second.

One SimPy process serves the whole fleet. It keeps the books on *distinct* messages, so that
published = lost + discarded + delivered holds once the fleet has finished; further copies of
a message are counted apart. `fleet` and `replay` fill it; it knows no broker, only a callback.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

import simpy

from simulator.fleet.network import Fate


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


@dataclass
class MessageCounters:
    """Books on one kind of message; all but the last two count distinct messages.

    ``duplicates_sent``: further copies put on the way; ``duplicates_delivered``: copies that
    the broker accepted beyond the first of their message.
    """

    published: int = 0
    lost_in_network: int = 0
    discarded_by_broker: int = 0
    delivered: int = 0
    duplicates_sent: int = 0
    duplicates_delivered: int = 0

    @property
    def under_way(self) -> int:
        """Return how many distinct messages are between device and broker."""
        return self.published - self.lost_in_network - self.discarded_by_broker - self.delivered


@dataclass
class FleetCounters:
    """Books on readings and on bursts."""

    readings: MessageCounters = field(default_factory=MessageCounters)
    bursts: MessageCounters = field(default_factory=MessageCounters)


class _Copies:
    """Fate of a message of which several copies travel."""

    __slots__ = ("accepted", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.accepted = 0


Parcel = tuple[float, str, int, str, bytes, MessageCounters, "_Copies | None"]
"""Arrival, device id, order of entry, topic, payload, books, state shared by copies."""


class Delivery:
    """Collect messages with their arrival times and publish them when they are due."""

    def __init__(self, env: simpy.Environment, publish: Publish) -> None:
        self.counters = FleetCounters()
        self._env = env
        self._publish = publish
        self._due: dict[int, list[Parcel]] = {}
        self._order = 0
        self._woken = env.event()
        self._emptied = env.event()
        self._closed = False

    def add(
        self, device_id: str, books: MessageCounters, topic: str, payload: bytes, fate: Fate
    ) -> None:
        """Take one message of a device; messages of a device come in order of production."""
        books.published += 1
        arrivals = fate.arrivals_s
        if not arrivals:
            books.lost_in_network += 1
            return
        copies = None
        if len(arrivals) > 1:
            books.duplicates_sent += len(arrivals) - 1
            copies = _Copies(len(arrivals))
        for at in arrivals:
            self._order += 1
            parcel = (at, device_id, self._order, topic, payload, books, copies)
            self._due.setdefault(int(at), []).append(parcel)
        if not self._woken.triggered:
            self._woken.succeed()

    def emptied(self) -> simpy.Event:
        """Return an event that succeeds when nothing is under way (at once if so now)."""
        self._emptied = self._env.event()
        if not self._due:
            self._emptied.succeed()
        return self._emptied

    def close(self) -> None:
        """Tell that nothing more will be added; `run` ends when all is delivered."""
        self._closed = True
        if not self._woken.triggered:
            self._woken.succeed()

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Publish batches until closed and empty (a SimPy process).

        The batch of second s holds arrivals in [s, s + 1) and is handed over at s + 1, when
        no earlier arrival can be added any more. With nothing under way it waits for `add`.
        """
        while True:
            if not self._due:
                if not self._emptied.triggered:
                    self._emptied.succeed()
                if self._closed:
                    return
                self._woken = self._env.event()
                yield self._woken
                continue
            second = max(int(self._env.now), min(self._due))
            yield self._env.timeout(second + 1 - self._env.now)
            for due in sorted(s for s in self._due if s <= second):
                self._hand_over(self._due.pop(due))

    def _hand_over(self, parcels: list[Parcel]) -> None:
        parcels.sort(key=itemgetter(0, 1, 2))
        result = self._publish(
            [Message(topic, payload, device, at) for at, device, _, topic, payload, _, _ in parcels]
        )
        dropped = _dropped(result, len(parcels))
        for position, parcel in enumerate(parcels):
            _settle(parcel[5], parcel[6], accepted=position not in dropped)


def _dropped(result: PublishResult, count: int) -> frozenset[int]:
    if not result.discarded:
        return frozenset()
    positions = getattr(result, "discarded_positions", None)
    return frozenset(range(count - result.discarded, count) if positions is None else positions)


def _settle(books: MessageCounters, copies: _Copies | None, *, accepted: bool) -> None:
    """Book one copy; a message is delivered with its first accepted copy."""
    if copies is None:
        if accepted:
            books.delivered += 1
        else:
            books.discarded_by_broker += 1
        return
    copies.left -= 1
    if accepted:
        copies.accepted += 1
        if copies.accepted == 1:
            books.delivered += 1
        else:
            books.duplicates_delivered += 1
    elif copies.left == 0 and copies.accepted == 0:
        books.discarded_by_broker += 1
