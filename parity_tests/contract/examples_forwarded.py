"""Examples of what is forwarded to moto: SSM, reads of IAM and KMS; and of STS."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

ssm, iam, kms, sts = Examples("ssm"), Examples("iam"), Examples("kms"), Examples("sts")

# -- SSM


def _parameter(w: World) -> str:
    name = f"/fleetwin/{w.new('parameter')}"
    w.do("ssm", "PutParameter", Name=name, Value="one", Type="String", Description="d")
    return name


_PARAMETER = "Name Type Value Version LastModifiedDate ARN DataType"

ssm.add(
    "PutParameter",
    lambda w: {"Name": f"/fleetwin/{w.new('put')}", "Value": "one", "Type": "String"},
    "Version Tier",
)
ssm.add("GetParameter", lambda w: {"Name": _parameter(w)}, below("Parameter", _PARAMETER))
ssm.add("GetParameters", lambda w: {"Names": [_parameter(w)]}, below("Parameters", _PARAMETER))
ssm.add(
    "GetParametersByPath",
    lambda w: {"Path": _parameter(w).rpartition("/")[0], "Recursive": True},
    below("Parameters", _PARAMETER),
)
ssm.add(
    "GetParameterHistory",
    lambda w: {"Name": _parameter(w)},
    below("Parameters", "Name Type Value Version LastModifiedDate"),
)
ssm.add(
    "DescribeParameters",
    lambda w: {
        "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": [_parameter(w)]}]
    },
    below("Parameters", "Name Type Version LastModifiedDate"),
)
ssm.add("DeleteParameter", lambda w: {"Name": _parameter(w)})
ssm.add("DeleteParameters", lambda w: {"Names": [_parameter(w)]}, "DeletedParameters")


def _tagged(w: World) -> dict[str, Any]:
    named = {"ResourceType": "Parameter", "ResourceId": _parameter(w)}
    w.do("ssm", "AddTagsToResource", **named, Tags=[{"Key": "a", "Value": "b"}])
    return named


ssm.add(
    "AddTagsToResource",
    lambda w: {
        "ResourceType": "Parameter",
        "ResourceId": _parameter(w),
        "Tags": [{"Key": "a", "Value": "b"}],
    },
)
ssm.add("ListTagsForResource", _tagged, "TagList.Key TagList.Value")

# -- IAM, whose roles and policies are those of the template


def _of_role(w: World) -> dict[str, Any]:
    for role in w.do("iam", "ListRoles")["Roles"]:
        named = {"RoleName": role["RoleName"]}
        if w.do("iam", "ListRolePolicies", **named)["PolicyNames"]:
            return named
    raise AssertionError("no role of the template has a policy of its own")


def _of_policy(w: World) -> dict[str, Any]:
    arn = f"arn:aws:iam::000000000000:policy/{w.new('contract')}"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    w.cloud.iam.put_managed_policy(arn, {"Version": "2012-10-17", "Statement": [statement]})
    return {"PolicyArn": arn}


def _policies(w: World) -> dict[str, Any]:
    _of_policy(w)
    return {"Scope": "Local"}


_ROLE = "Path RoleName RoleId Arn CreateDate AssumeRolePolicyDocument"
_POLICY = "PolicyName PolicyId Arn Path DefaultVersionId CreateDate UpdateDate"

iam.add("GetRole", _of_role, below("Role", _ROLE))
iam.add("ListRoles", lambda w: {}, below("Roles", _ROLE) + " IsTruncated")
iam.add("ListRolePolicies", _of_role, "PolicyNames IsTruncated")
iam.add(
    "GetRolePolicy",
    lambda w: {
        **_of_role(w),
        "PolicyName": w.do("iam", "ListRolePolicies", **_of_role(w))["PolicyNames"][0],
    },
    "RoleName PolicyName PolicyDocument",
)
iam.add("ListAttachedRolePolicies", _of_role, "AttachedPolicies IsTruncated")
iam.add("ListRoleTags", _of_role, "Tags IsTruncated")
iam.add("GetPolicy", _of_policy, below("Policy", _POLICY))
iam.add("ListPolicies", _policies, below("Policies", _POLICY) + " IsTruncated")
iam.add(
    "GetPolicyVersion",
    lambda w: {**_of_policy(w), "VersionId": "v1"},
    below("PolicyVersion", "Document VersionId IsDefaultVersion CreateDate"),
)
iam.add(
    "ListPolicyVersions",
    _of_policy,
    below("Versions", "VersionId IsDefaultVersion CreateDate") + " IsTruncated",
)

# -- KMS


def _key(w: World) -> dict[str, Any]:
    return {"KeyId": w.do("kms", "CreateKey", Description="d")["KeyMetadata"]["KeyId"]}


def _alias(w: World) -> dict[str, Any]:
    named = {"AliasName": f"alias/{w.new('a')}"}
    w.do("kms", "CreateAlias", **named, TargetKeyId=_key(w)["KeyId"])
    return named


def _ciphertext(w: World) -> dict[str, Any]:
    answer = w.do("kms", "Encrypt", **_key(w), Plaintext=b"secret")
    return {"CiphertextBlob": answer["CiphertextBlob"]}


def _keys(w: World) -> dict[str, Any]:
    _alias(w)
    return {}


def _tagged_key(w: World) -> dict[str, Any]:
    key = _key(w)
    w.do("kms", "TagResource", **key, Tags=[{"TagKey": "a", "TagValue": "b"}])
    return key


def _scheduled(w: World) -> dict[str, Any]:
    key = _key(w)
    w.do("kms", "ScheduleKeyDeletion", **key, PendingWindowInDays=7)
    return key


def _rotated(w: World) -> dict[str, Any]:
    key = _key(w)
    w.do("kms", "EnableKeyRotation", **key)
    return key


_KEY = "KeyId Arn AWSAccountId CreationDate Enabled KeyState KeyUsage Origin KeyManager"

kms.add("CreateKey", lambda w: {"Description": "d"}, below("KeyMetadata", _KEY))
kms.add("DescribeKey", _key, below("KeyMetadata", _KEY))
kms.add("ListKeys", _keys, "Keys.KeyId Keys.KeyArn Truncated")
kms.add("EnableKey", _key)
kms.add("DisableKey", _key)
kms.add("EnableKeyRotation", _key)
kms.add("DisableKeyRotation", _rotated)
kms.add("GetKeyRotationStatus", _rotated, "KeyRotationEnabled")
kms.add("GetKeyPolicy", lambda w: {**_key(w), "PolicyName": "default"}, "Policy")


def _policy(w: World) -> dict[str, Any]:
    key = _key(w)
    policy = w.do("kms", "GetKeyPolicy", **key, PolicyName="default")["Policy"]
    return {**key, "PolicyName": "default", "Policy": policy}


kms.add("PutKeyPolicy", _policy)
kms.add("UpdateKeyDescription", lambda w: {**_key(w), "Description": "other"})
kms.add("TagResource", lambda w: {**_key(w), "Tags": [{"TagKey": "a", "TagValue": "b"}]})
kms.add("ListResourceTags", _tagged_key, "Tags.TagKey Tags.TagValue Truncated")
kms.add(
    "ScheduleKeyDeletion",
    lambda w: {**_key(w), "PendingWindowInDays": 7},
    "KeyId DeletionDate",
)
kms.add("CancelKeyDeletion", _scheduled, "KeyId")
kms.add(
    "CreateAlias",
    lambda w: {"AliasName": f"alias/{w.new('a')}", "TargetKeyId": _key(w)["KeyId"]},
)
kms.add("UpdateAlias", lambda w: {**_alias(w), "TargetKeyId": _key(w)["KeyId"]})
kms.add("DeleteAlias", _alias)
kms.add(
    "ListAliases",
    _keys,
    "Aliases.AliasName Aliases.AliasArn Truncated",
)
kms.add("Encrypt", lambda w: {**_key(w), "Plaintext": b"secret"}, "CiphertextBlob KeyId")
kms.add("Decrypt", _ciphertext, "Plaintext KeyId EncryptionAlgorithm")
kms.add(
    "ReEncrypt",
    lambda w: {**_ciphertext(w), "DestinationKeyId": _key(w)["KeyId"]},
    "CiphertextBlob SourceKeyId KeyId",
)
kms.add(
    "GenerateDataKey",
    lambda w: {**_key(w), "KeySpec": "AES_256"},
    "CiphertextBlob Plaintext KeyId",
)
kms.add(
    "GenerateDataKeyWithoutPlaintext",
    lambda w: {**_key(w), "KeySpec": "AES_256"},
    "CiphertextBlob KeyId",
)

sts.add("GetCallerIdentity", lambda w: {}, "UserId Account Arn")
