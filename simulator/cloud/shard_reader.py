"""Reads one shard for one mapping and cuts batches as Lambda does.

It sleeps until the stream says that something was written, reads through `dispatch` as the
function's role, so that a missing permission really stops it, and never more than once a
second. It does not know what a batch is for.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import deque
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import orjson
import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.latency import READ
from simulator.cloud.mapping_settings import Mapping
from simulator.cloud.operations import Params, Principal

MAX_EVENT_BYTES = 6_291_456
RECORD_OVERHEAD_BYTES = 700
"""What an event adds to a record's data and key: names, ids, ARNs (a little more than it is)."""

POLL_EVERY_S = 1.0
"""Lambda polls each shard once a second; not adjustable."""

DENIED_AGAIN_AFTER_S = 60.0
ITERATOR_SAFE_S = 295.0
"""An iterator is good for five minutes (GetRecords API reference); an older one is made anew."""

RECORD_JSON = (
    b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":%b,"sequenceNumber":"%b","data":"%b",'
    b'"approximateArrivalTimestamp":%b},"eventID":"%b:%b"'
)
"""One record of an event; what all have in common and the closing brace follow."""

RECORDS_SHARED = 5_000
"""How many encoded records are kept for a second mapping on the same stream."""


class Record(NamedTuple):
    """One record as a mapping holds it; ``arrival_epoch_s`` is AWS's approximate arrival."""

    sequence: str
    arrival_epoch_s: float
    json: bytes
    """The record's own members in an event, without those that a whole event has in common."""
    data_bytes: int
    """Of the data in base64."""
    event_bytes: int
    """About how many bytes the record takes in an event."""


