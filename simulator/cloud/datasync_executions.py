"""One execution of a DataSync task: its settings, counters and result, and how they are shown.

`simulator.cloud.datasync` keeps executions, `datasync_transfer` takes them through their
states. Nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.operations import Answer

ENDED = frozenset({"SUCCESS", "ERROR"})
STEPS = ("Prepare", "Transfer", "Verify")


@dataclass
class Counters:
    """What DescribeTaskExecution counts; names as there, in the project's spelling."""

    listed_at_source: int = 0
    listed_at_destination: int = 0
    to_transfer: int = 0
    bytes_to_transfer: int = 0
    to_delete: int = 0
    transferred: int = 0
    bytes_transferred: int = 0
    bytes_written: int = 0
    verified: int = 0
    skipped: int = 0
    deleted: int = 0
    failed: dict[str, int] = field(
        default_factory=lambda: {"Prepare": 0, "Transfer": 0, "Verify": 0, "Delete": 0}
    )


@dataclass
class Execution:
    """One execution. ``options`` is complete; UpdateTaskExecution changes it while it runs.

    ``error`` is code and detail of the first failure; ``steps`` are (status, seconds) by step.
    """

    arn: str
    task_arn: str
    mode: str
    options: dict[str, Any]
    includes: list[dict[str, str]]
    excludes: list[dict[str, str]]
    report: Mapping[str, Any] | None
    log_group: str
    created: datetime
    ended: simpy.Event
    cancel: simpy.Event
    status: str = "QUEUED"
    started: datetime | None = None
    launched: datetime | None = None
    finished: datetime | None = None
    counters: Counters = field(default_factory=Counters)
    error: tuple[str, str] | None = None
    steps: dict[str, tuple[str, float]] = field(default_factory=dict)
    reported: dict[str, str] = field(default_factory=lambda: {"Status": "PENDING"})

    @property
    def identifier(self) -> str:
        """Return ``exec-...``."""
        return self.arn.rpartition("/")[2]

    @property
    def log_stream(self) -> str:
        """Return the stream in which its lines stand."""
        return f"{self.task_arn.rpartition('/')[2]}-{self.identifier}"

    def fail(self, code: str, detail: str) -> None:
        """Remember the first failure: it is the one that the result names."""
        self.error = self.error or (code, detail)


def described(execution: Execution) -> Answer:
    """Return the answer of DescribeTaskExecution."""
    counters = execution.counters
    answer: Answer = {
        "TaskExecutionArn": execution.arn,
        "Status": execution.status,
        "Options": dict(execution.options),
        "Includes": execution.includes,
        "Excludes": execution.excludes,
        "StartTime": execution.started or execution.created,
        "EstimatedFilesToTransfer": counters.to_transfer,
        "EstimatedBytesToTransfer": counters.bytes_to_transfer,
        "EstimatedFilesToDelete": counters.to_delete,
        "FilesTransferred": counters.transferred,
        "FilesVerified": counters.verified,
        "FilesSkipped": counters.skipped,
        "FilesDeleted": counters.deleted,
        "FilesPrepared": counters.to_transfer,
        "FilesListed": {
            "AtSource": counters.listed_at_source,
            "AtDestinationForDelete": counters.listed_at_destination,
        },
        "FilesFailed": dict(counters.failed),
        "BytesTransferred": counters.bytes_transferred,
        "BytesCompressed": counters.bytes_transferred,
        "BytesWritten": counters.bytes_written,
        "TaskMode": execution.mode,
        "Result": result_of(execution),
    }
    for name, value in (("LaunchTime", execution.launched), ("EndTime", execution.finished)):
        if value is not None:
            answer[name] = value
    if execution.report is not None:
        answer["TaskReportConfig"] = dict(execution.report)
        answer["ReportResult"] = dict(execution.reported)
    return answer


def result_of(execution: Execution) -> dict[str, Any]:
    """Return statuses and durations (ms) of the steps, and the first failure."""
    result: dict[str, Any] = {}
    for step in STEPS:
        status, seconds = execution.steps.get(step, ("PENDING", 0.0))
        result[f"{step}Status"] = status
        result[f"{step}Duration"] = round(seconds * 1000)
    if execution.launched is not None and execution.finished is not None:
        ran = execution.finished - execution.launched
        result["TotalDuration"] = round(ran.total_seconds() * 1000)
    if execution.error is not None:
        result["ErrorCode"], result["ErrorDetail"] = execution.error
    return result
