"""Hyperparameter tuning jobs: real training processes, some at once, decided by the run's clock."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.cloud.errors import AwsError
from simulator.cloud.tests.tuning_fakes import (
    HEAD,
    TRAIN,
    Make,
    create,
    finish,
    objective,
    trials,
)

PAUSED = HEAD + "time.sleep(0.3 * ((number + int(os.environ['ODD'])) % 2))" + TRAIN[len(HEAD) :]


def test_a_job_trains_with_other_values_each_time_and_names_the_best(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    told: list[tuple[str, str]] = []
    twin.context.emit = lambda source, kind, detail, arns: told.append(
        (kind, detail.get("HyperParameterTuningJobStatus", ""))
    )
    answer = create(twin)
    job = finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["HyperParameterTuningJobArn"] == answer["HyperParameterTuningJobArn"]
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    found = trials(twin, SortBy="FinalObjectiveMetricValue")
    assert job["BestTrainingJob"] == found[0]
    for trial in found:
        x = float(trial["TunedHyperParameters"]["x"])
        assert objective(trial) == pytest.approx((x - 0.3) ** 2 + 1 / 3, abs=1e-8)
    assert [objective(trial) for trial in found] == sorted(map(objective, found))
    child = twin.do("sagemaker", "DescribeTrainingJob", TrainingJobName=found[0]["TrainingJobName"])
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert child["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert f"jobs/{found[0]['TrainingJobName']}/output/model.tar.gz" in twin.keys("models")
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
        create(twin, strategy=strategy, jobs=8, definition={"Environment": {"ODD": odd}})
        job = finish(twin, tuning)
        assert job["HyperParameterTuningJobStatus"] == "Completed"
        found.append((trials(twin), job["BestTrainingJob"], job["LastModifiedTime"], told))
    assert found[0] == found[1]


def test_a_grid_is_gone_through_once(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    grid = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.2", "0.3"]}]}
    create(twin, strategy="Grid", jobs=None, ranges=grid)
    best = finish(twin, tuning)["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"x": "0.3"}
    tried = [trial["TunedHyperParameters"]["x"] for trial in trials(twin)]
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
    create(twin, "tune", "Grid", 4, 3, ranges=ranges, TrainingJobEarlyStoppingType="Auto")
    job = finish(twin, tuning)
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    last = trials(twin, StatusEquals="Stopped")
    assert [trial["TunedHyperParameters"]["x"] for trial in last] == ["0.9"]
    assert job["BestTrainingJob"]["TunedHyperParameters"]["x"] == "0.1"


def test_hyperband_stops_at_its_rungs_and_at_the_most_resource(new_twin: Make) -> None:
    twin, tuning = new_twin(SLOW_WHEN_BAD)
    values = ["0.1", "0.2", "0.3", "0.9"]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": values}]}
    band = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 2}}
    create(twin, "tune", "Hyperband", 4, 3, ranges=ranges, StrategyConfig=band)
    job = finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 4
    assert job["BestTrainingJob"]["TunedHyperParameters"]["x"] == "0.1"


def test_a_job_ends_when_its_target_is_reached_or_nothing_gets_better(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    create(twin, jobs=9, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 10.0})
    assert finish(twin, tuning)["TrainingJobStatusCounters"]["Completed"] == 2
    names = [f"{number / 10:.1f}" for number in range(3, 10)]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": names}]}
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    create(twin, "tired", "Grid", 7, 1, ranges=ranges, TuningJobCompletionCriteria=criteria)
    job = finish(twin, tuning, "tired")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    details = job["TuningJobCompletionDetails"]
    assert details["NumberOfTrainingJobsObjectiveNotImproving"] == 3


def test_a_job_without_an_objective_fails_after_five_attempts(new_twin: Make) -> None:
    twin, tuning = new_twin(HEAD + "sys.exit(3 if number % 2 else 0)")
    create(twin, jobs=9, at_once=1)
    job = finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    counted = job["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["NonRetryableError"]) == (2, 3)
    assert job["ObjectiveStatusCounters"]["Failed"] == 5
    assert trials(twin, SortBy="FinalObjectiveMetricValue") == []


def test_a_stopped_job_stops_its_training_jobs(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    create(twin, jobs=9)
    twin.engine.run(twin.engine.env.now + 200.0)
    named = {"HyperParameterTuningJobName": "tune"}
    twin.do("sagemaker", "StopHyperParameterTuningJob", **named)
    stopping = twin.do("sagemaker", "DescribeHyperParameterTuningJob", **named)
    assert stopping["HyperParameterTuningJobStatus"] == "Stopping"
    job = finish(twin, tuning)
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
    create(twin, jobs=9, limits={"MaxRuntimeInSeconds": 300})
    job = finish(twin, tuning)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert 0 < job["TrainingJobStatusCounters"]["Completed"] < 9
    assert 300 <= job["ConsumedResources"]["RuntimeInSeconds"] < 320


def test_a_warm_start_knows_its_parents(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    create(twin, "parent", "Bayesian", 6)
    finish(twin, tuning, "parent")
    best = min(map(objective, trials(twin, "parent")))
    create(twin, "child", "Bayesian", 2, warm=("parent",))
    job = finish(twin, tuning, "child")
    overall = job["OverallBestTrainingJob"]
    assert objective(overall) == min(best, objective(job["BestTrainingJob"]))
    assert overall["TuningJobName"] in ("parent", "child")
    create(twin, "other", "Bayesian", 2, warm=("parent",), kind="TransferLearning")
    job = finish(twin, tuning, "other")
    assert "OverallBestTrainingJob" not in job
    # The parent's best is tried first, on the other data.
    assert objective(trials(twin, "other")[0]) == pytest.approx(best, abs=1e-9)
