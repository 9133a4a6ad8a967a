"""One line of the raw zone, as the raw writer writes it, checked field by field.

Standard library only, and slow: `raw_objects` parses whole blocks, and comes here with the lines
that are in doubt. A wrong line is not an error but a fact to be counted, so the answer is a reason.
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


MAX_NUMBER = 1 << 53
"""Whole numbers from here on are not exact in every JSON reader."""


class RawMessage(NamedTuple):
    """A reading's values in the spec's order (NaN: none given), or a burst's features."""

    device_id: str
    is_burst: bool
    late: bool
    seq: int
    event_time_ms: int
    values: list[float]


def parse_line(line: bytes, spec: FeatureSpec) -> RawMessage | str:
    """Return the message in a line, or the reason why it is malformed.

    A late burst has no features (an empty list): they would count nowhere.
    """
    try:
        body = _read(line.decode())
        device_id, late = body["device_id"], body["late"]
        seq, event_time_ms = body["seq"], body["event_time_ms"]
    except KeyError as error:
        return f"missing field {error.args[0]!r}"
    except (ValueError, TypeError, RecursionError):
        return "not a JSON object"
    wrong = _wrong_field(device_id, late, seq, event_time_ms)
    if wrong is not None:
        return wrong
    is_burst = "samples_b64" in body
    values = _burst_values(body, spec, late) if is_burst else _values(body, spec)
    if isinstance(values, str):
        return values
    return RawMessage(device_id, is_burst, late, seq, event_time_ms, values)


def _wrong_field(device_id: Any, late: Any, seq: Any, event_time_ms: Any) -> str | None:
    if type(device_id) is not str or not device_id:
        return "device_id is not a text"
    if type(late) is not bool:
        return "late is neither true nor false"
    for name, number in (("seq", seq), ("event_time_ms", event_time_ms)):
        if type(number) is not int or not 0 <= number < MAX_NUMBER:
            return f"{name} is not a whole number from 0 to 2^53 - 1"
    return None


def _values(body: Any, spec: FeatureSpec) -> list[float] | str:
    """Return the values in the spec's order, NaN for an optional sensor that gave none."""
    values = body.get("values")
    if type(values) is not dict:
        return "values is not an object"
    found = []
    for name in spec.sensors:
        value = values.get(name)
        if value is None:
            if name not in spec.optional:
                return f"value of {name!r} is missing"
            found.append(nan)
        elif type(value) not in (float, int):
            return f"value of {name!r} is not a number"
        else:
            number = _finite(value)
            if number is None:
                return f"value of {name!r} is not finite"
            found.append(number)
    return found


def _burst_values(body: Any, spec: FeatureSpec, late: bool) -> list[float] | str:
    rate_hz, scale, text = body.get("rate_hz"), body.get("scale_m_s2"), body["samples_b64"]
    if type(rate_hz) is not int or rate_hz < 1:
        return "rate_hz is not a whole number of at least 1"
    number = _finite(scale) if type(scale) in (float, int) else None
    if number is None or number <= 0:
        return "scale_m_s2 is not a number above 0"
    if type(text) is not str:
        return "samples_b64 is not a text"
    try:
        samples = decode_samples(text)
    except InvalidReading as error:
        return error.reason
    if late:
        return []
    features = burst_features(samples, rate_hz, number, spec.bearing_hz)
    found: list[float] = features.tolist()
    return found


def _finite(value: float) -> float | None:
    """Return a number as a finite float, None when it is not."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
