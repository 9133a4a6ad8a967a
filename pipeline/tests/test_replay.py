"""Dead letters go back on the stream, wherever the replay is killed."""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StreamRefused
from pipeline.ingestion.dead_letters import (
    IMPERSONATION,
    DeadLetter,
    Selection,
    UnreadableDeadLetter,
    decode_letters,
    partition_key,
)
from pipeline.ingestion.raw_zone import dead_letter_objects
from pipeline.ingestion.replay import (
    MAX_ATTEMPTS,
    MAX_REQUEST_BYTES,
    Repair,
    Replay,
    Replayed,
    requests_of,
)
from pipeline.kinesis_records import Record, Refused
from pipeline.tests.fakes import CallFailedError, Trouble, client_error

ARRIVAL_MS = 1_767_571_200_000
REASONS = ("not JSON", "missing sensor 'x'", IMPERSONATION)


class Errors:
    """The error classes that a boto3 client carries."""

    class NoSuchKey(ClientError):
        """There is no such object."""


class Bucket:
    """The operations of S3 that a replay uses, with the conditions."""

    exceptions = Errors

    def __init__(self, trouble: Trouble) -> None:
        self.objects: dict[str, bytes] = {}
        self._trouble = trouble

    def get_paginator(self, name: str) -> Any:
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Any:
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        yield {"Contents": [{"Key": key} for key in keys]} if keys else {}

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        body = self.objects[Key]
        return {"ETag": self.etag(Key), "Body": io.BytesIO(body)}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfMatch: str = "") -> Any:
        if IfMatch and IfMatch != self.etag(Key):
            raise client_error("PreconditionFailed", "PutObject")
        self._trouble.call("PutObject", lambda: self.objects.__setitem__(Key, Body))

    def copy_object(self, *, Bucket: str, Key: str, CopySource: Any, CopySourceIfMatch: str) -> Any:
        if CopySourceIfMatch != self.etag(CopySource["Key"]):
            raise client_error("PreconditionFailed", "CopyObject")
        body = self.objects[CopySource["Key"]]
        self._trouble.call("CopyObject", lambda: self.objects.__setitem__(Key, body))

    def delete_object(self, *, Bucket: str, Key: str) -> Any:
        self._trouble.call("DeleteObject", lambda: self.objects.pop(Key))

    def etag(self, key: str) -> str:
        return hashlib.sha256(self.objects[key]).hexdigest()


class Stream:
    """Takes records; throttles those that a test tells it to."""

    def __init__(self, trouble: Trouble, throttled: Any = lambda: False) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self._trouble = trouble
        self._throttled = throttled

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> Any:
        assert 0 < len(Records) <= 500
        return self._trouble.call("PutRecords", lambda: self._put(Records))

    def _put(self, records: list[dict[str, Any]]) -> Any:
        answers = []
        for record in records:
            if self._throttled():
                answers.append({"ErrorCode": "ProvisionedThroughputExceededException"})
            else:
                self.taken.append((record["PartitionKey"], record["Data"]))
                answers.append({"SequenceNumber": "1"})
        return {"Records": answers}


def letters_of(reasons: list[list[str]]) -> dict[str, bytes]:
    """Return objects as the raw writer leaves them, one a list, each payload another."""
    objects: dict[str, bytes] = {}
    number = 0
    for hour, found in enumerate(reasons):
        refused = []
        for reason in found:
            number += 1
            payload = json.dumps({"device_id": f"pump-{number % 3}", "seq": number}).encode()
            record = Record("shard-0", str(number), "p", ARRIVAL_MS + hour * 3_600_000, payload)
            refused.append(Refused(record, reason))
        objects |= dead_letter_objects(refused)
    return objects


def payloads_in(objects: dict[str, bytes], prefix: str) -> Counter[bytes]:
    """Return the payloads of the letters below a prefix."""
    return Counter(
        letter.payload
        for key, body in objects.items()
        if key.startswith(prefix)
        for letter in decode_letters(key[key.index("dead-letter/") :], body)
    )


