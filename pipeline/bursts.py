"""A vibration burst: its samples as text, and its frequency features.

Always one burst at a time, and bands cut out as slices of the spectrum: the order of every sum,
and so the last bit of every feature, is the same in the Glue job and in the detector.
"""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InvalidReading
from pipeline.settings import BURST_SENSOR

MIN_BURST_SAMPLES = 64
"""Fewer samples have no spectrum worth the name."""

BANDS_HZ = ((10.0, 1000.0), (1000.0, 3000.0), (3000.0, 6000.0))
"""Rotor and hydraulics; gear and blade passing with harmonics; bearing resonances."""
ENVELOPE_CARRIER_HZ = (2000.0, 5500.0)
"""The band whose envelope is looked at: structural resonances that a defect's impacts excite."""
ENVELOPE_HZ = (20.0, 500.0)
"""Where the defect frequencies of the bearings of such machines lie."""

BURST_FEATURES = (
    f"{BURST_SENSOR}_rms_m_s2",
    f"{BURST_SENSOR}_kurtosis",
    f"{BURST_SENSOR}_crest",
    *(f"{BURST_SENSOR}_log_power_{low:.0f}_{high:.0f}_hz" for low, high in BANDS_HZ),
    f"{BURST_SENSOR}_envelope_peak",
)

_FLOOR = 1e-12
"""Added before logarithms; far below the noise of any accelerometer, in (m/s2)^2."""


def encode_samples(samples: NDArray[np.int16]) -> str:
    """Return samples as base64 of little-endian int16."""
    return binascii.b2a_base64(samples.astype("<i2").tobytes(), newline=False).decode("ascii")


def decode_samples(samples_b64: str) -> NDArray[np.int16]:
    """Return the samples that `encode_samples` wrote; raises InvalidReading."""
    try:
        data = binascii.a2b_base64(samples_b64, strict_mode=True)
    except ValueError:
        raise InvalidReading("samples_b64 is not base64") from None
    if len(data) % 2 or len(data) < 2 * MIN_BURST_SAMPLES:
        raise InvalidReading(f"samples_b64 is not at least {MIN_BURST_SAMPLES} int16 samples")
    return np.frombuffer(data, dtype="<i2")


def burst_features(
    samples: NDArray[np.int16], rate_hz: float, scale_m_s2: float
) -> NDArray[np.float64]:
    """Return the features of a burst, ``(len(BURST_FEATURES),) float64``.

    Root mean square, kurtosis (3 for Gaussian noise) and crest factor of the signal without
    its mean; log10 of the mean square in each band; log10 of the highest line over the median
    line of the squared envelope's spectrum (Randall and Antoni, Rolling element bearing
    diagnostics: a tutorial, MSSP 2011, section 4). A dead sensor (all samples equal) has
    0 for the first three. A band above half the rate is NaN.
    """
    # From the first sample, in whole counts: a dead sensor has exactly no signal.
    signal = (samples - np.int32(samples[0])) * scale_m_s2
    signal -= signal.mean()
    square = signal * signal
    mean_square = float(square.mean())
    features = np.zeros(len(BURST_FEATURES))
    if mean_square > 0:
        features[0] = np.sqrt(mean_square)
        features[1] = float((square * square).mean()) / mean_square**2
        features[2] = np.sqrt(float(square.max()) / mean_square)
    spectrum = np.fft.rfft(signal)
    line_hz = rate_hz / len(signal)
    power = (spectrum.real**2 + spectrum.imag**2) * (2.0 / len(signal) ** 2)
    for position, band in enumerate(BANDS_HZ, start=3):
        lines = power[_band(band, line_hz, len(power))]
        features[position] = np.log10(float(lines.sum()) + _FLOOR) if len(lines) else np.nan
    features[-1] = _envelope_peak(spectrum, line_hz)
    return features


def _envelope_peak(spectrum: NDArray[np.complex128], line_hz: float) -> float:
    """Return log10(highest / median line) of the squared envelope's spectrum.

    The inverse transform of the carrier band alone is the analytic signal shifted to 0 Hz at a
    lower rate; its magnitude is the envelope, and the line spacing stays the same.
    """
    carrier = spectrum[_band(ENVELOPE_CARRIER_HZ, line_hz, len(spectrum))]
    if not len(carrier):
        return float("nan")
    envelope = np.fft.ifft(carrier)
    squared = envelope.real**2 + envelope.imag**2
    lines = np.abs(np.fft.rfft(squared))
    lines = lines[_band(ENVELOPE_HZ, line_hz, len(lines))]
    if len(lines) < 3:
        return float("nan")
    middle = float(np.median(lines))
    return float(np.log10(float(lines.max()) / middle)) if middle > 0 else 0.0


def _band(band_hz: tuple[float, float], line_hz: float, n_lines: int) -> slice:
    """Return the lines of ``[low, high)`` that exist."""
    low = min(max(1, int(np.ceil(band_hz[0] / line_hz))), n_lines)
    high = min(int(np.ceil(band_hz[1] / line_hz)), n_lines)
    return slice(low, max(low, high))
