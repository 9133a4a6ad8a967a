"""The table of device states: read many, write many on condition that nobody else has.

Every item has a key, the last stream sequence number that is accounted for in it, and a compact
binary state. A write names the sequence number that was read; when the stored one differs the
whole transaction fails with StateConflict, the function raises, and the mapping retries the
batch from the state as it then is.
"""

from __future__ import annotations

import hashlib
import marshal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from pipeline.errors import StateConflict, StateUnavailable

MAX_ITEMS = 100
"""BatchGetItem's and TransactWriteItems' limit (DynamoDB API reference)."""

LIGHT_FIELDS = ("pk", "last_seq", "endpoint", "model_version")
"""What is read of an item whose state the reader remembers, and of the active model's item."""

_LIGHT = {
    "ProjectionExpression": ", ".join(f"#{number}" for number in range(len(LIGHT_FIELDS))),
    "ExpressionAttributeNames": {f"#{number}": name for number, name in enumerate(LIGHT_FIELDS)},
}
_ATTEMPTS = 6
_FIRST_WAIT_S = 0.1
_TRANSIENT = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionInProgressException",
    }
)

Item = Mapping[str, Any]
"""An item as DynamoDB writes it: attribute name to typed value, e.g. ``{"S": "text"}``."""


class DynamoDb(Protocol):
    """The two operations of boto3's client in use, for a client or what stands in for one."""

    @property
    def batch_get_item(self) -> Callable[..., Any]:
        """Read items by key."""

    @property
    def transact_write_items(self) -> Callable[..., Any]:
        """Write all items or none."""


@dataclass(frozen=True, slots=True)
class StateWrite:
    """One state to write; ``expected_last_seq`` is the one that was read, None for no item.

    ``extra`` has further attributes of the item, typed as DynamoDB writes them.
    """

    pk: str
    state: bytes
    last_seq: str
    expected_last_seq: str | None
    extra: Item | None = None


class StateTable:
    """The state table as the functions use it."""

    def __init__(
        self, client: DynamoDb, name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    def get(self, pks: Sequence[str], known: Mapping[str, str] | None = None) -> dict[str, Item]:
        """Return the items that exist, by key; reads are strongly consistent.

        ``known`` has the last_seq of states that a warm worker remembers: an item that still
        has it comes without its state (`LIGHT_FIELDS` alone), which spares its way here.
        Keys that DynamoDB leaves unprocessed are asked for again after a wait. Raises
        StateUnavailable when it goes on.
        """
        if not known:
            return self._read(pks, {})
        found = self._read(pks, _LIGHT)
        changed = [
            pk
            for pk, item in found.items()
            if "last_seq" in item and item["last_seq"]["S"] != known.get(pk)
        ]
        return {**found, **self._read(changed, {})}

    def _read(self, pks: Sequence[str], projection: Mapping[str, Any]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for start in range(0, len(pks), MAX_ITEMS):
            keys: list[Item] = [{"pk": {"S": pk}} for pk in pks[start : start + MAX_ITEMS]]
            for attempt in range(_ATTEMPTS):
                self._wait_before(attempt)
                answer = self._batch_get(keys, projection)
                if answer is None:
                    continue
                for item in answer["Responses"].get(self._name, ()):
                    found[item["pk"]["S"]] = item
                keys = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
                if not keys:
                    break
            else:
                raise StateUnavailable(f"{self._name}: throttled while {len(keys)} keys were read")
        return found

    def put(self, writes: Sequence[StateWrite], also: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write states, and ``also`` whole TransactItems, each chunk of 100 all or nothing.

        With up to 100 together nothing is written when one condition fails. Raises
        StateConflict, and StateUnavailable when DynamoDB goes on throttling.
        """
        items = [self._transact_item(write) for write in writes]
        items += (dict(one) for one in also)
        for start in range(0, len(items), MAX_ITEMS):
            self._transact(items[start : start + MAX_ITEMS])

    def _transact_item(self, write: StateWrite) -> dict[str, Any]:
        put: dict[str, Any] = {
            "TableName": self._name,
            "Item": {
                "pk": {"S": write.pk},
                "last_seq": {"S": write.last_seq},
                "state": {"B": write.state},
                **(write.extra or {}),
            },
        }
        if write.expected_last_seq is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "last_seq = :expected"
            put["ExpressionAttributeValues"] = {":expected": {"S": write.expected_last_seq}}
        return {"Put": put}

    def _batch_get(self, keys: Sequence[Item], projection: Mapping[str, Any]) -> Any:
        """Return the answer, or None when the call was throttled."""
        request = {self._name: {"Keys": keys, "ConsistentRead": True, **projection}}
        try:
            return self._client.batch_get_item(RequestItems=request)
        except ClientError as error:
            if error.response["Error"]["Code"] in _TRANSIENT:
                return None
            raise

    def _transact(self, items: list[dict[str, Any]]) -> None:
        # The token makes a repetition after a lost answer a success instead of a conflict.
        # Version 2 of marshal's format has no references: the same items are the same bytes.
        token = hashlib.blake2b(marshal.dumps(items, 2), digest_size=18).hexdigest()
        for attempt in range(_ATTEMPTS):
            self._wait_before(attempt)
            try:
                self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
                return
            except ClientError as error:
                reasons = _reasons(error)
                if "ConditionalCheckFailed" in reasons:
                    raise StateConflict(f"{self._name}: a state was changed by another") from error
                if not reasons or not reasons <= _TRANSIENT:
                    raise
        raise StateUnavailable(f"{self._name}: throttled while {len(items)} states were written")

    def _wait_before(self, attempt: int) -> None:
        """Wait before a repetition, twice as long each time."""
        if attempt:
            self._sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))


def _reasons(error: ClientError) -> set[str]:
    """Return why a transaction was refused: its items' reasons, or the error's own code."""
    code = error.response["Error"]["Code"]
    if code != "TransactionCanceledException":
        return {code}
    reasons: Any = error.response.get("CancellationReasons", [])
    return {reason["Code"] for reason in reasons} - {"None"}
