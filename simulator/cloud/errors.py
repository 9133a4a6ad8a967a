"""Errors that the stand-in answers, with AWS's own codes.

AwsError
    AccessDenied           authorisation failed
    ValidationError        a request that does not fit the service's model
    NotSupportedByTwin     an operation, property or value that the twin does not have
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.errors import SimulatorError


class AwsError(SimulatorError):
    """One error answer of an AWS service: code, message and HTTP status.

    ``fields`` are further members of the modelled error shape
    (for example ``CancellationReasons`` of TransactionCanceledException).
    """

    def __init__(
        self, code: str, message: str, status: int = 400, fields: Mapping[str, Any] | None = None
    ) -> None:
        # SimPy rebuilds the exception of a failed event from its args.
        super().__init__(code, message, status, fields)
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class AccessDenied(AwsError):
    """The caller's policies do not allow the action on the resource."""

    def __init__(
        self, principal_arn: str, action: str, resource: str, explicit: bool = False
    ) -> None:
        why = (
            "with an explicit deny in an identity-based policy"
            if explicit
            else f"because no identity-based policy allows the {action} action"
        )
        super().__init__(
            "AccessDeniedException",
            f"User: {principal_arn} is not authorized to perform: {action} "
            f"on resource: {resource} {why}",
            status=403,
        )
        self.args = (principal_arn, action, resource, explicit)


class ValidationError(AwsError):
    """The request does not fit the service's model."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(code, message, status=400)
        self.args = (message, code)


class NotSupportedByTwin(AwsError):
    """Asked for something that the twin does not have; never answered with a silent success."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "NotSupportedByTwin",
            f"{what} is not supported by the local twin; run it with --target aws "
            "or open an issue that names it",
            status=501,
        )
        self.args = (what,)
