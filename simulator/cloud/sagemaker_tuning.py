"""SageMaker hyperparameter tuning jobs: requests, descriptions, lists.

Called by `dispatch` and, through `wait_event`, by the workflow interpreter; the work is in
`tuning_runs`, what may be asked for in `tuning_requests`. Source of shapes and states: SageMaker
API reference, CreateHyperParameterTuningJob, DescribeHyperParameterTuningJob.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.job_records import JobBook, Kind, known
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.pages import page
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.tuning_requests import check, planned
from simulator.cloud.tuning_runs import TuningLife
from simulator.cloud.tuning_trials import Trial, TuningJob

KIND = Kind(
    "HyperParameterTuningJob",
    "hyper-parameter-tuning-job",
    "hyperparameter tuning job",
    "HyperParameterTuningEndTime",
    "SageMaker HyperParameter Tuning Job State Change",
)
_SHOWN = ("HyperParameterTuningJobConfig", "TrainingJobDefinition", "WarmStartConfig")


class TuningJobs:
    """The tuning operations of SageMaker. Used on the engine's thread only."""

    def __init__(self, context: Context, training: TrainingJobs) -> None:
        self._context = context
        self._training = training
        self._book = JobBook[TuningJob](context, KIND, self._described)
        self._life = TuningLife(context, self._book, training)

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        arns = self._book.arns
        passed = {"TrainingJobDefinition.RoleArn": "sagemaker.amazonaws.com"}
        return {
            "CreateHyperParameterTuningJob": Operation(self._create, arns, passes_role=passed),
            "DescribeHyperParameterTuningJob": Operation(
                lambda call: self._described(self._book.job(call.params[KIND.name])), arns
            ),
            "ListHyperParameterTuningJobs": Operation(
                lambda call: self._book.list(call, _listed, sort_by="Name")
            ),
            "ListTrainingJobsForHyperParameterTuningJob": Operation(self._list_trials, arns),
            "StopHyperParameterTuningJob": Operation(self._stop, arns),
        }

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of a job's end, whatever its status then is."""
        return self._book.job(name).ended

    def _create(self, call: Call) -> Answer:
        params, engine = call.params, self._context.engine
        name = params[KIND.name]
        self._book.check_new(name)
        check(params, self._training)
        plan = planned(params, self._book.jobs)
        job = TuningJob(
            name,
            self._book.arn(name),
            dict(params),
            engine.now(),
            engine.env.event(),
            engine.env.event(),
            ranges=plan.ranges,
            search=plan.search,
            stopping=plan.stopping,
            parents=plan.parents,
        )
        self._book.add(job)
        engine.process(self._life.of(job))
        return {"HyperParameterTuningJobArn": job.arn}

    def _stop(self, call: Call) -> Answer:
        job = self._book.request_stop(call)
        # While they compute no event is processed: the signals cannot wait for their turn.
        self._life.stop_trials(job)
        return {}

    def _list_trials(self, call: Call) -> Answer:
        params = call.params
        job = self._book.job(params[KIND.name])
        sort_by = params.get("SortBy", "Name")
        found = [
            trial
            for trial in job.trials
            if params.get("StatusEquals", trial.job.status) == trial.job.status
            # "Any training jobs that did not return an objective metric are not listed."
            and (sort_by != "FinalObjectiveMetricValue" or trial.objective is not None)
        ]
        keys: Mapping[str, Callable[[Trial], Any]] = {
            "Name": lambda trial: trial.job.name,
            "CreationTime": lambda trial: (trial.job.created, trial.number),
            "Status": lambda trial: trial.job.status,
            "FinalObjectiveMetricValue": lambda trial: trial.objective,
        }
        found.sort(key=keys[sort_by], reverse=params.get("SortOrder") == "Descending")
        shown, token = page(
            found, params.get("MaxResults", 10), params.get("NextToken"), "ValidationException"
        )
        answer: Answer = {"TrainingJobSummaries": [job.summary(trial) for trial in shown]}
        return answer if token is None else answer | {"NextToken": token}

    def _described(self, job: TuningJob) -> Answer:
        best = job.best()
        identical = (
            job.params.get("WarmStartConfig", {}).get("WarmStartType")
            == "IdenticalDataAndAlgorithm"
        )
        until = self._context.engine.now() if job.finished is None else job.finished
        return {
            "HyperParameterTuningJobName": job.name,
            "HyperParameterTuningJobArn": job.arn,
            "HyperParameterTuningJobStatus": job.status,
            **{name: job.params[name] for name in _SHOWN if name in job.params},
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "TrainingJobStatusCounters": job.status_counters(),
            "ObjectiveStatusCounters": job.objective_counters(),
            "TuningJobCompletionDetails": {
                "NumberOfTrainingJobsObjectiveNotImproving": job.not_improving
            },
            "ConsumedResources": {"RuntimeInSeconds": int((until - job.created).total_seconds())},
            **known(
                {
                    "HyperParameterTuningEndTime": job.finished,
                    "BestTrainingJob": None if best is None else job.summary(best),
                    "OverallBestTrainingJob": job.overall_best() if identical else None,
                    "FailureReason": job.failure,
                }
            ),
        }


def _listed(job: TuningJob) -> Answer:
    """Return what only the summaries of tuning jobs have."""
    return {
        "Strategy": job.config["Strategy"],
        "TrainingJobStatusCounters": job.status_counters(),
        "ObjectiveStatusCounters": job.objective_counters(),
        "ResourceLimits": job.config["ResourceLimits"],
    }
