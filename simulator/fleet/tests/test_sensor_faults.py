"""Sensor faults: each does what it says, within its label, the same in any block length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.fleet import catalogue
from simulator.fleet.sensor_faults import (
    DROPOUT_TAU_S,
    GAIN_AT_FULL_SEVERITY,
    LAG_AT_FULL_SEVERITY_S,
    NOISE_AT_FULL_SEVERITY,
    SENSOR_FAULTS,
    SPIKE_CHANCE,
)
from simulator.fleet.sensors import Sensor, SensorModel
from simulator.fleet.settings import FaultPlan
from simulator.fleet.streams import FloatArray

DEVICE = "pump-001"
NAME = "pressure_bar"
MODEL = SensorModel(NAME, -1.0, 40.0, 2, 0.02, 0.015, 0.05, 1.5)
OTHER = SensorModel("current_a", 0.0, 200.0, 2, 0.10, 0.06, 0.2, 7.0)
PURE = SensorModel(NAME, -1e6, 1e6, 9, 0.0, 0.0, 0.0, 1.5)
"""No noise and hardly a step: only the faults change what is shown."""

NOISY = SensorModel(NAME, -1e6, 1e6, 9, 0.02, 0.0, 0.0, 1.5)
"""Some white noise, for the fault that multiplies it."""

LIVE_S = 50.0
COUNT = 600
T = 0.25 + np.arange(float(COUNT))
TRUTH = 5.0 + np.sin(T / 40.0) + 0.3 * np.sin(T / 7.0)

kinds = st.sampled_from(tuple(SENSOR_FAULTS))
some = st.floats(0.01, 1.0)
seeds = st.integers(0, 2**32)
many_plans = st.lists(
    st.builds(
        FaultPlan,
        device=st.just(DEVICE),
        kind=kinds,
        onset_s=st.floats(-LIVE_S, COUNT),
        duration_s=st.floats(0.01, COUNT),
        severity=st.floats(0.0, 1.0),
        sensor=st.just(NAME),
    ),
    max_size=4,
)


def fault(
    kind: str, severity: float, onset_s: float = 100.0, duration_s: float = 300.0, name: str = NAME
) -> FaultPlan:
    return FaultPlan(DEVICE, kind, onset_s, duration_s, severity, name)


def read(
    plans: Iterable[FaultPlan] = (),
    truth: FloatArray = TRUTH,
    *,
    model: SensorModel = MODEL,
    seed: int = 1,
    cuts: Iterable[int] = (),
    step_s: float = 1.0,
) -> FloatArray:
    """Return what the sensor shows, made in blocks that end at ``cuts``."""
    one = Sensor(model, DEVICE, seed, step_s=step_s, live_start_s=LIVE_S, plans=tuple(plans))
    t = step_s * (0.25 + np.arange(float(len(truth))))
    edges = [0, *sorted(cuts), len(truth)]
    return np.concatenate([one.read(t[a:b], truth[a:b]) for a, b in pairwise(edges)])


def within(plans: Iterable[FaultPlan], t: FloatArray = T) -> np.ndarray:
    inside = np.zeros(len(t), dtype=bool)
    for plan in plans:
        onset_s = LIVE_S + plan.onset_s
        inside |= (t >= onset_s) & (t < onset_s + plan.duration_s)
    return inside


def faulty(kind: str, severity: float, truth: FloatArray, *, seed: int = 1) -> FloatArray:
    """Return what a pure sensor shows that has the fault throughout."""
    plan = fault(kind, severity, -LIVE_S, float(len(truth)) + 1.0)
    return read([plan], truth, model=PURE, seed=seed)


def lengths_of_runs(flags: np.ndarray) -> FloatArray:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return np.asarray(edges[1::2] - edges[::2], np.float64)


def test_the_faults_are_those_of_the_catalogue_that_concern_one_sensor() -> None:
    assert set(SENSOR_FAULTS) == set(catalogue.SENSOR_FAULTS) - set(catalogue.DEVICE_FAULTS)


@settings(max_examples=80, deadline=None)
@given(
    plans=many_plans,
    seed=seeds,
    cuts=st.lists(st.integers(1, COUNT - 1), max_size=8, unique=True),
)
def test_any_combination_is_the_same_in_blocks_of_any_length(
    plans: list[FaultPlan], seed: int, cuts: list[int]
) -> None:
    assert read(plans, seed=seed).tobytes() == read(plans, seed=seed, cuts=cuts).tobytes()


def test_every_fault_is_the_same_sample_by_sample() -> None:
    for kind in SENSOR_FAULTS:
        plans = [fault("dropout", 0.4, 90.0), fault(kind, 0.7)]
        assert read(plans).tobytes() == read(plans, cuts=range(1, COUNT)).tobytes(), kind


@settings(max_examples=60, deadline=None)
@given(plans=many_plans, seed=seeds)
def test_any_combination_changes_nothing_outside_the_labels(
    plans: list[FaultPlan], seed: int
) -> None:
    outside = ~within(plan for plan in plans if plan.severity > 0.0)
    assert read(plans, seed=seed)[outside].tobytes() == read(seed=seed)[outside].tobytes()


@settings(max_examples=60, deadline=None)
@given(plans=many_plans, seed=seeds, scale=st.floats(-50.0, 50.0))
def test_what_is_shown_lies_within_the_limits_or_is_missing(
    plans: list[FaultPlan], seed: int, scale: float
) -> None:
    shown = read(plans, scale * TRUTH, seed=seed)
    there = shown[~np.isnan(shown)]
    assert ((there >= MODEL.lowest) & (there <= MODEL.highest)).all()
    np.testing.assert_array_equal(there, np.round(there, MODEL.resolution_decimals))
    if not any(plan.kind == "dropout" for plan in plans):
        assert there.size == shown.size


@settings(max_examples=40, deadline=None)
@given(kind=kinds, onset_s=st.floats(-LIVE_S, 500.0), seed=seeds)
def test_a_fault_of_zero_severity_changes_no_bit(kind: str, onset_s: float, seed: int) -> None:
    plans = [fault(kind, 0.0, onset_s)]
    assert read(plans, seed=seed).tobytes() == read(seed=seed).tobytes()
    # Not those of another fault of the same sensor either.
    spikes = fault("spike", 0.5)
    assert read([spikes, *plans], seed=seed).tobytes() == read([spikes], seed=seed).tobytes()


@settings(max_examples=40, deadline=None)
@given(kind=kinds, severity=some, seed=seeds)
def test_a_fault_leaves_the_other_sensors_alone(kind: str, severity: float, seed: int) -> None:
    plans = [fault(kind, severity)]
    assert read(plans, model=OTHER, seed=seed).tobytes() == read(model=OTHER, seed=seed).tobytes()


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_severe_fault_shows_in_its_label_and_is_the_same_again(kind: str) -> None:
    plans = [fault(kind, 1.0)]
    shown = read(plans)
    least = SPIKE_CHANCE / 3.0 if kind == "spike" else 0.7
    assert (shown != read())[within(plans)].mean() > least
    assert shown.tobytes() == read(plans).tobytes()


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_higher_severity_deviates_more(kind: str) -> None:
    def error(severity: float) -> float:
        # What is missing counts as far away.
        shown = np.nan_to_num(read([fault(kind, severity)], model=NOISY), nan=100.0)
        return float(np.abs(shown - read(model=NOISY)).sum())

    sizes = [error(severity) for severity in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[2] > 0.0


@settings(max_examples=20, deadline=None)
@given(severity=some)
def test_a_drift_grows_in_a_straight_line_up_to_the_span_times_the_severity(
    severity: float,
) -> None:
    plans = [fault("bias_drift", severity)]
    error = (read(plans, model=PURE) - TRUTH)[within(plans)]
    share = (T[within(plans)] - LIVE_S - 100.0) / 300.0
    np.testing.assert_allclose(error, PURE.span * severity * share, atol=1e-8)


def test_a_stuck_sensor_shows_its_value_at_the_onset_and_a_half_stuck_one_half_the_change() -> None:
    inside = within([fault("stuck_at", 1.0)])
    at_onset = TRUTH[inside][0]
    stuck = read([fault("stuck_at", 1.0)], model=PURE)[inside]
    np.testing.assert_allclose(stuck, at_onset, atol=1e-8)
    half = read([fault("stuck_at", 0.5)], model=PURE)[inside]
    np.testing.assert_allclose(half - at_onset, 0.5 * (TRUTH[inside] - at_onset), atol=1e-8)
    assert np.unique(read([fault("stuck_at", 1.0)])[inside]).size == 1


@settings(max_examples=20, deadline=None)
@given(severity=some)
def test_a_wrong_gain_is_an_error_in_proportion_to_the_value(severity: float) -> None:
    shown = faulty("gain", severity, TRUTH)
    np.testing.assert_allclose(shown / TRUTH, 1.0 + GAIN_AT_FULL_SEVERITY * severity, rtol=1e-7)


def test_spikes_are_a_poisson_process_to_both_sides_and_as_high_as_the_severity_says() -> None:
    count = 40_000
    error = faulty("spike", 0.4, np.zeros(count))
    hit = np.flatnonzero(error)
    assert hit.size / count == pytest.approx(SPIKE_CHANCE, rel=0.08)
    np.testing.assert_allclose(np.abs(error[hit]), 0.4 * PURE.span, atol=1e-8)
    assert (error[hit] > 0.0).mean() == pytest.approx(0.5, abs=0.04)
    # Gaps are geometric and counts as variable as their mean: spikes know nothing of each other.
    gaps = np.diff(hit)
    assert gaps.std() == pytest.approx(math.sqrt(1.0 - SPIKE_CHANCE) / SPIKE_CHANCE, rel=0.1)
    counts = np.count_nonzero(error.reshape(-1, 100), axis=1)
    assert counts.var() / counts.mean() == pytest.approx(1.0 - SPIKE_CHANCE, rel=0.2)


def test_a_higher_severity_has_the_same_spikes_but_higher_ones() -> None:
    low, high = (faulty("spike", severity, np.zeros(500)) for severity in (0.2, 0.9))
    np.testing.assert_allclose(high, 4.5 * low, atol=1e-7)


@pytest.mark.parametrize("severity", [0.1, 0.5, 1.0])
def test_more_noise_raises_the_deviation_by_the_factor_documented(severity: float) -> None:
    truth = np.zeros(40_000)
    plan = fault("noise_increase", severity, -LIVE_S, 1e6)
    healthy, noisy = read([], truth, model=NOISY), read([plan], truth, model=NOISY)
    factor = math.sqrt(1.0 + (NOISE_AT_FULL_SEVERITY * severity) ** 2)
    assert noisy.std() / healthy.std() == pytest.approx(factor, rel=0.03)
    added = noisy - healthy
    assert added.std() == pytest.approx(NOISE_AT_FULL_SEVERITY * severity * 0.02, rel=0.03)
    assert abs(np.corrcoef(added, healthy)[0, 1]) < 0.02
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("severity", [0.1, 0.5, 0.9])
def test_a_dropout_leaves_out_the_share_that_the_severity_says_in_runs(severity: float) -> None:
    silent = np.isnan(faulty("dropout", severity, np.zeros(60_000)))
    assert silent.mean() == pytest.approx(severity, abs=0.04)
    # Without memory a run would be 1 / (1 - share) samples long.
    assert lengths_of_runs(silent).mean() > 2.0 / (1.0 - severity)
    if severity == 0.5:
        expected = math.pi / math.acos(math.exp(-1.0 / DROPOUT_TAU_S))
        assert lengths_of_runs(silent).mean() == pytest.approx(expected, rel=0.1)


def test_a_full_dropout_leaves_nothing_and_a_higher_one_all_gaps_of_a_lower_one() -> None:
    gaps = [np.isnan(faulty("dropout", s, np.zeros(3_000))) for s in (0.1, 0.4, 0.7, 1.0)]
    assert gaps[-1].all()
    for less, more in pairwise(gaps):
        assert more[less].all()


def test_a_dropout_of_short_intervals_has_its_share_from_the_first_sample_on() -> None:
    first = [np.isnan(faulty("dropout", 0.3, np.zeros(1), seed=i)[0]) for i in range(600)]
    assert np.mean(first) == pytest.approx(0.3, abs=0.06)


@settings(max_examples=20, deadline=None)
@given(severity=some)
def test_a_saturated_sensor_shows_the_value_between_limits_around_that_at_the_onset(
    severity: float,
) -> None:
    truth = 5.0 + 4.0 * np.sin(T / 40.0)
    room = PURE.span * (1.0 / severity - 1.0)
    expected = np.clip(truth, truth[0] - room, truth[0] + room)
    np.testing.assert_allclose(faulty("saturation", severity, truth), expected, atol=1e-8)


def test_limits_of_a_slight_saturation_are_out_of_reach() -> None:
    np.testing.assert_array_equal(faulty("saturation", 5e-324, TRUTH), read([], TRUTH, model=PURE))


@settings(max_examples=20, deadline=None)
@given(severity=some, step_s=st.sampled_from([0.1, 1.0, 10.0]))
def test_a_lag_answers_a_step_as_a_first_order_system_does(severity: float, step_s: float) -> None:
    truth = np.r_[np.zeros(10), np.ones(500)]
    plan = fault("lag", severity, -LIVE_S, 1e6)
    shown = read([plan], truth, model=PURE, step_s=step_s)
    since_s = step_s * np.arange(1, 501)
    tau_s = severity * LAG_AT_FULL_SEVERITY_S
    np.testing.assert_allclose(shown[:10], 0.0, atol=1e-8)
    np.testing.assert_allclose(shown[10:], 1.0 - np.exp(-since_s / tau_s), atol=1e-8)


def test_a_lag_begins_at_the_value_at_the_onset() -> None:
    plans = [fault("lag", 1.0)]
    inside = within(plans)
    assert read(plans, model=PURE)[inside][0] == pytest.approx(TRUTH[inside][0], abs=1e-8)


def test_no_fault_brings_back_what_a_dropout_has_taken() -> None:
    dropout = fault("dropout", 0.5, 100.0)
    gaps = np.isnan(read([dropout]))
    for kind in SENSOR_FAULTS:
        later = read([dropout, fault(kind, 0.9, 120.0)])
        assert np.isnan(later)[gaps].all(), kind
        if kind != "dropout":
            assert not np.isnan(later)[~gaps].any(), kind


def test_faults_act_in_the_order_of_their_onsets_however_they_are_listed() -> None:
    gain, drift = fault("gain", 1.0, 100.0), fault("bias_drift", 1.0, 50.0, 400.0)
    both = within([gain])
    share = (T[both] - LIVE_S - 50.0) / 400.0
    expected = (TRUTH[both] + PURE.span * share) * (1.0 + GAIN_AT_FULL_SEVERITY)
    for plans in ([gain, drift], [drift, gain]):
        np.testing.assert_allclose(read(plans, model=PURE)[both], expected, atol=1e-8)


def test_two_faults_of_a_kind_have_their_own_courses() -> None:
    shown = read([fault("spike", 0.5, 0.0, 250.0), fault("spike", 0.5, 250.0, 250.0)], model=PURE)
    error = shown - TRUTH
    assert not np.array_equal(np.abs(error[50:300]) > 0.1, np.abs(error[300:550]) > 0.1)


def test_a_fault_that_no_sensor_has_is_refused() -> None:
    for kind in ("imbalance", "frozen_timestamp"):
        with pytest.raises(ScenarioError, match=kind):
            read([fault(kind, 0.5)])
