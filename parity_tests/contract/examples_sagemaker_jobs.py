"""Examples of SageMaker's jobs beside training: processing."""

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
