"""Messages survive the journey, and each kind of malformed one is refused with its reason."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidReading
from pipeline.messages import (
    MAX_PAYLOAD_BYTES,
    MAX_SEQ,
    Burst,
    Reading,
    burst_topic,
    decode,
    encode_burst,
    encode_reading,
    encode_readings,
    telemetry_topic,
)
from pipeline.settings import FeatureSpec
from pipeline.tests.streams import SPEC, START_MS

NOW_MS = START_MS + 1_000_000
finite = st.floats(allow_nan=False, allow_infinity=False)
device_ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@settings(deadline=None)
@given(
    device_ids,
    st.integers(0, MAX_SEQ),
    st.integers(0, NOW_MS + 300_000),
    st.lists(finite, min_size=len(SPEC.sensors), max_size=len(SPEC.sensors)),
)
def test_a_reading_survives_the_journey_whatever_its_values(
    device_id: str, seq: int, event_time_ms: int, values: list[float]
) -> None:
    reading = Reading(device_id, seq, event_time_ms, dict(zip(SPEC.sensors, values, strict=True)))
    assert decode(encode_reading(reading), SPEC, NOW_MS, 300) == reading


@settings(deadline=None)
@given(
    device_ids,
    st.integers(0, 2**52),
    st.lists(st.tuples(st.integers(0, 2**44), finite | st.just(math.nan), finite), max_size=9),
)
def test_many_readings_have_the_bytes_of_each_by_itself(
    device_id: str, first_seq: int, rows: list[tuple[int, float, float]]
) -> None:
    times = np.array([row[0] for row in rows], np.int64)
    columns = {
        name: np.array([row[i] for row in rows], np.float64) for i, name in enumerate("ab", 1)
    }
    assert encode_readings(device_id, first_seq, times, columns) == [
        encode_reading(Reading(device_id, seq, at, {"a": a, "b": b}))
        for seq, (at, a, b) in enumerate(rows, first_seq)
    ]


@settings(deadline=None)
@given(
    st.integers(1, 200_000),
    st.floats(1e-9, 1e6),
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=64, max_size=200),
)
def test_a_burst_survives_the_journey(rate_hz: int, scale: float, counts: list[int]) -> None:
    samples = np.array(counts, np.int16)
    burst = Burst("pump-1", 3, START_MS, rate_hz, scale, samples)
    found = decode(encode_burst(burst), SPEC, NOW_MS, 300)
    assert isinstance(found, Burst)
    assert (found.rate_hz, found.scale_m_s2, found.seq) == (rate_hz, scale, 3)
    assert np.array_equal(found.samples, samples)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_decoded_or_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidReading) as refused:
        decode(data, SPEC, NOW_MS, 300)
    assert refused.value.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(["telemetry", "burst"]), st.data())
def test_any_wrong_value_in_a_field_is_accepted_or_refused_and_never_crashes(
    kind: str, data: st.DataObject
) -> None:
    body = telemetry() if kind == "telemetry" else burst_body()
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(json_values)
    accepted = None
    with contextlib.suppress(InvalidReading):
        accepted = decode(json.dumps(body).encode(), SPEC, NOW_MS, 300)
    assert accepted is None or accepted.device_id == body["device_id"]


def telemetry(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "device_id": "pump-007",
        "seq": 5,
        "event_time_ms": START_MS,
        "values": dict.fromkeys(SPEC.sensors, 1.5),
        **changes,
    }


def burst_body(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "device_id": "pump-007",
        "seq": 5,
        "event_time_ms": START_MS,
        "rate_hz": 12_000,
        "scale_m_s2": 0.01,
        "samples_b64": base64.b64encode(bytes(200)).decode(),
        **changes,
    }


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def with_value(value: Any) -> dict[str, Any]:
    return telemetry(values=dict.fromkeys(SPEC.sensors, value))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([1, 2], "not a JSON object"),
        (without(telemetry(), "seq"), "missing field 'seq'"),
        (without(telemetry(), "values"), "missing field 'values'"),
        (without(burst_body(), "rate_hz"), "missing field 'rate_hz'"),
        (telemetry(label="bearing wear"), "unknown field 'label'"),
        (telemetry(schema=2), "schema is not 1"),
        (telemetry(schema=True), "schema is not 1"),
        (telemetry(device_id="../etc"), "device_id is not"),
        (telemetry(device_id="pump-007\n"), "device_id is not"),
        (telemetry(device_id="x" * 65), "device_id is not"),
        (telemetry(device_id=7), "device_id is not"),
        (telemetry(seq=-1), "seq is not"),
        (telemetry(seq=1.0), "seq is not"),
        (telemetry(seq=True), "seq is not"),
        (telemetry(seq=2**53), "seq is not"),
        (telemetry(event_time_ms="now"), "event_time_ms is not"),
        (telemetry(event_time_ms=-1), "event_time_ms is not"),
        (telemetry(event_time_ms=NOW_MS + 300_001), "more than 300 s in the future"),
        (telemetry(values=[1, 2]), "values is not an object"),
        (telemetry(values={"temperature_c": 1.0}), "missing sensor 'pressure_bar'"),
        (telemetry(values=dict.fromkeys([*SPEC.sensors, "x"], 1)), "unknown sensor 'x'"),
        (with_value("71.3"), "value of 'temperature_c' is not a number"),
        (with_value(True), "value of 'temperature_c' is not a number"),
        (with_value(None), "value of 'temperature_c' is not a number"),
        (with_value(float("nan")), "not JSON"),
        (with_value(float("inf")), "not JSON"),
        (burst_body(rate_hz=0), "rate_hz is not"),
        (burst_body(rate_hz=12_000.0), "rate_hz is not"),
        (burst_body(scale_m_s2=0), "scale_m_s2 is not"),
        (burst_body(scale_m_s2="1"), "scale_m_s2 is not"),
        (burst_body(samples_b64=[1]), "samples_b64 is not a string"),
        (burst_body(samples_b64="not base64!"), "samples_b64 is not base64"),
        (burst_body(samples_b64=base64.b64encode(bytes(201)).decode()), "int16 samples"),
        (burst_body(samples_b64=""), "int16 samples"),
    ],
)
def test_each_malformed_message_is_refused_with_its_reason(body: Any, reason: str) -> None:
    with pytest.raises(InvalidReading, match=reason):
        decode(json.dumps(body).encode(), SPEC, NOW_MS, 300)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b'{"schema":1,', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b" " * (MAX_PAYLOAD_BYTES + 1), "payload of more than 131072 bytes"),
        (json.dumps(telemetry()).replace("1.5", "1e999").encode(), "not finite|not JSON"),
    ],
)
def test_what_is_not_json_or_too_large_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidReading, match=reason):
        decode(payload, SPEC, NOW_MS, 300)


@pytest.mark.parametrize("value", [-273.2, 1e12, -0.0, 0, 71])
def test_values_that_no_pump_can_have_are_not_refused(value: float) -> None:
    found = decode(json.dumps(with_value(value)).encode(), SPEC, NOW_MS, 300)
    assert isinstance(found, Reading)
    assert set(map(type, found.values.values())) == {float}


def test_the_limit_of_the_future_is_still_accepted() -> None:
    body = telemetry(event_time_ms=NOW_MS + 300_000)
    assert decode(json.dumps(body).encode(), SPEC, NOW_MS, 300).event_time_ms == NOW_MS + 300_000


def test_bursts_are_refused_where_the_spec_has_none() -> None:
    spec = FeatureSpec.parse('{"sensors":{"temperature_c":[0,1]},"bursts":false}')
    with pytest.raises(InvalidReading, match="bursts are not in the feature spec"):
        decode(json.dumps(burst_body()).encode(), spec, NOW_MS, 300)


@pytest.mark.parametrize(
    ("topic", "name"), [(telemetry_topic, "telemetry"), (burst_topic, "burst")]
)
def test_topics_carry_the_device_where_the_rule_looks_for_it(
    topic: Callable[[str], str], name: str
) -> None:
    assert topic("pump-007") == f"fleet/pump-007/{name}"


GAPPY = replace(SPEC, optional=("pressure_bar",))


@pytest.mark.parametrize(
    "values", [{"temperature_c": 71.5}, {"temperature_c": 71.5, "pressure_bar": None}]
)
def test_an_optional_sensor_may_be_left_out_or_be_null(values: dict[str, Any]) -> None:
    found = decode(json.dumps(telemetry(values=values)).encode(), GAPPY, NOW_MS, 300)
    assert isinstance(found, Reading)
    assert found.values["temperature_c"] == 71.5
    assert math.isnan(found.values["pressure_bar"])
    assert json.loads(encode_reading(found))["values"] == {"temperature_c": 71.5}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"pressure_bar": 4.0}, "missing sensor 'temperature_c'"),
        ({"temperature_c": 1.0, "flow": 2.0}, "unknown sensor 'flow'"),
        ({"temperature_c": "hot"}, "value of 'temperature_c' is not a number"),
        ({"temperature_c": 1.0, "pressure_bar": "low"}, "value of 'pressure_bar' is not a number"),
    ],
)
def test_what_is_not_optional_is_still_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidReading, match=reason):
        decode(json.dumps(telemetry(values=values)).encode(), GAPPY, NOW_MS, 300)
