"""Errors of SQS, each with both of its names.

SQS spoke the query protocol before it spoke JSON: clients look at a query code (`Code`) and at a
shape's name (`QueryErrorCode`). Which texts were recorded on AWS, docs/messaging.md says. Used by
the other files of SQS.
"""

from __future__ import annotations

from simulator.cloud.errors import AwsError

_PREFIX = "AWS.SimpleQueueService."


def _error(code: str, name: str, message: str, status: int = 400) -> AwsError:
    return AwsError(code, message, status, {"QueryErrorCode": name})


def no_queue() -> AwsError:
    """Return what is answered about a queue that is not there."""
    message = "The specified queue does not exist."
    return _error(f"{_PREFIX}NonExistentQueue", "QueueDoesNotExist", message)


def exists(attribute: str) -> AwsError:
    """Return what is answered for a name that is in use with other attributes."""
    message = (
        f"A queue already exists with the same name and a different value for attribute {attribute}"
    )
    return _error("QueueAlreadyExists", "QueueNameExists", message)


def named(name: str, message: str, status: int = 400) -> AwsError:
    """Return an error whose query code is its shape's name with the old prefix."""
    return _error(f"{_PREFIX}{name}", name, message, status)


def plain(name: str, message: str) -> AwsError:
    """Return an error that has one name in both protocols."""
    return _error(name, name, message)


def invalid(message: str) -> AwsError:
    """Return a refusal of a parameter's value."""
    return _error("InvalidParameterValue", "InvalidParameterValueException", message)


def invalid_value(value: object, parameter: str, reason: str) -> AwsError:
    """Return a refusal of a parameter's value that repeats it."""
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing(parameter: str) -> AwsError:
    """Return a refusal of a request without a parameter."""
    message = f"The request must contain the parameter {parameter}."
    return _error("MissingParameter", "MissingRequiredParameterException", message)
