"""`fleetwin replay-dead-letters` against a twin that is up: each reading is stored once."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.client import BaseClient
from typer.testing import CliRunner, Result

from simulator.aws_endpoint import endpoint_of
from simulator.cli_commands import app
from simulator.errors import EnvironmentMissing, SimulatorError
from simulator.fleet.delivery import Message
from simulator.targets import Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
VALUES = {
    "temperature_c": 60.0,
    "velocity_mm_s_rms": 2.0,
    "pressure_bar": 5.0,
    "current_a": 20.0,
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return a twin with everything but machines."""
    made = Embedded(START, tmp_path_factory.mktemp("twin") / "state", speed=None, seed=1)
    try:
        made.boot({}, prewarmed=False)
        yield made
    finally:
        made.close()


def command(target: Embedded, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Run the command in a thread while the twin's clock runs in this one."""
    for name, value in target.environment().items():
        monkeypatch.setenv(name, value)
    results: list[Result] = []

    def invoke() -> None:
        results.append(CliRunner().invoke(app, ["replay-dead-letters", *words]))

    thread = threading.Thread(target=invoke)
    thread.start()
    while thread.is_alive():
        target.run_until(target.clock.now + 0.05)
        thread.join(0.005)
    target.drain()
    return results[0]


def publish(target: Embedded, device: str, messages: list[dict[str, Any]]) -> None:
    """Publish a machine's messages, and let the stream be worked off."""
    topic, now = f"fleet/{device}/telemetry", target.clock.now
    payloads = [json.dumps(message).encode() for message in messages]
    target.publish([Message(topic, body, device, now) for body in payloads])
    target.drain()


def reading(target: Embedded, device: str, seq: int, **more: float) -> dict[str, Any]:
    """Return a reading with further sensors."""
    at_ms = int(target.cloud.engine.epoch_s() * 1000) + seq
    head = {"schema": 1, "device_id": device, "seq": seq, "event_time_ms": at_ms}
    return {**head, "values": {**VALUES, **more}}


def stored(target: Embedded, device: str) -> list[int]:
    """Return the sequence numbers of a machine's readings in the raw zone."""
    rows = [
        json.loads(line)
        for _, body in target.objects(target.bucket("raw"), "telemetry/")
        for line in gzip.decompress(body).splitlines()
    ]
    return sorted(row["seq"] for row in rows if row["device_id"] == device)


def keys(target: Embedded, prefix: str) -> list[str]:
    """Return the keys below a prefix of the raw bucket."""
    return [key for key, _ in target.objects(target.bucket("raw"), prefix)]


def test_repaired_readings_are_stored_and_their_objects_moved(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = "pump-001"
    publish(target, device, [reading(target, device, seq, oil_bar=1.0) for seq in range(3)])
    assert stored(target, device) == []
    dry = command(target, monkeypatch, "--dry-run")
    assert "3 would be replayed: unknown sensor 'oil_bar'" in dry.output
    done = command(target, monkeypatch, "--drop", "oil_bar")
    assert done.exit_code == 0, done.output
    assert "3 records accepted, 1 objects moved" in done.output
    assert stored(target, device) == [0, 1, 2]
    assert keys(target, "dead-letter/") == []
    assert len(keys(target, "dead-letter-replayed/")) == 1
    again = command(target, monkeypatch, "--drop", "oil_bar")
    assert "0 records accepted, 0 objects moved" in again.output


def test_killed_between_put_and_move_and_started_again_each_reading_is_stored_once(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = "pump-002"
    publish(target, device, [reading(target, device, seq, oil_bar=1.0) for seq in range(5)])
    clients: Any = BaseClient
    real = clients._make_api_call

    def killed(client: BaseClient, name: str, params: Any) -> Any:
        if name == "CopyObject":
            raise KeyboardInterrupt
        return real(client, name, params)

    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", killed)
        assert command(target, monkeypatch, "--drop", "oil_bar").exit_code != 0
    assert stored(target, device) == [0, 1, 2, 3, 4]
    assert len(keys(target, "dead-letter/")) == 1
    again = command(target, monkeypatch, "--drop", "oil_bar")
    assert "5 records accepted, 1 objects moved" in again.output
    assert stored(target, device) == [0, 1, 2, 3, 4]
    assert keys(target, "dead-letter/") == []


def test_what_is_not_mended_becomes_a_dead_letter_again(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(target, "pump-003", [reading(target, "pump-003", 0, oil_bar=1.0)])
    before = keys(target, "dead-letter/")
    command(target, monkeypatch)
    after = keys(target, "dead-letter/")
    assert len(before) == len(after) == 1
    assert before != after
    command(target, monkeypatch, "--drop", "oil_bar")


def test_another_machines_name_is_not_laundered(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(target, "pump-004", [reading(target, "pump-999", 0)])
    result = command(target, monkeypatch)
    assert "1 left: device_id is not the one of the topic" in result.output
    assert stored(target, "pump-999") == []


def test_a_batch_that_a_function_gave_up_is_replayed(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = target.bucket("raw")
    payload = json.dumps(reading(target, "pump-005", 7)).encode()

    record = {
        "data": base64.b64encode(payload).decode(),
        "partitionKey": "pump-005",
        "approximateArrivalTimestamp": target.cloud.engine.epoch_s(),
    }
    document = {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:fleetwin-dev-raw-writer",
            "condition": "RetryAttemptsExhausted",
        },
        "payload": json.dumps({"Records": [{"kinesis": record}]}),
    }
    key = "aws/lambda/uuid/shardId-000000000000/2026/01/05/2026-01-05T00.00.00-id"
    target.call("s3", "PutObject", Bucket=bucket, Key=key, Body=json.dumps(document).encode())
    result = command(target, monkeypatch, "--reason", "RetryAttemptsExhausted")
    assert "1 records accepted, 1 objects moved" in result.output
    assert stored(target, "pump-005") == [7]
    assert keys(target, "dead-letter-replayed/aws/lambda/") == [f"dead-letter-replayed/{key}"]


def test_names_that_are_not_there_are_one_line(
    target: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = command(target, monkeypatch, "--stage", "moon")
    assert isinstance(result.exception, EnvironmentMissing)
    assert "no SSM parameter /fleetwin/moon/raw-bucket" in str(result.exception)
    result = command(target, monkeypatch, "--bucket", "nobody-has-this", "--stream", "x")
    assert isinstance(result.exception, SimulatorError)
    assert "NoSuchBucket" in str(result.exception)


@pytest.mark.parametrize(
    ("chosen", "url", "said"),
    [
        ("embedded", "", "is not set"),
        ("embedded", "https://kinesis.us-east-1.amazonaws.com", "not on this machine"),
        ("embedded", "http://127.0.0.1.example.org", "not on this machine"),
        ("embedded", "http://localhost@example.org", "not on this machine"),
        ("embedded", "http://[::2]:80", "not on this machine"),
        ("embedded", "http://[", "not on this machine"),
        ("aws", "http://127.0.0.1:4566", "unset it"),
        ("moon", "http://127.0.0.1:4566", "must be one of"),
    ],
)
def test_an_endpoint_that_was_not_meant_is_refused(chosen: str, url: str, said: str) -> None:
    with pytest.raises(EnvironmentMissing, match=said):
        endpoint_of(chosen, {"AWS_ENDPOINT_URL": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:2"])
def test_a_loopback_endpoint_is_a_twin_and_none_is_an_account(url: str) -> None:
    assert endpoint_of("embedded", {"AWS_ENDPOINT_URL": url}) == url
    assert endpoint_of("aws", {}) is None
