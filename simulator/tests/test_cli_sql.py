"""`fleetwin sql` on a folder that a twin has left: what is printed, and who may ask."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from simulator.cli_commands import app
from simulator.cloud.cloud import Cloud
from simulator.errors import SimulatorError

START = datetime(2026, 1, 5, tzinfo=UTC)
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
ANALYST = "arn:aws:iam::000000000000:role/analyst"
READ = {
    "Statement": [
        {"Effect": "Allow", "Action": "glue:GetTable", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/readings/*"},
    ]
}
LINES = "org.openx.data.jsonserde.JsonSerDe"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a twin has left that had two tables and two roles."""
    folder = tmp_path_factory.mktemp("twin")
    cloud = Cloud(START, folder)
    cloud.call("s3", "CreateBucket", Bucket="lake")
    cloud.call("glue", "CreateDatabase", DatabaseInput={"Name": "plant"})
    for name in ("readings", "secrets"):
        described = {
            "Name": name,
            "PartitionKeys": [{"Name": "dt", "Type": "string"}],
            "StorageDescriptor": {
                "Location": f"s3://lake/{name}/",
                "Columns": [
                    {"Name": "device_id", "Type": "string"},
                    {"Name": "x", "Type": "double"},
                ],
                "SerdeInfo": {"SerializationLibrary": LINES},
            },
        }
        cloud.call("glue", "CreateTable", DatabaseName="plant", TableInput=described)
        for day, x in (("2026-01-05", 1.25), ("2026-01-06", None)):
            cloud.call(
                "s3",
                "PutObject",
                Bucket="lake",
                Key=f"{name}/dt={day}/1.jsonl",
                Body=json.dumps({"device_id": "pump-001", "x": x}).encode(),
            )
            cloud.call(
                "glue",
                "CreatePartition",
                DatabaseName="plant",
                TableName=name,
                PartitionInput={"Values": [day]},
            )
    cloud.iam.put_role(ANALYST, TRUST, {"read": READ})
    cloud.iam.put_role(ANALYST.replace("analyst", "nobody"), TRUST)
    cloud.close()
    return folder


def asked(state: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, ["sql", *words, "--state", str(state)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_table_csv_and_json(state: Path) -> None:
    query = "SELECT * FROM readings ORDER BY dt"
    assert asked(state, query).stdout == (
        "device_id     x  dt\n"
        "---------  ----  ----------\n"
        "pump-001   1.25  2026-01-05\n"
        "pump-001         2026-01-06\n"
    )
    assert asked(state, query, "--format", "csv").stdout == (
        "device_id,x,dt\npump-001,1.25,2026-01-05\npump-001,,2026-01-06\n"
    )
    assert [
        json.loads(line) for line in asked(state, query, "--format", "json").stdout.splitlines()
    ] == [
        {"device_id": "pump-001", "x": 1.25, "dt": "2026-01-05"},
        {"device_id": "pump-001", "x": None, "dt": "2026-01-06"},
    ]


def test_what_was_read_is_told(state: Path) -> None:
    query = "SELECT count(*) FROM readings WHERE dt = '2026-01-06'"
    assert "plant.readings: 1 of 2 partitions, 1 files" in asked(state, query).stderr
    assert asked(state, query, "--explain").stdout.startswith("plant.readings: 1 of 2 partitions")


def test_a_role_sees_what_its_policies_allow(state: Path) -> None:
    assert "pump-001" in asked(state, "SELECT * FROM readings", "--role", "analyst").stdout
    assert asked(state, "SHOW TABLES", "--role", ANALYST).stdout.split() == [
        "tab_name",
        "--------",
        "readings",
    ]
    with pytest.raises(SimulatorError, match=r"PERMISSION_DENIED.*s3:GetObject"):
        asked(state, "SELECT * FROM secrets", "--role", "analyst")
    with pytest.raises(SimulatorError, match=r"PERMISSION_DENIED.*glue:GetTable"):
        asked(state, "SELECT * FROM readings", "--role", "nobody")
    with pytest.raises(SimulatorError, match="it has analyst, nobody"):
        asked(state, "SELECT * FROM readings", "--role", "somebody")


def test_without_a_catalog_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="fleetwin run"):
        asked(tmp_path, "SELECT 1")
