"""Slow means of levels: what training fits, the endpoint answers and the detector keeps."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.detection.episodes import EpisodeState, Rule, advance
from pipeline.errors import SettingsError
from pipeline.model import artefact as artefacts
from pipeline.model import inference, levels
from pipeline.model.artefact import Artefact
from pipeline.model.fitting import train
from pipeline.tests import healthy

MEMORY_ROWS = 10
ROWS = 400
FLOW_MEAN = 0


@lru_cache
def trained() -> Artefact:
    chosen = healthy.chosen(memory_rows=str(MEMORY_ROWS), false_alarms_per_machine_day="20")
    return train(healthy.dataset(5, units=3, rows=ROWS), chosen).artefact


def answer(features: NDArray[np.float64], unit: str = "m1") -> dict[str, Any]:
    return asked(trained(), inference.Request([unit] * len(features), features))


def asked(artefact: Artefact, request: inference.Request) -> dict[str, Any]:
    """Return the answer as the detector reads it."""
    body, _ = inference.output_fn(inference.predict_fn(request, artefact), inference.JSON)
    found: dict[str, Any] = json.loads(body)
    return found


@given(
    rows=st.integers(0, 70),
    memory_rows=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_running_means_in_blocks_are_those_of_one_row_after_the_other(
    rows: int, memory_rows: int, seed: int
) -> None:
    vectors = np.random.default_rng(seed).standard_normal((rows, 3))
    mean, expected = np.zeros(3), []
    for vector in vectors:
        mean = mean + (vector - mean) / memory_rows
        expected.append(mean)
    found = levels.running_mean(vectors, memory_rows)
    np.testing.assert_allclose(found, np.array(expected).reshape(rows, 3), atol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 99))
def test_training_and_the_detector_have_the_same_slow_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, scores = rng.standard_normal((40, 2)), rng.random(40) * 1.5
    rule = Rule(1, 1.0, 0.8, 2, 3, 60_000, memory_rows=7)
    state, slow = EpisodeState(), []
    for row, (score, vector) in enumerate(zip(scores.tolist(), vectors.tolist(), strict=True)):
        state, _ = advance(state, rule, row * 1_000, score, vector)
        slow.append(state.slow_score)
    found = levels.slow_scores(vectors, scores <= 1.0, 7)
    np.testing.assert_allclose(found, slow, atol=1e-12)


def openings(found: dict[str, Any], memory_rows: int) -> list[int]:
    rule = Rule(3, 1.0, 0.8, 2, 3, 60_000, memory_rows=memory_rows)
    state, rows = EpisodeState(), []
    for row, (score, deviations) in enumerate(zip(found["scores"], found["levels"], strict=True)):
        state, step = advance(state, rule, row * 1_000, score, deviations)
        rows += [row] if step.opened else []
    return rows


def test_a_shift_that_no_row_shows_is_found_after_a_while() -> None:
    """It is less than half of what the load does to this sensor, but the load moves all three."""
    features = healthy.features(np.random.default_rng(9), ROWS, level=100.0)
    moved = features.copy()
    moved[200:, FLOW_MEAN] -= 0.4
    usual, shifted = answer(features), answer(moved)
    assert usual["level_sensors"] == list(healthy.SENSORS)
    assert openings(usual, usual["memory_rows"]) == []
    assert openings(shifted, 0) == []
    assert [200 < row < 240 for row in openings(shifted, shifted["memory_rows"])[:1]] == [True]


def test_levels_are_whitened_around_the_machines_own_level() -> None:
    vectors = trained().model.level_vectors([], healthy.dataset(5).features[:0])
    assert vectors.shape == (0, len(healthy.SENSORS))
    data = healthy.dataset(5, units=3, rows=ROWS)
    found = trained().model.level_vectors(data.device_ids, data.features)
    slow = np.vstack([levels.running_mean(one, MEMORY_ROWS) for one in np.split(found, 3)])
    assert np.abs(found.mean(axis=0)).max() < 1e-6
    assert slow.std(axis=0) == pytest.approx(np.ones(3), abs=0.15)


def test_an_unknown_machine_has_no_slow_judgement() -> None:
    features = healthy.features(np.random.default_rng(1), 20, level=1e4)
    assert not np.any(answer(features, "somebody")["levels"])


def test_missing_and_endless_values_give_numbers() -> None:
    row = np.full((3, healthy.WIDTH), np.nan)
    row[1] = np.inf
    row[2] = -1e300
    found = np.array(answer(row)["levels"])
    assert np.isfinite(found).all()
    assert not found[0].any()


def test_a_model_is_read_back_with_its_levels(tmp_path: Path) -> None:
    artefacts.save(trained(), tmp_path)
    read = artefacts.load(tmp_path)
    features = healthy.dataset(5).features[:7]
    assert read.rule == trained().rule
    assert read.level_sensors == healthy.SENSORS
    np.testing.assert_array_equal(
        read.model.level_vectors(["m0"] * 7, features),
        trained().model.level_vectors(["m0"] * 7, features),
    )


def test_a_model_of_before_there_were_levels_is_read_and_answers_as_it_did(tmp_path: Path) -> None:
    plain = train(healthy.dataset(5), healthy.chosen(memory_rows="0")).artefact
    artefacts.save(plain, tmp_path)
    file = tmp_path / artefacts.DESCRIPTION_FILE
    description = json.loads(file.read_text())
    del description["level_columns"], description["rule"]["memory_rows"]
    del description["combination"]["slow_threshold"]
    file.write_text(json.dumps(description))
    request = inference.Request(["m0"], healthy.dataset(5).features[:1])
    found = asked(artefacts.load(tmp_path), request)
    assert found == asked(plain, request)
    assert "levels" not in found


def test_a_history_that_is_too_short_has_no_slow_mean() -> None:
    rows = levels.MIN_MEMORIES * MEMORY_ROWS
    for count, expected in ((rows - 1, 0), (rows, MEMORY_ROWS)):
        chosen = healthy.chosen(memory_rows=str(MEMORY_ROWS))
        artefact = train(healthy.dataset(5, units=2, rows=count), chosen).artefact
        assert artefact.rule.memory_rows == expected
        assert bool(artefact.model.levels.columns) is bool(expected)


def test_a_negative_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="memory_rows"):
        healthy.chosen(memory_rows="-1")
