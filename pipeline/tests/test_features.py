"""The kernel against definitions written down plainly, and its bits against its own."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.bursts import BURST_FEATURES, burst_features
from pipeline.errors import SettingsError
from pipeline.features import feature_names, grid, sensor_of_feature, telemetry_features
from pipeline.settings import FeatureSpec
from pipeline.tests.streams import RICH, SPEC


def plain(times_s: list[float], values: list[float]) -> list[float]:
    """Return mean, deviation and least-squares slope with exact sums.

    Times count from the first: three equal ones are then 0, and so is their spread; a third of
    their sum may be another number than each of them.
    """
    times_s = [time - times_s[0] for time in times_s]
    n = len(values)
    mean, middle = math.fsum(values) / n, math.fsum(times_s) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / n
    spread = math.fsum((time - middle) ** 2 for time in times_s)
    slope = math.fsum(
        (time - middle) * (value - mean) for time, value in zip(times_s, values, strict=True)
    )
    return [mean, math.sqrt(variance), slope / spread if spread else 0.0]


def random_readings(seed: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0, 300, 1_000, 30_000], n, p=[0.1, 0.3, 0.57, 0.03]))
    values = rng.normal(50, 1, (n, len(SPEC.sensors))) * [1, 1000]
    return times.astype(np.int64), values


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
@example(36666, 155)
def test_statistics_are_what_their_definitions_say(seed: int, n: int) -> None:
    times, values = random_readings(seed, n)
    at_ms = grid(times, 0, 2**43, SPEC)
    features, counts = telemetry_features(times, values, at_ms, SPEC)
    for row, at in enumerate(at_ms):
        inside = (times > at - SPEC.window_ms) & (times <= at)
        assert counts[row] == inside.sum()
        if not inside.any():
            assert np.isnan(features[row]).all()
            continue
        expected = [
            number
            for sensor in range(values.shape[1])
            for number in plain((times[inside] / 1000).tolist(), values[inside, sensor].tolist())
        ]
        assert np.allclose(features[row], expected, rtol=1e-9, atol=1e-7)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_a_window_by_itself_has_the_same_bits_as_among_many(seed: int, n: int) -> None:
    times, values = random_readings(seed, n)
    at_ms = grid(times, 0, 2**43, SPEC)
    features, _ = telemetry_features(times, values, at_ms, SPEC)
    for row in np.random.default_rng(seed).choice(len(at_ms), min(5, len(at_ms)), replace=False):
        inside = (times > at_ms[row] - SPEC.window_ms) & (times <= at_ms[row])
        alone, _ = telemetry_features(
            times[inside], np.asfortranarray(values[inside]), at_ms[row : row + 1], SPEC
        )
        assert alone.tobytes() == features[row].tobytes()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from([0.05, 0.5, 1.0]))
def test_a_sensor_without_a_value_counts_with_the_values_that_it_gave(
    seed: int, n: int, silent: float
) -> None:
    times, values = random_readings(seed, n)
    given_at = np.random.default_rng(seed).random(n) >= silent
    gappy = values.copy()
    gappy[~given_at, 1] = np.nan
    at_ms = grid(times, 0, 2**43, SPEC)
    features, counts = telemetry_features(times, gappy, at_ms, SPEC)
    whole, all_counts = telemetry_features(times, values, at_ms, SPEC)
    assert counts.tobytes() == all_counts.tobytes()
    assert features[:, :3].tobytes() == whole[:, :3].tobytes()
    alone, some = telemetry_features(times[given_at], values[given_at], at_ms, SPEC)
    assert features[some > 0, 3:].tobytes() == alone[some > 0, 3:].tobytes()
    assert np.isnan(features[some == 0, 3:]).all()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 50_000))
def test_the_grid_has_every_multiple_of_the_hop_whose_window_has_a_reading(
    seed: int, n: int, lower_ms: int
) -> None:
    times, _ = random_readings(seed, n)
    upper_ms = lower_ms + 200_000
    found = grid(times, lower_ms, upper_ms, SPEC)
    assert (np.diff(found) > 0).all()
    assert not (found % SPEC.hop_ms).any()
    possible = range(0, upper_ms, SPEC.hop_ms)
    expected = {
        at
        for at in possible
        if at >= lower_ms and ((times > at - SPEC.window_ms) & (times <= at)).any()
    }
    assert expected <= set(found.tolist())
    assert all(lower_ms <= at < upper_ms for at in found)


def test_a_stuck_sensor_has_a_deviation_of_exactly_zero() -> None:
    times = np.arange(20, dtype=np.int64) * 1000
    values = np.full((20, 2), 71.3)
    features, _ = telemetry_features(times, values, np.array([15_000]), SPEC)
    assert features[0].tolist() == [71.3, 0.0, 0.0] * 2


def test_one_reading_or_one_moment_has_no_slope() -> None:
    times = np.array([1_000, 1_000], np.int64)
    features, _ = telemetry_features(times, np.array([[1.0, 2], [3, 4]]), np.array([5_000]), SPEC)
    assert features[0].tolist() == [2.0, 1.0, 0.0, 3.0, 1.0, 0.0]


def test_absurd_values_give_no_warning_and_no_exception() -> None:
    times = np.arange(10, dtype=np.int64) * 1000
    values = np.tile([1e308, -1e308], 10).reshape(10, 2) * np.sign(np.arange(10) - 4.5)[:, None]
    features, _ = telemetry_features(times, values, np.array([9_000]), SPEC)
    assert len(features) == 1


def test_every_feature_has_a_name_of_its_own_and_a_sensor() -> None:
    names, sensors = feature_names(SPEC), sensor_of_feature(SPEC)
    assert len(set(names)) == len(names) == len(sensors)
    assert names[:3] == ("temperature_c_mean", "temperature_c_std", "temperature_c_slope")
    assert all(name.startswith(sensor) for name, sensor in zip(names, sensors, strict=True))
    without = FeatureSpec.parse('{"sensors":{"x":[0,1]},"bursts":false}')
    assert feature_names(without) == ("x_mean", "x_std", "x_slope")


def tone(frequency_hz: float, amplitude: float, seconds: float = 1.0) -> NDArray[np.int16]:
    time_s = np.arange(int(12_000 * seconds)) / 12_000
    return np.round(amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.int16)


def named(samples: NDArray[np.int16], scale: float = 0.01) -> dict[str, float]:
    values = burst_features(samples, 12_000, scale)
    return dict(zip(BURST_FEATURES, values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("frequency_hz", "band"), [(200, "10_1000"), (1_990, "1000_3000"), (3_990, "3000_6000")]
)
def test_the_power_of_a_tone_is_in_its_band(frequency_hz: float, band: str) -> None:
    found = named(tone(frequency_hz, 10_000))
    powers = {name: value for name, value in found.items() if "power" in name}
    strongest = max(powers, key=powers.__getitem__)
    assert strongest == f"vibration_burst_log_power_{band}_hz"
    # 100 m/s2 of amplitude have a mean square of 5,000.
    assert powers[strongest] == pytest.approx(math.log10(5_000), abs=1e-3)
    assert found["vibration_burst_rms_m_s2"] == pytest.approx(math.sqrt(5_000), rel=1e-3)
    assert found["vibration_burst_crest"] == pytest.approx(math.sqrt(2), rel=1e-2)
    assert found["vibration_burst_kurtosis"] == pytest.approx(1.5, rel=1e-2)


def test_repeated_impacts_show_in_the_envelope_and_the_kurtosis() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 300, 12_000)
    impacts = np.zeros(12_000)
    ring = np.exp(-np.arange(60) / 12) * np.sin(2 * np.pi * 3_500 * np.arange(60) / 12_000)
    for start in range(0, 11_900, 112):  # 107 impacts a second
        impacts[start : start + 60] += 3_000 * ring
    healthy = named(noise.astype(np.int16))
    worn = named((noise + impacts).astype(np.int16))
    assert worn["vibration_burst_envelope_peak"] > healthy["vibration_burst_envelope_peak"] + 0.5
    assert worn["vibration_burst_kurtosis"] > 4 > healthy["vibration_burst_kurtosis"]


def test_a_dead_accelerometer_has_finite_features() -> None:
    found = named(np.full(12_000, 7, np.int16))
    assert all(math.isfinite(value) for value in found.values())
    assert found["vibration_burst_rms_m_s2"] == 0


def test_bands_that_the_rate_cannot_show_are_nan() -> None:
    values = burst_features(tone(50, 1_000), 1_000, 0.01)
    assert np.isnan(values[[4, 5, 6]]).all()
    assert np.isfinite(values[:4]).all()


def test_the_bearings_frequency_stands_out_in_the_envelope_of_its_impacts() -> None:
    rate_hz, defect_hz, carrier_hz = 12_000, 107.0, 3_000.0
    t = np.arange(rate_hz) / rate_hz
    rng = np.random.default_rng(3)
    impacts = np.exp(-((t * defect_hz) % 1.0) * 12.0) * np.sin(2 * np.pi * carrier_hz * t)
    samples = np.round(800 * impacts + rng.normal(0, 60, len(t))).astype(np.int16)
    bearing = (("bpfo", defect_hz), ("bpfi", 171.0), ("beyond", 5_900.0))
    values = burst_features(samples, rate_hz, 0.01, bearing)
    assert (
        values[: len(BURST_FEATURES)].tobytes() == burst_features(samples, rate_hz, 0.01).tobytes()
    )
    bpfo, bpfi, beyond = values[-3:]
    assert bpfo > bpfi + 0.7
    assert math.isnan(beyond)


@pytest.mark.parametrize("hz", [20.0, 50.0, 400.0])
def test_velocity_is_the_integral_of_acceleration(hz: float) -> None:
    amplitude_m_s2, rate_hz = 5.0, 12_000
    t = np.arange(rate_hz) / rate_hz
    counts = amplitude_m_s2 * np.sin(2 * np.pi * hz * t) / 0.001
    values = burst_features(np.round(counts).astype(np.int16), rate_hz, 0.001, (("bpfo", 100.0),))
    expected_mm_s = 1000 * amplitude_m_s2 / (2 * np.pi * hz) / math.sqrt(2)
    assert values[len(BURST_FEATURES)] == pytest.approx(expected_mm_s, rel=1e-3)


def test_an_extended_spec_has_every_column_of_the_plain_one_and_reads_back() -> None:
    names = feature_names(RICH)
    assert set(feature_names(SPEC)) < set(names)
    assert len(set(names)) == len(names) == len(sensor_of_feature(RICH))
    assert {"temperature_c_ewma_33_5s", "gap_count", "temperature_c_per_pressure_bar"} < set(names)
    assert FeatureSpec.parse(RICH.to_json()) == RICH
    assert SPEC.extended("{}") == SPEC


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ('{"long_windows_s": [20]}', "must be longer than window_s"),
        ('{"long_windows_s": [60, 60.0]}', "a window is there twice"),
        ('{"statistics": ["median"]}', "'median' is not one of"),
        ('{"ratios": [["temperature_c", "speed"]]}', "no sensor 'speed'"),
        ('{"ratios": [["temperature_c"]]}', "is not"),
        ('{"bearing_hz": {"bpfo": 0}}', "bpfo: must be a frequency above 0"),
        ('{"window_s": 5}', "'window_s' is not one of"),
        ("[]", "must be a JSON object"),
    ],
)
def test_wrong_extra_features_are_named(extra: str, named: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(named)):
        SPEC.extended(extra)
