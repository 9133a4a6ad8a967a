"""Kinesis with its records in another endpoint.

The streams themselves exist twice: in the endpoint, which holds the records, and in the twin's
own register, which tells readers of event source mappings that something was written. Arrival
times are the run's clock, not the endpoint's. Used by `simulator.cloud.remote`; records that
somebody writes into the endpoint past the twin are seen with the next record of their shard.
"""

from __future__ import annotations

import base64
import binascii
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.kinesis_writes import StampedRecords
from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.streams import invalid

_BOTH = (
    "AddTagsToStream RemoveTagsFromStream IncreaseStreamRetentionPeriod"
    " DecreaseStreamRetentionPeriod StartStreamEncryption StopStreamEncryption DeleteStream"
)
_THERE = "DescribeStream DescribeStreamSummary ListShards ListStreams ListTagsForStream"
_ACTIVE_WITHIN_S = 30.0


class RemoteKinesis:
    """What replaces the executors of `simulator.cloud.kinesis.Kinesis`."""

    def __init__(self, context: Context, kinesis: Kinesis, remote: RemoteEndpoint) -> None:
        self._context = context
        self._streams = kinesis.streams
        self._remote = remote
        self._own = kinesis.operations()
        self._arrivals: dict[tuple[str, str], tuple[list[float], list[str]]] = defaultdict(
            lambda: ([], [])
        )
        self._arrival_of: dict[str, float] = {}

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        table: dict[str, Execute] = {name: self._both(name) for name in _BOTH.split()}
        table |= {name: self._there(name) for name in _THERE.split()}
        return table | {
            "CreateStream": self._create,
            "PutRecord": self._put_record,
            "PutRecords": self._put_records,
            "GetShardIterator": self._iterator,
            "GetRecords": self._get_records,
        }

    def _forward(self, operation: str, params: Params) -> Answer:
        """Ask the endpoint, by a stream's name: moto knows its ARN in some operations only."""
        arn = params.get("StreamARN")
        if arn is not None:
            params = {name: value for name, value in params.items() if name != "StreamARN"}
            if operation != "GetRecords":  # Its iterator says which stream it is.
                params["StreamName"] = arn.rpartition("/")[2]
        return self._remote.forward("kinesis", operation, params)

    def _there(self, operation: str) -> Callable[[Call], Answer]:
        return lambda call: self._forward(operation, call.params)

    def _both(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            self._streams.named(call.params)
            answer = self._forward(operation, call.params)
            self._own[operation].execute(call)
            return answer

        return execute

    def _create(self, call: Call) -> Answer:
        """Create a stream and wait, in real time, until the endpoint has it active."""
        answer = self._forward("CreateStream", call.params)
        self._own["CreateStream"].execute(call)
        name, until_s = call.params["StreamName"], time.monotonic() + _ACTIVE_WITHIN_S
        while True:
            found = self._forward("DescribeStreamSummary", {"StreamName": name})
            if found["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
                return answer
            if time.monotonic() > until_s:
                raise AwsError("InternalFailure", f"stream {name} did not become active", 500)
            time.sleep(0.05)

    # -- records

    def _put_record(self, call: Call) -> Answer:
        answer = self._forward("PutRecord", call.params)
        now_s = self._context.engine.env.now
        self._written(call.params, [call.params], [answer], [now_s])
        return answer

    def _put_records(self, call: Call) -> Answer:
        records = call.params["Records"]
        arrivals_s: Sequence[float] = [self._context.engine.env.now] * len(records)
        if isinstance(records, StampedRecords):
            arrivals_s = records.arrivals_s
        answer = self._forward("PutRecords", {**call.params, "Records": list(records)})
        self._written(call.params, records, answer["Records"], arrivals_s)
        return answer

    def _written(
        self,
        params: Params,
        records: Sequence[Params],
        stored: Sequence[Answer],
        arrivals_s: Sequence[float],
    ) -> None:
        """Keep when records arrived on the run's clock, and tell the readers of their shards."""
        stream = self._streams.named(params)
        told: dict[str, tuple[int, int]] = {}
        for record, where, arrival_s in zip(records, stored, arrivals_s, strict=True):
            if "SequenceNumber" not in where:
                continue  # The endpoint refused it.
            shard_id, sequence = where["ShardId"], where["SequenceNumber"]
            times_s, sequences = self._arrivals[stream.name, shard_id]
            times_s.append(arrival_s)
            sequences.append(sequence)
            self._arrival_of[sequence] = arrival_s
            count, volume = told.get(shard_id, (0, 0))
            told[shard_id] = count + 1, volume + len(record["Data"])
        for shard_id, (count, volume) in told.items():
            self._streams.shard(stream, shard_id).announce(count, volume)

    def _iterator(self, call: Call) -> Answer:
        params, stream = call.params, self._streams.named(call.params)
        if params["ShardIteratorType"] == "AT_TIMESTAMP":
            # The endpoint stamps with its own clock: look the place up on the run's.
            asked_s = (params["Timestamp"] - self._context.engine.start).total_seconds()
            times_s, sequences = self._arrivals[stream.name, params["ShardId"]]
            place = bisect_left(times_s, asked_s)
            params = {name: value for name, value in params.items() if name != "Timestamp"}
            if place < len(sequences):
                params["ShardIteratorType"] = "AT_SEQUENCE_NUMBER"
                params["StartingSequenceNumber"] = sequences[place]
            else:
                params["ShardIteratorType"] = "LATEST"
        answer = self._forward("GetShardIterator", params)
        return {"ShardIterator": _wrapped(stream.name, answer["ShardIterator"])}

    def _get_records(self, call: Call) -> Answer:
        name, iterator = _unwrapped(call.params["ShardIterator"])
        answer = self._forward("GetRecords", {**call.params, "ShardIterator": iterator})
        now_s, start_s = self._context.engine.env.now, self._context.engine.start.timestamp()
        for record in answer["Records"]:
            arrival_s = self._arrival_of.get(record["SequenceNumber"], now_s)
            stamp = datetime.fromtimestamp(round(start_s + arrival_s, 3), UTC)
            record["ApproximateArrivalTimestamp"] = stamp
        if answer.get("NextShardIterator"):
            answer["NextShardIterator"] = _wrapped(name, answer["NextShardIterator"])
        return answer


def _wrapped(stream: str, iterator: str) -> str:
    """Return an iterator that says its stream: permissions are asked about the stream."""
    return base64.b64encode(f"{stream}|{iterator}".encode()).decode()


def _unwrapped(token: str) -> tuple[str, str]:
    try:
        stream, bar, iterator = base64.b64decode(token, validate=True).decode().partition("|")
    except (ValueError, binascii.Error):
        bar = ""
    if not bar:
        raise invalid("Invalid ShardIterator.")
    return stream, iterator
