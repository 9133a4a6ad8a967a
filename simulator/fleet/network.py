"""The way from a device to the broker: delay, loss, repetition, reordering, being offline.

One `Connection` per device. It decides what becomes of each message in the order in which the
device produced it, with one random stream per decision, so that the outcome depends neither on
block lengths nor on other devices. `delivery` hands the result over in time.

A quiet connection is computed for a whole block at once. Where messages have to wait or the
connection breaks, `connection.SendQueue` steps through them; both give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import InvariantBroken
from simulator.fleet.connection import NS_PER_S, Item, SendQueue, Spacing, nanoseconds
from simulator.fleet.loss import BoolArray, LossChain
from simulator.fleet.outages import absences
from simulator.fleet.settings import NetworkSettings
from simulator.fleet.streams import FloatArray, stream

RETRY_S = 2.0
"""Mean time after which a QoS 1 client repeats a publish whose acknowledgement it missed."""

BURST, TWICE, REPEAT = np.uint8(1), np.uint8(2), np.uint8(4)
"""Flags of a copy: of a burst, of a message with two copies, the second of them."""

FlagArray = npt.NDArray[np.uint8]


class Tally(NamedTuple):
    """Numbers of distinct messages."""

    readings: int = 0
    bursts: int = 0


class Sent(NamedTuple):
    """What is newly known of a device's messages.

    ``produced``: accepted by `send`; ``lost``: never arriving, of which ``dropped`` for want of
    room in the buffer. The rest are columns (n,) of the copies that reach the broker:
    ``at_s`` and, when produced, ``sent_s`` in the seconds given to `send`; ``numbers`` count the
    device's messages from 0.
    """

    produced: Tally
    lost: Tally
    dropped: Tally
    at_s: FloatArray
    sent_s: FloatArray
    numbers: npt.NDArray[np.int64]
    flags: FlagArray
    payloads: Sequence[bytes]


class _Fates(NamedTuple):
    """What chance has in store for messages; (n,) each, None where nothing can happen."""

    delay_s: FloatArray
    plain_delay_s: FloatArray
    lost: BoolArray | None
    twice: BoolArray | None
    again_s: FloatArray | None
    again_delay_s: FloatArray | None


NONE = Tally()


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
        self._chances = _Chances(seed, device_id, settings)
        self._spacing = Spacing(settings)
        self._queue = SendQueue(settings, self.absences)
        self._produced = 0
        self._latest_s = float("-inf")

    @property
    def held(self) -> int:
        """Return how many messages the client holds, their fate open."""
        return self._queue.holds

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
        be produced before; without it, before the last of ``sent_s``. What cannot have been
        sent by then is held back, since what comes later may push it out of the buffer.
        """
        count = len(sent_s)
        if until_s is None:
            until_s = float(sent_s[-1]) if count else self._latest_s
        if count and not self._latest_s <= sent_s[0] <= sent_s[-1] <= until_s:
            raise InvariantBroken("messages were produced before others or after the block's end")
        self._latest_s = until_s
        if not count and not self._queue.holds:
            return NOTHING
        fates = self._chances.draw(count)
        first, self._produced = self._produced, self._produced + count
        if not self._queue.holds:
            published_s = self._published(sent_s, payloads, until_s)
            if published_s is not None:
                quiet = self._quiet(first, sent_s, published_s, payloads, is_reading, fates)
                if quiet is not None:
                    return quiet
        self._queue.take(self._items(first, sent_s, payloads, is_reading, fates))
        self._queue.advance(math.floor(until_s * NS_PER_S))
        return self._decided(_tally(is_reading))

    def finish(self) -> Sent:
        """Send all that is held, as soon as the connection is back, and return its fate."""
        self._queue.advance(math.inf)
        return self._decided(NONE)

    def _published(
        self, sent_s: FloatArray, payloads: Sequence[bytes], until_s: float
    ) -> FloatArray | None:
        """Return when an unbroken connection publishes each message, in order and at its pace.

        None if some have to wait beyond ``until_s``, or for room in the buffer.
        """
        queue, spacing = self._queue, self._spacing
        last_ns = int(sent_s[-1] * NS_PER_S)
        if sent_s[0] * NS_PER_S >= queue.free_ns and (
            len(sent_s) == 1 or (sent_s[1:] - sent_s[:-1]).min() > spacing.longest_s
        ):
            queue.free_ns = last_ns + spacing.of_size(len(payloads[-1]))
            return sent_s
        # p[k] = max(s[k], p[k-1] + spacing[k-1]): subtract the sum of the spacings, and it is a
        # running maximum. In whole numbers, so that it does not matter where a block begins.
        sent_ns, spacing_ns = nanoseconds(sent_s), spacing.of(payloads)
        offset_ns = np.cumsum(spacing_ns) - spacing_ns
        ready_ns = sent_ns - offset_ns
        ready_ns[0] = max(int(ready_ns[0]), queue.free_ns)
        published_ns = np.maximum.accumulate(ready_ns) + offset_ns
        if published_ns[-1] > until_s * NS_PER_S:
            return None
        left = np.searchsorted(published_ns, sent_ns, side="right")
        if np.any(np.arange(1, len(sent_ns) + 1) - left > self._settings.buffer):
            return None
        # A message that waits is never lost to a break here: `_quiet` looks at the arrivals.
        self._free_after_ns = int(published_ns[-1] + spacing_ns[-1])
        return np.where(published_ns == sent_ns, sent_s, published_ns / NS_PER_S)
