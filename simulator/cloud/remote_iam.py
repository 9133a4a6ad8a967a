"""The account's roles and policies, kept where reads of IAM are forwarded to as well.

Permissions are decided by the twin: neither moto nor LocalStack's community edition enforces any.
Roles and policies come from templates, not from calls, so what was done to them is done there
later, from `Iam.history`. Used by `simulator.cloud.forward`, which forwards the reads to moto, and
by `simulator.cloud.remote` for another endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from simulator.cloud.errors import AwsError
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Answer, Params

_EXISTS = "EntityAlreadyExists"
_NONE = "NoSuchEntity"


_OF_AWS = "arn:aws:iam::aws:policy/"
"""Policies that AWS manages; they are there, or are not, and nobody makes them."""


class Executes(Protocol):
    """What does an operation elsewhere."""

    def forward(self, service: str, operation: str, params: Params) -> Answer:
        """Do one operation; raise AwsError with what is refused."""


class RemoteIam:
    """What follows an `Iam` elsewhere."""

    def __init__(self, iam: Iam, remote: Executes) -> None:
        self._iam = iam
        self._remote = remote
        self._done = 0

    def flush(self) -> None:
        """Do there what was done to roles and policies since the last time."""
        steps: dict[str, Callable[..., None]] = {
            "put_role": self._put_role,
            "put_trust_policy": self._put_trust_policy,
            "describe_role": self._describe_role,
            "remove_role": self._remove_role,
            "put_role_policy": self._put_role_policy,
            "remove_role_policy": self._remove_role_policy,
            "put_managed_policy": self._put_managed_policy,
            "remove_managed_policy": self._remove_managed_policy,
            "attach": self._attach,
            "detach": self._detach,
        }
        while self._done < len(self._iam.history):
            method, arguments = self._iam.history[self._done]
            # Policies of resources belong to the service of the resource.
            if method in steps:
                steps[method](*arguments)
            self._done += 1

    def _forward(self, operation: str, **params: Any) -> Answer:
        return self._remote.forward("iam", operation, params)

    def _put_role(self, arn: str, trust: Any, inline: Any) -> None:
        path, name = _path_and_name(arn)
        document = _text(trust)
        try:
            self._forward("CreateRole", RoleName=name, Path=path, AssumeRolePolicyDocument=document)
        except AwsError as error:
            if error.code != _EXISTS:
                raise
            self._put_trust_policy(arn, trust)
            self._empty(name)
        for policy, content in inline.items():
            self._put_role_policy(arn, policy, content)

    def _put_trust_policy(self, arn: str, trust: Any) -> None:
        _, name = _path_and_name(arn)
        self._forward("UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=_text(trust))

    def _describe_role(self, arn: str, text: str) -> None:
        _, name = _path_and_name(arn)
        self._forward("UpdateRole", RoleName=name, Description=text)

    def _remove_role(self, arn: str) -> None:
        """Delete a role; IAM wants it empty before."""
        _, name = _path_and_name(arn)
        self._empty(name)
        self._forward("DeleteRole", RoleName=name)

    def _empty(self, name: str) -> None:
        """Take every policy from a role."""
        for policy in self._forward("ListRolePolicies", RoleName=name)["PolicyNames"]:
            self._forward("DeleteRolePolicy", RoleName=name, PolicyName=policy)
        attached = self._forward("ListAttachedRolePolicies", RoleName=name)["AttachedPolicies"]
        for each in attached:
            self._forward("DetachRolePolicy", RoleName=name, PolicyArn=each["PolicyArn"])

    def _put_role_policy(self, arn: str, policy: str, document: Any) -> None:
        _, name = _path_and_name(arn)
        text = _text(document)
        self._forward("PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=text)

    def _remove_role_policy(self, arn: str, policy: str) -> None:
        _, name = _path_and_name(arn)
        self._forward("DeleteRolePolicy", RoleName=name, PolicyName=policy)

    def _put_managed_policy(self, arn: str, document: Any) -> None:
        path, name = _path_and_name(arn)
        text = _text(document)
        try:
            self._forward("CreatePolicy", PolicyName=name, Path=path, PolicyDocument=text)
        except AwsError as error:
            if error.code != _EXISTS:
                raise
            self._keep_one_version(arn)
            self._forward(
                "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=text, SetAsDefault=True
            )

    def _remove_managed_policy(self, arn: str) -> None:
        """Delete a policy; IAM wants its other versions gone before."""
        self._keep_one_version(arn)
        self._forward("DeletePolicy", PolicyArn=arn)

    def _keep_one_version(self, arn: str) -> None:
        """Delete the versions that are not in force: a policy has five at most."""
        for each in self._forward("ListPolicyVersions", PolicyArn=arn)["Versions"]:
            if not each["IsDefaultVersion"]:
                version = each["VersionId"]
                self._forward("DeletePolicyVersion", PolicyArn=arn, VersionId=version)

    def _attach(self, arn: str, policy_arn: str) -> None:
        _, name = _path_and_name(arn)
        self._forward("AttachRolePolicy", RoleName=name, PolicyArn=policy_arn)

    def _detach(self, arn: str, policy_arn: str) -> None:
        _, name = _path_and_name(arn)
        try:
            self._forward("DetachRolePolicy", RoleName=name, PolicyArn=policy_arn)
        except AwsError as error:
            # `Iam.detach` may be asked to take what a role does not have.
            if error.code != _NONE:
                raise


def _text(document: Any) -> str:
    """Return a policy's text; one without a version, which the twin takes, gets the usual one."""
    return json.dumps({"Version": "2012-10-17", **document})


def _path_and_name(arn: str) -> tuple[str, str]:
    """Return path and name of the role or policy of an ARN (``role/a/b`` is ``/a/``, ``b``)."""
    path, _, name = arn.partition("/")[2].rpartition("/")
    return (f"/{path}/" if path else "/"), name
