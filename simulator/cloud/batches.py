"""What a mapping does with a batch: invoke, retry, bisect, give up into the destination.

Works on one shard's batch at a time and in order, so a batch that fails holds up its shard,
as on AWS. Reading is in `shard_reader`, the operations in `event_source_mappings`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.functions import Functions
from simulator.cloud.invocations import Invocation
from simulator.cloud.latency import WAIT
from simulator.cloud.mapping_settings import Mapping
from simulator.cloud.operations import Params
from simulator.cloud.shard_reader import Record

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
FAILED = "PROBLEM: Function call failed"


@dataclass
class Piece:
    """Records that are tried together; ``failures`` counts their failed invocations."""

    records: list[Record]
    failures: int = 0
    """Failed invocations that count towards MaximumRetryAttempts."""

    invocations: int = 0
    """All invocations, for ``approximateInvokeCount``."""


class Batches:
    """The batches of one mapping and shard, on their way through the function."""

    def __init__(
        self,
        context: Context,
        functions: Functions,
        mapping: Mapping,
        shard_id: str,
        *,
        priority: int,
        retention_s: Callable[[], float],
    ) -> None:
        self._context = context
        self._engine = context.engine
        self._functions = functions
        self._mapping = mapping
        self._shard_id = shard_id
        self._priority = priority
        self._retention_s = retention_s
        self._pause_s = FIRST_PAUSE_S

    def process(
        self, records: list[Record], active: Callable[[], bool]
    ) -> Generator[simpy.Event, Any, list[Record]]:
        """See that each record succeeds, expires or is given up, in order.

        Ends early, between two invocations, when ``active()`` turns false; returns what is
        left then.
        """
        left = deque([Piece(records)])
        while left and active():
            piece = left.popleft()
            yield from self._drop_expired(piece)
            if not piece.records:
                continue
            function = self._functions.find(self._mapping.function_arn)
            if function is None:
                self._mapping.last_result = FAILED
                left.appendleft(piece)
                yield from self._pause()
                continue
            self._measure_age(function.name, piece.records[-1])
            waited_s = self._engine.epoch_s() - piece.records[0].arrival_epoch_s
            self._context.latency.note(WAIT, self._engine.env.now - max(0.0, waited_s))
            event = self.event(piece.records, function.role)
            outcome: Invocation = yield self._functions.invocations.invoke(
                function, event, records=len(piece.records), priority=self._priority
            )
            piece.invocations += 1
            first_failed = self._first_failed(piece.records, outcome)
            if first_failed is None:
                self._mapping.last_result = "OK"
                self._pause_s = FIRST_PAUSE_S
                continue
            self._mapping.last_result = FAILED
            left.extendleft(reversed(self._again(piece, first_failed)))
            if left and left[0].failures > self._mapping.retries >= 0:
                yield from self._give_up(left.popleft(), outcome)
            else:
                yield from self._pause()
        return [record for piece in left for record in piece.records]

    def event(self, records: Sequence[Record], role: str) -> bytes:
        """Return the event that Lambda hands to the function, as JSON."""
        common = {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": self._context.region,
            "eventSourceARN": self._mapping.stream_arn,
        }
        # The records are JSON already, and each lacks only what all have in common.
        rest = b"," + orjson.dumps(common)[1:]
        return b'{"Records":[%b%b]}' % ((rest + b",").join(r.json for r in records), rest)

    def _first_failed(self, records: Sequence[Record], outcome: Invocation) -> int | None:
        """Return the index from which to try again; None when all succeeded."""
        if not outcome.ok:
            return 0
        if not self._mapping.report_items:
            return None
        try:
            failures = _reported(orjson.loads(outcome.payload))
            index = {record.sequence: i for i, record in enumerate(records)}
            return min((index[identifier] for identifier in failures), default=None)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return 0

    def _again(self, piece: Piece, first_failed: int) -> list[Piece]:
        """Return what is tried next instead of a piece that failed from an index on.

        Splitting does not count towards the retries (Lambda guide, "Retrying with smaller
        batches"); a reported item failure has said where to split already.
        """
        records = piece.records[first_failed:]
        count = len(records)
        if self._mapping.bisect and first_failed == 0 and count > 1:
            halves = records[: count // 2], records[count // 2 :]
            return [Piece(half, piece.failures, piece.invocations) for half in halves]
        return [Piece(records, piece.failures + 1, piece.invocations)]

    def _pause(self) -> Generator[simpy.Event, Any, None]:
        """Back off on the run's clock; Lambda does so exponentially, its numbers are not known."""
        yield self._engine.env.timeout(self._pause_s)
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2.0)

    def _drop_expired(self, piece: Piece) -> Generator[simpy.Event, Any, None]:
        """Give up the records that are older than the mapping, or the stream, keeps them."""
        limit_s = self._retention_s()
        if self._mapping.record_age_s >= 0:
            limit_s = min(limit_s, self._mapping.record_age_s)
        oldest_s = self._engine.epoch_s() - limit_s
        if piece.records[0].arrival_epoch_s >= oldest_s:
            return
        kept = [r for r in piece.records if r.arrival_epoch_s >= oldest_s]
        expired = [r for r in piece.records if r.arrival_epoch_s < oldest_s]
        piece.records = kept
        gone = Piece(expired, piece.failures, max(1, piece.invocations))
        yield from self._deliver(gone, "RecordAgeExceeded", None)

    def _give_up(self, piece: Piece, outcome: Invocation) -> Generator[simpy.Event, Any, None]:
        response = {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": None if outcome.ok else "Unhandled",
        }
        self._pause_s = FIRST_PAUSE_S
        yield from self._deliver(piece, "RetryAttemptsExhausted", response)

    def _deliver(
        self, piece: Piece, condition: str, response: dict[str, Any] | None
    ) -> Generator[simpy.Event, Any, None]:
        """Send the records' whereabouts (S3: the records too) to the on-failure destination."""
        mapping = self._mapping
        function = self._functions.find(mapping.function_arn)
        if mapping.destination is None or function is None:
            return
        document = self._document(piece, condition, response)
        kind, name = (
            mapping.destination.split(":")[2],
            mapping.destination.split(":")[-1],
        )
        if kind == "s3":
            payload = orjson.loads(self.event(piece.records, function.role))
            stored = self._object(name, document | {"payload": payload})
            # Lambda's guide asks for s3:ListBucket beside s3:PutObject: it looks for the bucket.
            calls = [("HeadBucket", {"Bucket": name}), ("PutObject", stored)]
        else:
            queue = f"https://sqs.{self._context.region}.amazonaws.com/{self._context.account}"
            body = orjson.dumps(document).decode()
            calls = [("SendMessage", {"QueueUrl": f"{queue}/{name}", "MessageBody": body})]
        try:
            principal = self._context.iam.principal_for_role(function.role, function.name)
            for operation, params in calls:
                answer = self._context.dispatch(principal, kind, operation, params)
                if isinstance(answer, simpy.Event):
                    yield answer
        except AwsError as error:
            mapping.last_result = f"PROBLEM: {error.message}"
            dimensions = {"FunctionName": function.name}
            self._context.cloudwatch.record(
                "AWS/Lambda", "DestinationDeliveryFailures", dimensions, 1, "Count"
            )

    def _document(
        self, piece: Piece, condition: str, response: dict[str, Any] | None
    ) -> dict[str, Any]:
        first, last = piece.records[0], piece.records[-1]
        document: dict[str, Any] = {
            "requestContext": {
                "requestId": self._engine.new_id(),
                "functionArn": self._mapping.function_arn,
                "condition": condition,
                "approximateInvokeCount": piece.invocations,
            }
        }
        if response is not None:
            document["responseContext"] = response
        return document | {
            "version": "1.0",
            "timestamp": _iso(self._engine.epoch_s()),
            "KinesisBatchInfo": {
                "shardId": self._shard_id,
                "startSequenceNumber": first.sequence,
                "endSequenceNumber": last.sequence,
                "approximateArrivalOfFirstRecord": _iso(first.arrival_epoch_s),
                "approximateArrivalOfLastRecord": _iso(last.arrival_epoch_s),
                "batchSize": len(piece.records),
                "streamArn": self._mapping.stream_arn,
            },
        }

    def _object(self, bucket: str, document: dict[str, Any]) -> Params:
        now = self._engine.now()
        key = (
            f"aws/lambda/{self._mapping.uuid}/{self._shard_id}/{now:%Y/%m/%d}/"
            f"{now:%Y-%m-%dT%H.%M.%S}-{self._engine.new_id()}"
        )
        return {"Bucket": bucket, "Key": key, "Body": orjson.dumps(document)}

    def _measure_age(self, function: str, newest: Record) -> None:
        age_ms = max(0.0, (self._engine.epoch_s() - newest.arrival_epoch_s) * 1000.0)
        self._context.cloudwatch.record(
            "AWS/Lambda",
            "IteratorAge",
            {"FunctionName": function},
            age_ms,
            "Milliseconds",
        )


def _reported(answer: Any) -> list[Any]:
    """Return the item identifiers that a function reported; empty means success.

    Raises KeyError or TypeError for an answer that fails the whole batch.
    """
    if not answer:
        return []
    if not isinstance(answer, dict) or set(answer) != {"batchItemFailures"}:
        raise TypeError("not an answer with batchItemFailures")
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"] or []]


def _iso(epoch_s: float) -> str:
    """Return a time as destinations write it: UTC with milliseconds."""
    at = datetime.fromtimestamp(round(epoch_s, 3), UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
