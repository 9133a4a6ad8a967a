"""Work that goes on after an end in its middle: a tuning job's, a training job's, a twin's."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin
from simulator.cloud.tests.tuning_fakes import (
    TRAIN,
    Make,
    create,
    finish,
    objective,
    trials,
)


def _x(found: list[dict[str, object]], *statuses: str) -> list[str]:
    return [
        trial["TunedHyperParameters"]["x"]  # type: ignore[index]
        for trial in found
        if not statuses or trial["TrainingJobStatus"] in statuses
    ]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_child_goes_on_where_its_parent_was_stopped(new_twin: Make, strategy: str) -> None:
    """With the parent's seed random search tries what it would have tried, stopped ones first."""
    whole, uninterrupted = new_twin(TRAIN)
    create(whole, strategy=strategy, jobs=8)
    finish(whole, uninterrupted)
    planned = _x(trials(whole))
    twin, tuning = new_twin(TRAIN)
    create(twin, "parent", strategy, 8)
    twin.engine.run(twin.engine.env.now + 200.0)
    twin.do("sagemaker", "StopHyperParameterTuningJob", HyperParameterTuningJobName="parent")
    assert finish(twin, tuning, "parent")["HyperParameterTuningJobStatus"] == "Stopped"
    before = trials(twin, "parent")
    done, cut = _x(before, "Completed"), _x(before, "Stopped")
    assert done
    assert cut
    assert len(before) < 8
    create(twin, "child", strategy, 8 - len(done), warm=("parent",))
    job = finish(twin, tuning, "child")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    after = trials(twin, "child")
    assert not set(done) & set(_x(after)), "what the parent finished is not tried again"
    if strategy == "Random":
        assert done + _x(after) == planned
        assert _x(after)[: len(cut)] == cut
    finished = [each for each in before if each["TrainingJobStatus"] == "Completed"]
    best = min([*finished, *after], key=objective)
    assert job["OverallBestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    assert job["BestTrainingJob"] == min(after, key=objective)


def test_random_search_goes_past_as_many_results_as_its_parents_have(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    create(twin, "parent", "Random", 30, 10)
    finish(twin, tuning, "parent")
    create(twin, "child", "Random", 2, warm=("parent",))
    assert finish(twin, tuning, "child")["TrainingJobStatusCounters"]["Completed"] == 2
    assert not set(_x(trials(twin, "parent"))) & set(_x(trials(twin, "child")))
    create(twin, "other", "Random", 2, warm=("parent",), kind="TransferLearning")
    finish(twin, tuning, "other")
    assert set(_x(trials(twin, "other"))) <= set(_x(trials(twin, "parent"))), "other data"


LONG = """
import os, pathlib, sys, threading
place = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "checkpoints" / "epoch"
done = int(place.read_text()) if place.exists() else 0
print(f"goes on after {done}", flush=True)
for epoch in range(done + 1, 6):
    place.with_suffix(".partial").write_text(str(epoch))
    place.with_suffix(".partial").replace(place)
    if epoch == 3 and done == 0:
        threading.Event().wait()
"""


def _train(twin: JobTwin, image: Path, name: str) -> TrainingJobs:
    twin.container(image, LONG)
    jobs = TrainingJobs(twin.context)
    twin.dispatch.register("sagemaker", jobs.operations())
    twin.do(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": "s3://models/jobs/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        CheckpointConfig={"S3Uri": "s3://models/points/"},
    )
    return jobs


def killed_in_the_middle(state: str, image: str) -> None:
    """Train until somebody kills this process."""
    twin = job_twin(Path(state))
    twin.bucket("models", {"kept": "bytes"})
    jobs = _train(twin, Path(image), "job")
    twin.engine.run(jobs.wait_event("job"))


@pytest.mark.parametrize("name", ["job", "another"])
def test_a_job_on_the_state_of_a_twin_that_was_killed_goes_on_from_its_checkpoint(
    tmp_path: Path, name: str
) -> None:
    state, image = tmp_path / "twin", tmp_path / "image"
    code = f"import {__name__} as t; t.killed_in_the_middle({str(state)!r}, {str(image)!r})"
    first = subprocess.Popen([sys.executable, "-c", code])
    written = state / "sagemaker" / "training" / "job" / "checkpoints" / "epoch"
    for _ in range(600):
        if written.exists() and written.read_text() == "3":
            break
        assert first.poll() is None
        time.sleep(0.05)
    first.kill()
    first.wait()
    twin = job_twin(state)
    try:
        # Neither was committed to S3's index when the twin was killed.
        assert twin.keys("models") == ["kept"]
        stale = written.parents[1] / "model" / "stale"
        stale.write_text("of the killed job")
        jobs = _train(twin, image, name)
        twin.engine.run(jobs.wait_event(name))
        assert "goes on after 3" in twin.logs.text("/aws/sagemaker/TrainingJobs")
        answer = twin.do("s3", "GetObject", Bucket="models", Key="points/epoch")
        assert answer["Body"] == b"5"
        assert f"jobs/{name}/output/model.tar.gz" not in twin.keys("models")
        assert not list((state / "sagemaker" / "unsent-checkpoints").iterdir())
    finally:
        twin.close()
