"""PutRecord and PutRecords: routing by key, size limits, throttling, metrics.

The hot path of the twin: every reading passes here once, in batches of up to 500.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import md5
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, ValidationError
from simulator.cloud.key_use import ENCRYPT
from simulator.cloud.operations import Answer, Call, Params
from simulator.cloud.shards import MIB, Shard
from simulator.cloud.streams import HASH_KEYS, Stream, Streams, invalid, not_active, require_key

MAX_KEY_CHARS = 256
MAX_RECORDS = 500
MAX_REQUEST_BYTES = 10 * MIB
MAX_RECORD_BYTES = 1 * MIB
KEYS_REMEMBERED = 100_000
THROTTLED = "ProvisionedThroughputExceededException"


class StampedRecords(list[Any]):
    """Records of an in-process PutRecords with the times at which they reached the broker.

    botocore's validator and the operation see an ordinary list. ``arrivals_s`` are seconds
    since the engine's start, as many as there are records, and must not fall.
    """

    def __init__(self, records: Iterable[Any], arrivals_s: list[float]) -> None:
        super().__init__(records)
        self.arrivals_s = arrivals_s


def put_action(params: Params) -> str:
    """Return the IAM action of PutRecords.

    AWS's topic rules put record by record; the twin batches theirs, and asks for what they need.
    """
    stamped = isinstance(params["Records"], StampedRecords)
    return "kinesis:PutRecord" if stamped else "kinesis:PutRecords"


class Writes:
    """The two writing operations over the account's streams."""

    def __init__(self, context: Context, streams: Streams) -> None:
        self._context = context
        self._engine = context.engine
        self._streams = streams

    def put_record(self, call: Call) -> Answer:
        """Store one record or raise ProvisionedThroughputExceededException."""
        params = call.params
        stream = self._writable(call)
        data, key = _as_bytes(params["Data"]), params["PartitionKey"]
        size = len(data) + len(key.encode())
        if size > MAX_RECORD_BYTES:
            raise _too_long("data")
        shard = self._route(stream, key, params.get("ExplicitHashKey"))
        kind = _encryption(stream)
        sequence = shard.put([key], [data], [size], [self._engine.env.now], kind)[0]
        if sequence is None:
            self._count(stream, 0, 0, 1, self._engine.env.now)
            raise AwsError(THROTTLED, self._throttle_message(stream, shard))
        self._count(stream, 1, size, 0, self._engine.env.now)
        shard.announce(1, size)
        answer: Answer = {"ShardId": shard.id, "SequenceNumber": sequence}
        return answer | ({"EncryptionType": kind} if kind else {})

    def put_records(self, call: Call) -> Answer:
        """Store what the shards take; what they throttle is named in the answer."""
        params = call.params
        records = params["Records"]
        stream = self._writable(call)
        keys = [record["PartitionKey"] for record in records]
        payloads = [_as_bytes(record["Data"]) for record in records]
        sizes = _sizes(keys, payloads)
        now_s = self._engine.env.now
        arrivals_s = [now_s] * len(keys)
        if isinstance(records, StampedRecords):
            arrivals_s = [min(at_s, now_s) for at_s in records.arrivals_s]
        kind = _encryption(stream)
        answers: list[Answer] = [{}] * len(keys)
        stored = volume = 0
        for shard, where in self._by_shard(stream, records, keys).items():
            columns = keys, payloads, sizes, arrivals_s
            if len(where) < len(keys):
                columns = (
                    [keys[i] for i in where],
                    [payloads[i] for i in where],
                    [sizes[i] for i in where],
                    [arrivals_s[i] for i in where],
                )
            numbers = shard.put(*columns, kind)
            told, told_bytes = self._answer_each(stream, shard, where, numbers, columns[2], answers)
            stored += told
            volume += told_bytes
            if told:
                shard.announce(told, told_bytes)
        # Of the fleet's records those of one minute come together, up to a minute after the first.
        self._count(stream, stored, volume, len(keys) - stored, arrivals_s[-1])
        answer: Answer = {"FailedRecordCount": len(keys) - stored, "Records": answers}
        return answer | ({"EncryptionType": kind} if kind else {})

    def _answer_each(
        self,
        stream: Stream,
        shard: Shard,
        where: Sequence[int],
        numbers: Sequence[str | None],
        sizes: Sequence[int],
        answers: list[Answer],
    ) -> tuple[int, int]:
        """Put one shard's answers into their places; return how many were stored, and bytes."""
        shard_id = shard.id
        for i, number in zip(where, numbers, strict=True):
            answers[i] = {"SequenceNumber": number, "ShardId": shard_id}
        if None not in numbers:
            return len(numbers), sum(sizes)
        throttled = {
            "ErrorCode": THROTTLED,
            "ErrorMessage": self._throttle_message(stream, shard),
        }
        stored = [size for size, number in zip(sizes, numbers, strict=True) if number is not None]
        for i, number in zip(where, numbers, strict=True):
            if number is None:
                answers[i] = throttled
        return len(stored), sum(stored)

    def _by_shard(
        self, stream: Stream, records: list[Any], keys: list[str]
    ) -> dict[Shard, Sequence[int]]:
        """Return the indices of the records of each shard, in the order of the request."""
        explicit = any("ExplicitHashKey" in record for record in records)
        if len(stream.shards) == 1 and not explicit:
            return {stream.shards[0]: range(len(keys))}
        where: dict[Shard, list[int]] = defaultdict(list)
        known = stream.shard_of_key
        for i, key in enumerate(keys):
            shard = None if explicit else known.get(key)
            if shard is None:
                shard = self._route(stream, key, records[i].get("ExplicitHashKey"))
            where[shard].append(i)
        return dict(where)

    def _writable(self, call: Call) -> Stream:
        stream = self._streams.named(call.params)
        if stream.status == "CREATING":
            raise not_active(self._context, stream)
        if stream.key is not None:
            require_key(self._context, stream, call.principal, ENCRYPT)
        return stream

    def _route(self, stream: Stream, key: str, explicit: str | None) -> Shard:
        if explicit is None:
            known = stream.shard_of_key.get(key)
            if known is not None:
                return known
            hashed = int.from_bytes(md5(key.encode(), usedforsecurity=False).digest())
        elif explicit.isdecimal() and int(explicit) < HASH_KEYS:
            hashed = int(explicit)
        else:
            raise invalid(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                f"Specified value was {explicit}"
            )
        shard = stream.shard_of_hash(hashed)
        if explicit is None:
            if len(stream.shard_of_key) >= KEYS_REMEMBERED:
                stream.shard_of_key.clear()
            stream.shard_of_key[key] = shard
        return shard

    def _throttle_message(self, stream: Stream, shard: Shard) -> str:
        return (
            f"Rate exceeded for shard {shard.id} in stream {stream.name} "
            f"under account {self._context.account}."
        )

    def _count(
        self, stream: Stream, stored: int, volume: int, throttled: int, arrival_s: float
    ) -> None:
        record = self._context.cloudwatch.record
        dimensions, at_s = {"StreamName": stream.name}, self._engine.epoch_s(arrival_s)
        if stored:
            record("AWS/Kinesis", "IncomingRecords", dimensions, stored, "Count", at_s)
            record("AWS/Kinesis", "IncomingBytes", dimensions, volume, "Bytes", at_s)
        if throttled:
            name = "WriteProvisionedThroughputExceeded"
            record("AWS/Kinesis", name, dimensions, throttled, "Count", at_s)


