"""The memory of sequence numbers against a plain set."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sequence import REMEMBERED, Arrival, Progress, SeenSequence

numbers = st.lists(
    st.one_of(st.integers(0, 40), st.integers(0, 3 * REMEMBERED), st.just(2**53 - 1)), max_size=60
)


@settings(deadline=None)
@given(numbers)
def test_a_number_is_new_when_it_was_not_seen_or_is_older_than_the_memory(seqs: list[int]) -> None:
    memory, seen = SeenSequence(), set[int]()
    for seq in seqs:
        forgotten = bool(seen) and seq <= max(seen) - REMEMBERED
        assert memory.add(seq) == (forgotten or seq not in seen)
        seen.add(seq)


@settings(deadline=None)
@given(numbers, numbers, st.integers(-1, 2**43))
def test_progress_survives_being_stored(
    readings: list[int], bursts: list[int], watermark_ms: int
) -> None:
    progress = Progress(watermark_ms)
    for seq in readings:
        progress.readings.add(seq)
    for seq in bursts:
        progress.bursts.add(seq)
    stored = progress.to_bytes()
    assert Progress.from_bytes(b"abc" + stored, 3) == (progress, 3 + len(stored))


def test_an_unbroken_sequence_takes_no_room() -> None:
    progress = Progress()
    for seq in range(10_000):
        progress.take(progress.readings, seq, seq, 0)
    assert len(progress.to_bytes()) < 40


def test_late_is_older_than_the_watermark_by_more_than_the_lateness() -> None:
    progress = Progress()
    seen = progress.readings
    assert progress.take(seen, 0, 10_000, 1_000) is Arrival.ON_TIME
    assert progress.take(seen, 1, 9_000, 1_000) is Arrival.ON_TIME
    assert progress.take(seen, 2, 8_999, 1_000) is Arrival.LATE
    assert progress.take(seen, 2, 8_999, 1_000) is Arrival.DUPLICATE
    assert progress.take(progress.bursts, 2, 10_001, 1_000) is Arrival.ON_TIME
    assert progress.watermark_ms == 10_001
