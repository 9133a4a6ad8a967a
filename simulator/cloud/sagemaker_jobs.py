"""SageMaker training jobs: requests, descriptions, lists; the work is in `training_runs`.

Called by `dispatch` and, through `TrainingJobs.wait_event`, by the workflow interpreter.
Source of shapes and states: SageMaker API reference, CreateTrainingJob, DescribeTrainingJob.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import simpy

from simulator.cloud import containers
from simulator.cloud.compute_turns import ComputeTurns
from simulator.cloud.containers import Image
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_records import ENDED, between, emit_training
from simulator.cloud.job_s3 import check_input
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.training_runs import TrainingJob, TrainingLife

_SHOWN = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "Environment",
    "CheckpointConfig",
)
_KNOWN = frozenset({*_SHOWN, "TrainingJobName", "Tags"})
_SWITCHES = (
    "EnableNetworkIsolation",
    "EnableManagedSpotTraining",
    "EnableInterContainerTrafficEncryption",
)


class TrainingJobs:
    """The training operations of SageMaker. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs: dict[str, TrainingJob] = {}
        self._life = TrainingLife(context, self._tell)

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        return {
            "CreateTrainingJob": Operation(
                self._create, self._arns, passes_role={"RoleArn": "sagemaker.amazonaws.com"}
            ),
            "DescribeTrainingJob": Operation(self._describe, self._arns),
            "ListTrainingJobs": Operation(self._list),
            "StopTrainingJob": Operation(self._stop, self._arns),
        }

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of a job's end, whatever its status then is."""
        return self._job(name).ended

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"training-job/{name.lower()}")

    def _arns(self, params: Params) -> Sequence[str]:
        return (self._arn(params["TrainingJobName"]),)

    def _job(self, name: str) -> TrainingJob:
        job = self._jobs.get(name)
        if job is None:
            raise AwsError("ValidationException", "Requested resource not found.")
        return job

    def _create(self, call: Call) -> Answer:
        params = call.params
        self.check(params)
        for channel in params.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            check_input(self._context, uri, params["RoleArn"])
        return {"TrainingJobArn": self.start(params).arn}

    def start(
        self, params: Params, tuning_arn: str = "", turns: ComputeTurns | None = None
    ) -> TrainingJob:
        """Start a job, which may be the child of a tuning job; raises as CreateTrainingJob."""
        engine = self._context.engine
        name = params["TrainingJobName"]
        arn = self._arn(name)
        if name in self._jobs:
            raise AwsError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, "
                f"and a training job with this name already exists ({arn})",
            )
        job = TrainingJob(
            name,
            arn,
            dict(params),
            self.check(params),
            engine.now(),
            engine.env.event(),
            engine.env.event(),
            tuning_arn=tuning_arn,
            turns=turns,
        )
        self._jobs[name] = job
        engine.process(self._life.of(job))
        return job

    def check(self, params: Params) -> Image:
        """Return the image of a job that could be started.

        Raises NotSupportedByTwin, and ValidationException for an unknown image.
        """
        _refuse_unsupported(params)
        return containers.image(self._context, params["AlgorithmSpecification"]["TrainingImage"])

    def stop(self, job: TrainingJob) -> None:
        """Begin to stop a job that has not ended."""
        if job.status not in ENDED:
            self._life.request_stop(job)

    def _tell(self, job: TrainingJob) -> None:
        emit_training(self._context, job.arn, _described(job))

    def _describe(self, call: Call) -> Answer:
        return _described(self._job(call.params["TrainingJobName"]))

    def _list(self, call: Call) -> Answer:
        params = call.params
        jobs = [
            job
            for job in self._jobs.values()
            if params.get("NameContains", "") in job.name
            and params.get("StatusEquals", job.status) == job.status
            and between(job.created, params, "CreationTime")
            and between(job.modified, params, "LastModifiedTime")
        ]
        order = params.get("SortBy", "CreationTime")
        keys = {
            "Name": lambda job: job.name,
            "Status": lambda job: job.status,
            "CreationTime": lambda job: job.created,
        }
        # "The default is Ascending" (ListTrainingJobs, SortOrder).
        jobs.sort(key=keys[order], reverse=params.get("SortOrder") == "Descending")
        first = int(params.get("NextToken", "0"))
        page = jobs[first : first + params.get("MaxResults", 10)]
        answer: Answer = {"TrainingJobSummaries": [_summary(job) for job in page]}
        if first + len(page) < len(jobs):
            answer["NextToken"] = str(first + len(page))
        return answer

    def _stop(self, call: Call) -> Answer:
        job = self._job(call.params["TrainingJobName"])
        if job.status in ENDED:
            raise AwsError(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        self._life.request_stop(job)
        return {}


def _described(job: TrainingJob) -> Answer:
    trained_s = job.trained_s
    answer: Answer = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "ModelArtifacts": {"S3ModelArtifacts": job.artefact_uri},
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        **{name: job.params[name] for name in _SHOWN if name in job.params},
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "SecondaryStatusTransitions": job.transitions,
        **dict.fromkeys(_SWITCHES, False),
    }
    optional: dict[str, Any] = {
        "FailureReason": job.failure or None,
        "TuningJobArn": job.tuning_arn or None,
        "TrainingStartTime": job.started,
        "TrainingEndTime": job.finished,
        "FinalMetricDataList": job.final_metrics or None,
        "TrainingTimeInSeconds": trained_s or None,
        "BillableTimeInSeconds": trained_s or None,
    }
    return answer | {key: value for key, value in optional.items() if value is not None}


def _summary(job: TrainingJob) -> Answer:
    summary: Answer = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
    }
    return summary if job.finished is None else summary | {"TrainingEndTime": job.finished}


def _refuse_unsupported(params: Params) -> None:
    """Refuse by name what a single plain process cannot be."""
    refused = [name for name in params if name not in _KNOWN and params[name]]
    resources, algorithm = params.get("ResourceConfig", {}), params["AlgorithmSpecification"]
    if resources.get("InstanceCount", 1) > 1 or "InstanceGroups" in resources:
        refused.append("more than one instance")
    if "TrainingImage" not in algorithm:
        refused.append("an AlgorithmName")
    if algorithm.get("TrainingInputMode") == "Pipe":
        refused.append("TrainingInputMode Pipe")
    for channel in params.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType", "") != "S3Prefix":
            refused.append(f"channel {channel['ChannelName']} that is not an S3Prefix")
        if channel.get("CompressionType", "None") != "None" or channel.get("InputMode") == "Pipe":
            refused.append(f"channel {channel['ChannelName']} compressed or piped")
    if refused:
        raise NotSupportedByTwin(f"sagemaker:CreateTrainingJob with {', '.join(refused)}")
