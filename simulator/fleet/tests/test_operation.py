"""Duty: what the modes of operation ask of a machine, however time is cut."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.catalogue import KINDS
from simulator.fleet.kinds import physics_of
from simulator.fleet.operation import (
    BATCH_S,
    OPERATIONS,
    PAUSE_S,
    Coasting,
    DutyCycle,
    Operation,
    off_shift,
)
from simulator.fleet.streams import FloatArray

PUMP = physics_of("centrifugal_pump").duty
SECONDS = np.arange(20_000.0)


def cycle(mode: str, kind: str = "centrifugal_pump", seed: int = 1) -> DutyCycle:
    return DutyCycle(seed, "unit-001", 1.0, physics_of(kind).duty, mode)


@pytest.mark.parametrize("mode", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_set_points_stay_near_what_the_kind_is_asked_to_do(mode: str, kind: str) -> None:
    duty = physics_of(kind).duty
    point = cycle(mode, kind).take(SECONDS)
    margin = duty.speed_jitter + 6.0 * duty.speed_wander
    assert point.speed.min() > min(duty.speed_levels) - margin
    assert point.speed.max() < max(duty.speed_levels) + margin
    assert point.load.min() >= 0.0
    assert point.load.max() < max(*duty.load_range, duty.steady[1]) + 6.0 * duty.load_wander


@settings(max_examples=25, deadline=None)
@given(
    mode=st.sampled_from(OPERATIONS),
    cut=st.lists(st.integers(1, 3_000), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
)
def test_duty_does_not_depend_on_how_time_is_cut(mode: str, cut: list[int], seed: int) -> None:
    t = np.arange(float(sum(cut)))
    parts = np.split(t, np.cumsum(cut)[:-1])
    at_once, in_parts = cycle(mode, seed=seed), cycle(mode, seed=seed)
    one, others = at_once.take(t), [in_parts.take(part) for part in parts]
    assert one.speed.tobytes() == np.concatenate([o.speed for o in others]).tobytes()
    assert one.load.tobytes() == np.concatenate([o.load for o in others]).tobytes()
    off = [in_parts.off(part) for part in parts]
    expected = at_once.off(t)
    if expected is None:
        assert off == [None] * len(parts)
    else:
        np.testing.assert_array_equal(np.concatenate([o for o in off if o is not None]), expected)


def test_a_cycle_visits_every_level_of_speed() -> None:
    longest_s = PUMP.dwell_s[1] * len(PUMP.speed_levels)
    speed = cycle("cycling").take(np.arange(2.0 * longest_s)).speed
    for level in PUMP.speed_levels:
        assert (abs(speed - level) < 0.035).any()


def test_a_continuous_machine_stays_at_one_point() -> None:
    point = cycle("continuous").take(SECONDS)
    assert point.speed.mean() == pytest.approx(PUMP.steady[0], abs=0.01)
    assert point.speed.std() < 2.0 * PUMP.speed_wander
    assert cycle("continuous").off(SECONDS) is None


@pytest.mark.parametrize(
    ("when", "off"),
    [
        (datetime(2026, 1, 5, 5, 59, tzinfo=UTC), True),
        (datetime(2026, 1, 5, 6, 0, tzinfo=UTC), False),
        (datetime(2026, 1, 9, 21, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 9, 22, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 10, 12, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 11, 12, 0, tzinfo=UTC), True),
        (datetime(2024, 2, 29, 12, 0, tzinfo=UTC), False),
    ],
)
def test_shifts_are_two_on_weekdays(when: datetime, off: bool) -> None:
    assert bool(off_shift(np.array([when.timestamp()]))[0]) is off


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_batches_and_pauses_have_the_lengths_they_should(seed: int) -> None:
    off = cycle("start_stop", seed=seed).off(SECONDS)
    assert off is not None
    assert not off[0]
    lengths = np.diff(np.flatnonzero(np.diff(off.astype(int))))
    for i, length in enumerate(lengths):
        shortest, longest = PAUSE_S if i % 2 == 0 else BATCH_S
        assert shortest - 1 <= length <= longest + 1


def point_of(count: int) -> Operation:
    return Operation(np.full(count, 0.9), np.ones(count))


def test_a_machine_that_is_switched_off_coasts_to_a_standstill_and_ramps_up_again() -> None:
    off = np.zeros(300, dtype=bool)
    off[100:200] = True
    point = Coasting(8.0, 1.0).slow(point_of(300), off)
    assert (point.speed[:100] == 0.9).all()
    assert (np.diff(point.speed[100:140]) <= 0.0).all()
    assert (point.speed[150:200] == 0.0).all()
    assert (np.diff(point.speed[200:]) > 0.0).all()
    assert point.speed[-1] == pytest.approx(0.9, rel=1e-4)
    assert point.switched is not None
    np.testing.assert_array_equal(point.switched, 1.0 - off)


def test_a_machine_that_begins_at_night_begins_at_rest() -> None:
    point = Coasting(8.0, 1.0).slow(point_of(50), np.ones(50, dtype=bool))
    assert (point.speed == 0.0).all()


def test_nothing_changes_as_long_as_nothing_is_switched_off() -> None:
    coasting, point = Coasting(8.0, 1.0), point_of(10)
    assert coasting.slow(point, None) is point
    assert coasting.slow(point, np.zeros(10, dtype=bool)) is point


@settings(max_examples=25, deadline=None)
@given(
    off=st.lists(st.booleans(), min_size=2, max_size=60),
    cut=st.floats(0.0, 1.0),
)
def test_coasting_does_not_depend_on_how_time_is_cut(off: list[bool], cut: float) -> None:
    where, at = np.array(off), 1 + int(cut * (len(off) - 2))
    one = Coasting(8.0, 1.0).slow(point_of(len(off)), where)
    parted = Coasting(8.0, 1.0)
    parts = [parted.slow(point_of(len(part)), part) for part in (where[:at], where[at:])]
    assert np.concatenate([p.speed for p in parts]).tobytes() == one.speed.tobytes()


def test_values_are_zero_only_while_switched_off() -> None:
    values: FloatArray = np.array([1.5, 2.5, 3.5])
    assert point_of(3).powered(values) is values
    off = Operation(values, values, np.array([1.0, 0.0, 1.0]))
    assert off.powered(values).tolist() == [1.5, 0.0, 3.5]
