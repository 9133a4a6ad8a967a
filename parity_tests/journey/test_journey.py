"""The journey scenario: run twice it is the same; other means on its readings find the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity_tests.journey.second_opinion import second_opinion
from simulator.parity.journey import Tolerance, difference, load
from simulator.parity.journey_words import words

pytestmark = pytest.mark.xdist_group("journey")


def test_the_embedded_target_run_twice_is_identical(journeys: tuple[Path, Path]) -> None:
    here, there = map(load, journeys)
    found = difference(here, there, Tolerance(score=0.0))
    assert found.same, words(found)
    assert found.largest == 0.0
    assert len(found.pairs) == len(here.detections) >= 2
    assert found.rows > 200


def test_features_from_sql_lead_to_the_same_detections(
    journeys: tuple[Path, Path], tmp_path: Path
) -> None:
    run = load(journeys[0])
    found = difference(run, second_opinion(journeys[0], run, tmp_path))
    assert found.same, words(found)
    assert found.rows > 200
    assert len(found.pairs) >= 2
