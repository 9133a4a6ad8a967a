"""The allow-list of what is forwarded to moto, and the ARNs that IAM checks for each operation.

An operation is here only when *storing* is all that AWS does for it, as far as the twin needs:
what starts work (jobs, executions, transfers) never is, because moto answers "done" for work
that never ran. Resources: AWS's service authorization reference. Used by
`simulator.cloud.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simulator.cloud.operations import Params, any_resource

Resources = Callable[[Params], Sequence[str]]


class Arns:
    """Resource resolvers of one account and region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self._region}:{self._account}:{resource}"

    def parameter(self, params: Params) -> Sequence[str]:
        """Every parameter that is named, or the path."""
        named = params.get("Names") or [params.get("Name") or params.get("Path") or "*"]
        return [
            name if name.startswith("arn:") else self._arn("ssm", f"parameter/{name.lstrip('/')}")
            for name in named
        ]

    def tagged_parameter(self, params: Params) -> Sequence[str]:
        """The parameter whose tags are meant."""
        return self.parameter({"Name": params.get("ResourceId", "*")})

    def role(self, params: Params) -> Sequence[str]:
        """The IAM role that is named."""
        return (f"arn:aws:iam::{self._account}:role/{params.get('RoleName', '*')}",)

    def policy(self, params: Params) -> Sequence[str]:
        """The managed policy that is named."""
        return (params.get("PolicyArn", "*"),)

    def key(self, params: Params) -> Sequence[str]:
        """The KMS key (or alias) that is named."""
        return (self.key_arn(params.get("KeyId", "*")),)

    def alias(self, params: Params) -> Sequence[str]:
        """A KMS alias and, where it is named, its key."""
        found = [self.key_arn(params.get("AliasName", "*"))]
        if "TargetKeyId" in params:
            found.append(self.key_arn(params["TargetKeyId"]))
        return found

    def key_arn(self, key: str) -> str:
        """Return the ARN of a key id or alias."""
        if key.startswith("arn:"):
            return key
        return self._arn("kms", key if key.startswith("alias/") else f"key/{key}")

    def table_of_operations(self) -> Mapping[str, Mapping[str, Resources]]:
        """Return service -> operation -> resolver: the allow-list."""
        return {
            "ssm": {
                **_all(
                    self.parameter,
                    "PutParameter GetParameter GetParameters GetParametersByPath DeleteParameter"
                    " DeleteParameters GetParameterHistory",
                ),
                **_all(self.tagged_parameter, "AddTagsToResource ListTagsForResource"),
                **_all(any_resource, "DescribeParameters"),
            },
            "iam": {
                **_all(
                    self.role,
                    "GetRole ListRolePolicies GetRolePolicy ListAttachedRolePolicies ListRoleTags",
                ),
                **_all(self.policy, "GetPolicy GetPolicyVersion ListPolicyVersions"),
                **_all(any_resource, "ListRoles ListPolicies"),
            },
            "kms": {
                **_all(
                    self.key,
                    "DescribeKey Encrypt Decrypt ReEncrypt GenerateDataKey"
                    " GenerateDataKeyWithoutPlaintext EnableKey DisableKey EnableKeyRotation"
                    " DisableKeyRotation GetKeyRotationStatus GetKeyPolicy PutKeyPolicy"
                    " ScheduleKeyDeletion CancelKeyDeletion UpdateKeyDescription TagResource"
                    " ListResourceTags",
                ),
                **_all(self.alias, "CreateAlias UpdateAlias DeleteAlias"),
                **_all(any_resource, "CreateKey ListKeys ListAliases"),
            },
        }


def _all(resources: Resources, names: str) -> dict[str, Resources]:
    return dict.fromkeys(names.split(), resources)
