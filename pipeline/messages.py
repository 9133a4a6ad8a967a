"""The two messages that a device publishes, as JSON, and their validation.

The fleet encodes them; the functions decode what the stream brings. A message is refused with
a reason when its *form* is wrong. Values that no pump can have are accepted: judging them is a
matter of data quality, later, and refusing them would hide a broken sensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, isnan, nan
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.bursts import decode_samples, encode_samples
from pipeline.errors import InvalidReading
from pipeline.settings import FeatureSpec

SCHEMA = 1
MAX_PAYLOAD_BYTES = 128 * 1024
"""AWS IoT Core refuses larger publishes (service quotas, message broker)."""
MAX_SEQ = 2**53 - 1
"""Larger whole numbers are not exact in every JSON reader."""
MAX_RATE_HZ = 1_000_000

_DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_READING_FIELDS = ("schema", "device_id", "seq", "event_time_ms", "values")
_BURST_FIELDS = (
    "schema",
    "device_id",
    "seq",
    "event_time_ms",
    "rate_hz",
    "scale_m_s2",
    "samples_b64",
)
_FLOAT = frozenset({float})
_reading_items = itemgetter(*_READING_FIELDS)
_burst_items = itemgetter(*_BURST_FIELDS)


class Reading(NamedTuple):
    """One value of each sensor at one moment; ``seq`` counts the device's readings from 0.

    NaN stands for a sensor that gave no value; it travels as a value that is not there.
    """

    device_id: str
    seq: int
    event_time_ms: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """A stretch of fast acceleration samples that starts at ``event_time_ms``.

    ``samples`` are int16 counts of ``scale_m_s2`` each, taken at ``rate_hz``; ``seq`` counts
    the device's bursts from 0, apart from its readings.
    """

    device_id: str
    seq: int
    event_time_ms: int
    rate_hz: int
    scale_m_s2: float
    samples: NDArray[np.int16]


@lru_cache(4096)
def is_device_id(text: str) -> bool:
    """Tell whether a text may name a device: letters, digits, hyphens, underscores, 64 at most."""
    return _DEVICE_ID.fullmatch(text) is not None


def telemetry_topic(device_id: str) -> str:
    """Return the MQTT topic of a device's readings."""
    return f"fleet/{device_id}/telemetry"


def burst_topic(device_id: str) -> str:
    """Return the MQTT topic of a device's bursts."""
    return f"fleet/{device_id}/burst"


def encode_reading(reading: Reading) -> bytes:
    """Return the JSON payload of a reading."""
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "device_id": reading.device_id,
            "seq": reading.seq,
            "event_time_ms": reading.event_time_ms,
            "values": present(reading.values),
        }
    )


def encode_readings(
    device_id: str,
    first_seq: int,
    event_time_ms: NDArray[np.int64],
    values: Mapping[str, NDArray[np.float64]],
) -> list[bytes]:
    """Return the payloads of ``n`` readings that follow each other; the bytes of `encode_reading`.

    ``event_time_ms`` is (n,), ``values`` sensor -> (n,). Whole columns are written as JSON at
    once and cut at the commas, which takes a fifth of the time.
    """
    seqs = np.arange(first_seq, first_seq + len(event_time_ms), dtype=np.int64)
    columns = [_texts(column) for column in (seqs, event_time_ms, *values.values())]
    fields = b",".join(orjson.dumps(name) + b":%b" for name in values)
    head = b'{"schema":%d,"device_id":%b' % (SCHEMA, orjson.dumps(device_id))
    form = head.replace(b"%", b"%%") + b',"seq":%b,"event_time_ms":%b,"values":{' + fields + b"}}"
    payloads = [form % row for row in zip(*columns, strict=True)]
    if values:
        with np.errstate(over="ignore", invalid="ignore"):
            silent = np.isnan(np.sum(list(values.values()), axis=0))
        for i in np.flatnonzero(silent).tolist():
            row = {name: float(column[i]) for name, column in values.items()}
            reading = Reading(device_id, first_seq + i, int(event_time_ms[i]), row)
            payloads[i] = encode_reading(reading)
    return payloads


def _texts(column: NDArray[Any]) -> list[bytes]:
    """Return each number as JSON writes it."""
    if not len(column):
        return []
    whole = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    return whole[1:-1].split(b",")


def present(values: Mapping[str, float]) -> Mapping[str, float]:
    """Return the values of the sensors that gave one."""
    # The sum tells at once that none is missing, as in all readings of most devices.
    if not isnan(sum(values.values())):
        return values
    return {name: value for name, value in values.items() if not isnan(value)}


