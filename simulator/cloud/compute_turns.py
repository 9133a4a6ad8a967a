"""When a container computes, when jobs belong together: side by side, taken in the order of asking.

Made by a tuning job for its training jobs, used by `training_runs`. Which process was quicker
decides nothing: all of them compute at one moment of the clock, which stands meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import simpy

from simulator.cloud.engine import Engine

T = TypeVar("T")

COMPUTING_AT_ONCE = 2
"""How many containers of one tuning job compute side by side."""


class ComputeTurns:
    """Lets ``at_once`` containers compute; the others wait for their turn.

    One that comes alone waits for company, as long as nobody on the clock can tell.
    """

    def __init__(self, engine: Engine, at_once: int = COMPUTING_AT_ONCE) -> None:
        self._env = engine.env
        self._paced = engine.speed is not None
        self._at_once = at_once
        self._slots = simpy.Resource(engine.env, at_once)
        self._alone: list[simpy.Event] = []
        self._asked_s = -1.0
        self._last: simpy.Event | None = None

    def company(self, slack_s: float, stop: simpy.Event) -> Generator[simpy.Event, Any, float]:
        """Wait until there are enough to compute side by side; return the seconds of it.

        ``slack_s``: the modelled time of the work that is to be done, at whose end its outcome is
        needed. On a paced clock the processors have that time anyway, and nobody waits.
        """
        began_s = self._env.now
        together = self._env.event()
        self._alone.append(together)
        if self._paced or len(self._alone) >= self._at_once:
            waiting, self._alone = self._alone, []
            for each in waiting:
                each.succeed()
        yield together | self._env.timeout(slack_s) | stop
        if together in self._alone:
            self._alone.remove(together)
        return float(self._env.now - began_s)

    def take(self, computing: Generator[simpy.Event, Any, T]) -> Generator[simpy.Event, Any, T]:
        """Compute when there is a place; return after those who asked before at this moment."""
        before = self._last if self._asked_s == self._env.now else None
        done = self._last = self._env.event()
        self._asked_s = self._env.now
        try:
            with self._slots.request() as slot:
                yield slot
                outcome = yield from computing
            if before is not None:
                yield before
        finally:
            done.succeed()
        return outcome
