"""The journey scenario: run twice it is the same; other means on its readings find the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from parity_tests.journey import report
from parity_tests.journey.report import LOCALSTACK, Failed, Outcome
from parity_tests.journey.second_opinion import second_opinion
from parity_tests.scorecard import JOURNEYS, NOT_YET
from simulator import localstack_host
from simulator.parity.journey import Difference, Tolerance, difference, load
from simulator.parity.journey_words import words

Made = TypeVar("Made")
TWICE, BY_SQL = "embedded, twice", "embedded against features from SQL"


def attempt(make: Callable[[], Made]) -> Made | Failed:
    """Return what is made, or why it could not be: the other comparisons are made all the same."""
    try:
        return make()
    except Exception as error:
        said = " ".join(str(error).split())
        return Failed(f"{type(error).__name__}: {said}" if said else type(error).__name__)


@pytest.fixture(scope="module")
def comparisons(
    run_twice: Callable[[], tuple[Path, Path]],
    run_on_localstack: Callable[[], Path] | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Outcome]:
    """Return every comparison that can be made here, or why it failed."""
    return compared(run_twice, run_on_localstack, tmp_path_factory.mktemp("model"))


def compared(
    run_twice: Callable[[], tuple[Path, Path]],
    run_on_localstack: Callable[[], Path] | None,
    workshop: Path,
) -> dict[str, Outcome]:
    """Make each comparison; ``workshop`` is an empty folder for the second opinion."""
    names = [TWICE, BY_SQL] if run_on_localstack is None else [TWICE, BY_SQL, LOCALSTACK]
    runs = attempt(run_twice)
    if isinstance(runs, Failed):
        return dict.fromkeys(names, runs)
    first, second = runs
    here = attempt(lambda: load(first))
    if isinstance(here, Failed):
        return dict.fromkeys(names, here)
    found: dict[str, Outcome] = {
        TWICE: attempt(lambda: difference(here, load(second), Tolerance(score=0.0))),
        BY_SQL: attempt(lambda: difference(here, second_opinion(first, here, workshop))),
    }
    if run_on_localstack is not None:
        found[LOCALSTACK] = attempt(lambda: difference(here, load(run_on_localstack())))
    return found


def made(found: Outcome) -> Difference:
    """Return a comparison; the test fails for one that could not be made."""
    if isinstance(found, Failed):
        pytest.fail(found.why, pytrace=False)
    return found


@pytest.mark.parametrize("name", [TWICE, BY_SQL, LOCALSTACK])
def test_the_detections_are_the_same(name: str, comparisons: dict[str, Outcome]) -> None:
    if name not in comparisons:
        pytest.skip(f"no LocalStack: {report.absent()['localstack']}")
    found = made(comparisons[name])
    assert found.same, words(found)
    assert found.rows > 200
    assert len(found.pairs) == len(found.here.detections) >= 2


def test_the_embedded_target_run_twice_is_identical(comparisons: dict[str, Outcome]) -> None:
    twice = made(comparisons[TWICE])
    assert twice.largest == 0.0
    assert len(twice.billable) > 10
    assert all(here == there for here, there in twice.billable.values()), words(twice)


def test_the_report_says_what_was_compared_and_which_targets_were_not_present(
    comparisons: dict[str, Outcome], tmp_path: Path
) -> None:
    out = report.folder() or tmp_path / "parity"
    report.write(comparisons, out)
    values = json.loads((out / "journey.json").read_text("utf-8"))
    assert {name: each["same"] for name, each in values["compared"].items()} == dict.fromkeys(
        comparisons, True
    )
    missing = set() if LOCALSTACK in comparisons else {"localstack"}
    assert set(values["not_present"]) == missing | {"aws"}
    said = (out / "journey.txt").read_text("utf-8").splitlines()
    assert len(said) == len(comparisons) + len(values["not_present"])
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<li>") == len(said)
    assert "aws: not present" in page
    for name in re.findall(r'href="([^"]+)"', page):
        assert (out / name).exists()
    # The scorecard claims the same and no more.
    claimed = {
        name
        for name, (value, test) in JOURNEYS.items()
        if value != NOT_YET and test.startswith("journey/")
    }
    assert claimed == {TWICE, BY_SQL, LOCALSTACK}


def test_a_comparison_that_fails_is_told_and_the_others_are_made(
    comparisons: dict[str, Outcome], tmp_path: Path
) -> None:
    whole = made(comparisons[TWICE])
    runs = Path(whole.here.name), Path(whole.there.name)

    def broken() -> Path:
        raise OSError("it did not\n  come up")

    # The workshop is a file: the second opinion cannot be made either.
    workshop = tmp_path / "workshop"
    workshop.touch()
    found = compared(lambda: runs, broken, workshop)
    report.write(found, tmp_path / "parity")
    said = (tmp_path / "parity" / "journey.txt").read_text("utf-8")
    assert f"{TWICE}: the same" in said
    assert f"{BY_SQL}: failed: " in said
    assert f"{LOCALSTACK}: failed: OSError: it did not come up\n" in said
    values = json.loads((tmp_path / "parity" / "journey.json").read_text("utf-8"))
    assert (set(values["compared"]), set(values["failed"])) == ({TWICE}, {BY_SQL, LOCALSTACK})
    with pytest.raises(pytest.fail.Exception, match="did not come up"):
        made(found[LOCALSTACK])


def test_a_report_is_written_even_where_no_run_ends_well(tmp_path: Path) -> None:
    def broken() -> tuple[Path, Path]:
        raise OSError("no memory")

    report.write(compared(broken, None, tmp_path), tmp_path)
    said = (tmp_path / "journey.txt").read_text("utf-8").splitlines()
    assert said[:2] == [f"{name}: failed: OSError: no memory" for name in (TWICE, BY_SQL)]


def test_a_target_that_was_compared_is_not_said_to_be_missing(
    comparisons: dict[str, Outcome], tmp_path: Path
) -> None:
    report.write({LOCALSTACK: comparisons[TWICE]}, tmp_path)
    values = json.loads((tmp_path / "journey.json").read_text("utf-8"))
    assert set(values["not_present"]) == {"aws"}


def test_a_localstack_that_was_named_and_is_unfinished_is_not_called_unnamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(localstack_host.VARIABLE, str(tmp_path))
    assert localstack_host.prepared() is None
    assert str(tmp_path) in report.absent()["localstack"]
    assert "none was named" not in report.absent()["localstack"]
    monkeypatch.delenv(localstack_host.VARIABLE)
    assert "none was named" in report.absent()["localstack"]
