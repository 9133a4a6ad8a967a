"""The stream against a plain model, its limits, iterators, retention and AWS's errors."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator.cloud.errors import AwsError
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.tests.fakes import START, Twin, fake_twin

FIRST = "shardId-000000000000"
MIB = 1 << 20


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """Return a twin with Kinesis and the stream ``s`` of one shard."""
    made = stream_twin(tmp_path)
    yield made
    made.close()


def stream_twin(state: Path, shards: int = 1) -> Twin:
    """Return a twin with a stream."""
    made = fake_twin(state)
    made.dispatch.register("kinesis", Kinesis(made.context).operations())
    made.do("kinesis", "CreateStream", StreamName="s", ShardCount=shards)
    return made


def put(twin: Twin, *payloads: bytes, key: str = "k") -> Any:
    """Write records of one key."""
    records = [{"Data": data, "PartitionKey": key} for data in payloads]
    return twin.do("kinesis", "PutRecords", StreamName="s", Records=records)


def iterator(twin: Twin, kind: str = "TRIM_HORIZON", shard: str = FIRST, **more: Any) -> str:
    """Return a shard iterator."""
    answer = twin.do(
        "kinesis", "GetShardIterator", StreamName="s", ShardId=shard, ShardIteratorType=kind, **more
    )
    return str(answer["ShardIterator"])


def read(twin: Twin, token: str, **more: Any) -> Any:
    """Read with an iterator."""
    return twin.do("kinesis", "GetRecords", ShardIterator=token, **more)


def payloads_of(answer: Any) -> list[bytes]:
    """Return the payloads of an answer."""
    return [record["Data"] for record in answer["Records"]]


class StreamAgainstLists(RuleBasedStateMachine):
    """Any writes, waits and reads: each shard behaves like a list that drops its old head."""

    SHARDS = 3
    RETENTION_S = 24 * 3600.0

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.twin = stream_twin(Path(self.folder.name), self.SHARDS)
        self.lists: list[list[tuple[float, str, bytes]]] = [[] for _ in range(self.SHARDS)]
        self.readers = [iterator(self.twin, shard=self.shard(i)) for i in range(self.SHARDS)]
        self.places = [0] * self.SHARDS
        self.asked_s = [0.0] * self.SHARDS
        self.count = 0

    def shard(self, index: int) -> str:
        return f"shardId-{index:012d}"

    @property
    def now_s(self) -> float:
        return float(self.twin.engine.env.now)

    def kept_from(self, index: int) -> int:
        """Return the model's first record within the retention."""
        horizon_s = self.now_s - self.RETENTION_S
        return sum(1 for at_s, _, _ in self.lists[index] if at_s < horizon_s)

    @rule(keys=st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=30))
    def write(self, keys: list[str]) -> None:
        records = []
        for key in keys:
            self.count += 1
            records.append({"Data": b"%d" % self.count, "PartitionKey": key})
        answer = self.twin.do("kinesis", "PutRecords", StreamName="s", Records=records)
        assert answer["FailedRecordCount"] == 0
        for record, told in zip(records, answer["Records"], strict=True):
            hashed = int(md5(str(record["PartitionKey"]).encode()).hexdigest(), 16)
            index = hashed * self.SHARDS // (1 << 128)
            assert told["ShardId"] == self.shard(index)
            data = record["Data"]
            assert isinstance(data, bytes)
            self.lists[index].append((self.now_s, told["SequenceNumber"], data))

    @rule(seconds=st.sampled_from([1.0, 1.5, 10.0, 200.0, 6 * 3600.0, 24 * 3600.0]))
    def wait(self, seconds: float) -> None:
        self.twin.engine.run(self.now_s + seconds)

    @rule(index=st.integers(0, SHARDS - 1), limit=st.integers(1, 40))
    def read_on(self, index: int, limit: int) -> None:
        self.twin.engine.run(self.now_s + 1.0)
        if self.now_s - self.asked_s[index] > 300.0:
            with pytest.raises(AwsError, match="ExpiredIteratorException"):
                read(self.twin, self.readers[index])
            if self.places[index]:
                sequence = self.lists[index][self.places[index] - 1][1]
                self.readers[index] = iterator(
                    self.twin,
                    "AFTER_SEQUENCE_NUMBER",
                    self.shard(index),
                    StartingSequenceNumber=sequence,
                )
            else:
                self.readers[index] = iterator(self.twin, shard=self.shard(index))
        answer = read(self.twin, self.readers[index], Limit=limit)
        start = max(self.places[index], self.kept_from(index))
        expected = self.lists[index][start : start + limit]
        found = [(r["SequenceNumber"], r["Data"]) for r in answer["Records"]]
        assert found == [(sequence, data) for _, sequence, data in expected]
        self.places[index] = start + len(expected)
        assert (answer["MillisBehindLatest"] == 0) == (self.places[index] == len(self.lists[index]))
        self.readers[index], self.asked_s[index] = answer["NextShardIterator"], self.now_s

    @precondition(lambda self: self.count)
    @rule(index=st.integers(0, SHARDS - 1), part=st.floats(0.0, 1.0))
    def read_from_a_time(self, index: int, part: float) -> None:
        self.twin.engine.run(self.now_s + 1.0)
        at_s = math.floor(self.now_s * part)
        token = iterator(
            self.twin, "AT_TIMESTAMP", self.shard(index), Timestamp=START + timedelta(seconds=at_s)
        )
        kept = self.lists[index][self.kept_from(index) :]
        expected = [data for arrival_s, _, data in kept if arrival_s >= at_s]
        assert payloads_of(read(self.twin, token)) == expected

    @invariant()
    def sequence_numbers_rise(self) -> None:
        for records in self.lists:
            numbers = [sequence for _, sequence, _ in records]
            assert numbers == sorted(set(numbers), key=int)
            assert all(len(number) == 56 for number in numbers)

    def teardown(self) -> None:
        self.twin.close()
        self.folder.cleanup()


