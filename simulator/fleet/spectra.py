"""Spectra as an analyst looks at them: of a signal, and of its envelope.

For tests, pictures and curious users; the pipeline has its own features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, hilbert, sosfiltfilt

from simulator.fleet.streams import FloatArray


def spectrum(samples: npt.ArrayLike, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """Return frequencies (Hz) and amplitudes of a signal (n,): a sine of height 1 shows 1.

    Hann window, so that a line between two bins leaks to its neighbours only.
    """
    signal = np.asarray(samples, dtype=np.float64)
    window = np.hanning(len(signal))
    amplitudes: FloatArray = np.abs(np.fft.rfft((signal - signal.mean()) * window))
    amplitudes *= 2.0 / window.sum()
    return np.asarray(np.fft.rfftfreq(len(signal), 1.0 / rate_hz), np.float64), amplitudes


def envelope_spectrum(
    samples: npt.ArrayLike, rate_hz: float, low_hz: float, high_hz: float
) -> tuple[FloatArray, FloatArray]:
    """Return the `spectrum` of the envelope of what a signal (n,) has between two frequencies.

    Demodulation by the analytic signal (Randall and Antoni 2011, section 5): impacts that excite
    a resonance in the band show as lines at the rate at which they come.
    """
    sections = butter(
        4, (low_hz, min(high_hz, 0.49 * rate_hz)), "bandpass", fs=rate_hz, output="sos"
    )
    band = sosfiltfilt(sections, np.asarray(samples, dtype=np.float64))
    return spectrum(np.abs(hilbert(band)), rate_hz)
