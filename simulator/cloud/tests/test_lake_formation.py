"""Lake Formation denies: nobody sees a table, column or row that was not granted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.iam_store import save
from simulator.cloud.job_files import mounts_for
from simulator.cloud.operations import Principal
from simulator.lake import lake_of

START = datetime(2026, 1, 5, tzinfo=UTC)
ACCOUNT = "000000000000"
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": ["glue.amazonaws.com", "lakeformation.amazonaws.com"]},
        "Action": "sts:AssumeRole",
    }
}
RIGHTS = {
    "Statement": {
        "Effect": "Allow",
        "Action": ["glue:*", "lakeformation:*", "s3:ListBucket", "s3:GetObject"],
        "Resource": "*",
    }
}
COLUMNS = ["device_id", "x", "y"]
LINES = "org.openx.data.jsonserde.JsonSerDe"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


class House:
    """A twin with one governed table, ``plant.readings``, and roles that IAM denies nothing."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.cloud = Cloud(START, state)
        for name in ("analyst", "engineer", "registrar"):
            self.cloud.iam.put_role(role_arn(name), TRUST, {"all": RIGHTS})
        self.do("s3", "CreateBucket", Bucket="lake")
        self.do("glue", "CreateDatabase", DatabaseInput={"Name": "plant"})
        self.make_table("readings")
        self.lf("RegisterResource", ResourceArn="arn:aws:s3:::lake", RoleArn=role_arn("registrar"))
        self.close_to_iam("readings")
        for number, device in enumerate(("p1", "p1", "p2")):
            row = {"device_id": device, "x": number, "y": -number}
            body = json.dumps(row).encode()
            self.do("s3", "PutObject", Bucket="lake", Key=f"readings/{number}.jsonl", Body=body)

    def do(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.cloud.call(service, operation, **params)

    def lf(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.do("lakeformation", operation, **params)

    def as_role(self, name: str, service: str, operation: str, **params: Any) -> Any:
        return self.cloud.dispatch(self.principal(name), service, operation, params)

    def principal(self, name: str) -> Principal:
        return self.cloud.iam.principal_for_role(role_arn(name), "s", service="glue.amazonaws.com")

    def make_table(self, name: str) -> None:
        described = {
            "Name": name,
            "StorageDescriptor": {
                "Location": f"s3://lake/{name}/",
                "Columns": [
                    {"Name": column, "Type": "string" if column == "device_id" else "bigint"}
                    for column in COLUMNS
                ],
                "SerdeInfo": {"SerializationLibrary": LINES},
            },
        }
        self.do("glue", "CreateTable", DatabaseName="plant", TableInput=described)

    def close_to_iam(self, name: str) -> None:
        self.lf(
            "RevokePermissions",
            Principal={"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
            Resource={"Table": {"DatabaseName": "plant", "Name": name}},
            Permissions=["ALL"],
        )

    def grant(self, role: str, resource: dict[str, Any], *permissions: str, **more: Any) -> None:
        self.lf(
            "GrantPermissions",
            Principal={"DataLakePrincipalIdentifier": role_arn(role)},
            Resource=resource,
            Permissions=list(permissions),
            **more,
        )

    def rows(self, role: str, sql: str = "SELECT * FROM readings ORDER BY ALL") -> list[Any]:
        save(self.cloud.iam, self.state)
        self.cloud.catalog.close()
        return lake_of(self.state, role=role).run(sql).rows


TABLE = {"Table": {"DatabaseName": "plant", "Name": "readings"}}
COLUMN = {"DatabaseName": "plant", "Name": "readings"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "state")
    yield made
    made.cloud.close()


def refusal(call: Any) -> str:
    with pytest.raises(AwsError) as caught:
        call()
    return f"{caught.value.code}: {caught.value.message}"


DENIED = "AccessDeniedException: Insufficient Lake Formation permission(s) on readings"


def test_without_a_grant_nothing_of_a_governed_table_is_seen(house: House) -> None:
    assert refusal(lambda: house.rows("analyst")) == DENIED
    where = {"DatabaseName": "plant", "Name": "readings"}
    assert refusal(lambda: house.as_role("analyst", "glue", "GetTable", **where)) == DENIED
    listed = house.as_role("analyst", "glue", "GetTables", DatabaseName="plant")
    assert listed["TableList"] == []
    hidden = house.as_role
    missing = refusal(lambda: hidden("analyst", "glue", "GetTable", **{**where, "Name": "none"}))
    assert missing == DENIED.replace("readings", "none"), "as if it were there"
    assert len(house.rows("")) == 3, "the account's root sees everything"


def test_columns_that_are_granted_are_seen_and_no_others(house: House) -> None:
    columns = {"TableWithColumns": {**COLUMN, "ColumnNames": ["device_id", "x"]}}
    house.grant("analyst", columns, "SELECT")
    assert house.rows("analyst") == [("p1", 0), ("p1", 1), ("p2", 2)]
    assert "COLUMN_NOT_FOUND" in refusal(lambda: house.rows("analyst", "SELECT y FROM readings"))
    table = house.as_role("analyst", "glue", "GetTable", DatabaseName="plant", Name="readings")
    shown = table["Table"]["StorageDescriptor"]["Columns"]
    assert [one["Name"] for one in shown] == ["device_id", "x"]
    wildcard = {"ColumnWildcard": {"ExcludedColumnNames": ["x"]}}
    house.grant("engineer", {"TableWithColumns": {**COLUMN, **wildcard}}, "SELECT")
    assert house.rows("engineer")[0] == ("p1", -1)
    assert "No permissions revoked" in refusal(
        lambda: house.lf(
            "RevokePermissions",
            Principal={"DataLakePrincipalIdentifier": role_arn("analyst")},
            Resource=TABLE,
            Permissions=["SELECT"],
        )
    )


def filtered(house: House, name: str, rows: str, **columns: Any) -> dict[str, Any]:
    data = {"TableCatalogId": ACCOUNT, "DatabaseName": "plant", "TableName": "readings"}
    chosen = columns or {"ColumnWildcard": {}}
    house.lf(
        "CreateDataCellsFilter",
        TableData={**data, "Name": name, "RowFilter": {"FilterExpression": rows}, **chosen},
    )
    return {"DataCellsFilter": {**data, "Name": name}}


def test_rows_that_are_granted_are_seen_and_no_others(house: House) -> None:
    house.grant("analyst", filtered(house, "one", "device_id = 'p2'"), "SELECT")
    assert house.rows("analyst") == [("p2", 2, -2)]
    house.grant("analyst", filtered(house, "zero", "x = 0"), "SELECT")
    assert house.rows("analyst") == [("p1", 0, 0), ("p2", 2, -2)]
    cells = filtered(house, "cells", "x = 1", ColumnNames=["device_id", "x"])
    house.grant("engineer", cells, "SELECT")
    assert house.rows("engineer") == [("p1", 1)]
    hidden = filtered(house, "hidden", "y = -2", ColumnNames=["device_id"])
    house.grant("registrar", hidden, "SELECT")
    assert house.rows("registrar") == [("p2",)], "a condition may be on what is not shown"


def test_tags_grant_what_has_them_and_columns_may_differ(house: House) -> None:
    house.lf("CreateLFTag", TagKey="zone", TagValues=["open", "secret"])
    policy = {
        "LFTagPolicy": {
            "ResourceType": "TABLE",
            "Expression": [{"TagKey": "zone", "TagValues": ["open"]}],
        }
    }
    house.grant("analyst", policy, "SELECT", "DESCRIBE")
    assert refusal(lambda: house.rows("analyst")) == DENIED
    tag = [{"TagKey": "zone", "TagValues": ["open"]}]
    database = {"Database": {"Name": "plant"}}
    assert house.lf("AddLFTagsToResource", Resource=database, LFTags=tag) == {"Failures": []}
    assert len(house.rows("analyst")) == 3
    house.lf(
        "AddLFTagsToResource",
        Resource={"TableWithColumns": {**COLUMN, "ColumnNames": ["y"]}},
        LFTags=[{"TagKey": "zone", "TagValues": ["secret"]}],
    )
    assert house.rows("analyst")[0] == ("p1", 0)
    house.lf("DeleteLFTag", TagKey="zone")
    assert refusal(lambda: house.rows("analyst")) == DENIED


def test_only_who_may_pass_a_permission_on_grants_it(house: House) -> None:
    given = {
        "Principal": {"DataLakePrincipalIdentifier": role_arn("engineer")},
        "Resource": TABLE,
        "Permissions": ["SELECT"],
    }

    def pass_on() -> Any:
        return house.as_role("analyst", "lakeformation", "GrantPermissions", **given)

    assert "requester is not authorized" in refusal(pass_on)
    house.grant("analyst", TABLE, "SELECT")
    assert "requester is not authorized" in refusal(pass_on)
    house.grant("analyst", TABLE, "SELECT", PermissionsWithGrantOption=["SELECT"])
    pass_on()
    assert len(house.rows("engineer")) == 3
    admin = {"DataLakePrincipalIdentifier": role_arn("registrar")}
    house.lf("PutDataLakeSettings", DataLakeSettings={"DataLakeAdmins": [admin]})
    house.as_role("registrar", "lakeformation", "RevokePermissions", **given)
    assert refusal(lambda: house.rows("engineer")) == DENIED
    assert refusal(lambda: house.rows("registrar")) == DENIED, "an administrator sees no data"


def test_changes_need_permissions_too(house: House) -> None:
    described = house.do("glue", "GetTable", DatabaseName="plant", Name="readings")["Table"]
    again = {"Name": "readings", "StorageDescriptor": described["StorageDescriptor"]}
    house.grant("analyst", TABLE, "SELECT")

    def change() -> Any:
        return house.as_role(
            "analyst", "glue", "UpdateTable", DatabaseName="plant", TableInput=again
        )

    assert refusal(change).endswith("permission(s): Required Alter on readings")
    house.grant("analyst", TABLE, "ALTER")
    change()
    made = {"Name": "mine", "StorageDescriptor": {"Location": "s3://lake/mine/"}}

    def create() -> Any:
        return house.as_role(
            "analyst", "glue", "CreateTable", DatabaseName="plant", TableInput=made
        )

    assert "Data Location Access" in refusal(create), "the database is open, the location is not"
    place = {"DataLocation": {"ResourceArn": "arn:aws:s3:::lake"}}
    house.grant("analyst", place, "DATA_LOCATION_ACCESS")
    create()
    house.close_to_iam("mine")
    mine = house.as_role("analyst", "glue", "GetTable", DatabaseName="plant", Name="mine")
    assert mine["Table"]["IsRegisteredWithLakeFormation"], "who made a table may use it"


def test_a_job_sees_whole_tables_or_none_and_is_refused_parts(house: House) -> None:
    def denied() -> tuple[str, ...]:
        job = house.principal("analyst")
        permissions = house.cloud.lake_formation.permissions
        return mounts_for(house.cloud.context, job, [], permissions)["lake"].denied

    house.do("s3", "PutObject", Bucket="lake", Key="open/1", Body=b"1")
    assert denied() == ("readings",)
    columns = {"TableWithColumns": {**COLUMN, "ColumnNames": ["x"]}}
    house.grant("analyst", columns, "SELECT")
    told = refusal(denied)
    assert told.startswith(DENIED)
    assert "full table access" in told
    house.grant("analyst", TABLE, "SELECT")
    assert denied() == ()


def test_credentials_are_vended_for_whole_tables_and_end(house: House) -> None:
    arn = f"arn:aws:glue:us-east-1:{ACCOUNT}:table/plant/readings"

    def vend() -> Any:
        return house.as_role(
            "analyst",
            "lakeformation",
            "GetTemporaryGlueTableCredentials",
            TableArn=arn,
            Permissions=["SELECT"],
            DurationSeconds=900,
        )

    assert refusal(vend) == DENIED
    house.lf("PutDataLakeSettings", DataLakeSettings={"AllowFullTableExternalDataAccess": True})
    assert refusal(vend) == DENIED
    house.grant("analyst", filtered(house, "one", "x = 1"), "SELECT")
    assert refusal(vend).startswith("PermissionTypeMismatchException")
    house.grant("analyst", TABLE, "SELECT")
    key = vend()["AccessKeyId"]
    session = house.cloud.iam.principal_for_key(key, "s3")
    read = {"Bucket": "lake", "Key": "readings/0.jsonl"}
    assert house.cloud.dispatch(session, "s3", "GetObject", dict(read))
    for call in ({"Key": "open/1"}, {"Key": "readingsx"}):
        with pytest.raises(AccessDenied):
            house.cloud.dispatch(session, "s3", "GetObject", {**read, **call})
    with pytest.raises(AccessDenied):
        house.cloud.dispatch(session, "s3", "PutObject", {**read, "Body": b"1"})
    house.cloud.engine.run(901.0)
    with pytest.raises(AwsError):
        house.cloud.iam.principal_for_key(key, "s3")


def test_permissions_outlive_the_twin(tmp_path: Path) -> None:
    first = House(tmp_path)
    first.grant("analyst", filtered(first, "one", "x = 1"), "SELECT")
    first.lf("CreateLFTag", TagKey="zone", TagValues=["open"])
    seen = first.rows("analyst")
    before = first.lf("ListPermissions")
    first.cloud.close()
    second = Cloud(START, tmp_path)
    try:
        assert second.call("lakeformation", "ListPermissions") == before
        assert second.call("lakeformation", "GetLFTag", TagKey="zone")["TagValues"] == ["open"]
    finally:
        second.close()
    assert lake_of(tmp_path, role="analyst").run("SELECT * FROM readings").rows == seen


columns = st.sets(st.sampled_from(COLUMNS), min_size=1).map(sorted)


class Model(RuleBasedStateMachine):
    """Grants and revocations of columns and of the table, beside a model that adds them up."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.house = House(Path(self.folder.name))
        self.granted: dict[str, set[tuple[str, ...]]] = {"analyst": set(), "engineer": set()}

    def resource(self, names: list[str]) -> dict[str, Any]:
        return {"TableWithColumns": {**COLUMN, "ColumnNames": names}}

    @rule(role=st.sampled_from(["analyst", "engineer"]), names=columns)
    def grant_columns(self, role: str, names: list[str]) -> None:
        self.house.grant(role, self.resource(names), "SELECT")
        self.granted[role].add(tuple(names))

    @rule(role=st.sampled_from(["analyst", "engineer"]))
    def grant_table(self, role: str) -> None:
        self.house.grant(role, TABLE, "SELECT")
        self.granted[role].add(("*",))

    @rule(role=st.sampled_from(["analyst", "engineer"]), names=columns | st.just(["*"]))
    def revoke(self, role: str, names: list[str]) -> None:
        resource = TABLE if names == ["*"] else self.resource(names)
        call = {
            "Principal": {"DataLakePrincipalIdentifier": role_arn(role)},
            "Resource": resource,
            "Permissions": ["SELECT"],
        }
        if tuple(names) in self.granted[role]:
            self.house.lf("RevokePermissions", **call)
            self.granted[role].remove(tuple(names))
        else:
            with pytest.raises(AwsError, match="No permissions revoked"):
                self.house.lf("RevokePermissions", **call)

    @invariant()
    def everybody_sees_what_was_granted(self) -> None:
        permissions = self.house.cloud.lake_formation.permissions
        for role, granted in self.granted.items():
            expected = {name for names in granted for name in names}
            principal = self.house.principal(role)
            if not expected:
                with pytest.raises(AwsError, match="Insufficient"):
                    permissions.table_access(principal, "plant", "readings")
                continue
            access = permissions.table_access(principal, "plant", "readings")
            seen = set(COLUMNS) if access.columns is None else set(access.columns)
            assert seen == (set(COLUMNS) if "*" in expected else expected)
            assert access.row_filters == ()

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.house.cloud.close()
            self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(deadline=None, max_examples=10, stateful_step_count=12)
