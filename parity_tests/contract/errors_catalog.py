"""Refusals of the Glue Data Catalog, of DataSync, which fills the lake, and of EventBridge."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases, twice
from parity_tests.contract.examples_catalog import PARTITION, database, table, table_input
from parity_tests.contract.examples_lake import filtered, grant, registered
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

catalog.add("events", "ResourceNotFoundException", "DescribeRule", lambda w: {"Name": "none"})
catalog.add(
    "events",
    "InvalidEventPatternException",
    "PutRule",
    lambda w: {"Name": w.new("rule"), "EventPattern": "{"},
)
catalog.add("events", "ValidationException", "PutRule", lambda w: {"Name": w.new("rule")})


def _crowded(w: World) -> dict[str, Any]:
    name = w.new("rule")
    w.do("events", "PutRule", Name=name, ScheduleExpression="rate(1 day)")
    topic = "arn:aws:sns:us-east-1:000000000000:t"
    targets = [{"Id": str(number), "Arn": topic} for number in range(6)]
    return {"Rule": name, "Targets": targets}


catalog.add("events", "LimitExceededException", "PutTargets", _crowded)


def _again(w: World) -> dict[str, Any]:
    return {**registered(w), "RoleArn": w.role}


def _stale_filter(w: World) -> dict[str, Any]:
    named = filtered(w)
    rows: dict[str, Any] = {"AllRowsWildcard": {}}
    return {"TableData": {**named, "ColumnWildcard": {}, "RowFilter": rows, "VersionId": "old"}}


def _partial(w: World) -> dict[str, Any]:
    return {**grant(w), "Permissions": ["DROP"]}


catalog.add(
    "lakeformation",
    "EntityNotFoundException",
    "DescribeResource",
    lambda w: {"ResourceArn": "arn:aws:s3:::none"},
)
catalog.add("lakeformation", "AlreadyExistsException", "RegisterResource", _again)
catalog.add("lakeformation", "InvalidInputException", "GrantPermissions", _partial)
catalog.add(
    "lakeformation", "ConcurrentModificationException", "UpdateDataCellsFilter", _stale_filter
)
catalog.deny("lakeformation", "AccessDeniedException", "GetLFTag", {"TagKey": "zone"})
