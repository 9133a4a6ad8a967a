"""The stack's lake on the twin: who is granted a table uses it, anybody else is denied.

IAM lets the roles of these tests do everything, so that Lake Formation alone decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.glue_store import Table
from simulator.cloud.job_files import mounts_for
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_query import LakeQuery
from simulator.cloud.operations import Principal
from simulator.cloud.template import deploy
from simulator.quicksight.source import READER
from simulator.targets import SNAPSHOT

START = datetime(2026, 1, 5, tzinfo=UTC)
DATABASE = "fleetwin_dev"
PROCESSED = "fleetwin-dev-processed-000000000000"
TABLES = ("telemetry_raw", "bursts_raw", "maintenance", "features", "scores", "live_scores")
GLUE = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "glue.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
EVERYTHING = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Path]]:
    """Return the stack's resources, and a role without any grant to which IAM denies nothing."""
    state = tmp_path_factory.mktemp("governed")
    cloud = Cloud(START, state)
    try:
        deploy(load_assembly(SNAPSHOT), cloud.context, {"QuickSightPrincipal": READER})
        for name in ("stranger", "fleetwin-dev-features-job", "fleetwin-dev-scores-job"):
            arn = f"arn:aws:iam::000000000000:role/{name}"
            cloud.iam.put_role(arn, GLUE, {"permissions": EVERYTHING})
        key = "features/dt=2026-01-05/hour=00/rows.parquet"
        cloud.call("s3", "PutObject", Bucket=PROCESSED, Key=key, Body=b"rows")
        yield cloud, state
    finally:
        cloud.close()


def role(cloud: Cloud, name: str) -> Principal:
    arn = f"arn:aws:iam::000000000000:role/{name}"
    return cloud.iam.principal_for_role(arn, "test", service="glue.amazonaws.com")


def ask(cloud: Cloud, name: str, operation: str, **params: Any) -> Any:
    """Ask the catalog as a role."""
    params = {"DatabaseName": DATABASE, **params}
    return cloud.dispatch(role(cloud, name), "glue", operation, params)


@pytest.mark.parametrize("table", TABLES)
def test_a_role_without_a_grant_is_denied_every_table(
    stack: tuple[Cloud, Path], table: str
) -> None:
    cloud, _ = stack
    with pytest.raises(AwsError, match=rf"Insufficient Lake Formation permission\(s\) on {table}"):
        ask(cloud, "stranger", "GetTable", Name=table)


def test_nothing_of_the_stack_is_open_to_iam_alone(stack: tuple[Cloud, Path]) -> None:
    cloud, _ = stack
    permissions = cloud.lake_formation.permissions
    assert [name for name in TABLES if permissions.is_open(DATABASE, name)] == []
    location = f"s3://{PROCESSED}/"
    assert {name for _, name in permissions.governed(location)} == {
        *("features", "scores", "live_scores")
    }


@pytest.mark.parametrize(
    ("name", "own"),
    [("fleetwin-dev-features-job", "features"), ("fleetwin-dev-scores-job", "scores")],
)
def test_a_job_registers_partitions_of_its_own_table_and_knows_no_other(
    stack: tuple[Cloud, Path], name: str, own: str
) -> None:
    cloud, _ = stack
    storage = ask(cloud, name, "GetTable", Name=own)["Table"]["StorageDescriptor"]
    partition = {"Values": ["2026-01-05", "00"], "StorageDescriptor": storage}
    made = {"TableName": own, "PartitionInputList": [partition]}
    assert ask(cloud, name, "BatchCreatePartition", **made)["Errors"] == []
    for other in TABLES:
        if other != own:
            with pytest.raises(AwsError, match="Insufficient Lake Formation"):
                ask(cloud, name, "GetTable", Name=other)


def test_only_the_features_job_changes_its_table(stack: tuple[Cloud, Path]) -> None:
    cloud, _ = stack
    for name, table in (("features", "features"), ("scores", "scores")):
        described = ask(cloud, f"fleetwin-dev-{name}-job", "GetTable", Name=table)["Table"]
        given = {
            key: described[key]
            for key in ("Name", "StorageDescriptor", "PartitionKeys", "Parameters")
        }
        if name == "features":
            ask(cloud, "fleetwin-dev-features-job", "UpdateTable", TableInput=given)
        else:
            with pytest.raises(AwsError, match="Required Alter on scores"):
                ask(cloud, "fleetwin-dev-scores-job", "UpdateTable", TableInput=given)


