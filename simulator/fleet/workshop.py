"""Makes the messages of a fleet, block by block: here, or ahead of time in a process of its own.

What a fleet in which nothing reacts sends depends on its plan alone and not on the clock, so it
can be made while others compute; `fleet` puts it on its way when its time has come. Both ways
give the same bytes.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, NamedTuple

from simulator.errors import InvariantBroken
from simulator.fleet.plant import Batch, PlantPlan, Unit

BATCHES_AHEAD = 60
"""Batches that the process may be ahead: it bounds memory, not results."""


class Order(NamedTuple):
    """What to make: all blocks of ``block_s`` of all devices of a plan."""

    plan: PlantPlan
    block_s: float


def units_of(plan: PlantPlan) -> dict[str, Unit]:
    """Return every device of a plan, ready to make its first block."""
    return {device: Unit(plan, device) for device in plan.devices}


def batches(order: Order, units: Mapping[str, Unit]) -> Iterator[Batch]:
    """Yield every batch, block after block and in each block device after device.

    A batch is made when it is asked for: what was ordered until then counts.
    """
    begun = 0
    while begun * order.block_s < order.plan.total_s:
        end_s = min(order.plan.total_s, (begun + 1) * order.block_s)
        for unit in units.values():
            yield unit.batch(end_s)
        begun += 1


class Ahead:
    """The same batches, made by a child process that works ahead.

    It ends with its order, with `close`, or when this process is gone and nobody reads its pipe.
    """

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            # Not with -m: what is pickled must belong to this module and not to __main__.
            [sys.executable, "-c", "from simulator.fleet import workshop; workshop.main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        pickle.dump(order, self._process.stdin)
        self._process.stdin.close()
        self._ready: queue.Queue[Batch | None] = queue.Queue(BATCHES_AHEAD)
        self._closed = False
        self._trouble: Exception | None = None
        threading.Thread(target=self._receive, name="workshop", daemon=True).start()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self._ready.get()
            if batch is None:
                raise InvariantBroken(
                    "the process that makes the readings ended early "
                    f"(exit status {self._exit_status()}; {self._trouble!r})"
                )
            yield batch

    def close(self) -> None:
        """End the process and wait for it."""
        self._closed = True
        self._process.kill()
        self._process.wait()
        while not self._ready.empty():
            self._ready.get_nowait()

    def _exit_status(self) -> int | None:
        """Return how the process ended; None where it goes on without a reader."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(5.0)
        return None

    def _receive(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            while not self._closed:
                try:
                    batch = received(pipe)
                except Exception as error:  # whoever waits is told by the None below
                    self._trouble = error
                    break
                self._ready.put(batch)
        if not self._closed:
            self._ready.put(None)


def received(pipe: IO[bytes]) -> Batch:
    """Return the next batch of a buffered pipe, in however many pieces it comes.

    Raises EOFError at the end, and what `pickle` raises, or TypeError, for anything else.
    """
    batch = pickle.load(pipe)
    if not isinstance(batch, Batch):
        raise TypeError(f"a batch was due, and {type(batch).__name__} came")
    return batch


def main() -> None:
    """Make an order that comes pickled on standard input; write batches until nobody reads."""
    # The batches have the pipe for themselves: what else this process prints goes to stderr, lest
    # it be read as one.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    order: Order = pickle.load(sys.stdin.buffer)
    try:
        for batch in batches(order, units_of(order.plan)):
            pickle.dump(batch, pipe, protocol=pickle.HIGHEST_PROTOCOL)
        pipe.flush()
    except BrokenPipeError:
        # Nobody reads any more; keep Python from flushing into the closed pipe at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())
