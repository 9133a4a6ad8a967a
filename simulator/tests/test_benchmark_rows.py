"""What benchmarks leave behind: rows with a peer and a limit, results that are kept apart."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import catalogue, result
from benchmarks.row import MISSED, Row, number, table

POSITIVE = st.floats(min_value=1e-6, max_value=1e12)


@given(POSITIVE, POSITIVE, POSITIVE, st.booleans(), st.sampled_from(["value", "ratio"]))
def test_a_row_keeps_its_limit_as_a_value_exactly_when_it_does_as_a_ratio(
    value: float, against: float, limit: float, is_floor: bool, limits: str
) -> None:
    floor, ceiling = (limit, None) if is_floor else (None, limit)
    row = Row("x", value, "s", "peer", against, floor=floor, ceiling=ceiling, limits=limits)
    far = abs(row.ratio - row.limit_ratio) > 1e-9 * row.ratio
    if far:
        assert row.met == ((row.ratio > row.limit_ratio) == is_floor)


@given(POSITIVE, POSITIVE, POSITIVE, st.booleans())
def test_a_stored_row_is_the_row_to_five_digits(
    value: float, against: float, limit: float, is_floor: bool
) -> None:
    floor, ceiling = (limit, None) if is_floor else (None, limit)
    row = Row("x", value, "s", "peer", against, floor=floor, ceiling=ceiling)
    again = Row.from_json(json.loads(json.dumps(row.to_json())))
    assert again.to_json() | {"ratio": 0, "met": 0} == row.to_json() | {"ratio": 0, "met": 0}
    assert again.ratio == pytest.approx(row.ratio, rel=1e-4)


@pytest.mark.parametrize(
    "given_",
    [{}, {"floor": 1.0, "ceiling": 2.0}, {"floor": 1.0, "limits": "peer"}],
    ids=["no limit", "two limits", "a limit of something else"],
)
def test_a_row_without_exactly_one_limit_is_refused(given_: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="x: "):
        Row("x", 1.0, "s", "peer", 1.0, **given_)  # type: ignore[arg-type]


def test_a_row_whose_peer_measured_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="peer is 0"):
        Row("x", 1.0, "s", "peer", 0.0, floor=1.0)


def test_a_missed_limit_is_marked_in_the_table() -> None:
    kept = Row("kept", 2.0, "s", "peer", 4.0, ceiling=3.0)
    missed = Row("missed", 2.0, "s", "peer", 4.0, floor=3.0)
    lines = table([kept, missed]).splitlines()
    assert lines[1].endswith("met")
    assert lines[2].endswith(MISSED)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000012, "0.000012"), (0.5, "0.5"), (12.345, "12.3"), (999.0, "999"), (12345.6, "12,346")],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text


def test_a_quick_run_is_refused_the_folder_of_committed_results() -> None:
    chosen = argparse.Namespace(quick=True, out=result.RESULTS)
    with pytest.raises(SystemExit, match="does not replace"):
        result.folder_of(chosen)
    assert result.folder_of(argparse.Namespace(quick=True, out=None)) == result.QUICK_RESULTS


@pytest.mark.parametrize("strict", [False, True])
def test_only_a_strict_run_fails_for_a_missed_limit(tmp_path: Path, strict: bool) -> None:
    rows = [Row("missed", 2.0, "s", "peer", 4.0, floor=3.0)]
    chosen = argparse.Namespace(quick=False, out=tmp_path, strict=strict)
    assert result.finish("made", rows, chosen, {"more": 1}) == (3 if strict else 0)
    stored = result.load(tmp_path / "made.json")
    assert stored.rows == rows
    assert stored.details == {"more": 1}
    assert set(stored.machine) == {*("cores", "memory_gb", "python", "load_before", "new_file_us")}


def test_every_committed_result_is_in_the_rows_form_and_of_a_benchmark_that_runs() -> None:
    names = {each.name for each in catalogue.BENCHMARKS}
    for stored in result.load_all():
        assert stored.benchmark in names
        assert stored.rows
        assert stored.date
        assert stored.commit


@pytest.mark.parametrize("each", catalogue.BENCHMARKS, ids=lambda each: each.name)
def test_every_benchmark_takes_arguments_and_says_what_a_quick_run_leaves_out(
    each: catalogue.Benchmark,
) -> None:
    module = importlib.import_module(each.command[0])
    if each.name == "detection":
        module = importlib.import_module("benchmarks.detection.__main__")
    assert list(inspect.signature(module.main).parameters) == ["arguments"]
    assert (each.quick_s is None) == bool(each.left_out)


def test_a_full_run_is_planned_under_fifteen_minutes_and_a_quick_one_under_two() -> None:
    assert sum(each.full_s for each in catalogue.BENCHMARKS if not each.alone) < 900
    assert sum(each.quick_s or 0 for each in catalogue.BENCHMARKS) < 120
