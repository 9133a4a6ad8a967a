"""Groups of SageMaker's model registry, which outlives a twin."""

from __future__ import annotations

from simulator.cloud.resources.declarations import NAMED, TEXT
from simulator.cloud.resources.mapping import Outcome, Resource, maps

_NAME = "ModelPackageGroupName"


@maps(
    "AWS::SageMaker::ModelPackageGroup",
    {
        "ModelPackageGroupName": NAMED,
        "ModelPackageGroupDescription": TEXT,
    },
)
def model_package_group(resource: Resource) -> Outcome:
    """Create a group, or leave the one of an earlier run with its packages."""
    name = resource.name(_NAME, longest=63)
    values = {_NAME: name, **resource.properties.rest()}
    params = resource.fit("sagemaker", "CreateModelPackageGroup", values)
    context = resource.context
    known = (context.state / "sagemaker" / "model_packages.json").exists()
    if known and resource.exists(
        "sagemaker", "DescribeModelPackageGroup", {_NAME: name}, "ValidationException"
    ):
        resource.note("sagemaker", "CreateModelPackageGroup", params, {})
    else:
        resource.call("sagemaker", "CreateModelPackageGroup", params)
    arn = context.arn("sagemaker", f"model-package-group/{name}")
    return arn, {"ModelPackageGroupArn": arn, _NAME: name}
