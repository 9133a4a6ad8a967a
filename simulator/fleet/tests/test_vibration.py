"""Bursts: their spectra show what they were made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, hilbert, sosfiltfilt
from scipy.stats import kurtosis

from simulator.fleet.streams import FloatArray, stream
from simulator.fleet.vibration import BEARING_6205, SCALE_M_S2, VANES, VibrationState, burst

RATE_HZ = 12_000
SHAFT_HZ = st.floats(30.0, 50.0)


def state(shaft_hz: float = 45.0, **faults: float) -> VibrationState:
    return VibrationState(shaft_hz, 0.9, 0.3, 0.5, 1.3, **faults)


def make(what: VibrationState, seed: int = 1, length_s: float = 2.0) -> FloatArray:
    rng = stream(seed, "test")
    return burst(what, RATE_HZ, length_s, rng).astype(np.float64) * SCALE_M_S2


def peak_hz(signal: FloatArray, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft((signal - signal.mean()) * np.hanning(len(signal))))
    frequency = np.fft.rfftfreq(len(signal), 1.0 / RATE_HZ)
    band = (frequency >= low) & (frequency <= high)
    return float(frequency[band][np.argmax(spectrum[band])])


def envelope(signal: FloatArray, low: float = 2_700.0, high: float = 3_700.0) -> FloatArray:
    band = butter(4, (low, high), "bandpass", fs=RATE_HZ, output="sos")
    return np.asarray(np.abs(hilbert(sosfiltfilt(band, signal))) ** 2)


@settings(max_examples=30, deadline=None)
@given(shaft_hz=SHAFT_HZ, height=st.floats(4.0, 16.0), seed=st.integers(0, 2**32))
def test_the_envelope_of_a_worn_bearing_shows_the_outer_race_frequency(
    shaft_hz: float, height: float, seed: int
) -> None:
    worn = make(state(shaft_hz, impact_m_s2=height), seed)
    bpfo = BEARING_6205.outer_race_hz(shaft_hz)
    assert peak_hz(envelope(worn), 20.0, 1.4 * bpfo) == pytest.approx(bpfo, rel=0.012)


def test_the_geometry_gives_the_tabulated_frequency() -> None:
    assert BEARING_6205.outer_race_hz(1.0) == pytest.approx(3.5848, rel=2e-4)


@settings(max_examples=20, deadline=None)
@given(shaft_hz=SHAFT_HZ, seed=st.integers(0, 2**32))
def test_the_shaft_shows_once_per_turn_with_the_velocity_it_was_given(
    shaft_hz: float, seed: int
) -> None:
    healthy = make(state(shaft_hz), seed)
    assert peak_hz(healthy, 0.7 * shaft_hz, 1.3 * shaft_hz) == pytest.approx(shaft_hz, abs=0.6)
    turns = np.exp(-2j * np.pi * shaft_hz * np.arange(len(healthy)) / RATE_HZ)
    rms = abs(np.mean(healthy * turns)) * np.sqrt(2.0)
    velocity_mm_s = rms / (2.0 * np.pi * shaft_hz) * 1000.0
    assert velocity_mm_s == pytest.approx(0.9, abs=0.12)


@settings(max_examples=15, deadline=None)
@given(shaft_hz=SHAFT_HZ, seed=st.integers(0, 2**32))
def test_cavitation_is_high_band_noise_modulated_at_vane_pass(shaft_hz: float, seed: int) -> None:
    quiet = make(state(shaft_hz), seed)
    cavitating = make(state(shaft_hz, cavitation_m_s2=3.0), seed)

    def high_share(signal: FloatArray) -> float:
        power = np.abs(np.fft.rfft(signal)) ** 2
        return float(power[len(power) // 2 :].sum() / power.sum())

    assert high_share(cavitating) > high_share(quiet) + 0.2
    vane_hz = VANES * shaft_hz
    modulation = envelope(cavitating, 3_500.0, 5_500.0)
    assert peak_hz(modulation, 50.0, 1.5 * vane_hz) == pytest.approx(vane_hz, abs=1.0)


def test_impacts_raise_kurtosis_from_that_of_noise() -> None:
    assert kurtosis(make(state()), fisher=False) == pytest.approx(3.0, abs=0.3)
    assert kurtosis(make(state(impact_m_s2=12.0)), fisher=False) > 3.6


def test_a_burst_is_the_same_for_the_same_stream_and_clips_instead_of_wrapping() -> None:
    loud = state(impact_m_s2=5_000.0)
    first, second = (burst(loud, RATE_HZ, 1.0, stream(1, "x")) for _ in range(2))
    assert first.dtype == np.int16
    assert len(first) == 12_000
    assert first.tobytes() == second.tobytes()
    assert first.max() == 32_767
    assert first.min() == -32_768
