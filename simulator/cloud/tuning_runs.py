"""One tuning job from its beginning to its end: it launches training jobs and learns from them.

Used by `sagemaker_tuning`. What happens next is decided at fixed moments of the run's clock, from
the training jobs that had ended before, in the order of their ends and numbers; so the same seed
tries the same, however quick the processes are. Source: SageMaker developer guide, "How
Hyperparameter Tuning Works".
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

import simpy

from simulator.cloud.compute_turns import COMPUTING_AT_ONCE, ComputeTurns
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.job_records import JobBook
from simulator.cloud.operations import Params
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.tuning_ranges import Values
from simulator.cloud.tuning_trials import Trial, TuningJob

DECIDE_EVERY_S = 60.0
"""Modelled time between two decisions. Training jobs that end between two are followed by others
that begin together, and so compute together."""
MOST_ATTEMPTS = 5
"""Training jobs without an objective after which a tuning job fails."""
MOST_TRAINING_JOBS = 500
"""Of one tuning job (developer guide, "Resource Limits for Automatic Model Tuning")."""
OBJECTIVE_KEY = "_tuning_objective_metric"
_PASSED = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "Environment",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "VpcConfig",
    "RetryStrategy",
)


def training_params(tuning: Params, name: str, values: Values) -> Params:
    """Return CreateTrainingJob's parameters of one trial."""
    definition = tuning["TrainingJobDefinition"]
    metric = tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    params = {
        "TrainingJobName": name,
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **values,
            OBJECTIVE_KEY: metric["MetricName"],
        },
        **{key: definition[key] for key in _PASSED if key in definition},
    }
    if checkpoints := definition.get("CheckpointConfig"):
        # One place for all would have each go on from another's weights.
        uri = f"{checkpoints['S3Uri'].rstrip('/')}/{name}"
        params["CheckpointConfig"] = {**checkpoints, "S3Uri": uri}
    return params


class TuningLife:
    """Takes jobs through their states."""

    def __init__(self, context: Context, book: JobBook[TuningJob], training: TrainingJobs) -> None:
        self._engine = context.engine
        self._book = book
        self._training = training

    def of(self, job: TuningJob) -> Generator[simpy.Event, Any, None]:
        """Return the SimPy process of one job."""
        try:
            end = yield from self._search(job)
        except AwsError as error:
            end = "Failed", f"ClientError: {error.message}"
        self.stop_trials(job)
        yield self._engine.env.all_of([trial.job.ended for trial in job.running])
        self._settle(job, everything=True)
        self._book.finish(job, *(self._outcome(job) if end[0] == "Completed" else end))

    def _search(self, job: TuningJob) -> Generator[simpy.Event, Any, tuple[str, str]]:
        """Launch and look at training jobs; return status and reason of the tuning job's end."""
        env = self._engine.env
        at_once = min(COMPUTING_AT_ONCE, job.config["ResourceLimits"]["MaxParallelTrainingJobs"])
        turns, limit = ComputeTurns(self._engine, at_once), env.timeout(self._max_runtime_s(job))
        while (end := self._end(job, limit)) is None:
            self._launch(job, turns)
            if not job.running:
                return "Completed", ""
            yield env.any_of([trial.job.ended for trial in job.running]) | job.stop | limit
            yield env.timeout(self._until_decision_s(job)) | job.stop | limit
            self._settle(job, everything=False)
        return end

    def stop_trials(self, job: TuningJob) -> None:
        """Stop what a tuning job has running, as it needs no more results."""
        for trial in job.running:
            trial.unwanted = True
            self._training.stop(trial.job)

    def _max_runtime_s(self, job: TuningJob) -> float:
        """Thirty days are the most (developer guide, "Resource Limits ...")."""
        return float(job.config["ResourceLimits"].get("MaxRuntimeInSeconds", 30 * 86_400))

    def _until_decision_s(self, job: TuningJob) -> float:
        since_s = (self._engine.now() - job.created).total_seconds()
        return DECIDE_EVERY_S - since_s % DECIDE_EVERY_S

    # -- launching

    def _launch(self, job: TuningJob, turns: ComputeTurns) -> None:
        """Start training jobs as long as there is a place and something to try."""
        limits = job.config["ResourceLimits"]
        most = limits.get("MaxNumberOfTrainingJobs", MOST_TRAINING_JOBS)
        assert job.search is not None
        while len(job.running) < limits["MaxParallelTrainingJobs"] and len(job.trials) < most:
            values = job.search.ask()
            if values is None:
                break
            number = len(job.trials) + 1
            params = training_params(job.params, _child_name(job, number), values)
            trial = Trial(number, values, self._training.start(params, job.arn, turns))
            trial.others = tuple(tuple(each.history) for each in job.trials if each.settled)
            trial.job.on_metric = self._watch(job, trial)
            job.trials.append(trial)
            job.modified = self._engine.now()

    def _watch(self, job: TuningJob, trial: Trial) -> Any:
        """Return what keeps a trial's objective and stops the trial by the job's rule."""

        def on_metric(name: str, value: float) -> None:
            if name == job.metric:
                trial.history.append(value)
                if job.stopping.stops(trial.number, trial.history, trial.others):
                    self._training.stop(trial.job)

        return on_metric

    # -- deciding

    def _settle(self, job: TuningJob, *, everything: bool) -> None:
        """Look at the trials that ended before this moment; at all of them at the end."""
        now = self._engine.now()
        ended = [
            (trial.job.finished, trial.number, trial)
            for trial in job.running
            if trial.job.finished is not None and (everything or trial.job.finished < now)
        ]
        assert job.search is not None
        for _, _, trial in sorted(ended, key=lambda each: each[:2]):
            before = job.best(job.succeeded)
            trial.settled = True
            job.search.tell(trial.values, trial.objective)
            if trial.objective is None or before is None or before.objective is None:
                continue
            improved = job.improves(trial.objective, before.objective)
            job.not_improving = 0 if improved else job.not_improving + 1

    def _end(self, job: TuningJob, limit: simpy.Event) -> tuple[str, str] | None:
        """Return the final status and reason, if it is time."""
        if job.stop.triggered:
            return "Stopped", ""
        settled = len(job.trials) - len(job.running)
        if settled >= MOST_ATTEMPTS and not job.succeeded:
            return self._outcome(job)
        criteria = job.config.get("TuningJobCompletionCriteria", {})
        patience = criteria.get("BestObjectiveNotImproving", {})
        most = patience.get("MaxNumberOfTrainingJobsNotImproving")
        tired = most is not None and job.not_improving >= most
        if limit.processed or tired or _on_target(job, criteria.get("TargetObjectiveMetricValue")):
            return "Completed", ""
        return None

    def _outcome(self, job: TuningJob) -> tuple[str, str]:
        if job.succeeded:
            return "Completed", ""
        attempts = len(job.trials) - len(job.running)
        return (
            "Failed",
            f"No training job succeeded after {attempts} attempts. Please take a look at the "
            "training job failures to get more details.",
        )


def _on_target(job: TuningJob, target: float | None) -> bool:
    best = job.best(job.succeeded)
    if target is None or best is None or best.objective is None:
        return False
    return best.objective <= target if job.minimizes else best.objective >= target


def _child_name(job: TuningJob, number: int) -> str:
    """Return ``<tuning job>-<number>-<eight digits>``, as AWS names them."""
    digest = hashlib.sha256(f"{job.arn}/{number}".encode()).hexdigest()
    return f"{job.name}-{number:03}-{digest[:8]}"
