"""The raw zone holds each message once, whatever fails and however batches are cut."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SettingsError, StateConflict
from pipeline.ingestion.raw_batch import RawWriter
from pipeline.messages import Burst, Reading
from pipeline.sequence import REMEMBERED
from pipeline.settings import RawWriterSettings
from pipeline.state_table import StateTable
from pipeline.tests.fakes import CallFailedError, FakeDynamoDb, FakeS3, Trouble
from pipeline.tests.streams import (
    SPEC,
    START_MS,
    Weather,
    kinesis_record,
    payload,
    stream,
    weathers,
)

Record = dict[str, Any]
BAD = [b"", b"{", b'{"schema":1}', b"[NaN]"]


class Twin:
    """A raw writer with its bucket, table and log."""

    def __init__(self, trouble: Trouble | None = None) -> None:
        self.trouble = trouble or Trouble()
        self.s3 = FakeS3(self.trouble)
        self.dynamodb = FakeDynamoDb(self.trouble)
        self.lines: list[str] = []
        self.writer = self.new_writer()

    def new_writer(self) -> RawWriter:
        """Return another warm worker of the same function."""
        return RawWriter(
            RawWriterSettings("raw", "states", SPEC, 300, "Fleetwin"),
            self.s3,
            StateTable(self.dynamodb, "states", sleep=lambda seconds: None),
            self.lines.append,
        )

    def handle(self, batch: Sequence[Record]) -> None:
        """Handle a batch as the mapping hands it over."""
        assert self.writer.handle({"Records": list(batch)}) == {"batchItemFailures": []}

    def stored(self) -> list[dict[str, Any]]:
        """Return all lines of telemetry and bursts."""
        return [
            {**json.loads(line), "kind": key.split("/")[1], "key": key}
            for key, body in self.s3.objects.items()
            if key.endswith(".jsonl.gz")
            for line in gzip.decompress(body).splitlines()
        ]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return all lines of the dead-letter prefix."""
        return [
            json.loads(line)
            for key, body in self.s3.objects.items()
            if key.startswith("raw/dead-letter/")
            for line in body.splitlines()
        ]

    def metric(self, name: str) -> int:
        """Return the sum of a metric over the log."""
        return sum(json.loads(line)[name] for line in self.lines)


def shard(messages: Sequence[Reading | Burst], seed: int = 0, bad: float = 0.0) -> list[Record]:
    """Return the messages as records of one shard, some followed by a malformed one."""
    rng = np.random.default_rng(seed)
    found: list[Record] = []
    for message in messages:
        arrival_s = message.event_time_ms / 1000 + 10
        found.append(kinesis_record(len(found), payload(message), message.device_id, arrival_s))
        if rng.random() < bad:
            wrong = BAD[int(rng.integers(len(BAD)))]
            found.append(kinesis_record(len(found), wrong, message.device_id, arrival_s))
    return found


def identity(line: dict[str, Any]) -> tuple[str, str, int]:
    return line["kind"], line["device_id"], line["seq"]


def identities(messages: Sequence[Reading | Burst]) -> set[tuple[str, str, int]]:
    return {
        ("telemetry" if isinstance(message, Reading) else "bursts", message.device_id, message.seq)
        for message in messages
    }


@settings(deadline=None, max_examples=60)
@given(weathers, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.3]))
def test_each_message_is_stored_exactly_once_whatever_fails_and_is_tried_again(
    weather: Weather, seed: int, trouble: float
) -> None:
    rng = np.random.default_rng(seed)
    twin = Twin(Trouble(lambda: bool(rng.random() < trouble)))
    writers = [twin.writer, twin.new_writer()]
    messages = stream(weather)
    records = shard(messages, seed, bad=0.05)
    position = 0
    while position < len(records):
        twin.writer = writers[int(rng.integers(2))]
        # A batch that failed comes again from its start: as it was, cut in two, or longer.
        batch = records[position : position + int(rng.integers(1, 60))]
        try:
            twin.handle(batch)
        except CallFailedError:
            if rng.random() < 0.9:
                continue
        else:
            position += len(batch)
            continue
        # Some failures exhaust their retries only to be replayed: nothing may be lost.
        twin.trouble.fails = lambda: False
    stored = twin.stored()
    assert Counter(map(identity, stored)) == Counter(identities(messages))
    refused = len(records) - len(messages)
    assert len({letter["sequence_number"] for letter in twin.dead_letters()}) == refused


@settings(deadline=None, max_examples=30)
@given(weathers, st.integers(0, 2**32 - 1))
def test_without_failures_the_metrics_add_up(weather: Weather, seed: int) -> None:
    twin = Twin()
    messages = stream(weather)
    records = shard(messages, seed, bad=0.1)
    for start in range(0, len(records), 17):
        twin.handle(records[start : start + 17])
    stored = twin.stored()
    late = sum(line["late"] for line in stored)
    assert twin.metric("Late") == late
    assert twin.metric("Stored") == len(stored) - late
    assert twin.metric("Duplicates") == len(messages) - len(stored)
    assert twin.metric("DeadLettered") == len(records) - len(messages) == len(twin.dead_letters())
    assert twin.metric("PayloadBytes") == sum(
        len(base64.b64decode(record["kinesis"]["data"])) for record in records
    )


@settings(deadline=None, max_examples=30)
@given(weathers, st.integers(1, 50), st.integers(1, 50))
def test_what_is_late_does_not_depend_on_the_batches(
    weather: Weather, one: int, other: int
) -> None:
    marks = []
    for size in (one, other):
        twin = Twin()
        records = shard(stream(weather))
        for start in range(0, len(records), size):
            twin.handle(records[start : start + size])
        marks.append({identity(line): line["late"] for line in twin.stored()})
    assert marks[0] == marks[1]