class ShardReader:
    """Position, buffer and batching window of one mapping on one shard."""

    def __init__(
        self,
        context: Context,
        kinesis: Kinesis,
        mapping: Mapping,
        shard_id: str,
        principal: Callable[[], Principal],
        from_horizon: bool = False,
    ) -> None:
        self.shard_id = shard_id
        self.children: list[dict[str, Any]] | None = None
        """Once a closed shard is read to its end: those that follow it."""
        self.problem = ""
        self.changed: Callable[[], None] = lambda: None
        """Called when the reader falls asleep with nothing to do, or cannot go on."""

        self._context = context
        self._env = context.engine.env
        self._kinesis = kinesis
        self._mapping = mapping
        # A child of a shard that was read has nothing that is older than the mapping.
        self._position = "TRIM_HORIZON" if from_horizon else mapping.position
        self._position_at = None if from_horizon else mapping.position_at
        self._principal = principal
        self._buffer: deque[Record] = deque()
        self._buffer_bytes = 0
        self._unread = 1
        self._unread_bytes = 0
        self._iterator = ""
        self._iterator_s = 0.0
        self._waited_s = 0.0
        self._began_at = context.engine.now()
        self._last_sequence = ""
        self._polled_s = float("-inf")
        self._wanted: tuple[int, int] | None = None
        self._wake: simpy.Event | None = None
        kinesis.subscribe(mapping.stream_arn, shard_id, self._written)

    @property
    def caught_up(self) -> bool:
        """Tell whether everything written so far has been handed out."""
        return not self._buffer and not self._unread

    def close(self) -> None:
        """Stop listening to the stream and wake up whoever waits for a batch."""
        self._kinesis.unsubscribe(self._mapping.stream_arn, self.shard_id, self._written)
        self.wake()

    def put_back(self, records: Sequence[Record]) -> None:
        """Take back what of the last batch was not processed."""
        self._buffer.extendleft(reversed(records))
        self._buffer_bytes += sum(record.event_bytes for record in records)

    def wake(self) -> None:
        """End a wait for data, so that a changed setting is seen."""
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _written(self, records: int, volume: int) -> None:
        self._unread += records
        self._unread_bytes += volume
        if self._wanted is not None:
            count, size = self._wanted
            if self._unread >= count or self._unread_bytes >= size:
                self.wake()

    def begin(self) -> Generator[simpy.Event, Any, None]:
        """Take the starting position; LATEST means from the moment of this call on."""
        if not self._iterator:
            self._began_at = self._context.engine.now()
        while not self._iterator:
            params: Params = {"ShardIteratorType": self._position}
            if self._position_at is not None:
                params["Timestamp"] = self._position_at
            yield from self._take_iterator(params)

    def batch(self, active: Callable[[], bool]) -> Generator[simpy.Event, Any, list[Record]]:
        """Wait for a batch: full, as long as an event may be, or its window is over.

        Returns an empty list as soon as ``active()`` is false.
        """
        while active() and not self._buffer and self.children is None:
            if not self._unread:
                yield from self._sleep(1, 1, None)
            if active() and self._unread:
                yield from self._read()
        until_s = self._env.now + self._mapping.window_s
        while active() and self._waits_for_more() and self._env.now < until_s:
            if not self._unread_enough():
                count = self._mapping.batch_size - len(self._buffer)
                size = max(1, (MAX_EVENT_BYTES - self._buffer_bytes) * 3 // 4)
                yield from self._sleep(count, size, until_s)
            if active() and self._unread:
                yield from self._read()
        return self._cut() if active() else []

    def _sleep(
        self, records: int, volume: int, until_s: float | None
    ) -> Generator[simpy.Event, Any, None]:
        """Wait for so many unread records or bytes, or for a time; no polls in between.

        What AWS's polls of each second would have read is there at the end all the same.
        """
        self._wake, self._wanted = self._env.event(), (records, volume)
        self._kinesis.attentive[self] = self._lacks
        if until_s is None:
            self.changed()
            yield self._wake
        else:
            yield self._wake | self._env.timeout(until_s - self._env.now)
        del self._kinesis.attentive[self]
        self._wake = self._wanted = None

    def _lacks(self) -> tuple[int, int]:
        """Return how many records, and how many bytes, wake it up."""
        assert self._wanted is not None
        records, volume = self._wanted
        return records - self._unread, volume - self._unread_bytes

    def _waits_for_more(self) -> bool:
        if self.children is not None and not self._buffer:
            return False
        return not self._full()

    def _full(self) -> bool:
        return (
            len(self._buffer) >= self._mapping.batch_size or self._buffer_bytes >= MAX_EVENT_BYTES
        )

    def _unread_enough(self) -> bool:
        return (
            self._unread + len(self._buffer) >= self._mapping.batch_size
            or self._buffer_bytes + self._unread_bytes * 4 // 3 >= MAX_EVENT_BYTES
        )

    def _cut(self) -> list[Record]:
        """Take the next batch out of the buffer; one record always fits."""
        batch: list[Record] = []
        size = 0
        while self._buffer and len(batch) < self._mapping.batch_size:
            more = self._buffer[0].event_bytes
            if batch and size + more > MAX_EVENT_BYTES:
                break
            size += more
            batch.append(self._buffer.popleft())
        self._buffer_bytes -= size
        return batch

    # -- calls as the function's role

    def _call(
        self, operation: str, params: Params
    ) -> Generator[simpy.Event, Any, dict[str, Any] | None]:
        """Call Kinesis; None after a wait when it throttled or refused."""
        try:
            ask = partial(self._context.dispatch, self._principal(), "kinesis", operation, params)
            answer, self._waited_s = self._context.latency.during(ask)
            if isinstance(answer, simpy.Event):
                answer = yield answer
        except AwsError as error:
            if error.code == "ProvisionedThroughputExceededException":
                yield self._env.timeout(POLL_EVERY_S)
                return None
            if error.code == "ExpiredIteratorException":
                self._iterator_s = float("-inf")
                return None
            self.problem = self._mapping.last_result = f"PROBLEM: {error.message}"
            self.changed()
            yield self._env.timeout(DENIED_AGAIN_AFTER_S)
            return None
        self.problem = ""
        assert isinstance(answer, dict)
        return answer

    def _take_iterator(self, params: Params) -> Generator[simpy.Event, Any, None]:
        stream = {"StreamARN": self._mapping.stream_arn, "ShardId": self.shard_id}
        answer = yield from self._call("GetShardIterator", stream | params)
        if answer is not None:
            self._iterator, self._iterator_s = answer["ShardIterator"], self._env.now

    def _records(self, answers: Sequence[dict[str, Any]]) -> list[Record]:
        """Return records as events have them; what another mapping's reader made is taken over."""
        place = self._mapping.stream_arn, self.shard_id
        made = self._kinesis.made_for_events.setdefault(place, {})
        found = []
        for answer in answers:
            sequence = answer["SequenceNumber"]
            record = made.pop(sequence, None)
            if record is None:
                if len(made) >= RECORDS_SHARED:
                    made.clear()
                record = made[sequence] = self._record(answer)
            assert isinstance(record, Record)
            found.append(record)
        return found

    def _record(self, answer: dict[str, Any]) -> Record:
        sequence, key, data = answer["SequenceNumber"], answer["PartitionKey"], answer["Data"]
        arrival_epoch_s = answer["ApproximateArrivalTimestamp"].timestamp()
        encoded = b2a_base64(data, newline=False)
        text = RECORD_JSON % (
            orjson.dumps(key),
            sequence.encode(),
            encoded,
            orjson.dumps(arrival_epoch_s),
            self.shard_id.encode(),
            sequence.encode(),
        )
        size = len(encoded)
        event_bytes = size + len(key) + RECORD_OVERHEAD_BYTES
        return Record(sequence, arrival_epoch_s, text, size, event_bytes)

    def _read(self) -> Generator[simpy.Event, Any, None]:
        """Read once, when the last time is a second ago, and fill the buffer."""
        if self.children is not None:
            self._unread = self._unread_bytes = 0
            return
        pause_s = self._polled_s + POLL_EVERY_S - self._env.now
        if pause_s > 0.0:
            yield self._env.timeout(pause_s)
        if self._env.now - self._iterator_s > ITERATOR_SAFE_S:
            yield from self._take_iterator(self._resume())
            if self._env.now - self._iterator_s > ITERATOR_SAFE_S:
                return
        self._polled_s = self._env.now
        before, before_bytes = self._unread, self._unread_bytes
        self._unread = self._unread_bytes = 0
        answer = yield from self._call("GetRecords", {"ShardIterator": self._iterator})
        if answer is None:
            self._unread += before
            self._unread_bytes += before_bytes
            return
        latency, asked_s = self._context.latency, self._env.now
        delay_s = latency.draw(READ)
        if delay_s > 0.0:
            yield self._env.timeout(delay_s)
        latency.note(READ, asked_s, self._waited_s)
        self._iterator, self._iterator_s = answer.get("NextShardIterator", ""), self._env.now
        found = self._records(answer["Records"])
        if found:
            self._last_sequence = found[-1].sequence
            self._buffer.extend(found)
            self._buffer_bytes += sum(record.event_bytes for record in found)
        if not self._iterator:
            self.children = answer.get("ChildShards", [])
        if answer["MillisBehindLatest"]:
            self._unread += max(1, before - len(found))
            self._unread_bytes += max(1, before_bytes - sum(r.data_bytes for r in found))

    def _resume(self) -> Params:
        """Return what an iterator for the place reached is asked with."""
        if self._last_sequence:
            return {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": self._last_sequence,
            }
        position, at = self._position, self._position_at
        if position == "LATEST":  # Nothing came since then, or it would have been read at once.
            position, at = "AT_TIMESTAMP", self._began_at + timedelta(milliseconds=1)
        return {"ShardIteratorType": position} | ({"Timestamp": at} if at is not None else {})
