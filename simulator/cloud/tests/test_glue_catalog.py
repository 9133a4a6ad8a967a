"""The Data Catalog: what is put is found again, also by the next twin on the same folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.cloud.cloud import Cloud
from simulator.cloud.glue_catalog import Catalog
from simulator.cloud.glue_partitions import Partitions
from simulator.cloud.operations import Operation
from simulator.cloud.template import deploy, load_assembly
from simulator.cloud.tests.twin import START, context_of, executor
from simulator.cloud.tests.wire import client_of
from simulator.targets import SNAPSHOT

WHERE = {"DatabaseName": "lake", "TableName": "features"}


class Both:
    """Catalog and partitions as one service."""

    def __init__(self, state: Path) -> None:
        context = context_of(state)
        self.catalog = Catalog(context)
        self.partitions = Partitions(context, self.catalog)

    def operations(self) -> dict[str, Operation]:
        return {**self.catalog.operations(), **self.partitions.operations()}


def glue_on(state: Path) -> Any:
    return client_of("glue", executor(glue=Both(state)))


def table_input(*columns: str, **more: Any) -> dict[str, Any]:
    listed = [{"Name": name, "Type": "double"} for name in columns]
    return {
        "Name": "features",
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
        "StorageDescriptor": {"Location": "s3://b/features/", "Columns": listed},
        **more,
    }


@pytest.fixture
def glue(tmp_path: Path) -> Any:
    client = glue_on(tmp_path)
    client.create_database(DatabaseInput={"Name": "Lake"})
    client.create_table(DatabaseName="lake", TableInput=table_input("a"))
    return client


def code_of(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response: Any = caught.value.response
    return str(response["Error"]["Code"])


def test_names_are_folded_to_lower_case(glue: Any) -> None:
    assert glue.get_database(Name="LAKE")["Database"]["Name"] == "lake"
    assert glue.get_table(DatabaseName="LAKE", Name="Features")["Table"]["Name"] == "features"
    again = code_of(glue.create_database, DatabaseInput={"Name": "lAKE"})
    assert again == "AlreadyExistsException"


def test_every_update_archives_what_was_before(glue: Any) -> None:
    glue.update_table(DatabaseName="lake", TableInput=table_input("a", "b"))
    glue.update_table(DatabaseName="lake", TableInput=table_input("a", "c"), SkipArchive=True)
    table = glue.get_table(DatabaseName="lake", Name="features")["Table"]
    assert table["VersionId"] == "2"
    found = glue.get_table_versions(**WHERE)["TableVersions"]
    columns = [
        (one["VersionId"], [c["Name"] for c in one["Table"]["StorageDescriptor"]["Columns"]])
        for one in found
    ]
    assert columns == [("2", ["a", "c"]), ("0", ["a"])]
    assert code_of(glue.get_table_version, **WHERE, VersionId="1") == "EntityNotFoundException"
    stale = {"DatabaseName": "lake", "TableInput": table_input("d"), "VersionId": "1"}
    assert code_of(glue.update_table, **stale) == "ConcurrentModificationException"


def test_a_batch_does_what_it_can_and_lists_the_rest(glue: Any) -> None:
    days = [{"Values": [f"2026-01-{day:02}"]} for day in range(1, 4)]
    glue.create_partition(**WHERE, PartitionInput=days[1])
    errors = glue.batch_create_partition(
        **WHERE, PartitionInputList=[*days, {"Values": ["a", "b"]}]
    )["Errors"]
    assert [(one["PartitionValues"], one["ErrorDetail"]["ErrorCode"]) for one in errors] == [
        (["2026-01-02"], "AlreadyExistsException"),
        (["a", "b"], "InvalidInputException"),
    ]
    late = glue.get_partitions(**WHERE, Expression="dt > '2026-01-01'")["Partitions"]
    assert [one["Values"] for one in late] == [["2026-01-02"], ["2026-01-03"]]
    gone = glue.batch_delete_partition(**WHERE, PartitionsToDelete=[days[0], {"Values": ["x"]}])
    assert [one["PartitionValues"] for one in gone["Errors"]] == [["x"]]
    assert code_of(glue.get_partition, **WHERE, PartitionValues=["2026-01-01"]) == (
        "EntityNotFoundException"
    )


def test_a_hundred_and_one_partitions_are_too_many_at_once(tmp_path: Path) -> None:
    glue = glue_on(tmp_path)
    many = [{"Values": [str(number)]} for number in range(101)]
    refused = code_of(glue.batch_create_partition, **WHERE, PartitionInputList=many)
    assert refused == "ValidationException"


def test_pages_cover_everything_once(glue: Any) -> None:
    values = [[f"{number:03}"] for number in range(95)]
    glue.batch_create_partition(**WHERE, PartitionInputList=[{"Values": one} for one in values])
    pages = glue.get_paginator("get_partitions").paginate(**WHERE, PaginationConfig={"PageSize": 7})
    assert [one["Values"] for page in pages for one in page["Partitions"]] == values


def test_what_is_not_here_is_refused_by_name(glue: Any) -> None:
    with pytest.raises(ClientError, match="glue with TransactionId"):
        glue.get_table(DatabaseName="lake", Name="features", TransactionId="1")
    with pytest.raises(ClientError, match="catalog 111111111111"):
        glue.get_databases(CatalogId="111111111111")


class KeptCatalog(RuleBasedStateMachine):
    """The file always holds what a plain dict of partitions holds, however often it is loaded."""

    values = st.sampled_from(["a", "b", "c", "d'e", "é"])

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.model: dict[str, str] = {}
        self.service = Both(Path(self.folder.name))
        self.glue = client_of("glue", executor(glue=self.service))
        self.glue.create_database(DatabaseInput={"Name": "lake"})
        self.glue.create_table(DatabaseName="lake", TableInput=table_input("a"))

    @rule(value=values, location=st.sampled_from(["s3://b/1", "s3://b/2"]))
    def create(self, value: str, location: str) -> None:
        given = {"Values": [value], "StorageDescriptor": {"Location": location}}
        errors = self.glue.batch_create_partition(**WHERE, PartitionInputList=[given])["Errors"]
        assert bool(errors) == (value in self.model)
        self.model.setdefault(value, location)

    @rule(value=values, to=values)
    def move(self, value: str, to: str) -> None:
        given = {"Values": [to], "StorageDescriptor": {"Location": "s3://b/moved"}}
        fits = value in self.model and (to == value or to not in self.model)
        errors = self.glue.batch_update_partition(
            **WHERE, Entries=[{"PartitionValueList": [value], "PartitionInput": given}]
        )["Errors"]
        assert bool(errors) == (not fits)
        if fits:
            del self.model[value]
            self.model[to] = "s3://b/moved"

    @rule(value=values)
    def delete(self, value: str) -> None:
        errors = self.glue.batch_delete_partition(**WHERE, PartitionsToDelete=[{"Values": [value]}])
        assert bool(errors["Errors"]) == (value not in self.model)
        self.model.pop(value, None)

    @rule()
    def restart(self) -> None:
        self.service.catalog.close()
        self.service = Both(Path(self.folder.name))
        self.glue = client_of("glue", executor(glue=self.service))

    @invariant()
    def the_same_partitions(self) -> None:
        found = self.glue.get_partitions(**WHERE)["Partitions"]
        assert {
            one["Values"][0]: one["StorageDescriptor"]["Location"] for one in found
        } == self.model

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestKeptCatalog = KeptCatalog.TestCase
TestKeptCatalog.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


def test_the_template_boots_again_on_a_state_that_a_job_has_changed(tmp_path: Path) -> None:
    where = {"DatabaseName": "fleetwin_dev"}
    for boot in range(3):
        cloud = Cloud(START, tmp_path / "state")
        try:
            deploy(load_assembly(SNAPSHOT), cloud.context, {})
            table = cloud.call("glue", "GetTable", **where, Name="features")["Table"]
            names = [one["Name"] for one in table["StorageDescriptor"]["Columns"]]
            assert ("added_by_a_job" in names) == (boot > 0)
            assert table["VersionId"] == str(int(boot > 0))
            if boot == 0:
                given = {"Name": "features", **{k: table[k] for k in ("PartitionKeys",)}}
                storage = dict(table["StorageDescriptor"])
                storage["Columns"] = [
                    *storage["Columns"],
                    {"Name": "added_by_a_job", "Type": "double"},
                ]
                given["StorageDescriptor"] = storage
                cloud.call("glue", "UpdateTable", **where, TableInput=given)
        finally:
            cloud.close()
