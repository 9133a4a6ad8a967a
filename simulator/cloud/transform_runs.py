"""One transform job from its launch to its end: a model's container asked about every file.

Used by `sagemaker_transform`; the requests are in `transform_requests`. A container computes
while the clock stands. Source: SageMaker developer guide, "Use Your Own Inference Code with
Batch Transform".
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud import role_logs
from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import EndpointServer, Reply
from simulator.cloud.errors import AwsError
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.job_files import split_uri
from simulator.cloud.job_records import JobBook, JobError, JobRecord
from simulator.cloud.job_s3 import RoleS3, session_of
from simulator.cloud.model_containers import laid_out
from simulator.cloud.operations import Params, Principal
from simulator.cloud.sagemaker_fleets import Instance
from simulator.cloud.training_runs import DOWNLOAD_BASE_S, DOWNLOAD_BYTES_PER_S, LAUNCH_S, UPLOAD_S
from simulator.cloud.transform_records import Parameters, asked_of_container, parameters
from simulator.cloud.transform_requests import TIMEOUT_S, InputFile, Requests

LOG_GROUP = "/aws/sagemaker/TransformJobs"
MOST_THREADS = 8
"""Requests that one process really has at once; what is more waits for its turn."""


@dataclass
class TransformJob(JobRecord):
    """One job; ``params`` are CreateTransformJob's, ``model`` is the container at its creation."""

    model: Params = field(default_factory=dict)
    role: str = ""
    servers: list[EndpointServer] = field(default_factory=list)


class TransformLife:
    """Takes jobs through their states."""

    def __init__(self, context: Context, book: JobBook[TransformJob]) -> None:
        self._context = context
        self._engine = context.engine
        self._book = book
        self._watchdog = Watchdog(context.engine)

    def of(self, job: TransformJob) -> Generator[simpy.Event, Any, None]:
        """Return the SimPy process of one job."""
        yield self._engine.env.timeout(LAUNCH_S) | job.stop
        status, why = "Failed", ""
        try:
            status, why = yield from self._work(job)
        except (JobError, ValueError) as failed:
            why = str(failed)
        except AwsError as error:
            why = f"ClientError: {error.message}"
        if job.stop.triggered:
            # What failed because its container was stopped is no failure. A job that is stopped
            # stores nothing (API reference, StopTransformJob).
            status, why = "Stopped", ""
        for server in job.servers:
            server.stop()
        job.servers.clear()
        self._book.finish(job, status, why)

    def request_stop(self, job: TransformJob) -> None:
        """End the containers of a job that is to be stopped, whatever they are asked just now."""
        for server in job.servers:
            server.stop()

    def _work(self, job: TransformJob) -> Generator[simpy.Event, Any, tuple[str, str]]:
        env = self._engine.env
        if job.stop.triggered:
            return "Stopped", ""
        s3 = RoleS3(self._context, self._principal(job))
        folder = self._context.state / "sagemaker" / "transform" / job.name
        # Job names of a twin that has ended are free again, and its folders are still there.
        shutil.rmtree(folder, ignore_errors=True)
        files = yield from _downloaded(job, folder, s3)
        size_b = sum(file.path.stat().st_size for file in files)
        yield env.timeout(DOWNLOAD_BASE_S + size_b / DOWNLOAD_BYTES_PER_S) | job.stop
        if job.stop.triggered:
            return "Stopped", ""
        instances = yield from self._launched(job, folder)
        job.started = self._engine.now()
        if job.stop.triggered:
            return "Stopped", ""
        settings = yield from self._settings(job)
        asking: list[simpy.Process] = []
        for number, instance in enumerate(instances):
            say = partial(self._say, job, number)
            say(settings.words)
            requests = Requests(env, job.params, settings, instance, job.stop, say)
            asking += requests.of(files[number :: len(instances)])
        yield env.all_of(asking)
        yield env.timeout(UPLOAD_S) | job.stop
        if job.stop.triggered:
            return "Stopped", ""
        return (yield from _stored(job, files, s3))

    def _launched(
        self, job: TransformJob, folder: Path
    ) -> Generator[simpy.Event, Any, list[Instance]]:
        """Start the instances; raises JobError when one does not answer /ping."""
        more = {**job.params.get("Environment", {}), **_variables(job.params)}
        served = yield from laid_out(self._context, job.model, job.role, folder / "ml", more)
        timeout_s = job.params.get("ModelClientConfig", {}).get(
            "InvocationsTimeoutInSeconds", TIMEOUT_S
        )
        principal = self._principal(job)
        for number in range(job.params["TransformResources"]["InstanceCount"]):
            stream = self._stream(job, number)
            job.servers.append(
                EndpointServer(
                    self._context,
                    self._watchdog,
                    f"transform-{job.name}",
                    served,
                    role_logs.writer(self._context, principal, LOG_GROUP, stream),
                    at_once=MOST_THREADS,
                    timeout_s=timeout_s,
                )
            )
        pings = [server.start() for server in job.servers]
        answers = []
        for ping in pings:
            answers.append((yield ping))
        if why_not := next(filter(None, answers), ""):
            raise JobError(
                "AlgorithmError: The container did not pass the ping health check. Please check "
                f"the logs of this job. ({why_not})"
            )
        return [Instance(server) for server in job.servers]

    def _settings(self, job: TransformJob) -> Generator[simpy.Event, Any, Parameters]:
        """Ask the first container for what the request leaves open; it need not know."""
        reply: Reply = yield job.servers[0].execution_parameters()
        said = asked_of_container(reply.body) if reply.status == 200 and reply.body else {}
        return parameters(job.params, said)

    def _stream(self, job: TransformJob, number: int) -> str:
        return f"{job.name}/i-{number + 1:017x}-{int(job.created.timestamp())}"

    def _say(self, job: TransformJob, number: int, words: str) -> None:
        at = self._engine.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        stream = f"{self._stream(job, number)}/data-log"
        line = f"{at}:[sagemaker logs]: {words}"
        role_logs.append(self._context, self._principal(job), LOG_GROUP, stream, [line])

    def _principal(self, job: TransformJob) -> Principal:
        return session_of(self._context, job.role)