def _as_bytes(data: bytes | bytearray | str) -> bytes:
    """Return a blob as boto3 would send it: text is encoded."""
    if type(data) is bytes:
        return data
    return data.encode() if isinstance(data, str) else bytes(data)


def _sizes(keys: list[str], payloads: list[bytes]) -> list[int]:
    """Return bytes of key and data a record, once the request's own limits are kept."""
    if not 1 <= len(keys) <= MAX_RECORDS:
        bound = "less than or equal to 500" if keys else "greater than or equal to 1"
        raise ValidationError(
            "1 validation error detected: Value at 'records' failed to satisfy constraint: "
            f"Member must have length {bound}"
        )
    sizes = [
        len(data) + (len(key) if key.isascii() else len(key.encode()))
        for key, data in zip(keys, payloads, strict=True)
    ]
    if max(sizes) > MAX_RECORD_BYTES:
        number = next(i for i, size in enumerate(sizes, 1) if size > MAX_RECORD_BYTES)
        raise _too_long(f"records.{number}.member.data")
    if sum(sizes) > MAX_REQUEST_BYTES:
        raise invalid("Records size exceeds 10 MB limit")
    return sizes


def _encryption(stream: Stream) -> str | None:
    kind, _ = stream.encryption
    return None if kind == "NONE" else kind


def _too_long(where: str) -> ValidationError:
    return ValidationError(
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {MAX_RECORD_BYTES}"
    )
