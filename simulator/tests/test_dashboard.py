"""`fleetwin dashboard`: what is kept of a run, and what is drawn of it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.cloud import dashboards_store
from simulator.cloud.dashboards_store import lines_of
from simulator.cloud.metrics import Metrics
from simulator.dashboard_html import page_of
from simulator.dashboard_svg import document
from simulator.errors import EnvironmentMissing, ScenarioError
from simulator.tests.conftest import FinishedRun

START_S = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
GRAPH = {
    "title": "Readings & <more>",
    "region": "us-east-1",
    "metrics": [
        ["Fleetwin", "Stored", {"label": "stored", "period": 60, "stat": "Sum"}],
        ["AWS/Lambda", "IteratorAge", "FunctionName", "f", {"period": 120, "stat": "Maximum"}],
        ["AWS/Lambda", "Silent", {"period": 60}],
    ],
}
ALARM = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:fleetwin-dev-late"
WIDGETS: list[dict[str, Any]] = [
    {"type": "alarm", "properties": {"title": "Alarms", "alarms": [ALARM]}},
    {"type": "metric", "properties": GRAPH},
    {"type": "metric", "properties": {"title": "Sum", "metrics": [[{"expression": "a+b"}]]}},
    {"type": "text", "properties": {"markdown": "# hello"}},
]


def metrics() -> Metrics:
    made = Metrics(cast(Any, None))
    for minute in (0, 1, 5):
        at_s = START_S + minute * 60 + 7
        made.record("Fleetwin", "Stored", {}, 10 + minute, "Count", at_s)
        made.record(
            "AWS/Lambda", "IteratorAge", {"FunctionName": "f"}, 2_000 * minute, "None", at_s
        )
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    body = json.dumps({"widgets": WIDGETS})
    changes = [(datetime.fromtimestamp(START_S + 120, UTC), "fleetwin-dev-late", "ALARM")]
    span_s = (START_S, START_S + 600)
    dashboards_store.save({"fleetwin-dev-pipeline": body}, metrics(), changes, span_s, tmp_path)
    return tmp_path


def test_what_is_kept_are_the_points_at_each_lines_own_statistic_and_period(state: Path) -> None:
    kept = dashboards_store.load(state)
    points = {line.label: list(found) for line, found in kept.points.items()}
    assert points == {
        "stored": [(START_S, 10.0), (START_S + 60, 11.0), (START_S + 300, 15.0)],
        "IteratorAge": [(START_S, 2_000.0), (START_S + 240, 10_000.0)],
        "Silent": [],
    }
    assert kept.changes == {"fleetwin-dev-late": [(START_S + 120, "ALARM")]}


def test_a_picture_has_every_line_and_says_what_is_not_drawn(state: Path) -> None:
    kept = dashboards_store.load(state)
    picture = document(kept, "fleetwin-dev-pipeline")
    root = ET.fromstring(picture)
    text = "".join(root.itertext())
    for said in ("Readings & <more>", "stored 15", "IteratorAge 10,000", "Silent no data"):
        assert said in text
    assert "a+b: an expression is not drawn" in text
    assert "a widget of the kind text is not drawn" in text
    assert picture.count("<polyline") == 2
    assert '#c22f2f"><title>fleetwin-dev-late: ALARM' in picture
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for pair in re.findall(r"(\d+),(\d+\.\d)", picture):
        assert 0 <= float(pair[0]) <= width
        assert 0 <= float(pair[1]) <= height


def test_the_page_is_well_formed_and_needs_nothing_else(state: Path, tmp_path: Path) -> None:
    page = page_of(dashboards_store.load(state), "fleetwin-dev-pipeline")
    assert page.count("<figure>") == len(WIDGETS)
    assert not re.search(r"<script|src=|https?://", page)
    out, svg = tmp_path / "page.html", tmp_path / "picture.svg"
    words = ["dashboard", "pipeline", "--state", str(state), "--out", str(out), "--svg", str(svg)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert out.read_text("utf-8") == page
    assert svg.read_text("utf-8").startswith("<svg")


def test_a_short_form_repeats_the_metric_before() -> None:
    lines, left = lines_of(
        {
            "stat": "p90",
            "metrics": [
                ["AWS/Lambda", "Errors", "FunctionName", "a", {"period": 60}],
                [".", "Duration", ".", "b"],
                ["...", "c", {"label": "third"}],
                ["AWS/Lambda", "Odd", "FunctionName"],
            ],
        }
    )
    assert [line.key for line in lines] == [
        ("AWS/Lambda", "Errors", (("FunctionName", "a"),)),
        ("AWS/Lambda", "Duration", (("FunctionName", "b"),)),
        ("AWS/Lambda", "Duration", (("FunctionName", "c"),)),
    ]
    assert [(line.statistic, line.period_s, line.label) for line in lines] == [
        ("p90", 60, "Errors"),
        ("p90", 300, "Duration"),
        ("p90", 300, "third"),
    ]
    assert len(left) == 1


values = st.lists(st.tuples(st.integers(0, 30), st.integers(-99, 99)), max_size=20)


@given(values, st.sampled_from(["Sum", "Average", "Minimum", "Maximum", "SampleCount", "p90"]))
def test_points_are_what_statistics_says_of_each_period(
    given_values: list[tuple[int, int]], statistic: str
) -> None:
    made = Metrics(cast(Any, None))
    key = ("n", "m", ())
    for minute, value in given_values:
        made.record("n", "m", {}, value, "Count" if value % 2 else "None", START_S + 60 * minute)
    for period_s in (60, 300):
        columns = made.statistics(key, statistic, START_S, period_s, 1860 // period_s + 1)
        expected = [
            (START_S + number * period_s, value)
            for number, value in enumerate(columns)
            if value is not None
        ]
        assert list(made.points(key, statistic, period_s)) == expected


def test_without_a_run_or_with_another_name_it_is_said_what_there_is(
    state: Path, tmp_path: Path
) -> None:
    words = ["dashboard", "other", "--state", str(state)]
    with pytest.raises(ScenarioError, match="choose one of fleetwin-dev-pipeline"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    (tmp_path / "file").write_text("no folder", "utf-8")
    (state / "cloudwatch" / "dashboards.json").write_text("{", "utf-8")
    words = ["dashboard", "--state", str(state)]
    with pytest.raises(EnvironmentMissing, match=r"cannot be read .*run `fleetwin run` again"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    words = ["dashboard", "--state", str(tmp_path / "file")]
    with pytest.raises(EnvironmentMissing, match=r"run `fleetwin run` first"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    words = ["dashboard", "--state", str(tmp_path / "none")]
    with pytest.raises(EnvironmentMissing, match=r"run `fleetwin run` first"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_the_dashboard_of_a_run_has_its_readings_and_all_alarms(tiny_run: FinishedRun) -> None:
    kept = dashboards_store.load(tiny_run.out / "twin")
    (name,) = kept.bodies
    totals = {line.label: sum(v for _, v in found) for line, found in kept.points.items()}
    assert totals["time-outs"] == 0
    report = json.loads((tiny_run.out / "report.json").read_text("utf-8"))
    assert totals["stored"] >= report["readings"]["stored"], "bursts are stored too"
    assert totals["late"] == report["readings"]["late"]
    assert totals["alerts"] == report["alerts"]
    assert totals["delivered"] >= totals["alerts"]
    silent = {line.label for line, found in kept.points.items() if not found}
    drift = {"features that drifted", "violations"}
    assert silent <= {"failed", "time-outs", *drift}, "of what did not happen"
    text = "".join(ET.fromstring(document(kept, name)).itertext())
    for alarm in report["alarms"]:
        assert alarm["name"].removeprefix("fleetwin-dev-") in text
