"""AWS Glue jobs on real Spark: definitions, runs and their states on the run's clock.

A run starts up for a constant, computes while the clock stands, and ends after a modelled
duration that depends on its rows; only then its files are S3 objects. Called by `dispatch`
and, through `Glue.wait_event`, by the workflow interpreter. The catalog is not here.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_runs import DEFAULT_TIMEOUT_MIN, ENDED, Run, RunLife
from simulator.cloud.job_files import Objects
from simulator.cloud.lake_formation_access import LakePermissions
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.spark import SparkHost

GLUE_VERSIONS = ("5.0", "5.1")
"""Glue 5.0 and 5.1 run Spark 3.5, Python 3.11 and Java 17, as the host does."""
DPU_OF = {"Standard": 1.0, "G.025X": 0.25, "G.1X": 1.0, "G.2X": 2.0, "G.4X": 4.0, "G.8X": 8.0}
_WORKERS, _WORKER_TYPE = 2, "G.1X"
_OVERRIDES = ("Timeout", "MaxCapacity", "NumberOfWorkers", "WorkerType", "ExecutionClass")
_REFUSED = ("Connections", "CodeGenConfigurationNodes", "JobRunQueuingEnabled")


@dataclass
class _Job:
    params: Params
    created: datetime
    modified: datetime
    runs: list[Run] = field(default_factory=list)

    @property
    def most_at_once(self) -> int:
        return int(self.params.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1))


class Glue:
    """The job operations of Glue. Used on the engine's thread only."""

    def __init__(
        self, context: Context, objects: Objects, lake: LakePermissions | None = None
    ) -> None:
        self._context = context
        self._host = SparkHost(context.engine, context.processes, context.state, context.s3a_jars)
        self._life = RunLife(context, objects, self._host, lake)
        self._jobs: dict[str, _Job] = {}

    def prewarm(self) -> None:
        """Start Spark in the background; raises EnvironmentMissing when there is no Java 17."""
        if not self._host.cold:
            self._host.prewarm()

    @property
    def warm(self) -> bool:
        """Whether Spark has warmed up, which takes wall time: for measurements only."""
        return self._host.warm

    def start_cold(self) -> None:
        """Have each job run start a Spark process of its own."""
        self._host.cold = True

    @property
    def names(self) -> list[str]:
        """Return the names of the jobs."""
        return list(self._jobs)

    def operations(self) -> dict[str, Operation]:
        """Return the job operations, keyed by botocore's name."""
        return {
            "CreateJob": Operation(
                self._create,
                lambda params: self._job_arn(params["Name"]),
                passes_role={"Role": "glue.amazonaws.com"},
            ),
            "UpdateJob": Operation(
                self._update,
                self._by_job_name,
                passes_role={"JobUpdate.Role": "glue.amazonaws.com"},
            ),
            "GetJob": Operation(self._get, self._by_job_name),
            "DeleteJob": Operation(self._delete, self._by_job_name),
            "StartJobRun": Operation(self._start, self._by_job_name),
            "GetJobRun": Operation(self._get_run, self._by_job_name),
            "GetJobRuns": Operation(self._get_runs, self._by_job_name),
            "BatchStopJobRun": Operation(self._stop, self._by_job_name),
        }

    def wait_event(self, run_id: str) -> simpy.Event:
        """Return the event of a run's end, whatever its state then is."""
        for job in self._jobs.values():
            for run in job.runs:
                if run.run_id == run_id:
                    return run.ended
        raise _not_found(f"Job run {run_id} not found.")

    # -- operations

    def _job_arn(self, name: str) -> Sequence[str]:
        return (self._context.arn("glue", f"job/{name}"),)

    def _by_job_name(self, params: Params) -> Sequence[str]:
        return self._job_arn(params["JobName"])

    def _job(self, name: str) -> _Job:
        job = self._jobs.get(name)
        if job is None:
            raise _not_found(f"Failed to find job with name {name}.")
        return job

    def _run_of(self, params: Params) -> Run:
        for run in self._job(params["JobName"]).runs:
            if run.run_id == params["RunId"]:
                return run
        raise _not_found(f"Job run {params['RunId']} not found.")

    def _create(self, call: Call) -> Answer:
        params = call.params
        if params["Name"] in self._jobs:
            raise AwsError(
                "AlreadyExistsException", f"Job with name {params['Name']} already exists."
            )
        refuse_job(params)
        now = self._context.engine.now()
        self._jobs[params["Name"]] = _Job(dict(params), now, now)
        return {"Name": params["Name"]}

    def _update(self, call: Call) -> Answer:
        """Replace a job's definition (Glue API reference, UpdateJob); its runs stay."""
        name = call.params["JobName"]
        job, given = self._job(name), dict(call.params["JobUpdate"])
        if "Role" not in given or "Command" not in given:
            raise AwsError("InvalidInputException", "Role and Command are required.")
        refuse_job(given)
        tags = {"Tags": job.params["Tags"]} if "Tags" in job.params else {}
        job.params = {"Name": name, **given, **tags}
        job.modified = self._context.engine.now()
        return {"JobName": name}

    def _get(self, call: Call) -> Answer:
        job = self._job(call.params["JobName"])
        shown = {key: value for key, value in job.params.items() if key != "Tags"}
        capacity = _capacity(job.params)
        return {
            "Job": {
                "ExecutionProperty": {"MaxConcurrentRuns": job.most_at_once},
                "MaxRetries": 0,
                "AllocatedCapacity": int(capacity),
                "MaxCapacity": capacity,
                "Timeout": DEFAULT_TIMEOUT_MIN,
                **shown,
                "CreatedOn": job.created,
                "LastModifiedOn": job.modified,
            }
        }

    def _delete(self, call: Call) -> Answer:
        """Delete a job; one that does not exist is no error (Glue API reference, DeleteJob)."""
        job = self._jobs.pop(call.params["JobName"], None)
        for run in job.runs if job is not None else ():
            self._life.request_stop(run)
        return {"JobName": call.params["JobName"]}

    def _start(self, call: Call) -> Answer:
        params, engine = call.params, self._context.engine
        job = self._job(params["JobName"])
        if "JobRunId" in params or params.get("JobRunQueuingEnabled"):
            raise NotSupportedByTwin("glue:StartJobRun with JobRunId or JobRunQueuingEnabled")
        if sum(run.state not in ENDED for run in job.runs) >= job.most_at_once:
            raise AwsError(
                "ConcurrentRunsExceededException",
                f"Concurrent runs exceeded for {params['JobName']}",
            )
        run_id = "jr_" + (engine.new_id() + engine.new_id()).replace("-", "")
        arguments = {
            **job.params.get("DefaultArguments", {}),
            **params.get("Arguments", {}),
            **job.params.get("NonOverridableArguments", {}),
        }
        run = Run(
            run_id,
            params["JobName"],
            {**job.params, **{key: params[key] for key in _OVERRIDES if key in params}},
            arguments,
            engine.now(),
            engine.env.event(),
            engine.env.event(),
        )
        job.runs.append(run)
        engine.process(self._attempts(job, run))
        return {"JobRunId": run_id}

    def _attempts(self, job: _Job, run: Run) -> Generator[simpy.Event, Any, None]:
        """Be the SimPy process of a run and, when it fails, of its retries.

        A retry is a run of its own that names the one before it (Glue API reference, JobRun:
        Attempt, PreviousRunId). A run that was stopped or timed out is not tried again.
        """
        yield from self._life.of(run)
        for attempt in range(1, int(run.params.get("MaxRetries", 0)) + 1):
            if run.state != "FAILED":
                return
            engine = self._context.engine
            run = replace(
                run,
                run_id=f"{run.run_id.partition('_attempt_')[0]}_attempt_{attempt}",
                attempt=attempt,
                previous=run.run_id,
                started=engine.now(),
                ended=engine.env.event(),
                stop=engine.env.event(),
                state="STARTING",
                completed=None,
                error="",
                running_since_s=None,
                execution_s=0,
            )
            job.runs.append(run)
            yield from self._life.of(run)

    def _get_run(self, call: Call) -> Answer:
        return {"JobRun": self._described(self._run_of(call.params))}

    def _get_runs(self, call: Call) -> Answer:
        runs = self._job(call.params["JobName"]).runs[::-1]
        first = int(call.params.get("NextToken", "0"))
        page = runs[first : first + call.params.get("MaxResults", 200)]
        answer: Answer = {"JobRuns": [self._described(run) for run in page]}
        if first + len(page) < len(runs):
            answer["NextToken"] = str(first + len(page))
        return answer

    def _stop(self, call: Call) -> Answer:
        name, done, errors = call.params["JobName"], [], []
        for run_id in call.params["JobRunIds"]:
            try:
                run = self._run_of({"JobName": name, "RunId": run_id})
                if run.state in ENDED:
                    raise AwsError("JobRunNotInRunningStateException", "Job run is not running.")
            except AwsError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
            else:
                self._life.request_stop(run)
                done.append({"JobName": name, "JobRunId": run_id})
        return {"SuccessfulSubmissions": done, "Errors": errors}

    def _described(self, run: Run) -> Answer:
        params, now_s = run.params, self._context.engine.env.now
        ran_s = run.execution_s
        if run.state in ("RUNNING", "STOPPING") and run.running_since_s is not None:
            ran_s = int(now_s - run.running_since_s)
        capacity = _capacity(params)
        answer: Answer = {
            "Id": run.run_id,
            "Attempt": run.attempt,
            "JobName": run.job,
            "StartedOn": run.started,
            "LastModifiedOn": run.completed or run.started,
            "JobRunState": run.state,
            "Arguments": run.arguments,
            "PredecessorRuns": [],
            "ExecutionTime": ran_s,
            "Timeout": int(run.timeout_s // 60),
            "AllocatedCapacity": int(capacity),
            "MaxCapacity": capacity,
            "WorkerType": params.get("WorkerType", _WORKER_TYPE),
            "NumberOfWorkers": params.get("NumberOfWorkers", _WORKERS),
            "LogGroupName": "/aws-glue/jobs",
            "GlueVersion": params["GlueVersion"],
            "DPUSeconds": capacity * ran_s,
        }
        if run.previous:
            answer["PreviousRunId"] = run.previous
        if run.completed is not None:
            answer["CompletedOn"] = run.completed
        if run.error:
            answer["ErrorMessage"] = run.error
        return answer


def _capacity(params: Params) -> float:
    """Return the DPUs of a job or run."""
    workers = params.get("NumberOfWorkers", _WORKERS)
    each = DPU_OF.get(params.get("WorkerType", _WORKER_TYPE), 1.0)
    return float(params.get("MaxCapacity", workers * each))


def _not_found(message: str) -> AwsError:
    return AwsError("EntityNotFoundException", message)


def refuse_job(params: Params) -> None:
    """Refuse by name what the host would run differently from Glue."""
    command = params["Command"].get("Name", "glueetl")
    if command != "glueetl":
        raise NotSupportedByTwin(f"glue:CreateJob with command {command}")
    version = params.get("GlueVersion", "none, which means 6.0 (Spark 4),")
    if version not in GLUE_VERSIONS:
        raise NotSupportedByTwin(f"glue:CreateJob with GlueVersion {version}")
    for name in _REFUSED:
        if params.get(name):
            raise NotSupportedByTwin(f"glue:CreateJob with {name}")
    if "ScriptLocation" not in params["Command"]:
        raise AwsError("InvalidInputException", "Command.ScriptLocation is required.")
