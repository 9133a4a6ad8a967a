"""Refused calls of AWS IoT about things and policies."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases
from parity_tests.contract.examples_devices import POLICY_TEXT, policy_of, targeted_of, thing_of
from parity_tests.contract.world import World

devices = ErrorCases()


def _with_five_versions(w: World) -> dict[str, Any]:
    named = policy_of(w)
    for _ in range(4):
        w.do("iot", "CreatePolicyVersion", **named, policyDocument=POLICY_TEXT)
    return {**named, "policyDocument": POLICY_TEXT}


devices.add("iot", "ResourceNotFoundException", "DescribeThing", lambda w: {"thingName": "none"})
devices.add(
    "iot",
    "VersionConflictException",
    "DeleteThing",
    lambda w: {**thing_of(w), "expectedVersion": 7},
)
devices.add(
    "iot",
    "MalformedPolicyException",
    "CreatePolicy",
    lambda w: {"policyName": "wrong", "policyDocument": "{"},
)
devices.add("iot", "DeleteConflictException", "DeletePolicy", targeted_of)
devices.add("iot", "VersionsLimitExceededException", "CreatePolicyVersion", _with_five_versions)
