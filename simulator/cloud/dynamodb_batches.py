"""DynamoDB operations on many items: batches, transactions, Scan and Query.

Part of `simulator.cloud.dynamodb`. IAM knows no action for a transaction: it checks that of
each part on the part's table (DynamoDB developer guide, "Using IAM with transactions"), so the
operations authorise themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from simulator.cloud.dynamodb_expressions import (
    Expression,
    Node,
    Scope,
    parse_condition,
    parse_projection,
    scope_of,
)
from simulator.cloud.dynamodb_tables import Key, Table
from simulator.cloud.dynamodb_values import Value, stored
from simulator.cloud.dynamodb_writes import Change, Tables, apply, refuse
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Answer, Call, Operation, Params

MAX_BATCH_GET, MAX_BATCH_WRITE, MAX_TRANSACTION = 100, 25, 100
MAX_PAGE_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 16 * 1024 * 1024
SURELY_FITS_BYTES = MAX_ANSWER_BYTES // 2
"""Items that are no larger together fit into an answer, whatever their form adds: not measured."""
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
TOKEN_LIFE_S = 600.0
"""How long a ClientRequestToken makes a repeated transaction do nothing."""

_NOT_IN_KEYS = ("attribute_exists", "attribute_not_exists", "attribute_type", "contains")
_PART_ACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}


class BatchOperations:
    """The operations, and the tokens of recent transactions."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._tokens: dict[str, tuple[float, list[Any]]] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the table of operations."""

        def tables_of(params: Params) -> list[str]:
            return [self._tables.arn(name) for name in params["RequestItems"]]

        def by_part(params: Params) -> tuple[str, ...]:
            return ()

        return {
            "BatchGetItem": Operation(self._batch_get, tables_of, commutes=True),
            "BatchWriteItem": Operation(self._batch_write, tables_of, commutes=True),
            "TransactWriteItems": Operation(self._transact_write, by_part, commutes=True),
            "TransactGetItems": Operation(self._transact_get, by_part, commutes=True),
            "Scan": Operation(self._scan, self._tables.resources),
            "Query": Operation(self._query, self._tables.resources),
        }

    # -- batches

    def _batch_get(self, call: Call) -> Answer:
        refuse("BatchGetItem", call.params)
        requests = call.params["RequestItems"]
        if sum(len(one["Keys"]) for one in requests.values()) > MAX_BATCH_GET:
            raise ValidationError("Too many items requested for the BatchGetItem call")
        answers: dict[str, list[dict[str, Value]]] = {}
        left: dict[str, Any] = {}
        budget, most, wanted = MAX_ANSWER_BYTES, 0, []
        for name, request in requests.items():
            table = self._tables.find(name)
            keys = [table.key_of(key) for key in request["Keys"]]
            if len(set(keys)) != len(keys):
                raise ValidationError("Provided list of item keys contains duplicates")
            most += sum(map(table.size_of, keys))
            wanted.append((name, request, keys, self._tables.reader(table, request)))
        for name, request, keys, read in wanted:
            found = answers.setdefault(name, [])
            for at, key in enumerate(keys):
                item = read(key)
                if item is None:
                    continue
                if most > SURELY_FITS_BYTES:
                    budget -= stored({"M": item})[1]
                if budget < 0:
                    left[name] = {**request, "Keys": request["Keys"][at:]}
                    break
                found.append(item)
        return {"Responses": answers, "UnprocessedKeys": left}

    def _batch_write(self, call: Call) -> Answer:
        refuse("BatchWriteItem", call.params)
        requests = call.params["RequestItems"]
        if sum(map(len, requests.values())) > MAX_BATCH_WRITE:
            raise ValidationError("Too many items requested for the BatchWriteItem call")
        changes: list[Change] = []
        for name, writes in requests.items():
            for write in writes:
                if "PutRequest" in write:
                    part = {"TableName": name, "Item": write["PutRequest"]["Item"]}
                    changes.append(self._tables.decide_put(part)[0])
                else:
                    part = {"TableName": name, "Key": write["DeleteRequest"]["Key"]}
                    changes.append(self._tables.decide_delete(part)[0])
        if len({(id(table), key) for table, key, _ in changes}) != len(changes):
            raise ValidationError("Provided list of item keys contains duplicates")
        for change in changes:
            apply(change)
        return {"UnprocessedItems": {}}

    # -- transactions

    def _authorise(
        self, call: Call, kind: str, table_name: str, done: set[tuple[str, str]]
    ) -> None:
        if (kind, table_name) not in done:
            done.add((kind, table_name))
            self._tables.context.iam.authorise(
                call.principal, _PART_ACTIONS[kind], self._tables.arn(table_name)
            )

    def _transact_write(self, call: Call) -> Answer:
        refuse("TransactWriteItems", call.params)
        items = call.params["TransactItems"]
        if len(items) > MAX_TRANSACTION:
            raise ValidationError(
                "1 validation error detected: Value at 'transactItems' failed to satisfy"
                f" constraint: Member must have length less than or equal to {MAX_TRANSACTION}"
            )
        parts: list[tuple[str, Params]] = []
        allowed: set[tuple[str, str]] = set()
        for item in items:
            if len(item) != 1:
                raise ValidationError(
                    "TransactItems can only contain one of Check, Put, Update or Delete"
                )
            [(kind, part)] = item.items()
            self._authorise(call, kind, part["TableName"], allowed)
            parts.append((kind, part))
        if self._repeated(call.params):
            return {}
        for change in self._decided(parts):
            apply(change)
        if "ClientRequestToken" in call.params:
            now_s = self._tables.context.engine.env.now
            self._tokens[call.params["ClientRequestToken"]] = (now_s, items)
        return {}

    def _repeated(self, params: Params) -> bool:
        """Tell whether this very transaction was done within the last ten minutes."""
        token = params.get("ClientRequestToken")
        if token is None:
            return False
        now_s = self._tables.context.engine.env.now
        while self._tokens:
            oldest = next(iter(self._tokens))
            if self._tokens[oldest][0] > now_s - TOKEN_LIFE_S:
                break
            del self._tokens[oldest]
        known = self._tokens.get(token)
        if known is None:
            return False
        if known[1] != params["TransactItems"]:
            raise AwsError(
                "IdempotentParameterMismatchException",
                "Requests contain the same idempotency token but different parameters",
            )
        return True

    def _decided(self, parts: list[tuple[str, Params]]) -> list[Change]:
        """Return the writes of a transaction, or raise with one reason for each part."""
        decide = {
            "Put": self._tables.decide_put,
            "Update": self._tables.decide_update,
            "Delete": self._tables.decide_delete,
            "ConditionCheck": self._tables.decide_delete,
        }
        changes: list[Change] = []
        reasons: list[dict[str, Any]] = []
        touched: set[tuple[int, Key]] = set()
        size = 0
        for kind, part in parts:
            try:
                change, _ = decide[kind](part)
            except AwsError as error:
                reasons.append(_reason(error))
                continue
            reasons.append({"Code": "None"})
            place = (id(change[0]), change[1])
            if place in touched:
                raise ValidationError(
                    "Transaction request cannot include multiple operations on one item"
                )
            touched.add(place)
            if kind != "ConditionCheck":
                changes.append(change)
                size += change[2][1] if change[2] else 0
        if size > MAX_TRANSACTION_BYTES:
            raise ValidationError("Transaction request size exceeded the maximum allowed: 4 MB")
        codes = [reason["Code"] for reason in reasons]
        if any(code != "None" for code in codes):
            raise AwsError(
                "TransactionCanceledException",
                "Transaction cancelled, please refer cancellation reasons for specific reasons"
                f" [{', '.join(codes)}]",
                400,
                {"CancellationReasons": reasons},
            )
        return changes

    def _transact_get(self, call: Call) -> Answer:
        refuse("TransactGetItems", call.params)
        allowed: set[tuple[str, str]] = set()
        answers: list[dict[str, Any]] = []
        for one in call.params["TransactItems"]:
            get = one["Get"]
            self._authorise(call, "Get", get["TableName"], allowed)
            item = self._tables.read(self._tables.find(get["TableName"]), get["Key"], get)
            answers.append({} if item is None else {"Item": item})
        return {"Responses": answers}

    # -- pages

    def _scan(self, call: Call) -> Answer:
        params = call.params
        table = self._tables.find(params["TableName"])
        start = params.get("ExclusiveStartKey")
        after = None if start is None else table.key_of(start)
        return _page("Scan", params, table, table.scan(after), None)

    def _query(self, call: Call) -> Answer:
        params = call.params
        table = self._tables.find(params["TableName"])
        if "KeyConditionExpression" not in params:
            raise ValidationError(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified"
                " in the request."
            )
        condition = parse_condition(params["KeyConditionExpression"], "KeyConditionExpression")
        scope = scope_of(params)
        hash_value = _hash_value(table, condition, scope)
        start = params.get("ExclusiveStartKey")
        after = None if start is None else table.key_of(start)
        rows = table.query(hash_value, after, forward=params.get("ScanIndexForward", True))
        matching = (row for row in rows if scope.holds(condition.node, row[0]))
        return _page("Query", params, table, matching, condition)


