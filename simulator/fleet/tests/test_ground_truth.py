"""Ground truth: healthy time is what no label covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet.ground_truth import FaultInterval, GroundTruth

spans = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)).map(sorted), max_size=5)


def truth(live: tuple[int, int], labels: list[list[int]]) -> GroundTruth:
    found = [FaultInterval(a, b, "a", "x", 1.0, "recorded") for a, b in labels]
    return GroundTruth({"a": live}, found)


@given(labels=spans, start=st.integers(0, 100), length=st.integers(0, 50), grace=st.integers(0, 9))
def test_healthy_time_is_the_live_time_outside_every_interval(
    labels: list[list[int]], start: int, length: int, grace: int
) -> None:
    end = start + length
    sick = {ms for a, b in labels for ms in range(a, b + grace)}
    healthy = truth((start, end), labels).healthy_ms("a", grace_ms=grace)
    assert healthy == sum(ms not in sick for ms in range(start, end))


def test_healthy_time_can_count_from_the_end_of_calibration() -> None:
    known = truth((1_000, 9_000), [[2_000, 3_000]])
    assert known.healthy_ms("a") == 7_000
    assert known.healthy_ms("a", from_ms=2_500) == 6_000
    assert known.machine_days(from_ms=2_500) == 6_000 / 86_400_000


def test_records_are_plain_and_ordered() -> None:
    records = truth((0, 9), [[5, 6], [1, 2]]).records()
    assert [record["start_ms"] for record in records] == [1, 5]
    assert records[0]["sensor"] is None