StreamAgainstLists.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None
)
TestStreamAgainstLists = StreamAgainstLists.TestCase


def test_the_thousand_and_first_record_of_a_second_is_throttled_alone(twin: Twin) -> None:
    assert put(twin, *[b"x"] * 500)["FailedRecordCount"] == 0
    assert put(twin, *[b"x"] * 499)["FailedRecordCount"] == 0
    answer = put(twin, b"a", b"b", b"c")
    assert answer["FailedRecordCount"] == 2
    assert "SequenceNumber" in answer["Records"][0]
    assert answer["Records"][2] == {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": f"Rate exceeded for shard {FIRST} in stream s under account 000000000000.",
    }
    metric = twin.cloudwatch.total
    assert metric("IncomingRecords") == 1000
    assert metric("WriteProvisionedThroughputExceeded") == 2


def test_a_throttled_writer_recovers_when_it_tries_what_failed_again(twin: Twin) -> None:
    left = [b"%d" % i for i in range(3000)]
    while left:
        chunk, left = left[:500], left[500:]
        answers = put(twin, *chunk)["Records"]
        failed = [data for data, a in zip(chunk, answers, strict=True) if "ErrorCode" in a]
        left = failed + left
        if failed:
            twin.engine.run(twin.engine.env.now + 0.5)
    assert twin.engine.env.now == pytest.approx(2.0, abs=0.51)
    assert len(payloads_of(read(twin, iterator(twin)))) == 3000


def test_a_mebibyte_a_second_is_all_that_a_shard_takes(twin: Twin) -> None:
    assert put(twin, b"x" * (MIB - 1))["FailedRecordCount"] == 0
    assert put(twin, b"x" * 1000)["FailedRecordCount"] == 1
    with pytest.raises(AwsError, match="ProvisionedThroughputExceededException"):
        twin.do("kinesis", "PutRecord", StreamName="s", Data=b"x" * 1000, PartitionKey="k")
    twin.engine.run(0.1)
    assert put(twin, b"x" * 1000)["FailedRecordCount"] == 0


def test_a_shard_answers_five_reads_a_second(twin: Twin) -> None:
    put(twin, b"1")
    for _ in range(5):
        read(twin, iterator(twin))
    message = f"Rate exceeded for Shard - 000000000000/s/{FIRST}"
    with pytest.raises(AwsError, match=message):
        read(twin, iterator(twin))
    twin.engine.run(0.3)
    assert payloads_of(read(twin, iterator(twin))) == [b"1"]


def test_after_an_answer_of_ten_mebibytes_reads_are_refused_for_five_seconds(twin: Twin) -> None:
    for second in range(12):
        twin.engine.run(float(second + 1))
        assert put(twin, b"x" * (MIB - 1))["FailedRecordCount"] == 0
    answer = read(twin, iterator(twin))
    assert len(answer["Records"]) == 10
    twin.engine.run(16.5)
    with pytest.raises(AwsError, match="ProvisionedThroughputExceededException"):
        read(twin, answer["NextShardIterator"])
    twin.engine.run(17.1)
    assert len(read(twin, answer["NextShardIterator"])["Records"]) == 2


def test_latest_reads_what_comes_afterwards(twin: Twin) -> None:
    put(twin, b"before")
    token = iterator(twin, "LATEST")
    put(twin, b"after")
    assert payloads_of(read(twin, token)) == [b"after"]


def test_a_key_may_be_sent_to_a_hash_of_ones_own(tmp_path: Path) -> None:
    twin = stream_twin(tmp_path, 2)
    answer = twin.do(
        "kinesis",
        "PutRecord",
        StreamName="s",
        Data=b"1",
        PartitionKey="k",
        ExplicitHashKey=str((1 << 128) - 1),
    )
    assert answer["ShardId"] == "shardId-000000000001"
    with pytest.raises(AwsError, match="Invalid ExplicitHashKey"):
        twin.do(
            "kinesis",
            "PutRecord",
            StreamName="s",
            Data=b"1",
            PartitionKey="k",
            ExplicitHashKey=str(1 << 128),
        )
    twin.close()


