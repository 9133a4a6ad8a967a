"""Calls of AWS IoT about devices: things, their types, certificates and policies."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

devices = Examples("iot")

DEVICE_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": "arn:aws:iot:us-east-1:*:client/${iot:Connection.Thing.ThingName}",
        }
    ],
}
POLICY_TEXT = json.dumps(DEVICE_POLICY)


def _certificate(w: World) -> str:
    return f"arn:aws:iot:us-east-1:000000000000:cert/{64 * '1'}"


def _type(w: World) -> dict[str, Any]:
    name = w.new("type")
    described = {"thingTypeDescription": "Pumps", "searchableAttributes": ["hall"]}
    w.do("iot", "CreateThingType", thingTypeName=name, thingTypeProperties=described)
    return {"thingTypeName": name}


def thing_of(w: World) -> dict[str, Any]:
    name = w.new("thing")
    payload = {"attributes": {"hall": "north"}}
    w.do("iot", "CreateThing", thingName=name, attributePayload=payload, **_type(w))
    return {"thingName": name}


def _owned(w: World) -> dict[str, Any]:
    named = thing_of(w)
    w.do("iot", "AttachThingPrincipal", **named, principal=_certificate(w))
    return named


def policy_of(w: World) -> dict[str, Any]:
    name = w.new("policy")
    w.do("iot", "CreatePolicy", policyName=name, policyDocument=POLICY_TEXT)
    return {"policyName": name}


def _second_version(w: World) -> dict[str, Any]:
    named = policy_of(w)
    w.do("iot", "CreatePolicyVersion", **named, policyDocument=POLICY_TEXT)
    return {**named, "policyVersionId": "2"}


def targeted_of(w: World) -> dict[str, Any]:
    named = policy_of(w)
    w.do("iot", "AttachPolicy", **named, target=_certificate(w))
    return named


devices.add("CreateThing", lambda w: {"thingName": w.new("thing"), **_type(w)}, "thingArn thingId")
devices.add("DescribeThing", thing_of, "defaultClientId thingTypeName attributes version thingArn")
devices.add("UpdateThing", lambda w: {**thing_of(w), "removeThingType": True})
devices.add("DeleteThing", thing_of)
devices.add("ListThings", lambda w: thing_of(w) and {}, "things.thingArn things.thingTypeName")
devices.add("AttachThingPrincipal", lambda w: {**thing_of(w), "principal": _certificate(w)})
devices.add("DetachThingPrincipal", lambda w: {**_owned(w), "principal": _certificate(w)})
devices.add("ListThingPrincipals", _owned, "principals")
devices.add("ListPrincipalThings", lambda w: _owned(w) and {"principal": _certificate(w)}, "things")
devices.add(
    "CreateThingType", lambda w: {"thingTypeName": w.new("type")}, "thingTypeArn thingTypeId"
)
devices.add(
    "DescribeThingType", _type, "thingTypeProperties.searchableAttributes thingTypeMetadata"
)
devices.add(
    "UpdateThingType", lambda w: {**_type(w), "thingTypeProperties": {"thingTypeDescription": "d"}}
)
devices.add("DeprecateThingType", _type)
devices.add(
    "DeleteThingType",
    lambda w: ((named := _type(w)) and w.do("iot", "DeprecateThingType", **named)) or named,
)
devices.add("ListThingTypes", _type, "thingTypes.thingTypeArn thingTypes.thingTypeMetadata")
devices.add(
    "CreatePolicy",
    lambda w: {"policyName": w.new("policy"), "policyDocument": POLICY_TEXT},
    "policyArn policyVersionId",
)
devices.add("GetPolicy", policy_of, "policyDocument defaultVersionId creationDate lastModifiedDate")
devices.add("DeletePolicy", policy_of)
devices.add(
    "CreatePolicyVersion",
    lambda w: {**policy_of(w), "policyDocument": POLICY_TEXT, "setAsDefault": True},
    "policyVersionId isDefaultVersion",
)
devices.add("GetPolicyVersion", _second_version, "policyDocument isDefaultVersion creationDate")
devices.add("ListPolicyVersions", policy_of, "policyVersions.versionId policyVersions.createDate")
devices.add("SetDefaultPolicyVersion", _second_version)
devices.add("DeletePolicyVersion", _second_version)
devices.add("ListPolicies", lambda w: policy_of(w) and {}, "policies.policyName policies.policyArn")
devices.add("AttachPolicy", lambda w: {**policy_of(w), "target": _certificate(w)})
devices.add("DetachPolicy", lambda w: {**targeted_of(w), "target": _certificate(w)})
devices.add(
    "ListAttachedPolicies",
    lambda w: targeted_of(w) and {"target": _certificate(w)},
    "policies.policyName",
)
devices.add("ListTargetsForPolicy", targeted_of, "targets")
