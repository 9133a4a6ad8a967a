"""One training job from Starting to its end: a real process under the container contract.

Used by `simulator.cloud.sagemaker_jobs`. The container computes while the clock stands; the
modelled time of each phase comes from bytes and epochs. Source: SageMaker developer guide,
"Use Your Own Training Algorithms" (folders, files, exit codes, stop).
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud import role_logs
from simulator.cloud.compute_turns import ComputeTurns
from simulator.cloud.containers import ROOT, Container, Image
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.image_pulls import CANNOT_PULL, denied_action
from simulator.cloud.job_records import FAILURE_CHARS, JobError
from simulator.cloud.job_s3 import Mirror, RoleS3, archive, files_below, session_of
from simulator.cloud.operations import Answer, Params, Principal
from simulator.cloud.unsent_checkpoints import UnsentCheckpoints

LAUNCH_S = 90.0
"""Modelled time until an instance is there and the image is on it."""
DOWNLOAD_BASE_S, DOWNLOAD_BYTES_PER_S = 5.0, 100e6
TRAIN_BASE_S, EPOCH_BYTES_PER_S = 20.0, 20e6
"""Modelled training: a constant, and each epoch reads the input once at this rate."""
UPLOAD_S = 5.0
STOP_GRACE_S = 120.0
"""``docker stop -t 120`` (developer guide, "How Amazon SageMaker Runs Your Training Image")."""
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""The log group; also the namespace of its metrics, with the dimension TrainingJobName."""
SYNC_S = 60.0
"""How often checkpoints are copied while a container waits and the clock moves."""
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}

_LAST = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded"})


@dataclass
class TrainingJob:
    """One job; ``params`` are CreateTrainingJob's."""

    name: str
    arn: str
    params: Params
    image: Image
    created: datetime
    ended: simpy.Event
    stop: simpy.Event
    status: str = "InProgress"
    secondary: str = "Starting"
    failure: str = ""
    modified: datetime = field(init=False)
    started: datetime | None = None
    finished: datetime | None = None
    container: Container | None = None
    tuning_arn: str = ""
    turns: ComputeTurns | None = None
    """Jobs that share them compute in turn; children of a tuning job."""
    on_metric: Callable[[str, float], None] | None = None
    transitions: list[Answer] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    final_metrics: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def output_uri(self) -> str:
        """Where its archives go, without the last slash."""
        root: str = self.params["OutputDataConfig"]["S3OutputPath"]
        return f"{root.rstrip('/')}/{self.name}/output"

    @property
    def artefact_uri(self) -> str:
        """Where its model goes."""
        return f"{self.output_uri}/model.tar.gz"

    @property
    def trained_s(self) -> int | None:
        """TrainingTimeInSeconds, once it is over."""
        if self.started is None or self.finished is None:
            return None
        return math.ceil((self.finished - self.started).total_seconds())

    @property
    def max_runtime_s(self) -> float:
        """How long it may train; one day when not said (API reference, StoppingCondition)."""
        return float(self.params.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))


