"""The execution environments of one function: warm processes, as many as ran at once so far.

Used by `simulator.cloud.invocations`. As on AWS, one environment has one request at a time, its
own memory and its own log stream. Which one gets a request decides what a handler remembers, so it
must not follow from which process was quicker: it is the one that has been free for longest, of
those that would be free even if all that may still compute at this moment did.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Callable, Iterator
from typing import NamedTuple

from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.function_workers import FunctionWorker

MOST = 16
"""Only a function that calls itself comes near; Lambda stops loops after about as many calls
(developer guide, "Recursive loop detection")."""


class _Free(NamedTuple):
    """A process without a request: when it got free, and by the end of which invocation."""

    since_s: float
    number: int
    worker: FunctionWorker


class Environments:
    """The processes of one function. ``make`` gives the process of a name on the clock."""

    def __init__(self, function: str, make: Callable[[str], FunctionWorker]) -> None:
        self._function = function
        self._make = make
        self._all: list[FunctionWorker] = []
        self._free: list[_Free] = []

    def __iter__(self) -> Iterator[FunctionWorker]:
        return iter(self._all)

    def take(self, now_s: float, ended: int) -> FunctionWorker:
        """Return a process that has no request; it is not started yet when it is new.

        Of this moment only the ends of invocations up to the number ``ended`` count: later ones
        may have ended already or not. Raises NotSupportedByTwin when too many are under way.
        """
        for place, free in enumerate(self._free):
            if free.since_s < now_s or free.number <= ended:
                del self._free[place]
                return free.worker
        number = len(self._all) + 1
        if number > MOST:
            raise NotSupportedByTwin(f"more than {MOST} invocations of {self._function} at once")
        name = self._function if number == 1 else f"{self._function}/{number}"
        worker = self._make(name)
        self._all.append(worker)
        return worker

    def first(self) -> FunctionWorker:
        """Return the process that is started ahead of any request."""
        if not self._all:
            self.give_back(self.take(0.0, 0), float("-inf"), 0)
        return self._all[0]

    def give_back(self, worker: FunctionWorker, now_s: float, number: int) -> None:
        """Take a process back whose request, the invocation of this number, has ended."""
        insort(self._free, _Free(now_s, number, worker), key=lambda free: free[:2])

    def end(self) -> None:
        """End all processes; requests that are with them are answered so."""
        for worker in self._all:
            worker.end()


def log_stream_of(stream: str, function: str, worker: str) -> str:
    """Return the log stream of an environment; the first has the function's own."""
    if worker == function:
        return stream
    day, _, instance = stream.rpartition("]")
    number = worker.rpartition("/")[2]
    own = hashlib.md5(f"{instance}/{number}".encode(), usedforsecurity=False).hexdigest()
    return f"{day}]{own}"
