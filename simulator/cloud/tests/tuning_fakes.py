"""Twins for tests of tuning jobs, whose container trains on one number in a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.sagemaker_tuning import TuningJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin

Make = Callable[[str], tuple[JobTwin, TuningJobs]]
"""Makes a twin whose container is a script."""

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


@contextmanager
def twins(folder: Path) -> Iterator[Make]:
    """Return what makes twins, and end them all."""
    made: list[JobTwin] = []

    def make(script: str) -> tuple[JobTwin, TuningJobs]:
        twin = job_twin(folder / f"twin-{len(made)}")
        twin.bucket("models")
        twin.container(folder / f"image-{len(made)}", script)
        training = TrainingJobs(twin.context)
        tuning = TuningJobs(twin.context, training)
        for operations in (training.operations(), tuning.operations()):
            twin.dispatch.register("sagemaker", operations)
        made.append(twin)
        return twin, tuning

    yield make
    for twin in made:
        twin.close()


def request(
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
    """Return the parameters of a tuning job of `x` between 0 and 1."""
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


def create(twin: JobTwin, *args: Any, **more: Any) -> Any:
    """Create a tuning job."""
    return twin.do("sagemaker", "CreateHyperParameterTuningJob", **request(*args, **more))


def finish(twin: JobTwin, tuning: TuningJobs, name: str = "tune") -> dict[str, Any]:
    """Wait for its end; return its description."""
    twin.engine.run(tuning.wait_event(name))
    job: dict[str, Any] = twin.do(
        "sagemaker", "DescribeHyperParameterTuningJob", HyperParameterTuningJobName=name
    )
    return job


def trials(twin: JobTwin, name: str = "tune", **more: Any) -> list[dict[str, Any]]:
    """Return its training jobs."""
    asked = {"HyperParameterTuningJobName": name, "MaxResults": 100, **more}
    answer = twin.do("sagemaker", "ListTrainingJobsForHyperParameterTuningJob", **asked)
    found: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    return found


def objective(trial: dict[str, Any]) -> float:
    """Return what a training job reached."""
    return float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