def test_the_features_are_there_for_their_job_and_for_no_other(stack: tuple[Cloud, Path]) -> None:
    cloud, _ = stack
    for name, hidden in (
        ("fleetwin-dev-features-job", ()),
        ("fleetwin-dev-scores-job", ("features",)),
        ("stranger", ("features",)),
    ):
        mounts = mounts_for(cloud.context, role(cloud, name), (), cloud.lake_formation.permissions)
        assert mounts[PROCESSED].denied == hidden, name


def test_a_grant_that_is_taken_away_is_missed(stack: tuple[Cloud, Path]) -> None:
    cloud, _ = stack
    job = "fleetwin-dev-scores-job"
    grant = {
        "Principal": {"DataLakePrincipalIdentifier": f"arn:aws:iam::000000000000:role/{job}"},
        "Resource": {"Table": {"DatabaseName": DATABASE, "Name": "scores"}},
        "Permissions": ["INSERT"],
    }
    partition = {"Values": ["2026-01-05", "01"], "StorageDescriptor": {"Columns": []}}
    made = {"TableName": "scores", "PartitionInputList": [partition]}
    cloud.call("lakeformation", "RevokePermissions", **grant)
    try:
        with pytest.raises(AwsError, match="Required Insert on scores"):
            ask(cloud, job, "BatchCreatePartition", **made)
    finally:
        cloud.call("lakeformation", "GrantPermissions", **grant)
    assert ask(cloud, job, "BatchCreatePartition", **made)["Errors"] == []


def test_the_reports_see_all_that_their_statements_ask_for_and_nobody_by_name(
    stack: tuple[Cloud, Path],
) -> None:
    cloud, state = stack
    reader = Principal(READER, READER)
    permissions = cloud.lake_formation.permissions

    def may_read(table: Table) -> TableAccess:
        return permissions.table_access(reader, table.database, table.name)

    lake = LakeQuery(cloud.catalog.store, state, may_read, DATABASE)
    account = {"AwsAccountId": "000000000000"}
    for one in cloud.call("quicksight", "ListDataSets", **account)["DataSetSummaries"]:
        found = cloud.call("quicksight", "DescribeDataSet", **account, DataSetId=one["DataSetId"])
        query = found["DataSet"]["PhysicalTableMap"]["rows"]["CustomSql"]
        columns = [name for name, _ in lake.run(query["SqlQuery"]).columns]
        assert columns == [column["Name"] for column in query["Columns"]]
    for personal in ("crew", "text"):
        with pytest.raises(AwsError, match="COLUMN_NOT_FOUND"):
            lake.run(f'select "{personal}" from maintenance')
    for name in ("telemetry_raw", "bursts_raw", "features", "scores"):
        with pytest.raises(AwsError, match="Insufficient Lake Formation permission"):
            lake.run(f"select * from {name}")


def test_what_a_twin_has_left_is_governed_when_the_next_one_boots(tmp_path: Path) -> None:
    for _ in range(2):
        cloud = Cloud(START, tmp_path)
        try:
            deploy(load_assembly(SNAPSHOT), cloud.context, {})
            assert not cloud.lake_formation.permissions.is_open(DATABASE, "features")
            table = ask(cloud, "fleetwin-dev-features-job", "GetTable", Name="features")["Table"]
            assert table["IsRegisteredWithLakeFormation"]
        finally:
            cloud.close()


def test_a_group_of_readers_is_granted_as_a_reader_is(tmp_path: Path) -> None:
    group = READER.replace("user/default/reader", "group/default/readers")
    cloud = Cloud(START, tmp_path)
    try:
        deploy(load_assembly(SNAPSHOT), cloud.context, {"QuickSightPrincipal": group})
        access = cloud.lake_formation.permissions.table_access(
            Principal(group, group), DATABASE, "live_scores"
        )
        assert access.is_whole
    finally:
        cloud.close()
