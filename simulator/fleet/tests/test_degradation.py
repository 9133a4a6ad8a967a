"""How parts wear, against the closed forms of each process."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulator.fleet.degradation import PROCESSES, STEPS, course_of, defect_after_s
from simulator.fleet.settings import WearSettings
from simulator.fleet.streams import FloatArray, stream

GROWTH_S = 50_000.0


def wear(process: str, spread: float = 0.3) -> WearSettings:
    return WearSettings("seal_leak", 1e5, 1.5, process, GROWTH_S, spread)


def lives(process: str, spread: float, count: int) -> FloatArray:
    rng = stream(1, process, str(spread))
    return np.array([course_of(wear(process, spread), rng).fails_s for _ in range(count)])


@settings(max_examples=60, deadline=None)
@given(
    process=st.sampled_from(sorted(PROCESSES)),
    spread=st.floats(0.02, 0.6),
    seed=st.integers(0, 2**32),
)
def test_a_course_goes_from_nothing_to_failure_within_bounds(
    process: str, spread: float, seed: int
) -> None:
    course = course_of(wear(process, spread), stream(seed, "course"))
    assert course.levels[0] == 0.0
    assert course.levels[-1] == 1.0
    assert np.all(np.diff(course.grid_s) >= 0.0)
    assert course.levels.min() >= 0.0
    assert course.levels[:-1].max() <= 1.0
    assert course.fails_s > 0.0
    if process != "wiener":
        assert np.all(np.diff(course.levels) >= 0.0)
    times = np.array([-1.0, 0.0, course.fails_s, 2 * course.fails_s])
    np.testing.assert_array_equal(course.at(times), [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("process", sorted(PROCESSES))
@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_the_time_to_failure_has_the_mean_and_the_spread_asked_for(
    process: str, spread: float
) -> None:
    found = lives(process, spread, 1_500)
    assert found.mean() == pytest.approx(GROWTH_S, rel=4 * spread / math.sqrt(1_500) + 0.005)
    assert found.std() / found.mean() == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("spread", [0.15, 0.4])
def test_a_wiener_process_passes_first_as_an_inverse_gaussian(spread: float) -> None:
    found = lives("wiener", spread, 2_000) / GROWTH_S
    shape = 1.0 / spread**2
    law = stats.invgauss(1.0 / shape, scale=shape)
    assert stats.kstest(found, law.cdf).statistic < 1.63 / math.sqrt(2_000)


def test_a_wiener_process_that_crosses_between_two_grid_points_has_crossed() -> None:
    # Looked at on the grid alone, lives are longer by 0.58 s sqrt(dt) / mu (Broadie, Glasserman
    # and Kou 1997): 1.6 % here, five times the error of this mean.
    found = lives("wiener", 0.4, 15_000) / GROWTH_S
    assert found.mean() == pytest.approx(1.0, abs=0.008)


@pytest.mark.parametrize("spread", [0.15, 0.4])
def test_a_gamma_process_passes_first_as_the_incomplete_gamma_function_says(spread: float) -> None:
    found = lives("gamma", spread, 2_000) / GROWTH_S
    rate = 1.0 / spread**2
    per_time = rate + 0.5

    def passed(times: FloatArray) -> FloatArray:
        # P(T <= t) = P(X(t) >= 1), X(t) a gamma variable of shape a t and rate b.
        return np.asarray(stats.gamma.sf(1.0, per_time * times, scale=1.0 / rate))

    # Points are counted at the end of their step's line: half a step is the resolution.
    assert stats.kstest(found, passed).statistic < 1.63 / math.sqrt(2_000) + 1.0 / STEPS


@pytest.mark.parametrize(("shape", "factor"), [(10 / 9, 7.6), (1.5, 4.5), (3.0, 2.1)])
def test_a_tenth_of_new_parts_has_a_defect_by_l10(shape: float, factor: float) -> None:
    rng = stream(3, "new", str(shape))
    found = np.array([defect_after_s(rng, factor, shape, 0.0) for _ in range(20_000)])
    assert np.mean(found < 1.0) == pytest.approx(0.1, abs=0.01)
    assert found.mean() == pytest.approx(factor * math.gamma(1 + 1 / shape), rel=0.03)


@pytest.mark.parametrize("age", [0.3, 1.0, 2.0])
def test_an_old_part_lives_as_its_survival_function_says(age: float) -> None:
    rng = stream(6, "old", str(age))
    found = np.array([defect_after_s(rng, 1.0, 2.0, age) for _ in range(4_000)])

    def gone(x: FloatArray) -> FloatArray:
        return np.asarray(1.0 - np.exp(age**2 - (age + x) ** 2))

    assert stats.kstest(found, gone).statistic < 1.63 / math.sqrt(4_000)
