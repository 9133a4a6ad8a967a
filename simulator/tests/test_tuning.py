"""The training workflow with tuning in its input: the best of several trainings serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.tests.test_promotion import ENDPOINT, GROUP, Fleet

# One twin for all, in the order of the file.
pytestmark = pytest.mark.slow

JOBS = 3


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("tuning"))
    try:
        made.boot()
        yield made
    finally:
        made.target.close()


def train(fleet: Fleet, run: str, tuning: dict[str, int]) -> Any:
    fleet.target.call(
        "ssm",
        "PutParameter",
        Name="/fleetwin/dev/training-settings",
        # What is looked for may be set: a training without tuning then takes it.
        Value=json.dumps({"epochs": "5", "hidden": "12"}),
        Overwrite=True,
    )
    machine = fleet.target.name_of("AWS::StepFunctions::StateMachine", "-training")
    span = {"start": "2026-01-06T00:00:00Z", "end": "2026-01-06T03:00:00Z"}
    data = json.dumps({**span, "run": run, "tuning": tuning})
    execution = fleet.target.start_workflow(machine, data, run, lambda *_: None)
    fleet.target.run_until(execution.done)
    return execution


def test_the_best_of_the_trainings_that_tuning_started_is_put_in_service(fleet: Fleet) -> None:
    execution = train(fleet, "tuned", {"jobs": JOBS, "parallel": 2})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    call = fleet.target.call
    listed = call("sagemaker", "ListHyperParameterTuningJobs")["HyperParameterTuningJobSummaries"]
    (name,) = (each["HyperParameterTuningJobName"] for each in listed)
    assert name.startswith("fleetwin-dev-tuned-")
    assert len(name) <= 32
    tried = call(
        "sagemaker", "ListTrainingJobsForHyperParameterTuningJob", HyperParameterTuningJobName=name
    )["TrainingJobSummaries"]
    assert len(tried) == JOBS
    found = {
        each["TrainingJobName"]: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for each in tried
    }
    best = min(found, key=lambda one: found[one])
    described = call("sagemaker", "DescribeTrainingJob", TrainingJobName=best)
    packages = call("sagemaker", "ListModelPackages", ModelPackageGroupName=GROUP)
    (package,) = packages["ModelPackageSummaryList"]
    registered = call(
        "sagemaker", "DescribeModelPackage", ModelPackageName=package["ModelPackageArn"]
    )
    (container,) = registered["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == described["ModelArtifacts"]["S3ModelArtifacts"]
    assert registered["ModelApprovalStatus"] == "Approved"
    assert fleet.serving() == f"{ENDPOINT}-tuned"
    settings = {one["TrainingJobName"]: one["TunedHyperParameters"] for one in tried}
    assert {frozenset(one) for one in settings.values()} == {
        frozenset({"learning_rate", "hidden", "bottleneck"})
    }


def test_tuning_that_is_not_possible_fails_and_is_told_once(fleet: Fleet) -> None:
    told = len(fleet.told)
    execution = train(fleet, "impossible", {"jobs": 0, "parallel": 1})
    assert execution.status == "FAILED"
    fleet.target.run_until(fleet.target.clock.now + 60.0)
    (alert,) = fleet.told[told:]
    assert (alert["kind"], alert["state"]) == ("workflow_failed", "Tune")
