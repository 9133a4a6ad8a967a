"""BatchWriteItem and BatchGetItem: what is there, and what one answer holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.dynamodb import DynamoDb
from simulator.cloud.tests.twin import context_of, executor
from simulator.cloud.tests.wire import client_of

STATE = "fleetwin-dev-device-state"


@pytest.fixture
def ddb(tmp_path: Path) -> Any:
    client = client_of("dynamodb", executor(dynamodb=DynamoDb(context_of(tmp_path))))
    client.create_table(
        TableName=STATE,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def test_a_batch_writes_and_reads_what_is_there(ddb: Any) -> None:
    items = [{"pk": {"S": str(n)}, "n": {"N": str(n)}} for n in range(25)]
    ddb.batch_write_item(RequestItems={STATE: [{"PutRequest": {"Item": item}} for item in items]})
    keys = [{"pk": {"S": str(n)}} for n in range(24, 40)]
    found = ddb.batch_get_item(RequestItems={STATE: {"Keys": keys, "ProjectionExpression": "n"}})
    assert found["Responses"][STATE] == [{"n": {"N": "24"}}]
    assert found["UnprocessedKeys"] == {}


def test_what_an_answer_cannot_hold_is_left_for_the_next(ddb: Any) -> None:
    for number in range(50):
        item = {"pk": {"S": str(number)}, "blob": {"B": b"x" * 390_000}}
        ddb.put_item(TableName=STATE, Item=item)
    left, read = {STATE: {"Keys": [{"pk": {"S": str(number)}} for number in range(50)]}}, []
    while left:
        answer = ddb.batch_get_item(RequestItems=left)
        read.append(len(answer["Responses"][STATE]))
        left = answer["UnprocessedKeys"]
    assert read == [43, 7]
