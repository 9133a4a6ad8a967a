"""The execution environments of one function: warm processes, as many as ran at once so far.

Used by `simulator.cloud.invocations`. As on AWS, one environment has one request at a time, its
own memory and its own log stream. Which one gets a request follows from the order of requests and
of their ends alone: the one that has been free for longest.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator

from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.function_workers import FunctionWorker

MOST = 16
"""Only a function that calls itself comes near; Lambda stops loops after about as many calls
(developer guide, "Recursive loop detection")."""


class Environments:
    """The processes of one function. ``make`` gives the process of a name on the clock."""

    def __init__(self, function: str, make: Callable[[str], FunctionWorker]) -> None:
        self._function = function
        self._make = make
        self._all: list[FunctionWorker] = []
        self._free: deque[FunctionWorker] = deque()

    def __iter__(self) -> Iterator[FunctionWorker]:
        return iter(self._all)

    def take(self) -> FunctionWorker:
        """Return a process that has no request; it is not started yet when it is new.

        Raises:
            NotSupportedByTwin: too many are under way.
        """
        if self._free:
            return self._free.popleft()
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
            self._free.append(self.take())
        return self._all[0]

    def give_back(self, worker: FunctionWorker) -> None:
        """Take a process back whose request has ended."""
        self._free.append(worker)

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
