"""Acceleration bursts: the spectrum of a bearing housing, healthy or faulty.

A burst is lines with side bands, broadband noise through the housing's resonance, trains of
impacts of a damaged part, and bands of noise. Every component of every burst has its own random
stream, so a burst can be made alone and in any order, and a component of level zero changes
nothing. `kinds` decide which components a machine has and how strong they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.bearings import Bearing
from simulator.fleet.streams import FloatArray

# SciPy's filters are imported where they are used: a fleet without bursts does without them, and
# they take longer than the rest of a run's imports.

SCALE_M_S2 = 0.005
"""Acceleration of one count: +-164 m/s2 (about 17 g) in an int16."""

RESONANCE_DECAY_1_S = 500.0
"""Decay of the ringing after an impact: 2 ms, a line about 160 Hz wide."""

SLIP = 0.01
"""Relative deviation of the time from one strike to the next (rolling with slip)."""

HEIGHT_DEVIATION = 0.15
"""Relative deviation of the height of a strike."""


class Line(NamedTuple):
    """A sine of ``velocity_mm_s`` (RMS); 1 + ``side_depth`` cos(2 pi ``side_hz`` t) times it.

    A modulation of depth m puts two side bands of m / 2 beside the line.
    """

    frequency_hz: float
    velocity_mm_s: float
    side_hz: float = 0.0
    side_depth: float = 0.0


class Impacts(NamedTuple):
    """A train of strikes that ring in the housing, as high as where the defect passes the load.

    ``name`` names the random stream; the modulation is that of a `Line`.
    """

    name: str
    rate_hz: float
    height_m_s2: float
    modulation_hz: float = 0.0
    modulation_depth: float = 0.0


class Band(NamedTuple):
    """Noise of ``rms_m_s2`` between two frequencies, as far as the sampling can show it.

    The level is that of the band which the sampling shows: half the rate cuts it.
    """

    name: str
    rms_m_s2: float
    low_hz: float
    high_hz: float
    modulation_hz: float = 0.0
    modulation_depth: float = 0.0


class VibrationState(NamedTuple):
    """What drives one burst. ``broadband_m_s2`` is the RMS of the noise of flow and contacts."""

    lines: tuple[Line, ...]
    broadband_m_s2: float
    impacts: tuple[Impacts, ...] = ()
    bands: tuple[Band, ...] = ()
    resonance_hz: float = 3_200.0


Streams = Callable[[str], np.random.Generator]
"""Gives the stream of one component of one burst, by name."""


def defect_impacts(defect: str, bearing: Bearing, shaft_hz: float, height_m_s2: float) -> Impacts:
    """Return the strikes of a defect: ``outer_race``, ``inner_race``, ``ball`` or ``cage``.

    The fixed outer race sits in the load; the inner race carries its defect through the load
    once a turn, a ball once a turn of the cage, on both races, so at twice its spin (Randall and
    Antoni 2011, section 3). A cage knocks once in its own turn, harder under the load.
    """
    match defect:
        case "outer_race":
            return Impacts(defect, bearing.outer_race_hz(shaft_hz), height_m_s2)
        case "inner_race":
            return Impacts(defect, bearing.inner_race_hz(shaft_hz), height_m_s2, shaft_hz, 0.8)
        case "ball":
            spin_hz = bearing.ball_spin_hz(shaft_hz)
            return Impacts(defect, 2.0 * spin_hz, height_m_s2, bearing.cage_hz(shaft_hz), 0.6)
        case "cage":
            return Impacts(defect, bearing.cage_hz(shaft_hz), height_m_s2)
    raise ValueError(f"no defect {defect!r}; there are outer_race, inner_race, ball and cage")


def burst(
    state: VibrationState, rate_hz: int, length_s: float, rng: Streams
) -> npt.NDArray[np.int16]:
    """Return ``round(rate_hz * length_s)`` samples in counts of `SCALE_M_S2`, cut at +-32,767.

    Lines above half the rate cannot be shown and are left out.
    """
    count = round(rate_hz * length_s)
    base = rng("base")
    noise = base.standard_normal(count)
    signal = _through_housing(noise, rate_hz, state.resonance_hz)
    signal *= state.broadband_m_s2
    turn = 2.0 * math.pi / rate_hz
    for line in state.lines:
        # Drawn for every line, so that a line that comes moves no phase of the others.
        phase, side_phase = (2.0 * math.pi * base.random(2)).tolist()
        if line.velocity_mm_s > 0.0 and line.frequency_hz < 0.5 * rate_hz:
            peak = math.sqrt(2.0) * 2.0 * math.pi * line.frequency_hz * line.velocity_mm_s / 1000.0
            wave = _sine(line.frequency_hz * turn, phase, count)
            wave *= peak
            _modulate(wave, line.side_hz * turn, line.side_depth, side_phase)
            signal += wave
    for impacts in state.impacts:
        if impacts.height_m_s2 > 0.0 and impacts.rate_hz > 0.0:
            signal += _impacts(impacts, state.resonance_hz, rate_hz, count, rng(impacts.name))
    for band in state.bands:
        if band.rms_m_s2 > 0.0:
            signal += _band(band, rate_hz, count, rng(band.name))
    signal /= SCALE_M_S2
    np.rint(signal, out=signal)
    np.clip(signal, -32_767.0, 32_767.0, out=signal)
    return signal.astype(np.int16)


def _modulate(wave: FloatArray, angle: float, depth: float, phase: float) -> None:
    """Multiply in place by 1 + depth cos(angle k + phase)."""
    if depth > 0.0:
        swing = _sine(angle, phase + 0.5 * math.pi, len(wave))
        swing *= depth
        swing += 1.0
        wave *= swing


def _sine(angle: float, phase: float, count: int) -> FloatArray:
    """Return sin(k angle + phase) for k in range(count), with 4 sqrt(count) sines.

    By the addition theorem over rows and columns of a square: sines of 12,000 samples were
    the largest part of the time of a burst.
    """
    side = math.isqrt(max(0, count - 1)) + 1
    fine = angle * np.arange(side)
    coarse = angle * side * np.arange(side) + phase
    square = np.multiply.outer(np.sin(coarse), np.cos(fine))
    square += np.multiply.outer(np.cos(coarse), np.sin(fine))
    return np.asarray(square.ravel()[:count])


def _through_housing(noise: FloatArray, rate_hz: int, resonance_hz: float) -> FloatArray:
    """Return white noise with a share that rings in the housing; RMS close to 1."""
    from scipy.signal import lfilter

    b, a = _resonator(rate_hz, resonance_hz)
    ringing: FloatArray = lfilter(b, a, noise)
    ringing *= 0.53 / _resonator_noise_gain(rate_hz, resonance_hz)
    noise *= 0.85
    ringing += noise
    return ringing


def _impacts(
    impacts: Impacts, resonance_hz: float, rate_hz: int, count: int, rng: np.random.Generator
) -> FloatArray:
    """Return ringing strikes that have begun long before the burst.

    Slip adds up: t[k] = t[k-1] + (1 + e[k]) / f (Randall and Antoni 2011, section 3). A
    strike between two samples is shared between them.
    """
    from scipy.signal import lfilter

    period = rate_hz / impacts.rate_hz
    # Strikes of the last 10 ms before the burst still ring in it.
    lead = math.ceil(0.01 * rate_hz / period) + 1
    expected = lead + int(count / period * 1.1) + 8
    start, phase = rng.random(2).tolist()
    steps = period * (1.0 + SLIP * rng.standard_normal(expected))
    at = np.cumsum(steps) - period * (lead + start)
    heights = impacts.height_m_s2 * (1.0 + HEIGHT_DEVIATION * rng.standard_normal(expected))
    if impacts.modulation_depth > 0.0:
        angle = 2.0 * math.pi * impacts.modulation_hz / rate_hz
        heights *= 1.0 + impacts.modulation_depth * np.cos(angle * at + 2.0 * math.pi * phase)
    before = math.ceil(0.01 * rate_hz)
    inside = (at >= -before) & (at < count - 1)
    at, heights = at[inside] + before, heights[inside]
    first = at.astype(np.int64)
    share = at - first
    length = count + before
    strikes = np.bincount(first, heights * (1.0 - share), length)
    strikes += np.bincount(first + 1, heights * share, length)
    b, a = _resonator(rate_hz, resonance_hz)
    ringing: FloatArray = lfilter(b, a, strikes)
    return ringing[before:]


def _band(band: Band, rate_hz: int, count: int, rng: np.random.Generator) -> FloatArray:
    from scipy.signal import sosfilt

    phase = 2.0 * math.pi * float(rng.random())
    sections, gain = _band_filter(rate_hz, band.low_hz, band.high_hz)
    noise: FloatArray = sosfilt(sections, rng.standard_normal(count))
    depth = band.modulation_depth
    # Modulation adds depth^2 / 2 to the power; the level stays what it was called.
    noise *= band.rms_m_s2 / gain / math.sqrt(1.0 + 0.5 * depth * depth)
    _modulate(noise, 2.0 * math.pi * band.modulation_hz / rate_hz, depth, phase)
    return noise


@lru_cache
def _resonator(rate_hz: int, resonance_hz: float) -> tuple[FloatArray, FloatArray]:
    """Return the filter whose impulse response is exp(-b t) sin(2 pi f t), height about 1."""
    decay = math.exp(-RESONANCE_DECAY_1_S / rate_hz)
    angle = 2.0 * math.pi * min(resonance_hz, 0.4 * rate_hz) / rate_hz
    return (
        np.array([0.0, decay * math.sin(angle)]),
        np.array([1.0, -2.0 * decay * math.cos(angle), decay * decay]),
    )


@lru_cache
def _resonator_noise_gain(rate_hz: int, resonance_hz: float) -> float:
    from scipy.signal import lfilter

    b, a = _resonator(rate_hz, resonance_hz)
    response = lfilter(b, a, np.concatenate(([1.0], np.zeros(4_095))))
    return float(np.sqrt(np.sum(response * response)))


@lru_cache
def _band_filter(rate_hz: int, low_hz: float, high_hz: float) -> tuple[FloatArray, float]:
    """Return a band-pass, high-pass where half the rate lies within the band, and its gain."""
    from scipy.signal import butter, sosfilt

    low_hz = min(low_hz, 0.3 * rate_hz)
    if high_hz < 0.45 * rate_hz:
        sections = butter(3, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    else:
        sections = butter(3, low_hz, "highpass", fs=rate_hz, output="sos")
    response = sosfilt(sections, np.concatenate(([1.0], np.zeros(4_095))))
    return np.asarray(sections), float(np.sqrt(np.sum(response * response)))
