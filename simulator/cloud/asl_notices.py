"""What an account hears of its executions: metrics, EventBridge's events, lines in a log group.

`workflows_executions.py` calls it at each change of an execution's status, and a history at each
event. Sources in the developer guide: "Monitoring metrics", "Step Functions event examples",
"Log levels for Step Functions execution events".
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from simulator.cloud.asl_execution import Execution, redrivable
from simulator.cloud.asl_payload import dumps
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError

Record = Callable[[str, str, Mapping[str, str], float, str], None]

_METRICS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
MAX_EVENT_BYTES = 248 * 1024
"""Escaped input and output in an event of EventBridge or of a log ("EventBridge payloads")."""
DELIVERY = (
    "CreateLogDelivery",
    "GetLogDelivery",
    "UpdateLogDelivery",
    "DeleteLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "DescribeResourcePolicies",
    "DescribeLogGroups",
)
"""What a machine's role needs in order to log ("IAM Policies for logging to CloudWatch Logs")."""
_DATA = {"input", "output", "parameters", "assignedVariables"}
_ENDINGS = ("Failed", "Aborted", "TimedOut")


class Notices:
    """Tells one account; ``record`` takes a metric's value."""

    def __init__(self, context: Context, record: Record | None = None) -> None:
        self._context = context
        self._record = record or (lambda *metric: None)

    def began(self, execution: Execution) -> None:
        """Tell that an execution started, or started again."""
        if not execution.redrives:
            self._count(execution, "ExecutionsStarted")
        self._emit(execution)

    def ended(self, execution: Execution) -> None:
        """Tell how an execution ended."""
        assert execution.stopped is not None
        self._count(execution, _METRICS[execution.status])
        began = execution.redriven or execution.started
        time_ms = (execution.stopped - began).total_seconds() * 1000
        self._count(execution, "ExecutionTime", time_ms, "Milliseconds")
        self._emit(execution)

    def log(self, execution: Execution, event: dict[str, Any]) -> None:
        """Write an event of a history to the machine's log group, as far as its level wants it."""
        settings = execution.machine.settings["loggingConfiguration"]
        if not is_logged(settings.get("level", "OFF"), event["type"]):
            return
        if not settings.get("includeExecutionData"):
            event = without_data(event)
        line = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": _shortened(details_of(event)),
            "previous_event_id": str(event["previousEventId"]),
            "event_timestamp": str(_ms(event["timestamp"])),
            "execution_arn": execution.arn,
            "redrive_count": str(execution.redrives),
        }
        at = f"{execution.started:%Y-%m-%d-%H-%M}"
        stream = f"states/{execution.machine.name}/{at}/{zlib.crc32(execution.arn.encode()):08x}"
        self._context.logs.append(_group_of(settings), stream, [dumps(line)])

    def check_logging(self, settings: Mapping[str, Any], role_arn: str, machine_arn: str) -> None:
        """Raise InvalidLoggingConfiguration, or AccessDeniedException where the role may not."""
        destinations = settings.get("destinations", [])
        wanted = settings.get("level", "OFF") != "OFF"
        if len(destinations) > 1 or (wanted and not destinations):
            raise _invalid("Must specify exactly one Log Destination.")
        if not destinations:
            return
        if not self._context.logs.has(_group_of(settings)):
            raise _invalid("Log Destination not found.")
        iam = self._context.iam
        try:
            source = {"aws:SourceArn": machine_arn}
            principal = iam.principal_for_role(role_arn, "logging", "states.amazonaws.com", source)
            for action in DELIVERY:
                iam.authorise(principal, f"logs:{action}", "*")
        except AwsError as error:
            raise AwsError(
                "AccessDeniedException",
                "The state machine IAM Role is not authorized to access the Log Destination",
            ) from error

    def _count(
        self, execution: Execution, name: str, value: float = 1.0, unit: str = "Count"
    ) -> None:
        dimensions = {"StateMachineArn": execution.machine.arn}
        self._record("AWS/States", name, dimensions, value, unit)

    def _emit(self, execution: Execution) -> None:
        if execution.machine.kind == "EXPRESS":
            return  # They emit none ("EventBridge for Step Functions execution status changes").
        status, why = redrivable(execution, execution.stopped or execution.started)
        output_bytes = len(json.dumps(execution.output or ""))
        fits = len(json.dumps(execution.input)) + output_bytes <= MAX_EVENT_BYTES
        shown = execution.output is not None and output_bytes <= MAX_EVENT_BYTES
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine.arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": _ms(execution.started),
            "stopDate": _ms(execution.stopped) if execution.stopped else None,
            "input": execution.input if fits else None,
            "inputDetails": {"included": fits},
            "output": execution.output if shown else None,
            "outputDetails": None if execution.output is None else {"included": shown},
            "error": execution.error,
            "cause": execution.cause,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": execution.redrives,
            "redriveDate": _ms(execution.redriven) if execution.redriven else None,
            "redriveStatus": status,
            "redriveStatusReason": why,
        }
        self._context.emit(
            "aws.states", "Step Functions Execution Status Change", detail, [execution.arn]
        )


def is_logged(level: str, kind: str) -> bool:
    """Tell whether a log of this level has events of this type."""
    bad = kind.endswith(_ENDINGS) or kind == "FailStateEntered"
    return {
        "OFF": False,
        "FATAL": bad and kind.startswith("Execution"),
        "ERROR": bad,
        "ALL": True,
    }[level]


def without_data(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a history without inputs, outputs, parameters and variables."""
    return {
        name: {key: each for key, each in value.items() if key.removesuffix("Details") not in _DATA}
        if isinstance(value, dict)
        else value
        for name, value in event.items()
    }


def details_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the one member of an event that holds its details."""
    return next((value for name, value in event.items() if name.endswith("EventDetails")), {})


def _shortened(details: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a log's line what is too long for it, as its Details then say."""
    shown = dict(details)
    for name in ("input", "output"):
        if len(json.dumps(shown.get(name, ""))) > MAX_EVENT_BYTES:
            shown[name] = shown[name][: MAX_EVENT_BYTES // 2]
            shown[f"{name}Details"] = {"truncated": True}
    return shown


def _group_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the log group that a configuration names by ARN."""
    arn = settings["destinations"][0].get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
    group = str(arn).partition(":log-group:")[2]
    if not group.endswith(":*"):
        raise _invalid(f"Log Group ARN '{arn}' must end with :*")
    return group.removesuffix(":*")


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {text}")


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
