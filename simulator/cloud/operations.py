"""What a service of the stand-in looks like to `dispatch`: a table of operations.

A service is any object with ``operations() -> dict[str, Operation]``, keyed by
botocore's operation names; parameters and answers have boto3's shapes
(``bytes`` for blobs, aware ``datetime`` for timestamps, ``bytes`` for streaming bodies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Params = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the account's root, the session of a role, or an AWS service.

    ``arn`` is what error messages name (``arn:aws:sts::A:assumed-role/R/SESSION``);
    ``role_arn`` selects the policies, ``None`` means root, which may do everything.
    ``step`` is the state of a workflow that calls, or the like; it decides nothing.
    """

    arn: str
    role_arn: str | None = None
    worker: str | None = None
    step: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised and validated request on its way to its service."""

    principal: Principal
    params: Params


Execute = Callable[[Call], Any]
"""Runs on the engine's thread; returns an Answer, or a simpy.Event that succeeds with one."""


def any_resource(params: Params) -> Sequence[str]:
    """The resource of operations that IAM only authorises on ``*``."""
    return ("*",)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what it does, and what IAM checks before it does it.

    ``action`` overrides the IAM action where it is not ``<prefix>:<Operation>``
    (``lambda:InvokeFunction`` for Invoke); a callable chooses it by the parameters.
    ``resources`` gives the ARNs that must *all* be allowed. ``passes_role`` names the parameters
    (``RoleArn``, ``TrainingJobDefinition.RoleArn``) that hold a role ARN for which the caller
    needs iam:PassRole, with the service principal that it is passed to.
    ``commutes``: whether two functions that compute at one moment of the clock may do it in any
    order, as long as they do not name the same object or item (`order.Order`).
    """

    execute: Execute
    resources: Callable[[Params], Sequence[str]] = any_resource
    action: str | Callable[[Params], str] | None = None
    passes_role: Mapping[str, str] | None = None
    commutes: bool | Callable[[Params], bool] = False


def passed_roles(operation: Operation, params: Params) -> Iterator[tuple[str, str]]:
    """Yield each role ARN among the parameters, and the service that the operation passes it to."""
    for path, receiver in (operation.passes_role or {}).items():
        value: Any = params
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            yield value, receiver


class Service(Protocol):
    """What `Dispatch.register` takes."""

    def operations(self) -> Mapping[str, Operation]:
        """Return the operations that really run here."""
        ...
