"""Two runs compared: what is said to be the same is, and every difference is found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.errors import ParityError
from simulator.parity.journey import Found, Journey, Tolerance, difference, load
from simulator.parity.journey_page import page
from simulator.parity.journey_words import words
from simulator.tests.test_run import Page

GOLDEN = Path(__file__).with_name("golden") / "parity_diff.txt"
START_MS = 1_767_571_200_000
HOP_MS = 10_000

devices = st.sampled_from(["pump-001", "pump-002", "pump-003"])
grid = st.integers(0, 60).map(lambda step: START_MS + step * HOP_MS)


@st.composite
def founds(draw: st.DrawFn) -> Found:
    started = draw(grid)
    ended = draw(st.none() | st.integers(1, 30).map(lambda step: started + step * HOP_MS))
    return Found(draw(devices), started, ended, draw(st.floats(1.0, 9.0)))


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    detections = draw(
        st.lists(founds(), max_size=6, unique_by=lambda f: (f.device_id, f.started_ms))
    )
    scores = draw(st.dictionaries(devices, st.dictionaries(grid, st.floats(0, 5), max_size=8)))
    books = draw(st.fixed_dictionaries({"stored": st.integers(0, 3), "late": st.integers(0, 3)}))
    return Journey(
        "run", "journey", 1, "embedded", books, len(detections), tuple(detections), scores
    )


@given(journeys())
def test_a_run_is_the_same_as_itself(run: Journey) -> None:
    found = difference(run, run, Tolerance(score=0.0))
    assert found.same
    assert len(found.pairs) == len(run.detections)
    assert all(pair.start_shift_s == 0.0 for pair in found.pairs)


@given(journeys(), journeys())
def test_each_detection_is_counted_once_and_both_directions_agree(a: Journey, b: Journey) -> None:
    there, back = difference(a, b), difference(b, a)
    assert len(there.pairs) + len(there.only_here) == len(a.detections)
    assert len(there.pairs) + len(there.only_there) == len(b.detections)
    assert there.same == back.same
    assert there.only_here == back.only_there
    assert (there.rows, there.largest) == (back.rows, back.largest)
    assert (there.first is None) == (back.first is None)


@given(journeys(), journeys())
def test_text_page_and_json_can_be_made_of_every_comparison(a: Journey, b: Journey) -> None:
    found = difference(a, b)
    assert words(found).splitlines()[-1].startswith("the same" if found.same else "DIFFERENT in")
    assert Page(page(found)).open == []
    assert json.loads(json.dumps(found.to_json()))["same"] == found.same


@given(journeys().filter(lambda run: run.detections), st.data())
def test_a_lost_detection_is_only_on_one_side(run: Journey, data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(run.detections))
    kept = tuple(each for each in run.detections if each is not lost)
    found = difference(run, dataclasses.replace(run, detections=kept), Tolerance(join_s=0.0))
    assert not found.same
    assert found.only_here == (lost,)


@given(journeys(), devices, grid, st.floats(2e-6, 5.0), st.sampled_from([-1, 1]))
def test_the_first_row_that_differs_is_named(
    run: Journey, device: str, at_ms: int, by: float, sign: int
) -> None:
    scores = {name: dict(rows) for name, rows in run.scores.items()}
    base = scores.setdefault(device, {}).setdefault(at_ms, 1.0)
    here = dataclasses.replace(run, scores=scores)
    other = {**scores, device: {**scores[device], at_ms: base + sign * by}}
    found = difference(here, dataclasses.replace(run, scores=other))
    assert found.first is not None
    assert (found.first.device_id, found.first.event_time_ms) == (device, at_ms)
    assert found.largest == pytest.approx(by, rel=1e-3)
    assert difference(here, here, Tolerance(score=10.0)).same


@pytest.mark.parametrize(
    ("tolerance", "moved"),
    [(Tolerance(), 1), (Tolerance(start_s=10.0), 0), (Tolerance(start_s=10.0, join_s=5.0), 0)],
)
def test_a_detection_that_starts_later_is_moved_until_it_may(
    tolerance: Tolerance, moved: int
) -> None:
    here, there = sample(), sample()
    late = Found("pump-002", START_MS + HOP_MS, START_MS + 20 * HOP_MS, 1.5)
    there = dataclasses.replace(there, detections=(late,))
    found = difference(here, there, tolerance)
    assert len(found.moved) == moved
    assert len(found.only_here) == (tolerance.join_s < 10.0)


def test_runs_of_different_things_are_not_compared() -> None:
    with pytest.raises(ParityError, match="run the same on both"):
        difference(sample(), dataclasses.replace(sample(), seed=2))


def sample() -> Journey:
    """Return a run with one detection."""
    detection = Found("pump-002", START_MS, START_MS + 20 * HOP_MS, 1.5)
    scores = {"pump-002": {START_MS + step * HOP_MS: 1.0 + step / 100 for step in range(30)}}
    books = {"published": 30, "stored": 30}
    return Journey("out-a", "journey", 1, "embedded", books, 1, (detection,), scores)


def apart() -> Journey:
    """Return another run: its detection came later, one more, a row was lost, one is higher."""
    here = sample()
    rows = dict(here.scores["pump-002"])
    del rows[START_MS + 5 * HOP_MS]
    rows[START_MS + 7 * HOP_MS] += 0.25
    moved = Found("pump-002", START_MS + HOP_MS, None, 1.75)
    more = Found("pump-004", START_MS + 9 * HOP_MS, None, 1.125)
    return dataclasses.replace(
        here,
        name="out-b",
        target="localstack",
        readings={"published": 30, "stored": 29},
        alerts=2,
        detections=(moved, more),
        scores={"pump-002": rows},
    )


def test_the_text_of_a_fixed_comparison_is_the_golden_file() -> None:
    assert words(difference(sample(), apart())) + "\n" == GOLDEN.read_text("utf-8")


# -- the command


def written(journey: Journey, out: Path) -> Path:
    """Write a run as `fleetwin run` does."""
    out.mkdir()

    def iso(at_ms: int | None) -> str | None:
        from datetime import UTC, datetime

        return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()

    report: dict[str, Any] = {
        "scenario": journey.scenario,
        "seed": journey.seed,
        "target": journey.target,
        "readings": journey.readings,
        "alerts": journey.alerts,
        "detections": [
            {**vars(each), "started": iso(each.started_ms), "ended": iso(each.ended_ms)}
            for each in journey.detections
        ],
    }
    (out / "report.json").write_bytes(orjson.dumps(report))
    rows = [
        {"device_id": device, "event_time_ms": at, "score": score, "no_model_score": None}
        for device, of_device in journey.scores.items()
        for at, score in of_device.items()
    ]
    (out / "scores.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return out


def test_what_a_run_wrote_is_read_back(tmp_path: Path) -> None:
    out = written(apart(), tmp_path / "b")
    assert dataclasses.replace(load(out), name="out-b") == apart()


def test_billable_units_are_told_where_both_sides_know_them_and_do_not_count(
    tmp_path: Path,
) -> None:
    here, there = written(sample(), tmp_path / "a"), written(sample(), tmp_path / "b")
    assert "do not count" not in words(difference(load(here), load(there)))
    (here / "billable.json").write_text('{"S3 PUT requests": 10.0, "SNS requests": 1.0}')
    assert difference(load(here), load(there)).billable == {}
    (there / "billable.json").write_text('{"S3 PUT requests": 10.0, "SQS requests": 2.0}')
    found = difference(load(here), load(there))
    assert found.same
    assert found.billable == {
        "S3 PUT requests": (10.0, 10.0),
        "SNS requests": (1.0, 0.0),
        "SQS requests": (0.0, 2.0),
    }
    said = words(found)
    assert "of 3 units 1 the same, 2 not (do not count)" in said
    assert "SQS requests  0 here, 2 there" in said
    assert "<h2>Billable units</h2>" in page(found)
    assert found.to_json()["billable"]["SNS requests"] == [1.0, 0.0]
    (there / "billable.json").write_text("[]")
    with pytest.raises(ParityError, match="no billable units"):
        load(there)


def test_the_exit_code_says_whether_two_runs_are_the_same(tmp_path: Path) -> None:
    here, there = written(sample(), tmp_path / "a"), written(apart(), tmp_path / "b")
    as_json, as_html = tmp_path / "diff.json", tmp_path / "diff.html"
    words = ["parity", "diff", str(here), str(there), "--json", str(as_json)]
    different = CliRunner().invoke(app, [*words, "--html", str(as_html)])
    assert different.exit_code == 1
    assert "DIFFERENT in detections, scores, books" in different.output
    assert json.loads(as_json.read_text())["rows"]["only_here"] == 1
    assert "pump-002: largest difference 0.25" in as_html.read_text()
    assert CliRunner().invoke(app, ["parity", "diff", str(here), str(here)]).exit_code == 0


def test_a_folder_that_no_run_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="must be what `fleetwin run --out` wrote"):
        load(tmp_path)