def reading(device_id: str, seq: int, time_ms: int = START_MS) -> Reading:
    return Reading(device_id, seq, time_ms, dict.fromkeys(SPEC.sensors, 1.5))


def test_an_ordinary_batch_costs_three_calls() -> None:
    twin = Twin()
    twin.handle(shard([reading(f"pump-{number}", 0) for number in range(20)]))
    assert twin.trouble.calls == ["BatchGetItem", "PutObject", "TransactWriteItems"]


def test_objects_lie_by_event_time_and_are_named_after_their_first_new_record() -> None:
    twin = Twin()
    hour_ms = 3_600_000
    messages = [reading("pump-1", 0), reading("pump-1", 1, START_MS + hour_ms)]
    records = shard([messages[0], messages[0], *messages[1:]])
    twin.handle(records)
    name = "raw/telemetry/dt=2026-01-05/hour={}/shardId-000000000000-{}.jsonl.gz"
    assert set(twin.s3.objects) == {
        name.format("00", records[0]["kinesis"]["sequenceNumber"]),
        name.format("01", records[2]["kinesis"]["sequenceNumber"]),
    }
    line = twin.stored()[0]
    del line["kind"], line["key"]
    assert line == {
        "schema": 1,
        "device_id": "pump-1",
        "seq": 0,
        "event_time_ms": START_MS,
        "late": False,
        "values": dict.fromkeys(SPEC.sensors, 1.5),
    }


def test_more_devices_than_a_transaction_holds_are_stored_once_after_a_failure_between() -> None:
    messages = [reading(f"pump-{number}", seq) for seq in range(2) for number in range(150)]
    records = shard(messages)
    counted = iter(range(1_000))
    # The first stretch succeeds (3 calls, asked twice each), then a call fails.
    twin = Twin(Trouble(lambda: next(counted) in (9, 14)))
    for _ in range(2):
        with pytest.raises(CallFailedError):
            twin.handle(records)
    twin.handle(records)
    assert Counter(map(identity, twin.stored())) == Counter(identities(messages))


def test_a_message_older_than_the_memory_is_kept_and_not_overwritten_by_a_retry() -> None:
    twin = Twin()
    new = REMEMBERED + 10
    records = shard([reading("pump-1", new), reading("pump-1", 3), reading("pump-1", new + 1)])
    twin.handle(records[:1])
    twin.handle(records[1:])
    twin.handle(records[1:])  # The answer of the attempt before was lost.
    assert sorted(line["seq"] for line in twin.stored()) == [3, new, new + 1]


def test_a_dead_letter_keeps_payload_and_reason() -> None:
    twin = Twin()
    twin.handle([kinesis_record(7, b"\xff{", "pump-1", START_MS / 1000 + 0.25)])
    (letter,) = twin.dead_letters()
    assert base64.b64decode(letter["payload_b64"]) == b"\xff{"
    assert letter["reason"] == "not JSON"
    assert letter["arrival_ms"] == START_MS + 250
    (key,) = twin.s3.objects
    assert key.startswith("raw/dead-letter/dt=2026-01-05/hour=00/shardId-000000000000-4954")
    assert twin.trouble.calls == ["PutObject"]


def test_a_message_in_another_devices_name_is_a_dead_letter() -> None:
    twin = Twin()
    twin.handle([kinesis_record(0, payload(reading("pump-1", 0)), "pump-2", START_MS / 1000)])
    assert [letter["reason"] for letter in twin.dead_letters()] == [
        "device_id is not the one of the topic"
    ]
    assert not twin.stored()


def test_another_writer_makes_the_batch_be_tried_again() -> None:
    twin = Twin()
    records = shard([reading("pump-1", 0), reading("pump-1", 1)])
    twin.handle(records[:1])
    stale = twin.dynamodb.items
    twin.dynamodb.items = {"raw#pump-1": {**stale["raw#pump-1"], "last_seq": {"S": "1"}}}
    read = twin.dynamodb.batch_get_item
    twin.dynamodb.batch_get_item = lambda **request: {  # type: ignore[method-assign]
        "Responses": {"states": list(stale.values())}
    }
    with pytest.raises(StateConflict):
        twin.handle(records[1:])
    assert len(twin.lines) == 1, "a batch that is not accounted for is not counted"
    twin.dynamodb.batch_get_item = read  # type: ignore[method-assign]
    twin.handle(records[1:])


def test_the_entry_point_names_a_missing_setting_when_it_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAW_BUCKET", raising=False)
    with pytest.raises(SettingsError, match="RAW_BUCKET"):
        importlib.import_module("pipeline.ingestion.raw_writer")


def test_the_log_line_names_objects_and_spans_so_that_a_reading_can_be_traced() -> None:
    twin = Twin()
    first = Reading("a", 0, START_MS, dict.fromkeys(SPEC.sensors, 1.0))
    later = Reading("a", 1, START_MS + 1_000, dict.fromkeys(SPEC.sensors, 1.0))
    twin.handle(shard([first, later]))
    (line,) = [json.loads(text) for text in twin.lines]
    assert line["devices"] == {"a": [START_MS, START_MS + 1_000]}
    assert [f"raw/{key}" for key in line["objects"]] == list(twin.s3.objects)
    assert line["ArrivalDelay"] == 10_000
