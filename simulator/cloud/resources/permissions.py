"""IAM roles and policies, KMS keys: they go straight to the twin's own decision function."""

from __future__ import annotations

import hashlib
import json
from functools import partial

from simulator.cloud.iam import Iam
from simulator.cloud.resources.declarations import NAMED, TEXT, enforced, honoured, kept, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::IAM::Role",
    {
        "RoleName": NAMED,
        "AssumeRolePolicyDocument": enforced(
            "test_iam.test_only_the_trusted_service_gets_a_session_of_the_role"
        ),
        "Policies": enforced("test_statement_removal.test_without_a_statement_a_call_is_denied"),
        "ManagedPolicyArns": enforced("test_iam.test_a_managed_policy_allows_once_it_is_attached"),
        "Path": honoured("test_iam.test_a_denial_is_worded_as_aws_words_it"),
        "Description": TEXT,
        "MaxSessionDuration": kept("sessions live as long as the process that holds them"),
    },
)
def role(resource: Resource) -> Outcome:
    """Register a role with its trust policy, inline policies and attached managed ones."""
    properties = resource.properties
    name = resource.name("RoleName")
    path = str(properties.take("Path", "/"))
    arn = f"arn:aws:iam::{resource.context.account}:role{path}{name}"
    trust = properties.need("AssumeRolePolicyDocument")
    inline = {
        each.need("PolicyName"): each.need("PolicyDocument") for each in properties.each("Policies")
    }
    managed = tuple(str(each) for each in properties.take("ManagedPolicyArns", []))
    description = str(properties.take("Description", ""))
    resource.register(
        partial(Iam.put_role, arn=arn, trust_policy=trust, inline=inline, managed=managed)
    )
    if description:
        resource.register(partial(Iam.describe_role, role_arn=arn, text=description))
    unique = hashlib.sha256(arn.encode()).hexdigest()[:17].upper()
    return name, {"Arn": arn, "RoleId": f"AROA{unique}"}


@maps(
    "AWS::IAM::Policy",
    {
        "PolicyName": enforced(
            "test_resources.test_roles_and_policies_decide_from_the_moment_they_are_deployed"
        ),
        "PolicyDocument": enforced(
            "test_resources.test_roles_and_policies_decide_from_the_moment_they_are_deployed"
        ),
        "Roles": enforced(
            "test_resources.test_roles_and_policies_decide_from_the_moment_they_are_deployed"
        ),
    },
)
def policy(resource: Resource) -> Outcome:
    """Put an inline policy on each of its roles."""
    properties = resource.properties
    name = str(properties.need("PolicyName"))
    document = properties.need("PolicyDocument")
    roles = _role_arns(resource, properties.take("Roles", []))
    for arn in roles:
        resource.register(partial(Iam.put_role_policy, role_arn=arn, name=name, document=document))
    return name, {"Id": name}


@maps(
    "AWS::IAM::ManagedPolicy",
    {
        "ManagedPolicyName": NAMED,
        "Path": honoured("test_iam.test_a_managed_policy_allows_once_it_is_attached"),
        "PolicyDocument": enforced(
            "test_resources.test_roles_and_policies_decide_from_the_moment_they_are_deployed"
        ),
        "Roles": enforced(
            "test_resources.test_roles_and_policies_decide_from_the_moment_they_are_deployed"
        ),
        "Description": kept("text for people"),
    },
)
def managed_policy(resource: Resource) -> Outcome:
    """Register a managed policy and attach it to its roles."""
    properties = resource.properties
    name = resource.name("ManagedPolicyName", longest=128)
    path = str(properties.take("Path", "/"))
    arn = f"arn:aws:iam::{resource.context.account}:policy{path}{name}"
    document = properties.need("PolicyDocument")
    roles = _role_arns(resource, properties.take("Roles", []))
    resource.register(partial(Iam.put_managed_policy, arn=arn, document=document))
    for role_arn in roles:
        resource.register(partial(Iam.attach, role_arn=role_arn, policy_arn=arn))
    return arn, {"PolicyArn": arn, "Arn": arn}


def _role_arns(resource: Resource, names: list[str]) -> list[str]:
    """Return the ARNs of roles that the template names; a role's path is part of its ARN."""
    by_name = {arn.rpartition("/")[2]: arn for arn in resource.role_arns()}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise resource.error("Roles", f"there is no role {missing[0]} in the twin")
    return [by_name[name] for name in names]


@maps(
    "AWS::KMS::Key",
    {
        "KeyPolicy": enforced(
            "test_key_use.test_an_object_needs_one_action_to_be_written_and_one_to_be_read"
        ),
        "Description": TEXT,
        "EnableKeyRotation": stored("described; ciphertexts of a run never meet a rotated key"),
        "Enabled": enforced(
            "test_key_use.test_a_key_that_is_off_or_going_away_is_refused_to_root_too"
        ),
        "KeySpec": stored("moto keeps it; nothing here shows what follows"),
        "KeyUsage": stored("moto keeps it; nothing here shows what follows"),
        "Origin": stored("moto keeps it; nothing here shows what follows"),
        "MultiRegion": stored("moto keeps it; nothing here shows what follows"),
        "BypassPolicyLockoutSafetyCheck": stored("nothing is checked that it could pass by"),
        "PendingWindowInDays": kept("nothing is deleted while the twin runs"),
        "RotationPeriodInDays": kept("no run lasts long enough for a rotation"),
    },
)
def key(resource: Resource) -> Outcome:
    """Create a key; its policy is registered for decisions too."""
    properties = resource.properties
    document = properties.need("KeyPolicy")
    rotates = properties.truth("EnableKeyRotation")
    enabled = properties.truth("Enabled", True)
    values = {"Policy": json.dumps(document), **properties.rest()}
    params = resource.fit("kms", "CreateKey", values)
    key_id = str(resource.call("kms", "CreateKey", params)["KeyMetadata"]["KeyId"])
    if rotates:
        resource.call("kms", "EnableKeyRotation", {"KeyId": key_id})
    if not enabled:
        resource.call("kms", "DisableKey", {"KeyId": key_id})
    arn = resource.context.arn("kms", f"key/{key_id}")
    resource.register(partial(Iam.put_resource_policy, arn=arn, document=document))
    return key_id, {"Arn": arn, "KeyId": key_id}


@maps(
    "AWS::KMS::Alias",
    {
        "AliasName": honoured("test_forward.test_a_key_is_named_by_its_alias_and_its_ciphertext"),
        "TargetKeyId": honoured("test_forward.test_a_key_is_named_by_its_alias_and_its_ciphertext"),
    },
)
def alias(resource: Resource) -> Outcome:
    """Name a key."""
    params = resource.fit("kms", "CreateAlias", resource.properties.rest())
    resource.call("kms", "CreateAlias", params)
    return str(params["AliasName"]), {}
