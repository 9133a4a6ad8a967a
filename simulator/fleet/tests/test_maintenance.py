"""What a repair leaves, and how long one waits for it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.degradation import defect_after_s
from simulator.fleet.maintenance import WORK_SPREAD, Decision, Draws, first_age_s, virtual_age_s
from simulator.fleet.settings import MaintenanceSettings
from simulator.fleet.streams import FloatArray, stream

SHAPE = 3.0

ages = st.floats(0.0, 1e7)
lives = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=8)


def imperfect(kijima: int, share: float) -> MaintenanceSettings:
    return MaintenanceSettings(repair="imperfect", kijima_type=kijima, kijima_q=share)


def aged(work: MaintenanceSettings, lived_s: list[float]) -> list[float]:
    """Return the virtual age after each of the repairs that end these lives."""
    found, age_s = [], 0.0
    for life_s in lived_s:
        age_s = virtual_age_s(work, age_s, life_s)
        found.append(age_s)
    return found


@given(age_s=ages, lived_s=ages)
def test_perfect_is_as_good_as_new_and_minimal_as_bad_as_old(age_s: float, lived_s: float) -> None:
    assert virtual_age_s(MaintenanceSettings(repair="perfect"), age_s, lived_s) == 0.0
    assert virtual_age_s(MaintenanceSettings(repair="minimal"), age_s, lived_s) == age_s + lived_s


@settings(max_examples=50, deadline=None)
@given(lived_s=lives, kijima=st.sampled_from([1, 2]))
def test_imperfect_repair_has_perfect_and_minimal_as_its_ends(
    lived_s: list[float], kijima: int
) -> None:
    perfect, minimal = (MaintenanceSettings(repair=repair) for repair in ("perfect", "minimal"))
    assert aged(imperfect(kijima, 0.0), lived_s) == aged(perfect, lived_s)
    assert aged(imperfect(kijima, 1.0), lived_s) == aged(minimal, lived_s)


@settings(max_examples=50, deadline=None)
@given(lived_s=lives, share=st.floats(0.01, 0.99))
def test_the_two_types_differ_from_the_second_repair_on(lived_s: list[float], share: float) -> None:
    first, second = (aged(imperfect(kijima, share), lived_s) for kijima in (1, 2))
    assert first[0] == second[0]
    for i in range(len(lived_s)):
        # V = q (X1 + ... + Xi), and V = q^i X1 + ... + q Xi.
        assert first[i] == pytest.approx(share * sum(lived_s[: i + 1]))
        powers = [share ** (i + 1 - k) * lived_s[k] for k in range(i + 1)]
        assert second[i] == pytest.approx(sum(powers))


def mean_lives(work: MaintenanceSettings, repairs: int, count: int = 1_500) -> FloatArray:
    rng = stream(1, "lives", str(work.kijima_type), str(work.kijima_q), work.repair)
    total = np.zeros(repairs)
    for _ in range(count):
        age_s = 0.0
        for i in range(repairs):
            life_s = defect_after_s(rng, 1.0, SHAPE, age_s)
            total[i] += life_s
            age_s = virtual_age_s(work, age_s, life_s)
    return total / count


def test_lives_keep_falling_with_type_1_and_level_off_with_type_2() -> None:
    first, second = mean_lives(imperfect(1, 0.5), 12), mean_lives(imperfect(2, 0.5), 12)
    new = math.gamma(1.0 + 1.0 / SHAPE)
    assert first[0] == pytest.approx(new, rel=0.03)
    assert second[0] == pytest.approx(new, rel=0.03)
    assert first[11] < 0.75 * first[5] < 0.75 * 0.75 * first[1]
    assert second[11] == pytest.approx(second[5], rel=0.06)
    assert second[11] < 0.9 * new


def test_lives_after_minimal_repair_are_those_of_a_poisson_process() -> None:
    # As bad as old: failures come with intensity b t^(b-1), so (sum of lives)^b has mean i + 1.
    work = MaintenanceSettings(repair="minimal")
    rng = stream(2, "minimal")
    ends = []
    for _ in range(1_500):
        age_s = 0.0
        for _ in range(5):
            age_s = virtual_age_s(work, age_s, defect_after_s(rng, 1.0, SHAPE, age_s))
        ends.append(age_s**SHAPE)
    assert np.mean(ends) == pytest.approx(5.0, abs=4 * math.sqrt(5.0 / 1_500))


WORK = MaintenanceSettings(response_s=5_000.0, response_least_s=900.0, work_s=3_000.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 1_000))
def test_nobody_comes_before_the_least_response(seed: int, number: int) -> None:
    draws = Draws.of(seed, "pump-001", number, WORK)
    assert draws.response_s >= WORK.response_least_s
    assert abs(draws.work_s / WORK.work_s - 1.0) <= WORK_SPREAD
    assert not draws.is_wrong
    assert draws == Draws.of(seed, "pump-001", number, WORK)
    # A chance of a wrong part does not change how long one waits for it.
    assert Draws.of(seed, "pump-001", number, replace(WORK, wrong_part=1.0)) == replace(
        draws, is_wrong=True
    )


def test_responses_and_work_take_their_mean_time_and_parts_are_wrong_as_often_as_said() -> None:
    some = replace(WORK, wrong_part=0.2)
    draws = [Draws.of(1, f"pump-{i:03d}", i % 7, some) for i in range(4_000)]
    assert np.mean([d.response_s for d in draws]) == pytest.approx(5_000.0, rel=0.06)
    assert np.mean([d.work_s for d in draws]) == pytest.approx(3_000.0, rel=0.02)
    assert np.mean([d.is_wrong for d in draws]) == pytest.approx(0.2, abs=0.03)


def test_a_mean_below_the_least_response_is_the_least_response() -> None:
    always = replace(WORK, response_s=60.0)
    assert Draws.of(1, "pump-001", 0, always).response_s == WORK.response_least_s


@given(seed=st.integers(0, 2**32))
def test_a_machine_is_new_or_at_most_half_its_life_old(seed: int) -> None:
    assert first_age_s(stream(seed, "age"), "new", 100.0) == 0.0
    assert 0.0 <= first_age_s(stream(seed, "age"), "random", 100.0) <= 50.0


def test_decisions_are_in_order_of_time() -> None:
    later, sooner = Decision(20.0, "pump-001", "alert", "a"), Decision(10.0, "pump-009")
    assert sorted([later, sooner]) == [sooner, later]