def _reason(error: AwsError) -> dict[str, Any]:
    """Return the cancellation reason of one part that cannot be done."""
    if error.code == "ConditionalCheckFailedException":
        return {"Code": "ConditionalCheckFailed", "Message": error.message, **error.fields}
    if isinstance(error, NotSupportedByTwin) or error.code == "ResourceNotFoundException":
        raise error
    return {"Code": "ValidationError", "Message": error.message}


def _page(
    operation: str,
    params: Params,
    table: Table,
    rows: Iterator[tuple[dict[str, Value], int]],
    key_condition: Expression | None,
) -> Answer:
    """Return one page: at most ``Limit`` items or 1 MB are looked at, then filtered."""
    refuse(operation, params)
    scope = scope_of(params)
    condition = projection = None
    if "FilterExpression" in params:
        condition = parse_condition(params["FilterExpression"], "FilterExpression")
    if "ProjectionExpression" in params:
        projection = parse_projection(params["ProjectionExpression"])
    scope.check(key_condition, condition, projection)
    limit = params.get("Limit")
    items: list[dict[str, Value]] = []
    looked_at = size = 0
    last: dict[str, Value] | None = None
    for item, length in rows:
        if looked_at == limit or (looked_at and size + length > MAX_PAGE_BYTES):
            break
        looked_at, size, last = looked_at + 1, size + length, item
        if condition is None or scope.holds(condition.node, item):
            items.append(
                dict(item) if projection is None else scope.projected(projection.node, item)
            )
    else:
        # AWS also answers a LastEvaluatedKey when the limit ends exactly at the last item.
        last = last if limit is not None and looked_at == limit else None
    answer: Answer = {"Count": len(items), "ScannedCount": looked_at}
    if params.get("Select") != "COUNT":
        answer["Items"] = items
    if last is not None:
        answer["LastEvaluatedKey"] = table.key_item(last)
    return answer


