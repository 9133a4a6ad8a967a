"""Stand-ins for AWS in memory, which fail where a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError


class CallFailedError(Exception):
    """A call that failed, with or without having had its effect."""


def client_error(code: str, operation: str, reasons: list[str] | None = None) -> ClientError:
    """Return an error as boto3 raises it; ``reasons`` are a transaction's, one for each item."""
    response: dict[str, Any] = {"Error": {"Code": code, "Message": code}}
    if reasons is not None:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, operation)  # type: ignore[arg-type]


class Trouble:
    """Decides before and after each effect whether the call fails there."""

    def __init__(self, fails: Callable[[], bool] = lambda: False) -> None:
        self.fails = fails
        self.calls: list[str] = []

    def call(self, name: str, effect: Callable[[], Any]) -> Any:
        """Do the effect, unless trouble comes before it; trouble after it loses the answer."""
        self.calls.append(name)
        if self.fails():
            raise CallFailedError(f"{name}: nothing happened")
        answer = effect()
        if self.fails():
            raise CallFailedError(f"{name}: the answer was lost")
        return answer


def projected(item: Mapping[str, Any], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes that a read's ProjectionExpression names; without one, all."""
    if "ProjectionExpression" not in request:
        return item
    names = request["ExpressionAttributeNames"]
    wanted = {names[place] for place in request["ProjectionExpression"].split(", ")}
    return {name: value for name, value in item.items() if name in wanted}


class FakeS3:
    """Objects by key."""

    def __init__(self, trouble: Trouble) -> None:
        self.objects: dict[str, bytes] = {}
        self._trouble = trouble

    def put_object(self, **request: Any) -> Any:
        """Write one object."""
        key = f"{request['Bucket']}/{request['Key']}"
        self._trouble.call("PutObject", lambda: self.objects.__setitem__(key, request["Body"]))


class FakeDynamoDb:
    """Items of one table by key, with the two conditions that the pipeline uses."""

    def __init__(self, trouble: Trouble) -> None:
        self.items: dict[str, Mapping[str, Any]] = {}
        self._trouble = trouble

    def batch_get_item(self, **requests: Any) -> Any:
        """Read at most 100 items."""
        ((table, request),) = requests["RequestItems"].items()
        keys = [key["pk"]["S"] for key in request["Keys"]]
        assert 0 < len(keys) == len(set(keys)) <= 100
        assert request["ConsistentRead"]
        return self._trouble.call(
            "BatchGetItem",
            lambda: {
                "Responses": {
                    table: [projected(self.items[pk], request) for pk in keys if pk in self.items]
                },
                "UnprocessedKeys": {},
            },
        )

    def transact_write_items(self, **request: Any) -> Any:
        """Write at most 100 items, all or none."""
        assert 0 < len(request["TransactItems"]) <= 100
        assert 1 <= len(request["ClientRequestToken"]) <= 36
        self._trouble.call("TransactWriteItems", lambda: self._write(request["TransactItems"]))

    def _write(self, transact_items: Any) -> None:
        puts = [item["Put"] for item in transact_items]
        met = [self._holds(put) for put in puts]
        if not all(met):
            reasons = ["None" if holds else "ConditionalCheckFailed" for holds in met]
            raise client_error("TransactionCanceledException", "TransactWriteItems", reasons)
        for put in puts:
            self.items[put["Item"]["pk"]["S"]] = put["Item"]

    def _holds(self, put: Any) -> bool:
        stored = self.items.get(put["Item"]["pk"]["S"])
        if put["ConditionExpression"] == "attribute_not_exists(pk)":
            return stored is None
        assert put["ConditionExpression"] == "last_seq = :expected"
        expected = put["ExpressionAttributeValues"][":expected"]
        return stored is not None and stored["last_seq"] == expected
