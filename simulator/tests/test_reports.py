"""QuickSight's data sets: each statement runs on the twin's lake and gives its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.template import deploy
from simulator.lake import lake_of
from simulator.targets import SNAPSHOT

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


def fill(cloud: Cloud, state: Path) -> None:
    """Put scores and one repair, of pump-001, into the lake as jobs and transfers do."""
    buckets = [one["Name"] for one in cloud.call("s3", "ListBuckets")["Buckets"]]
    processed, raw = (next(b for b in buckets if zone in b) for zone in ("processed", "raw"))
    file = state / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(score_rows()), file)
    key = "batch-scores/dt=2026-01-05/hour=00"
    cloud.call("s3", "PutObject", Bucket=processed, Key=f"{key}/a.parquet", Body=file.read_bytes())
    database = cloud.call("glue", "GetDatabases")["DatabaseList"][0]["Name"]
    table = {"DatabaseName": database}
    described = cloud.call("glue", "GetTable", **table, Name="scores")["Table"]["StorageDescriptor"]
    partition = {
        "Values": ["2026-01-05", "00"],
        "StorageDescriptor": {**described, "Location": f"s3://{processed}/{key}/"},
    }
    cloud.call("glue", "CreatePartition", **table, TableName="scores", PartitionInput=partition)
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
        fill(cloud, state)
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


def test_health_falls_in_the_bad_hours_and_only_they_are_unusual(lake: tuple[Cloud, Path]) -> None:
    rows = rows_of(lake, "-health")
    assert len(rows) == 3 * 72
    unusual = [(row["device_id"], row["hour_start"].hour) for row in rows if row["unusual"]]
    assert sorted(unusual) == [("pump-001", 30 - 24), ("pump-002", 40 - 24)]
    assert all(row["health"] < 0.5 for row in rows if row["unusual"])
    assert all(row["health"] > 0.6 for row in rows if not row["unusual"])


def test_an_unusual_day_without_a_repair_is_a_false_alarm(lake: tuple[Cloud, Path]) -> None:
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


def test_without_a_principal_nothing_of_quicksight_is_created(tmp_path: Path) -> None:
    cloud = Cloud(START, tmp_path)
    try:
        done = deploy(load_assembly(SNAPSHOT), cloud.context, {})
        assert not [one for one in done.resources.values() if "QuickSight" in one.type]
    finally:
        cloud.close()
