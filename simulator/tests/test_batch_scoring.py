"""Tuning, batch scoring and the nightly workflow on a twin, from readings to rows of scores.

The tests build on each other: the best of several trainings serves, scores, and scores by the
clock.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cloud.asl_execution import Execution
from simulator.lake import lake_of
from simulator.targets import Embedded
from simulator.tests.test_promotion import ENDPOINT, GROUP, HOURS, SPEC, readings

# One twin for all, in the order of the file.
pytestmark = pytest.mark.slow

DAY = "2026-01-06"
HOURS_OF_DAY = {"start": f"{DAY}T00:00:00Z", "end": f"{DAY}T03:00:00Z"}
NIGHT_S = 4 * 3600.0
JOBS = 3
FEATURES = [
    f"{sensor}_{name}"
    for sensor in ("temperature_c", "velocity_mm_s_rms")
    for name in ("mean", "std", "slope")
]


class Fleet:
    """A twin after a day with three hours of readings, its nightly workflow turned on."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        start = datetime(2026, 1, 7, tzinfo=UTC)
        self.target = Embedded(start, folder, speed=None, seed=1)
        self.told: list[dict[str, Any]] = []

    def boot(self) -> None:
        parameters = {
            "FeatureSpec": json.dumps(SPEC),
            "NightlySchedule": "cron(0 4 * * ? *)",
            "NightlyState": "ENABLED",
            "NightlyScoring": "true",
        }
        self.target.boot(parameters, prewarmed=False)
        self.target.on_alert(lambda message: self.told.append(json.loads(message)))
        rng = np.random.default_rng(7)
        for hour in range(HOURS):
            self.arrive(hour, [line for name in "123" for line in readings(name, hour, rng)])

    def arrive(self, hour: int, lines: list[str]) -> None:
        key = f"telemetry/dt={DAY}/hour={hour:02}/rows.jsonl.gz"
        body = gzip.compress("".join(lines).encode())
        bucket = self.target.bucket("raw")
        self.target.call("s3", "PutObject", Bucket=bucket, Key=key, Body=body)

    def run(self, workflow: str, name: str, data: dict[str, Any]) -> Execution:
        machine = self.machine(workflow)
        execution = self.target.start_workflow(machine, json.dumps(data), name, lambda *_: None)
        self.target.run_until(execution.done)
        return execution

    def machine(self, workflow: str) -> str:
        return self.target.name_of("AWS::StepFunctions::StateMachine", f"-{workflow}")

    def tune(self, name: str, tuning: dict[str, int]) -> Execution:
        """Train with tuning on the hours that there are."""
        # What is looked for may be set: a training without tuning then takes it.
        settings = json.dumps({"epochs": "5", "hidden": "12"})
        parameter = "/fleetwin/dev/training-settings"
        self.target.call("ssm", "PutParameter", Name=parameter, Value=settings, Overwrite=True)
        return self.run("training", name, {**HOURS_OF_DAY, "run": name, "tuning": tuning})

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in lake_of(self.state).run(statement).rows]

    def started(self, workflow: str) -> list[dict[str, Any]]:
        listed = self.target.call(
            "stepfunctions", "ListExecutions", stateMachineArn=self.machine(workflow)
        )
        found: list[dict[str, Any]] = listed["executions"]
        return found

    def kept(self) -> dict[str, bytes]:
        """Return the lake's objects, without the lines that one execution hands to its job.

        Spark names its files by an id of the write, which is left out.
        """
        found = [
            (re.sub(r"-[0-9a-f-]{36}(?=\.c000)", "", key), body)
            for key, body in self.target.objects(self.target.bucket("processed"), "")
            if not key.startswith("transform/")
        ]
        assert len(dict(found)) == len(found)
        return dict(found)

    def partitions(self) -> dict[str, list[tuple[list[str], str]]]:
        """Return (values, location) of each table's partitions."""
        call = self.target.call
        (database,) = call("glue", "GetDatabases")["DatabaseList"]
        names = {"DatabaseName": database["Name"]}
        return {
            table["Name"]: [
                (each["Values"], each["StorageDescriptor"]["Location"])
                for each in call("glue", "GetPartitions", **names, TableName=table["Name"])[
                    "Partitions"
                ]
            ]
            for table in call("glue", "GetTables", **names)["TableList"]
        }

    def endpoint_scores(self, rows: list[tuple[Any, ...]]) -> list[float]:
        asked = [{"device_id": name, "features": values} for name, _, *values in rows]
        answer = self.target.call(
            "sagemaker-runtime",
            "InvokeEndpoint",
            EndpointName=ENDPOINT,
            ContentType="application/json",
            Body=json.dumps({"rows": asked}).encode(),
        )
        scores: list[float] = json.loads(answer["Body"])["scores"]
        return scores


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("batch-scoring"))
    try:
        made.boot()
        yield made
    finally:
        made.target.close()


def test_without_an_approved_model_nothing_is_scored_and_somebody_is_told(fleet: Fleet) -> None:
    execution = fleet.run("batch", "too-early", HOURS_OF_DAY)
    assert (execution.status, execution.error) == ("FAILED", "NoApprovedModel")
    assert (fleet.told[-1]["kind"], fleet.told[-1]["state"]) == ("workflow_failed", "NoModel")


