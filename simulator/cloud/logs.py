"""CloudWatch Logs: groups and streams in memory, and as files that a person can read.

Functions, jobs and endpoints append through `append`; each group is also the file
``<state>/logs/<group>.log``, which keeps what retention lets expire here. Events that clients put
may hold embedded metrics; metric filters (`log_metric_filters.py`) see all events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from simulator.cloud.context import Context
from simulator.cloud.embedded_metrics import points_in
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.log_groups import (
    DAY_MS,
    MAX_BATCH_EVENTS,
    NEWEST_MS,
    OLDEST_MS,
    Event,
    Group,
    Stream,
    check_batch,
    group_name,
)
from simulator.cloud.log_metric_filters import MetricFilters
from simulator.cloud.log_patterns import compile_pattern
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

_SHORT_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)
RETENTION_DAYS = frozenset((*_SHORT_DAYS, 1096, 1827, 2192, 2557, 2922, 3288, 3653))
"""PutRetentionPolicy API reference."""

_GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_PAGE = 50
_END_MS = 1 << 62


class Logs:
    """The account's log groups."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._groups: dict[str, Group] = {}
        self._files: dict[str, TextIO] = {}
        self._metric_filters = MetricFilters(context, self._groups)
        self.on_events: list[Callable[[str, str, Sequence[Event]], None]] = []
        """Called with the group, the stream and its new events."""

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        return {
            "CreateLogGroup": Operation(self._create_group, resources=self._one),
            "DeleteLogGroup": Operation(self._delete_group, resources=self._one),
            "PutRetentionPolicy": Operation(self._put_retention, resources=self._one),
            "DeleteRetentionPolicy": Operation(self._delete_retention, resources=self._one),
            "DescribeLogGroups": Operation(self._describe_groups),
            "CreateLogStream": Operation(self._create_stream, resources=self._one),
            "DescribeLogStreams": Operation(self._describe_streams, resources=self._one),
            "PutLogEvents": Operation(self._put_events, resources=self._one),
            "GetLogEvents": Operation(self._get_events, resources=self._one),
            "FilterLogEvents": Operation(self._filter_events, resources=self._one),
            **self._metric_filters.operations(),
        }

    def append(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Add lines at the run's time; the group is made when it is not there, as Lambda does."""
        now_ms = self._now_ms()
        if group not in self._groups:
            self._groups[group] = Group(group, now_ms)
        streams = self._groups[group].streams
        if stream not in streams:
            streams[stream] = Stream(now_ms)
        self._add(group, stream, [Event(now_ms, now_ms, line) for line in lines])

    def has(self, group: str) -> bool:
        """Tell whether there is a group of this name."""
        return group in self._groups

    def oldest_ms(self, group: str) -> int:
        """Return from when on a group's events are kept; 0 where they are for ever."""
        found = self._groups.get(group)
        days = found.shown.get("retentionInDays") if found is not None else None
        return 0 if days is None else self._now_ms() - int(days) * DAY_MS

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def lines(self, group: str) -> list[str]:
        """Return all messages of a group, stream by stream."""
        found = self._groups.get(group)
        if found is not None:
            found.expire(self._now_ms())
        streams = found.streams.values() if found else ()
        return [event.message for stream in streams for event in stream.events]

    def _now_ms(self) -> int:
        return int(self._context.engine.epoch_s() * 1000)

    def _add(self, group: str, stream: str, events: Sequence[Event]) -> None:
        self._groups[group].streams[stream].events.extend(events)
        text, second, at = [], None, ""
        for event in events:
            if event.at_ms // 1000 != second:
                second = event.at_ms // 1000
                at = datetime.fromtimestamp(second, UTC).isoformat()[:19]
            text.append(f"{at}Z {stream} {event.message}\n")
        self._file(group).write("".join(text))
        for listener in self.on_events:
            listener(group, stream, events)
        self._metric_filters.watch(group, events)

    def _file(self, group: str) -> TextIO:
        if group not in self._files:
            # A name may hold "..", the file must not leave the folder.
            name = group.strip("/").replace("..", "__")
            path = self._context.state / "logs" / f"{name}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[group] = path.open("a", encoding="utf-8")
        return self._files[group]

    # -- groups

    def _one(self, params: Params) -> list[str]:
        return [self._context.arn("logs", f"log-group:{group_name(params)}:*")]

    def _group(self, params: Params) -> Group:
        group = self._groups.get(group_name(params))
        if group is None:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        group.expire(self._now_ms())
        return group

    def _create_group(self, call: Call) -> Answer:
        name = call.params["logGroupName"]
        if not _GROUP_NAME.fullmatch(name):
            raise AwsError(
                "InvalidParameterException",
                f"1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
            )
        if name in self._groups:
            raise AwsError(
                "ResourceAlreadyExistsException", "The specified log group already exists"
            )
        members = ("kmsKeyId", "logGroupClass")
        kept = {name: value for name, value in call.params.items() if name in members}
        self._groups[name] = Group(name, self._now_ms(), kept)
        return {}

    def _delete_group(self, call: Call) -> Answer:
        name = self._group(call.params).name
        del self._groups[name]
        self._metric_filters.forget(name)
        return {}

    def _put_retention(self, call: Call) -> Answer:
        days = call.params["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise AwsError("InvalidParameterException", f"{days} is not a retention in days")
        self._group(call.params).shown["retentionInDays"] = days
        return {}

    def _delete_retention(self, call: Call) -> Answer:
        self._group(call.params).shown.pop("retentionInDays", None)
        return {}

    def _describe_groups(self, call: Call) -> Answer:
        _refuse(call.params, "logGroupIdentifiers", "accountIdentifiers")
        prefix = call.params.get("logGroupNamePrefix", "")
        pattern = call.params.get("logGroupNamePattern", "").lower()
        groups = [
            {
                "logGroupName": name,
                "creationTime": group.created_ms,
                "arn": self._context.arn("logs", f"log-group:{name}:*"),
                "logGroupArn": self._context.arn("logs", f"log-group:{name}"),
                "logGroupClass": "STANDARD",
                "metricFilterCount": self._metric_filters.count(name),
                "storedBytes": 0,
                **group.shown,
            }
            for name, group in sorted(self._groups.items())
            if name.startswith(prefix) and pattern in name.lower()
        ]
        return _paged("logGroups", groups, call.params, _PAGE)

    # -- streams

    def _create_stream(self, call: Call) -> Answer:
        streams = self._group(call.params).streams
        if call.params["logStreamName"] in streams:
            raise AwsError(
                "ResourceAlreadyExistsException", "The specified log stream already exists"
            )
        streams[call.params["logStreamName"]] = Stream(self._now_ms())
        return {}

    def _describe_streams(self, call: Call) -> Answer:
        params, group = call.params, self._group(call.params)
        prefix = params.get("logStreamNamePrefix", "")
        found: list[dict[str, Any]] = [
            {
                "logStreamName": name,
                "creationTime": stream.created_ms,
                "arn": self._context.arn("logs", f"log-group:{group.name}:log-stream:{name}"),
                "storedBytes": 0,
                **_times(stream),
            }
            for name, stream in sorted(group.streams.items())
            if name.startswith(prefix)
        ]
        if params.get("orderBy", "LogStreamName") == "LastEventTime":
            found.sort(key=lambda one: one.get("lastEventTimestamp", 0))
        if params.get("descending"):
            found.reverse()
        return _paged("logStreams", found, params, _PAGE)

    # -- events

    def _stream(self, params: Params) -> Stream:
        stream = self._group(params).streams.get(params["logStreamName"])
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return stream

    def _put_events(self, call: Call) -> Answer:
        stream, now_ms = self._stream(call.params), self._now_ms()
        new = [Event(e["timestamp"], now_ms, e["message"]) for e in call.params["logEvents"]]
        check_batch(new)
        taken = [e for e in new if now_ms - OLDEST_MS <= e.at_ms <= now_ms + NEWEST_MS]
        self._add(group_name(call.params), call.params["logStreamName"], taken)
        for point in points_in(event.message for event in taken):
            self._context.cloudwatch.record(
                point.namespace,
                point.name,
                point.dimensions,
                point.value,
                point.unit,
                at_s=point.at_epoch_s,
            )
        answer: Answer = {"nextSequenceToken": str(len(stream.events))}
        rejected: dict[str, int] = {}
        old = sum(event.at_ms < now_ms - OLDEST_MS for event in new)
        if old:
            rejected["tooOldLogEventEndIndex"] = old
        if old + len(taken) < len(new):
            rejected["tooNewLogEventStartIndex"] = old + len(taken)
        if rejected:
            answer["rejectedLogEventsInfo"] = rejected
        return answer

    def _get_events(self, call: Call) -> Answer:
        params = call.params
        low, high = params.get("startTime", 0), params.get("endTime", _END_MS)
        events = sorted(self._stream(params).events, key=lambda event: event.at_ms)
        found = [event for event in events if low <= event.at_ms < high]
        limit = min(params.get("limit", MAX_BATCH_EVENTS), MAX_BATCH_EVENTS)
        first, last = _window(params, len(found), limit)
        return {
            "events": [_shown(event) for event in found[first:last]],
            # The same token comes back when there is nothing more in its direction.
            "nextForwardToken": f"f/{last}",
            "nextBackwardToken": f"b/{first}",
        }

    def _filter_events(self, call: Call) -> Answer:
        params, group = call.params, self._group(call.params)
        pattern = compile_pattern(params.get("filterPattern", ""))
        names = params.get("logStreamNames")
        if names is not None and not set(names) <= set(group.streams):
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        prefix = params.get("logStreamNamePrefix", "")
        # Unlike GetLogEvents, an event at endTime belongs to the answer.
        low, high = params.get("startTime", 0), params.get("endTime", _END_MS)
        found = [
            {"logStreamName": name, "eventId": f"{number:056d}", **_shown(event)}
            for name, stream in group.streams.items()
            if (names is None or name in names) and name.startswith(prefix)
            for number, event in enumerate(stream.events, stream.expired)
            if low <= event.at_ms <= high and pattern.matches(event.message)
        ]
        found.sort(key=lambda event: (event["timestamp"], event["logStreamName"]))
        # Which streams were searched is no longer told (API reference).
        answer = _paged("events", found, params, MAX_BATCH_EVENTS)
        return answer | {"searchedLogStreams": []}


def _refuse(params: Params, *names: str) -> None:
    for name in names:
        if name in params:
            raise NotSupportedByTwin(f"{name} of a request to CloudWatch Logs")


def _paged(name: str, items: Sequence[dict[str, Any]], params: Params, default: int) -> Answer:
    shown, token = page(
        items, params.get("limit", default), params.get("nextToken"), "InvalidParameterException"
    )
    return {name: shown, **({"nextToken": token} if token else {})}


def _shown(event: Event) -> dict[str, Any]:
    return {
        "timestamp": event.at_ms,
        "message": event.message,
        "ingestionTime": event.ingested_ms,
    }


def _times(stream: Stream) -> dict[str, Any]:
    if not stream.events:
        return {}
    times = [event.at_ms for event in stream.events]
    return {
        "firstEventTimestamp": min(times),
        "lastEventTimestamp": max(times),
        "lastIngestionTime": stream.events[-1].ingested_ms,
        "uploadSequenceToken": str(len(stream.events)),
    }


def _window(params: Params, length: int, limit: int) -> tuple[int, int]:
    """Return the positions [first, last) of the events that GetLogEvents answers."""
    token = params.get("nextToken")
    if token is None:
        first = 0 if params.get("startFromHead") else max(0, length - limit)
        return first, min(first + limit, length)
    direction, _, position = token.partition("/")
    if direction not in ("f", "b") or not position.isdecimal():
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
    at = min(int(position), length)
    return (at, min(at + limit, length)) if direction == "f" else (max(0, at - limit), at)
