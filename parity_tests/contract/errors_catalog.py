"""Refusals of the Glue Data Catalog and of DataSync, which fills the lake."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases, twice
from parity_tests.contract.examples_catalog import PARTITION, database, table, table_input
from parity_tests.contract.world import World

catalog = ErrorCases()


def _stale(w: World) -> dict[str, Any]:
    where = table(w)
    given = table_input(where["TableName"])
    return {"DatabaseName": where["DatabaseName"], "TableInput": given, "VersionId": "9"}


catalog.add(
    "glue",
    "EntityNotFoundException",
    "GetTable",
    lambda w: {"DatabaseName": database(w), "Name": "none"},
)
catalog.add(
    "glue",
    "AlreadyExistsException",
    "CreateDatabase",
    twice(("glue", "CreateDatabase"), lambda w: {"DatabaseInput": {"Name": w.new("twice")}}),
)
catalog.add(
    "glue",
    "InvalidInputException",
    "GetPartitions",
    lambda w: {**table(w), "Expression": "temperature_c_mean > 1"},
)
catalog.add(
    "glue",
    "InvalidInputException",
    "CreatePartition",
    lambda w: {**table(w), "PartitionInput": {**PARTITION, "Values": ["2026-01-05"]}},
)
catalog.add("glue", "ConcurrentModificationException", "UpdateTable", _stale)


catalog.add(
    "datasync",
    "InvalidRequestException",
    "DescribeTask",
    lambda w: {"TaskArn": "arn:aws:datasync:us-east-1:000000000000:task/task-0123456789abcdef0"},
    "errorCode",
)
