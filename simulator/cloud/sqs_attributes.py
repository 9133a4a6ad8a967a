"""A queue's attributes: what may be set, to what, and what holds when nothing is set.

Ranges and defaults: CreateQueue and SetQueueAttributes in the SQS API reference. Used by
`simulator.cloud.sqs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.sqs_errors import invalid, invalid_value, plain

RANGES = {
    "VisibilityTimeout": (0, 43_200),
    "MaximumMessageSize": (1_024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "DelaySeconds": (0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}
FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
_CHOICES = {
    "SqsManagedSseEnabled": ("true", "false"),
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
TEXTS = ("KmsMasterKeyId", "Policy", "RedrivePolicy", "RedriveAllowPolicy")
"""What an empty value takes away again."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_ARN = re.compile(r"arn:[^:]+:sqs:[^:]+:\d{12}:[A-Za-z0-9_.-]+\Z")
_SSE = (
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS "
    "SSE or SQS SSE."
)
MOST_RECEIVES = 1_000


def check_name(name: str, *, fifo: bool) -> None:
    """Raise InvalidParameterValue for a name that no queue of the kind can have."""
    stem = name.removesuffix(".fifo")
    if fifo and not (name.endswith(".fifo") and _NAME.match(stem) and len(name) <= 80):
        raise invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
            "underscores, must end with .fifo suffix and be 1 to 80 in length."
        )
    if not fifo and not _NAME.match(name):
        raise invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )


def checked(given: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """Return attributes as they are kept; raises InvalidAttributeName or InvalidAttributeValue."""
    found = {name: _checked(name, value, fifo=fifo) for name, value in given.items()}
    if found.get("KmsMasterKeyId") and found.get("SqsManagedSseEnabled") == "true":
        raise plain("InvalidAttributeName", _SSE)
    if found.get("KmsMasterKeyId"):
        found["SqsManagedSseEnabled"] = "false"
    return found


def _checked(name: str, value: str, *, fifo: bool) -> str:
    if (name in FIFO_DEFAULTS and not fifo) or not (
        name in RANGES or name in _CHOICES or name in TEXTS
    ):
        raise plain("InvalidAttributeName", f"Unknown Attribute {name}.")
    if name in RANGES:
        low, high = RANGES[name]
        if not (value.isdecimal() and low <= int(value) <= high):
            raise _refused(name)
        return str(int(value))
    if name in _CHOICES and value.lower() not in {each.lower() for each in _CHOICES[name]}:
        raise _refused(name)
    if name in ("SqsManagedSseEnabled", "FifoQueue", "ContentBasedDeduplication"):
        return value.lower()
    if name in ("Policy", "RedriveAllowPolicy") and value:
        try:
            policy = json.loads(value)
        except ValueError:
            raise _refused(name) from None
        if not isinstance(policy, dict):
            raise _refused(name)
    return value


def _refused(name: str) -> AwsError:
    return plain("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def redrive_of(text: str) -> tuple[str, int]:
    """Return a redrive policy's queue (ARN) and how often a message is handed out at most.

    Raises InvalidParameterValue with what is wrong with it.
    """

    def refused(reason: str) -> AwsError:
        return invalid_value(text, "RedrivePolicy", reason)

    try:
        policy: Any = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise refused("Redrive policy is not a valid JSON map.")
    for name in ("maxReceiveCount", "deadLetterTargetArn"):
        if name not in policy:
            raise refused(f"Redrive policy does not contain mandatory attribute: {name}.")
    arn, most = str(policy["deadLetterTargetArn"]), str(policy["maxReceiveCount"])
    if not _ARN.match(arn):
        raise refused("Invalid value for deadLetterTargetArn.")
    if not (most.isdecimal() and 1 <= int(most) <= MOST_RECEIVES):
        raise refused(
            f"Invalid value for maxReceiveCount: {most}, valid values are from 1 to 1000 both "
            "inclusive."
        )
    return arn, int(most)


def may_redrive(text: str, source_arn: str) -> bool:
    """Tell whether a RedriveAllowPolicy lets a queue use the one that has it for dead letters."""
    policy = json.loads(text) if text else {}
    permission = policy.get("redrivePermission", "allowAll")
    if permission == "byQueue":
        return source_arn in policy.get("sourceQueueArns", ())
    return bool(permission == "allowAll")
