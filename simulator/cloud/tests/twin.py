"""A context with a clock and nothing else, for tests of one service at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from simulator.cloud.context import Context
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AccessDenied, NotSupportedByTwin
from simulator.cloud.operations import Call, Principal, Service

START = datetime(2026, 1, 5, tzinfo=UTC)
ROOT = Principal("arn:aws:iam::000000000000:root")


class Permissions:
    """Allows everything but what a test denies; remembers what was asked."""

    def __init__(self) -> None:
        self.denied: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []

    def authorise(self, principal: Principal, action: str, resource: str) -> None:
        """Raise AccessDenied for a denied (action, resource)."""
        self.asked.append((action, resource))
        if (action, resource) in self.denied:
            raise AccessDenied(principal.arn, action, resource, explicit=False)

    def put_resource_policy(self, arn: str, document: Any, name: str = "") -> None:
        """Take a policy that nobody asks."""

    def remove_resource_policy(self, arn: str, name: str = "") -> None:
        """Forget one."""


def context_of(state: Path, permissions: Permissions | None = None) -> Context:
    """Return a context whose processes and dispatch must not be used."""
    return Context(
        engine=Engine(START),
        dispatch=cast(Any, None),
        iam=cast(Any, permissions or Permissions()),
        processes=cast(Any, None),
        state=state,
    )


def executor(**services: Service) -> Any:
    """Return a function (service, operation, params) -> answer over services by name."""
    tables = {name.replace("_", "-"): one.operations() for name, one in services.items()}

    def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        found = tables[service].get(operation)
        if found is None:
            raise NotSupportedByTwin(f"{service}:{operation}")
        assert all(isinstance(arn, str) for arn in found.resources(params))
        answer: dict[str, Any] = found.execute(Call(ROOT, params))
        return answer

    return execute
