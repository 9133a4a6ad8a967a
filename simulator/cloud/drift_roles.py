"""How roles and their policies are asked for.

Used by `simulator.cloud.drift_lake`. A role may have more policies than its own resource asks for:
other resources put them there.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from simulator.cloud.drift_answers import Answers, Ask, Values


def role(ask: Ask, name: str, values: Values) -> Values:
    """Return a role with those of its policies that were asked for and are there."""
    found = ask("iam", "GetRole", RoleName=name)["Role"]
    wanted = [each["PolicyName"] for each in values.get("Policies", [])]
    there = ask("iam", "ListRolePolicies", RoleName=name)["PolicyNames"]
    inline = [
        {"PolicyName": each, "PolicyDocument": _inline(ask, name, each)}
        for each in wanted
        if each in there
    ]
    attached = _attached(ask, name)
    managed = [each for each in values.get("ManagedPolicyArns", []) if each in attached]
    trust = _read(found["AssumeRolePolicyDocument"])
    own = {"AssumeRolePolicyDocument": trust, "Policies": inline, "ManagedPolicyArns": managed}
    return {**found, **own}


def policy(ask: Ask, name: str, values: Values) -> Values:
    """Return an inline policy as the roles have it that it was put on."""
    roles, wanted = values["Roles"], values["PolicyDocument"]
    documents = [_inline(ask, each, name) for each in roles]
    unlike = [each for each in documents if not _is(wanted, each)]
    document = unlike[0] if unlike else wanted
    return {"PolicyName": name, "Roles": roles, "PolicyDocument": document}


def managed_policy(ask: Ask, arn: str, values: Values) -> Values:
    """Return a managed policy as it is in force, and which of its roles have it."""
    found = ask("iam", "GetPolicy", PolicyArn=arn)["Policy"]
    version = {"PolicyArn": arn, "VersionId": found["DefaultVersionId"]}
    document = _read(ask("iam", "GetPolicyVersion", **version)["PolicyVersion"]["Document"])
    roles = [each for each in values.get("Roles", []) if arn in _attached(ask, each)]
    own = {"ManagedPolicyName": found["PolicyName"], "PolicyDocument": document}
    return {**found, **own, "Roles": roles}


def _inline(ask: Ask, role_name: str, policy_name: str) -> Values:
    asked = {"RoleName": role_name, "PolicyName": policy_name}
    return _read(ask("iam", "GetRolePolicy", **asked)["PolicyDocument"])


def _read(document: Any) -> Values:
    """Return a document, which IAM answers URL-encoded (RFC 3986); SDKs may have read it."""
    return json.loads(unquote(document)) if isinstance(document, str) else document  # type: ignore[no-any-return]


def _attached(ask: Ask, role_name: str) -> list[str]:
    answer = ask("iam", "ListAttachedRolePolicies", RoleName=role_name)
    return [each["PolicyArn"] for each in answer["AttachedPolicies"]]


def _is(wanted: Values, found: Values) -> bool:
    """Compare documents; one without a version, which the twin takes, has the usual one there."""
    return {"Version": found["Version"], **wanted} == found


ANSWERS: dict[str, Answers] = {
    "AWS::IAM::ManagedPolicy": managed_policy,
    "AWS::IAM::Policy": policy,
    "AWS::IAM::Role": role,
}
"""Resource type -> how it is asked for."""