def encode_burst(burst: Burst) -> bytes:
    """Return the JSON payload of a burst."""
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "device_id": burst.device_id,
            "seq": burst.seq,
            "event_time_ms": burst.event_time_ms,
            "rate_hz": burst.rate_hz,
            "scale_m_s2": burst.scale_m_s2,
            "samples_b64": encode_samples(burst.samples),
        }
    )


def decode(payload: bytes, spec: FeatureSpec, now_ms: int, max_future_s: float) -> Reading | Burst:
    """Return the validated message in a payload.

    ``now_ms`` is when the message arrived; an event time more than ``max_future_s`` after it is
    refused. Raises InvalidReading with the reason.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidReading(f"payload of more than {MAX_PAYLOAD_BYTES} bytes")
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise InvalidReading("not JSON") from None
    if type(body) is not dict:
        raise InvalidReading("not a JSON object")
    is_burst = "samples_b64" in body
    try:
        if is_burst:
            schema, device_id, seq, event_time_ms, *rest = _burst_items(body)
        else:
            schema, device_id, seq, event_time_ms, values = _reading_items(body)
    except KeyError as error:
        raise InvalidReading(f"missing field {error.args[0]!r}") from None
    fields = _BURST_FIELDS if is_burst else _READING_FIELDS
    if len(body) != len(fields):
        raise InvalidReading(f"unknown field {sorted(body.keys() - set(fields))[0][:64]!r}")
    _check_header(schema, device_id, seq, event_time_ms)
    if event_time_ms > now_ms + max_future_s * 1000:
        raise InvalidReading(f"event_time_ms is more than {max_future_s:g} s in the future")
    if is_burst:
        return _burst(device_id, seq, event_time_ms, rest, spec)
    return Reading(device_id, seq, event_time_ms, _values(values, spec))


def _check_header(schema: Any, device_id: Any, seq: Any, event_time_ms: Any) -> None:
    """Check the fields that both kinds of message have."""
    if type(schema) is not int or schema != SCHEMA:
        raise InvalidReading(f"schema is not {SCHEMA}")
    if type(device_id) is not str or not is_device_id(device_id):
        raise InvalidReading("device_id is not 1 to 64 letters, digits, '_' or '-'")
    if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        raise InvalidReading("seq is not a whole number from 0 to 2^53 - 1")
    if type(event_time_ms) is not int or event_time_ms < 0:
        raise InvalidReading("event_time_ms is not a whole number of at least 0")


def _values(values: Any, spec: FeatureSpec) -> dict[str, float]:
    """Return one finite float for each of the spec's sensors, NaN for an optional one without."""
    if type(values) is not dict:
        raise InvalidReading("values is not an object")
    if spec.optional:
        absent = [name for name in spec.optional if values.get(name) is None]
        if absent:
            present = {name: value for name, value in values.items() if name not in absent}
            complete = _values({**dict.fromkeys(absent, 0.0), **present}, spec)
            return {name: nan if name in absent else complete[name] for name in spec.sensors}
    if values.keys() != spec.sensor_set:
        for name in spec.sensors:
            if name not in values:
                raise InvalidReading(f"missing sensor {name!r}")
        raise InvalidReading(f"unknown sensor {sorted(values.keys() - spec.sensor_set)[0][:64]!r}")
    # One addition tells that all are finite; floats that are not make the sum not finite either.
    if _FLOAT.issuperset(map(type, values.values())) and isfinite(sum(values.values())):
        return values
    return {name: _number(name, value) for name, value in values.items()}


def _number(name: str, value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise InvalidReading(f"value of {name!r} is not a number")
    if not isfinite(value):
        raise InvalidReading(f"value of {name!r} is not finite")
    return float(value)


def _burst(
    device_id: str, seq: int, event_time_ms: int, rest: list[Any], spec: FeatureSpec
) -> Burst:
    rate_hz, scale_m_s2, samples_b64 = rest
    if not spec.bursts:
        raise InvalidReading("bursts are not in the feature spec")
    if type(rate_hz) is not int or not 1 <= rate_hz <= MAX_RATE_HZ:
        raise InvalidReading(f"rate_hz is not a whole number from 1 to {MAX_RATE_HZ}")
    if type(scale_m_s2) not in (int, float) or not (isfinite(scale_m_s2) and scale_m_s2 > 0):
        raise InvalidReading("scale_m_s2 is not a finite number above 0")
    if type(samples_b64) is not str:
        raise InvalidReading("samples_b64 is not a string")
    samples = decode_samples(samples_b64)
    return Burst(device_id, seq, event_time_ms, rate_hz, float(scale_m_s2), samples)
