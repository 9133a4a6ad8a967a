"""The current of a motor: side bands where theory has them, and none without a defect or load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.electrical import SCALE_A, MotorState, current_waveform, side_bands_hz
from simulator.fleet.spectra import spectrum
from simulator.fleet.streams import FloatArray, stream


def amplitudes(state: MotorState, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    samples = current_waveform(state, 2_000, 10.0, stream(seed, "current"))
    return spectrum(samples.astype(np.float64) * SCALE_A, 2_000)


def near(f: FloatArray, a: FloatArray, at_hz: float) -> float:
    return float(a[np.abs(f - at_hz) <= 0.11].max())


def test_a_rotor_of_1455_rpm_has_side_bands_at_47_and_53_hz() -> None:
    assert side_bands_hz(50.0, 0.03) == pytest.approx((47.0, 53.0))


@settings(max_examples=15, deadline=None)
@given(
    slip=st.floats(0.015, 0.05),
    severity=st.floats(0.2, 1.0),
    line_hz=st.sampled_from([50.0, 60.0]),
    seed=st.integers(0, 2**32),
)
def test_a_broken_bar_shows_its_side_bands(
    slip: float, severity: float, line_hz: float, seed: int
) -> None:
    f, a = amplitudes(MotorState(20.0, line_hz, slip, rotor_bar=severity), seed)
    g, healthy = amplitudes(MotorState(20.0, line_hz, slip), seed)
    for k in (1, 2):
        for at_hz in side_bands_hz(line_hz, slip, k):
            assert near(f, a, at_hz) > 5.0 * near(g, healthy, at_hz)


def test_an_idle_motor_shows_nothing_of_a_broken_bar() -> None:
    f, a = amplitudes(MotorState(8.0, slip=0.002, rotor_bar=1.0))
    g, healthy = amplitudes(MotorState(8.0, slip=0.002))
    at_hz = side_bands_hz(50.0, 0.03)[0]
    assert near(f, a, at_hz) == pytest.approx(near(g, healthy, at_hz), rel=0.5)


def test_a_damaged_stator_shows_at_twice_the_line() -> None:
    f, a = amplitudes(MotorState(20.0, stator=0.5))
    g, healthy = amplitudes(MotorState(20.0))
    assert near(f, a, 100.0) > 20.0 * near(g, healthy, 100.0)


def test_zero_severity_changes_no_bit() -> None:
    one = current_waveform(MotorState(20.0), 2_000, 1.0, stream(1, "current"))
    zero = current_waveform(
        MotorState(20.0, rotor_bar=0.0, stator=0.0), 2_000, 1.0, stream(1, "current")
    )
    assert one.tobytes() == zero.tobytes()
