"""Copies of messages under way, in order of arrival.

`delivery` puts in whole blocks of a device and takes out what has arrived by a time. Nothing is
a Python object of its own here but the payloads: a big fleet has millions of them under way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.sent import REPEAT, Sent
from simulator.fleet.streams import FloatArray

MOST_STOCKS = 8
"""Blocks that came at different times and are not used up; more are united."""


class Parcels(NamedTuple):
    """Copies in order of arrival; columns (n,), times in s on the simulation clock.

    ``devices`` are numbers of devices, ``numbers`` count each device's messages; ``flags`` as
    in `sent.Sent`.
    """

    at_s: FloatArray
    sent_s: FloatArray
    devices: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]
    payloads: npt.NDArray[np.object_]

    def rows(self, which: slice | npt.NDArray[np.intp]) -> Parcels:
        """Return some rows; views of them for a slice."""
        return Parcels(
            self.at_s[which],
            self.sent_s[which],
            self.devices[which],
            self.numbers[which],
            self.flags[which],
            self.payloads[which],
        )


class _Stock:
    """Sorted parcels that are used up from the front."""

    def __init__(self, parcels: Parcels) -> None:
        self._parcels = parcels
        self._used = 0
        self.next_s = float(parcels.at_s[0])
        """When the first of what is left arrives; infinity when nothing is left."""

    @property
    def left(self) -> int:
        """Return how many are left."""
        return len(self._parcels.at_s) - self._used

    def take_before(self, at_s: float) -> Parcels | None:
        """Return what arrives before ``at_s``; None for nothing."""
        if self.next_s >= at_s:
            return None
        begin, times_s = self._used, self._parcels.at_s
        end = begin + int(times_s[begin:].searchsorted(at_s))
        self._used = end
        self.next_s = float(times_s[end]) if end < len(times_s) else math.inf
        taken = self._parcels.rows(slice(begin, end))
        payloads = taken.payloads.copy()
        # A late arrival keeps the stock alive for long; the payloads are what is big.
        taken.payloads[:] = None
        return taken._replace(payloads=payloads)

    def look(self, before_s: float, most: int) -> Parcels:
        """Return at most so many of what arrives before a time, and leave them here."""
        begin, times_s = self._used, self._parcels.at_s
        end = begin + int(times_s[begin : begin + most].searchsorted(before_s))
        return self._parcels.rows(slice(begin, end))

    def rest(self) -> Parcels:
        """Return what is left."""
        return self._parcels.rows(slice(self._used, None))


class Pending:
    """All copies under way."""

    def __init__(self) -> None:
        self._incoming: list[tuple[int, Sent, float]] = []
        self._stocks: list[_Stock] = []

    @property
    def empty(self) -> bool:
        """Tell whether nothing is under way."""
        return not self._incoming and not self._stocks

    def put(self, device: int, sent: Sent, origin_s: float) -> None:
        """Take a device's copies; their times count from ``origin_s``."""
        if len(sent.at_s):
            self._incoming.append((device, sent, origin_s))

    def take_before(self, at_s: float, names: Sequence[str]) -> Parcels | None:
        """Return what arrives before ``at_s``, in order; None for nothing.

        What arrives at the same time is ordered by the names of the devices, then by number.
        """
        self._sort_incoming(names)
        found = [stock.take_before(at_s) for stock in self._stocks]
        taken = [parcels for parcels in found if parcels is not None]
        if not taken:
            return None
        self._stocks = [stock for stock in self._stocks if stock.left]
        return taken[0] if len(taken) == 1 else _sorted(_united(taken), names)

    def look(self, before_s: float, most: int, names: Sequence[str]) -> Parcels:
        """Return the first ``most`` at most of what arrives before a time, and leave them here."""
        self._sort_incoming(names)
        found = [stock.look(before_s, most) for stock in self._stocks]
        if len(found) == 1:
            return found[0]
        return _sorted(_united(found), names).rows(slice(0, most))

    def next_s(self, names: Sequence[str]) -> float:
        """Return when the next copy arrives; infinity when nothing is under way."""
        self._sort_incoming(names)
        return min((stock.next_s for stock in self._stocks), default=math.inf)

    def _sort_incoming(self, names: Sequence[str]) -> None:
        if not self._incoming:
            return
        together = [_collected(self._incoming)]
        if len(self._stocks) >= MOST_STOCKS:
            together += [stock.rest() for stock in self._stocks]
            self._stocks = []
        self._stocks.append(_Stock(_sorted(_united(together), names)))
        self._incoming = []


def _collected(incoming: Sequence[tuple[int, Sent, float]]) -> Parcels:
    """Return everything that came, in no order."""
    blocks = [sent for _, sent, _ in incoming]
    lengths = [len(sent.at_s) for sent in blocks]
    origin_s = np.repeat([origin for _, _, origin in incoming], lengths)
    payloads = np.empty(len(origin_s), dtype=np.object_)
    payloads[:] = list(chain.from_iterable(sent.payloads for sent in blocks))
    return Parcels(
        np.concatenate([sent.at_s for sent in blocks]) + origin_s,
        np.concatenate([sent.sent_s for sent in blocks]) + origin_s,
        np.repeat(np.array([device for device, _, _ in incoming], dtype=np.int64), lengths),
        np.concatenate([sent.numbers for sent in blocks]),
        np.concatenate([sent.flags for sent in blocks]),
        payloads,
    )


def _united(parcels: Sequence[Parcels]) -> Parcels:
    if len(parcels) == 1:
        return parcels[0]
    return Parcels(
        np.concatenate([part.at_s for part in parcels]),
        np.concatenate([part.sent_s for part in parcels]),
        np.concatenate([part.devices for part in parcels]),
        np.concatenate([part.numbers for part in parcels]),
        np.concatenate([part.flags for part in parcels]),
        np.concatenate([part.payloads for part in parcels]),
    )


def _sorted(parcels: Parcels, names: Sequence[str]) -> Parcels:
    order = np.argsort(parcels.at_s)
    at_s = parcels.at_s[order]
    if np.any(at_s[1:] == at_s[:-1]):
        # Seldom, so the names are not kept in order.
        ranks = np.empty(len(names), dtype=np.int64)
        ranks[np.argsort(np.array(names))] = np.arange(len(names))
        repeat = parcels.flags & REPEAT
        order = np.lexsort((repeat, parcels.numbers, ranks[parcels.devices], parcels.at_s))
    return parcels.rows(order)