def test_the_best_of_the_trainings_that_tuning_started_is_put_in_service(fleet: Fleet) -> None:
    execution = fleet.tune("tuned", {"jobs": JOBS, "parallel": 2})
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
    serving = call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert serving["EndpointStatus"] == "InService"
    assert re.fullmatch(f"{ENDPOINT}-tuned-[0-9a-f]{{8}}", serving["EndpointConfigName"])
    settings = {one["TrainingJobName"]: one["TunedHyperParameters"] for one in tried}
    assert {frozenset(one) for one in settings.values()} == {
        frozenset({"learning_rate", "hidden", "bottleneck"})
    }


def test_the_same_run_may_be_trained_without_tuning_after_it_was_trained_with_it(
    fleet: Fleet,
) -> None:
    execution = fleet.run("training", "plain", {**HOURS_OF_DAY, "run": "tuned"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    evaluated = fleet.target.call(
        "sagemaker", "DescribeProcessingJob", ProcessingJobName=f"{ENDPOINT}-tuned"
    )
    assert evaluated["ProcessingJobStatus"] == "Completed"
    packages = fleet.target.call("sagemaker", "ListModelPackages", ModelPackageGroupName=GROUP)
    assert len(packages["ModelPackageSummaryList"]) == 2


def test_tuning_that_is_not_possible_fails_and_is_told_once(fleet: Fleet) -> None:
    told = len(fleet.told)
    execution = fleet.tune("impossible", {"jobs": 0, "parallel": 1})
    assert execution.status == "FAILED"
    fleet.target.run_until(fleet.target.clock.now + 60.0)
    (alert,) = fleet.told[told:]
    assert (alert["kind"], alert["state"]) == ("workflow_failed", "Tune")


def test_the_scores_of_some_hours_are_those_that_the_endpoint_gives(fleet: Fleet) -> None:
    execution = fleet.run("batch", "by-hand", HOURS_OF_DAY)
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    order = "order by device_id, event_time_ms"
    columns = ", ".join(["device_id", "event_time_ms", *FEATURES])
    rows = fleet.sql(f"select {columns} from features where dt = '{DAY}' {order}")
    scored = fleet.sql(
        "select device_id, event_time_ms, score, model_version, hour from scores "
        f"where dt = '{DAY}' {order}"
    )
    assert len(rows) > 3000
    assert [row[:2] for row in scored] == [row[:2] for row in rows]
    assert {row[4] for row in scored} == {"00", "01", "02"}
    expected = fleet.endpoint_scores(rows)
    assert [row[2] for row in scored] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert len({row[3] for row in scored}) == 1


def test_the_same_hours_again_are_the_same_rows(fleet: Fleet) -> None:
    before = fleet.sql("select * from scores order by device_id, event_time_ms")
    execution = fleet.run("batch", "again", HOURS_OF_DAY)
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert fleet.sql("select * from scores order by device_id, event_time_ms") == before


def test_the_day_before_is_made_judged_and_scored_by_the_clock(fleet: Fleet) -> None:
    assert fleet.started("nightly") == []
    assert fleet.target.clock.now < NIGHT_S
    batches = len(fleet.started("batch"))
    before = fleet.sql("select * from scores order by device_id, event_time_ms")
    fleet.target.run_until(NIGHT_S + 3600.0)
    (nightly,) = fleet.started("nightly")
    assert nightly["status"] == "SUCCEEDED"
    assert nightly["startDate"].replace(microsecond=0) == datetime(2026, 1, 7, 4, tzinfo=UTC)
    first, *_ = fleet.started("batch")
    assert len(fleet.started("batch")) == batches + 1
    described = fleet.target.call(
        "stepfunctions", "DescribeExecution", executionArn=first["executionArn"]
    )
    data = json.loads(described["input"])
    assert (data["start"], data["end"]) == (
        "2026-01-06T00:00:00.000Z",
        "2026-01-07T00:00:00.000Z",
    )
    assert data["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == nightly["executionArn"]
    after = fleet.sql("select * from scores order by device_id, event_time_ms")
    assert set(before) <= set(after)


def test_the_same_day_again_is_the_same_objects_rows_and_partitions(fleet: Fleet) -> None:
    tables = ("features", "scores")
    told = list(fleet.told)

    def found() -> tuple[Any, ...]:
        rows = [
            fleet.sql(f"select * from {name} order by device_id, event_time_ms") for name in tables
        ]
        return fleet.kept(), fleet.partitions(), rows

    objects, partitions, rows = found()
    assert any(key.startswith("quality/") for key in objects)
    assert all(len(partitions[name]) >= HOURS for name in tables)
    execution = fleet.run("nightly", "again", {"time": "2026-01-07T05:30:00Z"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert found() == (objects, partitions, rows)
    assert fleet.told == told


def test_a_day_of_poor_quality_is_told_and_not_scored(fleet: Fleet) -> None:
    batches = len(fleet.started("batch"))
    fleet.arrive(5, ["not a message\n"] * 200)
    execution = fleet.run("nightly", "poor", {"time": "2026-01-07T06:00:00Z"})
    assert (execution.status, execution.error) == ("FAILED", "DataQualityPoor")
    assert "malformed 0.0" in str(execution.cause)
    assert fleet.told[-1]["state"] == "QualityPoor"
    assert len(fleet.started("batch")) == batches
