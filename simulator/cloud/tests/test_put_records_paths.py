"""The short ways of PutRecords against the long ones: many records at once, or one by one."""

from __future__ import annotations

import copy
from base64 import b64encode
from itertools import accumulate
from typing import Any

from botocore.model import ListShape, StructureShape
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud import json_codec
from simulator.cloud.shards import MIB, WRITE_RECORDS_PER_S, Shard
from simulator.cloud.streams import HASH_KEYS, Stream, open_shards
from simulator.cloud.validation import check_of, operation_model


def records_shape() -> ListShape:
    """Return the model's shape of PutRecords' records."""
    request = operation_model("kinesis", "PutRecords").input_shape
    assert isinstance(request, StructureShape)
    found = request.members["Records"]
    assert isinstance(found, ListShape)
    return found


def admitted_one_by_one(writes: list[tuple[float, list[int]]]) -> list[bool]:
    """Tell by plain arithmetic which of the records (time, sizes) a new shard takes."""
    tokens, room, last_s = float(WRITE_RECORDS_PER_S), float(MIB), 0.0
    answers = []
    for now_s, sizes in writes:
        for size in sizes:
            tokens = min(float(WRITE_RECORDS_PER_S), tokens + (now_s - last_s) * 1000)
            room = min(float(MIB), room + (now_s - last_s) * MIB)
            last_s = now_s
            stored = tokens >= 1.0 and room >= size
            answers.append(stored)
            if stored:
                tokens, room = tokens - 1.0, room - size
    return answers


moments = st.lists(
    st.tuples(
        st.floats(0.0, 1.5, allow_nan=False),
        st.one_of(
            st.lists(st.integers(1, MIB), min_size=1, max_size=8),
            st.integers(1, 600).map(lambda count: [100] * count),
        ),
    ),
    min_size=1,
    max_size=6,
)


@given(moments)
def test_records_of_one_moment_are_admitted_as_they_would_be_one_by_one(
    steps: list[tuple[float, list[int]]],
) -> None:
    (shard,) = open_shards(1, "arn", 0)
    times_s = list(accumulate(pause_s for pause_s, _ in steps))
    writes = [(now_s, sizes) for now_s, (_, sizes) in zip(times_s, steps, strict=True)]
    found: list[bool] = []
    for now_s, sizes in writes:
        many = len(sizes)
        numbers = shard.put(["k"] * many, [b""] * many, sizes, [now_s] * many)
        found += [number is not None for number in numbers]
    assert found == admitted_one_by_one(writes)
    arrivals_s = [record[1] for record in shard.read(0, 10_000, 0.0)]
    assert arrivals_s == sorted(arrivals_s)


@given(st.integers(1, 200), st.integers(0, HASH_KEYS - 1))
def test_a_hash_key_belongs_to_the_one_shard_whose_range_has_it(count: int, hashed: int) -> None:
    shards: list[Shard] = open_shards(count, "arn", 0)
    stream = Stream("s", "arn", 0.0, None, shards)  # type: ignore[arg-type]
    for key in (hashed, shards[-1].first_hash, shards[0].last_hash):
        (expected,) = [s for s in shards if s.first_hash <= key <= s.last_hash]
        assert stream.shard_of_hash(key) is expected


texts = st.binary(max_size=20).map(lambda data: b64encode(data).decode())
ordinary = st.fixed_dictionaries({"Data": texts, "PartitionKey": st.text(max_size=5)})
odd = st.fixed_dictionaries(
    {},
    optional={
        "Data": st.none() | texts,
        "PartitionKey": st.none() | st.integers() | st.text(max_size=5),
        "ExplicitHashKey": st.none() | st.text(max_size=5),
        "Unknown": st.none() | st.integers(),
    },
)
lists = st.lists(ordinary, max_size=6) | st.lists(
    ordinary | odd | st.none() | st.text(max_size=3), max_size=6
)


@given(lists)
def test_a_list_of_records_is_decoded_as_its_records_are(found: list[Any]) -> None:
    shape = records_shape()
    one_by_one = [json_codec.decode(shape.member, copy.deepcopy(one)) for one in found]
    assert json_codec.decode(shape, copy.deepcopy(found)) == one_by_one


values = st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
as_in_boto3 = st.fixed_dictionaries({"Data": st.binary(max_size=3), "PartitionKey": st.text()})
anything = st.dictionaries(
    st.sampled_from(["Data", "PartitionKey", "ExplicitHashKey", "Unknown"]),
    values | st.binary().map(bytearray),
)


@given(st.lists(as_in_boto3, max_size=5) | st.lists(as_in_boto3 | anything | values, max_size=5))
def test_a_list_of_records_fits_if_each_record_fits(found: list[Any]) -> None:
    shape = records_shape()
    each = check_of(shape.member)
    expected = len(found) >= 1 and all(map(each, found))
    assert check_of(shape)(found) is expected
