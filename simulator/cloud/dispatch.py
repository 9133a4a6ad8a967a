"""The one function through which everything happens: validate, authorise, meter, execute.

Called by the gateway for HTTP requests and directly by code inside the engine (workflow
interpreter, alarms, loader, topic rules), always on the engine's thread. The table
(service, operation) says whether an operation runs here, is forwarded, or is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import simpy

from simulator.cloud import validation
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.iam import Iam
from simulator.cloud.iam_conditions import request_context
from simulator.cloud.metered import Metered
from simulator.cloud.operations import Call, Execute, Operation, Params, Principal, passed_roles
from simulator.cloud.quotas import Quotas

IAM_PREFIX: Mapping[str, str] = {
    "stepfunctions": "states",
    "sagemaker-runtime": "sagemaker",
    "iot-data": "iot",
    "events": "events",
}
"""IAM's prefix where it differs from botocore's service name."""


class Dispatch:
    """Validate, authorise, meter and execute one operation of one caller."""

    def __init__(self, iam: Iam, quotas: Quotas) -> None:
        self._iam = iam
        self._quotas = quotas
        self.metered = Metered()
        self._table: dict[tuple[str, str], Operation] = {}
        self.missed: set[str] = set()
        """Operations that were asked for and are not in the table."""
        self.root = Principal(arn=f"arn:aws:iam::{iam.account}:root")

    def register(self, service: str, operations: Mapping[str, Operation]) -> None:
        """Add a service's operations; an operation belongs to exactly one place."""
        for name, operation in operations.items():
            if (service, name) in self._table:
                raise ValueError(f"{service}:{name} is registered twice")
            self._table[service, name] = operation

    def replace(self, service: str, name: str, execute: Execute) -> None:
        """Have a registered operation executed otherwise; what IAM checks stays as it is."""
        self._table[service, name] = replace(self._table[service, name], execute=execute)

    def supported(self) -> list[tuple[str, str]]:
        """Return every (service, operation) that runs here or is forwarded, sorted."""
        return sorted(self._table)

    def commutes(self, service: str, operation: str, params: Params) -> bool:
        """Tell whether functions that compute at one moment may do it in any order."""
        entry = self._table.get((service, operation))
        if entry is None:
            return True  # Refused, whoever is first.
        return entry.commutes(params) if callable(entry.commutes) else entry.commutes

    def __call__(
        self,
        principal: Principal,
        service: str,
        operation: str,
        params: Params,
        *,
        built_to_model: bool = False,
    ) -> dict[str, Any] | simpy.Event:
        """Do one operation; return its answer, or a SimPy event that succeeds with it.

        ``built_to_model``: the caller is our own code and made the parameters to the model, so
        that they need not be validated (a topic rule's records, thousands a second).

        Raises:
            AccessDenied: the caller's policies do not allow it on every resource named.
            ValidationError: the parameters do not fit botocore's model.
            NotSupportedByTwin: the operation is not in the table.
            AwsError: what the service itself answers.
        """
        entry = self._table.get((service, operation))
        if entry is None:
            self.missed.add(f"{service}:{operation}")
            raise NotSupportedByTwin(f"{service}:{operation}")
        # Validated first, because the resource that IAM is asked about is read from the
        # parameters; AWS, too, answers a malformed request before it looks at permissions.
        if not built_to_model:
            validation.validate_request(service, operation, params)
        if principal.role_arn is not None:
            self._authorise(principal, service, operation, entry, params)
        self._quotas.admit(service, operation, params)
        answer: dict[str, Any] | simpy.Event = entry.execute(Call(principal, params))
        self.metered.count(service, operation, params, answer)
        return answer

    def _authorise(
        self,
        principal: Principal,
        service: str,
        operation: str,
        entry: Operation,
        params: Params,
    ) -> None:
        prefix = IAM_PREFIX.get(service, service)
        action = entry.action or f"{prefix}:{operation}"
        if callable(action):
            action = action(params)
        context = request_context(service, operation, params)
        for resource in entry.resources(params):
            self._iam.authorise(principal, action, resource, context)
        for role, receiver in passed_roles(entry, params):
            passed_to = {"iam:PassedToService": receiver}
            self._iam.authorise(principal, "iam:PassRole", role, passed_to)
