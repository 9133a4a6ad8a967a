"""Task reports: what an execution did with each file, as JSON objects in a bucket.

    <folder>/Summary-Reports/<task>/<execution>/<execution>.json
    <folder>/Detailed-Reports/<task>/<execution>/<execution>.files-<what>-v1-00001.json

`simulator.cloud.datasync_transfer` tells it of every file. Parts are put as they fill, so a
report of any length takes constant memory.
Source: DataSync user guide, "Monitoring your data transfers with task reports".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.datasync_executions import Execution, result_of
from simulator.cloud.datasync_places import Item
from simulator.cloud.errors import AwsError

ENTRIES_PER_PART = 10_000
_MEMBERS = {
    "Transferred": ("files-transferred", "Transfer"),
    "Skipped": ("files-skipped", "Skip"),
    "Verified": ("files-verified", "Verify"),
    "Deleted": ("files-deleted", "Delete"),
}
Put = Callable[[str, bytes], None]
"""Puts an object at a key below the report's folder, as the report's role."""


class Report:
    """The report of one execution. What goes wrong with it never fails the transfer."""

    def __init__(self, execution: Execution, put: Put) -> None:
        self._execution = execution
        self._put = put
        self._entries: dict[str, list[dict[str, Any]]] = {name: [] for name in _MEMBERS}
        self._parts = dict.fromkeys(_MEMBERS, 0)
        config = execution.report or {}
        self._detailed = config.get("OutputType", "SUMMARY_ONLY") == "STANDARD"
        level = config.get("ReportLevel", "ERRORS_ONLY")
        overrides = config.get("Overrides", {})
        self._levels = {
            name: overrides.get(name, {}).get("ReportLevel", level) for name in _MEMBERS
        }

    def tell(self, member: str, item: Item, now: datetime, failure: tuple[str, str] | None) -> None:
        """Note what happened to a file: ``member`` is Transferred, Skipped, Verified, Deleted."""
        if not self._detailed or self._execution.report is None:
            return
        if failure is None and self._levels[member] == "ERRORS_ONLY":
            return
        verb = _MEMBERS[member][1]
        entry: dict[str, Any] = {
            "RelativePath": item.path,
            "SrcMetadata": {
                "Type": "Regular",
                "ContentSize": item.size,
                "LastModified": _time(datetime.fromtimestamp(item.mtime_ns / 1e9, UTC)),
            },
            f"{verb}Timestamp": _time(now),
            f"{verb}Status": "SUCCESS" if failure is None else "FAILED",
        }
        if member == "Transferred":
            entry["TransferType"] = "CONTENT_AND_METADATA"
        if failure is not None:
            entry["FailedCode"], entry["FailedReason"] = failure
        self._entries[member].append(entry)
        if len(self._entries[member]) >= ENTRIES_PER_PART:
            self._flush(member)

    def finish(self) -> None:
        """Put what is left, and the summary; say in the execution how it went."""
        execution = self._execution
        if execution.report is None:
            return
        for member in _MEMBERS:
            if self._entries[member]:
                self._flush(member)
        self._write(f"Summary-Reports/{self._folder()}.json", _summary(execution))
        if execution.reported["Status"] == "PENDING":
            execution.reported = {"Status": "SUCCESS"}

    def _folder(self) -> str:
        execution = self._execution
        task = execution.task_arn.rpartition("/")[2]
        return f"{task}/{execution.identifier}/{execution.identifier}"

    def _flush(self, member: str) -> None:
        entries, self._entries[member] = self._entries[member], []
        self._parts[member] += 1
        name = f"{_MEMBERS[member][0]}-v1-{self._parts[member]:05d}"
        self._write(
            f"Detailed-Reports/{self._folder()}.{name}.json",
            {"TaskExecutionId": self._execution.identifier, member: entries},
        )

    def _write(self, key: str, content: dict[str, Any]) -> None:
        try:
            self._put(key, json.dumps(content, indent=1).encode())
        except AwsError as error:
            self._execution.reported = {
                "Status": "ERROR",
                "ErrorCode": error.code,
                "ErrorDetail": error.message,
            }


def _summary(execution: Execution) -> dict[str, Any]:
    counters = execution.counters
    assert execution.finished is not None
    return {
        "TaskExecutionId": execution.identifier,
        "TaskExecutionArn": execution.arn,
        "Status": execution.status,
        "StartTime": _time(execution.started or execution.created),
        "EndTime": _time(execution.finished),
        "Options": execution.options,
        "Includes": execution.includes,
        "Excludes": execution.excludes,
        "FilesTransferred": counters.transferred,
        "FilesVerified": counters.verified,
        "FilesSkipped": counters.skipped,
        "FilesDeleted": counters.deleted,
        "FilesFailed": counters.failed,
        "BytesTransferred": counters.bytes_transferred,
        "BytesWritten": counters.bytes_written,
        "Result": result_of(execution),
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
