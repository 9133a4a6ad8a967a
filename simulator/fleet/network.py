"""The way from a device to the broker: delay, loss, repetition, reordering, being offline.

One `Connection` per device. It decides what becomes of each message in the order in which the
device produced it, so that the outcome depends neither on block lengths nor on other devices.
`delivery` hands the result over in time.

A block that meets a quiet connection is computed at once. Where the connection breaks or the
buffer fills, `connection.SendQueue` steps through the messages; both give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulator.errors import InvariantBroken
from simulator.fleet.connection import NS_PER_S, Item, SendQueue, Spacing, nanoseconds
from simulator.fleet.fates import Chances, Repeats
from simulator.fleet.outages import absences
from simulator.fleet.sent import (
    BURST,
    NONE,
    NOTHING,
    REPEAT,
    TWICE,
    Produced,
    Sent,
    Tally,
    arriving,
    joined,
    tally,
)
from simulator.fleet.settings import NetworkSettings
from simulator.fleet.streams import FloatArray

CLEAR_S = 10.0
"""Most messages sent this long before a connection breaks have arrived by then."""

STEP = 16
"""Messages given to the queue at a time, until it is empty again."""


class Connection:
    """The connection of one device.

    ``live_start_s`` and ``horizon_s``: start of the live part and end of the run, in the same
    seconds as the times given to `send`; see `outages.absences`.
    """

    def __init__(
        self,
        device_id: str,
        seed: int,
        settings: NetworkSettings,
        *,
        live_start_s: float = 0.0,
        horizon_s: float = 0.0,
    ) -> None:
        """Raise ScenarioError if no loss chain has these settings."""
        self.absences = absences(
            device_id, seed, settings, live_start_s=live_start_s, horizon_s=horizon_s
        )
        """When the device is not connected."""
        self._settings = settings
        self._chances = Chances(seed, device_id, settings)
        self._spacing = Spacing(settings)
        self._queue = SendQueue(settings, self.absences)
        self._produced = 0
        self._until_s = float("-inf")

    @property
    def held(self) -> int:
        """Return how many messages the client holds, their fate open."""
        return self._queue.held

    @property
    def buffered(self) -> int:
        """Return how many of them wait in the bounded buffer."""
        return self._queue.buffered

    def send(
        self,
        sent_s: FloatArray,
        payloads: Sequence[bytes],
        is_reading: Sequence[bool],
        until_s: float | None = None,
    ) -> Sent:
        """Accept messages produced at ``sent_s`` and return what is known of all fates now.

        ``sent_s`` (n,) never decreases, also from call to call. ``until_s``: nothing else will
        be produced before; without it, before the last of ``sent_s``. What cannot have left by
        then is held back, since what comes later may push it out of the buffer.

        Raises InvariantBroken if a message is older than one before or younger than ``until_s``.
        """
        count = len(sent_s)
        if until_s is None:
            until_s = float(sent_s[-1]) if count else self._until_s
        if count and not self._until_s <= sent_s[0] <= sent_s[-1] <= until_s:
            raise InvariantBroken("messages were produced before others or after their block")
        self._until_s = until_s
        if not count and not self._queue.held:
            return NOTHING
        produced = Produced(self._produced, sent_s, payloads, is_reading, self._chances.draw(count))
        self._produced += count
        parts: list[Sent] = []
        begin = 0
        while begin < count or not parts:
            end = self._end_of_part(sent_s, begin)
            part_until_s = until_s if end == count else float(sent_s[end])
            parts.append(self._part(produced.part(begin, end), part_until_s))
            begin = end
        return joined(parts)

    def finish(self) -> Sent:
        """Send all that is held as soon as the connection is back, and return its fate."""
        self._queue.advance(math.inf)
        return self._decided(NONE)

    def _end_of_part(self, sent_s: FloatArray, begin: int) -> int:
        """Return where a block is best cut next, so that the queue sees few of its messages.

        It changes no bit: it is as if the block had been shorter.
        """
        count = len(sent_s)
        if begin == count or not (self._queue.held or self.absences):
            return count
        now_s = float(sent_s[begin])
        absence = self._queue.next_absence(now_s)
        if absence is not None and now_s >= absence.start_s - CLEAR_S:
            return min(count, max(begin + STEP, int(np.searchsorted(sent_s, absence.end_s))))
        if self._queue.held:
            return min(count, begin + STEP)
        if absence is None:
            return count
        return int(np.searchsorted(sent_s, absence.start_s - CLEAR_S))

    def _part(self, produced: Produced, until_s: float) -> Sent:
        """Return the fate of messages, and of older ones, as far as it is known at ``until_s``."""
        until_ns = math.floor(until_s * NS_PER_S)
        if not self._queue.held:
            quiet = self._quiet(produced, until_ns)
            if quiet is not None:
                return quiet
        self._queue.take(self._items(produced))
        self._queue.advance(until_ns)
        return self._decided(tally(produced.is_reading))

    def _quiet(self, produced: Produced, until_ns: int) -> Sent | None:
        """Return the fate of messages of which none is held; None if the queue has to look."""
        queue, spacing = self._queue, self._spacing
        sent_s, fates = produced.sent_s, produced.fates
        if sent_s[0] * NS_PER_S >= queue.free_ns and (
            len(sent_s) == 1 or (sent_s[1:] - sent_s[:-1]).min() > spacing.longest_s
        ):
            published_s = sent_s
            free_ns = int(sent_s[-1] * NS_PER_S) + spacing.of_size(len(produced.payloads[-1]))
        else:
            paced = self._paced(sent_s, produced.payloads, until_ns)
            if paced is None:
                return None
            published_s, free_ns = paced
        again_s = at_s = published_s + fates.delay_s
        if fates.repeats is not None:
            again_s = at_s + fates.repeats.wait_s + fates.repeats.delay_s
        if self.absences:
            absence = queue.next_absence(float(sent_s[0]))
            if absence is not None and absence.start_s <= again_s.max():
                return None
        queue.free_ns = free_ns
        return arriving(produced, at_s, again_s)

    def _paced(
        self, sent_s: FloatArray, payloads: Sequence[bytes], until_ns: int
    ) -> tuple[FloatArray, int] | None:
        """Return when each message leaves at the connection's pace, and when it is free again.

        None if some have to wait beyond ``until_ns``, or for room in the buffer.
        """
        # p[k] = max(s[k], p[k-1] + spacing[k-1]): less the sum of the spacings, it is a running
        # maximum. In whole numbers, so that it does not matter where a block begins.
        sent_ns, spacing_ns = nanoseconds(sent_s), self._spacing.of(payloads)
        offset_ns = np.cumsum(spacing_ns) - spacing_ns
        ready_ns = sent_ns - offset_ns
        ready_ns[0] = max(int(ready_ns[0]), self._queue.free_ns)
        published_ns = np.maximum.accumulate(ready_ns) + offset_ns
        if published_ns[-1] > until_ns:
            return None
        left = np.searchsorted(published_ns, sent_ns, side="right")
        if np.any(np.arange(1, len(sent_ns) + 1) - left > self._settings.buffer):
            return None
        published_s = np.where(published_ns == sent_ns, sent_s, published_ns / NS_PER_S)
        return published_s, int(published_ns[-1] + spacing_ns[-1])

    def _items(self, produced: Produced) -> list[Item]:
        """Return messages one by one, as the queue wants them."""
        first, sent_s, payloads, is_reading, fates = produced
        nothing = np.zeros(len(sent_s))
        repeats = fates.repeats or Repeats(nothing > 0.0, nothing, nothing)
        rows = zip(
            range(first, first + len(sent_s)),
            sent_s.tolist(),
            nanoseconds(sent_s).tolist(),
            self._spacing.of(payloads).tolist(),
            payloads,
            is_reading,
            (nothing > 0.0 if fates.lost is None else fates.lost).tolist(),
            fates.delay_s.tolist(),
            fates.plain_delay_s.tolist(),
            repeats.twice.tolist(),
            repeats.wait_s.tolist(),
            repeats.delay_s.tolist(),
            strict=True,
        )
        return [Item(*row) for row in rows]

    def _decided(self, produced: Tally) -> Sent:
        """Return what the queue has decided since the last time."""
        copies, lost, dropped = self._queue.decided()
        if not copies and not lost and not dropped:
            return NOTHING._replace(produced=produced)
        return Sent(
            produced,
            tally([item.is_reading for item in [*lost, *dropped]]),
            tally([item.is_reading for item in dropped]),
            np.array([copy.at_s for copy in copies], dtype=np.float64),
            np.array([copy.item.sent_s for copy in copies], dtype=np.float64),
            np.array([copy.item.number for copy in copies], dtype=np.int64),
            np.array([_flag_of(copy.item, repeat=copy.repeat) for copy in copies], dtype=np.uint8),
            [copy.item.payload for copy in copies],
        )


def _flag_of(item: Item, *, repeat: bool) -> int:
    return (
        (0 if item.is_reading else BURST) | (TWICE if item.twice else 0) | (REPEAT if repeat else 0)
    )
