"""One provoked error for each code that a service of the twin raises.

A code belongs to the service's model, or to an AWS page that lists it: `DOCUMENTED`.
`test_shapes` finds codes in the sources that neither a case here nor `NOT_PROVOKED` knows.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from parity_tests.contract.examples import Make
from parity_tests.contract.world import World
from simulator.cloud.errors import AwsError

COMMON = frozenset({"AccessDeniedException", "ThrottlingException", "ValidationException"})
"""Of every service with a JSON protocol: "Common Errors" in each API reference."""

DOCUMENTED: dict[str, frozenset[str]] = {
    # "Error responses" in the S3 API reference; 304 is HTTP's, which boto3 shows as the code.
    "s3": frozenset(
        [
            "304",
            "AccessDenied",
            "BadDigest",
            "BadRequest",
            "BucketNotEmpty",
            "EntityTooSmall",
            "IncompleteBody",
            "InvalidArgument",
            "InvalidBucketName",
            "InvalidPart",
            "InvalidPartOrder",
            "InvalidRange",
            "KeyTooLongError",
            "MalformedTrailerError",
            "MalformedXML",
            "NoSuchBucketPolicy",
            "NoSuchLifecycleConfiguration",
            "NoSuchTagSet",
            "PreconditionFailed",
        ]
    ),
    # "Common Error Types" in the CloudFormation API reference.
    "cloudformation": frozenset({"ValidationError"}),
    # Recorded: the front end answers the HTTP status for a body over its limit.
    "sagemaker-runtime": frozenset({"413"}),
}

NOT_PROVOKED = {
    ("lakeformation", "PermissionTypeMismatchException"): "needs a role: in test_lake_formation",
    ("kinesis", "KMSAccessDeniedException"): "needs a role: in test_key_use",
    ("glue", "ResourceNumberLimitExceededException"): "after ten million partitions",
    ("glue", "JobRunNotInRunningStateException"): "stands in an answer of BatchStopJobRun",
    ("s3", "IncompleteBody"): "boto3 sends whole bodies",
    ("s3", "MalformedTrailerError"): "boto3 sends sound trailers",
    ("s3", "MalformedXML"): "DeleteObjects with 1,001 keys: boto3's model does not let it pass",
    ("sagemaker-runtime", "ServiceUnavailable"): "needs a container that dies and stays dead",
}


@dataclass(frozen=True)
class ErrorCase:
    """One refused call. ``fields`` are modelled members beside the message, as dotted paths.

    ``denied``: the caller is a role that may do nothing.
    """

    service: str
    code: str
    operation: str
    make: Make
    fields: str = ""
    denied: bool = False


class ErrorCases:
    """Collects cases in the order in which they are written."""

    def __init__(self) -> None:
        self.all: list[ErrorCase] = []

    def add(self, service: str, code: str, operation: str, make: Make, fields: str = "") -> None:
        """Add the case of a caller who may do everything."""
        self.all.append(ErrorCase(service, code, operation, make, fields))

    def deny(self, service: str, code: str, operation: str, params: dict[str, Any]) -> None:
        """Add the case of a caller who may do nothing."""
        self.all.append(ErrorCase(service, code, operation, lambda w: dict(params), denied=True))


def twice(operation: tuple[str, str], make: Make) -> Make:
    """Return a maker of a call that has been done before."""

    def again(w: World) -> dict[str, Any]:
        params = make(w)
        w.do(*operation, **params)
        return params

    return again


def many(times: int, operation: tuple[str, str], make: Make) -> Make:
    """Return a maker of a call that has been done, or refused, so many times at this instant."""

    def again(w: World) -> dict[str, Any]:
        params = make(w)
        for _ in range(times):
            with suppress(AwsError):
                w.do(*operation, **params)
        return params

    return again
