"""Shards that are split and merged: nothing is lost, keys keep their order, limits are kept."""

from __future__ import annotations

import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.stack_update import UpdateFailed
from simulator.cloud.streams import HASH_KEYS
from simulator.cloud.tests.mapping_bench import Bench
from simulator.cloud.tests.recording import only, written
from simulator.cloud.tests.stack_bench import applied, resource, twin

KEYS = ("a", "b", "c", "d", "e", "f")


class Seen:
    """A handler that remembers what it was given, a list for each key."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[int]] = {}

    def __call__(self, records: list[dict[str, Any]]) -> Any:
        for record in records:
            inside = record["kinesis"]
            number = int(b64decode(inside["data"]))
            self.by_key.setdefault(inside["partitionKey"], []).append(number)
        return {"batchItemFailures": []}


def shards(bench: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.twin.do("kinesis", "ListShards", StreamName="s")["Shards"]
    return found


def scale(bench: Bench, target: int) -> dict[str, Any]:
    answer: dict[str, Any] = bench.twin.do(
        "kinesis",
        "UpdateShardCount",
        StreamName="s",
        TargetShardCount=target,
        ScalingType="UNIFORM_SCALING",
    )
    return answer


def ranges(bench: Bench) -> list[tuple[int, int]]:
    """Return the hash ranges of the open shards, in order."""
    return sorted(
        (int(each["HashKeyRange"]["StartingHashKey"]), int(each["HashKeyRange"]["EndingHashKey"]))
        for each in shards(bench)
        if "EndingSequenceNumber" not in each["SequenceNumberRange"]
    )


def read_all(bench: Bench) -> dict[str, list[int]]:
    """Read every shard that is listed to its end; return the records of each key."""
    found: dict[str, list[int]] = {}
    for each in shards(bench):
        asked = {"StreamName": "s", "ShardId": each["ShardId"]}
        iterator = bench.twin.do(
            "kinesis", "GetShardIterator", **asked, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        answer = bench.twin.do("kinesis", "GetRecords", ShardIterator=iterator)
        for record in answer["Records"]:
            found.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
        is_closed = "EndingSequenceNumber" in each["SequenceNumberRange"]
        assert is_closed == ("NextShardIterator" not in answer)
        children = {child["ShardId"] for child in answer.get("ChildShards", [])}
        assert children == {
            other["ShardId"]
            for other in shards(bench)
            if each["ShardId"] in (other.get("ParentShardId"), other.get("AdjacentParentShardId"))
        }
    return found


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS)),
        st.tuples(st.just("scale"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0])),
        st.tuples(st.just("switch"), st.none()),
    ),
    max_size=25,
).filter(lambda doings: sum(what == "scale" for what, _ in doings) <= 10)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 5), st.integers(0, 10))
def test_each_record_is_processed_once_and_keys_keep_their_order(
    doings: list[tuple[str, Any]], count: int, mapped_after: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen, put = Seen(), dict[str, list[int]]()
        bench = Bench(Path(folder), seen, shards=count)
        uuid, is_on = "", True
        for number, (what, how) in enumerate([*doings, ("wait", 1.0)]):
            if number == min(mapped_after, len(doings)):
                uuid = bench.map(BatchSize=3)["UUID"]
            if what == "put":
                bench.put(b"%d" % number, key=how)
                put.setdefault(how, []).append(number)
            elif what == "scale":
                now = len(ranges(bench))
                if now <= 2 * how and how <= 2 * now:
                    scale(bench, how)
                    edges = [HASH_KEYS * i // how for i in range(how + 1)]
                    expected = [(edges[i], edges[i + 1] - 1) for i in range(how)]
                    assert ranges(bench) == expected
            elif what == "switch" and uuid:
                is_on = not is_on
                bench.twin.engine.run(bench.twin.engine.env.now + 5.0)
                bench.twin.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=is_on)
                bench.twin.engine.run(bench.twin.engine.env.now + 5.0)
            elif what == "wait":
                bench.twin.engine.run(bench.twin.engine.env.now + how)
        if not is_on:
            bench.twin.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=True)
        bench.drain()
        assert seen.by_key == put
        assert read_all(bench) == put


def test_at_latest_nothing_of_closed_shards_is_read_and_their_children_are(tmp_path: Path) -> None:
    seen = Seen()
    bench = Bench(tmp_path, seen, shards=2)
    bench.put(b"1", key="a")
    scale(bench, 3)
    bench.map(StartingPosition="LATEST")
    bench.twin.engine.run(bench.twin.engine.env.now + 2.0)
    bench.put(b"2", key="a")
    scale(bench, 2)
    bench.put(b"3", key="a")
    bench.drain()
    assert seen.by_key == {"a": [2, 3]}


def test_a_split_and_a_merge_name_parents_and_children(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Seen(), shards=1)
    named = {"StreamName": "s"}
    (first,) = shards(bench)
    half = {"NewStartingHashKey": str(HASH_KEYS // 2)}
    bench.twin.do("kinesis", "SplitShard", **named, ShardToSplit=first["ShardId"], **half)
    _, low, high = shards(bench)
    assert low["ParentShardId"] == high["ParentShardId"] == first["ShardId"]
    assert "AdjacentParentShardId" not in low
    pair = {"ShardToMerge": low["ShardId"], "AdjacentShardToMerge": high["ShardId"]}
    bench.twin.do("kinesis", "MergeShards", **named, **pair)
    *_, merged = shards(bench)
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == tuple(pair.values())
    summary = bench.twin.do("kinesis", "DescribeStreamSummary", **named)
    assert summary["StreamDescriptionSummary"]["OpenShardCount"] == 1
    with pytest.raises(AwsError, match="is closed"):
        bench.twin.do("kinesis", "MergeShards", **named, **pair)
    given_key = {"ShardToSplit": merged["ShardId"], "NewStartingHashKey": "0"}
    with pytest.raises(AwsError, match="NewStartingHashKey 0"):
        bench.twin.do("kinesis", "SplitShard", **named, **given_key)


def test_shards_that_are_not_side_by_side_are_not_merged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Seen(), shards=3)
    one, _, three = (each["ShardId"] for each in shards(bench))
    with pytest.raises(AwsError, match="not an adjacent pair"):
        bench.twin.do(
            "kinesis", "MergeShards", StreamName="s", ShardToMerge=one, AdjacentShardToMerge=three
        )


@pytest.mark.parametrize(("before", "after", "way"), [(2, 5, "up over double"), (5, 2, "down")])
def test_a_count_is_at_most_doubled_or_halved(
    tmp_path: Path, before: int, after: int, way: str
) -> None:
    bench = Bench(tmp_path, Seen(), shards=before)
    with pytest.raises(AwsError, match=f"cannot scale {way}"):
        scale(bench, after)


def test_a_stream_is_scaled_ten_times_a_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Seen(), shards=1)
    for number in range(10):
        scale(bench, 2 - number % 2)
    with pytest.raises(AwsError, match="10 times within 24 hours"):
        scale(bench, 2)
    bench.twin.engine.run(bench.twin.engine.env.now + 86_401.0)
    assert scale(bench, 2)["CurrentShardCount"] == 1


def test_a_closed_shard_is_gone_when_its_records_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Seen(), shards=1)
    bench.put(b"1", key="a")
    scale(bench, 2)
    assert len(shards(bench)) == 3
    bench.twin.engine.run(bench.twin.engine.env.now + 25 * 3600.0)
    open_shard = shards(bench)[-1]["ShardId"]
    bench.twin.do(
        "kinesis",
        "GetShardIterator",
        StreamName="s",
        ShardId=open_shard,
        ShardIteratorType="TRIM_HORIZON",
    )
    assert [each["ShardId"][-1] for each in shards(bench)] == ["1", "2"]


def test_a_streams_shards_are_split_and_merged_by_its_stack(tmp_path: Path) -> None:
    def scaled(count: int) -> dict[str, Any]:
        return only(S=resource("AWS::Kinesis::Stream", {"Name": "s", "ShardCount": count}))

    app = tmp_path / "app"
    with twin(tmp_path) as cloud:
        applied(cloud, app, scaled(1))
        cloud.call("kinesis", "PutRecord", StreamName="s", Data=b"kept", PartitionKey="k")
        assert "Modify   AWS::Kinesis::Stream  Dev/S  ShardCount" in applied(cloud, app, scaled(2))
        applied(cloud, app, scaled(3))
        (first, *_) = cloud.call("kinesis", "ListShards", StreamName="s")["Shards"]
        asked = {"StreamName": "s", "ShardId": first["ShardId"]}
        at = cloud.call("kinesis", "GetShardIterator", **asked, ShardIteratorType="TRIM_HORIZON")
        found = cloud.call("kinesis", "GetRecords", ShardIterator=at["ShardIterator"])
        assert [record["Data"] for record in found["Records"]] == [b"kept"]
        written(app, Dev=scaled(7))
        with pytest.raises(UpdateFailed, match="cannot scale up over double"):
            cloud.update(cloud.plan(app, {}))
        assert cloud.drift() == []
