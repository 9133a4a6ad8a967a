"""SageMaker's model registry: groups of model packages, their versions and who approved them.

Called by `dispatch` through `sagemaker_endpoints`; `sagemaker_models` asks it for the container
of a package. It outlives a twin: its file is in the state folder, like that of the Data Catalog.
Unversioned packages (of the marketplace) are refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_store import write_json
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.sagemaker_listing import listed

FORMAT = 1
_KEPT = (
    "ModelPackageDescription",
    "InferenceSpecification",
    "ModelMetrics",
    "MetadataProperties",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "SkipModelValidation",
)
_CREATED = {*_KEPT, "ModelPackageGroupName", "ModelApprovalStatus", "ClientToken", "Tags"}
_UPDATED = {
    "ModelPackageArn",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "CustomerMetadataPropertiesToRemove",
    "ClientToken",
}
_GROUP_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageGroupArn",
    "ModelPackageGroupDescription",
    "CreationTime",
    "ModelPackageGroupStatus",
)
_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
)


class Packages:
    """The registry. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = context.state / "sagemaker" / "model_packages.json"
        self._groups: dict[str, Answer] = {}
        self._packages: dict[str, Answer] = {}
        self._versions: dict[str, int] = {}
        self._tokens: dict[str, tuple[Params, str]] = {}
        if self._path.exists():
            self._load()

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        return {
            "CreateModelPackageGroup": Operation(self._create_group, self._group_arns),
            "DescribeModelPackageGroup": Operation(
                lambda call: self._group(call.params["ModelPackageGroupName"]), self._group_arns
            ),
            "ListModelPackageGroups": Operation(self._list_groups),
            "DeleteModelPackageGroup": Operation(self._delete_group, self._group_arns),
            "CreateModelPackage": Operation(self._create, self._new_arns),
            "DescribeModelPackage": Operation(
                lambda call: self._package(call.params["ModelPackageName"]), self._named
            ),
            "UpdateModelPackage": Operation(
                self._update, lambda params: (params["ModelPackageArn"],)
            ),
            "ListModelPackages": Operation(self._list),
            "DeleteModelPackage": Operation(self._delete, self._named),
        }

    def container(self, name: str) -> Params:
        """Return the container of an approved package; raises ValidationException."""
        package = self._package(name)
        if package["ModelApprovalStatus"] != "Approved":
            raise AwsError(
                "ValidationException",
                f"Model package {package['ModelPackageArn']} is not approved: its approval "
                f"status is {package['ModelApprovalStatus']}.",
            )
        containers = package["InferenceSpecification"]["Containers"]
        if len(containers) != 1 or "Image" not in containers[0]:
            raise NotSupportedByTwin("sagemaker:CreateModel of a package without one Image")
        members = ("Image", "ModelDataUrl", "Environment")
        return {each: containers[0][each] for each in members if each in containers[0]}

    def close(self) -> None:
        """Write the file; for the twin's end."""
        if self._groups or self._path.exists():
            self._save()

    # -- groups

    def _group_name(self, name_or_arn: str) -> str:
        return name_or_arn.rpartition("/")[2]

    def _group_arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"model-package-group/{name}")

    def _group_arns(self, params: Params) -> Sequence[str]:
        return (self._group_arn(self._group_name(params["ModelPackageGroupName"])),)

    def _group(self, name: str) -> Answer:
        name = self._group_name(name)
        if name not in self._groups:
            raise AwsError(
                "ValidationException", f"ModelPackageGroup {self._group_arn(name)} does not exist."
            )
        return self._groups[name]

    def _create_group(self, call: Call) -> Answer:
        params = call.params
        name, arn = (
            params["ModelPackageGroupName"],
            self._group_arn(params["ModelPackageGroupName"]),
        )
        if "ManagedConfiguration" in params:
            raise NotSupportedByTwin("sagemaker:CreateModelPackageGroup with ManagedConfiguration")
        if name in self._groups:
            raise AwsError("ValidationException", f"Model Package Group already exists: {arn}")
        described = {
            each: params[each] for each in ("ModelPackageGroupDescription",) if each in params
        }
        self._groups[name] = {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": arn,
            **described,
            "CreationTime": self._context.engine.now(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }
        self._save()
        return {"ModelPackageGroupArn": arn}

    def _list_groups(self, call: Call) -> Answer:
        if call.params.get("CrossAccountFilterOption", "SameAccount") != "SameAccount":
            raise NotSupportedByTwin("sagemaker:ListModelPackageGroups of other accounts")
        items = [_some(group, _GROUP_SUMMARY) for group in self._groups.values()]
        return listed(
            "ModelPackageGroupSummaryList",
            items,
            call.params,
            "ModelPackageGroupName",
            order="Ascending",
        )

    def _delete_group(self, call: Call) -> Answer:
        name = self._group(call.params["ModelPackageGroupName"])["ModelPackageGroupName"]
        if any(each["ModelPackageGroupName"] == name for each in self._packages.values()):
            raise AwsError(
                "ConflictException",
                f"Model Package Group {self._group_arn(name)} cannot be deleted because it still "
                "contains Model Packages.",
            )
        del self._groups[name]
        self._versions.pop(name, None)
        self._save()
        return {}

    # -- packages

    def _arn(self, group: str, version: int) -> str:
        return self._context.arn("sagemaker", f"model-package/{group}/{version}")

    def _new_arns(self, params: Params) -> Sequence[str]:
        """A package is created on two resources (service authorization reference)."""
        group = self._group_name(params.get("ModelPackageGroupName", "*"))
        return self._group_arn(group), self._arn(group, self._versions.get(group, 0) + 1)

    def _named(self, params: Params) -> Sequence[str]:
        name = params["ModelPackageName"]
        arn = (
            name
            if name.startswith("arn:")
            else self._context.arn("sagemaker", f"model-package/{name}")
        )
        return (arn,)

    def _package(self, name: str) -> Answer:
        (arn,) = self._named({"ModelPackageName": name})
        if arn not in self._packages:
            raise AwsError("ValidationException", f"ModelPackage {arn} does not exist.")
        return self._packages[arn]

    def _create(self, call: Call) -> Answer:
        params = call.params
        if refused := sorted(set(params) - _CREATED):
            raise NotSupportedByTwin(f"sagemaker:CreateModelPackage with {', '.join(refused)}")
        for member in ("ModelPackageGroupName", "InferenceSpecification"):
            if member not in params:
                raise AwsError("ValidationException", f"{member} is required.")
        group = self._group(params["ModelPackageGroupName"])["ModelPackageGroupName"]
        asked, earlier = self._tokens.get(params.get("ClientToken", ""), (params, ""))
        if earlier in self._packages:
            if asked != params:
                raise NotSupportedByTwin(
                    "sagemaker:CreateModelPackage with the ClientToken of another request"
                )
            return {"ModelPackageArn": earlier}
        version = self._versions[group] = self._versions.get(group, 0) + 1
        arn = self._arn(group, version)
        self._packages[arn] = {
            "ModelPackageName": group,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": version,
            "ModelPackageArn": arn,
            **_some(params, _KEPT),
            "CreationTime": self._context.engine.now(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "ModelApprovalStatus": params.get("ModelApprovalStatus", "PendingManualApproval"),
            "CreatedBy": {},
        }
        if "ClientToken" in params:
            self._tokens[params["ClientToken"]] = params, arn
        self._changed(self._packages[arn])
        return {"ModelPackageArn": arn}

    def _update(self, call: Call) -> Answer:
        params = call.params
        if refused := sorted(set(params) - _UPDATED):
            raise NotSupportedByTwin(f"sagemaker:UpdateModelPackage with {', '.join(refused)}")
        package = self._package(params["ModelPackageArn"])
        package.update(_some(params, ("ModelApprovalStatus", "ApprovalDescription")))
        metadata = {
            **package.get("CustomerMetadataProperties", {}),
            **params.get("CustomerMetadataProperties", {}),
        }
        for name in params.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(name, None)
        if metadata or "CustomerMetadataProperties" in package:
            package["CustomerMetadataProperties"] = metadata
        package |= {"LastModifiedTime": self._context.engine.now(), "LastModifiedBy": {}}
        self._changed(package)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def _list(self, call: Call) -> Answer:
        params = call.params
        group = params.get("ModelPackageGroupName")
        # Without a group, "Unversioned" is the default, and there are none here.
        versioned = group is not None or params.get("ModelPackageType") in ("Versioned", "Both")
        status = params.get("ModelApprovalStatus")
        items = [
            _some(package, _SUMMARY)
            for package in self._packages.values()
            if versioned
            and (group is None or package["ModelPackageGroupName"] == self._group_name(group))
            and status in (None, package["ModelApprovalStatus"])
        ]
        name = "ModelPackageGroupName"
        return listed("ModelPackageSummaryList", items, params, name, order="Ascending")

    def _delete(self, call: Call) -> Answer:
        package = self._package(call.params["ModelPackageName"])
        del self._packages[package["ModelPackageArn"]]
        self._save()
        return {}

    def _changed(self, package: Answer) -> None:
        """Keep a change, and tell EventBridge of it."""
        self._save()
        detail: dict[str, Any] = json.loads(json.dumps(package, default=datetime.isoformat))
        del detail["ModelPackageStatusDetails"], detail["CreatedBy"]
        detail.pop("LastModifiedBy", None)
        self._context.emit(
            "aws.sagemaker",
            "SageMaker Model Package State Change",
            detail,
            [package["ModelPackageArn"]],
        )

    # -- the file

    def _save(self) -> None:
        write_json(
            self._path,
            {
                "format": FORMAT,
                "groups": list(self._groups.values()),
                "packages": list(self._packages.values()),
                "versions": self._versions,
            },
        )

    def _load(self) -> None:
        found = json.loads(self._path.read_text("utf-8"))
        if found.get("format") != FORMAT:
            raise ValueError(f"{self._path}: format {found.get('format')}, not {FORMAT}")
        self._groups = {each["ModelPackageGroupName"]: _timed(each) for each in found["groups"]}
        self._packages = {each["ModelPackageArn"]: _timed(each) for each in found["packages"]}
        self._versions = found["versions"]


def _some(params: Params, members: Sequence[str]) -> Params:
    return {each: params[each] for each in members if each in params}


def _timed(item: Answer) -> Answer:
    times = ("CreationTime", "LastModifiedTime")
    return {
        name: datetime.fromisoformat(value) if name in times else value
        for name, value in item.items()
    }
