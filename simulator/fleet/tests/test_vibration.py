"""Bursts: every fault shows where an analyst looks for it, and zero changes no bit."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis

from simulator.fleet.bearings import BEARINGS, Bearing
from simulator.fleet.spectra import envelope_spectrum, spectrum
from simulator.fleet.streams import FloatArray, stream
from simulator.fleet.vibration import (
    SCALE_M_S2,
    Band,
    Impacts,
    Line,
    VibrationState,
    burst,
    defect_impacts,
)

RESONANCE_BAND_HZ = (2_700.0, 3_700.0)
HEALTHY_LINES = (Line(49.2, 1.1), Line(98.4, 0.35), Line(295.2, 0.6))
HEALTHY = VibrationState(HEALTHY_LINES, 1.6)

bearings = st.builds(
    Bearing,
    balls=st.integers(7, 14),
    ball_mm=st.floats(6.0, 10.0),
    pitch_mm=st.floats(30.0, 50.0),
    contact_deg=st.sampled_from([0.0, 15.0]),
)
speeds = st.floats(15.0, 60.0)
rates = st.sampled_from([12_000, 24_000, 48_000])
seeds = st.integers(0, 2**32)


def made(state: VibrationState, rate_hz: int, length_s: float, seed: int) -> FloatArray:
    samples = burst(state, rate_hz, length_s, partial(stream, seed, "burst"))
    return samples.astype(np.float64) * SCALE_M_S2


def strongest(f: FloatArray, a: FloatArray, low_hz: float, high_hz: float) -> float:
    """Return the frequency of the highest line between two frequencies."""
    inside = (f >= low_hz) & (f <= high_hz)
    return float(f[inside][np.argmax(a[inside])])


def height(f: FloatArray, a: FloatArray, at_hz: float, width: float = 0.01) -> float:
    """Return the highest line within one per cent of a frequency, over the median around it."""
    near = np.abs(f - at_hz) <= max(width * at_hz, 1.1 * float(f[1]))
    around = (f > 0.6 * at_hz) & (f < 1.6 * at_hz) & ~near
    return float(a[near].max() / np.median(a[around]))


def faulty(impacts: Impacts) -> VibrationState:
    return VibrationState(HEALTHY_LINES, 1.6, (impacts,))


@settings(max_examples=20, deadline=None)
@given(
    defect=st.sampled_from(["outer_race", "inner_race", "ball"]),
    bearing=bearings,
    shaft_hz=speeds,
    rate_hz=rates,
    seed=seeds,
    height_m_s2=st.floats(12.0, 40.0),
)
def test_the_envelope_shows_a_defect_within_one_per_cent(
    defect: str, bearing: Bearing, shaft_hz: float, rate_hz: int, seed: int, height_m_s2: float
) -> None:
    impacts = defect_impacts(defect, bearing, shaft_hz, height_m_s2)
    samples = made(faulty(impacts), rate_hz, 3.0, seed)
    f, a = envelope_spectrum(samples, rate_hz, *RESONANCE_BAND_HZ)
    wanted = impacts.rate_hz
    found = strongest(f, a, 0.75 * wanted, 1.3 * wanted)
    if impacts.modulation_hz:
        # The carrier or one of its side bands is the highest, as the modulation has it.
        lines = [wanted + k * impacts.modulation_hz for k in (-1, 0, 1)]
        assert min(abs(found - line) for line in lines) <= 0.01 * wanted
        assert height(f, a, wanted) > 4.0
    else:
        assert found == pytest.approx(wanted, rel=0.01)
    assert height(f, a, wanted) > 4.0


@settings(max_examples=12, deadline=None)
@given(bearing=bearings, shaft_hz=st.floats(25.0, 60.0), seed=seeds)
def test_an_inner_race_has_side_bands_at_the_shafts_frequency(
    bearing: Bearing, shaft_hz: float, seed: int
) -> None:
    impacts = defect_impacts("inner_race", bearing, shaft_hz, 30.0)
    f, a = envelope_spectrum(made(faulty(impacts), 24_000, 4.0, seed), 24_000, *RESONANCE_BAND_HZ)
    floor = np.median(a[(f > 0.5 * impacts.rate_hz) & (f < 1.5 * impacts.rate_hz)])
    for side in (-1, 1):
        at_hz = impacts.rate_hz + side * shaft_hz
        near = np.abs(f - at_hz) <= 0.01 * at_hz
        assert a[near].max() > 3.0 * floor


@settings(max_examples=12, deadline=None)
@given(bearing=bearings, shaft_hz=st.floats(25.0, 60.0), seed=seeds)
def test_a_cage_knocks_once_in_its_own_turn(bearing: Bearing, shaft_hz: float, seed: int) -> None:
    impacts = defect_impacts("cage", bearing, shaft_hz, 40.0)
    f, a = envelope_spectrum(made(faulty(impacts), 24_000, 6.0, seed), 24_000, *RESONANCE_BAND_HZ)
    found = strongest(f, a, 0.6 * impacts.rate_hz, 1.4 * impacts.rate_hz)
    assert found == pytest.approx(bearing.cage_hz(shaft_hz), rel=0.02)


@settings(max_examples=15, deadline=None)
@given(order=st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.0]), shaft_hz=speeds, seed=seeds)
def test_a_line_stands_where_and_as_high_as_it_is_called(
    order: float, shaft_hz: float, seed: int
) -> None:
    at_hz = order * shaft_hz
    samples = made(VibrationState((Line(at_hz, 2.0),), 0.05), 12_000, 4.0, seed)
    f, a = spectrum(samples, 12_000)
    assert strongest(f, a, 5.0, 600.0) == pytest.approx(at_hz, abs=0.26)
    wanted = math.sqrt(2.0) * 2.0 * math.pi * at_hz * 2.0 / 1000.0
    assert a.max() == pytest.approx(wanted, rel=0.16), "Hann loses at most 1.42 dB between bins"


@settings(max_examples=12, deadline=None)
@given(shaft_hz=st.floats(20.0, 50.0), teeth=st.integers(17, 40), seed=seeds)
def test_a_modulated_mesh_has_side_bands_at_the_wheels_frequency(
    shaft_hz: float, teeth: int, seed: int
) -> None:
    mesh_hz = teeth * shaft_hz
    line = Line(mesh_hz, 1.0, shaft_hz, 0.8)
    f, a = spectrum(made(VibrationState((line,), 0.2), 12_000, 4.0, seed), 12_000)
    for at_hz in (mesh_hz - shaft_hz, mesh_hz, mesh_hz + shaft_hz):
        assert strongest(f, a, at_hz - 4.0, at_hz + 4.0) == pytest.approx(at_hz, abs=0.26)
    carrier = a[np.abs(f - mesh_hz) < 1.0].max()
    side = a[np.abs(f - mesh_hz - shaft_hz) < 1.0].max()
    assert side / carrier == pytest.approx(0.4, abs=0.08)


@settings(max_examples=10, deadline=None)
@given(slip=st.floats(0.01, 0.05), seed=seeds)
def test_a_broken_rotor_bar_puts_the_pole_pass_beside_the_shafts_line(
    slip: float, seed: int
) -> None:
    shaft_hz, pole_pass_hz = 50.0 * (1.0 - slip), 2.0 * slip * 50.0
    line = Line(shaft_hz, 1.5, pole_pass_hz, 0.6)
    f, a = spectrum(made(VibrationState((line,), 0.1), 12_000, 8.0, seed), 12_000)
    for side in (-1, 1):
        at_hz = shaft_hz + side * pole_pass_hz
        half = 0.4 * pole_pass_hz
        assert strongest(f, a, at_hz - half, at_hz + half) == pytest.approx(at_hz, abs=0.13)


@settings(max_examples=8, deadline=None)
@given(rate_hz=rates, seed=seeds)
def test_cavitation_is_a_band_that_the_vanes_modulate(rate_hz: int, seed: int) -> None:
    vane_hz = 290.0
    band = Band("cavitation", 6.0, 3_000.0, 20_000.0, vane_hz, 0.6)
    quiet = made(HEALTHY, rate_hz, 4.0, seed)
    loud = made(HEALTHY._replace(bands=(band,)), rate_hz, 4.0, seed)
    added = loud - quiet
    assert np.sqrt(np.mean(added**2)) == pytest.approx(6.0, rel=0.1)
    f, a = spectrum(added, rate_hz)
    within = f > 2_800.0
    assert np.sum(a[within] ** 2) > 0.85 * np.sum(a**2)
    f, a = envelope_spectrum(loud, rate_hz, 3_500.0, 0.45 * rate_hz)
    assert strongest(f, a, 100.0, 500.0) == pytest.approx(vane_hz, rel=0.01)


COMPONENTS = (
    {"impacts": (Impacts("outer_race", 107.0, 0.0),)},
    {"bands": (Band("cavitation", 0.0, 3_000.0, 20_000.0, 290.0, 0.6),)},
    {"lines": (*HEALTHY_LINES, Line(24.6, 0.0))},
)


@pytest.mark.parametrize("more", COMPONENTS)
def test_a_component_of_level_zero_changes_no_bit(more: dict[str, object]) -> None:
    zero = HEALTHY._replace(**more)  # type: ignore[arg-type]
    rng = partial(stream, 1, "burst")
    assert burst(HEALTHY, 12_000, 1.0, rng).tobytes() == burst(zero, 12_000, 1.0, rng).tobytes()


@settings(max_examples=10, deadline=None)
@given(seed=seeds, rate_hz=rates)
def test_statistics_lie_where_the_literature_has_them(seed: int, rate_hz: int) -> None:
    """Healthy near Gaussian, damaged impulsive.

    Dyer and Stewart 1978: kurtosis 3 for a sound bearing, above it for a damaged one; CWRU's
    drive-end records (Smith and Randall 2015): kurtosis 2.7 to 3.1 healthy, 5 to 8 for a 0.007
    inch outer race defect; crest factors 4 to 5 healthy and up to 12 damaged.
    """
    healthy = made(HEALTHY, rate_hz, 2.0, seed)
    impacts = defect_impacts("outer_race", BEARINGS["6205"], 49.2, 16.0)
    damaged = made(faulty(impacts), rate_hz, 2.0, seed)
    assert 2.6 < kurtosis(healthy, fisher=False) < 3.4
    assert 3.0 < np.abs(healthy).max() / healthy.std() < 6.0
    assert 1.0 < healthy.std() < 4.0
    assert 4.0 < kurtosis(damaged, fisher=False) < 20.0
    assert 4.0 < np.abs(damaged).max() / damaged.std() < 14.0
    assert damaged.std() > 1.1 * healthy.std()


def test_what_exceeds_the_converter_is_cut() -> None:
    samples = burst(VibrationState((Line(100.0, 5_000.0),), 0.1), 12_000, 0.2, partial(stream, 1))
    assert samples.max() == 32_767
    assert samples.min() == -32_767


def test_lines_above_half_the_rate_are_left_out() -> None:
    assert made(VibrationState((Line(7_000.0, 50.0),), 0.1), 12_000, 0.5, 1).std() < 0.2


def test_an_unknown_defect_is_named() -> None:
    with pytest.raises(ValueError, match="'seal'"):
        defect_impacts("seal", BEARINGS["6205"], 30.0, 1.0)
