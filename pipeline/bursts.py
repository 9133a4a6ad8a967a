"""A vibration burst: its samples as text, and its frequency features.

Always one burst at a time, and bands cut out as slices of the spectrum: the order of every sum,
and so the last bit of every feature, is the same in the Glue job and in the detector.
"""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InvalidReading
from pipeline.settings import BURST_SENSOR, FeatureSpec

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

VELOCITY_HZ = (10.0, 1000.0)
"""The band of velocity RMS as vibration severity is judged (ISO 20816-1)."""
HARMONICS = 3
"""Multiples of a defect frequency that count: impacts are short, so their lines repeat."""
TOLERANCE = 0.02
"""How far, as a share, a line may lie from the multiple: rolling elements slip by 1 to 2 %."""

_FLOOR = 1e-12
"""Added before logarithms; far below the noise of any accelerometer, in (m/s2)^2."""


def burst_feature_names(spec: FeatureSpec) -> tuple[str, ...]:
    """Return the names of a burst's features.

    Where the spec names a bearing's frequencies: also velocity RMS, and the envelope at each.
    """
    if not spec.bearing_hz:
        return BURST_FEATURES
    levels = (f"{BURST_SENSOR}_envelope_{name}" for name, _ in spec.bearing_hz)
    return (*BURST_FEATURES, f"{BURST_SENSOR}_velocity_rms_mm_s", *levels)


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
    samples: NDArray[np.int16],
    rate_hz: float,
    scale_m_s2: float,
    bearing_hz: tuple[tuple[str, float], ...] = (),
) -> NDArray[np.float64]:
    """Return the features of a burst, a float64 for each of `burst_feature_names`.

    Root mean square, kurtosis (3 for Gaussian noise) and crest factor of the signal without
    its mean; log10 of the mean square in each band; log10 of the highest line over the median
    line of the squared envelope's spectrum (Randall and Antoni, Rolling element bearing
    diagnostics: a tutorial, MSSP 2011, section 4). A dead sensor (all samples equal) has
    0 for the first three. A band above half the rate is NaN.

    With ``bearing_hz``: the RMS of the velocity in mm/s, by integrating each line of the
    spectrum (divided by 2 pi f); and for each frequency log10 of the mean, over its multiples, of
    the highest envelope line near the multiple over the median line.
    """
    # From the first sample, in whole counts: a dead sensor has exactly no signal.
    signal = (samples - np.int32(samples[0])) * scale_m_s2
    signal -= signal.mean()
    square = signal * signal
    mean_square = float(square.mean())
    features = np.zeros(len(BURST_FEATURES) + (1 + len(bearing_hz) if bearing_hz else 0))
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
    envelope = _envelope(spectrum, line_hz)
    peak = len(BURST_FEATURES) - 1
    features[peak] = _envelope_peak(envelope, line_hz)
    if bearing_hz:
        features[peak + 1] = _velocity_rms(power, line_hz)
        features[peak + 2 :] = [_envelope_level(envelope, line_hz, hz) for _, hz in bearing_hz]
    return features


def _envelope(spectrum: NDArray[np.complex128], line_hz: float) -> NDArray[np.float64]:
    """Return the lines of the squared envelope's spectrum; none where the rate is too low.

    The inverse transform of the carrier band alone is the analytic signal shifted to 0 Hz at a
    lower rate; its magnitude is the envelope, and the line spacing stays the same.
    """
    carrier = spectrum[_band(ENVELOPE_CARRIER_HZ, line_hz, len(spectrum))]
    if not len(carrier):
        return np.zeros(0)
    envelope = np.fft.ifft(carrier)
    return np.abs(np.fft.rfft(envelope.real**2 + envelope.imag**2))


def _envelope_peak(envelope: NDArray[np.float64], line_hz: float) -> float:
    """Return log10(highest / median line) where defect frequencies lie."""
    lines = envelope[_band(ENVELOPE_HZ, line_hz, len(envelope))]
    if len(lines) < 3:
        return float("nan")
    middle = float(np.median(lines))
    return float(np.log10(float(lines.max()) / middle)) if middle > 0 else 0.0


def _envelope_level(envelope: NDArray[np.float64], line_hz: float, hz: float) -> float:
    """Return log10 of the mean over the multiples of ``hz`` of (highest line near / median)."""
    lines = envelope[_band((ENVELOPE_HZ[0], np.inf), line_hz, len(envelope))]
    middle = float(np.median(lines)) if len(lines) >= 3 else 0.0
    peaks = []
    for multiple in range(1, HARMONICS + 1):
        # At least a line to each side: the frequency lies between lines.
        reach_hz = max(TOLERANCE * multiple * hz, line_hz)
        first = max(1, int(np.ceil((multiple * hz - reach_hz) / line_hz)))
        last = int(np.floor((multiple * hz + reach_hz) / line_hz))
        near = envelope[first : last + 1]
        if last >= len(envelope) or not len(near):
            break
        peaks.append(float(near.max()))
    if not peaks or not len(lines):
        return float("nan")
    return float(np.log10(sum(peaks) / len(peaks) / middle + _FLOOR)) if middle > 0 else 0.0


def _velocity_rms(power: NDArray[np.float64], line_hz: float) -> float:
    """Return the RMS of the velocity in mm/s; ``power`` is the mean square of each line."""
    band = _band(VELOCITY_HZ, line_hz, len(power))
    lines = power[band]
    if not len(lines):
        return float("nan")
    omega = 2 * np.pi * line_hz * np.arange(band.start, band.stop)
    return 1000.0 * float(np.sqrt((lines / (omega * omega)).sum()))


def _band(band_hz: tuple[float, float], line_hz: float, n_lines: int) -> slice:
    """Return the lines of ``[low, high)`` that exist."""
    low = min(max(1, int(np.ceil(band_hz[0] / line_hz))), n_lines)
    high = n_lines if band_hz[1] / line_hz >= n_lines else int(np.ceil(band_hz[1] / line_hz))
    return slice(low, max(low, high))
