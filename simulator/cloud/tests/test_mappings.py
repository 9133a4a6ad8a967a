"""Mappings: nothing is lost or out of order whatever fails; destinations; permissions."""

from __future__ import annotations

import json
import tempfile
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.tests.fakes import ROLE
from simulator.cloud.tests.mapping_bench import BUCKET, QUEUE, STREAM, Bench, Trouble


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench whose handler succeeds."""
    made = Bench(tmp_path, lambda _: None)
    yield made
    made.twin.close()


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), min_size=1, max_size=12),
    poison=st.sets(st.integers(0, 60), max_size=4),
    accidents=st.lists(st.booleans(), max_size=12),
    batch_size=st.integers(1, 20),
    window_s=st.sampled_from([0, 1, 10]),
    shards=st.integers(1, 3),
    bisect=st.booleans(),
    report=st.booleans(),
    retries=st.integers(0, 3),
)
def test_every_record_is_delivered_in_order_per_key_or_sent_to_the_destination(
    *,
    writes: list[tuple[int, int]],
    poison: set[int],
    accidents: list[bool],
    batch_size: int,
    window_s: int,
    shards: int,
    bisect: bool,
    report: bool,
    retries: int,
) -> None:
    """At least once: in the handler or in the destination; first deliveries keep key order."""
    handler = Trouble({b"%d" % n for n in poison}, list(accidents), report)
    with tempfile.TemporaryDirectory() as state:
        bench = Bench(Path(state), handler, shards)
        bench.map(
            BatchSize=batch_size,
            MaximumBatchingWindowInSeconds=window_s,
            BisectBatchOnFunctionError=bisect,
            MaximumRetryAttempts=retries,
            FunctionResponseTypes=["ReportBatchItemFailures"] if report else [],
            DestinationConfig={"OnFailure": {"Destination": BUCKET}},
        )
        written: dict[str, list[bytes]] = defaultdict(list)
        number = 0
        for key, count in writes:
            payloads = [b"%d" % n for n in range(number, number + count)]
            number += count
            written[f"k{key}"] += payloads
            bench.put(*payloads, key=f"k{key}")
            bench.twin.engine.run(bench.twin.engine.env.now + 0.7 * key)
        bench.drain()
    given_up = {
        b64decode(record["kinesis"]["data"])
        for body in bench.twin.inbox.objects.values()
        for record in json.loads(body)["payload"]["Records"]
    }
    everything = {data for payloads in written.values() for data in payloads}
    assert set(handler.done) | given_up == everything
    seen = [data for batch in bench.function.batches for data in batch]
    for payloads in written.values():
        first_seen = list(dict.fromkeys(data for data in seen if data in set(payloads)))
        assert first_seen == payloads
    assert all(len(batch) <= batch_size for batch in bench.function.batches)


def test_a_window_gathers_what_comes_in_it(bench: Bench) -> None:
    bench.map(MaximumBatchingWindowInSeconds=10, BatchSize=1000)
    bench.twin.engine.run(5.0)
    for second in range(20):
        bench.put(b"%d" % second)
        bench.twin.engine.run(6.0 + second)
    bench.drain()
    assert [len(batch) for batch in bench.function.batches] == [11, 9]
    assert bench.function.times_s[0] == pytest.approx(15.0, abs=1.1)


def test_a_full_batch_does_not_wait_for_its_window(bench: Bench) -> None:
    bench.map(MaximumBatchingWindowInSeconds=300, BatchSize=3)
    bench.put(b"1", b"2", b"3")
    bench.drain()
    assert bench.twin.engine.env.now < 3.0


def test_a_batch_is_cut_at_six_megabytes(bench: Bench) -> None:
    bench.map(BatchSize=1000)
    for _ in range(10):
        bench.put(b"x" * 1_000_000)
        bench.twin.engine.run(bench.twin.engine.env.now + 1.0)
    bench.drain()
    sizes = [sum(len(r["kinesis"]["data"]) for r in e) for e in bench.function.events]
    assert sum(len(batch) for batch in bench.function.batches) == 10
    assert max(sizes) <= 6_291_456


def test_a_sleeping_mapping_makes_no_calls(bench: Bench) -> None:
    bench.map()
    bench.twin.engine.run(10.0)
    calls = len(bench.twin.dispatch.calls)
    bench.twin.engine.run(100_000.0)
    assert len(bench.twin.dispatch.calls) == calls
    bench.put(b"late")
    bench.drain()
    assert bench.function.batches == [[b"late"]]


@pytest.mark.parametrize("wait_s", [0.0, 1.0, 1000.0])
def test_latest_sees_only_what_comes_after_the_mapping(bench: Bench, wait_s: float) -> None:
    bench.put(b"before")
    bench.map(StartingPosition="LATEST")
    bench.twin.engine.run(0.5 + wait_s)
    bench.put(b"after")
    bench.drain()
    assert bench.function.batches == [[b"after"]]


def test_the_event_has_awss_members(bench: Bench) -> None:
    bench.twin.engine.run(7.25)
    bench.map()
    bench.put(b"{}", key="pump-001")
    bench.drain()
    record = bench.function.events[0][0]
    sequence = record["kinesis"]["sequenceNumber"]
    assert len(sequence) == 56
    assert record == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "pump-001",
            "sequenceNumber": sequence,
            "data": "e30=",
            "approximateArrivalTimestamp": 1767571207.25,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": ROLE,
        "awsRegion": "us-east-1",
        "eventSourceARN": STREAM,
    }
    assert bench.twin.cloudwatch.total("IteratorAge") == 0.0


def test_a_batch_whose_last_record_fails_is_retried_with_that_record_alone(
    bench: Bench,
) -> None:
    bench.function.handler = Trouble({b"3"}, [], report=True)
    answer = bench.map(
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    bench.put(b"1", b"2", b"3")
    bench.drain()
    assert bench.function.batches == [[b"1", b"2", b"3"], [b"3"]]
    document = json.loads(bench.twin.inbox.messages[0])
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert document["responseContext"]["functionError"] is None
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    assert "payload" not in document
    mapping = bench.twin.do("lambda", "GetEventSourceMapping", UUID=answer["UUID"])
    assert mapping["LastProcessingResult"] == "PROBLEM: Function call failed"


def test_bisecting_finds_the_poison_record_and_the_rest_passes(bench: Bench) -> None:
    handler = Trouble({b"5"}, [], report=False)
    bench.function.handler = handler
    answer = bench.map(
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": BUCKET}},
    )
    bench.put(*[b"%d" % n for n in range(8)])
    bench.drain()
    assert set(handler.done) == {b"%d" % n for n in range(8)} - {b"5"}
    ((key, body),) = bench.twin.inbox.objects.items()
    assert key.startswith(
        f"aws/lambda/{answer['UUID']}/shardId-000000000000/2026/01/05/2026-01-05T"
    )
    document = json.loads(body)
    assert [r["kinesis"]["data"] for r in document["payload"]["Records"]] == ["NQ=="]
    assert document["responseContext"]["functionError"] == "Unhandled"
    assert bench.function.batches.count([b"5"]) == 3


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:PutObject"])
def test_a_failed_batch_is_kept_in_a_bucket_by_a_role_that_may_find_it_and_write_there(
    bench: Bench, missing: str
) -> None:
    bench.function.handler = Trouble({b"1"}, [], report=False)
    answer = bench.map(
        MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": BUCKET}}
    )
    bench.twin.iam.denied.add(missing)
    bench.put(b"1")
    bench.drain()
    assert bench.twin.inbox.objects == {}
    mapping = bench.twin.do("lambda", "GetEventSourceMapping", UUID=answer["UUID"])
    assert mapping["LastProcessingResult"].startswith("PROBLEM: User: arn:aws:sts::")
    assert missing in mapping["LastProcessingResult"]


def test_records_older_than_the_maximum_age_are_given_up(bench: Bench) -> None:
    bench.function.handler = Trouble({b"1"}, [], report=False)
    bench.map(
        MaximumRecordAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    bench.put(b"1")
    bench.twin.engine.run(30.0)
    bench.put(b"2")
    bench.drain()
    document = json.loads(bench.twin.inbox.messages[0])
    assert document["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in document
    assert bench.function.batches[-1] == [b"2"]


def test_a_missing_permission_stops_the_mapping_and_a_granted_one_lets_it_go_on(
    bench: Bench,
) -> None:
    bench.twin.iam.denied.add("kinesis:GetRecords")
    answer = bench.map()
    bench.put(b"1")
    bench.drain()
    mapping = bench.twin.do("lambda", "GetEventSourceMapping", UUID=answer["UUID"])
    assert mapping["LastProcessingResult"].startswith("PROBLEM: User: arn:aws:sts::")
    assert "kinesis:GetRecords" in bench.mappings.problems()[0]
    assert bench.function.batches == []
    bench.twin.iam.denied.clear()
    bench.twin.engine.run(bench.twin.engine.env.now + 120.0)
    assert bench.function.batches == [[b"1"]]
    assert bench.mappings.problems() == []


def test_a_disabled_mapping_goes_on_where_it_stopped(bench: Bench) -> None:
    uuid = bench.map()["UUID"]
    bench.put(b"1")
    bench.drain()
    bench.twin.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=False)
    bench.twin.engine.run(10.0)
    assert bench.twin.do("lambda", "GetEventSourceMapping", UUID=uuid)["State"] == "Disabled"
    bench.put(b"2")
    bench.twin.engine.run(1000.0)
    bench.twin.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=True)
    bench.drain()
    assert bench.function.batches == [[b"1"], [b"2"]]
    bench.twin.do("lambda", "DeleteEventSourceMapping", UUID=uuid)
    bench.put(b"3")
    bench.twin.engine.run(2000.0)
    assert len(bench.function.batches) == 2
    assert bench.twin.do("lambda", "ListEventSourceMappings")["EventSourceMappings"] == []
