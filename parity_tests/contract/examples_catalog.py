"""Examples of the Glue Data Catalog."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

glue = Examples("glue")

STORAGE: dict[str, Any] = {
    "Location": "s3://contract/features/",
    "Columns": [
        {"Name": "device_id", "Type": "string", "Comment": "which machine"},
        {"Name": "temperature_c_mean", "Type": "double"},
    ],
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}
VALUES = ["2026-01-05", "07"]
PARTITION: dict[str, Any] = {
    "Values": VALUES,
    "StorageDescriptor": {**STORAGE, "Location": "s3://contract/features/dt=2026-01-05/hour=07/"},
    "Parameters": {"rows": "12"},
}


def database(w: World) -> str:
    """Return a new database."""
    name = w.new("contract_db")
    w.do("glue", "CreateDatabase", DatabaseInput={"Name": name, "Description": "of the contract"})
    return name


def table_input(name: str) -> dict[str, Any]:
    """Return the description of a table by date and hour."""
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet"},
        "PartitionKeys": [{"Name": "dt", "Type": "string"}, {"Name": "hour", "Type": "string"}],
        "StorageDescriptor": STORAGE,
    }


def table(w: World, *partitions: dict[str, Any], key: str = "TableName") -> dict[str, Any]:
    """Return DatabaseName and name of a new table with partitions."""
    name, where = w.new("contract_table"), {"DatabaseName": database(w)}
    w.do("glue", "CreateTable", **where, TableInput=table_input(name))
    for one in partitions:
        w.do("glue", "CreatePartition", **where, TableName=name, PartitionInput=one)
    return {**where, key: name}


_DATABASE = "Name Description CreateTime CatalogId CreateTableDefaultPermissions.Permissions"
_TABLE = """Name DatabaseName CreateTime UpdateTime VersionId CatalogId CreatedBy TableType
PartitionKeys.Name StorageDescriptor.Columns.Type IsRegisteredWithLakeFormation"""
_PARTITION = "Values DatabaseName TableName CreationTime StorageDescriptor.Location CatalogId"

glue.add("CreateDatabase", lambda w: {"DatabaseInput": {"Name": w.new("contract_db")}})
glue.add("GetDatabase", lambda w: {"Name": database(w)}, below("Database", _DATABASE))
glue.add(
    "GetDatabases",
    lambda w: {"MaxResults": 1, "CatalogId": [database(w), "000000000000"][1]},
    below("DatabaseList", "Name CreateTime CatalogId") + " NextToken",
)


def _renamed(w: World) -> dict[str, Any]:
    name = database(w)
    return {"Name": name, "DatabaseInput": {"Name": name, "Description": "another"}}


glue.add("UpdateDatabase", _renamed)
glue.add("DeleteDatabase", lambda w: {"Name": database(w)})
glue.add(
    "CreateTable",
    lambda w: {"DatabaseName": database(w), "TableInput": table_input(w.new("made"))},
)
glue.add("GetTable", lambda w: table(w, key="Name"), below("Table", _TABLE))
glue.add(
    "GetTables",
    lambda w: {"DatabaseName": table(w)["DatabaseName"], "Expression": "contract.*"},
    below("TableList", _TABLE),
)


def _changed(w: World) -> dict[str, Any]:
    where = table(w)
    given = table_input(where["TableName"])
    return {"DatabaseName": where["DatabaseName"], "TableInput": given, "VersionId": "0"}


def _versions(w: World) -> dict[str, Any]:
    params = _changed(w)
    w.do("glue", "UpdateTable", **params)
    return {"DatabaseName": params["DatabaseName"], "TableName": params["TableInput"]["Name"]}


glue.add("UpdateTable", _changed)
glue.add("DeleteTable", lambda w: table(w, key="Name"))
glue.add(
    "BatchDeleteTable",
    lambda w: {"DatabaseName": database(w), "TablesToDelete": ["none"]},
    "Errors.TableName Errors.ErrorDetail.ErrorCode Errors.ErrorDetail.ErrorMessage",
)
glue.add(
    "GetTableVersion",
    lambda w: {**_versions(w), "VersionId": "0"},
    "TableVersion.VersionId TableVersion.Table.VersionId",
)
glue.add(
    "GetTableVersions",
    lambda w: {**_versions(w), "MaxResults": 1},
    "TableVersions.VersionId TableVersions.Table.Name NextToken",
)
glue.add("CreatePartition", lambda w: {**table(w), "PartitionInput": PARTITION})
glue.add(
    "BatchCreatePartition",
    lambda w: {**table(w, PARTITION), "PartitionInputList": [PARTITION]},
    "Errors.PartitionValues Errors.ErrorDetail.ErrorCode",
)
glue.add(
    "GetPartition",
    lambda w: {**table(w, PARTITION), "PartitionValues": VALUES},
    below("Partition", _PARTITION),
)
glue.add(
    "GetPartitions",
    lambda w: {
        **table(w, PARTITION, {**PARTITION, "Values": ["2026-01-06", "00"]}),
        "Expression": "dt >= '2026-01-05' AND NOT hour IN ('08', '09')",
        "MaxResults": 1,
    },
    below("Partitions", _PARTITION) + " NextToken",
)
glue.add(
    "BatchGetPartition",
    lambda w: {**table(w, PARTITION), "PartitionsToGet": [{"Values": VALUES}]},
    below("Partitions", _PARTITION),
)
glue.add(
    "UpdatePartition",
    lambda w: {
        **table(w, PARTITION),
        "PartitionValueList": VALUES,
        "PartitionInput": {**PARTITION, "Values": ["2026-01-05", "08"]},
    },
)
glue.add(
    "BatchUpdatePartition",
    lambda w: {
        **table(w),
        "Entries": [{"PartitionValueList": VALUES, "PartitionInput": PARTITION}],
    },
    "Errors.PartitionValueList Errors.ErrorDetail.ErrorCode",
)
glue.add("DeletePartition", lambda w: {**table(w, PARTITION), "PartitionValues": VALUES})
glue.add(
    "BatchDeletePartition",
    lambda w: {**table(w), "PartitionsToDelete": [{"Values": VALUES}]},
    "Errors.PartitionValues Errors.ErrorDetail.ErrorCode",
)
