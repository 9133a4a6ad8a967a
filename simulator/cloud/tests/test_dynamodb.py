"""The item store: conditions against plain Python, transactions, pages, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.dynamodb import DynamoDb
from simulator.cloud.dynamodb_expressions import Scope, parse_condition
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.tests.twin import START, Permissions, context_of, executor
from simulator.cloud.tests.wire import client_of

Tree = tuple[Any, ...]
NAMES = ("a", "b", "c")
NUMBERS = st.integers(-3, 3)


@pytest.fixture
def ddb(tmp_path: Path) -> Any:
    client = client_of("dynamodb", executor(dynamodb=DynamoDb(context_of(tmp_path))))
    create(client, "fleetwin-dev-device-state", "pk")
    return client


STATE = "fleetwin-dev-device-state"


def create(client: Any, name: str, hash_key: str, range_key: str | None = None) -> None:
    keys = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    types = [{"AttributeName": hash_key, "AttributeType": "S"}]
    if range_key:
        keys.append({"AttributeName": range_key, "KeyType": "RANGE"})
        types.append({"AttributeName": range_key, "AttributeType": "N"})
    client.create_table(
        TableName=name,
        KeySchema=keys,
        AttributeDefinitions=types,
        BillingMode="PAY_PER_REQUEST",
    )


# -- conditions

COMPARISONS = st.tuples(
    st.just("compare"), st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
    st.sampled_from(NAMES), NUMBERS,
)  # fmt: skip
LEAVES = st.one_of(
    COMPARISONS,
    st.tuples(st.just("between"), st.sampled_from(NAMES), NUMBERS, NUMBERS),
    st.tuples(st.just("in"), st.sampled_from(NAMES), st.lists(NUMBERS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["exists", "absent"]), st.sampled_from(NAMES)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=6,
)


def text_of(tree: Tree, values: dict[str, Any]) -> str:
    """Write a tree as DynamoDB text, with every number in a placeholder."""

    def value(number: int) -> str:
        name = f":v{len(values)}"
        values[name] = {"N": f"{number}.0" if number % 2 else str(number)}
        return name

    kind = tree[0]
    if kind == "compare":
        return f"{tree[2]} {tree[1]} {value(tree[3])}"
    if kind == "between":
        return f"#{tree[1]} BETWEEN {value(tree[2])} AND {value(tree[3])}"
    if kind == "in":
        return f"{tree[1]} IN ({', '.join(value(one) for one in tree[2])})"
    if kind == "exists":
        return f"attribute_exists({tree[1]})"
    if kind == "absent":
        return f"attribute_not_exists(#{tree[1]})"
    if kind == "not":
        return f"NOT ({text_of(tree[1], values)})"
    return f"({text_of(tree[1], values)}) {kind.upper()} ({text_of(tree[2], values)})"


def truth_of(tree: Tree, item: dict[str, int]) -> bool:
    """Evaluate a tree in Python; a missing attribute is only unequal."""
    kind = tree[0]
    if kind == "compare":
        left, right = item.get(tree[2]), tree[3]
        if left is None:
            return bool(tree[1] == "<>")
        answers = {
            "=": left == right,
            "<>": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }
        return bool(answers[tree[1]])
    if kind == "between":
        return tree[1] in item and bool(tree[2] <= item[tree[1]] <= tree[3])
    if kind == "in":
        return item.get(tree[1]) in tree[2]
    if kind in ("exists", "absent"):
        return bool((tree[1] in item) == (kind == "exists"))
    if kind == "not":
        return not truth_of(tree[1], item)
    found = (truth_of(tree[1], item), truth_of(tree[2], item))
    return all(found) if kind == "and" else any(found)


@given(tree=TREES, item=st.dictionaries(st.sampled_from(NAMES), NUMBERS))
@settings(max_examples=300, deadline=None)
def test_a_condition_means_what_python_means(tree: Tree, item: dict[str, int]) -> None:
    values: dict[str, Any] = {}
    parsed = parse_condition(text_of(tree, values))
    scope = Scope({f"#{name}": name for name in NAMES}, values)
    stored = {name: {"N": str(number)} for name, number in item.items()}
    assert scope.holds(parsed.node, stored) == truth_of(tree, item)


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    scope = Scope({}, {":1": {"N": "1"}})
    parsed = parse_condition("a = :1 OR b = :1 AND NOT c = :1")
    assert scope.holds(parsed.node, {"a": {"N": "1"}, "c": {"N": "1"}})
    assert not scope.holds(parsed.node, {"b": {"N": "1"}, "c": {"N": "1"}})


@pytest.mark.parametrize(
    "text",
    ["", "a =", "a = :v AND", "(a = :v", "a == :v", "foo(a)", "state = :v", "begins_with(a)", "a"],
)
def test_text_that_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_condition(text)


def test_placeholders_must_be_defined_and_used(ddb: Any) -> None:
    key = {"pk": {"S": "1"}}
    for extra in (
        {"ConditionExpression": "#x = :y"},
        {
            "ConditionExpression": "attribute_not_exists(pk)",
            "ExpressionAttributeValues": {":y": {"S": "1"}},
        },
    ):
        with pytest.raises(ClientError, match="ValidationException"):
            ddb.put_item(TableName=STATE, Item=key, **extra)


# -- single items


ITEM_VALUES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=5)),
        st.builds(lambda number: {"N": str(number)}, st.integers(-(10**30), 10**30)),
        st.builds(lambda blob: {"B": blob}, st.binary(max_size=5)),
        st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
        st.just({"NULL": True}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda many: {"L": many}, st.lists(inner, max_size=3)),
        st.builds(
            lambda many: {"M": many}, st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), ITEM_VALUES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_an_item_reads_back_as_it_was_put(attributes: dict[str, Any]) -> None:
    execute = executor(dynamodb=DynamoDb(context_of(Path())))
    ddb = client_of("dynamodb", execute)
    create(ddb, STATE, "pk")
    item = {**attributes, "pk": {"S": "x"}}
    ddb.put_item(TableName=STATE, Item=item)
    assert ddb.get_item(TableName=STATE, Key={"pk": {"S": "x"}})["Item"] == item
    ddb.delete_item(TableName=STATE, Key={"pk": {"S": "x"}})
    assert ddb.describe_table(TableName=STATE)["Table"]["TableSizeBytes"] == 0


def test_an_update_counts_and_removes(ddb: Any) -> None:
    key = {"pk": {"S": "1"}}
    for _ in range(2):
        answer = ddb.update_item(
            TableName=STATE,
            Key=key,
            UpdateExpression="SET n = if_not_exists(n, :zero) + :one, #s = :one REMOVE gone",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={":zero": {"N": "0"}, ":one": {"N": "1.50"}},
            ReturnValues="ALL_NEW",
        )
    assert answer["Attributes"] == {**key, "n": {"N": "3"}, "state": {"N": "1.5"}}


def test_an_item_over_400_kb_is_refused(ddb: Any) -> None:
    fits = 400 * 1024 - len("pk") - 1 - len("b")
    ddb.put_item(TableName=STATE, Item={"pk": {"S": "1"}, "b": {"B": b"x" * fits}})
    with pytest.raises(ClientError, match="Item size has exceeded"):
        ddb.put_item(TableName=STATE, Item={"pk": {"S": "1"}, "b": {"B": b"x" * (fits + 1)}})


@pytest.mark.parametrize("key", [{"pk": {"N": "1"}}, {"x": {"S": "1"}}, {"pk": {"S": ""}}, {}])
def test_a_key_that_does_not_fit_the_schema_is_refused(ddb: Any, key: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        ddb.get_item(TableName=STATE, Key=key)


# -- transactions


def write(device: str, seq: int, previous: int) -> dict[str, Any]:
    return {
        "Put": {
            "TableName": STATE,
            "Item": {"pk": {"S": f"raw#{device}"}, "last_seq": {"N": str(seq)}},
            "ConditionExpression": "attribute_not_exists(pk) OR last_seq = :p",
            "ExpressionAttributeValues": {":p": {"N": str(previous)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def seq_of(ddb: Any, device: str) -> str | None:
    item = ddb.get_item(TableName=STATE, Key={"pk": {"S": f"raw#{device}"}}).get("Item")
    return None if item is None else item["last_seq"]["N"]


def test_a_transaction_writes_all_or_nothing_and_says_why(ddb: Any) -> None:
    ddb.transact_write_items(TransactItems=[write("1", 5, 0), write("2", 5, 0)])
    with pytest.raises(ClientError) as cancelled:
        ddb.transact_write_items(TransactItems=[write("1", 9, 5), write("2", 9, 4)])
    response = cancelled.value.response
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert "[None, ConditionalCheckFailed]" in response["Error"]["Message"]
    reasons = response["CancellationReasons"]
    assert [one["Code"] for one in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"] == {"pk": {"S": "raw#2"}, "last_seq": {"N": "5"}}
    assert (seq_of(ddb, "1"), seq_of(ddb, "2")) == ("5", "5")


def test_the_same_token_does_a_transaction_once_for_ten_minutes(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ddb = client_of("dynamodb", executor(dynamodb=DynamoDb(context)))
    create(ddb, STATE, "pk")
    token = {"ClientRequestToken": "t" * 32}
    ddb.transact_write_items(TransactItems=[write("1", 5, 0)], **token)
    ddb.transact_write_items(TransactItems=[write("1", 5, 0)], **token)
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        ddb.transact_write_items(TransactItems=[write("1", 6, 5)], **token)
    context.engine.run(601.0)
    with pytest.raises(ClientError, match="TransactionCanceled"):
        ddb.transact_write_items(TransactItems=[write("1", 5, 0)], **token)
    assert context.engine.start == START


def test_one_item_twice_in_a_transaction_is_refused(ddb: Any) -> None:
    with pytest.raises(ClientError, match="multiple operations on one item"):
        ddb.transact_write_items(TransactItems=[write("1", 5, 0), write("1", 6, 5)])


def test_a_transaction_asks_iam_for_each_kind_of_part(tmp_path: Path) -> None:
    permissions = Permissions()
    execute = executor(dynamodb=DynamoDb(context_of(tmp_path, permissions)))
    create(client_of("dynamodb", execute), STATE, "pk")
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{STATE}"
    execute("dynamodb", "TransactWriteItems", {"TransactItems": [write("1", 1, 0)]})
    assert permissions.asked == [("dynamodb:PutItem", arn)]
    permissions.denied.add(("dynamodb:PutItem", arn))
    with pytest.raises(AccessDenied):
        execute("dynamodb", "TransactWriteItems", {"TransactItems": [write("2", 1, 0)]})


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("TransactWriteItems", {"TransactItems": [write(str(n), 1, 0) for n in range(101)]}),
        (
            "BatchGetItem",
            {"RequestItems": {STATE: {"Keys": [{"pk": {"S": str(n)}} for n in range(101)]}}},
        ),
        (
            "BatchWriteItem",
            {
                "RequestItems": {
                    STATE: [{"PutRequest": {"Item": {"pk": {"S": str(n)}}}} for n in range(26)]
                }
            },
        ),
    ],
)
def test_too_many_items_are_refused(tmp_path: Path, operation: str, params: dict[str, Any]) -> None:
    execute = executor(dynamodb=DynamoDb(context_of(tmp_path)))
    create(client_of("dynamodb", execute), STATE, "pk")
    with pytest.raises(AwsError) as refused:
        execute("dynamodb", operation, params)
    assert refused.value.code == "ValidationException"


# -- pages


@given(
    ranges=st.sets(st.integers(-20, 20), max_size=12),
    low=st.integers(-20, 20),
    width=st.integers(0, 20),
    page=st.integers(1, 5),
    forward=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_query_pages_are_the_sorted_range(
    ranges: set[int], low: int, width: int, page: int, forward: bool
) -> None:
    ddb = client_of("dynamodb", executor(dynamodb=DynamoDb(context_of(Path()))))
    create(ddb, "history", "device", "at")
    for device in ("pump-1", "pump-2"):
        for at in ranges:
            ddb.put_item(TableName="history", Item={"device": {"S": device}, "at": {"N": str(at)}})
    wanted: dict[str, Any] = {
        "TableName": "history",
        "KeyConditionExpression": "device = :d AND #a BETWEEN :l AND :h",
        "ExpressionAttributeNames": {"#a": "at"},
        "ExpressionAttributeValues": {
            ":d": {"S": "pump-1"},
            ":l": {"N": str(low)},
            ":h": {"N": str(low + width)},
        },
        "Limit": page,
        "ScanIndexForward": forward,
    }
    found: list[int] = []
    while True:
        answer = ddb.query(**wanted)
        found += [int(item["at"]["N"]) for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        wanted["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    expected = sorted((at for at in ranges if low <= at <= low + width), reverse=not forward)
    assert found == expected


def test_scan_pages_show_every_item_once(ddb: Any) -> None:
    for n in range(10):
        ddb.put_item(TableName=STATE, Item={"pk": {"S": str(n)}, "n": {"N": str(n)}})
    seen: list[str] = []
    wanted: dict[str, Any] = {
        "TableName": STATE,
        "Limit": 3,
        "FilterExpression": "n >= :n",
        "ExpressionAttributeValues": {":n": {"N": "2"}},
    }
    while True:
        answer = ddb.scan(**wanted)
        seen += [item["pk"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        wanted["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    assert seen == [str(n) for n in range(2, 10)]


def test_what_the_twin_does_not_keep_is_refused_by_name(tmp_path: Path) -> None:
    execute = executor(dynamodb=DynamoDb(context_of(tmp_path)))
    create(client_of("dynamodb", execute), STATE, "pk")
    for operation, params in (
        ("Scan", {"TableName": STATE, "IndexName": "x"}),
        ("GetItem", {"TableName": STATE, "Key": {}, "ReturnConsumedCapacity": "TOTAL"}),
        ("ExecuteStatement", {}),
    ):
        with pytest.raises(NotSupportedByTwin, match=operation):
            execute("dynamodb", operation, params)
