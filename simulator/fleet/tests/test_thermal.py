"""Heat: first-order lags, and losses that grow with temperature until they run away."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.settings import AmbientSettings
from simulator.fleet.streams import FloatArray
from simulator.fleet.thermal import RESET_BELOW_C, Room, ThermalMass, settles

TAU_S = 100.0
RISE_C = 80.0
TRIP_C = 130.0


def run_away(
    feedback_1_c: FloatArray,
    losses: FloatArray,
    mass: ThermalMass | None = None,
    trip_c: float = TRIP_C,
) -> tuple[FloatArray, FloatArray]:
    mass = mass or ThermalMass(TAU_S, 1.0, 0.0)
    rise, tripped = mass.run_away(losses, feedback_1_c, np.zeros_like(losses), RISE_C, trip_c)
    return rise, tripped.astype(np.float64)


def test_the_rise_follows_a_step_as_a_first_order_lag_does() -> None:
    rise = ThermalMass(TAU_S, 1.0, 0.0).follow(np.ones(500))
    k = np.arange(1, 501)
    np.testing.assert_allclose(rise, 1.0 - np.exp(-k / TAU_S), rtol=1e-9)


def test_a_mass_begins_in_its_steady_state() -> None:
    np.testing.assert_allclose(ThermalMass(TAU_S, 1.0, 0.7).follow(np.full(50, 0.7)), 0.7)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.1, 0.95))
def test_what_lies_below_the_limit_settles_where_losses_equal_cooling(share: float) -> None:
    feedback = share / (math.e * RISE_C)
    assert settles(feedback, RISE_C)
    rise, tripped = run_away(np.full(6_000, feedback), np.ones(6_000), trip_c=300.0)
    assert not tripped.any()
    final = rise[-1]
    assert final == pytest.approx(math.exp(feedback * RISE_C * final), rel=1e-3)
    assert final < 1.0 / (feedback * RISE_C)


@settings(max_examples=10, deadline=None)
@given(share=st.floats(1.05, 2.0))
def test_what_lies_above_the_limit_runs_away_into_the_trip(share: float) -> None:
    feedback = share / (math.e * RISE_C)
    assert not settles(feedback, RISE_C)
    rise, tripped = run_away(np.full(6_000, feedback), np.ones(6_000), trip_c=300.0)
    assert tripped.any()
    assert RISE_C * rise.max() < 330.0


def test_warmer_air_moves_the_limit() -> None:
    feedback = 0.9 / (math.e * RISE_C)
    assert settles(feedback, RISE_C)
    assert not settles(feedback, RISE_C, excess_c=40.0)


def test_the_protection_closes_again_when_it_is_cooler_and_when_the_fault_is_over() -> None:
    feedback = np.full(6_000, 3.0 / (math.e * RISE_C))
    feedback[4_000:] = 0.0
    rise, tripped = run_away(feedback, np.ones(6_000))
    edges = np.diff(tripped)
    opened, closed = np.flatnonzero(edges > 0) + 1, np.flatnonzero(edges < 0) + 1
    assert len(opened) > 1
    again = closed[closed < 4_000]
    assert (RISE_C * rise[opened - 1] >= TRIP_C).all()
    assert (RISE_C * rise[again - 1] <= TRIP_C - RESET_BELOW_C).all()
    assert not tripped[4_000:].any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cut=st.integers(1, 299),
    active=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    strength=st.floats(0.0, 4.0),
)
def test_a_rise_has_the_same_bits_however_it_is_cut(
    seed: int, cut: int, active: tuple[int, int], strength: float
) -> None:
    losses = np.random.default_rng(seed).random(300) * 3.0
    feedback = np.zeros(300)
    feedback[min(active) : max(active)] = strength / (math.e * RISE_C)
    whole, whole_tripped = run_away(feedback, losses)
    mass = ThermalMass(TAU_S, 1.0, 0.0)
    parts = [run_away(feedback[part], losses[part], mass) for part in (slice(cut), slice(cut, 300))]
    assert np.concatenate([rise for rise, _ in parts]).tobytes() == whole.tobytes()
    assert np.concatenate([trip for _, trip in parts]).tobytes() == whole_tripped.tobytes()


def test_no_feedback_changes_no_bit() -> None:
    losses = np.random.default_rng(1).random(500)
    plain = ThermalMass(TAU_S, 1.0, 0.3).follow(losses)
    rise, tripped = run_away(np.zeros(500), losses, ThermalMass(TAU_S, 1.0, 0.3))
    assert rise.tobytes() == plain.tobytes()
    assert not tripped.any()
    late = np.zeros(500)
    late[400:] = 1e-3
    rise, _ = run_away(late, losses, ThermalMass(TAU_S, 1.0, 0.3))
    assert rise[:400].tobytes() == plain[:400].tobytes()


def room_of(ambient: AmbientSettings, start_epoch_s: float = 0.0) -> Room:
    return Room(1, "unit-001", 60.0, ambient, start_epoch_s, 0.0)


def test_the_day_is_warmest_at_three_in_the_afternoon() -> None:
    t = np.arange(0.0, 10 * 86_400.0, 60.0)
    air_c = room_of(AmbientSettings(20.0, 6.0), 86_400.0 * 365).take(t)
    by_minute = air_c.reshape(10, -1).mean(axis=0)
    assert np.argmax(by_minute) / 60.0 == pytest.approx(15.0, abs=1.0)
    assert air_c.mean() == pytest.approx(20.0, abs=0.3)
    assert np.ptp(by_minute) == pytest.approx(12.0, abs=0.8)


def test_the_year_is_warmest_in_july() -> None:
    t = np.arange(0.0, 365 * 86_400.0, 3_600.0)
    new_year_s = 1_767_225_600.0  # 2026-01-01
    air_c = room_of(AmbientSettings(12.0, 0.0, 10.0), new_year_s).take(t)
    by_day = air_c.reshape(365, -1).mean(axis=1)
    assert np.argmax(by_day) == pytest.approx(201, abs=20)
    assert np.ptp(by_day) == pytest.approx(20.0, abs=1.5)


def test_the_air_does_not_depend_on_where_the_fleet_begins_but_on_the_epoch() -> None:
    ambient = AmbientSettings(20.0, 5.0, 8.0)
    t = np.arange(0.0, 86_400.0, 60.0)
    later = room_of(ambient, 3_600.0).take(t)
    shifted = room_of(ambient, 0.0).take(t + 3_600.0)
    np.testing.assert_allclose(later, shifted, atol=1e-6)
