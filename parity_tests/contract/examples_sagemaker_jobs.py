"""Examples of SageMaker's jobs beside training: processing, batch transform, tuning."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.things import training_of
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

# -- tuning


def tuning_of(w: World, *parents: str) -> dict[str, Any]:
    """Return the parameters of a tuning job, which has one training job after the other."""
    training = training_of(w, "unnamed")
    depth = {"Name": "depth", "MinValue": "1", "MaxValue": "9", "ScalingType": "Linear"}
    named = [{"HyperParameterTuningJobName": name} for name in parents]
    warm = {
        "ParentHyperParameterTuningJobs": named,
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    return {
        "HyperParameterTuningJobName": w.new("tune"),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"IntegerParameterRanges": [depth]},
            "TrainingJobEarlyStoppingType": "Off",
            "RandomSeed": 1,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": training["HyperParameters"],
            **{
                key: value
                for key, value in training.items()
                if key not in ("TrainingJobName", "HyperParameters")
            },
        },
        **({"WarmStartConfig": warm} if parents else {}),
    }


_NAME = "HyperParameterTuningJobName"


def _tuning(w: World) -> dict[str, Any]:
    params = tuning_of(w)
    w.do("sagemaker", "CreateHyperParameterTuningJob", **params)
    return {_NAME: params[_NAME]}


def _tuned(w: World, *parents: str) -> dict[str, Any]:
    """Return the name of a tuning job that is over."""
    params = tuning_of(w, *parents)
    w.do("sagemaker", "CreateHyperParameterTuningJob", **params)
    w.cloud.engine.run(w.cloud.tuning.wait_event(params[_NAME]))
    return {_NAME: params[_NAME]}


def _to_tune(w: World) -> dict[str, Any]:
    """Return a job that is stopped before a container starts."""
    params = tuning_of(w)
    named = {_NAME: params[_NAME]}
    w.later(lambda: w.do("sagemaker", "StopHyperParameterTuningJob", **named))
    return params


_COUNTERS = " ".join(
    [
        below(
            "TrainingJobStatusCounters",
            "Completed InProgress RetryableError NonRetryableError Stopped",
        ),
        below("ObjectiveStatusCounters", "Succeeded Pending Failed"),
    ]
)
_TRIAL = """TrainingJobName TrainingJobArn CreationTime TrainingStartTime TrainingEndTime
TrainingJobStatus TunedHyperParameters ObjectiveStatus
FinalHyperParameterTuningJobObjectiveMetric.MetricName
FinalHyperParameterTuningJobObjectiveMetric.Value"""
_TUNING = f"""HyperParameterTuningJobName HyperParameterTuningJobArn LastModifiedTime CreationTime
HyperParameterTuningJobConfig TrainingJobDefinition HyperParameterTuningJobStatus
HyperParameterTuningEndTime {_COUNTERS} {below("BestTrainingJob", _TRIAL)}"""

jobs.add("CreateHyperParameterTuningJob", _to_tune, "HyperParameterTuningJobArn")
jobs.add("DescribeHyperParameterTuningJob", _tuned, _TUNING)
jobs.add(
    "DescribeHyperParameterTuningJob",
    lambda w: _tuned(w, _tuned(w)[_NAME]),
    f"WarmStartConfig {below('OverallBestTrainingJob', f'TuningJobName {_TRIAL}')}",
    note="with a parent",
)
jobs.add("StopHyperParameterTuningJob", _tuning)
jobs.add(
    "ListHyperParameterTuningJobs",
    lambda w: {"NameContains": _tuned(w)[_NAME]},
    below(
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName HyperParameterTuningJobArn HyperParameterTuningJobStatus"
        " Strategy CreationTime HyperParameterTuningEndTime LastModifiedTime"
        f" ResourceLimits {_COUNTERS}",
    ),
)
jobs.add(
    "ListTrainingJobsForHyperParameterTuningJob", _tuned, below("TrainingJobSummaries", _TRIAL)
)