def _variables(params: Params) -> dict[str, str]:
    """Return the variables of batch transform; settings only as far as the request has them."""
    said = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": params.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": {
            "SingleRecord": "SINGLE_RECORD",
            "MultiRecord": "MULTI_RECORD",
        }.get(params.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": params.get("MaxConcurrentTransforms") or None,
    }
    known = {name: str(value) for name, value in said.items() if value is not None}
    return {"SAGEMAKER_BATCH": "true", **known}


def _downloaded(
    job: TransformJob, folder: Path, s3: RoleS3
) -> Generator[simpy.Event, Any, list[InputFile]]:
    """Fetch every object of a prefix or manifest; raises JobError."""
    source = job.params["TransformInput"]["DataSource"]["S3DataSource"]
    files: list[InputFile] = []
    try:
        if source["S3DataType"] == "ManifestFile":
            found = _listed((yield from s3.get(source["S3Uri"])))
        else:
            bucket = split_uri(source["S3Uri"])[0]
            walked = yield from s3.walk(source["S3Uri"])
            found = [(f"{bucket}/{key}", relative) for key, relative in walked]
        for number, (place, relative) in enumerate(found):
            path = folder / "input" / str(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((yield from s3.get(f"s3://{place}")))
            files.append(InputFile(place, relative, path))
    except AwsError as error:
        raise JobError(f"ClientError: Failed to download data. {error.message}") from error
    return files


def _listed(manifest: bytes) -> list[tuple[str, str]]:
    """Return (bucket/key, path below the prefix) of what a manifest lists; raises JobError."""
    try:
        head, *relatives = json.loads(manifest)
        prefix = str(head["prefix"])
        bucket, key = split_uri(prefix)
        names = [str(each) for each in relatives]
    except (ValueError, TypeError, KeyError, AwsError) as error:
        raise JobError(f"ClientError: The manifest is not valid: {error!r}") from error
    return [(f"{bucket}/{key}{name}", name.lstrip("/")) for name in names]


def _stored(
    job: TransformJob, files: list[InputFile], s3: RoleS3
) -> Generator[simpy.Event, Any, tuple[str, str]]:
    """Store the output of the files that were transformed; return status and reason.

    "If any object fails in the transform job batch transform marks the job as failed" (API
    reference, TransformOutput, S3OutputPath).
    """
    target = job.params["TransformOutput"]
    root = target["S3OutputPath"].rstrip("/")
    for file in files:
        if not file.failure:
            body = file.output(target.get("AssembleWith", "None"))
            yield from s3.put(f"{root}/{file.relative}.out", body)
    failed = [file.failure for file in files if file.failure]
    if not failed:
        return "Completed", ""
    whose = "ClientError" if failed[0].startswith("ClientError") else "AlgorithmError"
    return "Failed", f"{whose}: See job logs for more information"
