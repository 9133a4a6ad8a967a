"""Severity: within its bounds, within its interval, and of the course that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.settings import FaultPlan
from simulator.fleet.severity import Growth, interval_s, severity_at

shares = st.floats(0.0, 1.0)
ramps = st.just(0.0) | st.floats(0.001, 1.0)
growths = st.builds(Growth, start=shares, rise=ramps, fall=ramps)


@settings(max_examples=80, deadline=None)
@given(growth=growths, at=st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=30))
def test_the_course_stays_between_0_and_1_and_is_0_outside_the_interval(
    growth: Growth, at: list[float]
) -> None:
    share = np.array(at)
    level = growth.at(share)
    assert level.min() >= 0.0
    assert level.max() <= 1.0
    assert not level[(share < 0.0) | (share >= 1.0)].any()


@settings(max_examples=40, deadline=None)
@given(start=shares, rise=ramps)
def test_a_course_without_fall_never_falls_within_the_interval(start: float, rise: float) -> None:
    level = Growth(start, rise).at(np.linspace(0.0, 1.0, 200, endpoint=False))
    assert (np.diff(level) >= 0.0).all()


@settings(max_examples=80, deadline=None)
@given(
    growth=growths,
    severity=shares,
    live_start_s=st.floats(0.0, 1e6),
    onset_s=st.floats(-1e5, 1e6),
    duration_s=st.just(0.0) | st.floats(0.001, 1e5),
)
def test_the_severity_is_at_most_the_planned_one_and_0_outside_the_label(
    growth: Growth, severity: float, live_start_s: float, onset_s: float, duration_s: float
) -> None:
    plan = FaultPlan("pump-001", "imbalance", onset_s, duration_s, severity)
    start_s, end_s = interval_s(plan, live_start_s)
    around = [np.nextafter(edge, side) for edge in (start_s, end_s) for side in (-np.inf, np.inf)]
    t = np.sort(np.array([*around, start_s, end_s, *np.linspace(start_s - 10.0, end_s + 10.0)]))
    level = severity_at(plan, growth, live_start_s, t)
    assert level.shape == t.shape
    assert not level[(t < start_s) | (t >= end_s)].any()
    assert level.min() >= 0.0
    assert level.max() <= severity


def test_onsets_count_from_the_start_of_the_live_part_and_may_lie_before_it() -> None:
    plan = FaultPlan("pump-001", "imbalance", -100.0, 50.0, 0.4)
    level = severity_at(plan, Growth(), 1_000.0, np.array([899.0, 900.0, 949.0, 950.0]))
    assert level.tolist() == [0.0, 0.4, 0.4, 0.0]


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (Growth(), [1.0, 1.0, 1.0, 1.0]),
        (Growth(start=0.0, rise=1.0), [0.0, 0.25, 0.5, 0.75]),
        (Growth(start=0.5, rise=0.5), [0.5, 0.75, 1.0, 1.0]),
        (Growth(fall=0.5), [1.0, 1.0, 1.0, 0.5]),
    ],
)
def test_courses_rise_hold_and_fall_in_straight_lines(
    growth: Growth, expected: list[float]
) -> None:
    np.testing.assert_allclose(growth.at(np.array([0.0, 0.25, 0.5, 0.75])), expected)
