"""How DynamoDB reads and decides writes: the part that single items and transactions share.

A write is decided first (condition, new item, size) and applied after, so that a transaction
applies all or nothing. Users: `simulator.cloud.dynamodb` and its siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simulator.cloud.context import Context
from simulator.cloud.dynamodb_expressions import (
    parse_condition,
    parse_projection,
    parse_update,
    scope_of,
)
from simulator.cloud.dynamodb_tables import Key, Table
from simulator.cloud.dynamodb_values import Item, Value
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Params

Change = tuple[Table, Key, tuple[dict[str, Value], int] | None]
"""One decided write: table, key, and the prepared item or None for a deletion."""

_REFUSED = (
    "Expected",
    "ConditionalOperator",
    "AttributeUpdates",
    "AttributesToGet",
    "KeyConditions",
    "QueryFilter",
    "ScanFilter",
    "IndexName",
    "TotalSegments",
)


def refuse(operation: str, params: Params) -> None:
    """Raise for parameters whose meaning the twin does not keep."""
    for name in _REFUSED:
        if name in params:
            raise NotSupportedByTwin(f"dynamodb:{operation} with {name}")
    for name in ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics"):
        if params.get(name, "NONE") != "NONE":
            raise NotSupportedByTwin(f"dynamodb:{operation} with {name}={params[name]}")


class Tables:
    """All tables of one twin, and how writes are decided."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.by_name: dict[str, Table] = {}

    def arn(self, name: str) -> str:
        """Return the ARN of a table; a request may name it by ARN already."""
        return name if name.startswith("arn:") else self.context.arn("dynamodb", f"table/{name}")

    def resources(self, params: Params) -> Sequence[str]:
        """Return the ARN of the table that a request names."""
        return (self.arn(params["TableName"]),)

    def find(self, name: str, message: str = "Requested resource not found") -> Table:
        """Return a table by name or ARN; raise ResourceNotFoundException."""
        table = self.by_name.get(name.rpartition("/")[2])
        if table is None:
            raise AwsError("ResourceNotFoundException", message)
        return table

    def read(self, table: Table, key: Item, params: Params) -> dict[str, Value] | None:
        """Return a copy of an item, projected as the request asks."""
        return self.reader(table, params)(table.key_of(key))

    def reader(self, table: Table, params: Params) -> Callable[[Key], dict[str, Value] | None]:
        """Return what reads items of a request's keys, projected as it asks."""
        scope, projection = scope_of(params), None
        if "ProjectionExpression" in params:
            projection = parse_projection(params["ProjectionExpression"])
        if projection or scope.names:
            scope.check(projection)
        wanted = None if projection is None else scope.named(projection.node)

        def read(key: Key) -> dict[str, Value] | None:
            found = table.get(key)
            if found is None:
                return None
            if wanted is None:
                return dict(found)
            return {name: found[name] for name in wanted if name in found}

        return read

    def decide_put(self, params: Params) -> tuple[Change, dict[str, Value] | None]:
        """Return what a Put changes and the old item; raise when its condition fails."""
        table = self.find(params["TableName"])
        prepared = table.prepared(params["Item"])
        key = table.key_of_item(prepared[0])
        old = table.get(key)
        self._check_condition(params, old)
        return (table, key, prepared), old

    def decide_delete(self, params: Params) -> tuple[Change, dict[str, Value] | None]:
        """Return what a Delete changes and the old item; raise when its condition fails."""
        table = self.find(params["TableName"])
        key = table.key_of(params["Key"])
        old = table.get(key)
        self._check_condition(params, old)
        return (table, key, None), old

    def decide_update(self, params: Params) -> tuple[Change, dict[str, Value] | None]:
        """Return what an Update changes and the old item; raise when its condition fails."""
        table = self.find(params["TableName"])
        key = table.key_of(params["Key"])
        old = table.get(key)
        scope, condition, update = scope_of(params), None, None
        if "ConditionExpression" in params:
            condition = parse_condition(params["ConditionExpression"])
        if "UpdateExpression" in params:
            update = parse_update(params["UpdateExpression"])
        scope.check(condition, update)
        if condition is not None and not scope.holds(condition.node, old or {}):
            raise condition_failed(params, old)
        item = dict(params["Key"]) if old is None else old
        if update is not None:
            for action in update.node:
                if scope.name(action[1]) in params["Key"]:
                    raise ValidationError(
                        "One or more parameter values were invalid: Cannot update attribute"
                        f" {scope.name(action[1])}. This attribute is part of the key"
                    )
            item = scope.updated(update.node, item)
        return (table, key, table.prepared(item, update=True)), old

    def _check_condition(self, params: Params, old: dict[str, Value] | None) -> None:
        if "ConditionExpression" not in params:
            if "ExpressionAttributeNames" in params or "ExpressionAttributeValues" in params:
                raise ValidationError(
                    "ExpressionAttributeNames and ExpressionAttributeValues can only be specified"
                    " when using expressions"
                )
            return
        scope = scope_of(params)
        condition = parse_condition(params["ConditionExpression"])
        scope.check(condition)
        if not scope.holds(condition.node, old or {}):
            raise condition_failed(params, old)


def condition_failed(params: Params, old: Mapping[str, Value] | None) -> AwsError:
    """Return the error of a condition that does not hold, with the old item if asked for."""
    wants_old = params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    fields = {"Item": dict(old)} if wants_old and old else {}
    return AwsError(
        "ConditionalCheckFailedException", "The conditional request failed", 400, fields
    )


def apply(change: Change) -> None:
    """Carry out a decided write."""
    table, key, prepared = change
    if prepared is None:
        table.delete(key)
    else:
        table.put(key, prepared)
