"""CloudWatch Logs: groups and streams in memory, and as files that a person can read.

Functions, jobs and endpoints append through `append`; each group is also the file
``<state>/logs/<group>.log``. Filter patterns are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params

MAX_EVENT_BYTES = 1_048_576 - 26
"""PutLogEvents: an event is at most 1 MiB, each counted with 26 bytes of overhead."""


@dataclass
class Group:
    """A log group: retention in days (``None`` keeps for ever) and its streams' events."""

    name: str
    created: datetime
    retention_days: int | None = None
    streams: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


class Logs:
    """The account's log groups."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._groups: dict[str, Group] = {}
        self._files: dict[str, TextIO] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        return {
            "CreateLogGroup": Operation(self._create_group, resources=self._one),
            "DeleteLogGroup": Operation(self._delete_group, resources=self._one),
            "PutRetentionPolicy": Operation(self._put_retention, resources=self._one),
            "DescribeLogGroups": Operation(self._describe_groups),
            "CreateLogStream": Operation(self._create_stream, resources=self._one),
            "DescribeLogStreams": Operation(self._describe_streams, resources=self._one),
            "PutLogEvents": Operation(self._put_events, resources=self._one),
            "GetLogEvents": Operation(self._get_events, resources=self._one),
            "FilterLogEvents": Operation(self._filter_events, resources=self._one),
        }

    def append(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Add lines at the run's time; the group is made when it is not there, as Lambda does."""
        if group not in self._groups:
            self._groups[group] = Group(group, self._context.engine.now())
        at_ms = int(self._context.engine.epoch_s() * 1000)
        events = self._groups[group].streams.setdefault(stream, [])
        events.extend((at_ms, line) for line in lines)
        file = self._file(group)
        for line in lines:
            file.write(f"{self._context.engine.now():%Y-%m-%dT%H:%M:%S}Z {stream} {line}\n")

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def lines(self, group: str) -> list[str]:
        """Return all messages of a group, stream by stream."""
        found = self._groups.get(group)
        return [m for events in found.streams.values() for _, m in events] if found else []

    def _file(self, group: str) -> TextIO:
        if group not in self._files:
            path = self._context.state / "logs" / f"{group.strip('/')}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[group] = path.open("a", encoding="utf-8")
        return self._files[group]

    def _one(self, params: Params) -> list[str]:
        return [self._context.arn("logs", f"log-group:{params['logGroupName']}:*")]

    def _group(self, params: Params) -> Group:
        group = self._groups.get(params["logGroupName"])
        if group is None:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return group

    def _create_group(self, call: Call) -> Answer:
        name = call.params["logGroupName"]
        if name in self._groups:
            raise AwsError(
                "ResourceAlreadyExistsException", "The specified log group already exists"
            )
        self._groups[name] = Group(name, self._context.engine.now())
        return {}

    def _delete_group(self, call: Call) -> Answer:
        self._group(call.params)
        del self._groups[call.params["logGroupName"]]
        return {}

    def _put_retention(self, call: Call) -> Answer:
        self._group(call.params).retention_days = call.params["retentionInDays"]
        return {}

    def _describe_groups(self, call: Call) -> Answer:
        prefix = call.params.get("logGroupNamePrefix", "")
        groups: list[dict[str, Any]] = []
        for name in sorted(n for n in self._groups if n.startswith(prefix)):
            group = self._groups[name]
            shown: dict[str, Any] = {
                "logGroupName": name,
                "creationTime": int(group.created.timestamp() * 1000),
                "arn": self._context.arn("logs", f"log-group:{name}:*"),
            }
            if group.retention_days is not None:
                shown["retentionInDays"] = group.retention_days
            groups.append(shown)
        return {"logGroups": groups}

    def _create_stream(self, call: Call) -> Answer:
        streams = self._group(call.params).streams
        if call.params["logStreamName"] in streams:
            raise AwsError(
                "ResourceAlreadyExistsException", "The specified log stream already exists"
            )
        streams[call.params["logStreamName"]] = []
        return {}

    def _describe_streams(self, call: Call) -> Answer:
        prefix = call.params.get("logStreamNamePrefix", "")
        streams = self._group(call.params).streams
        return {
            "logStreams": [{"logStreamName": n} for n in sorted(streams) if n.startswith(prefix)]
        }

    def _events(self, params: Params) -> list[tuple[int, str]]:
        streams = self._group(params).streams
        if params["logStreamName"] not in streams:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return streams[params["logStreamName"]]

    def _put_events(self, call: Call) -> Answer:
        events = self._events(call.params)
        new = [(e["timestamp"], e["message"]) for e in call.params["logEvents"]]
        if any(first[0] > second[0] for first, second in zip(new, new[1:], strict=False)):
            raise AwsError(
                "InvalidParameterException",
                "Log events in a single PutLogEvents request must be in chronological order.",
            )
        if any(len(message.encode()) > MAX_EVENT_BYTES for _, message in new):
            raise AwsError("InvalidParameterException", "Log event too large")
        events.extend(new)
        return {"nextSequenceToken": str(len(events))}

    def _get_events(self, call: Call) -> Answer:
        low = call.params.get("startTime", 0)
        high = call.params.get("endTime", 1 << 62)
        limit = call.params.get("limit", 10_000)
        found = [
            {"timestamp": at, "message": m, "ingestionTime": at}
            for at, m in self._events(call.params)
            if low <= at < high
        ]
        token = f"f/{len(found)}"
        chosen = found[:limit] if call.params.get("startFromHead") else found[-limit:]
        return {"events": chosen, "nextForwardToken": token, "nextBackwardToken": token}

    def _filter_events(self, call: Call) -> Answer:
        if call.params.get("filterPattern"):
            raise NotSupportedByTwin("a filterPattern of FilterLogEvents")
        low = call.params.get("startTime", 0)
        high = call.params.get("endTime", 1 << 62)
        limit = call.params.get("limit", 10_000)
        found = [
            {"logStreamName": name, "timestamp": at, "message": message, "ingestionTime": at}
            for name, events in self._group(call.params).streams.items()
            for at, message in events
            if low <= at < high
        ]
        found.sort(key=lambda event: (event["timestamp"], event["logStreamName"]))
        return {"events": found[:limit]}
