"""What a client does with messages that it cannot send at once.

`network` uses it where a connection breaks or messages wait; on a quiet connection it is not
asked at all. It steps through the client's life message by message in whole nanoseconds, so
that nothing depends on how messages are grouped.

While there is no connection, messages wait in a bounded buffer. After the return they leave in
order, no faster than the pace, and what is produced meanwhile queues behind them. A message
that was on its way when the connection broke never arrives; the client, which missed the
acknowledgement, sends it again first of all (MQTT 3.1.1, section 4.4).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.outages import Absence
from simulator.fleet.settings import NetworkSettings
from simulator.fleet.streams import FloatArray

NS_PER_S = 1_000_000_000

CONNECTION_BYTES_PER_S = 512 * 1024
"""Throughput of one connection (AWS IoT Core quotas)."""

MOST_PAYLOAD_BYTES = 128 * 1024
"""The broker refuses longer messages, so none keeps the line longer than a quarter of a second."""


class Item(NamedTuple):
    """A message in the client's hands.

    ``number`` counts the device's messages; ``spacing_ns`` is how long the next one has to wait
    after it. The rest are its `fates.Fates`.
    """

    number: int
    sent_s: float
    sent_ns: int
    spacing_ns: int
    payload: bytes
    is_reading: bool
    lost: bool
    delay_s: float
    plain_delay_s: float
    twice: bool
    again_wait_s: float
    again_delay_s: float


class Copy(NamedTuple):
    """A copy that reaches the broker at ``at_s``; ``repeat`` tells the second of a message."""

    item: Item
    at_s: float
    repeat: bool


def nanoseconds(times_s: FloatArray) -> npt.NDArray[np.int64]:
    """Return times as whole nanoseconds, rounded down; shape as given."""
    return (times_s * NS_PER_S).astype(np.int64)


class Spacing:
    """How long a message keeps a connection busy: the pace of the client and of the line."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._pace_ns = math.ceil(NS_PER_S / settings.backlog_per_s)
        self.longest_s = max(self._pace_ns / NS_PER_S, MOST_PAYLOAD_BYTES / CONNECTION_BYTES_PER_S)
        """What leaves this far apart never waits, whatever its size."""

    def of_size(self, size: int) -> int:
        """Return nanoseconds for one payload of ``size`` bytes."""
        line_ns = -(-min(size, MOST_PAYLOAD_BYTES) * NS_PER_S // CONNECTION_BYTES_PER_S)
        return max(self._pace_ns, line_ns)

    def of(self, payloads: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Return nanoseconds for each payload; (n,)."""
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
        np.minimum(sizes, MOST_PAYLOAD_BYTES, out=sizes)
        line_ns = -(-sizes * NS_PER_S // CONNECTION_BYTES_PER_S)
        return np.asarray(np.maximum(line_ns, self._pace_ns))


class SendQueue:
    """The messages that a client holds, and when it sends each of them.

    `take` and `advance` decide what becomes of messages, `decided` tells it.
    """

    def __init__(self, settings: NetworkSettings, absent: Sequence[Absence]) -> None:
        self.free_ns = -NS_PER_S
        """When the next message may leave."""
        self._copies: list[Copy] = []
        self._lost: list[Item] = []
        self._dropped: list[Item] = []
        self._absent = absent
        self._bound = settings.buffer
        self._drops_oldest = settings.when_full == "drop_oldest"
        self._waiting: deque[Item] = deque()
        self._unacknowledged: deque[tuple[int, Item]] = deque()
        self._starts_ns = [round(absence.start_s * NS_PER_S) for absence in absent]
        self._ends_ns = [round(absence.end_s * NS_PER_S) for absence in absent]
        # Not the absences' own seconds: the same division as for a message sent at that time.
        self._starts_s = [start_ns / NS_PER_S for start_ns in self._starts_ns]
        self._ends_s = [end_ns / NS_PER_S for end_ns in self._ends_ns]

    @property
    def held(self) -> int:
        """Return how many messages wait, those to be sent again included."""
        return len(self._waiting) + len(self._unacknowledged)

    @property
    def buffered(self) -> int:
        """Return how many messages wait in the bounded buffer."""
        return len(self._waiting)

    def decided(self) -> tuple[list[Copy], list[Item], list[Item]]:
        """Return copies on their way, messages lost, and those dropped, since the last call."""
        found = self._copies, self._lost, self._dropped
        self._copies, self._lost, self._dropped = [], [], []
        return found

    def next_absence(self, at_s: float) -> Absence | None:
        """Return the first absence that ends after ``at_s``; None if there is none."""
        following = bisect_right(self._ends_s, at_s)
        return self._absent[following] if following < len(self._absent) else None

    def take(self, items: Sequence[Item]) -> None:
        """Accept messages, produced in this order and not before those accepted already."""
        produced = 0
        while produced < len(items):
            item = items[produced]
            back_ns = self._connected_ns(item.sent_ns)
            if back_ns == item.sent_ns:
                self._waiting.append(item)
                self.advance(item.sent_ns)
                produced += 1
            else:
                # Nothing leaves before the connection is back: accept all until then at once.
                self.advance(item.sent_ns)
                begun = produced
                while produced < len(items) and items[produced].sent_ns < back_ns:
                    produced += 1
                self._waiting.extend(items[begun:produced])
            self._drop()

    def advance(self, to_ns: float) -> None:
        """Send all that can be sent until ``to_ns``, if nothing else is produced before."""
        waiting, again = self._waiting, self._unacknowledged
        while waiting or again:
            at_ns, repeats = 0, False
            if waiting:
                at_ns = self._connected_ns(max(self.free_ns, waiting[0].sent_ns))
            if again:
                again_ns = self._connected_ns(max(self.free_ns, again[0][0]))
                repeats = not waiting or again_ns <= at_ns
                at_ns = again_ns if repeats else at_ns
            if at_ns > to_ns:
                return
            self._send(again.popleft()[1] if repeats else waiting.popleft(), at_ns)

    def _connected_ns(self, at_ns: int) -> int:
        """Return ``at_ns``, or when the connection is back if there is none then."""
        while True:
            last = bisect_right(self._starts_ns, at_ns) - 1
            if last < 0 or at_ns >= self._ends_ns[last]:
                return at_ns
            at_ns = self._ends_ns[last]

    def _drop(self) -> None:
        """Drop what the buffer has no room for."""
        while len(self._waiting) > self._bound:
            oldest = self._drops_oldest
            self._dropped.append(self._waiting.popleft() if oldest else self._waiting.pop())

    def _send(self, item: Item, at_ns: int) -> None:
        """Send a message over the connection that exists at ``at_ns``."""
        self.free_ns = at_ns + item.spacing_ns
        if item.lost:
            self._lost.append(item)
            return
        published_s = item.sent_s if at_ns == item.sent_ns else at_ns / NS_PER_S
        at_s = published_s + item.delay_s
        following = bisect_right(self._starts_ns, at_ns)
        if following < len(self._starts_s) and at_s >= self._starts_s[following]:
            on_time = item._replace(delay_s=item.plain_delay_s)
            self._unacknowledged.append((self._ends_ns[following], on_time))
            return
        self._copies.append(Copy(item, at_s, repeat=False))
        if item.twice:
            self._copies.append(Copy(item, self._again_s(item, at_s), repeat=True))

    def _again_s(self, item: Item, at_s: float) -> float:
        """Return when the second copy arrives: while connected."""
        again_s = at_s + item.again_wait_s + item.again_delay_s
        while True:
            last = bisect_right(self._starts_s, again_s) - 1
            if last < 0 or again_s >= self._ends_s[last]:
                return again_s
            again_s = self._ends_s[last] + item.again_delay_s
