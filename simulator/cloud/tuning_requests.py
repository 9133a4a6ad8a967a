"""What a tuning job may ask for, and the search that it gets.

Used by `sagemaker_tuning` when a job is created. Source: SageMaker API reference,
HyperParameterTuningJobConfig; developer guide, "Resource Limits for Automatic Model Tuning" and
"Run a Warm Start Hyperparameter Tuning Job". The words of errors are our own where no recorded
ones are known.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_records import ENDED
from simulator.cloud.operations import Params
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.tuning_ranges import Categories, Range, Values, combinations, ranges
from simulator.cloud.tuning_runs import MOST_TRAINING_JOBS, training_params
from simulator.cloud.tuning_search import BayesianSearch, GridSearch, RandomSearch, Search
from simulator.cloud.tuning_stopping import Stopping, stopping
from simulator.cloud.tuning_trials import TuningJob

MOST_PARALLEL = 10
MOST_HYPERPARAMETERS = 100
MOST_CHANGES = 10
"""Of static values between a job and its parent."""
_KNOWN = frozenset(
    {
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobConfig",
        "TrainingJobDefinition",
        "WarmStartConfig",
        "Tags",
    }
)
_REFUSED = ("TuningObjective", "HyperParameterRanges", "HyperParameterTuningResourceConfig")
"""Of a definition."""


@dataclass(frozen=True)
class Plan:
    """What a tuning job is made of."""

    ranges: tuple[Range, ...]
    search: Search
    stopping: Stopping
    parents: tuple[TuningJob, ...]


def check(params: Params, training: TrainingJobs) -> None:
    """Raise what a request deserves before it is looked at closely.

    NotSupportedByTwin, ResourceLimitExceeded, ValidationException.
    """
    refused = [name for name in params if name not in _KNOWN and params[name]]
    config = params["HyperParameterTuningJobConfig"]
    definition = params.get("TrainingJobDefinition", {})
    refused += [f"TrainingJobDefinition.{each}" for each in _REFUSED if each in definition]
    criteria = config.get("TuningJobCompletionCriteria", {})
    if criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled":
        refused.append("CompleteOnConvergence")
    if config.get("ParameterRanges", {}).get("AutoParameters"):
        refused.append("AutoParameters")
    if refused:
        what = ", ".join(refused)
        raise NotSupportedByTwin(f"sagemaker:CreateHyperParameterTuningJob with {what}")
    for name in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        if name not in config:
            raise _invalid(f"{name} is required.")
    if "ResourceConfig" not in definition:
        raise _invalid("TrainingJobDefinition and its ResourceConfig are required.")
    metric = config["HyperParameterTuningJobObjective"]["MetricName"]
    if metric not in _metrics(definition):
        raise _invalid(f"The objective metric {metric} is none of the metric definitions.")
    _check_limits(config["ResourceLimits"])
    training.check(training_params(params, "any", {}))


def _check_limits(limits: Params, before: int = 0) -> None:
    most = (
        ("MaxParallelTrainingJobs", MOST_PARALLEL),
        ("MaxNumberOfTrainingJobs", MOST_TRAINING_JOBS - before),
    )
    for name, limit in most:
        if limits.get(name, 1) > limit:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit of {name} is {limit}; {limits[name]} were asked "
                "for.",
            )


def _metrics(definition: Params) -> list[str]:
    found = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
    return [each["Name"] for each in found]


def planned(params: Params, jobs: Mapping[str, TuningJob]) -> Plan:
    """Return what a checked request asks for; raises ValidationException, ResourceNotFound."""
    config = params["HyperParameterTuningJobConfig"]
    static = params["TrainingJobDefinition"].get("StaticHyperParameters", {})
    try:
        found = ranges(config["ParameterRanges"])
        rule = stopping(config, static)
    except ValueError as error:
        raise _invalid(str(error)) from error
    both = sorted({each.name for each in found} & set(static))
    if both:
        raise _invalid(f"Hyperparameters have a range and a static value: {', '.join(both)}.")
    # The objective's name is one of the hundred: `_tuning_objective_metric`.
    if len(found) + len(static) + 1 > MOST_HYPERPARAMETERS:
        raise _invalid(f"A training job has at most {MOST_HYPERPARAMETERS} hyperparameters.")
    parents = _parents(params, jobs)
    for parent in parents:
        _check_parent(parent, params, found)
    # The training jobs of parents count, too.
    before = sum(len(parent.trials) for parent in parents)
    _check_limits(config["ResourceLimits"], before)
    _check_count(config, found)
    return Plan(found, _search(params, found, parents), rule, parents)


def _check_count(config: Params, found: Sequence[Range]) -> None:
    """Grid search tries all combinations, the others need one for each training job."""
    most = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    count = combinations(found)
    if config["Strategy"] == "Grid":
        if not all(isinstance(each, Categories) for each in found):
            raise _invalid("Grid search supports only categorical parameter ranges.")
        if most not in (None, count) or count > MOST_TRAINING_JOBS:
            raise _invalid(
                f"MaxNumberOfTrainingJobs should equal the number of combinations, {count:.0f}, "
                f"which may be {MOST_TRAINING_JOBS} at most."
            )
    elif most is None:
        raise _invalid("MaxNumberOfTrainingJobs is required.")
    elif count < most:
        raise _invalid(
            "You don't have enough combinations of hyperparameter ranges. The total number of "
            f"hyperparameter combinations for the provided ranges [{count:.1f}] must be equal or "
            f"greater than the value of MaxNumberOfJobs, [{most}]. Provide additional ranges."
        )


def _parents(params: Params, jobs: Mapping[str, TuningJob]) -> tuple[TuningJob, ...]:
    warm = params.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", [])
    names = [each["HyperParameterTuningJobName"] for each in warm]
    for name in names:
        if name not in jobs:
            raise AwsError("ResourceNotFound", f"Could not find requested job with name: {name}")
    return tuple(jobs[name] for name in names)


def _check_parent(parent: TuningJob, params: Params, found: Sequence[Range]) -> None:
    """Keep the documented restrictions of a warm start."""
    config = params["HyperParameterTuningJobConfig"]
    static = params["TrainingJobDefinition"].get("StaticHyperParameters", {})
    theirs = parent.params["TrainingJobDefinition"].get("StaticHyperParameters", {})
    kinds = {each.name: (type(each), getattr(each, "whole", None)) for each in parent.ranges}
    if config["Strategy"] not in ("Bayesian", "Random"):
        raise _invalid("Warm start is for Bayesian and random search.")
    if parent.status not in ENDED:
        raise _invalid(f"The parent {parent.name} is in status {parent.status}.")
    objective = config["HyperParameterTuningJobObjective"]
    if objective != parent.config["HyperParameterTuningJobObjective"]:
        raise _invalid(f"The objective of the parent {parent.name} is another one.")
    if len(found) + len(static) != len(parent.ranges) + len(theirs):
        raise _invalid(f"The parent {parent.name} has another number of hyperparameters.")
    for each in found:
        kind = (type(each), getattr(each, "whole", None))
        if each.name in kinds and kinds[each.name] != kind:
            raise _invalid(f"The type of {each.name} is another one in the parent {parent.name}.")
    changes = sum(_changes(name, value, parent, theirs) for name, value in static.items())
    if changes > MOST_CHANGES:
        raise _invalid(
            f"{changes} static values differ from the parent {parent.name}; {MOST_CHANGES} may."
        )


def _changes(name: str, value: str, parent: TuningJob, theirs: Params) -> int:
    """Return what a static value counts as a change; a category counts for each of two values."""
    before = next((each for each in parent.ranges if each.name == name), None)
    if isinstance(before, Categories):
        return len(before.values)
    if before is not None:
        return 1
    if theirs.get(name, value) == value:
        return 0
    return 1 if _is_number(value) and _is_number(theirs[name]) else 2


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _search(params: Params, found: Sequence[Range], parents: Sequence[TuningJob]) -> Search:
    config = params["HyperParameterTuningJobConfig"]
    # Without a seed AWS draws one; here the name decides, so that a run can be repeated.
    seed = config.get("RandomSeed", zlib.crc32(params["HyperParameterTuningJobName"].encode()))
    if config["Strategy"] == "Grid":
        return GridSearch(found)
    known = [result for parent in parents for result in _results(parent, found)]
    same = not parents or params["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"
    if config["Strategy"] != "Bayesian":
        return RandomSearch(found, seed, [values for values, _ in known] if same else ())
    minimizes = config["HyperParameterTuningJobObjective"]["Type"] == "Minimize"
    if same:
        return BayesianSearch(found, seed, minimizes=minimizes, known=known)
    # Other data give other values of the objective: what was best there is tried first here.
    known.sort(key=lambda result: result[1] if minimizes else -result[1])
    most = math.ceil(config["ResourceLimits"]["MaxNumberOfTrainingJobs"] / 2)
    first = [values for values, _ in known[: min(most, MOST_PARALLEL)]]
    return BayesianSearch(found, seed, minimizes=minimizes, first=first)


def _results(parent: TuningJob, found: Sequence[Range]) -> list[tuple[Values, float]]:
    """Return a parent's results that lie in the ranges; what was static there is a value, too.

    A training job that was stopped with its tuning job has none: it would have gone on.
    """
    static = parent.params["TrainingJobDefinition"].get("StaticHyperParameters", {})
    results: list[tuple[Values, float]] = []
    for trial in parent.succeeded:
        values = {**static, **trial.values}
        if trial.objective is None or trial.was_cut_short:
            continue
        if all(_is_in(each, values) for each in found):
            results.append(({each.name: values[each.name] for each in found}, trial.objective))
    return results


def _is_in(each: Range, values: Values) -> bool:
    try:
        return each.has(values[each.name])
    except (KeyError, ValueError):
        return False


def _invalid(words: str) -> AwsError:
    return AwsError("ValidationException", words)
