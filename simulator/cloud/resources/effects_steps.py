"""Changes of several calls of which each needs what the last one answered.

Named by `Ask.operation` of the service ``STEPS``; called by `simulator.cloud.stack_deletion`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Call = Callable[[str, str, Mapping[str, Any]], dict[str, Any]]
"""Does one operation as the account's root: service, operation, parameters."""


def iot_policy_document(call: Call, params: Mapping[str, Any]) -> None:
    """Make a document a policy's default version: the one that has it already, or a new one.

    A policy has five versions at most; a sixth document is the service's error, as on AWS, where
    CloudFormation deletes none either. To go back takes no further version.
    """
    which = {"policyName": params["policyName"]}
    wanted = json.loads(params["policyDocument"])
    for version in call("iot", "ListPolicyVersions", which)["policyVersions"]:
        named = {**which, "policyVersionId": version["versionId"]}
        text = call("iot", "GetPolicyVersion", named)["policyDocument"]
        if json.loads(text) == wanted:
            call("iot", "SetDefaultPolicyVersion", named)
            return
    call("iot", "CreatePolicyVersion", {**params, "setAsDefault": True})


def iot_policy_deleted(call: Call, params: Mapping[str, Any]) -> None:
    """Delete a policy, the versions first that are not in force."""
    for version in call("iot", "ListPolicyVersions", params)["policyVersions"]:
        if not version["isDefaultVersion"]:
            named = {**params, "policyVersionId": version["versionId"]}
            call("iot", "DeletePolicyVersion", named)
    call("iot", "DeletePolicy", params)


def dashboard_published(call: Call, params: Mapping[str, Any]) -> None:
    """Make a dashboard's next version and publish it."""
    arn = str(call("quicksight", "UpdateDashboard", params)["VersionArn"])
    which = {name: params[name] for name in ("AwsAccountId", "DashboardId")}
    number = int(arn.rpartition("/")[2])
    call("quicksight", "UpdateDashboardPublishedVersion", {**which, "VersionNumber": number})


TABLE: Mapping[str, Callable[[Call, Mapping[str, Any]], None]] = {
    "dashboard_published": dashboard_published,
    "iot_policy_deleted": iot_policy_deleted,
    "iot_policy_document": iot_policy_document,
}
