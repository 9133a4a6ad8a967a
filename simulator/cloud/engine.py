"""The clock of the stand-in: one thread owns the SimPy environment, everything else asks it.

HTTP threads and process watchers put work into the inbox; the engine does it between two
events. A worker (function, job, endpoint) is either *computing*, then the clock stands, or
*blocked* in a sleep or in a call that waits for an event, then the clock may move.
It does not know any service, nor whether anybody simulates machines on the same clock.
"""

from __future__ import annotations

import heapq
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import simpy

from simulator.cloud.order import Order
from simulator.errors import InvariantBroken

T = TypeVar("T")
SimGenerator = Generator[simpy.Event, Any, Any]

FUNCTIONS_AT_ONCE = 4
"""How many functions compute side by side; their outcomes are taken in the order of their start."""

CANCELLED: Final[Any] = ()
"""The callbacks of a timer that nobody waits for any more, nor can."""

STALL_S = 600.0
"""Real seconds without a sign of life from a computing worker before the run is given up."""


class Engine:
    """Virtual or paced clock over a SimPy environment.

    ``speed`` is virtual seconds per real second; ``None`` runs as fast as possible.
    ``env.now`` counts seconds since ``start``.
    """

    def __init__(self, start: datetime, speed: float | None = None, seed: int = 0) -> None:
        if start.tzinfo is None:
            raise InvariantBroken("the engine's start must be an aware datetime")
        self.env = simpy.Environment()
        self.start = start.astimezone(UTC)
        self.speed = speed
        self.slot = simpy.PriorityResource(self.env, capacity=FUNCTIONS_AT_ONCE)
        self._start_epoch_s = self.start.timestamp()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._computing: dict[str, int] = {}
        self.order = Order(self._computing)
        self.before_moving: Callable[[float], None] | None = None
        """Told the time of the next event before the clock moves there; may schedule earlier ones.
        Only on a clock that runs as fast as possible."""
        self._ids = random.Random(f"ids-{seed}")
        self._thread: int | None = None
        self._parked = threading.Lock()
        """Free only while the engine waits for its inbox: who takes it may do the engine's work."""
        self._parked.acquire()
        self._called_s = 0.0
        self._real_origin: float | None = None
        self._virtual_origin = 0.0

    # -- the clock, for the engine's thread

    def now(self) -> datetime:
        """Return the virtual time as an aware UTC datetime (microsecond resolution)."""
        return self.start + timedelta(microseconds=round(self.env.now * 1e6))

    def epoch_s(self, at_s: float | None = None) -> float:
        """Return a virtual time in seconds since 1970: the present one, or one since the start."""
        return float(self._start_epoch_s + (self.env.now if at_s is None else at_s))

    def new_id(self) -> str:
        """Return a UUID drawn from the run's seed, so that two runs give the same ids."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def process(self, generator: SimGenerator) -> simpy.Process:
        """Start a SimPy process on this clock."""
        return self.env.process(generator)

    def cancel(self, timer: simpy.Event) -> None:
        """Have a timer forgotten that nobody waits for any more; nobody may do so later.

        Left alone it would be a moment like any other, and what goes together would be parted.
        """
        if timer.callbacks is not None:
            timer.callbacks = CANCELLED

    # -- who computes

    def begin_computing(self, worker: str) -> None:
        """Stop the clock until the same worker's `end_computing`; may be nested."""
        self._computing[worker] = self._computing.get(worker, 0) + 1

    def end_computing(self, worker: str) -> None:
        """Let the clock move again as far as this worker is concerned."""
        left = self._computing.get(worker, 0) - 1
        if left < 0:
            raise InvariantBroken(f"worker {worker} ended computing that it never began")
        if left:
            self._computing[worker] = left
        else:
            del self._computing[worker]

    def is_computing(self, worker: str) -> bool:
        """Tell whether the clock stands for this worker."""
        return worker in self._computing

    def blocked(self, worker: str | None, event: simpy.Event) -> simpy.Event:
        """Let the clock move while ``worker`` waits for ``event``; stop it again when it is there.

        Returns an event that has ``event``'s outcome. With no worker, or one that is not
        computing (a client outside), the clock needs no permission.
        """
        if worker is None or not self.is_computing(worker):
            return event
        nested = self._computing.pop(worker)
        resumed = self.env.event()

        def resume(done: simpy.Event) -> None:
            self._computing[worker] = self._computing.get(worker, 0) + nested
            done.defused = True
            # At once and not through the queue: the clock stands again from here on, and an
            # event that is only scheduled would never be processed.
            resumed._ok, resumed._value = done._ok, done._value
            callbacks, resumed.callbacks = resumed.callbacks, None  # type: ignore[assignment]
            for callback in callbacks or ():
                callback(resumed)

        if event.processed:
            resume(event)
        else:
            assert event.callbacks is not None
            event.callbacks.append(resume)
        return resumed

    # -- other threads

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work`` done on the engine's thread, soon; from any thread."""
        self._inbox.put(work)

    def call(self, work: Callable[[], Any], turn_of: str | None = None) -> Any:
        """Do ``work`` on the engine's thread and return its result; from any other thread.

        If it returns a SimPy event, wait for the event and return its value. With ``turn_of`` a
        worker, the work is done when its turn has come among those that compute now (`Order`).
        """
        if threading.get_ident() == self._thread:
            raise InvariantBroken("the engine called itself through its inbox")
        answer: Future[Any] = Future()
        if turn_of is None and self.speed is None and self._parked.acquire(blocking=False):
            result = self._do_now(work, answer)
            return answer.result() if isinstance(result, simpy.Event) else result

        def do() -> None:
            try:
                result = work()
            except BaseException as error:
                answer.set_exception(error)
                return
            if isinstance(result, simpy.Event):
                self._when_done(result, answer)
            else:
                answer.set_result(result)

        self._inbox.put(do if turn_of is None else lambda: self.order.take(turn_of, do))
        return answer.result()

    def _do_now(self, work: Callable[[], Any], answer: Future[Any]) -> Any:
        """Do work in the place of the engine's thread, which waits: spares two hand-overs a call.

        Nothing is due at this moment, or the engine would not wait. It is woken when that changes.
        """
        try:
            result = work()
            if isinstance(result, simpy.Event):
                self._when_done(result, answer)
            return result
        finally:
            self._called_s = time.monotonic()
            idle = self._computing and not self.order.waiting and self.env.peek() > self.env.now
            self._parked.release()
            if not idle:
                self._inbox.put(_look_again)

    def _when_done(self, event: simpy.Event, answer: Future[Any]) -> None:
        def finish(done: simpy.Event) -> None:
            if done.ok:
                answer.set_result(done.value)
            else:
                done.defused = True
                answer.set_exception(done.value)

        if event.processed:
            finish(event)
        else:
            assert event.callbacks is not None
            event.callbacks.append(finish)

    # -- the loop

    def run(self, until: simpy.Event | float | None = None) -> Any:
        """Run until an event is processed or a time (seconds since start) is reached.

        With ``None``: until `interrupt`. Raises the event's failure. Only one thread may run.
        """
        if isinstance(until, (int, float)):
            until = self.env.timeout(max(0.0, float(until) - self.env.now))
        if until is not None and until.callbacks is not None:
            until.callbacks.append(_defuse)
        self._thread = threading.get_ident()
        self._real_origin, self._virtual_origin = time.monotonic(), self.env.now
        try:
            while until is None or not until.processed:
                if not self._turn(waiting_for_ever=until is None):
                    break
        finally:
            self._thread = None
        if until is None:
            return None
        if not until.processed:
            raise InvariantBroken("nothing is left to happen, and what was waited for never came")
        if not until.ok:
            assert isinstance(until.value, BaseException)
            raise until.value
        return until.value

    def interrupt(self) -> None:
        """Make `run(None)` return; from any thread or a signal handler."""
        self._inbox.put(None)

    def run_in_background_until_called(self) -> None:  # pragma: no cover - convenience of tests
        """Run for ever on a daemon thread (tests that call through HTTP)."""
        threading.Thread(target=self.run, name="engine", daemon=True).start()

    def _turn(self, *, waiting_for_ever: bool) -> bool:
        """Do one piece of work or one event; False when there is nothing left to wait for."""
        if (self._computing or self.order.waiting) and self._at_this_moment():
            return True
        self._forget_cancelled()
        if self.before_moving is not None and not self._computing and self.speed is None:
            self.before_moving(self.env.peek())
        wait_s = self._wait_s(waiting_for_ever)
        try:
            work = self._inbox.get_nowait() if wait_s == 0.0 else self._wait(wait_s)
        except queue.Empty:
            if self._computing:
                if wait_s == STALL_S and time.monotonic() - self._called_s >= STALL_S:
                    raise InvariantBroken(
                        f"no sign of life for {STALL_S:.0f} s from {', '.join(self._computing)}"
                    ) from None
                return True
            if self.env.peek() == float("inf"):
                return waiting_for_ever
            if self._due():
                self.env.step()
            return True
        if work is None:
            return False
        self._catch_up()
        work()
        return True

    def _forget_cancelled(self) -> None:
        upcoming = self.env._queue
        while upcoming and upcoming[0][3].callbacks is CANCELLED:
            heapq.heappop(upcoming)

    def _wait(self, most_s: float) -> Callable[[], None] | None:
        """Wait for work; meanwhile whoever calls may do its own."""
        self._parked.release()
        try:
            return self._inbox.get(timeout=most_s)
        finally:
            self._parked.acquire()

    def _at_this_moment(self) -> bool:
        """Do what is due while the clock stands; False when only those who compute can go on."""
        if self.env.peek() <= self.env.now:
            # Before any answer is looked at: so two functions that start together compute
            # together, and how quick they are decides nothing.
            self.env.step()
            return True
        return self.order.waiting and self.order.next()

    def _catch_up(self) -> None:
        """On a paced clock, show a request the time that it is, not that of the last event."""
        if self.speed is None or self._computing or self._real_origin is None:
            return
        target = self._virtual_origin + (time.monotonic() - self._real_origin) * self.speed
        target = min(target, self.env.peek())
        if target > self.env.now:
            self.env.run(until=self.env.timeout(target - self.env.now))

    def _wait_s(self, waiting_for_ever: bool) -> float:
        if self._computing:
            return STALL_S
        next_at = self.env.peek()
        if next_at == float("inf"):
            return 3600.0 if waiting_for_ever else 0.0
        if self.speed is None:
            return 0.0
        return max(0.0, self._real_time_of(next_at) - time.monotonic())

    def _due(self) -> bool:
        return self.speed is None or self._real_time_of(self.env.peek()) <= time.monotonic()

    def _real_time_of(self, virtual_s: float) -> float:
        assert self.speed is not None
        assert self._real_origin is not None
        return self._real_origin + (virtual_s - self._virtual_origin) / self.speed


def _look_again() -> None:
    """Wake the engine: something is due."""


def _defuse(event: simpy.Event) -> None:
    """Keep SimPy from raising an event's failure: whoever waits for the event raises it."""
    event.defused = True
