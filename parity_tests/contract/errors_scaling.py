"""Refused calls of Application Auto Scaling."""

from __future__ import annotations

from parity_tests.contract.errors import ErrorCases
from parity_tests.contract.examples_autoscaling import place

scaling = ErrorCases()
scaling.add(
    "application-autoscaling",
    "ObjectNotFoundException",
    "DeregisterScalableTarget",
    lambda w: {**place(w), "ResourceId": "endpoint/none/variant/none"},
)
scaling.add(
    "application-autoscaling",
    "ValidationException",
    "RegisterScalableTarget",
    lambda w: {**place(w), "MinCapacity": 2, "MaxCapacity": 1},
)
