"""Log groups, streams and events as they are kept, and the limits of a batch.

`logs.py` has the operations on them, `log_metric_filters.py` makes metrics of their events.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Params

DAY_MS = 24 * 3_600_000
# Limits of PutLogEvents (API reference): sizes in bytes, times in milliseconds.
MAX_BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
MAX_BATCH_EVENTS = 10_000
MAX_SPAN_MS = DAY_MS
OLDEST_MS, NEWEST_MS = 14 * DAY_MS, 2 * 3_600_000


class Event(NamedTuple):
    """One log event; times in milliseconds since 1970."""

    at_ms: int
    ingested_ms: int
    message: str


@dataclass
class Stream:
    """A log stream and its events in the order in which they came."""

    created_ms: int
    events: list[Event] = field(default_factory=list)
    expired: int = 0
    """How many events retention has dropped; the ids of the others go on counting."""


@dataclass
class Group:
    """A log group; ``shown`` are the members it was created with that a description repeats."""

    name: str
    created_ms: int
    shown: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)

    def expire(self, now_ms: int) -> None:
        """Drop the events that are older than the retention, if there is one."""
        days = self.shown.get("retentionInDays")
        if days is None:
            return
        oldest_ms = now_ms - days * DAY_MS
        for stream in self.streams.values():
            if any(event.at_ms < oldest_ms for event in stream.events):
                kept = [event for event in stream.events if event.at_ms >= oldest_ms]
                stream.expired += len(stream.events) - len(kept)
                stream.events = kept


def group_name(params: Params) -> str:
    """Return the group that is meant, by its name or by an identifier (name or ARN)."""
    named = params.get("logGroupName") or params.get("logGroupIdentifier")
    if not named:
        raise AwsError("InvalidParameterException", "A log group must be named")
    return str(named).partition(":log-group:")[2].removesuffix(":*") or str(named)


def check_batch(events: Sequence[Event]) -> None:
    """Raise InvalidParameterException for a batch over a limit; only the first text is recorded."""
    for problem in _problems(events):
        raise AwsError("InvalidParameterException", problem)


def _problems(events: Sequence[Event]) -> Iterator[str]:
    if any(first.at_ms > second.at_ms for first, second in itertools.pairwise(events)):
        yield "Log events in a single PutLogEvents request must be in chronological order."
    if len(events) > MAX_BATCH_EVENTS:
        yield f"A batch must have at most {MAX_BATCH_EVENTS} log events."
    size = sum(len(event.message.encode()) + EVENT_OVERHEAD_BYTES for event in events)
    if size > MAX_BATCH_BYTES:
        yield f"Upload too large: {size} bytes exceeds limit of {MAX_BATCH_BYTES}"
    if events and events[-1].at_ms - events[0].at_ms > MAX_SPAN_MS:
        yield "The batch of log events in a single PutLogEvents request cannot span over 24 hours."