class TrainingLife:
    """Takes jobs through their states."""

    def __init__(self, context: Context, tell: Callable[[TrainingJob], None]) -> None:
        self._context = context
        self._tell = tell
        self._engine = context.engine
        self._watchdog = Watchdog(context.engine)
        self._unsent = UnsentCheckpoints(context.state)

    def of(self, job: TrainingJob) -> Generator[simpy.Event, Any, None]:
        """Return the SimPy process of one job, which is Starting from now on."""
        self._enter(job, "Starting")
        return self._live(job)

    def _live(self, job: TrainingJob) -> Generator[simpy.Event, Any, None]:
        folder = self._context.state / "sagemaker" / "training" / job.name
        yield self._engine.env.timeout(LAUNCH_S) | job.stop
        try:
            ended_as = yield from self._work(job, folder)
        except JobError as failed:
            self._finish(job, "Failed", str(failed))
        except AwsError as error:
            self._finish(job, "Failed", f"ClientError: {error.message}")
        else:
            self._finish(job, ended_as)

    def request_stop(self, job: TrainingJob) -> None:
        """Begin to stop a job; its SimPy process does the rest."""
        if not job.stop.triggered:
            job.status = "Stopping"
            self._enter(job, "Stopping")
            job.stop.succeed()
            # While it computes no event is processed: the signal cannot wait for its turn.
            if job.container is not None:
                job.container.stop(STOP_GRACE_S)

    def _work(self, job: TrainingJob, folder: Path) -> Generator[simpy.Event, Any, str]:
        if job.stop.triggered:
            return "Stopped"
        principal = session_of(self._context, job.params["RoleArn"])
        s3 = RoleS3(self._context, principal)
        self._enter(job, "Downloading")
        job.started = self._engine.now()
        if "CheckpointConfig" in job.params:
            yield from self._unsent.send(job.params["CheckpointConfig"]["S3Uri"], s3)
        # Job names of a twin that has ended are free again, and its folders are still there.
        shutil.rmtree(folder, ignore_errors=True)
        size_b = yield from self._prepare(job, folder, s3)
        checkpoints = _checkpoints(job, folder, s3)
        if checkpoints is not None:
            size_b += yield from checkpoints.restore()
            self._unsent.note(job.name, checkpoints.folder, checkpoints.uri)
        yield self._engine.env.timeout(DOWNLOAD_BASE_S + size_b / DOWNLOAD_BYTES_PER_S) | job.stop
        if job.stop.triggered:
            return "Stopped"
        self._enter(job, "Training")
        uri = job.params["AlgorithmSpecification"]["TrainingImage"]
        if denied_action(self._context, principal, uri):
            raise JobError(f"ClientError: {CANNOT_PULL}")
        ended_as = yield from self._in_turn(job, folder, principal, size_b, checkpoints)
        if not job.stop.triggered:
            self._enter(job, "Uploading")
        yield self._engine.env.timeout(UPLOAD_S)
        for name, source in (("model", folder / "model"), ("output", folder / "output" / "data")):
            if any(files_below(source)):
                yield from s3.put(f"{job.output_uri}/{name}.tar.gz", archive(source))
        return ended_as

    def _prepare(
        self, job: TrainingJob, folder: Path, s3: RoleS3
    ) -> Generator[simpy.Event, Any, int]:
        """Lay out what the container finds below /opt/ml; return the input's bytes."""
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        resources = job.params.get("ResourceConfig", {})
        instance = resources.get("InstanceType", "local")
        group = {"instance_group_name": "homogeneousCluster", "instance_type": instance}
        configs: dict[str, Any] = {
            "hyperparameters": job.params.get("HyperParameters", {}),
            "inputdataconfig": {
                channel["ChannelName"]: {
                    "ContentType": channel.get("ContentType", ""),
                    "TrainingInputMode": "File",
                    "S3DistributionType": "FullyReplicated",
                    "RecordWrapperType": "None",
                }
                for channel in job.params.get("InputDataConfig", [])
            },
            "resourceconfig": {
                "current_host": "algo-1",
                "current_instance_type": instance,
                "current_group_name": group["instance_group_name"],
                "hosts": ["algo-1"],
                "instance_groups": [{**group, "hosts": ["algo-1"]}],
                "network_interface_name": "lo",
            },
        }
        for name, value in configs.items():
            (folder / "input" / "config" / f"{name}.json").write_text(json.dumps(value))
        size_b = 0
        for channel in job.params.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            into = folder / "input" / "data" / channel["ChannelName"]
            into.mkdir(parents=True, exist_ok=True)
            try:
                size_b += yield from s3.download(uri, into)
            except AwsError as error:
                raise JobError(f"ClientError: Data download failed: {error.message}") from error
        return size_b

    def _in_turn(
        self,
        job: TrainingJob,
        folder: Path,
        principal: Principal,
        size_b: int,
        checkpoints: Mirror | None,
    ) -> Generator[simpy.Event, Any, str]:
        epochs = _positive(job.params.get("HyperParameters", {}).get("epochs"))
        modelled_s = TRAIN_BASE_S + epochs * size_b / EPOCH_BYTES_PER_S
        computing = self._compute(job, folder, principal, checkpoints)
        if job.turns is None:
            code, left_s = yield from computing
            return (yield from self._last(job, folder, code, modelled_s, left_s))
        slack_s = min(modelled_s, job.max_runtime_s)
        passed_s = yield from job.turns.company(slack_s, job.stop)
        code, left_s = yield from job.turns.take(computing)
        # The sum of two times on the clock may be a little more than its parts.
        still_s = max(0.0, modelled_s - passed_s)
        return (yield from self._last(job, folder, code, still_s, left_s - passed_s))

    def _compute(
        self, job: TrainingJob, folder: Path, principal: Principal, checkpoints: Mirror | None
    ) -> Generator[simpy.Event, Any, tuple[int, float]]:
        """Run the container; return its exit code and the seconds that it may still train."""
        env = self._engine.env
        if job.stop.triggered:
            return 0, job.max_runtime_s
        began_s = env.now
        container = job.container = self._start(job, folder, principal)
        limit = env.timeout(job.max_runtime_s)
        while not (container.exited.triggered or limit.processed or job.stop.triggered):
            ends = container.exited | limit | job.stop
            yield ends if checkpoints is None else ends | env.timeout(SYNC_S)
            if checkpoints is not None:
                yield from checkpoints.send()
        if not container.exited.triggered:
            container.stop(STOP_GRACE_S)
        code: int = yield container.exited
        if checkpoints is not None:
            yield from checkpoints.send()
            self._unsent.forget(job.name)
        return code, began_s + job.max_runtime_s - env.now

    def _last(
        self, job: TrainingJob, folder: Path, code: int, modelled_s: float, left_s: float
    ) -> Generator[simpy.Event, Any, str]:
        """Let what remains of the modelled time pass; return the final secondary status."""
        if job.stop.triggered:
            return "Stopped"
        if left_s <= 0.0:
            return "MaxRuntimeExceeded"
        if code != 0:
            raise JobError(_reason(folder, code))
        yield self._engine.env.timeout(min(modelled_s, left_s)) | job.stop
        if job.stop.triggered:
            return "Stopped"
        return "MaxRuntimeExceeded" if modelled_s > left_s else "Completed"

    def _start(self, job: TrainingJob, folder: Path, principal: Principal) -> Container:
        algorithm = job.params["AlgorithmSpecification"]
        words = algorithm.get("ContainerEntrypoint", job.image.entrypoint)
        words = [*words, *algorithm.get("ContainerArguments", ["train"])]
        worker = f"training/{job.name}"
        assert principal.role_arn is not None
        environ = job.image.environ(
            self._context.child_environment(principal.role_arn, "SageMaker", worker),
            {
                **job.params.get("Environment", {}),
                "TRAINING_JOB_NAME": job.name,
                "TRAINING_JOB_ARN": job.arn,
            },
        )
        regexes = [
            (definition["Name"], re.compile(definition["Regex"]))
            for definition in algorithm.get("MetricDefinitions", [])
        ]
        stream = f"{job.name}/algo-1-{int(job.created.timestamp())}"

        def on_line(line: str) -> None:
            role_logs.append(self._context, principal, LOG_GROUP, stream, [line])
            for name, regex in regexes:
                for found in regex.finditer(line):
                    self._measure(job, name, found)

        container = Container(
            self._context, self._watchdog, worker, words, environ, job.image, folder, on_line
        )
        container.begin()
        return container

    def _measure(self, job: TrainingJob, name: str, found: re.Match[str]) -> None:
        """Keep a value that a metric's regex found; what comes after a stop counts no more."""
        value = _value(found)
        if value is None or job.stop.triggered:
            return
        job.metrics[name] = value
        dimensions = {"TrainingJobName": job.name}
        self._context.cloudwatch.record(LOG_GROUP, name, dimensions, value, "None")
        if job.on_metric is not None:
            job.on_metric(name, value)

    def _enter(self, job: TrainingJob, secondary: str) -> None:
        now = self._engine.now()
        if job.transitions:
            job.transitions[-1].setdefault("EndTime", now)
        job.secondary, job.modified = secondary, now
        job.transitions.append(
            {"Status": secondary, "StartTime": now, "StatusMessage": MESSAGES[secondary]}
        )
        if secondary not in _LAST:
            self._tell(job)

    def _finish(self, job: TrainingJob, secondary: str, failure: str = "") -> None:
        self._enter(job, secondary)
        job.status = "Stopped" if secondary == "MaxRuntimeExceeded" else secondary
        job.failure = failure[:FAILURE_CHARS]
        job.finished = self._engine.now()
        job.transitions[-1]["EndTime"] = job.finished
        if failure:
            job.transitions[-1]["StatusMessage"] = job.failure
        for name, value in job.metrics.items():
            job.final_metrics.append(
                {"MetricName": name, "Value": value, "Timestamp": job.finished}
            )
        self._tell(job)
        job.ended.succeed(job.status)


def _reason(folder: Path, code: int) -> str:
    """Return AlgorithmError with what the container left in output/failure."""
    path = folder / "output" / "failure"
    text = path.read_text("utf-8", "replace")[:FAILURE_CHARS] if path.is_file() else ""
    end = f", exit code: {code if code >= 0 else 128 - code}"
    head = "AlgorithmError: "
    return head + text[: FAILURE_CHARS - len(head) - len(end)] + end


def _positive(text: str | None) -> float:
    try:
        return max(1.0, float(text or 1))
    except ValueError:
        return 1.0


def _value(found: re.Match[str]) -> float | None:
    try:
        value = float(found.group(1))
    except (ValueError, IndexError):
        return None
    return value if math.isfinite(value) else None


def _checkpoints(job: TrainingJob, folder: Path, s3: RoleS3) -> Mirror | None:
    """Return what copies the job's checkpoints (developer guide, "Checkpoints")."""
    config = job.params.get("CheckpointConfig")
    if config is None:
        return None
    place = folder / config.get("LocalPath", f"{ROOT}checkpoints").removeprefix(ROOT)
    place.mkdir(parents=True, exist_ok=True)
    return Mirror(s3, place, config["S3Uri"])
