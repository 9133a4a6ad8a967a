"""Amazon DynamoDB of the twin: tables in memory, and operations on single items.

Called by `dispatch` on the engine's thread. Reads are always consistent and nothing throttles
(tables are PAY_PER_REQUEST). Secondary indexes, streams and consumed capacity are refused by
name. Batches, transactions, Scan and Query are in `simulator.cloud.dynamodb_batches`.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.cloud.context import Context
from simulator.cloud.dynamodb_admin import TableOperations
from simulator.cloud.dynamodb_batches import BatchOperations
from simulator.cloud.dynamodb_expressions import parse_update, scope_of
from simulator.cloud.dynamodb_values import Value
from simulator.cloud.dynamodb_writes import Tables, apply, refuse
from simulator.cloud.errors import ValidationError
from simulator.cloud.operations import Answer, Call, Operation, Params


class DynamoDb:
    """The service: `operations` for `dispatch`."""

    def __init__(self, context: Context) -> None:
        self.tables = Tables(context)
        self._admin = TableOperations(self.tables)
        self._batches = BatchOperations(self.tables)

    def operations(self) -> dict[str, Operation]:
        """Return every DynamoDB operation of the twin, keyed by botocore's name."""
        one_table = self.tables.resources
        return {
            "GetItem": Operation(self._get, one_table, commutes=True),
            "PutItem": Operation(self._put, one_table, commutes=True),
            "DeleteItem": Operation(self._delete, one_table, commutes=True),
            "UpdateItem": Operation(self._update, one_table, commutes=True),
            **self._admin.operations(),
            **self._batches.operations(),
        }

    def _get(self, call: Call) -> Answer:
        refuse("GetItem", call.params)
        table = self.tables.find(call.params["TableName"])
        item = self.tables.read(table, call.params["Key"], call.params)
        return {} if item is None else {"Item": item}

    def _put(self, call: Call) -> Answer:
        refuse("PutItem", call.params)
        asked = _return_values(call.params, ("NONE", "ALL_OLD"))
        change, old = self.tables.decide_put(call.params)
        apply(change)
        return {"Attributes": dict(old)} if old and asked == "ALL_OLD" else {}

    def _delete(self, call: Call) -> Answer:
        refuse("DeleteItem", call.params)
        asked = _return_values(call.params, ("NONE", "ALL_OLD"))
        change, old = self.tables.decide_delete(call.params)
        apply(change)
        return {"Attributes": dict(old)} if old and asked == "ALL_OLD" else {}

    def _update(self, call: Call) -> Answer:
        refuse("UpdateItem", call.params)
        choices = ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
        asked = _return_values(call.params, choices)
        change, old = self.tables.decide_update(call.params)
        apply(change)
        assert change[2] is not None
        new, before = change[2][0], old or {}
        shown: Mapping[str, Value] = {}
        if asked in ("ALL_OLD", "UPDATED_OLD"):
            shown = before
        elif asked in ("ALL_NEW", "UPDATED_NEW"):
            shown = new
        if asked.startswith("UPDATED"):
            scope = scope_of(call.params)
            actions = parse_update(call.params["UpdateExpression"]).node
            touched = {scope.name(action[1]) for action in actions}
            shown = {name: value for name, value in shown.items() if name in touched}
        return {"Attributes": dict(shown)} if shown else {}


def _return_values(params: Params, choices: tuple[str, ...]) -> str:
    asked: str = params.get("ReturnValues", "NONE")
    if asked not in choices:
        raise ValidationError("Return values set to invalid value")
    return asked
