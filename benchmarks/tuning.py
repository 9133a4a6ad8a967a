"""How much sooner a tuning job ends when its training jobs compute on both processors.

``python -m benchmarks.tuning`` writes `results/tuning.json`: the same tuning job of the
pipeline's own container with `MaxParallelTrainingJobs` 1 and 4, by turns; of the four, two compute
at once. It tunes on the features of the history of the scenario `demo`, which are made once
beforehand; that time is not counted. Both must try the same and find the same, to the last bit of
the objective. Whoever else computes on the machine makes the ratio smaller; how many containers
run at once, looked at all the time, stays the same.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.detection.fleet_data import joined
from benchmarks.detection.fleet_data import rows_of as rows_of_fleet
from benchmarks.result import finish, parser
from benchmarks.row import Row
from infra_cdk.config import PUMP_SPEC
from pipeline.features import feature_names
from pipeline.model.training_metrics import METRIC_DEFINITIONS
from pipeline.settings import FeatureSpec
from simulator.cloud.cloud import Cloud
from simulator.scenario import Scenario

PIPELINE = Path(__file__).parents[1] / "pipeline"
ROLE = "arn:aws:iam::000000000000:role/tuning"
START = datetime(2026, 1, 5, tzinfo=UTC)
TRIALS, ROUNDS, PARALLEL = 20, 1, 4
SCENARIO = "demo"
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """One tuning job: real and processor seconds, containers at once on average, what it found."""

    real_s: float
    cpu_s: float
    containers: float
    found: Any


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write."""
    options = parser("tuning", __doc__)
    options.add_argument("--trials", type=int, default=TRIALS, help="training jobs of each")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = options.parse_args(arguments)
    trials, rounds = (4, 1) if chosen.quick else (chosen.trials, chosen.rounds)
    outcomes: dict[int, list[Outcome]] = {1: [], PARALLEL: []}
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        features = Path(folder) / "part.parquet"
        rows = write_features(features, Scenario.load(SCENARIO))
        print(f"{rows} rows of the scenario {SCENARIO}", flush=True)
        for _ in range(rounds):
            for at_once, kept in outcomes.items():
                kept.append(tuned(features, trials, at_once))
                print(f"{at_once} at once: {kept[-1].real_s:.1f} s", flush=True)
    found = {"scenario": SCENARIO, "feature_rows": rows, **figures_of(outcomes, trials)}
    return finish("tuning", rows_of(found), chosen, found)


def rows_of(found: dict[str, Any]) -> list[Row]:
    """Return what the results say as rows."""
    times = found["four_at_a_time_s"], "s", "one at a time", found["one_at_a_time_s"]
    one, more = found["containers_at_once"]
    return [
        Row(
            f"a tuning job of {found['training_jobs']} on the scenario {found['scenario']}, "
            "four at a time",
            *times,
            ceiling=0.85,
            limits="ratio",
        ),
        Row("its containers that run at once", more, "on average", "one at a time", one, floor=1.5),
    ]


def figures_of(outcomes: dict[int, list[Outcome]], trials: int) -> dict[str, Any]:
    """Return what is written; raises RuntimeError when two jobs found different things."""
    first = outcomes[1][0].found
    for each in (outcome for kept in outcomes.values() for outcome in kept):
        if each.found != first:
            raise RuntimeError("the number of training jobs at once changed what was found")
    one, more = (min(kept, key=lambda outcome: outcome.real_s) for kept in outcomes.values())
    return {
        "training_jobs": trials,
        "one_at_a_time_s": round(one.real_s, 2),
        "four_at_a_time_s": round(more.real_s, 2),
        "ratio": round(one.real_s / more.real_s, 3),
        "containers_at_once": [round(one.containers, 2), round(more.containers, 2)],
        "processors_busy": [round(each.cpu_s / each.real_s, 2) for each in (one, more)],
        "best_objective": min(objective for _, objective in first),
    }


