"""Examples of SageMaker's jobs beside training: processing and batch transform."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

jobs = Examples("sagemaker")


def processing_of(w: World) -> dict[str, Any]:
    """Return the parameters of a processing job."""
    target = {
        "S3Uri": "s3://assets/processed",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "ProcessingJobName": w.new("processing"),
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 5,
            }
        },
        "AppSpecification": {"ImageUri": w.image},
        "RoleArn": w.role,
    }


def _processing(w: World) -> dict[str, Any]:
    params = processing_of(w)
    w.do("sagemaker", "CreateProcessingJob", **params)
    return {"ProcessingJobName": params["ProcessingJobName"]}


def _stopped(w: World) -> dict[str, Any]:
    named = _processing(w)
    w.do("sagemaker", "StopProcessingJob", **named)
    w.run()
    return named


_PROCESSING = """ProcessingJobName ProcessingJobArn ProcessingJobStatus ProcessingOutputConfig
ProcessingResources AppSpecification RoleArn CreationTime LastModifiedTime ProcessingEndTime"""


def _to_create(w: World) -> dict[str, Any]:
    """Return a job that is stopped before its container starts."""
    params = processing_of(w)
    name = params["ProcessingJobName"]
    w.later(lambda: w.do("sagemaker", "StopProcessingJob", ProcessingJobName=name))
    return params


jobs.add("CreateProcessingJob", _to_create, "ProcessingJobArn")
jobs.add("DescribeProcessingJob", _stopped, _PROCESSING)
jobs.add("StopProcessingJob", _processing)
jobs.add(
    "ListProcessingJobs",
    lambda w: {"NameContains": _stopped(w)["ProcessingJobName"]},
    below(
        "ProcessingJobSummaries",
        "ProcessingJobName ProcessingJobArn CreationTime LastModifiedTime ProcessingEndTime"
        " ProcessingJobStatus",
    ),
)

# -- batch transform


def transform_of(w: World) -> dict[str, Any]:
    """Return the parameters of a transform job."""
    place = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{w.bucket()}/rows/"}
    return {
        "TransformJobName": w.new("transform"),
        "ModelName": w.model(),
        "MaxConcurrentTransforms": 2,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
        "MaxPayloadInMB": 1,
        "BatchStrategy": "MultiRecord",
        "Environment": {"LEVEL": "info"},
        "TransformInput": {
            "DataSource": {"S3DataSource": place},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://assets/transformed",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "DataProcessing": {"JoinSource": "Input"},
    }


def _transform(w: World) -> dict[str, Any]:
    params = transform_of(w)
    w.do("sagemaker", "CreateTransformJob", **params)
    return {"TransformJobName": params["TransformJobName"]}


def _untransformed(w: World) -> dict[str, Any]:
    named = _transform(w)
    w.do("sagemaker", "StopTransformJob", **named)
    w.run()
    return named


def _to_transform(w: World) -> dict[str, Any]:
    """Return a job that is stopped before its container starts."""
    params = transform_of(w)
    name = params["TransformJobName"]
    w.later(lambda: w.do("sagemaker", "StopTransformJob", TransformJobName=name))
    return params


_TRANSFORM = """TransformJobName TransformJobArn TransformJobStatus ModelName TransformInput
MaxConcurrentTransforms ModelClientConfig MaxPayloadInMB BatchStrategy Environment
TransformOutput TransformResources CreationTime TransformEndTime DataProcessing"""

jobs.add("CreateTransformJob", _to_transform, "TransformJobArn")
jobs.add("DescribeTransformJob", _untransformed, _TRANSFORM)
jobs.add("StopTransformJob", _transform)
jobs.add(
    "ListTransformJobs",
    lambda w: {"NameContains": _untransformed(w)["TransformJobName"]},
    below(
        "TransformJobSummaries",
        "TransformJobName TransformJobArn CreationTime TransformEndTime LastModifiedTime"
        " TransformJobStatus",
    ),
)