reasons = st.lists(st.lists(st.sampled_from(REASONS), min_size=1, max_size=4), max_size=6)


@given(
    found=reasons, failures=st.lists(st.booleans(), max_size=40), wanted=st.sampled_from(REASONS)
)
def test_wherever_a_replay_is_killed_nothing_is_lost_and_the_next_ends_it(
    found: list[list[str]], failures: list[bool], wanted: str
) -> None:
    plan = iter(failures)
    trouble = Trouble(lambda: next(plan, False))
    bucket, stream = Bucket(trouble), Stream(trouble)
    bucket.objects = letters_of(found)
    before = payloads_in(bucket.objects, "dead-letter/")
    chosen = {
        letter.payload
        for key, body in bucket.objects.items()
        for letter in decode_letters(key, body)
        if letter.reason == wanted
    }
    replay = Replay(bucket, stream, "raw", "stream", sleep=lambda s: None)
    while True:
        try:
            replay.run(Selection(wanted), Repair())
            break
        except CallFailedError:
            waiting = payloads_in(bucket.objects, "dead-letter/")
            assert set(before) <= set(waiting) | {payload for _, payload in stream.taken}
    assert {payload for _, payload in stream.taken} == chosen
    assert set(payloads_in(bucket.objects, "dead-letter-replayed/")) == chosen
    assert payloads_in(bucket.objects, "dead-letter/") == Counter(set(before) - chosen)
    assert all(partition_key(payload) == key for key, payload in stream.taken)


@given(failures=st.lists(st.booleans(), max_size=30), found=reasons)
def test_throttled_records_are_sent_again_alone(
    failures: list[bool], found: list[list[str]]
) -> None:
    plan = iter(failures)
    bucket = Bucket(Trouble())
    stream = Stream(Trouble(), lambda: next(plan, False))
    bucket.objects = letters_of(found)
    waits: list[float] = []
    replay = Replay(bucket, stream, "raw", "stream", sleep=waits.append)
    try:
        result = replay.run(Selection(), Repair())
    except StreamRefused:
        assert len(waits) == MAX_ATTEMPTS - 1
        return
    assert result.accepted == sum(result.reasons.values()) == len(stream.taken)
    assert Counter(payload for _, payload in stream.taken) == payloads_in(
        bucket.objects, "dead-letter-replayed/"
    )


def test_a_stream_that_keeps_refusing_ends_the_replay_with_everything_in_its_place() -> None:
    bucket = Bucket(Trouble())
    bucket.objects = letters_of([["not JSON"] * 3])
    before = dict(bucket.objects)
    waits: list[float] = []
    replay = Replay(bucket, Stream(Trouble(), lambda: True), "raw", "s", sleep=waits.append)
    with pytest.raises(StreamRefused, match="refused 3 records 12 times"):
        replay.run(Selection(), Repair())
    assert bucket.objects == before
    assert waits == sorted(waits)
    assert max(waits) == 5.0


@given(sizes=st.lists(st.integers(0, 3 * 1024 * 1024), max_size=12), many=st.integers(0, 1_200))
def test_requests_keep_order_and_limits(sizes: list[int], many: int) -> None:
    entries = [{"Data": bytes(size), "PartitionKey": "k"} for size in [*sizes, *[1] * many]]
    requests = list(requests_of(entries))
    assert [entry for request in requests for entry in request] == entries
    for request in requests:
        assert 0 < len(request) <= 500
        assert sum(len(entry["Data"]) + 1 for entry in request) <= MAX_REQUEST_BYTES


def test_a_dry_run_counts_and_changes_nothing() -> None:
    trouble = Trouble()
    bucket, stream = Bucket(trouble), Stream(trouble)
    bucket.objects = letters_of([["not JSON", IMPERSONATION], ["not JSON"]])
    result = Replay(bucket, stream, "raw", "s").run(Selection(), Repair(), dry=True)
    assert result == Replayed(Counter({"not JSON": 2}), Counter({IMPERSONATION: 1}))
    assert trouble.calls == []