def write_features(path: Path, scenario: Scenario) -> int:
    """Write the feature rows of a scenario's history as the lake has them; return how many."""
    spec = FeatureSpec.parse(json.dumps(PUMP_SPEC))
    made = rows_of_fleet(scenario, spec, os.cpu_count() or 1)
    devices, times_ms, features = joined(made.machines, 0, made.live_start_ms)
    columns: dict[str, Any] = {
        "device_id": devices,
        "event_time_ms": times_ms,
        # Nothing is lost on the way: each window is full.
        "n": np.full(len(devices), round(scenario.fleet.rate_hz * spec.window_ms / 1000)),
    }
    columns |= dict(zip(feature_names(spec), features.T, strict=True))
    pq.write_table(pa.table(columns), path)
    return len(devices)


def tuned(features: Path, trials: int, at_once: int) -> Outcome:
    """Run one tuning job in a twin of its own."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        cloud = Cloud(START, Path(folder) / "state")
        try:
            prepare(cloud, features)
            began, cpu_began = time.perf_counter(), _cpu_s()
            with counted_containers() as counts:
                cloud.call("sagemaker", "CreateHyperParameterTuningJob", **request(trials, at_once))
                cloud.engine.run(cloud.tuning.wait_event("bench"))
            real_s, cpu_s = time.perf_counter() - began, _cpu_s() - cpu_began
            return Outcome(real_s, cpu_s, statistics.fmean(counts), found(cloud, trials))
        finally:
            cloud.close()


@contextmanager
def counted_containers() -> Iterator[list[int]]:
    """Count the containers that run, again and again, on a thread of its own."""
    counts: list[int] = []
    over = threading.Event()

    def look() -> None:
        myself = psutil.Process()
        while not over.wait(LOOK_EVERY_S):
            counts.append(sum(_is_container(child) for child in myself.children()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


def _is_container(process: psutil.Process) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and "train" in process.cmdline()
    except psutil.Error:
        return False


def _cpu_s() -> float:
    """Return the processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def found(cloud: Cloud, trials: int) -> list[tuple[Any, float]]:
    """Return (hyperparameters, objective) of each training job, in the order of the trials."""
    summaries: Sequence[Any] = cloud.call(
        "sagemaker",
        "ListTrainingJobsForHyperParameterTuningJob",
        HyperParameterTuningJobName="bench",
        MaxResults=trials,
    )["TrainingJobSummaries"]
    return [
        (each["TunedHyperParameters"], each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
        for each in summaries
    ]


def prepare(cloud: Cloud, path: Path) -> None:
    """Make the role and the image, and put the features into the lake."""
    cloud.context.assets["pipeline"] = PIPELINE
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    # The image is pulled with the role's permissions.
    allowed = {"Effect": "Allow", "Action": ["s3:*", "ecr:*"], "Resource": "*"}
    version = "2012-10-17"
    cloud.iam.put_role(
        ROLE,
        {"Version": version, "Statement": [trust]},
        {"inline": {"Version": version, "Statement": [allowed]}},
    )
    cloud.call("s3", "CreateBucket", Bucket="lake")
    key = "features/dt=2026-01-05/part.parquet"
    cloud.call("s3", "PutObject", Bucket="lake", Key=key, Body=path.read_bytes())


def request(trials: int, at_once: int) -> dict[str, Any]:
    """Return a random search: what it tries does not depend on how many compute at once."""
    rate = {"Name": "learning_rate", "MinValue": "0.0005", "MaxValue": "0.02"}
    hidden = {"Name": "hidden", "MinValue": "8", "MaxValue": "32"}
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/features/"}
    return {
        "HyperParameterTuningJobName": "bench",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize",
                "MetricName": "validation_loss",
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": trials,
                "MaxParallelTrainingJobs": at_once,
            },
            "ParameterRanges": {
                "ContinuousParameterRanges": [rate | {"ScalingType": "Logarithmic"}],
                "IntegerParameterRanges": [hidden],
            },
            "RandomSeed": 1,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"feature_spec": json.dumps(PUMP_SPEC), "epochs": "10"},
            "AlgorithmSpecification": {
                "TrainingImage": "000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:pipeline",
                "TrainingInputMode": "File",
                "MetricDefinitions": METRIC_DEFINITIONS,
            },
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 5,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
