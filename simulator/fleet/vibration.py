"""Acceleration bursts: the spectrum of a pump's bearing housing, healthy or faulty.

A burst is shaft harmonics, vane pass, broadband flow noise through the housing's resonance,
impacts of a damaged outer race, and the band noise of cavitation. Every burst has its own
random stream, so it can be made alone and in any order. `machine` decides when and how strong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from simulator.fleet.streams import FloatArray

SCALE_M_S2 = 0.005
"""Acceleration of one count: +-164 m/s2 (about 17 g) in an int16."""

VANES = 6
RESONANCE_HZ = 3_200.0
RESONANCE_DECAY_1_S = 500.0
"""Decay of the ringing after an impact: 2 ms, a line about 160 Hz wide."""

SLIP = 0.01
"""Relative deviation of the time from one strike to the next (rolling with slip)."""

CAVITATION_FROM_HZ = 3_000.0


@dataclass(frozen=True)
class Bearing:
    """Geometry of a rolling bearing with fixed outer race and contact angle zero."""

    balls: int
    ball_mm: float
    pitch_mm: float

    def outer_race_hz(self, shaft_hz: float) -> float:
        """Return BPFO = n/2 fr (1 - d/D)."""
        return 0.5 * self.balls * shaft_hz * (1.0 - self.ball_mm / self.pitch_mm)


BEARING_6205 = Bearing(balls=9, ball_mm=7.94, pitch_mm=39.04)


@dataclass(frozen=True)
class VibrationState:
    """What drives one burst: shaft frequency, velocity of each component (mm/s RMS), faults.

    ``broadband_m_s2`` is the RMS of the flow noise, ``impact_m_s2`` the height of a strike,
    ``cavitation_m_s2`` the RMS of the cavitation's band.
    """

    shaft_hz: float
    once_mm_s: float
    twice_mm_s: float
    vane_mm_s: float
    broadband_m_s2: float
    impact_m_s2: float = 0.0
    cavitation_m_s2: float = 0.0


def burst(
    state: VibrationState, rate_hz: int, length_s: float, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Return ``round(rate_hz * length_s)`` samples in counts of `SCALE_M_S2`.

    Healthy and faulty bursts draw the healthy part from the same numbers in the same order;
    what belongs to faults is drawn after it and scaled by their level.
    """
    count = round(rate_hz * length_s)
    turn = 2.0 * math.pi * state.shaft_hz / rate_hz
    phases = 2.0 * math.pi * rng.random(4)
    noise = rng.standard_normal(count)
    signal = _harmonics(state, turn, phases, count)
    signal += state.broadband_m_s2 * _through_housing(noise, rate_hz)
    if state.impact_m_s2 > 0.0:
        signal += state.impact_m_s2 * _impacts(state.shaft_hz, rate_hz, count, rng)
    if state.cavitation_m_s2 > 0.0:
        modulation = 1.0 + 0.6 * _sine(VANES * turn, float(phases[3]), count)
        band = sosfilt(_cavitation_band(rate_hz), rng.standard_normal(count))
        signal += state.cavitation_m_s2 * modulation * band / _cavitation_gain(rate_hz)
    counts = np.round(signal / SCALE_M_S2)
    return np.clip(counts, -32_768, 32_767).astype(np.int16)


def _harmonics(state: VibrationState, turn: float, phases: FloatArray, count: int) -> FloatArray:
    """Return once, twice and vane pass: an acceleration is 2 pi f times the velocity.

    ``turn`` is the shaft's angle from sample to sample.
    """
    signal = np.zeros(count)
    lines = ((1, state.once_mm_s), (2, state.twice_mm_s), (VANES, state.vane_mm_s))
    for (order, velocity_mm_s), phase in zip(lines, phases.tolist(), strict=False):
        peak = math.sqrt(2.0) * 2.0 * math.pi * order * state.shaft_hz * velocity_mm_s / 1000.0
        signal += peak * _sine(order * turn, phase, count)
    return signal


def _sine(angle: float, phase: float, count: int) -> FloatArray:
    """Return sin(k angle + phase) for k in range(count), with 4 sqrt(count) sines.

    By the addition theorem over rows and columns of a square: sines of 12,000 samples were
    the largest part of the time of a burst.
    """
    side = math.isqrt(count - 1) + 1
    fine = angle * np.arange(side)
    coarse = angle * side * np.arange(side) + phase
    square = np.outer(np.sin(coarse), np.cos(fine)) + np.outer(np.cos(coarse), np.sin(fine))
    return square.ravel()[:count]


def _through_housing(noise: FloatArray, rate_hz: int) -> FloatArray:
    """Return white noise with a share that rings in the housing; RMS close to 1."""
    b, a = _resonator(rate_hz)
    ringing = lfilter(b, a, noise)
    return np.asarray(0.85 * noise + 0.53 / _resonator_noise_gain(rate_hz) * ringing)


def _impacts(shaft_hz: float, rate_hz: int, count: int, rng: np.random.Generator) -> FloatArray:
    """Return ringing strikes of height 1 at the outer race's pass frequency.

    Slip adds up: t[k] = t[k-1] + (1 + e[k]) / f (Randall and Antoni 2011, section 3). A
    strike between two samples is shared between them.
    """
    period = rate_hz / BEARING_6205.outer_race_hz(shaft_hz)
    expected = int(count / period * 1.2) + 8
    steps = period * (1.0 + SLIP * rng.standard_normal(expected))
    at = np.cumsum(steps) - period * rng.random()
    heights = 1.0 + 0.15 * rng.standard_normal(expected)
    inside = (at >= 0.0) & (at < count - 1)
    at, heights = at[inside], heights[inside]
    strikes = np.zeros(count)
    first = at.astype(np.int64)
    share = at - first
    np.add.at(strikes, first, heights * (1.0 - share))
    np.add.at(strikes, first + 1, heights * share)
    b, a = _resonator(rate_hz)
    return np.asarray(lfilter(b, a, strikes), dtype=np.float64)


@lru_cache
def _resonator(rate_hz: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the filter whose impulse response is exp(-b t) sin(2 pi f t), height about 1."""
    decay = math.exp(-RESONANCE_DECAY_1_S / rate_hz)
    angle = 2.0 * math.pi * min(RESONANCE_HZ, 0.4 * rate_hz) / rate_hz
    return (0.0, decay * math.sin(angle)), (1.0, -2.0 * decay * math.cos(angle), decay * decay)


@lru_cache
def _resonator_noise_gain(rate_hz: int) -> float:
    b, a = _resonator(rate_hz)
    response = lfilter(b, a, np.concatenate(([1.0], np.zeros(4_095))))
    return float(np.sqrt(np.sum(response * response)))


@lru_cache
def _cavitation_band(rate_hz: int) -> FloatArray:
    """Return a high-pass from 3 kHz: a 12 kHz burst sees 3-6 kHz of the band up to 20 kHz."""
    edge_hz = min(CAVITATION_FROM_HZ, 0.3 * rate_hz)
    return np.asarray(butter(3, edge_hz, "highpass", fs=rate_hz, output="sos"))


@lru_cache
def _cavitation_gain(rate_hz: int) -> float:
    response = sosfilt(_cavitation_band(rate_hz), np.concatenate(([1.0], np.zeros(4_095))))
    return float(np.sqrt(np.sum(response * response)))
