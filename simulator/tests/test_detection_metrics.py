"""The detection benchmark's metrics against straight definitions, and its thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.detection import metrics


def slow_vus_pr(labels: metrics.Mask, scores: metrics.Floats, buffer_rows: int) -> float:
    """Follow the definition level by level and row by row."""
    ordered = sorted(scores, reverse=True)
    levels = [ordered[int(i)] for i in np.linspace(0, len(scores) - 1, metrics.LEVELS)]
    areas = []
    for buffer in range(buffer_rows + 1):
        soft = metrics.soft_labels(labels, buffer)
        regions = metrics.spans(soft > 0)
        area, before = 0.0, 0.0
        for level in levels:
            rows = [row for row in range(len(scores)) if scores[row] >= level]
            hits = sum(soft[row] for row in rows)
            near = sum(soft[row] for row in rows if not labels[row])
            exist = sum(any(a <= row < b for row in rows) for a, b in regions) / len(regions)
            recall = min(hits / ((2 * labels.sum() + near) / 2), 1.0) * exist
            area += (recall - before) * hits / len(rows)
            before = recall
        areas.append(area)
    return float(np.mean(areas))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(20, 40), st.integers(0, 6))
def test_the_volume_equals_its_slow_definition(seed: int, size: int, buffer: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(size) < 0.2
    labels[size // 2] = True
    scores = np.round(rng.random(size), 1)
    fast = metrics.vus_pr(labels, scores, buffer)
    assert fast == pytest.approx(slow_vus_pr(labels, scores, buffer))


def test_a_score_that_equals_the_labels_has_a_precision_of_one() -> None:
    labels = np.arange(300) // 50 == 3
    assert metrics.average_precision(labels, labels.astype(float)) == 1.0
    assert metrics.vus_pr(labels, labels.astype(float), 0) == pytest.approx(1.0)


def test_a_constant_score_has_the_share_of_labels_as_precision() -> None:
    labels = np.arange(100) < 30
    assert metrics.average_precision(labels, np.ones(100)) == pytest.approx(0.3)


def test_an_alarm_that_begins_before_the_event_is_false_and_finds_it() -> None:
    labels = np.array([0, 0, 1, 1, 0, 0], dtype=bool)
    alarms = np.array([0, 1, 1, 0, 0, 1], dtype=bool)
    report = metrics.event_report(labels, alarms)
    assert (report.events, report.delays_rows, report.false_episodes) == (1, (0,), 2)


def test_the_interval_of_a_rate_is_garwoods() -> None:
    assert metrics.Rate(0, 1.0).interval == pytest.approx((0.0, 3.6889), abs=1e-3)
    assert metrics.Rate(10, 1.0).interval == pytest.approx((4.7954, 18.3904), abs=1e-3)
