"""One line of the raw zone, as the raw writer writes it, checked field by field.

Standard library only: Glue's workers have no other JSON reader. A line that is not as it should
be is not an error but a fact to be counted, so the answer is None.
"""

from __future__ import annotations

import json
from math import isfinite, nan
from typing import Any, NamedTuple

from pipeline.bursts import burst_features, decode_samples
from pipeline.errors import InvalidReading
from pipeline.settings import FeatureSpec


def _refuse(word: str) -> None:
    """Refuse NaN and infinities, which are not JSON."""
    raise ValueError(word)


_read = json.JSONDecoder(parse_constant=_refuse).decode


class RawMessage(NamedTuple):
    """A reading's values in the spec's order (NaN: none given), or a burst's features."""

    device_id: str
    is_burst: bool
    late: bool
    seq: int
    event_time_ms: int
    values: list[float]


def parse_line(line: bytes, spec: FeatureSpec) -> RawMessage | None:
    """Return the message in a line, or None when it is malformed.

    A late burst has no features (an empty list): they would count nowhere.
    """
    try:
        body = _read(line.decode())
        device_id, late = body["device_id"], body["late"]
        seq, event_time_ms = body["seq"], body["event_time_ms"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if type(device_id) is not str or type(late) is not bool or not device_id:
        return None
    if type(seq) is not int or type(event_time_ms) is not int or seq < 0 or event_time_ms < 0:
        return None
    is_burst = "samples_b64" in body
    values = _burst_values(body, spec, late) if is_burst else _values(body, spec)
    if values is None or max(seq, event_time_ms) >= 1 << 53:
        return None
    return RawMessage(device_id, is_burst, late, seq, event_time_ms, values)


def _values(body: Any, spec: FeatureSpec) -> list[float] | None:
    try:
        values = body["values"]
        if spec.optional:
            values = {**dict.fromkeys(spec.optional, None), **values}
        found = [values[name] for name in spec.sensors]
    except (KeyError, TypeError):
        return None
    if None in found:
        return _incomplete(found, spec)
    for value in found:
        if type(value) is not float:
            if type(value) is not int:
                return None
        elif not isfinite(value):
            return None
    return _finite(found) if int in map(type, found) else found


def _incomplete(found: list[Any], spec: FeatureSpec) -> list[float] | None:
    """Return the values with NaN for optional sensors that gave none."""
    given = [value for value in found if value is not None]
    if any(type(value) not in (float, int) for value in given) or _finite(given) is None:
        return None
    if any(
        v is None and name not in spec.optional for v, name in zip(found, spec.sensors, strict=True)
    ):
        return None
    return [nan if value is None else float(value) for value in found]


def _burst_values(body: Any, spec: FeatureSpec, late: bool) -> list[float] | None:
    rate_hz, scale, text = body.get("rate_hz"), body.get("scale_m_s2"), body["samples_b64"]
    if type(rate_hz) is not int or type(scale) not in (float, int) or type(text) is not str:
        return None
    if rate_hz < 1 or _finite([scale]) is None or scale <= 0:
        return None
    try:
        samples = decode_samples(text)
    except InvalidReading:
        return None
    if late:
        return []
    features = burst_features(samples, rate_hz, scale, spec.bearing_hz)
    found: list[float] = features.tolist()
    return found


def _finite(numbers: list[float]) -> list[float] | None:
    """Return the numbers as floats, or None when one is not finite."""
    try:
        floats = [float(value) for value in numbers]
    except OverflowError:
        return None
    return floats if all(map(isfinite, floats)) else None