def test_an_object_that_was_written_again_meanwhile_stays() -> None:
    trouble = Trouble()
    bucket, stream = Bucket(trouble), Stream(trouble)
    bucket.objects = letters_of([["not JSON"]])
    ((key, body),) = bucket.objects.items()
    put = stream.put_records

    def put_records(**request: Any) -> Any:
        bucket.objects[key] = body + body
        return put(**request)

    stream.put_records = put_records  # type: ignore[method-assign]
    result = Replay(bucket, stream, "raw", "s").run(Selection(), Repair())
    assert result.changed == [key]
    assert bucket.objects == {key: body + body}


def test_letters_of_other_hours_are_left() -> None:
    bucket, stream = Bucket(Trouble()), Stream(Trouble())
    bucket.objects = letters_of([["not JSON"], ["not JSON"], ["not JSON"]])
    middle = datetime.fromtimestamp(ARRIVAL_MS / 1000 + 3_600, UTC)
    selection = Selection("", middle, middle.replace(minute=1))
    result = Replay(bucket, stream, "raw", "s").run(selection, Repair())
    assert (result.accepted, result.objects, sum(result.left.values())) == (1, 1, 2)


def test_failed_batches_and_failed_messages_keep_the_key_that_they_came_with() -> None:
    record = {
        "kinesis": {
            "data": b64encode(b"{}").decode(),
            "partitionKey": "pump-1",
            "approximateArrivalTimestamp": 1_767_571_200.5,
        }
    }
    arn = "arn:aws:lambda:us-east-1:000000000000:function:writer"
    batch = {
        "requestContext": {"functionArn": arn, "condition": "RetryAttemptsExhausted"},
        "payload": json.dumps({"Records": [record]}),
    }
    expected = DeadLetter(
        "batch given up by writer: RetryAttemptsExhausted", b"{}", "pump-1", ARRIVAL_MS + 500
    )
    assert decode_letters("aws/lambda/m/s/x", json.dumps(batch).encode()) == [expected]
    plain = {**batch, "payload": {"Records": [record]}}
    assert decode_letters("aws/lambda/m/s/x", json.dumps(plain).encode()) == [expected]
    failed = {
        "ruleName": "r",
        "base64OriginalPayload": b64encode(b"\xff").decode(),
        "failures": [{"failedAction": "KinesisAction"}],
    }
    key = f"dead-letter/iot/pump-2/{ARRIVAL_MS}-00000000-0000.json"
    assert decode_letters(key, json.dumps(failed).encode()) == [
        DeadLetter("rule r: KinesisAction failed", b"\xff", "pump-2", ARRIVAL_MS)
    ]


@given(body=st.binary(max_size=60), prefix=st.sampled_from(["dead-letter/dt=", "aws/lambda/"]))
def test_what_cannot_be_read_is_reported_and_left(body: bytes, prefix: str) -> None:
    bucket, stream = Bucket(Trouble()), Stream(Trouble())
    bucket.objects = {prefix + "x": body}
    try:
        readable = decode_letters(prefix + "x", body)
    except UnreadableDeadLetter:
        result = Replay(bucket, stream, "raw", "s").run(Selection(), Repair())
        assert len(result.unreadable) == 1
        assert bucket.objects == {prefix + "x": body}
        assert stream.taken == []
    else:
        assert readable == []


def test_sensors_are_renamed_and_left_out() -> None:
    payload = json.dumps({"device_id": "p", "values": {"temp": 1.5, "oil_bar": 2.0}}).encode()
    repair = Repair({"temp": "temperature_c"}, frozenset({"oil_bar"}))
    applied = repair.applied(DeadLetter("r", payload, "p", 0))
    assert json.loads(applied.payload) == {"device_id": "p", "values": {"temperature_c": 1.5}}
    for other in (b"[1]", b"{", b'{"values": 3}', b'"text"'):
        assert repair.applied(DeadLetter("r", other, "p", 0)).payload == other
