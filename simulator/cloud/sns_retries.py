"""How long SNS waits before it delivers a message again.

Source: SNS developer guide, "Message delivery retries": for AWS's own services 100,015 attempts
over 23 days; for HTTP and HTTPS the policy of the subscription, of the topic, or the default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from simulator.cloud.errors import AwsError

DEFAULT_HTTP: dict[str, Any] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "numMaxDelayRetries": 0,
    "backoffFunction": "linear",
}
_FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_MAX_DELAY_S = 3_600
_MAX_RETRIES = 100


def service_delays_s() -> Iterator[float]:
    """Yield the waits, in seconds, before each retry of a delivery to SQS or Lambda."""
    yield from [0.0] * 3
    yield from [1.0] * 2
    yield from (min(20.0, 2.0**number) for number in range(10))
    yield from [20.0] * 100_000


def http_delays_s(policy: dict[str, Any]) -> Iterator[float]:
    """Yield the waits, in seconds, that a ``healthyRetryPolicy`` says."""
    said = {**DEFAULT_HTTP, **policy}
    low, high = float(said["minDelayTarget"]), float(said["maxDelayTarget"])
    between = said["numRetries"] - sum(
        said[name] for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")
    )
    yield from [0.0] * said["numNoDelayRetries"]
    yield from [low] * said["numMinDelayRetries"]
    for number in range(1, between + 1):
        yield _between(said["backoffFunction"], low, high, number / between)
    yield from [high] * said["numMaxDelayRetries"]


def _between(function: str, low: float, high: float, share: float) -> float:
    """Return the wait at a share (0..1) of the way; AWS draws these curves, without formulas."""
    if function == "geometric" and low > 0:
        return low * math.pow(high / low, share)
    bend = {"linear": share, "arithmetic": share * share, "geometric": share * share}
    exponential = (math.pow(2.0, 8 * share) - 1) / 255
    return low + (high - low) * bend.get(function, exponential)


def policy_of(text: str | None) -> dict[str, Any]:
    """Return the retry policy in a DeliveryPolicy of a subscription or of a topic."""
    found = json.loads(text) if text else {}
    http = found.get("http", {})
    said: dict[str, Any] = found.get("healthyRetryPolicy") or http.get("defaultHealthyRetryPolicy")
    return said or {}


def check_policy(text: str, protocol: str, prefix: str) -> None:
    """Raise InvalidParameter for a DeliveryPolicy that cannot be kept."""
    reason = f"Invalid parameter: {prefix}DeliveryPolicy: "
    if protocol not in ("http", "https"):
        raise AwsError("InvalidParameter", f"{reason}only of HTTP and HTTPS endpoints")
    try:
        said = {**DEFAULT_HTTP, **policy_of(text)}
    except (ValueError, AttributeError, TypeError):
        raise AwsError("InvalidParameter", f"{reason}failed to parse JSON.") from None
    for name, value in said.items():
        if name in DEFAULT_HTTP and type(value) is not type(DEFAULT_HTTP[name]):
            raise AwsError("InvalidParameter", f"{reason}healthyRetryPolicy.{name} is invalid")
    parts = sum(said[n] for n in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries"))
    problems = {
        "unknown member": not set(said) <= set(DEFAULT_HTTP),
        "backoffFunction": said["backoffFunction"] not in _FUNCTIONS,
        "minDelayTarget": not 1 <= said["minDelayTarget"] <= said["maxDelayTarget"],
        "maxDelayTarget": said["maxDelayTarget"] > _MAX_DELAY_S,
        "numRetries": not parts <= said["numRetries"] <= _MAX_RETRIES,
    }
    for name, is_wrong in problems.items():
        if is_wrong:
            raise AwsError("InvalidParameter", f"{reason}healthyRetryPolicy.{name} is invalid")
