"""What counts as drift: statistical properties over many windows, with fixed seeds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import JobInputError
from pipeline.model.alarms import rule_of, scored
from pipeline.monitoring import blocks, health
from pipeline.monitoring.window import Monitor
from pipeline.tests import healthy, monitored

Floats = NDArray[np.float64]

FLOW_MEAN, FLOW_STD = np.eye(healthy.WIDTH)[0], np.eye(healthy.WIDTH)[1]
ALL = range(monitored.UNITS)


def streams(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    return np.column_stack([healthy.autoregressive(rng, rows, 0.9) for _ in range(columns)])


@pytest.mark.parametrize(
    ("reference_windows", "rows", "seeds"), [(20, 60, 6), (20, 360, 3), (100, 60, 5)]
)
def test_stationary_autocorrelated_streams_alarm_in_at_most_one_window_in_twenty(
    reference_windows: int, rows: int, seeds: int
) -> None:
    """`benchmarks.monitoring` has the shares; a limit of 0.1 alarms in nearly all."""
    alarms = beyond_a_tenth = windows = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        reference = streams(rng, reference_windows * rows, 8)
        times_ms = np.arange(len(reference), dtype=np.int64) * 1000
        limits = blocks.drift_limits(times_ms, reference, rows * 1000)
        sketches = blocks.sketches(reference)
        fresh = streams(rng, 60 * rows, 8)
        for start in range(0, len(fresh), rows):
            apart = blocks.distances(fresh[start : start + rows], sketches)
            alarms += bool((apart > limits.by_column).any())
            beyond_a_tenth += bool((apart > 0.1).any())
            windows += 1
    assert alarms <= 0.05 * windows
    assert beyond_a_tenth > 0.9 * windows


def test_a_healthy_fleet_does_not_drift_for_many_windows() -> None:
    drifted = 0
    for seed in (2, 3):
        rows = monitored.traffic(monitored.rows_of(seed, 40, first_window=100))
        monitor = Monitor(monitored.model(), monitored.baseline(), rows, monitored.MARGIN_MS)
        drifted += sum(bool(monitor.judge(*monitored.window(n)).drifted) for n in range(100, 140))
    assert drifted <= 0.05 * 80


@pytest.mark.parametrize(
    ("by", "feature"),
    [(1.0 * FLOW_MEAN, "flow_mean"), (3.0 * FLOW_MEAN, "flow_mean"), (0.2 * FLOW_STD, "flow_std")],
)
def test_drift_of_all_machines_is_found_in_its_first_window_and_named(
    by: Floats, feature: str
) -> None:
    since_ms, _ = monitored.window(103)
    moved = monitored.shifted(monitored.rows_of(3, 8, 100), by, ALL, since_ms)
    rows = monitored.traffic(moved)
    monitor = Monitor(monitored.model(), monitored.baseline(), rows, monitored.MARGIN_MS)
    found = {n: monitor.judge(*monitored.window(n)).drifted for n in range(100, 108)}
    assert [n for n, names in found.items() if names] == [103, 104, 105, 106, 107]
    assert all(feature in found[n] for n in range(103, 108))
    last = monitor.judge(*monitored.window(107))
    earliest_ms, _ = monitored.window(100)
    assert monitor.drifted_since(last, earliest_ms) == since_ms


@pytest.mark.parametrize("by", [0.5, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("units", [range(1), range(2)])
def test_faults_are_not_drift_however_large(by: float, units: range) -> None:
    since_ms, _ = monitored.window(103)
    moved = monitored.shifted(monitored.rows_of(3, 8, 100), by * FLOW_MEAN, units, since_ms)
    rows = monitored.traffic(moved)
    monitor = Monitor(monitored.model(), monitored.baseline(), rows, monitored.MARGIN_MS)
    judged = [monitor.judge(*monitored.window(n)) for n in range(100, 108)]
    assert not [each.drifted for each in judged if each.drifted]
    if by >= 3.0:
        assert all(each.alarmed_rows for each in judged[3:])


def test_without_the_gate_faults_would_be_drift() -> None:
    since_ms, _ = monitored.window(103)
    moved = monitored.shifted(monitored.rows_of(3, 8, 100), 30.0 * FLOW_MEAN, range(3), since_ms)
    rows = monitored.traffic(moved)
    monitor = Monitor(monitored.model(), monitored.baseline(), rows, monitored.MARGIN_MS)
    assert not monitor.judge(*monitored.window(105)).drifted
    monitor._alarmed[:] = False
    assert "flow_mean" in monitor.judge(*monitored.window(104)).drifted


def test_a_slow_fault_that_no_row_shows_is_in_alarm_for_the_monitor_as_it_is_for_the_detector() -> (
    None
):
    since_ms, _ = monitored.window(102)
    slow = 0.3 * np.eye(healthy.WIDTH)[3]
    moved = monitored.shifted(monitored.rows_of(3, 8, 100), slow, range(1), since_ms)
    rows = monitored.traffic(moved)
    rule = rule_of(monitored.model())
    assert rule.memory_rows
    known = (rows.device_ids, rows.event_time_ms, rows.scores)
    by_rows = health.in_alarm(*known, (), replace(rule, memory_rows=0), 0)
    marked = health.in_alarm(*known, rows.levels, rule, 0)
    late = np.array([name == "m0" for name in rows.device_ids])
    late &= rows.event_time_ms >= since_ms + 2 * monitored.WINDOW_MS
    assert by_rows[late].mean() < 0.1
    assert marked[late].mean() > 0.9
    assert marked[~late & (np.array(rows.device_ids) != "m0")].mean() < 0.1
    monitor = Monitor(monitored.model(), monitored.baseline(), rows, 0)
    assert (monitor._alarmed == marked).all()
    # What is made of stored rows is what the endpoint answered.
    scores, levels = scored(monitored.model(), rows.device_ids, moved.features)
    assert np.allclose(np.array(rows.scores, np.float64), np.array(scores, np.float64))
    assert np.allclose(rows.levels, levels, atol=1e-6)


def test_a_window_with_few_healthy_rows_is_not_judged_for_drift() -> None:
    everything = monitored.rows_of(3, 1, 100)
    few = everything.at(np.arange(0, len(everything), 3, dtype=np.int64))
    moved = monitored.shifted(few, 3.0 * FLOW_MEAN, ALL)
    monitor = Monitor(
        monitored.model(), monitored.baseline(), monitored.traffic(moved), monitored.MARGIN_MS
    )
    judged = monitor.judge(*monitored.window(100))
    assert not judged.judged
    assert not judged.drifted


@given(st.integers(10, 400), st.integers(1, 10**9))
def test_blocks_are_inside_the_reference_and_a_hundred_at_least(
    windows: int, window_ms: int
) -> None:
    times_ms = np.array([5, 5 + windows * window_ms], np.int64)
    starts = blocks.block_starts(times_ms, window_ms)
    assert len(starts) >= max(blocks.MIN_BLOCKS, windows)
    assert starts[0] == 5
    assert starts[-1] + window_ms <= times_ms[-1]
    assert all(one <= other for one, other in pairwise(starts.tolist()))


def test_a_reference_of_a_few_windows_is_refused() -> None:
    times_ms = np.arange(9, dtype=np.int64) * 1000
    with pytest.raises(JobInputError, match="limits of drift need 10"):
        blocks.drift_limits(times_ms, np.zeros((9, 1)), 1000)


def test_a_column_that_never_moved_drifts_when_it_does() -> None:
    times_ms = np.arange(1000, dtype=np.int64) * 1000
    still = np.ones((1000, 1))
    limit = blocks.drift_limits(times_ms, still, 50_000).by_column
    assert 0.0 < limit[0] < 0.1
    assert blocks.distances(still[:50], blocks.sketches(still))[0] == 0.0
    assert blocks.distances(still[:50] + 1.0, blocks.sketches(still))[0] == 1.0


def test_rows_near_an_episode_count_as_in_alarm_and_others_do_not() -> None:
    times_ms = np.arange(100, dtype=np.int64) * healthy.SPEC.hop_ms
    scores = [0.1] * 40 + [5.0] * 20 + [0.1] * 40
    marked = health.in_alarm(
        ["m0"] * 100, times_ms, scores, (), rule_of(monitored.model()), 10 * healthy.SPEC.hop_ms
    )
    rows = np.flatnonzero(marked).tolist()
    assert set(range(30, 70)) <= set(rows) <= set(range(25, 80))
    assert rows == list(range(rows[0], rows[-1] + 1))
    other = health.in_alarm(["m1"] * 100, times_ms, [None] * 100, (), rule_of(monitored.model()), 0)
    assert not other.any()


def test_an_alarm_of_most_machines_has_a_common_cause_and_hides_nothing() -> None:
    assert health.healthy(np.array([True, True, False])).all()
    assert health.healthy(np.array([True, False, False])).tolist() == [False, True, True]
    assert not len(health.healthy(np.zeros(0, np.bool_)))
