"""Messages between a device and the broker, by columns: before and after their fate is known.

`network.Connection` makes the one of the other; `delivery` reads `Sent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.fates import Fates
from simulator.fleet.streams import FloatArray

BURST, TWICE, REPEAT = 1, 2, 4
"""Flags of a copy: of a burst, of a message with two copies, the second of them."""


class Produced(NamedTuple):
    """Messages of a device with what chance has in store for them; columns (n,).

    ``first`` is the number of the first of them among the device's messages.
    """

    first: int
    sent_s: FloatArray
    payloads: Sequence[bytes]
    is_reading: Sequence[bool]
    fates: Fates

    def part(self, begin: int, end: int) -> Produced:
        """Return some of them."""
        if begin == 0 and end == len(self.sent_s):
            return self
        return Produced(
            self.first + begin,
            self.sent_s[begin:end],
            self.payloads[begin:end],
            self.is_reading[begin:end],
            self.fates.part(begin, end),
        )


class Tally(NamedTuple):
    """Numbers of distinct messages."""

    readings: int
    bursts: int


class Sent(NamedTuple):
    """What is newly known of a device's messages.

    ``produced``: accepted by `Connection.send`. ``lost``: never arriving, of which ``dropped``
    for want of room in the buffer. The rest are columns (n,) of the copies that reach the
    broker, in no order: ``at_s`` and, when produced, ``sent_s`` in the seconds given to `send`;
    ``numbers`` count the device's messages from 0.
    """

    produced: Tally
    lost: Tally
    dropped: Tally
    at_s: FloatArray
    sent_s: FloatArray
    numbers: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]
    payloads: Sequence[bytes]


NONE = Tally(0, 0)
NOTHING = Sent(
    NONE, NONE, NONE, np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint8), ()
)


def tally(is_reading: Sequence[bool]) -> Tally:
    """Return how many readings and bursts there are."""
    readings = is_reading.count(True)
    return Tally(readings, len(is_reading) - readings)


def arriving(produced: Produced, at_s: FloatArray, again_s: FloatArray) -> Sent:
    """Return messages whose copies arrive at these times (n,) unless their fate forbids it."""
    first, sent_s, payloads, is_reading, fates = produced
    numbers = np.arange(first, first + len(sent_s))
    count = tally(is_reading)
    if count.bursts:
        flags = np.frombuffer(bytes(is_reading), dtype=np.uint8) ^ np.uint8(BURST)
    else:
        flags = np.zeros(len(sent_s), dtype=np.uint8)
    again = np.empty(0, dtype=np.intp)
    if fates.repeats is not None:
        twice = fates.repeats.twice
        again = np.flatnonzero(twice if fates.lost is None else twice & ~fates.lost)
        flags[again] |= TWICE
    copies = Sent(count, NONE, NONE, at_s, sent_s, numbers, flags, payloads)
    if fates.lost is not None and fates.lost.any():
        arrives = ~fates.lost
        copies = Sent(
            count,
            tally([is_reading[i] for i in np.flatnonzero(fates.lost).tolist()]),
            NONE,
            at_s[arrives],
            sent_s[arrives],
            numbers[arrives],
            flags[arrives],
            list(compress(payloads, arrives.tolist())),
        )
    if not len(again):
        return copies
    return copies._replace(
        at_s=np.concatenate([copies.at_s, again_s[again]]),
        sent_s=np.concatenate([copies.sent_s, sent_s[again]]),
        numbers=np.concatenate([copies.numbers, numbers[again]]),
        flags=np.concatenate([copies.flags, flags[again] | np.uint8(REPEAT)]),
        payloads=[*copies.payloads, *(payloads[i] for i in again.tolist())],
    )


def joined(parts: Sequence[Sent]) -> Sent:
    """Return parts as one."""
    if len(parts) == 1:
        return parts[0]
    return Sent(
        _sum([part.produced for part in parts]),
        _sum([part.lost for part in parts]),
        _sum([part.dropped for part in parts]),
        np.concatenate([part.at_s for part in parts]),
        np.concatenate([part.sent_s for part in parts]),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.flags for part in parts]),
        [payload for part in parts for payload in part.payloads],
    )


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(sum(one.readings for one in tallies), sum(one.bursts for one in tallies))
