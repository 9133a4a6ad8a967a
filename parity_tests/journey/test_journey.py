"""The journey scenario: run twice it is the same; other means on its readings find the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from parity_tests.journey import report
from parity_tests.journey.report import ABSENT, LOCALSTACK
from parity_tests.journey.second_opinion import second_opinion
from parity_tests.scorecard import JOURNEYS, NOT_YET
from simulator.parity.journey import Difference, Tolerance, difference, load
from simulator.parity.journey_words import words

TWICE, BY_SQL = "embedded, twice", "embedded against features from SQL"


@pytest.fixture(scope="module")
def comparisons(
    journeys: tuple[Path, Path],
    on_localstack: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Difference]:
    """Return every comparison that can be made here."""
    here, there = map(load, journeys)
    other = second_opinion(journeys[0], here, tmp_path_factory.mktemp("model"))
    found = {
        TWICE: difference(here, there, Tolerance(score=0.0)),
        BY_SQL: difference(here, other),
    }
    if on_localstack is not None:
        found[LOCALSTACK] = difference(here, load(on_localstack))
    return found


@pytest.mark.parametrize("name", [TWICE, BY_SQL, LOCALSTACK])
def test_the_detections_are_the_same(name: str, comparisons: dict[str, Difference]) -> None:
    if name not in comparisons:
        pytest.skip(f"no LocalStack: {ABSENT['localstack']}")
    found = comparisons[name]
    assert found.same, words(found)
    assert found.rows > 200
    assert len(found.pairs) == len(found.here.detections) >= 2


def test_the_embedded_target_run_twice_is_identical(comparisons: dict[str, Difference]) -> None:
    assert comparisons[TWICE].largest == 0.0


def test_the_report_says_what_was_compared_and_which_targets_were_not_present(
    comparisons: dict[str, Difference], tmp_path: Path
) -> None:
    out = report.folder() or tmp_path / "parity"
    report.write(comparisons, out)
    values = json.loads((out / "journey.json").read_text("utf-8"))
    assert {name: each["same"] for name, each in values["compared"].items()} == dict.fromkeys(
        comparisons, True
    )
    absent = set() if LOCALSTACK in comparisons else {"localstack"}
    assert set(values["not_present"]) == absent | {"aws"}
    said = (out / "journey.txt").read_text("utf-8").splitlines()
    assert len(said) == len(comparisons) + len(values["not_present"])
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<li>") == len(said)
    assert "aws: not present" in page
    for name in re.findall(r'href="([^"]+)"', page):
        assert (out / name).exists()
    # The scorecard claims the same and no more.
    claimed = {name for name, value in JOURNEYS.items() if value != NOT_YET}
    assert claimed == {TWICE, BY_SQL, LOCALSTACK}


def test_a_target_that_was_compared_is_not_said_to_be_missing(
    comparisons: dict[str, Difference], tmp_path: Path
) -> None:
    report.write({LOCALSTACK: comparisons[TWICE]}, tmp_path)
    values = json.loads((tmp_path / "journey.json").read_text("utf-8"))
    assert set(values["not_present"]) == {"aws"}
