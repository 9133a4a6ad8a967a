"""Thresholds: the designed rate of false alarms is the measured one on unseen healthy rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from pipeline.detection.episodes import EpisodeState, Rule, advance
from pipeline.model.calibration import (
    MS_PER_DAY,
    episode_peaks,
    folds,
    threshold_for_rate,
)
from pipeline.model.fitting import train
from pipeline.model.scoring import smooth
from pipeline.tests import healthy


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    blocks=st.integers(2, 5),
    purge=st.integers(0, 5),
)
def test_every_row_is_held_out_once_and_its_neighbours_in_time_are_not_fitted(
    counts: list[int], blocks: int, purge: int
) -> None:
    units = [f"u{unit}" for unit, count in enumerate(counts) for _ in range(count)]
    times = np.concatenate([np.arange(count) for count in counts]).astype(np.int64)
    held_times = np.zeros(len(units), dtype=int)
    for fit_rows, held_rows in folds(units, times, blocks, purge):
        held_times += held_rows
        assert not (fit_rows & held_rows).any()
        for row in np.flatnonzero(held_rows):
            same = np.array([unit == units[row] for unit in units])
            near = same & (np.abs(times - times[row]) < purge)
            assert not (fit_rows & near).any()
    assert (held_times == 1).all()


@given(
    levels=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    enter_rows=st.integers(1, 4),
    separation=st.integers(0, 5),
)
def test_peaks_are_levels_that_enough_rows_in_a_row_reach(
    levels: list[float], enter_rows: int, separation: int
) -> None:
    peaks = episode_peaks(np.array(levels), enter_rows, separation)
    if len(levels) < enter_rows:
        assert len(peaks) == 0
        return
    runs = [min(levels[row : row + enter_rows]) for row in range(len(levels) - enter_rows + 1)]
    assert peaks[0] == max(runs)
    assert set(peaks.tolist()) <= set(runs)
    assert list(peaks) == sorted(peaks, reverse=True)


def test_a_rarer_alarm_needs_a_higher_threshold() -> None:
    peaks = np.random.default_rng(1).exponential(size=200)
    levels = [threshold_for_rate(peaks, 2.0, rate) for rate in (50.0, 10.0, 1.0, 0.1, 0.01)]
    assert levels == sorted(levels)
    assert len(set(levels)) == len(levels)


def test_a_tail_of_lengths_is_extrapolated_to_its_true_level() -> None:
    rng = np.random.default_rng(2)
    # Squares with an exponential tail, 500 peaks a day: one in ten days has log(5000).
    found = [threshold_for_rate(np.sqrt(rng.exponential(size=500)), 1.0, 0.1) for _ in range(50)]
    assert np.median(np.square(found)) == pytest.approx(np.log(5_000), rel=0.08)


@pytest.mark.parametrize("dimensions", [1, 4, 19])
@pytest.mark.parametrize("count", [600, 6_000])
def test_the_rate_on_new_peaks_is_the_designed_one_on_average(dimensions: int, count: int) -> None:
    """Lengths of Gaussian vectors, calibrated many times: true rates by the exact law."""
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(200):
        peaks = np.sqrt(rng.chisquare(dimensions, size=count))
        level = threshold_for_rate(peaks, 40.0, 0.05)
        rates.append(count / 40.0 * float(chi2.sf(level**2, dimensions)) / 0.05)
    assert 1 / 1.5 < np.mean(rates) < 1.5


def test_more_peaks_of_the_same_law_make_the_threshold_jump_less() -> None:
    def spread(count: int) -> float:
        rng = np.random.default_rng(4)
        levels = [
            threshold_for_rate(np.sqrt(rng.chisquare(4, size=count)), 1.0, 20.0 / 1e3 * count / 600)
            for _ in range(100)
        ]
        return float(np.std(levels))

    assert spread(12_000) < 0.7 * spread(600)


def test_few_peaks_give_a_higher_threshold_than_many_of_the_same_law() -> None:
    def level(count: int) -> float:
        law = np.sqrt(-np.log((np.arange(count) + 0.5) / count))  # The quantiles themselves.
        return threshold_for_rate(law, 1.0, 0.01 * count / 20)

    assert level(20) > level(200) > level(2_000)


def test_scores_of_any_size_and_rate_give_a_threshold_that_is_none_of_their_lowest() -> None:
    for count in (1, 2, 39, 40, 41, 3_000):
        peaks = np.random.default_rng(count).random(count) * 1e3
        for rate in (1e-6, 0.05, 1e3):
            level = threshold_for_rate(peaks, 1.0, rate)
            assert np.isfinite(level)
            assert level >= peaks.min()


def test_no_peaks_is_an_error_and_not_a_threshold() -> None:
    with pytest.raises(ValueError, match="no healthy rows"):
        threshold_for_rate(np.empty(0), 1.0, 1.0)


def test_the_measured_rate_of_false_alarms_is_about_the_designed_one() -> None:
    per_day = 60.0
    chosen = healthy.chosen(false_alarms_per_machine_day=str(per_day), epochs="6")
    units, rows = 6, 1_200
    everything = healthy.dataset(11, units=units, rows=2 * rows)
    first = everything.event_time_ms <= rows * healthy.SPEC.hop_ms
    history = type(everything)(
        [unit for unit, used in zip(everything.device_ids, first, strict=True) if used],
        everything.event_time_ms[first],
        everything.features[first],
    )
    artefact = train(history, chosen).artefact
    assert artefact.rule.memory_rows == chosen.memory_rows
    rule = Rule(
        3,
        1.0,
        chosen.exit_level,
        chosen.enter_rows,
        chosen.exit_rows,
        60_000,
        memory_rows=chosen.memory_rows,
    )
    opened = 0
    for unit in range(units):
        live = ~first & (np.array(everything.device_ids) == f"m{unit}")
        parts = artefact.model.parts([f"m{unit}"] * int(live.sum()), everything.features[live])
        scores = artefact.combination.score(parts)
        names = [f"m{unit}"] * int(live.sum())
        vectors = artefact.model.level_vectors(names, everything.features[live])
        levels = (vectors / artefact.combination.slow_threshold).tolist()
        state = EpisodeState()
        scored = zip(everything.event_time_ms[live], scores, levels, strict=True)
        for moment, score, deviations in scored:
            state, step = advance(state, rule, int(moment), float(score), deviations)
            opened += step.opened
    days = units * rows * healthy.SPEC.hop_ms / MS_PER_DAY
    expected = per_day * days
    # Poisson counts on both sides, history and live: within a factor of about two.
    assert expected / 2.2 <= opened <= expected * 2.2
    assert np.isfinite(smooth(scores, 3)[3:]).all()
