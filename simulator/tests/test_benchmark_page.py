"""docs/benchmarks.md is what `python -m benchmarks.page` makes of the committed results."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import catalogue, charts, page
from benchmarks.result import ROOT, Result, load_all
from benchmarks.row import MISSED, Row

MACHINE = {"cores": 2, "memory_gb": 8, "python": "3.11.7", "load_before": 0.2, "new_file_us": 14.2}


def result_of(name: str, rows: list[Row], details: object = None) -> Result:
    return Result(name, rows, details, "2026-01-05", "abc1234", 12.0, MACHINE)


def rows() -> list[Row]:
    return [
        Row("quick <enough>", 2.0, "s", "peer | other", 4.0, ceiling=3.0),
        Row("too few", 2.0, "rows/s", "peer", 4.0, floor=3.0),
        Row("nothing at all", 0.0, "of all", "peer", 1.0, ceiling=0.5, limits="ratio"),
    ]


def test_the_committed_page_and_pictures_are_those_of_the_committed_results() -> None:
    made = page.files(load_all())
    for path, text in made.items():
        again = "make it anew: python -m benchmarks.page"
        assert (ROOT / path).read_text("utf-8") == text, f"{path}: {again}"
    there = {page.PICTURES / path.name for path in (ROOT / page.PICTURES).glob("*.svg")}
    assert there == set(made) - {page.PAGE}


def test_a_missed_limit_is_in_the_summary_the_table_and_the_picture() -> None:
    made = page.files([result_of("startup", rows())])
    text = made[page.PAGE]
    assert "2 of 3 figures keep their limits.\nMISSED:\n\n- startup: too few: 2 rows/s" in text
    assert f"| too few | 2 rows/s | peer: 4 | 0.5 x | ≥ 3 rows/s | **{MISSED}** |" in text
    assert "peer \\| other" in text
    assert made[page.PICTURES / "start-up.svg"].count(MISSED) == 1


def test_a_benchmark_without_a_result_is_named_as_not_measured() -> None:
    text = page.files([])[page.PAGE]
    for each in catalogue.BENCHMARKS:
        assert each.name in text


def test_the_newest_benchmarks_have_pictures_of_their_own() -> None:
    sizes = [
        {"machines": n, "seconds": 120, "peak_mb": 900.0, "own_mb": 300.0, "encoded_mb": n / 40}
        for n in (10, 1_000)
    ]
    hops = {"rule": {"samples": 9, "mean": 0.1, "p50": 0.04, "p99": 0.3}}
    still = {"glue:GetTable": {"samples": 2, "mean": 0.0, "p50": 0.0, "p99": 0.0}}
    made = page.files(
        [
            result_of("memory", rows(), sizes),
            result_of("latency", rows(), {"hops_of_a_run_s": {**hops, **still}}),
        ]
    )
    assert "1,000 machines, 120 s" in made[page.PICTURES / "peak-memory.svg"]
    assert "rule" in made[page.PICTURES / "hops.svg"]
    assert "glue:GetTable" not in made[page.PICTURES / "hops.svg"]


@pytest.mark.parametrize("picture", ["ratios", "scaling"])
def test_pictures_are_whole_and_have_colours_for_dark_surroundings(picture: str) -> None:
    jobs = [{"rows": n * 10**6, "cold_s": 8.0 + 3 * n, "peak_mb": 2e3} for n in (1, 5)]
    svg = charts.ratios("made", rows()) if picture == "ratios" else charts.scaling(jobs)
    root = ET.fromstring(svg)
    assert root.get("viewBox")
    assert "prefers-color-scheme:dark" in svg
    assert "nan" not in svg


def test_the_page_and_its_pictures_are_written_and_old_pictures_are_gone(tmp_path: Path) -> None:
    old = tmp_path / page.PICTURES / "old.svg"
    old.parent.mkdir(parents=True)
    old.write_text("")
    assert page.main(["--root", str(tmp_path)]) == 0
    assert not old.exists()
    assert (tmp_path / page.PAGE).read_text("utf-8") == page.files(load_all())[page.PAGE]


def test_parts_that_a_run_left_out_keep_their_dates_on_the_page() -> None:
    renewed = {"skab": "2026-01-02", "fleet": "2026-01-05"}
    text = page.files([result_of("detection", rows(), {"renewed": renewed})])[page.PAGE]
    assert "in 12 s. Measured: skab 2026-01-02, fleet 2026-01-05." in text
    today = dict.fromkeys(renewed, "2026-01-05")
    assert (
        "Measured:"
        not in page.files([result_of("detection", rows(), {"renewed": today})])[page.PAGE]
    )
