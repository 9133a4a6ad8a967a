"""In which order the calls of functions that compute at one moment of the clock take effect.

Used by the engine, the gateway and whoever keeps what a call leaves behind. Functions compute
side by side in real time, and which process is quicker must decide nothing. Most calls commute
(`Operation.commutes`) and are done as they come. The others, such as a message to a topic, are
done when everybody who computes has ended, waits on the clock, or waits for such a call too: then
the one that began first has its turn. Jobs stand aside: nobody waits for their hours of work, and
they wait for nobody.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from itertools import count

Work = Callable[[], None]


class Order:
    """The turns of one engine's workers; ``computing`` are those for whom its clock stands now."""

    def __init__(self, computing: Mapping[str, int]) -> None:
        self._computing = computing
        self._places: dict[str, int] = {}
        self._began = count()
        self._came = count()
        self._waiting: list[tuple[int, int, str | None, Work]] = []
        self._aside: set[str] = set()
        self.acting: str | None = None
        """The worker whose call is being done."""

    @property
    def waiting(self) -> bool:
        """Tell whether anything waits for its turn."""
        return bool(self._waiting)

    def enter(self, worker: str) -> None:
        """Give a worker its place, after all that have one; it keeps it while it waits."""
        self._places[worker] = next(self._began)

    def leave(self, worker: str) -> None:
        """Take note that a worker has ended; a call of its that waits is done all the same."""
        self._places.pop(worker, None)

    def stand_aside(self, worker: str) -> None:
        """Have nobody wait for this worker."""
        self._aside.add(worker)

    def take(self, worker: str, work: Work) -> None:
        """Do a worker's work when its turn has come; the worker computes no further until then."""
        self._put(worker, work, holder=worker)

    def after(self, worker: str | None, work: Work) -> None:
        """Do what a worker's call leaves behind when its turn has come; nobody waits for it."""
        self._put(worker, work, holder=None)

    def _put(self, worker: str | None, work: Work, holder: str | None) -> None:
        place = None if worker is None else self._places.get(worker)
        if place is None or not (self._waiting or self._others(worker)):
            work()
        else:
            heapq.heappush(self._waiting, (place, next(self._came), holder, work))

    def next(self) -> bool:
        """Do what is next if nobody computes who might still come before; False otherwise."""
        holders = {holder for _, _, holder, _ in self._waiting}
        if any(each not in holders and each not in self._aside for each in self._computing):
            return False
        heapq.heappop(self._waiting)[3]()
        return True

    def _others(self, worker: str | None) -> bool:
        if len(self._computing) == 1 and worker in self._computing:
            return False
        return any(each != worker and each not in self._aside for each in self._computing)
