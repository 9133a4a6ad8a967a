"""Hyperparameter tuning jobs: real training processes, some at once, decided by the run's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.sagemaker_tuning import TuningJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin

HEAD = """
import json, os, pathlib, signal, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
x, number = float(given["x"]), int(os.environ["TRAINING_JOB_NAME"].split("-")[1])
"""
TRAIN = (
    HEAD
    + """
assert given["_tuning_objective_metric"] == "loss", given
for epoch in range(1, int(given["epochs"]) + 1):
    print(f"loss={(x - 0.3) ** 2 + 1 / epoch:.9f};", flush=True)
(base / "model" / "x").write_text(given["x"])
"""
)
PAUSED = HEAD + "time.sleep(0.3 * ((number + int(os.environ['ODD'])) % 2))" + TRAIN[len(HEAD) :]


@pytest.fixture
def new_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[JobTwin, TuningJobs]]]:
    """Return what makes a twin whose container is a script."""
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made: list[JobTwin] = []

    def make(script: str) -> tuple[JobTwin, TuningJobs]:
        twin = job_twin(tmp_path / f"twin-{len(made)}")
        twin.bucket("models")
        twin.container(tmp_path / f"image-{len(made)}", script)
        training = TrainingJobs(twin.context)
        tuning = TuningJobs(twin.context, training)
        for operations in (training.operations(), tuning.operations()):
            twin.dispatch.register("sagemaker", operations)
        made.append(twin)
        return twin, tuning

    yield make
    for twin in made:
        twin.close()


def _request(
    name: str = "tune",
    strategy: str = "Random",
    jobs: int | None = 4,
    at_once: int = 2,
    *,
    definition: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    ranges: dict[str, Any] | None = None,
    warm: tuple[str, ...] = (),
    kind: str = "IdenticalDataAndAlgorithm",
    **config: Any,
) -> dict[str, Any]:
    wide = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    parents = [{"HyperParameterTuningJobName": parent} for parent in warm]
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {
                **({"MaxNumberOfTrainingJobs": jobs} if jobs else {}),
                "MaxParallelTrainingJobs": at_once,
                **(limits or {}),
            },
            "ParameterRanges": ranges or wide,
            "RandomSeed": 5,
            **config,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"epochs": "3"},
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://models/jobs"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 5,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **(definition or {}),
        },
        **(
            {
                "WarmStartConfig": {
                    "ParentHyperParameterTuningJobs": parents,
                    "WarmStartType": kind,
                }
            }
            if warm
            else {}
        ),
    }


def _create(twin: JobTwin, *args: Any, **more: Any) -> Any:
    return twin.do("sagemaker", "CreateHyperParameterTuningJob", **_request(*args, **more))


def _finish(twin: JobTwin, tuning: TuningJobs, name: str = "tune") -> dict[str, Any]:
    twin.engine.run(tuning.wait_event(name))
    job: dict[str, Any] = twin.do(
        "sagemaker", "DescribeHyperParameterTuningJob", HyperParameterTuningJobName=name
    )
    return job


def _trials(twin: JobTwin, name: str = "tune", **more: Any) -> list[dict[str, Any]]:
    asked = {"HyperParameterTuningJobName": name, "MaxResults": 100, **more}
    answer = twin.do("sagemaker", "ListTrainingJobsForHyperParameterTuningJob", **asked)
    found: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    return found


def _objective(trial: dict[str, Any]) -> float:
    return float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


Make = Callable[[str], tuple[JobTwin, TuningJobs]]


def test_a_job_trains_with_other_values_each_time_and_names_the_best(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    told: list[tuple[str, str]] = []
    twin.context.emit = lambda source, kind, detail, arns: told.append(
        (kind, detail.get("HyperParameterTuningJobStatus", ""))
    )
    answer = _create(twin)
    job = _finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["HyperParameterTuningJobArn"] == answer["HyperParameterTuningJobArn"]
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    trials = _trials(twin, SortBy="FinalObjectiveMetricValue")
    assert job["BestTrainingJob"] == trials[0]
    for trial in trials:
        x = float(trial["TunedHyperParameters"]["x"])
        assert _objective(trial) == pytest.approx((x - 0.3) ** 2 + 1 / 3, abs=1e-8)
    assert [_objective(trial) for trial in trials] == sorted(map(_objective, trials))
    child = twin.do(
        "sagemaker", "DescribeTrainingJob", TrainingJobName=trials[0]["TrainingJobName"]
    )
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert child["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert f"jobs/{trials[0]['TrainingJobName']}/output/model.tar.gz" in twin.keys("models")
    states = [state for kind, state in told if kind.startswith("SageMaker HyperParameter")]
    assert states == ["InProgress", "Completed"]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_the_same_seed_gives_the_same_trials_whichever_process_is_quicker(
    new_twin: Make, strategy: str
) -> None:
    found = []
    for odd in ("0", "1"):
        twin, tuning = new_twin(PAUSED)
        told: list[Any] = []
        twin.context.emit = lambda source, kind, detail, arns, told=told: told.append(  # type: ignore[misc]
            (detail.get("TrainingJobName"), detail.get("SecondaryStatus"))
        )
        _create(twin, strategy=strategy, jobs=8, definition={"Environment": {"ODD": odd}})
        job = _finish(twin, tuning)
        assert job["HyperParameterTuningJobStatus"] == "Completed"
        found.append((_trials(twin), job["BestTrainingJob"], job["LastModifiedTime"], told))
    assert found[0] == found[1]


def test_a_grid_is_gone_through_once(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    grid = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.2", "0.3"]}]}
    _create(twin, strategy="Grid", jobs=None, ranges=grid)
    best = _finish(twin, tuning)["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"x": "0.3"}
    tried = [trial["TunedHyperParameters"]["x"] for trial in _trials(twin)]
    assert tried == ["0.1", "0.2", "0.3"]


SLOW_WHEN_BAD = (
    HEAD
    + """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for epoch in range(1, 4):
    print(f"loss={x};", flush=True)
    if x > 0.5 and number > 3:
        time.sleep(20)