def test_longer_retention_keeps_records_longer(twin: Twin) -> None:
    put(twin, b"1")
    twin.do("kinesis", "IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=48)
    twin.engine.run(30 * 3600.0)
    assert payloads_of(read(twin, iterator(twin))) == [b"1"]
    twin.do("kinesis", "DecreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=24)
    assert payloads_of(read(twin, iterator(twin))) == []


def test_a_new_stream_is_creating_before_it_is_active(twin: Twin) -> None:
    twin.dispatch.register("kinesis", Kinesis(twin.context, activation_s=10.0).operations())
    twin.do("kinesis", "CreateStream", StreamName="slow", ShardCount=1)
    with pytest.raises(AwsError, match="not ACTIVE, instead in state CREATING"):
        twin.do("kinesis", "PutRecord", StreamName="slow", Data=b"1", PartitionKey="k")
    twin.engine.run(11.0)
    summary = twin.do("kinesis", "DescribeStreamSummary", StreamName="slow")
    assert summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("PutRecord", {"StreamName": "t", "Data": b"", "PartitionKey": "k"},
     "ResourceNotFoundException", "Stream t under account 000000000000 not found."),
    ("CreateStream", {"StreamName": "s", "ShardCount": 1},
     "ResourceInUseException", "Stream s under account 000000000000 already exists."),
    ("CreateStream", {"StreamName": "t"}, "NotSupportedByTwin", "on-demand"),
    ("GetRecords", {"ShardIterator": "rubbish"},
     "InvalidArgumentException", "Invalid ShardIterator."),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": "shardId-9", "ShardIteratorType": "LATEST"},
     "ResourceNotFoundException",
     "Shard shardId-9 in stream s under account 000000000000 does not exist"),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "AT_SEQUENCE_NUMBER"},
     "InvalidArgumentException",
     "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "LATEST",
      "StartingSequenceNumber": "1"},
     "InvalidArgumentException", "Request specified LATEST and also a StartingSequenceNumber."),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "AT_SEQUENCE_NUMBER",
      "StartingSequenceNumber": "1"},
     "InvalidArgumentException", "is invalid because it did not come from this stream."),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "AT_TIMESTAMP"},
     "InvalidArgumentException", "Current request has no timestamp parameter."),
    ("GetShardIterator",
     {"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "AT_TIMESTAMP",
      "Timestamp": START + timedelta(seconds=1)},
     "InvalidArgumentException", "cannot be greater than the currentTimestampInMillis"),
    ("PutRecords",
     {"StreamName": "s", "Records": [{"Data": b"", "PartitionKey": "k"}] * 501},
     "ValidationException", "Member must have length less than or equal to 500"),
    ("PutRecords",
     {"StreamName": "s", "Records": [{"Data": b"x" * MIB, "PartitionKey": "k"}]},
     "ValidationException", "Value at 'records.1.member.data' failed to satisfy constraint"),
    ("PutRecords",
     {"StreamName": "s", "Records": [{"Data": b"x" * 1_000_000, "PartitionKey": "k"}] * 11},
     "InvalidArgumentException", "Records size exceeds"),
    ("DecreaseStreamRetentionPeriod", {"StreamName": "s", "RetentionPeriodHours": 1},
     "InvalidArgumentException", "Minimum allowed retention period is 24 hours."),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "params", "code", "text"), WRONG)
def test_wrong_calls_get_awss_codes_and_words(
    twin: Twin, operation: str, params: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(AwsError) as refused:
        twin.do("kinesis", operation, **params)
    assert refused.value.code == code
    assert text in refused.value.message


def test_every_answer_of_the_control_plane_fits_botocores_shape(twin: Twin) -> None:
    """The fake dispatch checks each answer; here each operation is called once."""

    def call(operation: str, **params: Any) -> Any:
        return twin.do("kinesis", operation, **params)

    call("AddTagsToStream", StreamName="s", Tags={"a": "b"})
    assert call("ListTagsForStream", StreamName="s")["Tags"] == [{"Key": "a", "Value": "b"}]
    call("RemoveTagsFromStream", StreamName="s", TagKeys=["a"])
    call("StartStreamEncryption", StreamName="s", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert put(twin, b"1")["EncryptionType"] == "KMS"
    assert read(twin, iterator(twin))["Records"][0]["EncryptionType"] == "KMS"
    call("StopStreamEncryption", StreamName="s", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    description = call("DescribeStream", StreamName="s")["StreamDescription"]
    assert description["Shards"][0]["HashKeyRange"]["EndingHashKey"] == str((1 << 128) - 1)
    call("CreateStream", StreamName="many", ShardCount=5)
    page = call("ListShards", StreamName="many", MaxResults=3)
    rest = call("ListShards", NextToken=page["NextToken"])
    assert len(page["Shards"]) + len(rest["Shards"]) == 5
    assert call("ListStreams")["StreamNames"] == ["many", "s"]
    call("DeleteStream", StreamName="many")
    assert call("ListStreams")["StreamNames"] == ["s"]
