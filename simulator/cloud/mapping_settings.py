"""An event source mapping's settings: what Create and Update take, what Get answers.

Source of limits and of defaults: botocore's model of CreateEventSourceMapping, and answers
recorded on AWS for Kinesis sources (2025).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Answer, Params

POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
REFUSED_UNLESS = {"ParallelizationFactor": 1, "TumblingWindowInSeconds": 0}
SETTINGS = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "window_s",
    "BisectBatchOnFunctionError": "bisect",
    "MaximumRetryAttempts": "retries",
    "MaximumRecordAgeInSeconds": "record_age_s",
}
USED = {
    "EventSourceArn", "FunctionName", "StartingPosition", "StartingPositionTimestamp", "Enabled",
    "DestinationConfig", "FunctionResponseTypes", "Tags", "UUID",
    *SETTINGS, *REFUSED_UNLESS,
}  # fmt: skip


@dataclass
class Mapping:
    """One mapping from a stream to a function, as configured now."""

    uuid: str
    arn: str
    stream_arn: str
    function_arn: str
    position: str
    position_at: datetime | None
    modified: datetime
    rank: int
    state: str = "Creating"
    enabled: bool = True
    batch_size: int = 100
    window_s: int = 0
    bisect: bool = False
    retries: int = -1
    record_age_s: int = -1
    destination: str | None = None
    report_items: bool = False
    last_result: str = "No records processed"
    tags: dict[str, str] = field(default_factory=dict)

    def change(self, params: Params) -> None:
        """Apply what a request says.

        Raises:
            NotSupportedByTwin: a setting that has no behaviour here.
            AwsError: a value that AWS refuses.
        """
        refuse_settings(params)
        age_s = params.get("MaximumRecordAgeInSeconds", -1)
        if age_s != -1 and not 60 <= age_s <= 604_800:
            raise AwsError(
                "InvalidParameterValueException",
                "MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.",
            )
        if params.get("BatchSize", 1) > 10_000:
            raise AwsError("InvalidParameterValueException", "BatchSize must be at most 10000.")
        if "DestinationConfig" in params:
            self.destination = _destination(params["DestinationConfig"])
        for name, attribute in SETTINGS.items():
            if name in params:
                setattr(self, attribute, params[name])
        if "FunctionResponseTypes" in params:
            self.report_items = "ReportBatchItemFailures" in params["FunctionResponseTypes"]
        self.enabled = params.get("Enabled", self.enabled)

    def answer(self, **changes: Any) -> Answer:
        """Return the mapping in boto3's shape."""
        answer: Answer = {
            "UUID": self.uuid,
            "StartingPosition": self.position,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window_s,
            "ParallelizationFactor": 1,
            "EventSourceArn": self.stream_arn,
            "EventSourceMappingArn": self.arn,
            "FunctionArn": self.function_arn,
            "LastModified": self.modified,
            "LastProcessingResult": self.last_result,
            "State": self.state,
            "StateTransitionReason": "User action",
            "DestinationConfig": {
                "OnFailure": {"Destination": self.destination} if self.destination else {}
            },
            "MaximumRecordAgeInSeconds": self.record_age_s,
            "BisectBatchOnFunctionError": self.bisect,
            "MaximumRetryAttempts": self.retries,
            "TumblingWindowInSeconds": 0,
            "FunctionResponseTypes": ["ReportBatchItemFailures"] if self.report_items else [],
        }
        if self.position_at is not None:
            answer["StartingPositionTimestamp"] = self.position_at
        return answer | changes


def starting_position(params: Params) -> str:
    """Return where reading starts, or answer as AWS does when that is not said."""
    position = params.get("StartingPosition")
    if position is None:
        raise ValidationError(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if position not in POSITIONS:
        raise ValidationError(
            f"1 validation error detected: Value '{position}' at 'startingPosition' failed to "
            f"satisfy constraint: Member must satisfy enum value set: [{', '.join(POSITIONS)}]"
        )
    if position == "AT_TIMESTAMP" and "StartingPositionTimestamp" not in params:
        raise AwsError(
            "InvalidParameterValueException",
            "StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP.",
        )
    return str(position)


def refuse_settings(params: Params) -> None:
    """Raise NotSupportedByTwin for a setting that has no behaviour here."""
    if unknown := set(params) - USED:
        raise NotSupportedByTwin(f"event source mapping with {min(unknown)}")
    for name, only in REFUSED_UNLESS.items():
        if params.get(name, only) != only:
            raise NotSupportedByTwin(f"event source mapping with {name} {params[name]}")


def _destination(config: Params) -> str | None:
    if config.get("OnSuccess"):
        raise AwsError(
            "InvalidParameterValueException",
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        )
    arn: str | None = config.get("OnFailure", {}).get("Destination")
    if arn and arn.split(":")[2] not in ("s3", "sqs"):
        raise NotSupportedByTwin(f"event source mapping with destination {arn.split(':')[2]}")
    return arn or None
