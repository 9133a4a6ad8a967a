"""What is malformed ends in the dead-letter prefix or is refused; the rest goes on."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.fleet.delivery import Message
from simulator.targets import Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
VALUES = {
    "temperature_c": 60.0,
    "velocity_mm_s_rms": 2.0,
    "pressure_bar": 5.0,
    "current_a": 20.0,
}
DEVICES = count(1)
"""Every test has a machine of its own, so that tests do not see each other's messages."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return a twin with everything but machines."""
    made = Embedded(START, tmp_path_factory.mktemp("bad-messages") / "state", speed=None, seed=1)
    try:
        made.boot({}, prewarmed=False)
        yield made
    finally:
        made.close()


@pytest.fixture
def device() -> str:
    """Return a machine that nobody has heard of."""
    return f"pump-{next(DEVICES):03d}"


def reading(target: Embedded, device: str, seq: int, **changes: Any) -> dict[str, Any]:
    """Return a good message with ``changes``."""
    event_time_ms = int(target.cloud.engine.epoch_s() * 1000) + seq
    message = {"schema": 1, "device_id": device, "seq": seq, "event_time_ms": event_time_ms}
    return {**message, "values": dict(VALUES), **changes}


def publish(target: Embedded, device: str, payloads: list[bytes]) -> Any:
    """Publish payloads at the rate that a connection may, and let the stream be worked off."""
    topic, now = f"fleet/{device}/telemetry", target.clock.now
    last = now + len(payloads) * 0.02
    target.run_until(last)
    result = target.publish(
        [Message(topic, payload, device, now + i * 0.02) for i, payload in enumerate(payloads)]
    )
    target.drain()
    return result


def stored(target: Embedded, device: str) -> list[int]:
    """Return the sequence numbers of a machine's readings in the raw zone."""
    rows = [
        json.loads(line)
        for _, body in target.objects(target.bucket("raw"), "telemetry/")
        for line in gzip.decompress(body).splitlines()
    ]
    return sorted(row["seq"] for row in rows if row["device_id"] == device)


def dead_letters(target: Embedded) -> list[dict[str, Any]]:
    """Return every dead letter so far."""
    return [
        json.loads(line)
        for _, body in target.objects(target.bucket("raw"), "dead-letter/")
        for line in body.splitlines()
    ]


def without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


Change = Callable[[dict[str, Any]], bytes]


def dumped(**changes: Any) -> Change:
    return lambda good: json.dumps({**good, **changes}).encode()


BAD: dict[str, tuple[Change, str]] = {
    "bad JSON": (lambda good: b'{"schema": 1,', "not JSON"),
    "no bytes at all": (lambda good: b"", "not JSON"),
    "not UTF-8": (lambda good: b'"\xff\xfe"', "not JSON"),
    "a list": (lambda good: json.dumps([good]).encode(), "not a JSON object"),
    "a missing field": (
        lambda good: json.dumps(without(good, "event_time_ms")).encode(),
        "missing field 'event_time_ms'",
    ),
    "an unknown field": (dumped(colour="red"), "unknown field 'colour'"),
    "another schema": (dumped(schema=2), "schema is not 1"),
    "a wrong type": (dumped(seq="7"), "seq is not a whole number from 0 to 2^53 - 1"),
    "a value of a wrong type": (
        dumped(values={**VALUES, "current_a": "20"}),
        "value of 'current_a' is not a number",
    ),
    "true for a number": (
        dumped(values={**VALUES, "current_a": True}),
        "value of 'current_a' is not a number",
    ),
    "NaN": (dumped(values={**VALUES, "pressure_bar": float("nan")}), "not JSON"),
    "infinity": (dumped(values={**VALUES, "pressure_bar": float("inf")}), "not JSON"),
    "a missing sensor": (
        dumped(values=without(VALUES, "pressure_bar")),
        "missing sensor 'pressure_bar'",
    ),
    "an unknown sensor": (dumped(values={**VALUES, "oil_bar": 1.0}), "unknown sensor 'oil_bar'"),
    "a time far in the future": (
        lambda good: json.dumps({**good, "event_time_ms": 4_000_000_000_000}).encode(),
        "event_time_ms is more than 300 s in the future",
    ),
    "a time before 1970": (
        dumped(event_time_ms=-1),
        "event_time_ms is not a whole number of at least 0",
    ),
    "another machine's name": (
        dumped(device_id="pump-999"),
        "device_id is not the one of the topic",
    ),
    "a burst without samples": (dumped(samples_b64="AAA"), "missing field 'rate_hz'"),
}


def test_every_malformed_message_is_kept_with_its_reason_and_the_good_ones_are_stored(
    target: Embedded, device: str
) -> None:
    payloads, expected = [], []
    for number, (change, reason) in enumerate(BAD.values()):
        # A good one before each bad one: all travel in the same batches.
        payloads.append(json.dumps(reading(target, device, 2 * number)).encode())
        payloads.append(change(reading(target, device, 2 * number + 1)))
        expected.append((payloads[-1], reason))
    before = len(dead_letters(target))
    result = publish(target, device, payloads)

    assert (result.delivered, result.discarded) == (len(payloads), 0)
    assert stored(target, device) == [2 * number for number in range(len(BAD))]
    kept = [(b64decode(letter["payload_b64"]), letter["reason"]) for letter in dead_letters(target)]
    assert kept[before:] == expected
    assert all(letter["sequence_number"] for letter in dead_letters(target))


def test_the_alarm_on_dead_letters_is_raised(target: Embedded, device: str) -> None:
    publish(target, device, [b"not JSON"])
    target.run_until(target.clock.now + 90.0)
    alarms = target.call("cloudwatch", "DescribeAlarms", AlarmNames=["fleetwin-dev-dead-letters"])
    assert alarms["MetricAlarms"][0]["StateValue"] == "ALARM"


def test_a_payload_of_200_kb_is_refused_by_the_broker_and_the_next_message_passes(
    target: Embedded, device: str
) -> None:
    before = len(dead_letters(target))
    good = json.dumps(reading(target, device, 1)).encode()
    result = publish(target, device, [b" " * 200_000, good])
    assert (result.delivered, result.discarded) == (1, 1)
    assert stored(target, device) == [1]
    assert len(dead_letters(target)) == before


def test_mapping_and_detector_go_on_after_bad_messages(target: Embedded, device: str) -> None:
    publish(target, device, [b"{", b"["])
    publish(target, device, [json.dumps(reading(target, device, 5)).encode()])
    assert stored(target, device) == [5]
    mappings = target.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]
    assert {mapping["State"] for mapping in mappings} == {"Enabled"}
    assert target.cloud.mappings.problems() == []


anything = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schema", "device_id", "seq", "event_time_ms", "values", "x"]),
                inner,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payloads=st.lists(anything, min_size=1, max_size=30))
def test_whatever_is_published_is_stored_or_dead_lettered_once(
    target: Embedded, payloads: list[bytes]
) -> None:
    device = f"pump-{next(DEVICES):03d}"
    before = len(dead_letters(target))
    result = publish(target, device, payloads)
    kept = len(dead_letters(target)) - before
    assert result.delivered == len(payloads) == len(stored(target, device)) + kept
