"""The books on a fleet's messages: what was published and what became of it.

`delivery` keeps them; reports and evidence read them. Counters are on *distinct* messages, so
that published = lost + discarded + delivered holds once the fleet has finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.fleet.sent import BURST, REPEAT, TWICE, Sent

BoolArray = npt.NDArray[np.bool_]


@dataclass
class MessageCounters:
    """Books on one kind of message; all but the two on duplicates count distinct messages.

    ``lost_in_network`` includes ``dropped_in_buffer``, for which the device had no room while
    it was offline. ``duplicates_sent``: further copies put on the way;
    ``duplicates_delivered``: copies that the broker accepted beyond the first of their message.
    """

    published: int = 0
    lost_in_network: int = 0
    discarded_by_broker: int = 0
    delivered: int = 0
    duplicates_sent: int = 0
    duplicates_delivered: int = 0
    dropped_in_buffer: int = 0

    @property
    def under_way(self) -> int:
        """Return how many distinct messages are between device and broker."""
        return self.published - self.lost_in_network - self.discarded_by_broker - self.delivered


@dataclass
class FleetCounters:
    """Books on readings and on bursts."""

    readings: MessageCounters = field(default_factory=MessageCounters)
    bursts: MessageCounters = field(default_factory=MessageCounters)


class Ledger:
    """Makes the entries, with as little work as a batch allows."""

    def __init__(self) -> None:
        self.counters = FleetCounters()
        self._kinds = (self.counters.readings, self.counters.bursts)
        self._first_accepted: dict[tuple[int, int], bool] = {}
        """Of messages with a second copy under way: whether the first to arrive was accepted."""

    def enter(self, sent: Sent) -> None:
        """Book what a connection says of its messages."""
        for books, produced, lost, dropped in zip(
            self._kinds, sent.produced, sent.lost, sent.dropped, strict=True
        ):
            books.published += produced
            books.lost_in_network += lost
            books.dropped_in_buffer += dropped
        # What is not repeated is not looked at: a copy beyond the first carries its flag.
        if len(sent.flags) and sent.flags.max() >= REPEAT:
            repeats = sent.flags[sent.flags >= REPEAT]
            bursts = int(np.count_nonzero(repeats & BURST))
            self._kinds[0].duplicates_sent += len(repeats) - bursts
            self._kinds[1].duplicates_sent += bursts

    def settle(
        self,
        devices: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int64],
        flags: npt.NDArray[np.uint8],
        accepted: BoolArray | None,
    ) -> None:
        """Book the copies of one batch in their order; ``accepted`` (n,), None is all.

        ``devices`` tell whose message ``numbers`` count.
        """
        if len(flags) == 1 and accepted is None and not flags[0] & TWICE:
            # Most batches of a slow fleet.
            self._kinds[int(flags[0]) & BURST].delivered += 1
            return
        single = (flags & TWICE) == 0
        kinds = flags & BURST
        self._count(kinds[single], None if accepted is None else accepted[single])
        for row in np.flatnonzero(~single).tolist():
            taken = True if accepted is None else bool(accepted[row])
            key = int(devices[row]), int(numbers[row])
            self._settle_one_of_two(self._kinds[int(kinds[row])], key, accepted=taken)

    def _count(self, kinds: npt.NDArray[np.uint8], accepted: BoolArray | None) -> None:
        taken = kinds if accepted is None else kinds[accepted]
        bursts = int(np.count_nonzero(taken))
        refused_bursts = int(np.count_nonzero(kinds)) - bursts
        self._kinds[0].delivered += len(taken) - bursts
        self._kinds[1].delivered += bursts
        self._kinds[0].discarded_by_broker += len(kinds) - len(taken) - refused_bursts
        self._kinds[1].discarded_by_broker += refused_bursts

    def _settle_one_of_two(
        self, books: MessageCounters, key: tuple[int, int], *, accepted: bool
    ) -> None:
        """Book one copy of two; a message is delivered with its first accepted copy."""
        before = self._first_accepted.pop(key, None)
        if before is None:
            self._first_accepted[key] = accepted
            books.delivered += accepted
        elif accepted and before:
            books.duplicates_delivered += 1
        elif accepted:
            books.delivered += 1
        elif not before:
            books.discarded_by_broker += 1
