"""One processing job from its launch to its end: a real process under the container contract.

Used by `sagemaker_processing`. The container computes while the clock stands; the modelled time
comes from the bytes of its inputs. Source: SageMaker developer guide, "Build Your Own
Processing Container".
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud import role_logs
from simulator.cloud.containers import ROOT, Container, Image
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.image_pulls import CANNOT_PULL, denied_action
from simulator.cloud.job_records import JobBook, JobError, JobRecord
from simulator.cloud.job_s3 import Mirror, RoleS3, session_of
from simulator.cloud.operations import Principal
from simulator.cloud.training_runs import (
    DOWNLOAD_BASE_S,
    DOWNLOAD_BYTES_PER_S,
    LAUNCH_S,
    STOP_GRACE_S,
    SYNC_S,
    UPLOAD_S,
)

PROCESS_BASE_S, PROCESS_BYTES_PER_S = 20.0, 20e6
"""Modelled work: a constant, and the input read once at this rate."""
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
MESSAGE_CHARS = 1024
_NO_IMAGE = Image((), Path(), {})


@dataclass
class ProcessingJob(JobRecord):
    """One job; ``params`` are CreateProcessingJob's, ``message`` is its ExitMessage."""

    image: Image = field(default=_NO_IMAGE)
    message: str = ""

    @property
    def max_runtime_s(self) -> float:
        """How long it may run; one day when not said (API reference, StoppingCondition)."""
        return float(self.params.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))


