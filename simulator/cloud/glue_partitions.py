"""Partitions of the Glue Data Catalog: registering, listing by expression, in batches.

Called by `dispatch`; databases and tables are `glue_catalog`. A batch does what it can and lists
what failed, each with its own error, as Glue's batches do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.glue_catalog import Catalog, invalid, not_found
from simulator.cloud.glue_store import Partition, Table
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.pages import page
from simulator.cloud.partition_expressions import compile_expression

MOST_PARTITIONS = 10_000_000
"""Quota of partitions a table (AWS general reference, Glue)."""
_PAGE = 1000
_MOST_AT_ONCE = {
    "PartitionInputList": 100,
    "PartitionsToGet": 1000,
    "Entries": 100,
    "PartitionsToDelete": 25,
}
"""Array sizes of the batches (Glue API reference)."""


class Partitions:
    """The partition operations. Used on the engine's thread only."""

    def __init__(self, context: Context, catalog: Catalog) -> None:
        self._context = context
        self._catalog = catalog

    def operations(self) -> dict[str, Operation]:
        """Return the operations on partitions."""
        table: dict[str, Callable[[Call], Answer]] = {
            "CreatePartition": self._create,
            "BatchCreatePartition": self._create_batch,
            "GetPartition": self._get,
            "GetPartitions": self._list,
            "BatchGetPartition": self._get_batch,
            "UpdatePartition": self._update,
            "BatchUpdatePartition": self._update_batch,
            "DeletePartition": self._delete,
            "BatchDeletePartition": self._delete_batch,
        }
        arns = self._catalog.table_arns
        return {name: Operation(execute, arns) for name, execute in table.items()}

    # -- operations

    def _create(self, call: Call) -> Answer:
        table = self._table(call, "INSERT")
        self._add(table, call.params["PartitionInput"])
        self._catalog.store.changed()
        return {}

    def _create_batch(self, call: Call) -> Answer:
        table = self._table(call, "INSERT")
        given = call.params["PartitionInputList"]
        return self._batch(
            given, lambda one: self._add(table, one), lambda one: one.get("Values", [])
        )

    def _get(self, call: Call) -> Answer:
        table = self._table(call, "DESCRIBE")
        found = self._found(table, call.params["PartitionValues"])
        return {"Partition": self._described(call, table, found)}

    def _list(self, call: Call) -> Answer:
        params = call.params
        if "Segment" in params:
            raise NotSupportedByTwin("glue:GetPartitions with Segment")
        table = self._table(call, "DESCRIBE")
        # Sorted, so that a token stays a position while partitions come.
        found = [table.partitions[values] for values in sorted(table.partitions)]
        if params.get("Expression", "").strip():
            matches = compile_expression(params["Expression"], table.keys)
            found = [one for one in found if matches(one.values)]
        limit = params.get("MaxResults", _PAGE)
        chosen, token = page(found, limit, params.get("NextToken"), "InvalidInputException")
        described = [self._described(call, table, one) for one in chosen]
        if params.get("ExcludeColumnSchema"):
            for one in described:
                one.get("StorageDescriptor", {}).pop("Columns", None)
        return {"Partitions": described, **({"NextToken": token} if token is not None else {})}

    def _get_batch(self, call: Call) -> Answer:
        """Return those that exist; the others are left out, without an error."""
        table = self._table(call, "DESCRIBE")
        asked = [tuple(one["Values"]) for one in call.params["PartitionsToGet"]]
        return {
            "Partitions": [
                self._described(call, table, table.partitions[values])
                for values in asked
                if values in table.partitions
            ],
            "UnprocessedKeys": [],
        }

    def _update(self, call: Call) -> Answer:
        table = self._table(call, "ALTER")
        self._replace(table, call.params["PartitionValueList"], call.params["PartitionInput"])
        self._catalog.store.changed()
        return {}

    def _update_batch(self, call: Call) -> Answer:
        table = self._table(call, "ALTER")
        return self._batch(
            call.params["Entries"],
            lambda one: self._replace(table, one["PartitionValueList"], one["PartitionInput"]),
            lambda one: one["PartitionValueList"],
            "PartitionValueList",
        )

    def _delete(self, call: Call) -> Answer:
        table = self._table(call, "DELETE")
        self._remove(table, call.params["PartitionValues"])
        self._catalog.store.changed()
        return {}

    def _delete_batch(self, call: Call) -> Answer:
        table = self._table(call, "DELETE")
        return self._batch(
            call.params["PartitionsToDelete"],
            lambda one: self._remove(table, one["Values"]),
            lambda one: one["Values"],
        )

    # -- one partition

    def _table(self, call: Call, permission: str) -> Table:
        for name, most in _MOST_AT_ONCE.items():
            if len(call.params.get(name, ())) > most:
                raise ValidationError(
                    f"1 validation error detected: Value at '{name[0].lower() + name[1:]}' failed "
                    f"to satisfy constraint: Member must have length less than or equal to {most}"
                )
        return self._catalog.table(call, call.params["TableName"], permission)

    def _found(self, table: Table, values: Sequence[str]) -> Partition:
        found = table.partitions.get(tuple(values))
        if found is None:
            raise not_found("Cannot find partition.")
        return found

    def _add(self, table: Table, given: dict[str, Any]) -> None:
        values = self._values(table, given.get("Values", []))
        if values in table.partitions:
            raise AwsError("AlreadyExistsException", "Partition already exists.")
        if len(table.partitions) >= MOST_PARTITIONS:
            raise AwsError(
                "ResourceNumberLimitExceededException", "Number of partitions exceeds the limit."
            )
        table.partitions[values] = self._kept(values, given)

    def _replace(self, table: Table, old: Sequence[str], given: dict[str, Any]) -> None:
        """Give a partition another description; other values move it."""
        before = self._found(table, old)
        values = self._values(table, given.get("Values", old))
        if values != before.values and values in table.partitions:
            raise AwsError("AlreadyExistsException", "Partition already exists.")
        del table.partitions[before.values]
        table.partitions[values] = self._kept(values, given)

    def _remove(self, table: Table, values: Sequence[str]) -> None:
        del table.partitions[self._found(table, values).values]

    def _kept(self, values: tuple[str, ...], given: dict[str, Any]) -> Partition:
        kept = {name: copy.deepcopy(one) for name, one in given.items() if name != "Values"}
        return Partition(values, kept, self._context.engine.now())

    def _values(self, table: Table, values: Sequence[str]) -> tuple[str, ...]:
        if len(values) != len(table.keys):
            raise invalid(
                "The number of partition keys do not match the number of partition values"
            )
        if not all(values):
            raise invalid("Partition values cannot be empty")
        return tuple(values)

    def _described(self, call: Call, table: Table, partition: Partition) -> dict[str, Any]:
        described = {
            "Values": list(partition.values),
            "DatabaseName": table.database,
            "TableName": table.name,
            "CreationTime": partition.created,
            **copy.deepcopy(partition.input),
            "CatalogId": self._context.account,
        }
        return self._catalog.seen(call, table, described)

    def _batch(
        self,
        items: Sequence[dict[str, Any]],
        do: Callable[[dict[str, Any]], None],
        values_of: Callable[[dict[str, Any]], Sequence[str]],
        member: str = "PartitionValues",
    ) -> Answer:
        errors = []
        for item in items:
            try:
                do(item)
            except AwsError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({member: list(values_of(item)), "ErrorDetail": detail})
        if len(errors) < len(items):
            self._catalog.store.changed(len(items) - len(errors))
        return {"Errors": errors}
