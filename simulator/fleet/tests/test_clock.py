"""Devices' clocks: offset, drift, steps of NTP, and clocks that stand still."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.clock import DeviceClock
from simulator.fleet.settings import ClockSettings, FaultPlan
from simulator.fleet.streams import FloatArray

T = 0.25 + np.arange(3_000.0)
LIVE_S = 1_000.0
HOURLY = ClockSettings(offset_sigma_s=0.05, drift_ppm_sigma=50.0, sync_period_s=600.0)

errors = st.builds(
    ClockSettings,
    offset_sigma_s=st.sampled_from([0.0, 0.02, 5.0]),
    drift_ppm_sigma=st.sampled_from([0.0, 30.0, 500.0]),
    sync_period_s=st.sampled_from([0.0, 64.0, 1_024.0]),
)
freezes = st.lists(
    st.builds(
        FaultPlan,
        device=st.just("pump-001"),
        kind=st.just("frozen_timestamp"),
        onset_s=st.floats(-900.0, 1_500.0),
        duration_s=st.floats(1.0, 600.0),
        severity=st.floats(0.01, 1.0),
    ),
    max_size=3,
)


def clock(
    settings: ClockSettings, *plans: FaultPlan, seed: int = 1, device: str = "pump-001"
) -> DeviceClock:
    return DeviceClock(seed, device, settings, live_start_s=LIVE_S, plans=plans)


def freeze(onset_s: float, duration_s: float, severity: float = 1.0) -> FaultPlan:
    return FaultPlan("pump-001", "frozen_timestamp", onset_s, duration_s, severity)


def labelled(plans: list[FaultPlan]) -> np.ndarray:
    inside = np.zeros(len(T), dtype=bool)
    for plan in plans:
        onset_s = LIVE_S + plan.onset_s
        inside |= (onset_s <= T) & (onset_s + plan.duration_s > T)
    return inside


@settings(max_examples=40, deadline=None)
@given(
    world=errors,
    plans=freezes,
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, len(T) - 1), max_size=5, unique=True),
)
def test_a_clock_shows_the_same_whatever_the_block_length(
    world: ClockSettings, plans: list[FaultPlan], seed: int, cuts: list[int]
) -> None:
    once = clock(world, *plans, seed=seed).stamp(T)
    parts = clock(world, *plans, seed=seed)
    cut = np.concatenate([parts.stamp(part) for part in np.split(T, sorted(cuts))])
    np.testing.assert_array_equal(once, cut)


@settings(max_examples=40, deadline=None)
@given(world=errors, plans=freezes)
def test_a_frozen_clock_differs_within_its_label_only(
    world: ClockSettings, plans: list[FaultPlan]
) -> None:
    healthy, faulty = clock(world).stamp(T), clock(world, *plans).stamp(T)
    inside = labelled(plans)
    np.testing.assert_array_equal(faulty[~inside], healthy[~inside])
    # The onset itself may fall on a sample, which then has the right time.
    assert (faulty[inside] != healthy[inside]).sum() >= inside.sum() - len(plans)


@settings(max_examples=40, deadline=None)
@given(world=errors, plans=freezes, seed=st.integers(0, 2**32))
def test_time_never_goes_back_between_two_steps(
    world: ClockSettings, plans: list[FaultPlan], seed: int
) -> None:
    shown = clock(world, *plans, seed=seed).stamp(T)
    back = np.diff(shown) < 0.0
    steps = (T[-1] / world.sync_period_s + 1.0) if world.sync_period_s else 0.0
    assert back.sum() <= steps


@settings(max_examples=30, deadline=None)
@given(world=errors, onset_s=st.floats(-900.0, 900.0), severity=st.floats(0.001, 1.0))
def test_a_frozen_clock_stays_at_what_it_showed_at_the_onset(
    world: ClockSettings, onset_s: float, severity: float
) -> None:
    plan = freeze(onset_s, 300.0, severity)
    shown = clock(world, plan).stamp(T)[labelled([plan])]
    assert np.unique(shown).tolist() == clock(world).stamp(np.array([LIVE_S + onset_s])).tolist()


def test_a_freeze_within_another_changes_nothing() -> None:
    outer, inner = freeze(100.0, 500.0), freeze(200.0, 100.0)
    np.testing.assert_array_equal(
        clock(HOURLY, outer, inner).stamp(T), clock(HOURLY, outer).stamp(T)
    )


def test_a_freeze_of_zero_severity_or_of_another_device_changes_no_bit() -> None:
    other = FaultPlan("pump-002", "frozen_timestamp", 0.0, 500.0, 1.0)
    shown = clock(HOURLY, freeze(0.0, 500.0, 0.0), other).stamp(T)
    np.testing.assert_array_equal(shown, clock(HOURLY).stamp(T))


def test_a_clock_without_error_shows_the_time() -> None:
    np.testing.assert_array_equal(clock(ClockSettings()).stamp(T), T)
    assert clock(ClockSettings(), freeze(0.0, 500.0)).stamp(np.empty(0)).size == 0


def error_s(settings: ClockSettings, device: str, t: FloatArray) -> FloatArray:
    return clock(settings, device=device).stamp(t) - t


def test_offsets_and_drifts_of_a_fleet_have_the_deviations_asked_for() -> None:
    world = ClockSettings(offset_sigma_s=0.2, drift_ppm_sigma=40.0)
    ends = np.array([0.0, 86_400.0])
    found = np.array([error_s(world, f"pump-{i:03d}", ends) for i in range(1_500)])
    offsets_s, drifts_ppm = found[:, 0], 1e6 * (found[:, 1] - found[:, 0]) / 86_400.0
    assert abs(offsets_s.mean()) < 0.02
    assert offsets_s.std() == pytest.approx(0.2, rel=0.08)
    assert abs(drifts_ppm.mean()) < 4.0
    assert drifts_ppm.std() == pytest.approx(40.0, rel=0.08)
    assert abs(np.corrcoef(offsets_s, drifts_ppm)[0, 1]) < 0.1


def test_each_step_of_ntp_takes_the_error_back_to_the_offset() -> None:
    settings = ClockSettings(offset_sigma_s=0.1, drift_ppm_sigma=400.0, sync_period_s=600.0)
    offset_s = error_s(ClockSettings(offset_sigma_s=0.1), "pump-001", T)[0]
    drift = error_s(ClockSettings(drift_ppm_sigma=400.0), "pump-001", np.array([0.0, 1e6]))[1] / 1e6
    error = error_s(settings, "pump-001", T)
    steps = np.flatnonzero(np.abs(np.diff(error)) > 100.0 * abs(drift)) + 1
    assert np.diff(steps).tolist() == [600] * (len(steps) - 1)
    assert len(steps) == 5
    np.testing.assert_allclose(error[steps], offset_s, atol=1.01 * abs(drift))
    assert np.abs(error - offset_s).max() <= 600.0 * abs(drift)


def test_devices_are_not_set_at_the_same_moment() -> None:
    first = {int(np.argmax(np.abs(np.diff(error_s(HOURLY, f"pump-{i}", T))))) for i in range(6)}
    assert len(first) > 3
