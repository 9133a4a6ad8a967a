"""Reads and writes of states go on through throttling and stop at a conflict."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pipeline.errors import StateConflict, StateUnavailable
from pipeline.state_table import StateTable, StateWrite
from pipeline.tests.fakes import FakeDynamoDb, Trouble, client_error

WRITE = StateWrite("raw#pump-1", b"abc", "7", None)


class Scripted:
    """A client that answers from a list and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def _answer(self, **request: Any) -> Any:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    batch_get_item = _answer
    transact_write_items = _answer


def test_requests_and_answers_have_botocores_shapes() -> None:
    client = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    stored = {"pk": {"S": "raw#pump-1"}, "last_seq": {"S": "7"}, "state": {"B": b"abc"}}
    with Stubber(client) as stub:
        stub.add_response("batch_get_item", {"Responses": {"states": [stored]}})
        stub.add_response("transact_write_items", {})
        table = StateTable(client, "states")
        assert table.get(["raw#pump-1", "raw#pump-2"]) == {"raw#pump-1": stored}
        table.put([WRITE, StateWrite("raw#pump-2", b"", "8", "7", {"open": {"BOOL": True}})])
    client.close()


def test_many_states_are_read_and_written_in_chunks() -> None:
    dynamodb = FakeDynamoDb(Trouble())
    table = StateTable(dynamodb, "states")
    pks = [f"raw#{number}" for number in range(250)]
    table.put([StateWrite(pk, b"x", "1", None) for pk in pks])
    assert set(table.get(pks)) == set(pks)
    assert table.get([]) == {}


def test_unprocessed_keys_are_asked_for_again_after_longer_and_longer_waits() -> None:
    one, two = ({"pk": {"S": name}} for name in ("one", "two"))
    left = {"states": {"Keys": [two], "ConsistentRead": True}}
    client = Scripted(
        {"Responses": {"states": [one]}, "UnprocessedKeys": left},
        client_error("ProvisionedThroughputExceededException", "BatchGetItem"),
        {"Responses": {"states": [two]}, "UnprocessedKeys": {}},
    )
    waits: list[float] = []
    assert set(StateTable(client, "states", waits.append).get(["one", "two"])) == {"one", "two"}
    assert waits == [0.1, 0.2]
    assert client.asked[1]["RequestItems"]["states"]["Keys"] == [two]


def test_a_throttled_transaction_is_repeated_with_the_same_token() -> None:
    throttled = client_error("TransactionCanceledException", "T", ["None", "ThrottlingError"])
    client = Scripted(throttled, client_error("ThrottlingException", "T"), {})
    StateTable(client, "states", lambda seconds: None).put([WRITE])
    assert len({request["ClientRequestToken"] for request in client.asked}) == 1
    assert len(client.asked) == 3


def test_different_writes_have_different_tokens() -> None:
    client = Scripted({}, {})
    table = StateTable(client, "states")
    table.put([WRITE])
    table.put([StateWrite("raw#pump-1", b"abd", "7", None)])
    assert len({request["ClientRequestToken"] for request in client.asked}) == 2


def test_a_failed_condition_is_a_conflict_even_beside_throttling() -> None:
    reasons = ["ThrottlingError", "ConditionalCheckFailed"]
    client = Scripted(client_error("TransactionCanceledException", "T", reasons))
    with pytest.raises(StateConflict, match="states"):
        StateTable(client, "states").put([WRITE])


def test_endless_throttling_and_other_errors_are_raised() -> None:
    throttled = [client_error("ThrottlingException", "T") for _ in range(6)]
    with pytest.raises(StateUnavailable):
        StateTable(Scripted(*throttled), "states", lambda seconds: None).put([WRITE])
    with pytest.raises(StateUnavailable):
        StateTable(Scripted(*throttled), "states", lambda seconds: None).get(["one"])
    for code in ("AccessDeniedException", "ResourceNotFoundException"):
        with pytest.raises(ClientError, match=code):
            StateTable(Scripted(client_error(code, "T")), "states").put([WRITE])
        with pytest.raises(ClientError, match=code):
            StateTable(Scripted(client_error(code, "T")), "states").get(["one"])


def test_a_state_that_the_reader_remembers_stays_where_it_is() -> None:
    dynamodb = FakeDynamoDb(Trouble())
    table = StateTable(dynamodb, "states")
    table.put([StateWrite(pk, pk.encode(), "5", None) for pk in ("one", "two", "three")])
    dynamodb.items["#model"] = {"pk": {"S": "#model"}, "endpoint": {"S": "live"}}
    found = table.get(["#model", "one", "three", "two"], {"one": "5", "two": "4"})
    assert {pk: "state" in item for pk, item in found.items()} == {
        "#model": False,
        "one": False,  # remembered, and still so
        "two": True,  # changed since
        "three": True,  # never seen
    }
    assert found["#model"]["endpoint"] == {"S": "live"}
    assert found["two"]["last_seq"] == {"S": "5"}