"""
)


def test_a_job_worse_than_the_others_is_stopped_early(new_twin: Make) -> None:
    twin, tuning = new_twin(SLOW_WHEN_BAD)
    values = ["0.1", "0.2", "0.3", "0.9"]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": values}]}
    _create(twin, "tune", "Grid", 4, 3, ranges=ranges, TrainingJobEarlyStoppingType="Auto")
    job = _finish(twin, tuning)
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    last = _trials(twin, StatusEquals="Stopped")
    assert [trial["TunedHyperParameters"]["x"] for trial in last] == ["0.9"]
    assert job["BestTrainingJob"]["TunedHyperParameters"]["x"] == "0.1"


def test_hyperband_stops_at_its_rungs_and_at_the_most_resource(new_twin: Make) -> None:
    twin, tuning = new_twin(SLOW_WHEN_BAD)
    values = ["0.1", "0.2", "0.3", "0.9"]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": values}]}
    band = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 2}}
    _create(twin, "tune", "Hyperband", 4, 3, ranges=ranges, StrategyConfig=band)
    job = _finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 4
    assert job["BestTrainingJob"]["TunedHyperParameters"]["x"] == "0.1"


def test_a_job_ends_when_its_target_is_reached_or_nothing_gets_better(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    _create(twin, jobs=9, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 10.0})
    assert _finish(twin, tuning)["TrainingJobStatusCounters"]["Completed"] == 2
    names = [f"{number / 10:.1f}" for number in range(3, 10)]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": names}]}
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    _create(twin, "tired", "Grid", 7, 1, ranges=ranges, TuningJobCompletionCriteria=criteria)
    job = _finish(twin, tuning, "tired")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    details = job["TuningJobCompletionDetails"]
    assert details["NumberOfTrainingJobsObjectiveNotImproving"] == 3


def test_a_job_without_an_objective_fails_after_five_attempts(new_twin: Make) -> None:
    twin, tuning = new_twin(HEAD + "sys.exit(3 if number % 2 else 0)")
    _create(twin, jobs=9, at_once=1)
    job = _finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    counted = job["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["NonRetryableError"]) == (2, 3)
    assert job["ObjectiveStatusCounters"]["Failed"] == 5
    assert _trials(twin, SortBy="FinalObjectiveMetricValue") == []


def test_a_stopped_job_stops_its_training_jobs(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    _create(twin, jobs=9)
    twin.engine.run(twin.engine.env.now + 200.0)
    named = {"HyperParameterTuningJobName": "tune"}
    twin.do("sagemaker", "StopHyperParameterTuningJob", **named)
    stopping = twin.do("sagemaker", "DescribeHyperParameterTuningJob", **named)
    assert stopping["HyperParameterTuningJobStatus"] == "Stopping"
    job = _finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    counted = job["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["Stopped"], counted["InProgress"]) == (2, 2, 0)
    with pytest.raises(AwsError, match="in status Stopped"):
        twin.do("sagemaker", "StopHyperParameterTuningJob", **named)
    page = twin.do("sagemaker", "ListHyperParameterTuningJobs", StatusEquals="Stopped")
    (summary,) = page["HyperParameterTuningJobSummaries"]
    assert summary["TrainingJobStatusCounters"] == counted


def test_a_job_longer_than_its_limit_ends_with_what_it_has(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    _create(twin, jobs=9, limits={"MaxRuntimeInSeconds": 300})
    job = _finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert 0 < job["TrainingJobStatusCounters"]["Completed"] < 9
    assert 300 <= job["ConsumedResources"]["RuntimeInSeconds"] < 320


def test_a_warm_start_knows_its_parents(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    _create(twin, "parent", "Bayesian", 6)
    _finish(twin, tuning, "parent")
    best = min(map(_objective, _trials(twin, "parent")))
    _create(twin, "child", "Bayesian", 2, warm=("parent",))
    job = _finish(twin, tuning, "child")
    overall = job["OverallBestTrainingJob"]
    assert _objective(overall) == min(best, _objective(job["BestTrainingJob"]))
    assert overall["TuningJobName"] in ("parent", "child")
    _create(twin, "other", "Bayesian", 2, warm=("parent",), kind="TransferLearning")
    job = _finish(twin, tuning, "other")
    assert "OverallBestTrainingJob" not in job
    # The parent's best is tried first, on the other data.
    assert _objective(_trials(twin, "other")[0]) == pytest.approx(best, abs=1e-9)


def _integers(low: str, high: str) -> dict[str, Any]:
    return {"IntegerParameterRanges": [{"Name": "x", "MinValue": low, "MaxValue": high}]}


def _objective_of(metric: str, kind: str = "Minimize") -> dict[str, str]:
    return {"Type": kind, "MetricName": metric}


WARM = {"name": "child", "strategy": "Bayesian"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"strategy": "Grid"}, "only categorical"),
        ({"jobs": None}, "MaxNumberOfTrainingJobs is required"),
        ({"definition": {"StaticHyperParameters": {"x": "1"}}}, "a range and a static value: x"),
        ({"HyperParameterTuningJobObjective": _objective_of("f1")}, "objective metric f1"),
        (
            {"ranges": _integers("1", "3")},
            r"ranges \[3.0\] must be equal or greater than the value of MaxNumberOfJobs, \[4\]",
        ),
        ({**WARM, "definition": {"StaticHyperParameters": {}}}, "another number"),
        (
            {**WARM, "HyperParameterTuningJobObjective": _objective_of("loss", "Maximize")},
            "objective of the parent",
        ),
        ({**WARM, "ranges": _integers("1", "9")}, "type of x"),
        ({"name": "child", "strategy": "Hyperband"}, "Bayesian and random"),
    ],
)
def test_what_does_not_go_together_is_refused(
    new_twin: Make, more: dict[str, Any], words: str
) -> None:
    twin, tuning = new_twin(TRAIN)
    if more.get("name") == "child":
        _create(twin, "parent", jobs=1)
        with pytest.raises(AwsError, match="in status InProgress"):
            _create(twin, "child", "Random", warm=("parent",))
        _finish(twin, tuning, "parent")
        more = {**more, "warm": ("parent",)}
    with pytest.raises(AwsError, match=words) as refused:
        _create(twin, **more)
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"jobs": 501}, "ResourceLimitExceeded"),
        ({"at_once": 11}, "ResourceLimitExceeded"),
        ({"warm": ("none",)}, "ResourceNotFound"),
    ],
)
def test_limits_and_unknown_parents_have_their_codes(
    new_twin: Make, more: dict[str, Any], code: str
) -> None:
    twin, _ = new_twin(TRAIN)
    with pytest.raises(AwsError) as refused:
        _create(twin, **more)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "more",
    [
        {"definition": {"EnableManagedSpotTraining": True}},
        {"definition": {"TuningObjective": {"Type": "Minimize", "MetricName": "loss"}}},
        {
            "TuningJobCompletionCriteria": {
                "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}
            }
        },
    ],
)
def test_what_is_not_here_is_refused_by_name(new_twin: Make, more: dict[str, Any]) -> None:
    twin, _ = new_twin(TRAIN)
    with pytest.raises(NotSupportedByTwin):
        _create(twin, **more)


def test_the_role_of_the_training_jobs_must_be_one_that_the_caller_may_pass(
    new_twin: Make,
) -> None:
    twin, _ = new_twin(TRAIN)
    twin.allow((["sagemaker:*"], ["*"]))
    caller = twin.iam.principal_for_role(ROLE, "me", service="sagemaker.amazonaws.com")
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        twin.dispatch(caller, "sagemaker", "CreateHyperParameterTuningJob", _request())
