"""Roles whose every statement is written by hand.

The constructs never call ``grant_*``: those grants carry wildcards and actions that nothing
here uses. A statement has a Sid that says what the role does with it, so that a denial, a
review and a test can name it. One that has to end in a wildcard says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk.constructs.key import DECRYPT, ENCRYPT, SERVICES, endpoint, find_key

NEW_KEYS = "Keys under the prefix are named after what they hold, which is not known before"
NEW_NAMES = "The workflow names what it creates after its run"
NEW_LOG_STREAMS = "The service names the log streams after its own runs and instances"

KEY_ACTIONS: Mapping[str, str] = {
    "s3:GetObject": DECRYPT,
    "s3:PutObject": ENCRYPT,
    "kinesis:GetRecords": DECRYPT,
    "kinesis:PutRecord": ENCRYPT,
    "kinesis:PutRecords": ENCRYPT,
}
"""What an action on something under a key needs of the key (API references of S3 and Kinesis)."""


@dataclass(frozen=True)
class Statement:
    """Allow ``actions`` on ``resources``; ``wildcard`` is why a resource ends in one."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    wildcard: str = ""
    conditions: Mapping[str, Mapping[str, Any]] | None = None

    def to_policy(self) -> iam.PolicyStatement:
        """Return the statement as IAM has it."""
        return iam.PolicyStatement(
            sid=self.sid,
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions) if self.conditions else None,
        )


def service_role(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    service: str,
    description: str,
    statements: Sequence[Statement],
) -> iam.Role:
    """Return a role that ``service`` assumes, with one inline policy of ``statements``.

    Inline, so that the role and what it may do appear and disappear together and whatever
    uses the role finds it complete. Where the stage has a key, statements for it are added: just
    what the others need of it (`_key_statements`).
    """
    statements = [*statements, *_key_statements(scope, statements)]
    role = iam.Role(
        scope,
        construct_id,
        role_name=name,
        assumed_by=iam.ServicePrincipal(service),
        description=description,
        inline_policies={
            "permissions": iam.PolicyDocument(
                statements=[each.to_policy() for each in statements], minimize=False
            )
        },
    )
    for each in statements:
        if each.wildcard:
            _acknowledge_wildcards(role, each)
    return role


def _key_statements(scope: Construct, statements: Sequence[Statement]) -> list[Statement]:
    """Return what ``statements`` need of the stage's key, by the service that calls KMS for them.

    Derived, so that a role that gets a bucket gets its key, and loses both together.
    """
    key = find_key(scope)
    if key is None:
        return []
    shown = Stack.of(scope).resolve
    found = []
    for via, name_of_statement in SERVICES.items():
        arns = [_as_shown(shown(arn)) for name, arn in key.covered if name == via]
        actions = {
            KEY_ACTIONS[action]
            for statement in statements
            for action in statement.actions
            if action in KEY_ACTIONS
            and any(_as_shown(shown(each)).startswith(tuple(arns)) for each in statement.resources)
        }
        if actions:
            found.append(
                Statement(
                    name_of_statement,
                    sorted(actions),
                    [key.key.key_arn],
                    conditions={"StringEquals": {"kms:ViaService": endpoint(via)}},
                )
            )
    return found


def _acknowledge_wildcards(role: iam.Role, statement: Statement) -> None:
    """Give cdk-nag the reason; any other wildcard remains a finding."""
    for resource in statement.resources:
        text = _as_shown(Stack.of(role).resolve(resource))
        if "*" in text:
            Validations.of(role).acknowledge(
                Acknowledgment(
                    id=f"AwsSolutions::AwsSolutions-IAM5[Resource::{text}]",
                    reason=f"{statement.sid}: {statement.wildcard}",
                )
            )


def _as_shown(value: Any) -> str:
    """Return a resolved ARN as cdk-nag writes it: references in angle brackets."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return "".join(_as_shown(part) for part in argument[1])
    if function == "Fn::Sub":
        return str(argument).replace("${", "<").replace("}", ">")
    return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"
