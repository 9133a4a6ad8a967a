"""Roles and policies are read as they are: after updates, by IAM's own reads and by the drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.recording import only
from simulator.cloud.tests.stack_bench import ACCOUNT, applied, policy, resource, trust, twin

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
SHARED = f"arn:aws:iam::{ACCOUNT}:policy/shared"
LAMBDA = trust("lambda.amazonaws.com")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with twin(tmp_path) as found:
        yield found


def apply(cloud: Cloud, **resources: dict[str, Any]) -> None:
    """Apply a template; `applied` demands that there is no drift then."""
    applied(cloud, cloud.context.state.parent / "app", only(**resources))


def role(**more: Any) -> dict[str, Any]:
    given = {"RoleName": "r", "AssumeRolePolicyDocument": LAMBDA}
    return resource("AWS::IAM::Role", {**given, **more})


def own(*actions: str) -> list[dict[str, Any]]:
    return [{"PolicyName": each[3:], "PolicyDocument": policy(each, "*")} for each in actions]


def test_what_a_role_is_for_can_be_read_and_changes_with_its_template(cloud: Cloud) -> None:
    for text in ("reads the lake", "writes it", "writes it", None):
        apply(cloud, R=role(**({"Description": text} if text else {})))
        found = cloud.call("iam", "GetRole", RoleName="r")["Role"]
        assert found.get("Description", "") == (text or "")


def test_a_role_that_changes_is_read_with_its_new_trust_and_policies(cloud: Cloud) -> None:
    shared = resource(
        "AWS::IAM::ManagedPolicy",
        {"ManagedPolicyName": "shared", "PolicyDocument": policy("s3:GetObject", "*")},
    )
    apply(
        cloud,
        R=role(Policies=own("s3:Get*", "s3:Put*"), ManagedPolicyArns=[{"Ref": "M"}]),
        M=shared,
    )
    states = trust("states.amazonaws.com")
    apply(cloud, R=role(AssumeRolePolicyDocument=states, Policies=own("s3:Put*")), M=shared)
    named = {"RoleName": "r"}
    assert cloud.call("iam", "ListRolePolicies", **named)["PolicyNames"] == ["Put*"]
    assert cloud.call("iam", "ListAttachedRolePolicies", **named)["AttachedPolicies"] == []
    apply(cloud, R=role())
    listed = cloud.call("iam", "ListPolicies", Scope="Local")["Policies"]
    assert [each["PolicyName"] for each in listed] == []


def test_a_managed_policy_can_change_more_often_than_it_has_versions(cloud: Cloud) -> None:
    for number in range(7):
        document = policy("s3:GetObject", f"arn:aws:s3:::b/{number}")
        given = {"ManagedPolicyName": "shared", "Roles": ["r"], "PolicyDocument": document}
        managed = resource("AWS::IAM::ManagedPolicy", given, DependsOn="R")
        apply(cloud, R=role(), M=managed)
    assert len(cloud.call("iam", "ListPolicyVersions", PolicyArn=SHARED)["Versions"]) == 2


def test_a_role_that_is_put_again_has_nothing_of_the_one_before(cloud: Cloud) -> None:
    cloud.iam.put_managed_policy(SHARED, policy("s3:GetObject", "*"))
    cloud.iam.put_role(ROLE, LAMBDA, {"a": policy("s3:Get*", "*")}, (SHARED,))
    named = {"RoleName": "r"}
    assert cloud.call("iam", "ListRolePolicies", **named)["PolicyNames"] == ["a"]
    cloud.iam.put_role(ROLE, LAMBDA, {"b": policy("s3:Put*", "*")})
    cloud.iam.detach(ROLE, SHARED)
    assert cloud.call("iam", "ListRolePolicies", **named)["PolicyNames"] == ["b"]
    assert cloud.call("iam", "ListAttachedRolePolicies", **named)["AttachedPolicies"] == []


def test_what_was_done_to_roles_and_policies_by_hand_is_named(cloud: Cloud) -> None:
    inline = {"PolicyName": "p", "Roles": [{"Ref": "R"}], "PolicyDocument": policy("s3:List*", "*")}
    shared = {"ManagedPolicyName": "shared", "PolicyDocument": policy("s3:Get*", "*")}
    apply(
        cloud,
        R=role(Description="reads", Policies=own("s3:Put*")),
        P=resource("AWS::IAM::Policy", inline),
        M=resource("AWS::IAM::ManagedPolicy", {**shared, "Roles": [{"Ref": "R"}]}),
    )
    iam = cloud.iam
    iam.describe_role(ROLE, "writes")
    iam.put_trust_policy(ROLE, trust("states.amazonaws.com"))
    iam.remove_role_policy(ROLE, "Put*")
    iam.put_role_policy(ROLE, "p", policy("s3:*", "*"))
    iam.put_managed_policy(SHARED, policy("s3:Put*", "*"))
    iam.detach(ROLE, SHARED)
    found = sorted(line.partition(": ")[0].split(" ", 1)[1] for line in cloud.drift())
    assert found == [
        "AWS::IAM::ManagedPolicy.PolicyDocument.Statement[0].Action",
        "AWS::IAM::ManagedPolicy.Roles",
        "AWS::IAM::Policy.PolicyDocument.Statement[0].Action",
        "AWS::IAM::Role.AssumeRolePolicyDocument.Statement[0].Principal.Service",
        "AWS::IAM::Role.Description",
        "AWS::IAM::Role.Policies",
    ]
    iam.remove_role_policy(ROLE, "p")
    assert any("NoSuchEntity" in line or "cannot be found" in line for line in cloud.drift())
    with pytest.raises(AwsError, match="NoSuchEntity"):
        cloud.call("iam", "GetRolePolicy", RoleName="r", PolicyName="p")
