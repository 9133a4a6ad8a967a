"""Training jobs of one tuning job find each other to compute side by side, whatever they model."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.compute_turns import ComputeTurns
from simulator.cloud.engine import Engine

START = datetime(2026, 1, 5, tzinfo=UTC)


class Work:
    """Jobs whose containers take no time on the clock, as real ones do."""

    def __init__(self, at_once: int, speed: float | None = None) -> None:
        self.engine = Engine(START, speed)
        self.env = self.engine.env
        self.turns = ComputeTurns(self.engine, at_once)
        self.computed: list[tuple[float, str]] = []
        self.ended: list[tuple[float, str]] = []

    def job(self, name: str, at_s: float, work_s: float, stop_s: float = 1e9) -> None:
        """Add a job that asks at a time, and whose work takes so long."""
        self.env.process(self._life(name, at_s, work_s, stop_s))

    def _life(
        self, name: str, at_s: float, work_s: float, stop_s: float
    ) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(at_s)
        stop = self.env.timeout(max(0.0, stop_s - at_s))
        passed_s = yield from self.turns.company(work_s, stop)
        yield from self.turns.take(self._compute(name))
        yield self.env.timeout(max(0.0, work_s - passed_s)) | stop
        self.ended.append((self.env.now, name))

    def _compute(self, name: str) -> Generator[simpy.Event, Any, None]:
        self.computed.append((self.env.now, name))
        yield self.env.timeout(0.0)


def test_who_comes_alone_waits_for_company_as_long_as_its_work_lasts() -> None:
    work = Work(2)
    work.job("a", 0.0, 500.0)
    work.job("b", 100.0, 300.0)
    work.job("c", 600.0, 200.0)
    work.env.run()
    assert work.computed == [(100.0, "a"), (100.0, "b"), (800.0, "c")]
    assert work.ended == [(400.0, "b"), (500.0, "a"), (800.0, "c")]


def test_one_that_is_stopped_waits_no_longer_and_keeps_no_company() -> None:
    work = Work(2)
    work.job("a", 0.0, 500.0, stop_s=50.0)
    work.job("b", 100.0, 300.0)
    work.env.run()
    assert work.computed == [(50.0, "a"), (400.0, "b")]


@pytest.mark.parametrize(("at_once", "speed"), [(1, None), (2, 60.0)])
def test_nobody_waits_for_company_that_cannot_come_or_on_a_paced_clock(
    at_once: int, speed: float | None
) -> None:
    work = Work(at_once, speed)
    work.job("a", 0.0, 500.0)
    work.env.run()
    assert work.computed == [(0.0, "a")]


TIMES = st.floats(0.1, 300.0)
JOBS = st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=12)


@given(JOBS, st.integers(1, 3))
@settings(deadline=None)
def test_waiting_changes_no_end(jobs: list[tuple[float, float]], at_once: int) -> None:
    work = Work(at_once)
    for number, (at_s, work_s) in enumerate(jobs):
        work.job(str(number), at_s, work_s)
    work.env.run()
    assert len(work.computed) == len(work.ended) == len(jobs)
    for ended_s, name in work.ended:
        assert ended_s == pytest.approx(sum(jobs[int(name)]))
    for computed_s, name in work.computed:
        asked_s, took_s = jobs[int(name)]
        assert asked_s <= computed_s <= asked_s + took_s
