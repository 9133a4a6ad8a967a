"""The detection benchmark's own machinery: rows, thresholds, protocols, fleets, the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import (
    datasets,
    detectors,
    false_alarms,
    figures,
    judging,
    metrics,
    plots,
    reporting,
    tasks,
)
from benchmarks.detection.rows import features_of, spec_of, unlabelled_windows
from benchmarks.result import RESULTS


def run_of(seed: int, rows: int = 900, learnt: int = 400, shift: float = 0.0) -> datasets.Run:
    """Return a run of four channels that follow one load; a shift in the last 200 rows."""
    rng = np.random.default_rng(seed)
    load = np.repeat(rng.standard_normal(rows // 10), 10)
    values = load[:, None] * [1.0, 2.0, -1.0, 0.5] + 0.3 * rng.standard_normal((rows, 4))
    labels = np.arange(rows) >= rows - 200
    values[labels, 0] += shift
    return datasets.Run("made", values[:learnt], values[learnt:], labels[learnt:], history=True)


def test_feature_rows_are_means_of_the_last_rows_only() -> None:
    run = run_of(1)
    features = features_of(run, spec_of(4, 3, 15))
    everything = np.vstack([run.healthy, run.values])
    at = 400 + 37
    expected = np.hstack(
        [everything[at - 2 : at + 1].mean(0), everything[at - 14 : at + 1].mean(0)]
    )
    np.testing.assert_allclose(features.values[37], expected)
    assert len(features.healthy) == 400 - 14
    assert len(features.values) == len(run.values)


@pytest.mark.parametrize("name", ["pipeline", "mahalanobis"])
def test_a_shifted_channel_is_found_and_no_threshold_sees_a_label(name: str) -> None:
    run = run_of(2, shift=6.0)
    line, traces = judging.judge("made", [run], name, 0)
    assert line.event_recall == 1.0
    assert line.false_alarm_rate < 0.1
    assert line.vus_pr > 0.9
    unlabelled = datasets.Run("made", run.healthy, run.values, ~run.labels, history=True)
    _, again = judging.judge("made", [unlabelled], name, 0)
    np.testing.assert_array_equal(traces[0].scores, again[0].scores)


def test_a_causal_detector_scores_a_row_alike_whatever_comes_after() -> None:
    run = run_of(3, shift=4.0)
    shorter = datasets.Run("made", run.healthy, run.values[:250], run.labels[:250], history=True)
    _, whole = judging.judge("made", [run], "pipeline", 0)
    features = features_of(shorter, spec_of(4))
    part = detectors.DETECTORS["pipeline"](features, 0)
    np.testing.assert_array_equal(part.scores, whole[0].scores[:250])


def test_by_the_leaderboards_protocol_a_row_alarms_when_all_windows_that_cover_it_do() -> None:
    # A window is high from nine high rows on: 60 * 4 / 3 < 9 * 9.
    scores = np.concatenate([np.zeros(200), np.full(200, 9.0)])
    judged = detectors.Judged(scores, np.zeros(100), np.ones(300))
    assert metrics.spans(judging.leaderboard_alarms(judged)) == [(208, 342)]
    short = np.concatenate([np.zeros(200), np.full(8, 9.0), np.zeros(192)])
    none = detectors.Judged(short, np.zeros(100), np.ones(300))
    assert not judging.leaderboard_alarms(none).any()


def test_trivial_detectors_look_at_no_sensor() -> None:
    run = run_of(4)
    other = datasets.Run("made", run.healthy * 7.0, run.values * -3.0, run.labels, history=True)
    for name in ("random", "always_alarm", "row_index"):
        one = judging.judge("made", [run], name, 0)[1][0].scores
        two = judging.judge("made", [other], name, 0)[1][0].scores
        np.testing.assert_array_equal(one, two)


def test_a_run_without_a_fault_has_false_alarms_and_nothing_to_find() -> None:
    run = run_of(6)
    quiet = datasets.Run("quiet", run.healthy, run.values, run.labels & False, history=True)
    line, _ = judging.judge("made", [quiet], "always_alarm", 0)
    assert (line.false_alarm_rate, line.false_episodes) == (1.0, 1)
    assert np.isnan([line.vus_pr, line.event_recall, line.median_delay_rows]).all()
    assert "| nan |" in judging.table([line])


def test_a_long_healthy_recording_is_cut_into_whole_runs(tmp_path: Path) -> None:
    folder = tmp_path / "skab" / "anomaly-free"
    folder.mkdir(parents=True)
    lines = [f"2020-01-01 00:00:00;{row};{row * 2}" for row in range(2_500)]
    (folder / "anomaly-free.csv").write_text("\n".join(["datetime;a;b", *lines]))
    runs = datasets.skab_healthy(tmp_path)
    assert [(len(run.healthy), len(run.values), bool(run.labels.any())) for run in runs] == [
        (400, 750, False)
    ] * 2
    assert runs[1].healthy[0].tolist() == [1_150.0, 2_300.0]
    (longer,) = datasets.skab_healthy(tmp_path, 1_600)
    assert (len(longer.healthy), len(longer.values)) == (1_600, 750)


@pytest.mark.parametrize("name", sorted(tasks.READERS))
def test_a_set_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(datasets.SetMissing, match=re.escape(str(tmp_path))):
        tasks.READERS[name](tmp_path)


def test_results_of_other_sets_are_kept() -> None:
    line, _ = judging.judge("made", [run_of(5)], "no_model", 0)
    body = reporting.merged({"lines": [{**vars(line), "set_name": "kept"}]}, ["made"], [line], [])
    assert [stored["set_name"] for stored in body["lines"]] == ["kept", "made"]


def test_the_committed_rows_and_page_are_those_of_the_committed_lines() -> None:
    found = json.loads((RESULTS / reporting.JSON_FILE).read_text(encoding="utf-8"))
    again = "make them anew: python -m benchmarks.detection --rows"
    made = [row.to_json() for row in figures.rows_of(found["details"])]
    assert found["rows"] == made, again
    page = (RESULTS / reporting.PAGE_FILE).read_text(encoding="utf-8")
    assert reporting.page(found["details"]) == page, again


def test_precision_and_recall_end_at_everything_found() -> None:
    labels = np.array([False, True, True, False])
    trace = judging.Trace("x", labels, np.array([0.1, 0.9, 0.8, 0.2]), labels, ())
    recall, precision = plots.precision_recall([trace])
    np.testing.assert_allclose(recall, [0.5, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(precision, [1.0, 1.0, 2 / 3, 0.5])


@pytest.mark.parametrize("memory", [4, 10])
def test_suggested_windows_are_the_time_over_which_healthy_rows_are_correlated(memory: int) -> None:
    rng = np.random.default_rng(memory)
    kernel = np.ones(memory) / memory
    runs = []
    for _ in range(20):
        rows = rng.standard_normal((2_000, 3))
        values = np.column_stack([np.convolve(column, kernel, "valid") for column in rows.T])
        labels = np.zeros(10, np.bool_)
        runs.append(datasets.Run("made", values, values[:10], labels, history=False))
    short, long = unlabelled_windows(runs)
    # The integral of a triangle of this half width.
    assert long == pytest.approx(memory, abs=1)
    assert short == round(long**0.5)


def test_false_alarms_are_over_machine_days_and_the_design_needs_none() -> None:
    run = run_of(7)
    rows = int((~run.labels).sum())
    timeless, _ = judging.judge("timeless", [run], "pca_q", 0)
    timed, _ = judging.judge("timed", [replace(run, row_s=180.0)], "pca_q", 0)
    always, _ = judging.judge("timed", [replace(run, row_s=180.0)], "always_alarm", 0)
    assert timed.machine_days == pytest.approx(rows * 180.0 / 86_400.0)
    history = len(features_of(run, spec_of(4)).healthy)
    assert timed.designed_episodes == pytest.approx(0.3 * rows / history)
    cells = [
        row.strip("| ").split(" | ")
        for row in false_alarms.table([timeless, timed, always]).splitlines()[2:]
    ]
    assert [row[2] for row in cells] == ["-", "0.625", "0.625"]
    assert [row[4] == "-" for row in cells] == [True, False, False]
    assert [row[5] == "-" for row in cells] == [True, False, True]
    assert [row[6] == "-" for row in cells] == [False, False, True]


def test_seeds_of_a_detector_are_one_row_with_their_mean_count() -> None:
    line, _ = judging.judge("made", [run_of(8)], "random", 0)
    seeds = [replace(line, seed=seed, false_episodes=seed) for seed in range(3)]
    head, rule, *rows = false_alarms.table(seeds).splitlines()
    assert head.count("|") == rule.count("|") == rows[0].count("|")
    assert [row.split(" | ")[3] for row in rows] == ["1"]
