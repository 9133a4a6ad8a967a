"""Iterators and GetRecords of Kinesis: where a reader stands, and what it may read when."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, ValidationError
from simulator.cloud.key_use import DECRYPT
from simulator.cloud.operations import Answer, Call, Params
from simulator.cloud.shards import READ_ANSWER_RECORDS, Shard, StoredRecord
from simulator.cloud.streams import Stream, Streams, invalid, not_found, require_key

ITERATOR_LIFE_S = 300.0
JAVA_DATE = "%a %b %d %H:%M:%S UTC %Y"


class Reads:
    """The two reading operations over the account's streams."""

    def __init__(self, context: Context, streams: Streams) -> None:
        self._context = context
        self._engine = context.engine
        self._streams = streams

    def get_shard_iterator(self, call: Call) -> Answer:
        """Return an iterator that lives five minutes."""
        params = call.params
        stream = self._streams.named(params)
        shard = self._streams.shard(stream, params["ShardId"])
        self._streams.trim(stream)
        position = self._first_position(stream, shard, params)
        return {"ShardIterator": self._token(stream, shard, position)}

    def _first_position(self, stream: Stream, shard: Shard, params: Params) -> int:
        kind, sequence = (
            params["ShardIteratorType"],
            params.get("StartingSequenceNumber"),
        )
        by_number = kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
        if kind == "AT_TIMESTAMP":
            return self._position_at(shard, params.get("Timestamp"))
        if by_number != (sequence is not None):
            tail = "no StartingSequenceNumber." if by_number else "also a StartingSequenceNumber."
            raise invalid(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
                f"StartingSequenceNumber. Request specified {kind} and {tail}"
            )
        if sequence is None:
            return shard.tip if kind == "LATEST" else shard.horizon
        position = shard.position_of(sequence)
        if position is None:
            for other in stream.all.values():
                if other.position_of(sequence) is not None:
                    raise invalid(
                        f"Invalid StartingSequenceNumber. It encodes {other.id}, while it was "
                        f"used in a call to a shard with {shard.id}"
                    )
            raise invalid(
                f"StartingSequenceNumber {sequence} used in GetShardIterator on shard {shard.id} "
                f"in stream {stream.name} under account {self._context.account} is invalid "
                "because it did not come from this stream."
            )
        return position + 1 if kind == "AFTER_SEQUENCE_NUMBER" else position

    def _position_at(self, shard: Shard, at: datetime | None) -> int:
        if at is None:
            raise invalid(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
                "Current request has no timestamp parameter."
            )
        at_epoch_s, now_s = at.timestamp(), self._engine.epoch_s()
        if at_epoch_s > now_s:
            raise invalid(
                "The timestampInMillis parameter cannot be greater than the "
                f"currentTimestampInMillis. timestampInMillis: {round(at_epoch_s * 1000)}, "
                f"currentTimestampInMillis: {round(now_s * 1000)}"
            )
        return shard.position_at(at_epoch_s - self._engine.start.timestamp())

    def _token(self, stream: Stream, shard: Shard, position: int) -> str:
        now_s = self._engine.env.now
        text = f"{stream.name}|{stream.created_s!r}|{shard.index}|{position}|{now_s!r}"
        return base64.b64encode(f"{text}|{zlib.crc32(text.encode())}".encode()).decode()

    def get_records(self, call: Call) -> Answer:
        """Return up to 10,000 records and 10 MiB from an iterator's position on."""
        params = call.params
        stream, shard, position = self._resolve(params["ShardIterator"])
        limit = params.get("Limit", READ_ANSWER_RECORDS)
        if limit > READ_ANSWER_RECORDS:
            raise ValidationError(
                f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy "
                "constraint: Member must have value less than or equal to 10000"
            )
        if stream.key is not None:
            require_key(self._context, stream, call.principal, DECRYPT)
        now_s = self._engine.env.now
        if not shard.admit_read(now_s):
            raise AwsError(
                "ProvisionedThroughputExceededException",
                f"Rate exceeded for Shard - {self._context.account}/{stream.name}/{shard.id}",
            )
        self._streams.trim(stream)
        found = shard.read(position, limit, now_s)
        after = max(position, shard.horizon) + len(found)
        next_arrival_s = shard.arrival_of(after)
        behind_ms = 0
        if next_arrival_s is not None:  # Zero only at the tip: readers rely on it.
            behind_ms = max(1, round((now_s - next_arrival_s) * 1000))
        answer: Answer = {"Records": self._answers(found), "MillisBehindLatest": behind_ms}
        if not shard.closed or after < shard.tip:
            return answer | {"NextShardIterator": self._token(stream, shard, after)}
        return answer | {"ChildShards": [_child(each) for each in shard.children]}

    def _answers(self, found: Sequence[StoredRecord]) -> list[Answer]:
        start = self._engine.start
        stamps = {
            arrival_s: start + timedelta(milliseconds=round(arrival_s * 1000))
            for arrival_s in {record[1] for record in found}
        }
        answers: list[Answer] = [
            {
                "SequenceNumber": sequence,
                "ApproximateArrivalTimestamp": stamps[arrival_s],
                "Data": data,
                "PartitionKey": key,
            }
            for sequence, arrival_s, key, data, _ in found
        ]
        for answer, record in zip(answers, found, strict=True):
            if record[4] is not None:
                answer["EncryptionType"] = record[4]
        return answers

    def _resolve(self, iterator: str) -> tuple[Stream, Shard, int]:
        """Return what an iterator points at; raises AWS's errors for a bad or an old one."""
        try:
            text, _, check = base64.b64decode(iterator, validate=True).decode().rpartition("|")
            name, created, index, position, issued = text.split("|")
            if int(check) != zlib.crc32(text.encode()):
                raise ValueError(check)
        except (ValueError, binascii.Error):
            raise invalid("Invalid ShardIterator.") from None
        issued_s, now_s = float(issued), self._engine.env.now
        if now_s - issued_s > ITERATOR_LIFE_S:
            start = self._engine.start
            raise AwsError(
                "ExpiredIteratorException",
                "Iterator expired. The iterator was created at time "
                f"{start + timedelta(seconds=issued_s):{JAVA_DATE}} while right now it is "
                f"{self._engine.now():{JAVA_DATE}} which is further in the future than the "
                "tolerated delay of 300000 milliseconds.",
            )
        stream = self._streams.by_name.get(name)
        if stream is None or stream.created_s != float(created):
            raise not_found(f"Stream {name} under account {self._context.account} not found.")
        shard = stream.all.get(int(index))
        if shard is None:
            raise not_found(f"Shard {index} in stream {name} is past its retention.")
        return stream, shard, int(position)


def _child(shard: Shard) -> Answer:
    keys = {"StartingHashKey": str(shard.first_hash), "EndingHashKey": str(shard.last_hash)}
    return {"ShardId": shard.id, "ParentShards": list(shard.parents), "HashKeyRange": keys}
