"""One call that a stack makes, as the account's root: waited for, and repeated where it may be.

Used by the mappers (`simulator.cloud.resources`) and by `stack_update`. CloudFormation repeats
what a service throttles or fails at itself; other errors are the resource's failure. Source:
CloudFormation CLI User Guide, "Handler error codes" (which are retriable). How often and how long
CloudFormation waits is not documented; the pauses here are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Between tries, on the run's clock."""

THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def call_as_root(
    context: Context, service: str, operation: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Do one operation as the account's root and return its answer, letting the clock run.

    Raises AwsError: what the service answers, or goes on answering after all repetitions.
    """
    pauses = iter(PAUSES_S)
    while True:
        try:
            return _once(context, service, operation, params)
        except AwsError as error:
            pause_s = next(pauses, None) if may_pass(error) else None
            if pause_s is None:
                raise
        context.engine.run(context.engine.env.timeout(pause_s))


def may_pass(error: AwsError) -> bool:
    """Tell whether the same call may succeed later: it was throttled, or the service failed."""
    if isinstance(error, NotSupportedByTwin):
        return False
    # A queue's name is free again a minute after its deletion.
    if error.code.endswith("QueueDeletedRecently"):
        return True
    # Kinesis throttles its control plane by a code that elsewhere means a lasting limit.
    rate = error.code == "LimitExceededException" and error.message.startswith("Rate exceeded")
    return error.code in THROTTLED or rate or error.status >= 500


def _once(
    context: Context, service: str, operation: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    answer = context.dispatch(context.dispatch.root, service, operation, dict(params))
    if isinstance(answer, simpy.Event):
        found: dict[str, Any] = context.engine.run(answer)
        return found
    return answer