class ProcessingLife:
    """Takes jobs through their states."""

    def __init__(self, context: Context, book: JobBook[ProcessingJob]) -> None:
        self._context = context
        self._engine = context.engine
        self._book = book
        self._watchdog = Watchdog(context.engine)

    def of(self, job: ProcessingJob) -> Generator[simpy.Event, Any, None]:
        """Return the SimPy process of one job."""
        yield self._engine.env.timeout(LAUNCH_S) | job.stop
        try:
            ended_as, why = yield from self._work(job)
        except JobError as failed:
            self._book.finish(job, "Failed", str(failed))
        except AwsError as error:
            self._book.finish(job, "Failed", f"ClientError: {error.message}")
        else:
            self._book.finish(job, ended_as, why)

    def _work(self, job: ProcessingJob) -> Generator[simpy.Event, Any, tuple[str, str]]:
        if job.stop.triggered:
            return "Stopped", ""
        principal = session_of(self._context, job.params["RoleArn"])
        s3 = RoleS3(self._context, principal)
        folder = self._context.state / "sagemaker" / "processing" / job.name
        # Job names of a twin that has ended are free again, and its folders are still there.
        shutil.rmtree(folder, ignore_errors=True)
        size_b = yield from self._prepare(job, folder, s3)
        yield self._engine.env.timeout(DOWNLOAD_BASE_S + size_b / DOWNLOAD_BYTES_PER_S) | job.stop
        if job.stop.triggered:
            return "Stopped", ""
        if denied_action(self._context, principal, job.params["AppSpecification"]["ImageUri"]):
            return "Failed", f"ClientError: {CANNOT_PULL}"
        outputs = _outputs(job, folder, s3)
        continuous = [mirror for mode, mirror in outputs if mode == "Continuous"]
        job.started = self._engine.now()
        ended_as, why = yield from self._run(job, folder, principal, size_b, continuous)
        job.message = _message(folder)
        # What a failed job left is not uploaded, but for what is copied continuously.
        if ended_as != "Failed":
            yield self._engine.env.timeout(UPLOAD_S)
            for _, mirror in outputs:
                yield from mirror.send()
        return ended_as, why

    def _prepare(
        self, job: ProcessingJob, folder: Path, s3: RoleS3
    ) -> Generator[simpy.Event, Any, int]:
        """Lay out what the container finds below /opt/ml; return the input's bytes."""
        (folder / "config").mkdir(parents=True, exist_ok=True)
        (folder / "output").mkdir(exist_ok=True)
        params = job.params
        cluster = params["ProcessingResources"]["ClusterConfig"]
        configs: dict[str, Any] = {
            "processingjobconfig": {
                "ProcessingJobArn": job.arn,
                "ProcessingJobName": job.name,
                "AppSpecification": params["AppSpecification"],
                "Environment": params.get("Environment", {}),
                "ProcessingInputs": params.get("ProcessingInputs", []),
                "ProcessingOutputConfig": params.get("ProcessingOutputConfig", {"Outputs": []}),
                "ProcessingResources": params["ProcessingResources"],
                "RoleArn": params["RoleArn"],
                "StoppingCondition": {"MaxRuntimeInSeconds": int(job.max_runtime_s)},
            },
            "resourceconfig": {
                "current_host": "algo-1",
                "hosts": ["algo-1"],
                "current_instance_type": cluster["InstanceType"],
            },
        }
        for name, value in configs.items():
            (folder / "config" / f"{name}.json").write_text(json.dumps(value))
        size_b = 0
        for each in params.get("ProcessingInputs", []):
            into = _place(folder, each["S3Input"]["LocalPath"])
            try:
                size_b += yield from s3.download(each["S3Input"]["S3Uri"], into)
            except AwsError as error:
                words = f"ClientError: Failed to download data. {error.message}"
                raise JobError(words) from error
        return size_b

    def _run(
        self,
        job: ProcessingJob,
        folder: Path,
        principal: Principal,
        size_b: int,
        continuous: list[Mirror],
    ) -> Generator[simpy.Event, Any, tuple[str, str]]:
        """Run the container, then let its modelled time pass; return status and reason."""
        env, began_s = self._engine.env, self._engine.env.now
        too_long = f"Job exceeded MaxRuntimeInSeconds of {job.max_runtime_s:.0f}"
        container = job.container = self._start(job, folder, principal)
        limit = env.timeout(job.max_runtime_s)
        while not (container.exited.triggered or limit.processed or job.stop.triggered):
            ends = container.exited | limit | job.stop
            yield ends | env.timeout(SYNC_S) if continuous else ends
            for mirror in continuous:
                yield from mirror.send()
        if not container.exited.triggered:
            container.stop(STOP_GRACE_S)
        code: int = yield container.exited
        for mirror in continuous:
            yield from mirror.send()
        left_s = began_s + job.max_runtime_s - env.now
        if job.stop.triggered:
            return "Stopped", ""
        if left_s <= 0.0:
            return "Stopped", too_long
        if code != 0:
            return "Failed", "AlgorithmError: See job logs for more information"
        modelled_s = PROCESS_BASE_S + size_b / PROCESS_BYTES_PER_S
        yield env.timeout(min(modelled_s, left_s)) | job.stop
        if job.stop.triggered:
            return "Stopped", ""
        return ("Stopped", too_long) if modelled_s > left_s else ("Completed", "")

    def _start(self, job: ProcessingJob, folder: Path, principal: Principal) -> Container:
        application = job.params["AppSpecification"]
        words = application.get("ContainerEntrypoint", job.image.entrypoint)
        words = [*words, *application.get("ContainerArguments", [])]
        worker = f"processing/{job.name}"
        assert principal.role_arn is not None
        environ = job.image.environ(
            self._context.child_environment(principal.role_arn, "SageMaker", worker),
            job.params.get("Environment", {}),
        )
        stream = f"{job.name}/algo-1-{int(job.created.timestamp())}"
        container = Container(
            self._context,
            self._watchdog,
            worker,
            words,
            environ,
            job.image,
            folder,
            role_logs.writer(self._context, principal, LOG_GROUP, stream),
        )
        container.begin()
        return container


def _place(folder: Path, local_path: str) -> Path:
    place = folder / local_path.removeprefix(ROOT)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _outputs(job: ProcessingJob, folder: Path, s3: RoleS3) -> list[tuple[str, Mirror]]:
    """Return the upload mode of each output and what copies it."""
    outputs = [
        each["S3Output"] for each in job.params.get("ProcessingOutputConfig", {}).get("Outputs", [])
    ]
    return [
        (each["S3UploadMode"], Mirror(s3, _place(folder, each["LocalPath"]), each["S3Uri"]))
        for each in outputs
    ]


def _message(folder: Path) -> str:
    """Return what the container left in output/message; raises JobError when it is no UTF-8."""
    path = folder / "output" / "message"
    if not path.is_file():
        return ""
    try:
        return path.read_text("utf-8")[:MESSAGE_CHARS]
    except UnicodeDecodeError:
        raise JobError("AlgorithmError: /opt/ml/output/message is not UTF-8") from None
