"""SageMaker processing jobs: requests, descriptions, lists; the work is in `processing_runs`.

Called by `dispatch` and, through `wait_event`, by the workflow interpreter. Source of shapes
and states: SageMaker API reference, CreateProcessingJob, DescribeProcessingJob.
"""

from __future__ import annotations

import simpy

from simulator.cloud import containers
from simulator.cloud.containers import ROOT
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_records import JobBook, Kind, known
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.processing_runs import ProcessingJob, ProcessingLife
from simulator.cloud.training_runs import STOP_GRACE_S

KIND = Kind(
    "ProcessingJob",
    "processing-job",
    "processing job",
    "ProcessingEndTime",
    "SageMaker Processing Job State Change",
)
_SHOWN = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "RoleArn",
)
_KNOWN = frozenset({*_SHOWN, "ProcessingJobName", "Tags"})


class ProcessingJobs:
    """The processing operations of SageMaker. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._book = JobBook[ProcessingJob](context, KIND, _described)
        self._life = ProcessingLife(context, self._book)

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        arns = self._book.arns
        return {
            "CreateProcessingJob": Operation(
                self._create, arns, passes_role={"RoleArn": "sagemaker.amazonaws.com"}
            ),
            "DescribeProcessingJob": Operation(
                lambda call: _described(self._book.job(call.params[KIND.name])), arns
            ),
            "ListProcessingJobs": Operation(
                lambda call: self._book.list(
                    call,
                    lambda job: known({"FailureReason": job.failure, "ExitMessage": job.message}),
                )
            ),
            "StopProcessingJob": Operation(self._stop, arns),
        }

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of a job's end, whatever its status then is."""
        return self._book.job(name).ended

    def _create(self, call: Call) -> Answer:
        params, engine = call.params, self._context.engine
        name = params[KIND.name]
        self._book.check_new(name)
        _refuse_unsupported(params)
        job = ProcessingJob(
            name,
            self._book.arn(name),
            dict(params),
            engine.now(),
            engine.env.event(),
            engine.env.event(),
        )
        job.image = containers.image(self._context, params["AppSpecification"]["ImageUri"])
        self._book.add(job)
        engine.process(self._life.of(job))
        return {"ProcessingJobArn": job.arn}

    def _stop(self, call: Call) -> Answer:
        job = self._book.request_stop(call)
        # While it computes no event is processed: the signal cannot wait for its turn.
        if job.container is not None:
            job.container.stop(STOP_GRACE_S)
        return {}


def _described(job: ProcessingJob) -> Answer:
    return {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": job.arn,
        "ProcessingJobStatus": job.status,
        **{name: job.params[name] for name in _SHOWN if name in job.params},
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **known(
            {
                "FailureReason": job.failure,
                "ExitMessage": job.message,
                "ProcessingStartTime": job.started,
                "ProcessingEndTime": job.finished,
            }
        ),
    }


def _refuse_unsupported(params: Params) -> None:
    """Refuse by name what a single process with plain folders cannot be."""
    refused = [name for name in params if name not in _KNOWN and params[name]]
    if params["ProcessingResources"]["ClusterConfig"]["InstanceCount"] > 1:
        refused.append("more than one instance")
    paths: list[str] = []
    for each in params.get("ProcessingInputs", []):
        source = each.get("S3Input", {})
        where = f"input {each['InputName']}"
        if "S3Input" not in each or source.get("S3DataType") != "S3Prefix":
            refused.append(f"{where} that is not an S3Prefix")
        if (
            source.get("S3InputMode", "File") != "File"
            or source.get("S3CompressionType", "None") != "None"
        ):
            refused.append(f"{where} piped or compressed")
        paths.append(source.get("LocalPath", ""))
    for each in params.get("ProcessingOutputConfig", {}).get("Outputs", []):
        if "S3Output" not in each or each.get("AppManaged"):
            refused.append(f"output {each['OutputName']} that is not copied to S3")
        paths.append(each.get("S3Output", {}).get("LocalPath", ""))
    if refused:
        raise NotSupportedByTwin(f"sagemaker:CreateProcessingJob with {', '.join(refused)}")
    for path in paths:
        if not path.startswith(f"{ROOT}processing/") or ".." in path.split("/"):
            raise AwsError(
                "ValidationException",
                f"LocalPath {path!r} must be a folder below {ROOT}processing/",
            )
