"""CloudWatch Logs with its events in another endpoint as well.

Endpoints take no events that are older than two weeks by their own clock, as AWS does. Times there
are therefore the run's, moved by a whole number of days; what is read is moved back. Used by
`simulator.cloud.remote`; docs/localstack.md says who answers which operation, and why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.log_groups import (
    DAY_MS,
    EVENT_OVERHEAD_BYTES,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_SPAN_MS,
    Event,
    group_name,
)
from simulator.cloud.logs import Logs
from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint

_BOTH = "DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy"
_ROOM_DAYS = 12
"""A run begins so long before the endpoint's now, that its later events are not in the future."""
_EXISTS = "ResourceAlreadyExistsException"


class RemoteLogs:
    """What replaces executors of `simulator.cloud.logs.Logs`."""

    def __init__(self, context: Context, logs: Logs, remote: RemoteEndpoint) -> None:
        self._context = context
        self._logs = logs
        self._remote = remote
        self._own = logs.operations()
        self._waiting: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self._there: set[tuple[str, str]] = set()
        days = (datetime.now(UTC) - context.engine.start).days - _ROOM_DAYS
        self._moved_ms = days * DAY_MS
        logs.on_events.append(self._logged)

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        table: dict[str, Execute] = {name: self._both(name) for name in _BOTH.split()}
        return table | {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "GetLogEvents": self._get_events,
        }

    def flush(self) -> None:
        """Write there what was logged since the last time."""
        waiting, self._waiting = self._waiting, defaultdict(list)
        for (group, stream), events in waiting.items():
            self._made(group, "")
            self._made(group, stream)
            for batch in _batches(sorted(events, key=lambda event: event.at_ms)):
                moved = [
                    {"timestamp": each.at_ms + self._moved_ms, "message": each.message}
                    for each in batch
                ]
                self._forward(
                    "PutLogEvents",
                    {"logGroupName": group, "logStreamName": stream, "logEvents": moved},
                )

    def _forward(self, operation: str, params: Params) -> Answer:
        return self._remote.forward("logs", operation, params)

    def _logged(self, group: str, stream: str, events: Sequence[Event]) -> None:
        self._waiting[group, stream].extend(events)

    def _made(self, group: str, stream: str) -> None:
        """Make a group, or one of its streams, unless it is there: functions make theirs."""
        if (group, stream) in self._there:
            return
        params = {"logGroupName": group}
        try:
            if stream:
                self._forward("CreateLogStream", {**params, "logStreamName": stream})
            else:
                self._forward("CreateLogGroup", params)
        except AwsError as error:
            if error.code != _EXISTS:
                raise
        self._there.add((group, stream))

    def _both(self, operation: str) -> Execute:
        def execute(call: Call) -> Answer:
            self.flush()  # A group that a function has made may not be there yet.
            answer: Answer = self._own[operation].execute(call)
            self._forward(operation, call.params)
            if operation == "DeleteLogGroup":
                name = group_name(call.params)
                self._there = {each for each in self._there if each[0] != name}
            return answer

        return execute

    def _create_group(self, call: Call) -> Answer:
        answer: Answer = self._own["CreateLogGroup"].execute(call)
        self._made(call.params["logGroupName"], "")
        return answer

    def _create_stream(self, call: Call) -> Answer:
        self.flush()
        answer: Answer = self._own["CreateLogStream"].execute(call)
        self._made(call.params["logGroupName"], call.params["logStreamName"])
        return answer

    def _get_events(self, call: Call) -> Answer:
        """Read there what retention has left; the twin checks the request."""
        self.flush()
        self._own["GetLogEvents"].execute(
            Call(call.principal, {n: v for n, v in call.params.items() if n != "nextToken"})
        )
        name = group_name(call.params)
        params = {n: v for n, v in call.params.items() if n != "logGroupIdentifier"}
        params["logGroupName"] = name
        oldest = self._logs.oldest_ms(name)
        begin_ms = max(params.get("startTime", 0), oldest)
        if begin_ms:
            params["startTime"] = begin_ms + self._moved_ms
        if "endTime" in params:
            params["endTime"] += self._moved_ms
        answer = self._forward("GetLogEvents", params)
        for event in answer["events"]:
            event["timestamp"] -= self._moved_ms
        return answer


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield events in requests that PutLogEvents takes; ``events`` are in order of time."""
    batch: list[Event] = []
    size = 0
    for event in events:
        volume = len(event.message.encode()) + EVENT_OVERHEAD_BYTES
        is_full = len(batch) == MAX_BATCH_EVENTS or size + volume > MAX_BATCH_BYTES
        if batch and (is_full or event.at_ms - batch[0].at_ms > MAX_SPAN_MS):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += volume
    if batch:
        yield batch
