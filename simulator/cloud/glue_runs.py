"""One Glue job run from STARTING to its end, on the run's clock.

Used by `simulator.cloud.glue`, which keeps the jobs. The script computes on the Spark host
while the clock stands; its modelled time passes afterwards, and only then what it wrote is
committed to S3.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud import job_files, role_logs
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.lake_formation_access import LakePermissions
from simulator.cloud.operations import Params, Principal
from simulator.cloud.spark import HostAnswer, ScriptRun, SparkHost

START_UP_S = 45.0
"""Modelled time from StartJobRun to the script's first line; AWS says "under a minute"."""
SCRIPT_BASE_S = 20.0
"""Modelled time of a script with no rows: a Spark context and an empty plan."""
ROWS_PER_S = 20_000.0
"""Modelled rows, read plus written, per second: about what the local host really does."""
DEFAULT_TIMEOUT_MIN = 480
ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR"})
SESSION = "GlueJobRunnerSession"
LOG_PREFIX = "/aws-glue/jobs"
"""What stands before `/output` in the group of what jobs print, unless an argument says so.

Source: Glue developer guide, "Logging for AWS Glue jobs".
"""
PREFIX_ARGUMENT = "--custom-logGroup-prefix"
METRICS_ARGUMENT = "--enable-metrics"
"""Glue's own switch; being there is enough, whatever its value."""


@dataclass
class Run:
    """One job run; ``params`` are the job's with the run's overrides."""

    run_id: str
    job: str
    params: Params
    arguments: dict[str, str]
    started: datetime
    ended: simpy.Event
    stop: simpy.Event
    state: str = "STARTING"
    computing: bool = False
    completed: datetime | None = None
    error: str = ""
    running_since_s: float | None = None
    execution_s: int = 0
    attempt: int = 0
    previous: str = ""

    @property
    def timeout_s(self) -> float:
        """How long it may be RUNNING, in seconds of the run's clock."""
        return 60.0 * float(self.params.get("Timeout", DEFAULT_TIMEOUT_MIN))


@dataclass
class _Outcome:
    state: str
    error: str = ""
    modelled_s: float = 0.0
    rows_in: int = 0
    writes: job_files.Writes = field(default_factory=job_files.Writes)


