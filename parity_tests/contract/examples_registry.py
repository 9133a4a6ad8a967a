"""Examples of SageMaker's lists, of an endpoint's weights, and of its model registry."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

registry = Examples("sagemaker")


def _group(w: World) -> dict[str, Any]:
    name = w.new("group")
    w.do(
        "sagemaker",
        "CreateModelPackageGroup",
        ModelPackageGroupName=name,
        ModelPackageGroupDescription="Detectors",
    )
    return {"ModelPackageGroupName": name}


def _package_of(w: World) -> dict[str, Any]:
    job = w.do("sagemaker", "DescribeTrainingJob", TrainingJobName=w.trained)
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    statistics = {"ContentType": "application/json", "S3Uri": uri}
    return {
        **_group(w),
        "ModelPackageDescription": "Autoencoder",
        "InferenceSpecification": {
            "Containers": [{"Image": w.image, "ModelDataUrl": uri}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": {"auc": "0.9"},
    }


def _package(w: World) -> str:
    return str(w.do("sagemaker", "CreateModelPackage", **_package_of(w))["ModelPackageArn"])


def group_with_package(w: World) -> dict[str, Any]:
    """Return a group that cannot be deleted."""
    name = _package(w).split("/")[1]
    return {"ModelPackageGroupName": name}


_GROUP = "ModelPackageGroupName ModelPackageGroupArn CreationTime ModelPackageGroupStatus"
_PACKAGE = """ModelPackageGroupName ModelPackageVersion ModelPackageArn ModelPackageDescription
CreationTime ModelPackageStatus ModelApprovalStatus"""
registry.add(
    "CreateModelPackageGroup",
    lambda w: {"ModelPackageGroupName": w.new("group")},
    "ModelPackageGroupArn",
)
registry.add(
    "DescribeModelPackageGroup",
    _group,
    f"{_GROUP} ModelPackageGroupDescription CreatedBy",
)
registry.add(
    "ListModelPackageGroups",
    lambda w: {"NameContains": _group(w)["ModelPackageGroupName"]},
    below("ModelPackageGroupSummaryList", _GROUP),
)
registry.add("DeleteModelPackageGroup", _group)
registry.add("CreateModelPackage", _package_of, "ModelPackageArn")
registry.add(
    "DescribeModelPackage",
    lambda w: {"ModelPackageName": _package(w)},
    f"{_PACKAGE} InferenceSpecification.Containers.Image ModelMetrics.ModelQuality"
    " ModelPackageStatusDetails.ValidationStatuses CustomerMetadataProperties CreatedBy",
)
registry.add(
    "UpdateModelPackage",
    lambda w: {
        "ModelPackageArn": _package(w),
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "seen",
        "CustomerMetadataPropertiesToRemove": ["auc"],
    },
    "ModelPackageArn",
)
registry.add("ListModelPackages", group_with_package, below("ModelPackageSummaryList", _PACKAGE))
registry.add("DeleteModelPackage", lambda w: {"ModelPackageName": _package(w)})
registry.add(
    "ListModels",
    lambda w: {"NameContains": w.model()},
    below("Models", "ModelName ModelArn CreationTime"),
)
registry.add(
    "ListEndpointConfigs",
    lambda w: {"NameContains": w.endpoint_config()},
    below("EndpointConfigs", "EndpointConfigName EndpointConfigArn CreationTime"),
)
registry.add(
    "ListEndpoints",
    lambda w: {"NameContains": w.endpoint},
    below("Endpoints", "EndpointName EndpointArn CreationTime LastModifiedTime EndpointStatus"),
)


def _to_reweigh(w: World) -> dict[str, Any]:
    w.later(lambda: w.cloud.engine.run(w.cloud.endpoints.wait_event(w.endpoint)))
    wanted = {"VariantName": "AllTraffic", "DesiredWeight": 2.0}
    return {"EndpointName": w.endpoint, "DesiredWeightsAndCapacities": [wanted]}


registry.add("UpdateEndpointWeightsAndCapacities", _to_reweigh, "EndpointArn")
