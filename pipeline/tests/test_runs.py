"""How a batch is cut into runs of devices."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinesis_records import Record, runs

batches = st.lists(st.sampled_from("abcdefg"), max_size=40).map(
    lambda keys: [
        Record("shardId-000000000000", f"{number:056d}", key, number, b"")
        for number, key in enumerate(keys)
    ]
)


@given(batches, st.integers(1, 8))
def test_runs_keep_all_records_and_each_devices_order(batch: list[Record], devices: int) -> None:
    found = runs(batch, devices)
    assert sorted((r for run in found for r in run), key=lambda r: r.sequence_number) == batch
    for run in found:
        numbers = [record.sequence_number for record in run]
        assert numbers == sorted(numbers)
        assert 1 <= len({record.partition_key for record in run}) <= devices
    homes = [{record.partition_key for record in run} for run in found]
    assert sum(map(len, homes)) == len({record.partition_key for record in batch})


@given(batches, st.integers(1, 8))
def test_there_are_no_more_runs_than_the_devices_need(batch: list[Record], devices: int) -> None:
    keys = {record.partition_key for record in batch}
    assert len(runs(batch, devices)) == -(-len(keys) // devices)
    one_after_the_other = [next(group) for _, group in groupby(batch, lambda r: r.partition_key)]
    assert len(runs(batch, 1)) <= len(one_after_the_other)


@given(batches, batches, st.integers(1, 8))
def test_a_longer_batch_is_cut_at_the_same_first_records(
    batch: list[Record], more: list[Record], devices: int
) -> None:
    longer = [*batch, *more]
    first = [run[0] for run in runs(batch, devices)]
    assert [run[0] for run in runs(longer, devices)][: len(first)] == first
    for short, long in zip(runs(batch, devices), runs(longer, devices), strict=False):
        assert long[: len(short)] == short
