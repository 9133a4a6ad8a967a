"""Healthy sensors: noise of the deviations asked for, on the converter's steps, in its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.sensors import Sensor, SensorModel
from simulator.fleet.settings import FaultPlan
from simulator.fleet.streams import FloatArray, Wander, stream

DEVICE = "pump-001"
TEMPERATURE = SensorModel("temperature_c", -40.0, 200.0, 1, 0.10, 0.06, 0.8, 12.0)
PRESSURE = SensorModel("pressure_bar", -1.0, 40.0, 2, 0.02, 0.015, 0.05, 1.5)
SPEED = SensorModel("speed_rpm", 0.0, 40_000.0, 0, 2.0, 1.0, 3.0, 400.0)
MODELS = (TEMPERATURE, PRESSURE, SPEED)

models = st.sampled_from(MODELS)
seeds = st.integers(0, 2**32)


def sensor(
    model: SensorModel, *plans: FaultPlan, seed: int = 1, device: str = DEVICE, step_s: float = 1.0
) -> Sensor:
    return Sensor(model, device, seed, step_s=step_s, live_start_s=0.0, plans=plans)


def ideal(decimals: int = 9, white: float = 0.0, slow: float = 0.0, bias: float = 0.0) -> Sensor:
    return sensor(SensorModel("flow_m3_h", -1e4, 1e4, decimals, white, slow, bias, 1.0))


def times(count: int) -> FloatArray:
    return 0.25 + np.arange(float(count))


@settings(max_examples=40, deadline=None)
@given(model=models, seed=seeds, cuts=st.lists(st.integers(1, 399), max_size=6, unique=True))
def test_a_sensor_shows_the_same_whatever_the_block_length(
    model: SensorModel, seed: int, cuts: list[int]
) -> None:
    t, truth = times(400), np.linspace(5.0, 30.0, 400)
    parts = sensor(model, seed=seed)
    pairs = zip(np.split(t, sorted(cuts)), np.split(truth, sorted(cuts)), strict=True)
    cut = np.concatenate([parts.read(*pair) for pair in pairs])
    assert sensor(model, seed=seed).read(t, truth).tobytes() == cut.tobytes()


@settings(max_examples=60, deadline=None)
@given(
    model=models,
    seed=seeds,
    truth=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
)
def test_what_is_shown_lies_within_the_limits_and_is_short_when_written(
    model: SensorModel, seed: int, truth: list[float]
) -> None:
    before = np.array(truth)
    given_truth = before.copy()
    shown = sensor(model, seed=seed).read(times(len(truth)), given_truth)
    assert shown.min() >= model.lowest
    assert shown.max() <= model.highest
    np.testing.assert_array_equal(given_truth, before)
    for value in shown.tolist():
        # The text that JSON gets has no digit behind the converter's last one, and no "-0.0".
        whole, _, decimals = repr(value).partition(".")
        assert len(decimals) <= max(1, model.resolution_decimals)
        assert (whole, float(value)) != ("-0", 0.0)
        assert value == round(value, model.resolution_decimals)


@settings(max_examples=30, deadline=None)
@given(model=models, seed=seeds)
def test_a_reading_is_truth_and_bias_and_slow_and_white_noise_rounded(
    model: SensorModel, seed: int
) -> None:
    names = (seed, DEVICE, model.name)
    truth = np.full(300, 12.0)
    white = model.white_sigma * stream(*names, "white").standard_normal(300)
    slow = Wander(stream(*names, "slow"), model.slow_sigma, model.slow_tau_s, 1.0).take(300)
    bias = model.bias_sigma * stream(*names, "unit").standard_normal()
    expected = np.clip(truth + bias + slow + white, model.lowest, model.highest)
    shown = sensor(model, seed=seed).read(times(300), truth)
    np.testing.assert_allclose(shown, expected, atol=0.5001 * model.resolution)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_rounding_adds_noise_of_the_step_over_the_root_of_12(decimals: int) -> None:
    truth = np.random.default_rng(1).uniform(10.0, 90.0, 50_000)
    error = ideal(decimals).read(times(len(truth)), truth) - truth
    step = 10.0**-decimals
    assert np.abs(error).max() <= 0.5001 * step
    assert error.std() == pytest.approx(step / math.sqrt(12.0), rel=0.02)
    assert abs(error.mean()) < 0.01 * step


def test_white_noise_has_its_deviation_and_no_memory() -> None:
    noise = ideal(white=0.3).read(times(40_000), np.zeros(40_000))
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("step_s", [0.1, 1.0])
def test_slow_noise_has_its_deviation_and_its_time_constant(step_s: float) -> None:
    model = SensorModel("flow_m3_h", -1e4, 1e4, 9, 0.0, 0.3, 0.0, 1.0, slow_tau_s=5.0)
    count = round(200_000.0 / step_s**0.5)
    noise = sensor(model, step_s=step_s).read(step_s * np.arange(count), np.zeros(count))
    lag = round(5.0 / step_s)
    assert noise.std() == pytest.approx(0.3, rel=0.04)
    assert np.corrcoef(noise[lag:], noise[:-lag])[0, 1] == pytest.approx(math.exp(-1.0), abs=0.04)


def test_slow_noise_needs_no_settling() -> None:
    model = SensorModel("flow_m3_h", -1e4, 1e4, 9, 0.0, 0.3, 0.0, 1.0)
    one = [sensor(model, seed=seed).read(times(1), np.zeros(1))[0] for seed in range(1_000)]
    assert np.std(one) == pytest.approx(0.3, rel=0.08)


def test_the_bias_belongs_to_the_unit_and_has_its_deviation() -> None:
    model = SensorModel("flow_m3_h", -1e4, 1e4, 9, 0.0, 0.0, 0.5, 1.0)
    shown = [
        sensor(model, device=f"pump-{i:04d}").read(times(3), np.zeros(3)) for i in range(1_000)
    ]
    assert all(len(set(unit.tolist())) == 1 for unit in shown)
    assert np.std([unit[0] for unit in shown]) == pytest.approx(0.5, rel=0.08)


def test_two_seeds_two_devices_and_two_channels_differ() -> None:
    other = SensorModel("flow_m3_h", *(-40.0, 200.0, 1, 0.10, 0.06, 0.8, 12.0))
    t, truth = times(200), np.full(200, 50.0)
    shown = [
        one.read(t, truth).tobytes()
        for one in (
            sensor(TEMPERATURE),
            sensor(TEMPERATURE, seed=2),
            sensor(TEMPERATURE, device="pump-002"),
            sensor(other),
        )
    ]
    assert len(set(shown)) == 4


def test_the_resolution_is_the_step_of_the_converter() -> None:
    assert [model.resolution for model in MODELS] == [0.1, 0.01, 1.0]


def test_an_empty_block_has_no_values() -> None:
    plan = FaultPlan(DEVICE, "gain", 0.0, 100.0, 0.5, "temperature_c")
    assert sensor(TEMPERATURE, plan).read(times(0), np.empty(0)).size == 0