class RunLife:
    """Takes runs through their states."""

    def __init__(
        self,
        context: Context,
        objects: job_files.Objects,
        host: SparkHost,
        lake: LakePermissions | None = None,
    ) -> None:
        self._context = context
        self._lake = lake
        self._objects = objects
        self._host = host

    def of(self, run: Run) -> Generator[simpy.Event, Any, None]:
        """Be the SimPy process of one run."""
        env = self._context.engine.env
        yield env.timeout(START_UP_S) | run.stop
        with self._host.turn.request() as turn:
            yield turn | run.stop
            if run.stop.triggered:
                self._end(run, _Outcome("STOPPED"))
                return
            run.state, run.running_since_s = "RUNNING", env.now
            outcome = yield from self._compute(run)
        if outcome.state == "SUCCEEDED":
            # A run that failed shows it at once: its rows say nothing about its duration.
            left_s = run.running_since_s + run.timeout_s - env.now
            yield env.timeout(max(0.0, min(outcome.modelled_s, left_s))) | run.stop
            if run.stop.triggered:
                outcome.state = "STOPPED"
            elif outcome.modelled_s > left_s:
                outcome.state = "TIMEOUT"
        if outcome.state in ("STOPPED", "TIMEOUT"):
            job_files.discard(self._objects, outcome.writes)
        job_files.commit(self._objects, outcome.writes)
        self._end(run, outcome)

    def request_stop(self, run: Run) -> None:
        """Begin to stop a run; its SimPy process does the rest."""
        if run.state not in ENDED and not run.stop.triggered:
            run.state = "STOPPING"
            run.stop.succeed()
            # While it computes no event is processed: the kill cannot wait for its turn.
            if run.computing:
                self._host.kill("stopped")

    def _end(self, run: Run, outcome: _Outcome) -> None:
        engine = self._context.engine
        run.state, run.error, run.completed = outcome.state, outcome.error, engine.now()
        if run.running_since_s is not None:
            run.execution_s = math.ceil(engine.env.now - run.running_since_s)
        if METRICS_ARGUMENT in run.arguments:
            self._count(run, outcome)
        self._tell(run)
        run.ended.succeed(outcome.state)

    def _tell(self, run: Run) -> None:
        """Send Glue's event of a run's end (Glue Developer Guide, "Automating with events")."""
        is_good = run.state == "SUCCEEDED"
        detail = {
            "jobName": run.job,
            "severity": "INFO" if is_good else "ERROR",
            "state": run.state,
            "jobRunId": run.run_id,
            "message": run.error or f"Job run {run.state.lower()}",
        }
        self._context.emit("aws.glue", "Glue Job State Change", detail, [])

    def _count(self, run: Run, outcome: _Outcome) -> None:
        """Record what Glue measures of a job with metrics on, of the run and of all its runs.

        Names and dimensions: Glue Developer Guide, "Monitoring with Amazon CloudWatch". Those of
        the JVM and of single executors are not there: they say nothing about AWS's workers.
        """
        ran_s = run.execution_s if run.running_since_s is not None else 0
        values = (
            ("glue.driver.aggregate.elapsedTime", 1_000.0 * ran_s, "Milliseconds"),
            ("glue.driver.aggregate.recordsRead", float(outcome.rows_in), "Count"),
        )
        for name, value, unit in values:
            for run_id in (run.run_id, "ALL"):
                dimensions = {"JobName": run.job, "JobRunId": run_id, "Type": "count"}
                self._context.cloudwatch.record("Glue", name, dimensions, value, unit)

    def _compute(self, run: Run) -> Generator[simpy.Event, Any, _Outcome]:
        """Have the host run the script; the clock stands unless the script sleeps or waits."""
        role = run.params["Role"]
        if not role.startswith("arn:"):
            role = f"arn:aws:iam::{self._context.account}:role/{role}"
        worker = f"glue/{run.job}/{run.run_id}"
        try:
            principal = self._context.iam.principal_for_role(
                role, SESSION, service="glue.amazonaws.com"
            )
            script = self._script(run, principal, role, worker)
        except AwsError as error:
            return _Outcome("FAILED", f"LAUNCH ERROR | {error.message}")
        earlier = job_files.unregistered(self._objects, script.mounts)
        answered = self._host.run(
            script,
            worker,
            role_logs.writer(self._context, principal, log_group_of(run.arguments), run.run_id),
        )
        run.computing = True
        yield answered | self._context.engine.env.timeout(run.timeout_s) | run.stop
        run.computing = False
        stopped = run.stop.triggered
        if not answered.triggered:
            self._host.kill("stopped" if stopped else "timed out")
        answer: HostAnswer = yield answered
        writes = job_files.unregistered(self._objects, script.mounts).minus(earlier)
        if stopped or answer.error in ("stopped", "timed out"):
            return _Outcome("STOPPED" if stopped else "TIMEOUT", writes=writes)
        refused = job_files.refuse_unauthorised(self._context, self._objects, principal, writes)
        return self._judged(principal, answer, refused, writes)

    def _script(self, run: Run, principal: Principal, role: str, worker: str) -> ScriptRun:
        context = self._context
        script = job_files.local_source(context, principal, run.params["Command"]["ScriptLocation"])
        extra = run.arguments.get("--extra-py-files", "")
        arguments = [text for pair in run.arguments.items() for text in pair if text]
        environ = context.child_environment(role, SESSION, worker)
        return ScriptRun(
            script=script,
            argv=[script.name, "--JOB_NAME", run.job, "--JOB_RUN_ID", run.run_id, *arguments],
            paths=[
                job_files.local_source(context, principal, uri.strip())
                for uri in extra.split(",")
                if uri.strip()
            ],
            environ={
                name: value
                for name, value in environ.items()
                if name.startswith(("AWS_", "FLEETWIN_"))
            },
            mounts=job_files.mounts_for(context, principal, arguments, self._lake),
        )

    def _judged(
        self,
        principal: Principal,
        answer: HostAnswer,
        refused: str | None,
        writes: job_files.Writes,
    ) -> _Outcome:
        modelled_s = SCRIPT_BASE_S + math.ceil((answer.rows_in + answer.rows_out) / ROWS_PER_S)
        if answer.denied is not None:
            error = job_files.denial(self._context, principal, answer.denied)
        elif not answer.ok:
            error = answer.error
        elif refused is not None:
            error = refused
        else:
            return _Outcome("SUCCEEDED", "", modelled_s, answer.rows_in, writes)
        return _Outcome("FAILED", error, rows_in=answer.rows_in, writes=writes)


def log_group_of(arguments: Mapping[str, str]) -> str:
    """Return the group of what a run prints; the twin writes no `/error`."""
    return f"{arguments.get(PREFIX_ARGUMENT, LOG_PREFIX)}/output"
