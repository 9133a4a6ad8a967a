"""Policy documents, compiled once when they are registered so that decisions are cheap.

Used by `iam`. Anything in a document that the twin would not judge as AWS does is refused
here. Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy element reference".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.iam_conditions import (
    Condition,
    RequestContext,
    Test,
    parse_conditions,
    wildcard_test,
)

PolicyDocument = Mapping[str, Any]

AWS_MANAGED: Mapping[str, PolicyDocument] = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole": {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "*",
        },
    },
}
"""AWS's own managed policies that templates may name; any other is refused by name."""

_STATEMENT_KEYS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"}
)


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement of a resource or trust policy speaks of."""

    everyone: bool
    accounts: frozenset[str]
    arns: frozenset[str]
    services: frozenset[str]

    def include(self, identity: str, account: str, *, denying: bool) -> bool:
        """Tell whether ``identity`` (a role ARN or a service's name) is meant.

        An account in an Allow only delegates to that account's own identity policies, so it
        grants nothing by itself; in a Deny it means each of the account's roles.
        """
        if self.everyone or identity in self.arns or identity in self.services:
            return True
        return denying and account in self.accounts and identity.startswith("arn:")


@dataclass(frozen=True, slots=True)
class Statement:
    """One compiled statement; ``principals`` is None in identity policies."""

    allows: bool
    action: Test
    not_action: bool
    resource: Test
    not_resource: bool
    principals: Principals | None
    conditions: tuple[Condition, ...]

    def matches(self, action: str, resource: str, context: RequestContext) -> bool:
        """Tell whether it speaks of the request; ``action`` and context keys in lower case."""
        return (
            self.action(action) != self.not_action
            and self.resource(resource) != self.not_resource
            and all(condition.holds(context) for condition in self.conditions)
        )


def delegates(statement: Statement, account: str) -> bool:
    """Tell whether a key policy's statement lets the account's own policies decide.

    Other resources need no such statement inside an account; a key does (KMS Developer Guide,
    "Default key policy").
    """
    principals = statement.principals
    return statement.allows and principals is not None and account in principals.accounts


def matches_pattern(pattern: str, text: str) -> bool:
    """Tell whether ``*`` (any run) and ``?`` (one character) make ``pattern`` equal ``text``."""
    return wildcard_test([pattern])(text)


def policy_owner(resource: str) -> str:
    """Return the ARN that carries the policy for ``resource``: an object's is its bucket."""
    if resource.startswith("arn:aws:s3:::"):
        return resource.partition("/")[0]
    if resource.startswith("arn:aws:lambda:"):
        return ":".join(resource.split(":")[:7])
    return resource


def parse_identity_policy(document: PolicyDocument) -> tuple[Statement, ...]:
    """Compile a role's inline or managed policy: no Principal, a Resource in each statement."""
    return tuple(_statement(each, principal=False, resource=True) for each in _each(document))


def parse_resource_policy(document: PolicyDocument) -> tuple[Statement, ...]:
    """Compile the policy of a bucket, topic, queue, function or key."""
    return tuple(_statement(each, principal=True, resource=True) for each in _each(document))


def parse_trust_policy(document: PolicyDocument) -> tuple[Statement, ...]:
    """Compile a role's trust policy: a Principal, and no Resource (it is the role itself)."""
    return tuple(_statement(each, principal=True, resource=False) for each in _each(document))


def _each(document: PolicyDocument) -> Iterable[Mapping[str, Any]]:
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise _malformed("a policy document needs Statement")
    unknown = set(document) - {"Version", "Id", "Statement"}
    if unknown:
        raise _malformed(f"unknown element {min(unknown)}")
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise _malformed(f"Version {document['Version']!r}")
    return _listed(document["Statement"])


def _statement(raw: Mapping[str, Any], *, principal: bool, resource: bool) -> Statement:
    if "NotPrincipal" in raw:
        raise NotSupportedByTwin("policy element NotPrincipal")
    unknown = set(raw) - _STATEMENT_KEYS
    if unknown:
        raise _malformed(f"unknown statement element {min(unknown)}")
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(f"Effect must be Allow or Deny, not {raw.get('Effect')!r}")
    if ("Principal" in raw) != principal:
        raise _malformed("Principal belongs in resource and trust policies, and only there")
    actions, not_action = _one_of(raw, "Action", "NotAction")
    if any(":" not in action and action != "*" for action in actions):
        raise _malformed(f"actions must be service:Operation, got {actions}")
    resources, not_resource = ["*"], False
    if resource:
        resources, not_resource = _one_of(raw, "Resource", "NotResource")
    elif "Resource" in raw or "NotResource" in raw:
        raise _malformed("a trust policy has no Resource")
    if any("${" in each for each in resources):
        raise NotSupportedByTwin(f"policy variable in Resource {resources}")
    return Statement(
        allows=raw["Effect"] == "Allow",
        action=wildcard_test([action.lower() for action in actions]),
        not_action=not_action,
        resource=wildcard_test(resources),
        not_resource=not_resource,
        principals=_principals(raw["Principal"]) if principal else None,
        conditions=parse_conditions(raw.get("Condition", {})),
    )


def _one_of(raw: Mapping[str, Any], name: str, negated: str) -> tuple[list[str], bool]:
    if (name in raw) == (negated in raw):
        raise _malformed(f"a statement needs one of {name} and {negated}")
    used = name if name in raw else negated
    values = _listed(raw[used])
    if not values or not all(isinstance(value, str) for value in values):
        raise _malformed(f"{used} must be text or a list of texts")
    return values, used == negated


def _principals(raw: Any) -> Principals:
    if raw == "*":
        return Principals(True, frozenset(), frozenset(), frozenset())
    if not isinstance(raw, Mapping):
        raise _malformed(f"Principal {raw!r}")
    if set(raw) - {"AWS", "Service"}:
        raise NotSupportedByTwin(f"policy principal of kind {min(set(raw) - {'AWS', 'Service'})}")
    arns = [str(value) for value in _listed(raw.get("AWS", []))]
    accounts = {arn.split(":")[4] for arn in arns if arn.startswith("arn:") and arn[-5:] == ":root"}
    accounts |= {arn for arn in arns if arn.isdigit()}
    others = [arn for arn in arns if arn != "*" and not arn.endswith(":root") and not arn.isdigit()]
    for arn in others:
        # A session's own ARN would make decisions differ within one role; nobody uses it here.
        if ":role/" not in arn:
            raise NotSupportedByTwin(f"policy principal {arn}")
    services = frozenset(str(value) for value in _listed(raw.get("Service", [])))
    return Principals("*" in arns, frozenset(accounts), frozenset(others), services)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _malformed(why: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", why)
