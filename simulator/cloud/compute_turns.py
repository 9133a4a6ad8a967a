"""Whose container computes, when jobs belong together: some at once, taken in the order of asking.

Made by a tuning job for its training jobs, used by `training_runs`. Which process was quicker
decides nothing: all of them compute at one moment of the clock, which stands meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import simpy

from simulator.cloud.engine import COMPUTING_AT_ONCE

T = TypeVar("T")


class ComputeTurns:
    """Lets ``at_once`` containers compute; the others wait for their turn."""

    def __init__(self, env: simpy.Environment, at_once: int = COMPUTING_AT_ONCE) -> None:
        self._env = env
        self._slots = simpy.Resource(env, at_once)
        self._asked_s = -1.0
        self._last: simpy.Event | None = None

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