def _hash_value(table: Table, condition: Expression, scope: Scope) -> Any:
    """Return the partition that a key condition names, checking that it names just one."""
    node = condition.node
    found = None
    for part in [node[1], node[2]] if node[0] == "and" else [node]:
        operand = _key_operand(part)
        if operand[0] != "path" or len(operand[1]) != 1:
            raise ValidationError("Query key condition not supported")
        name = scope.name(operand[1][0])
        if name == table.hash_key and part[:2] == ("compare", "=") and found is None:
            found = scope.operand(part[3], {})
        elif name != table.range_key or part[1] in ("<>", *_NOT_IN_KEYS):
            raise ValidationError("Query key condition not supported")
    if found is None:
        raise ValidationError(f"Query condition missed key schema element: {table.hash_key}")
    if table.types[table.hash_key] not in found:
        raise ValidationError(
            "One or more parameter values were invalid: Condition parameter type does not match"
            " schema type"
        )
    return table.hash_value({table.hash_key: found})


def _key_operand(part: Node) -> Node:
    """Return the operand on the left of one part of a key condition."""
    if part[0] == "compare":
        return cast(Node, part[2])
    if part[0] == "between":
        return cast(Node, part[1])
    if part[0] == "call":
        return cast(Node, part[2][0])
    return ("", ())
