"""One DynamoDB table in memory: its key schema and its items.

`simulator.cloud.dynamodb` makes the tables. Items never change in place: a write replaces the
whole item, so what a reader got stays as it was.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.cloud.dynamodb_values import Item, Value, sort_key, stored_item
from simulator.cloud.errors import ValidationError

MAX_ITEM_BYTES = 400 * 1024
"""Names and values together (DynamoDB developer guide, service quotas)."""

_MAX_KEY_BYTES = {"HASH": 2_048, "RANGE": 1_024}
Key = tuple[Any, ...]


@dataclass
class Table:
    """Items by hash key and, where the schema has one, range key.

    ``hash_key`` and ``range_key`` are attribute names, ``types`` their type letters.
    """

    name: str
    arn: str
    hash_key: str
    range_key: str | None
    types: Mapping[str, str]
    description: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    size_bytes: int = 0
    count: int = 0
    _partitions: dict[Any, dict[Any, tuple[dict[str, Value], int]]] = field(default_factory=dict)

    # -- keys

    def key_of(self, key: Item) -> Key:
        """Return the key of a request's ``Key``; raise when it does not fit the schema."""
        if len(key) != (1 if self.range_key is None else 2):
            raise ValidationError("The provided key element does not match the schema")
        found = [self._part(self.hash_key, "HASH", key, in_item=False)]
        if self.range_key is not None:
            found.append(self._part(self.range_key, "RANGE", key, in_item=False))
        return tuple(found)

    def key_of_item(self, item: Item) -> Key:
        """Return the key of a whole item; raise when it lacks one or has another type."""
        found = [self._part(self.hash_key, "HASH", item, in_item=True)]
        if self.range_key is not None:
            found.append(self._part(self.range_key, "RANGE", item, in_item=True))
        return tuple(found)

    def _part(self, name: str, role: str, item: Item, *, in_item: bool) -> Any:
        value = item.get(name)
        wrong = "One or more parameter values were invalid"
        if value is None:
            raise ValidationError(
                f"{wrong}: Missing the key {name} in the item"
                if in_item
                else "The provided key element does not match the schema"
            )
        kind = self.types[name]
        if kind not in value:
            actual = next(iter(value), "")
            raise ValidationError(
                f"{wrong}: Type mismatch for key {name} expected: {kind} actual: {actual}"
                if in_item
                else "The provided key element does not match the schema"
            )
        content = value[kind]
        if kind == "N":
            return sort_key(kind, content)
        if not content:
            raise ValidationError(
                "One or more parameter values are not valid. The AttributeValue for a key"
                f" attribute cannot contain an empty {'string' if kind == 'S' else 'binary'}"
                f" value. Key: {name}"
            )
        size = len(content if kind == "B" else content.encode())
        if size > _MAX_KEY_BYTES[role]:
            which = "hashkey" if role == "HASH" else "rangekey"
            raise ValidationError(
                f"{wrong}: Size of {which} has exceeded the maximum size limit of"
                f"{_MAX_KEY_BYTES[role]} bytes"
            )
        return bytes(content) if kind == "B" else content

    def hash_value(self, item: Item) -> Any:
        """Return what selects the partition of an item that has at least the hash key."""
        return self._part(self.hash_key, "HASH", item, in_item=True)

    def key_item(self, item: Item) -> dict[str, Value]:
        """Return only the key attributes of an item (what pages go on from)."""
        names = [self.hash_key] if self.range_key is None else [self.hash_key, self.range_key]
        return {name: item[name] for name in names}

    # -- items

    def get(self, key: Key) -> dict[str, Value] | None:
        """Return the item of a key, None when there is none."""
        found = self._partitions.get(key[0], {}).get(key[1:])
        return None if found is None else found[0]

    def size_of(self, key: Key) -> int:
        """Return the size in bytes of a key's item, 0 when there is none."""
        found = self._partitions.get(key[0], {}).get(key[1:])
        return 0 if found is None else found[1]

    def prepared(self, item: Item, *, update: bool = False) -> tuple[dict[str, Value], int]:
        """Return an item as it will be stored and its size; raise when it is too big."""
        kept, size = stored_item(item)
        if size > MAX_ITEM_BYTES:
            raise ValidationError(
                "Item size to update has exceeded the maximum allowed size"
                if update
                else "Item size has exceeded the maximum allowed size"
            )
        return kept, size

    def put(self, key: Key, prepared: tuple[dict[str, Value], int]) -> None:
        """Store a prepared item in place of any other of its key."""
        partition, inside = self._partitions.setdefault(key[0], {}), key[1:]
        old = partition.get(inside)
        partition[inside] = prepared
        self.size_bytes += prepared[1] - (0 if old is None else old[1])
        self.count += old is None

    def delete(self, key: Key) -> None:
        """Remove the item of a key, if there is one."""
        partition = self._partitions.get(key[0])
        if partition is None:
            return
        old = partition.pop(key[1:], None)
        if old is not None:
            self.size_bytes -= old[1]
            self.count -= 1
        if not partition:
            del self._partitions[key[0]]

    def scan(self, after: Key | None) -> Iterator[tuple[dict[str, Value], int]]:
        """Yield every item and its size in key order, behind the key ``after``.

        AWS orders partitions by a hash that it does not tell; sorted keys are as good and
        the same in each run.
        """
        partitions = sorted(self._partitions)
        if after is not None:
            partitions = partitions[bisect_left(partitions, after[0]) :]
        for hash_value in partitions:
            inside = after if after is not None and hash_value == after[0] else None
            yield from self.query(hash_value, inside, forward=True)

    def query(
        self, hash_value: Any, after: Key | None, *, forward: bool
    ) -> Iterator[tuple[dict[str, Value], int]]:
        """Yield one partition's items and their sizes in the order of the range key."""
        partition = self._partitions.get(hash_value, {})
        keys = sorted(partition)
        if after is not None:
            if forward:
                keys = keys[bisect_right(keys, after[1:]) :]
            else:
                keys = keys[: bisect_left(keys, after[1:])]
        for key in keys if forward else reversed(keys):
            yield partition[key]
