"""QuickSight's data sets: each statement runs on the twin's lake and gives its columns."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.template import deploy
from simulator.errors import ScenarioError
from simulator.lake import lake_of
from simulator.quicksight.drawn import NotDrawn
from simulator.targets import SNAPSHOT
from simulator.tests.command import changed_assembly

READER = "arn:aws:quicksight:us-east-1:000000000000:user/default/reader"
HOUR_MS = 3_600_000
START = datetime(2026, 1, 5, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
NAMED = {"AwsAccountId": "000000000000"}
KINDS = {"STRING": str, "DATETIME": datetime, "INTEGER": int, "DECIMAL": float}


def score_rows() -> list[dict[str, Any]]:
    """Return three days of a row a minute; pump-001 and pump-002 have one bad hour each."""
    return [
        {
            "device_id": device,
            "event_time_ms": START_MS + minute * 60_000,
            "score": 50.0 if minute // 60 == bad_hour else minute % 60 / 60,
            "no_model_score": 1.0,
            "model_version": "1",
        }
        for device, bad_hour in (("pump-001", 30), ("pump-002", 40), ("pump-003", -1))
        for minute in range(4320)
    ]


def fill(cloud: Cloud) -> None:
    """Put scores and one repair, of pump-001, into the lake as the detector and transfers do."""
    buckets = [one["Name"] for one in cloud.call("s3", "ListBuckets")["Buckets"]]
    processed, raw = (next(b for b in buckets if zone in b) for zone in ("processed", "raw"))
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in score_rows())
    key = "scores/dt=2026-01-05/hour=00/shard-1.jsonl"
    cloud.call("s3", "PutObject", Bucket=processed, Key=key, Body=lines)
    opened_ms = START_MS + 31 * HOUR_MS
    order = {
        "schema": 1,
        "order_id": "o-1",
        "device_id": "pump-001",
        "type": "corrective",
        "opened_ms": opened_ms,
        "downtime_s": 7200.0,
        "total_cost": 310.5,
    }
    body = json.dumps(order).encode()
    cloud.call(
        "s3", "PutObject", Bucket=raw, Key="maintenance/dt=2026-01-06/orders.json", Body=body
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Path]]:
    state = tmp_path_factory.mktemp("reports")
    cloud = Cloud(START, state)
    try:
        deploy(load_assembly(SNAPSHOT), cloud.context, {"QuickSightPrincipal": READER})
        fill(cloud)
        yield cloud, state
    finally:
        cloud.close()


def rows_of(lake: tuple[Cloud, Path], ending: str) -> list[dict[str, Any]]:
    """Run a data set's statement and check its columns; return the rows."""
    cloud, state = lake
    sets = cloud.call("quicksight", "ListDataSets", **NAMED)["DataSetSummaries"]
    (name,) = (one["DataSetId"] for one in sets if one["DataSetId"].endswith(ending))
    found = cloud.call("quicksight", "DescribeDataSet", **NAMED, DataSetId=name)["DataSet"]
    query = found["PhysicalTableMap"]["rows"]["CustomSql"]
    result = lake_of(state).run(query["SqlQuery"])
    names = [name for name, _ in result.columns]
    assert names == [column["Name"] for column in query["Columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in result.rows]
    for column in query["Columns"]:
        assert all(isinstance(row[column["Name"]], KINDS[column["Type"]]) for row in rows)
    return rows


def test_health_is_below_a_half_where_the_score_is_above_the_threshold(
    lake: tuple[Cloud, Path],
) -> None:
    rows = rows_of(lake, "-health")
    assert len(rows) == 3 * 72 * 6
    above = [row for row in rows if row["score"] >= 1.0]
    assert {(row["device_id"], row["moment"].hour) for row in above} == {
        ("pump-001", 30 - 24),
        ("pump-002", 40 - 24),
    }
    assert sum(row["hours_above"] for row in rows) == pytest.approx(2.0)
    assert all((row["health"] < 0.5) == (row["score"] >= 1.0) for row in rows)


def test_a_day_above_the_threshold_without_a_repair_is_a_false_alarm(
    lake: tuple[Cloud, Path],
) -> None:
    rows = rows_of(lake, "-false-alarms")
    assert {row["device_id"]: row["false_alarms"] for row in rows} == {"pump-001": 0, "pump-002": 1}


def test_maintenance_is_summed_by_machine_and_day(lake: tuple[Cloud, Path]) -> None:
    (row,) = rows_of(lake, "-maintenance")
    assert (row["device_id"], row["type"], row["orders"]) == ("pump-001", "corrective", 1)
    assert (row["downtime_h"], row["total_cost"]) == (2.0, 310.5)


def test_every_column_of_a_visual_is_one_of_its_data_set(lake: tuple[Cloud, Path]) -> None:
    cloud, _ = lake
    named = {**NAMED, "DashboardId": "fleetwin-dev-fleet"}
    definition = cloud.call("quicksight", "DescribeDashboardDefinition", **named)["Definition"]
    known = set()
    for each in definition["DataSetIdentifierDeclarations"]:
        name = each["DataSetArn"].rpartition("/")[2]
        tables = cloud.call("quicksight", "DescribeDataSet", **NAMED, DataSetId=name)["DataSet"]
        columns = tables["PhysicalTableMap"]["rows"]["CustomSql"]["Columns"]
        known |= {(each["Identifier"], column["Name"]) for column in columns}
    assert set(columns_in(definition["Sheets"])) <= known


def columns_in(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "ColumnName" in value:
            yield value["DataSetIdentifier"], value["ColumnName"]
        for each in value.values():
            yield from columns_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from columns_in(each)


def test_the_dashboard_of_the_stack_is_drawn_of_what_its_lake_holds(
    lake: tuple[Cloud, Path], tmp_path: Path
) -> None:
    _, state = lake
    out = tmp_path / "page.html"
    words = ["dashboard", "--quicksight", "--state", str(state), "--out", str(out)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert (result.exit_code, result.output) == (0, f"{out}\n")
    page = out.read_text("utf-8")
    cards = dict(re.findall(r'<section class="card" id="([^"]+)"(.*?)</section>', page, re.DOTALL))
    assert len(cards) == 13
    numbers = {
        name: re.search(r'class="kpi">([^<]*)', cards[name])[1]  # type: ignore[index]
        for name in ("count", "above", "stood", "cost")
    }
    assert numbers == {"count": "3", "above": "2.0 h", "stood": "2.0 h", "cost": "310"}
    assert cards["weakest"].count("<polyline") == 3
    # The last eight hours of three machines, six columns an hour, and the key of the colours.
    assert cards["heat"].count("<title>") == 3 * 8 * 6
    assert re.findall(r"<title>(6 Jan, pump-00[12]: 1\.0)<", cards["days"]) == [
        "6 Jan, pump-001: 1.0",
        "6 Jan, pump-002: 1.0",
    ]
    assert "pump-002, false_alarms (sum): 1" in cards["false-alarms"]
    assert re.findall(r"<td>(pump-\d+)", cards["machine"])[2] == "pump-003"
    assert "no data" not in page


def test_a_dashboard_that_was_made_on_a_twin_that_is_up_is_drawn(
    lake: tuple[Cloud, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, state = lake
    column = {"DataSetIdentifier": "rows", "ColumnName": "device_id"}
    count = {"FieldId": "n", "Column": column, "AggregationFunction": "DISTINCT_COUNT"}
    wells = {"Values": [{"CategoricalMeasureField": count}], "TargetValues": [], "TrendGroups": []}
    visual = {"KPIVisual": {"VisualId": "n", "ChartConfiguration": {"FieldWells": wells}}}
    arn = cloud.context.arn("quicksight", "dataset/fleetwin-dev-health")
    definition = {
        "DataSetIdentifierDeclarations": [{"Identifier": "rows", "DataSetArn": arn}],
        "Sheets": [{"SheetId": "s", "Title": "A sheet of mine", "Visuals": [visual]}],
    }
    named = {**NAMED, "DashboardId": "mine"}
    cloud.call("quicksight", "CreateDashboard", **named, Name="Mine", Definition=definition)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "mine.html"
    words = ["dashboard", "mine", "--quicksight", "--target", "embedded", "--state", str(state)]
    results = []

    def draw() -> None:
        results.append(CliRunner().invoke(app, [*words, "--out", str(out)]))

    thread = threading.Thread(target=draw)
    thread.start()
    while thread.is_alive():
        cloud.engine.run(cloud.engine.env.now + 0.05)
        thread.join(0.005)
    cloud.call("quicksight", "DeleteDashboard", **named)
    assert results[0].exit_code == 0, results[0].exception
    page = out.read_text("utf-8")
    assert "<h1>Mine</h1>" in page
    assert "<h2>A sheet of mine</h2>" in page
    assert 'class="kpi">3</p>' in page


def test_what_cannot_be_drawn_is_said_before_anything_is_asked(
    lake: tuple[Cloud, Path], tmp_path: Path
) -> None:
    def gauge(template: dict[str, Any]) -> None:
        for body in template["Resources"].values():
            if body["Type"] == "AWS::QuickSight::Dashboard":
                visuals = body["Properties"]["Definition"]["Sheets"][0]["Visuals"]
                visuals[0] = {"GaugeChartVisual": {"VisualId": "needle"}}

    state = str(lake[1])
    assembly = str(changed_assembly(tmp_path, gauge))
    words = ["dashboard", "--quicksight", "--state", state, "--assembly", assembly]
    with pytest.raises(NotDrawn, match=r"GaugeChartVisual \(needle\)"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    for more, said in (
        (["other", "--quicksight"], "choose one of fleetwin-dev-fleet"),
        (["--quicksight", "--svg", "x.svg"], "a page only"),
        (["--assembly", assembly], "belong to --quicksight"),
        (["--quicksight", "--target", "aws"], "only embedded"),
    ):
        with pytest.raises(ScenarioError, match=said):
            CliRunner().invoke(app, ["dashboard", *more, "--state", state], catch_exceptions=False)


def test_without_a_principal_nothing_of_quicksight_is_created(tmp_path: Path) -> None:
    cloud = Cloud(START, tmp_path)
    try:
        done = deploy(load_assembly(SNAPSHOT), cloud.context, {})
        assert not [one for one in done.resources.values() if "QuickSight" in one.type]
    finally:
        cloud.close()
