"""Calls of workers that compute at one moment: who is quicker in real time decides nothing."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.engine import Engine

START = datetime(2026, 1, 5, tzinfo=UTC)
STEPS = st.one_of(
    st.just("call"),  # in its turn
    st.just("free"),  # commutes, and leaves something behind that does not
    st.integers(0, 2),  # sleeps so many seconds on the run's clock
)
PLANS = st.lists(st.lists(STEPS, max_size=6), min_size=1, max_size=4)


def effects(plans: list[list[Any]], seed: int) -> list[tuple[float, str, int]]:
    """Run workers that begin in this order; return (time, worker, step) as things took effect.

    ``seed`` gives the real pauses of each thread and so who is quicker.
    """
    engine = Engine(START)
    found: list[tuple[float, str, int]] = []
    rng = random.Random(seed)
    pauses = [[rng.choice((0.0, 0.0, 0.0004)) for _ in range(len(plan) + 1)] for plan in plans]

    def take_effect(name: str, step: int) -> None:
        found.append((engine.env.now, name, step))

    def work(name: str, plan: list[Any], pause_s: list[float]) -> None:
        for number, step in enumerate(plan):
            time.sleep(pause_s[number])
            effect = partial(take_effect, name, number)
            if step == "call":
                engine.call(effect, turn_of=name)
            elif step == "free":
                engine.call(partial(engine.order.after, name, effect))
            else:
                until = partial(lambda s: engine.blocked(name, engine.env.timeout(s)), float(step))
                engine.call(until)
        time.sleep(pause_s[-1])
        engine.post(partial(end, name))

    def end(name: str) -> None:
        engine.order.leave(name)
        engine.end_computing(name)

    threads = []
    for number, (plan, pause_s) in enumerate(zip(plans, pauses, strict=True)):
        name = f"worker-{number}"
        engine.order.enter(name)
        engine.begin_computing(name)
        threads.append(threading.Thread(target=work, args=(name, plan, pause_s)))
    for thread in threads:
        thread.start()
    engine.run(100.0)
    for thread in threads:
        thread.join(timeout=10.0)
        assert not thread.is_alive()
    return found


@settings(max_examples=60, deadline=None)
@given(PLANS, st.integers(0, 1000), st.integers(0, 1000))
def test_what_takes_effect_and_when_does_not_depend_on_who_is_quicker(
    plans: list[list[Any]], first: int, second: int
) -> None:
    found = effects(plans, first)
    assert found == effects(plans, second)
    assert len(found) == sum(step in ("call", "free") for plan in plans for step in plan)
    for number in range(len(plans)):
        mine = [step for _, name, step in found if name == f"worker-{number}"]
        assert mine == sorted(mine)


def test_who_began_first_has_the_first_turn() -> None:
    assert [name for _, name, _ in effects([["call"], ["call"], ["call"]], 1)] == [
        "worker-0",
        "worker-1",
        "worker-2",
    ]


def test_nobody_waits_for_a_job_that_stands_aside() -> None:
    engine = Engine(START)
    done: list[str] = []
    engine.order.stand_aside("job")
    engine.begin_computing("job")
    engine.order.enter("function")
    engine.begin_computing("function")
    thread = threading.Thread(
        target=lambda: engine.call(lambda: done.append("call"), turn_of="function")
    )
    thread.start()

    def finish() -> None:
        assert done == ["call"]
        engine.end_computing("function")
        engine.end_computing("job")

    def look() -> None:
        thread.join(timeout=10.0)
        engine.post(finish)

    threading.Thread(target=look).start()
    engine.run(1.0)
    assert done == ["call"]


def test_a_caller_without_a_place_is_served_at_once() -> None:
    engine = Engine(START)
    done: list[str] = []
    engine.begin_computing("function")
    engine.order.take("outside", lambda: done.append("call"))
    engine.order.after(None, lambda: done.append("kept"))
    assert done == ["call", "kept"]
    engine.end_computing("function")
