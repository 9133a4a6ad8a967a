"""The clock: it stands while somebody computes, moves while all wait, and is one thread's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud import engine as engine_module
from simulator.cloud.engine import Engine, SimGenerator
from simulator.errors import InvariantBroken

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def engine() -> Engine:
    return Engine(START)


@contextmanager
def other_thread(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run ``work`` on another thread; the list has its result, or its error, afterwards."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield found
    thread.join(timeout=10.0)
    assert not thread.is_alive()


def test_the_clock_starts_where_it_is_told_and_counts_seconds(engine: Engine) -> None:
    engine.run(90.0)
    assert engine.now() == START + timedelta(seconds=90)
    assert engine.epoch_s() == START.timestamp() + 90.0
    # Not more precise than a float of seconds: whole microseconds.
    assert engine.run(90.1234567) is None
    assert engine.now().microsecond == 123457


def test_a_start_without_an_offset_is_refused_and_another_offset_becomes_utc() -> None:
    with pytest.raises(InvariantBroken, match="aware"):
        Engine(START.replace(tzinfo=None))
    east = timezone(timedelta(hours=2))
    assert Engine(START.astimezone(east)).now() == START
    assert Engine(START.astimezone(east)).start.tzinfo is UTC


def test_ids_repeat_with_the_seed_and_only_with_it() -> None:
    def ids(seed: int) -> list[str]:
        engine = Engine(START, seed=seed)
        return [engine.new_id() for _ in range(3)]

    assert ids(1) == ids(1)
    assert len(set(ids(1)) | set(ids(2))) == 6


def test_the_clock_stands_while_a_worker_computes(engine: Engine) -> None:
    engine.env.timeout(5.0)
    engine.begin_computing("worker")
    seen: list[float] = []

    def end() -> None:
        seen.append(engine.env.now)
        engine.end_computing("worker")

    timer = threading.Timer(0.1, engine.post, [end])
    timer.start()
    engine.run(5.0)
    assert seen == [0.0]
    assert engine.env.now == 5.0


def test_computing_nests_and_must_be_balanced(engine: Engine) -> None:
    engine.begin_computing("worker")
    engine.begin_computing("worker")
    engine.end_computing("worker")
    assert engine.is_computing("worker")
    engine.end_computing("worker")
    assert not engine.is_computing("worker")
    with pytest.raises(InvariantBroken, match="worker"):
        engine.end_computing("worker")


def test_what_is_due_now_happens_even_while_the_clock_stands(engine: Engine) -> None:
    happened: list[str] = []

    def now() -> SimGenerator:
        happened.append("started")
        yield engine.env.timeout(0.0)
        happened.append("went on")
        yield engine.env.timeout(1.0)
        happened.append("later")

    process = engine.process(now())
    engine.begin_computing("worker")
    seen: list[list[str]] = []

    def end() -> None:
        seen.append(list(happened))
        engine.end_computing("worker")

    threading.Timer(0.05, engine.post, [end]).start()
    engine.run(process)
    assert seen == [["started", "went on"]]


def test_a_cancelled_timer_is_no_moment_and_can_be_waited_for_no_more(engine: Engine) -> None:
    asked: list[float] = []
    engine.before_moving = asked.append
    timer, over = engine.env.timeout(5.0), engine.env.timeout(2.0)
    engine.cancel(timer)
    engine.run(9.0)
    assert asked == [2.0, 9.0]
    assert timer.callbacks is not None
    with pytest.raises(AttributeError):
        timer.callbacks.append(lambda _: None)
    engine.cancel(over)  # What is over has nothing to cancel.
    assert over.processed


def test_a_blocked_worker_lets_the_clock_move_and_stops_it_again(engine: Engine) -> None:
    engine.begin_computing("worker")
    engine.begin_computing("worker")
    resumed = engine.blocked("worker", engine.env.timeout(7.0, "answer"))
    assert not engine.is_computing("worker")
    engine.env.timeout(8.0)
    assert engine.run(resumed) == "answer"
    assert engine.env.now == 7.0
    assert engine.is_computing("worker")
    engine.end_computing("worker")
    assert engine.is_computing("worker")


def test_a_worker_that_waits_for_a_failure_gets_it_and_computes_on(engine: Engine) -> None:
    engine.begin_computing("worker")
    event = engine.env.event()
    resumed = engine.blocked("worker", event)
    event.fail(ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        engine.run(resumed)
    assert engine.is_computing("worker")


def test_waiting_for_what_has_already_happened_does_not_let_the_clock_move(engine: Engine) -> None:
    event = engine.env.timeout(1.0, "old")
    engine.run(event)
    engine.begin_computing("worker")
    resumed = engine.blocked("worker", event)
    assert resumed.value == "old"
    assert engine.is_computing("worker")


def test_a_caller_that_does_not_compute_needs_no_permission_to_wait(engine: Engine) -> None:
    event = engine.env.event()
    assert engine.blocked(None, event) is event
    assert engine.blocked("outside", event) is event


def test_a_workers_sleep_through_a_call_takes_virtual_time_only(engine: Engine) -> None:
    engine.begin_computing("worker")

    def sleep_and_end() -> float:
        engine.call(lambda: engine.blocked("worker", engine.env.timeout(3_600.0)))
        woken: float = engine.call(lambda: engine.env.now)
        engine.post(lambda: engine.end_computing("worker"))
        return woken

    began = time.monotonic()
    with other_thread(sleep_and_end) as found:
        engine.run(7_200.0)
    assert found == [3_600.0]
    assert time.monotonic() - began < 5.0


def test_other_threads_get_results_events_and_errors(engine: Engine) -> None:
    def fail() -> None:
        raise KeyError("bad")

    def failing_event() -> simpy.Event:
        return engine.env.event().fail(OSError("late"))

    def ask() -> list[Any]:
        answers: list[Any] = [
            engine.call(threading.get_ident),
            engine.call(lambda: engine.env.timeout(2.0, "waited")),
        ]
        for work in (fail, failing_event):
            try:
                engine.call(work)
            except (KeyError, OSError) as error:
                answers.append(type(error))
        done.append(True)
        engine.interrupt()
        return answers

    done: list[bool] = []
    with other_thread(ask) as found:
        engine.run()
    assert found == [[threading.get_ident(), "waited", KeyError, OSError]]


def test_the_engines_own_thread_must_not_call_itself(engine: Engine) -> None:
    def ask() -> SimGenerator:
        yield engine.env.timeout(0.0)
        engine.call(lambda: None)

    with pytest.raises(InvariantBroken, match="called itself"):
        engine.run(engine.process(ask()))


def test_when_nothing_is_left_to_happen_the_run_says_so(engine: Engine) -> None:
    engine.env.timeout(1.0)
    with pytest.raises(InvariantBroken, match="nothing is left"):
        engine.run(engine.env.event())
    assert engine.env.now == 1.0


def test_a_worker_without_a_sign_of_life_ends_the_run_by_name(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "STALL_S", 0.05)
    engine.begin_computing("sleepy")
    with pytest.raises(InvariantBroken, match="sleepy"):
        engine.run(1.0)


def test_the_failure_of_what_is_waited_for_is_raised_and_any_other_failure_too(
    engine: Engine,
) -> None:
    def breaks() -> SimGenerator:
        yield engine.env.timeout(1.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.run(engine.process(breaks()))
    engine.process(breaks())
    with pytest.raises(ZeroDivisionError):
        engine.run(10.0)


def test_a_run_to_a_time_that_is_over_changes_nothing(engine: Engine) -> None:
    engine.run(5.0)
    engine.run(1.0)
    assert engine.env.now == 5.0


def test_a_paced_clock_keeps_pace_with_the_wall(engine: Engine) -> None:
    paced = Engine(START, speed=100.0)
    began = time.monotonic()
    paced.run(20.0)
    assert time.monotonic() - began >= 0.2
    assert paced.env.now == 20.0


def test_a_paced_clock_shows_a_request_the_time_that_it_is() -> None:
    paced = Engine(START, speed=100.0)

    def ask() -> float:
        time.sleep(0.1)
        seen: float = paced.call(lambda: paced.env.now)
        paced.interrupt()
        return seen

    paced.env.timeout(1_000.0)
    with other_thread(ask) as found:
        paced.run()
    assert 1.0 <= found[0] < 1_000.0


ACTIONS = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=3))
def test_however_quick_workers_really_are_they_sleep_to_the_same_virtual_times(
    plans: list[list[tuple[int, bool]]],
) -> None:
    """Each worker sleeps its plan; a true one lets real time pass before each sleep."""
    engine = Engine(START)
    woken: dict[str, list[float]] = {}

    def work(name: str, plan: list[tuple[int, bool]]) -> None:
        times = []
        for sleep_s, slow in plan:
            if slow:
                time.sleep(0.0005)
            asleep = partial(lambda s: engine.blocked(name, engine.env.timeout(s)), float(sleep_s))
            engine.call(asleep)
            times.append(engine.call(lambda: engine.env.now))
        woken[name] = times
        engine.post(lambda: engine.end_computing(name))

    threads = []
    for number, plan in enumerate(plans):
        name = f"worker-{number}"
        engine.begin_computing(name)
        threads.append(threading.Thread(target=work, args=(name, plan)))
    for thread in threads:
        thread.start()
    engine.run(100.0)
    for thread in threads:
        thread.join(timeout=10.0)
    for number, plan in enumerate(plans):
        expected = [float(sum(s for s, _ in plan[: n + 1])) for n in range(len(plan))]
        assert woken[f"worker-{number}"] == expected


def test_a_call_while_the_engine_waits_is_done_by_the_caller_and_wakes_it(engine: Engine) -> None:
    """The clock stands for the worker, so nothing else can happen; what the call causes does."""
    doers: list[int] = []
    woken: list[float] = []

    def work() -> simpy.Event:
        doers.append(threading.get_ident())
        engine.process(after())
        return engine.blocked("worker", engine.env.timeout(5.0))

    def after() -> SimGenerator:
        yield engine.env.timeout(2.0)
        woken.append(engine.env.now)

    def call() -> None:
        time.sleep(0.05)  # Until the engine waits.
        engine.call(work)
        engine.post(lambda: engine.end_computing("worker"))

    engine.begin_computing("worker")
    caller = threading.Thread(target=call)
    caller.start()
    engine.run(20.0)
    caller.join(timeout=10.0)
    assert doers == [caller.ident]
    assert woken == [2.0]


def test_a_call_that_fails_in_the_callers_thread_leaves_the_engine_at_work(engine: Engine) -> None:
    found: list[str] = []

    def fail() -> None:
        raise ValueError("no good")

    def call() -> None:
        time.sleep(0.05)
        try:
            engine.call(fail)
        except ValueError as error:
            found.append(str(error))
        found.append(engine.call(lambda: "works"))
        engine.post(lambda: engine.end_computing("worker"))

    engine.begin_computing("worker")
    with other_thread(call):
        engine.run(1.0)
    assert found == ["no good", "works"]
