"""The current of an induction motor as a waveform, for captures in the batch path.

Readings carry its RMS once a second; the side bands of a broken rotor bar and the second
harmonic of a damaged stator stand in the waveform's spectrum (motor current signature analysis;
Thomson and Fenger 2001).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SCALE_A = 0.01
"""Current of one count."""


class MotorState(NamedTuple):
    """What drives one capture.

    ``slip``: (n_s - n) / n_s with the synchronous speed n_s = 60 f / p of p pole pairs.
    ``rotor_bar`` and ``stator``: severity in [0, 1].
    """

    rms_a: float
    line_hz: float = 50.0
    slip: float = 0.03
    rotor_bar: float = 0.0
    stator: float = 0.0
    noise_a: float = 0.05


def side_bands_hz(line_hz: float, slip: float, k: int = 1) -> tuple[float, float]:
    """Return f (1 - 2 k s) and f (1 + 2 k s), where a broken rotor bar shows."""
    return line_hz * (1.0 - 2.0 * k * slip), line_hz * (1.0 + 2.0 * k * slip)


def current_waveform(
    state: MotorState, rate_hz: int, length_s: float, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Return ``round(rate_hz * length_s)`` samples of one phase in counts of `SCALE_A`.

    A bar at severity 1 has side bands of 5 % (-26 dB) and, at 2k, of half as much. They scale
    with the load, as the slip does: an idle motor shows none.
    """
    count = round(rate_hz * length_s)
    t = np.arange(count) / rate_hz
    phases = 2.0 * math.pi * rng.random(6)
    peak = math.sqrt(2.0) * state.rms_a
    signal = peak * np.sin(2.0 * math.pi * state.line_hz * t + phases[0])
    signal += state.noise_a * rng.standard_normal(count)
    # The iron saturates a little even in a healthy machine.
    signal += 0.02 * peak * np.sin(6.0 * math.pi * state.line_hz * t + phases[1])
    if state.rotor_bar > 0.0:
        load = min(1.0, state.slip / 0.03)
        for k, share in ((1, 0.05), (2, 0.025)):
            height = state.rotor_bar * load * share * peak
            for side_hz, phase in zip(
                side_bands_hz(state.line_hz, state.slip, k), phases[2:4].tolist(), strict=True
            ):
                signal += height * np.sin(2.0 * math.pi * side_hz * t + k * phase)
    if state.stator > 0.0:
        height = 0.08 * state.stator * peak
        signal += height * np.sin(4.0 * math.pi * state.line_hz * t + phases[4])
    return np.asarray(np.clip(np.rint(signal / SCALE_A), -32_767, 32_767), dtype=np.int16)
