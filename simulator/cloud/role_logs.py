"""Log lines that a service writes in a role's name: what a function or a job prints.

On AWS, Lambda, Glue and SageMaker write what code prints as the code's role: without the
permission the code runs, and its lines are nowhere. The same here: a line that the role may not
write is lost, and `fleetwin iam report` names what was denied. Used by whoever runs such code.

Sources: Lambda Developer Guide, "Sending Lambda function logs to CloudWatch Logs"; SageMaker
Developer Guide, "SageMaker AI roles"; Service Authorization Reference, "Actions, resources, and
condition keys for Amazon CloudWatch Logs" (a stream's ARN for what is done to a stream). Whether
Glue goes on without its logs is not verified on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied
from simulator.cloud.operations import Principal


def append(
    context: Context, principal: Principal, group: str, stream: str, lines: Sequence[str]
) -> bool:
    """Add lines as a role; return False where it may not, and nothing is added."""
    place = context.arn("logs", f"log-group:{group}")
    try:
        if not context.logs.has(group):
            context.iam.authorise(principal, "logs:CreateLogGroup", place)
        for action in ("CreateLogStream", "PutLogEvents"):
            context.iam.authorise(principal, f"logs:{action}", f"{place}:log-stream:{stream}")
    except AccessDenied:
        return False
    context.logs.append(group, stream, lines)
    return True


def writer(
    context: Context, principal: Principal, group: str, stream: str
) -> Callable[[str], None]:
    """Return what takes the lines of a program that runs as a role."""

    def write(line: str) -> None:
        append(context, principal, group, stream, [line])

    return write
