"""A tuning job, its training jobs, and what is said of them: counters, summaries, the best one.

Used by `tuning_runs` and `sagemaker_tuning`. Source of shapes: SageMaker API reference,
DescribeHyperParameterTuningJob, HyperParameterTrainingJobSummary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator.cloud.job_records import ENDED, JobRecord, known
from simulator.cloud.operations import Answer, Params
from simulator.cloud.training_runs import TrainingJob
from simulator.cloud.tuning_ranges import Range, Values
from simulator.cloud.tuning_search import Search
from simulator.cloud.tuning_stopping import Histories, Never, Stopping

IMPROVEMENT = 0.01
"""A job improves the objective if it does so by 1 % (API reference, BestObjectiveNotImproving)."""


@dataclass
class Trial:
    """One training job of a tuning job; ``others`` are what its early stopping looks at."""

    number: int
    values: Values
    job: TrainingJob
    others: Histories = ()
    history: list[float] = field(default_factory=list)
    settled: bool = False
    unwanted: bool = False
    """The tuning job ended before it."""

    @property
    def was_cut_short(self) -> bool:
        """Tell whether it was stopped because its tuning job ended, not by its own results."""
        return self.unwanted and self.job.status == "Stopped"

    @property
    def objective(self) -> float | None:
        """Return the last value of the objective, once the job has ended without failing."""
        has_value = self.job.status in ("Completed", "Stopped") and self.history
        return self.history[-1] if has_value else None

    @property
    def objective_status(self) -> str:
        """Return Succeeded, Pending or Failed."""
        if self.job.status not in ENDED:
            return "Pending"
        return "Failed" if self.objective is None else "Succeeded"


@dataclass
class TuningJob(JobRecord):
    """One job; ``params`` are CreateHyperParameterTuningJob's."""

    ranges: tuple[Range, ...] = ()
    search: Search | None = None
    stopping: Stopping = field(default_factory=Never)
    parents: tuple[TuningJob, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    not_improving: int = 0

    @property
    def config(self) -> Params:
        """Return HyperParameterTuningJobConfig."""
        config: Params = self.params["HyperParameterTuningJobConfig"]
        return config

    @property
    def metric(self) -> str:
        """Return the objective's name."""
        return str(self.config["HyperParameterTuningJobObjective"]["MetricName"])

    @property
    def minimizes(self) -> bool:
        """Tell whether a smaller objective is better."""
        return bool(self.config["HyperParameterTuningJobObjective"]["Type"] == "Minimize")

    @property
    def running(self) -> list[Trial]:
        """Return the trials whose end was not looked at yet."""
        return [trial for trial in self.trials if not trial.settled]

    @property
    def succeeded(self) -> list[Trial]:
        """Return the trials with an objective, of those that were looked at."""
        return [trial for trial in self.trials if trial.settled and trial.objective is not None]

    def best(self, trials: Iterable[Trial] | None = None) -> Trial | None:
        """Return the trial with the best objective, the first of equals."""
        chosen = self.trials if trials is None else trials
        sign = 1.0 if self.minimizes else -1.0
        rated = [(sign * each.objective, each) for each in chosen if each.objective is not None]
        return min(rated, key=lambda pair: pair[0])[1] if rated else None

    def improves(self, objective: float, before: float) -> bool:
        """Tell whether an objective is better than one before by at least 1 %."""
        gain = before - objective if self.minimizes else objective - before
        return gain > 0.0 and gain >= IMPROVEMENT * abs(before)

    def status_counters(self) -> Answer:
        """Return TrainingJobStatusCounters."""
        statuses = [trial.job.status for trial in self.trials]
        return {
            "Completed": statuses.count("Completed"),
            "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
            "RetryableError": 0,
            "NonRetryableError": statuses.count("Failed"),
            "Stopped": statuses.count("Stopped"),
        }

    def objective_counters(self) -> Answer:
        """Return ObjectiveStatusCounters."""
        statuses = [trial.objective_status for trial in self.trials]
        return {name: statuses.count(name) for name in ("Succeeded", "Pending", "Failed")}

    def summary(self, trial: Trial, *, named: bool = False) -> Answer:
        """Return a trial's HyperParameterTrainingJobSummary; ``named``: with the tuning job."""
        job, objective = trial.job, trial.objective
        definition = self.params["TrainingJobDefinition"].get("DefinitionName")
        final = None if objective is None else {"MetricName": self.metric, "Value": objective}
        return {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": job.created,
            "TrainingJobStatus": job.status,
            "TunedHyperParameters": dict(trial.values),
            "ObjectiveStatus": trial.objective_status,
            **known(
                {
                    "TrainingJobDefinitionName": definition,
                    "TuningJobName": self.name if named else None,
                    "TrainingStartTime": job.started,
                    "TrainingEndTime": job.finished,
                    "FailureReason": job.failure,
                    "FinalHyperParameterTuningJobObjectiveMetric": final,
                }
            ),
        }

    def overall_best(self) -> Answer | None:
        """Return the best trial of this job and its parents."""
        family = (self, *self.parents)
        best = self.best(trial for job in family for trial in job.trials)
        owner = next((job for job in family if best in job.trials), None)
        return None if owner is None or best is None else owner.summary(best, named=True)
