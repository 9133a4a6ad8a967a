"""SageMaker batch transform jobs: requests, descriptions, lists; the work is in `transform_runs`.

Called by `dispatch` and, through `wait_event`, by the workflow interpreter. Source of shapes
and states: SageMaker API reference, CreateTransformJob, DescribeTransformJob.
"""

from __future__ import annotations

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_records import JobBook, Kind, known
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.sagemaker_models import MOST_INSTANCES, Models
from simulator.cloud.transform_association import association
from simulator.cloud.transform_records import Parameters
from simulator.cloud.transform_runs import TransformJob, TransformLife

KIND = Kind(
    "TransformJob",
    "transform-job",
    "transform job",
    "TransformEndTime",
    "SageMaker Transform Job State Change",
)
_SHOWN = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
)
_KNOWN = frozenset({*_SHOWN, "TransformJobName", "Tags"})


class TransformJobs:
    """The transform operations of SageMaker. Used on the engine's thread only."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._models = models
        self._book = JobBook[TransformJob](context, KIND, _described)
        self._life = TransformLife(context, self._book)

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name.

        CreateTransformJob passes no role: the job is its model's, which was passed to that.
        """
        arns = self._book.arns
        return {
            "CreateTransformJob": Operation(self._create, arns),
            "DescribeTransformJob": Operation(
                lambda call: _described(self._book.job(call.params[KIND.name])), arns
            ),
            "ListTransformJobs": Operation(
                lambda call: self._book.list(
                    call, lambda job: known({"FailureReason": job.failure}), order="Descending"
                )
            ),
            "StopTransformJob": Operation(self._stop, arns),
        }

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of a job's end, whatever its status then is."""
        return self._book.job(name).ended

    def close(self) -> None:
        """Kill the containers of the jobs that have not ended."""
        for job in self._book.jobs.values():
            for server in job.servers:
                server.close()
            job.servers.clear()

    def _create(self, call: Call) -> Answer:
        params, engine = call.params, self._context.engine
        name = params[KIND.name]
        self._book.check_new(name)
        model = self._models.model(params["ModelName"])
        _refuse_unsupported(params)
        _check(params)
        job = TransformJob(
            name,
            self._book.arn(name),
            dict(params),
            engine.now(),
            engine.env.event(),
            engine.env.event(),
            model=self._models.container(params["ModelName"]),
            role=model["ExecutionRoleArn"],
        )
        self._book.add(job)
        engine.process(self._life.of(job))
        return {"TransformJobArn": job.arn}

    def _stop(self, call: Call) -> Answer:
        self._life.request_stop(self._book.request_stop(call))
        return {}


def _described(job: TransformJob) -> Answer:
    return {
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        **{name: job.params[name] for name in _SHOWN if name in job.params},
        "CreationTime": job.created,
        **known(
            {
                "FailureReason": job.failure,
                "TransformStartTime": job.started,
                "TransformEndTime": job.finished,
            }
        ),
    }


def _refuse_unsupported(params: Params) -> None:
    """Refuse by name what is not here."""
    refused = [name for name in params if name not in _KNOWN and params[name]]
    source, resources = params["TransformInput"], params["TransformResources"]
    if source.get("SplitType", "None") not in ("None", "Line"):
        refused.append(f"SplitType {source['SplitType']}")
    kind = source["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        refused.append(f"S3DataType {kind}")
    if "KmsKeyId" in params["TransformOutput"]:
        refused.append("TransformOutput.KmsKeyId")
    refused += [name for name in ("VolumeKmsKeyId", "TransformAmiVersion") if name in resources]
    if resources["InstanceCount"] > MOST_INSTANCES:
        refused.append(f"more than {MOST_INSTANCES} instances")
    if refused:
        raise NotSupportedByTwin(f"sagemaker:CreateTransformJob with {', '.join(refused)}")


def _check(params: Params) -> None:
    """Raise ValidationException for settings that do not go together; the words are our own."""
    try:
        association(params)
        # What the request leaves open the container may say; the limits are looked at again then.
        if "MaxPayloadInMB" in params:
            at_once = params.get("MaxConcurrentTransforms") or 1
            Parameters(at_once, payload_mb=params["MaxPayloadInMB"])
    except ValueError as error:
        raise AwsError("ValidationException", str(error)) from error
