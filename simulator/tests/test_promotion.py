"""Retraining on a twin: a candidate is judged, watched as a canary, and rejected where it is bad.

The executions of the training workflow build on each other, as the months of a fleet do.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.features import feature_names
from pipeline.settings import FeatureSpec
from simulator.cloud.asl_execution import Execution
from simulator.evidence import evaluations
from simulator.targets import Embedded

# One twin for all, in the order of the file.
pytestmark = pytest.mark.slow

START = datetime(2026, 1, 6, tzinfo=UTC)
HOURS = 3
SENSORS = {"temperature_c": [-40, 200], "velocity_mm_s_rms": [0, 100]}
SPEC = {"sensors": SENSORS, "window_s": 60, "hop_s": 10, "allowed_lateness_s": 10, "bursts": False}
ENDPOINT = "fleetwin-dev-detector"
GROUP = "fleetwin-dev-models"
ALARM = "fleetwin-dev-endpoint-errors"


class Fleet:
    """A twin with three hours of healthy readings, and what became of each training."""

    def __init__(self, folder: Path) -> None:
        self.target = Embedded(START + timedelta(hours=HOURS), folder, speed=None, seed=1)
        self.told: list[dict[str, Any]] = []

    def boot(self) -> None:
        # Three hours are not enough windows of an hour to know what is usual.
        lengths = {"MonitoringWindowS": "600", "MonitoringMarginS": "60", "RetrainingS": "600"}
        self.target.boot({"FeatureSpec": json.dumps(SPEC), **lengths}, prewarmed=False)
        self.target.on_alert(lambda message: self.told.append(json.loads(message)))
        self.record()

    def record(self, fault_ms: tuple[int, int] = (0, 0)) -> None:
        """Put the readings into the lake; in the time of a fault pump-1 is much warmer."""
        rng = np.random.default_rng(7)
        for hour in range(HOURS):
            lines = [
                line
                for device in ("pump-1", "pump-2", "pump-3")
                for line in readings(device, hour, rng, fault_ms if device == "pump-1" else (0, 0))
            ]
            key = f"telemetry/dt=2026-01-06/hour={hour:02}/rows.jsonl.gz"
            self.put("raw", key, gzip.compress("".join(lines).encode()))

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.target.call("s3", "PutObject", Bucket=self.target.bucket(bucket), Key=key, Body=body)

    def begin(self, run: str, settings: dict[str, str] | None = None, named: str = "") -> Execution:
        name = "/fleetwin/dev/training-settings"
        values = {"epochs": "5", **(settings or {})}
        self.target.call("ssm", "PutParameter", Name=name, Value=json.dumps(values), Overwrite=True)
        machine = self.target.name_of("AWS::StepFunctions::StateMachine", "-training")
        given = {"start": "2026-01-06T00:00:00Z", "end": "2026-01-06T03:00:00Z", "run": run}
        data = json.dumps(given)
        return self.target.start_workflow(machine, data, named or run, lambda *_: None)

    def train(self, run: str, settings: dict[str, str] | None = None, named: str = "") -> Execution:
        execution = self.begin(run, settings, named)
        self.target.run_until(execution.done)
        return execution

    def jobs(self, run: str) -> list[str]:
        """Return the training jobs of a run, the first made first."""
        listed = self.target.call(
            "sagemaker", "ListTrainingJobs", NameContains=f"-{run}", SortOrder="Ascending"
        )
        return [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]]

    def serving(self) -> str:
        found = self.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
        assert found["EndpointStatus"] == "InService"
        return str(found["EndpointConfigName"])

    def approvals(self) -> list[str]:
        listed = self.target.call(
            "sagemaker", "ListModelPackages", ModelPackageGroupName=GROUP, SortBy="CreationTime"
        )
        return [each["ModelApprovalStatus"] for each in listed["ModelPackageSummaryList"]]

    def evaluation(self, run: str) -> dict[str, Any]:
        prefix = f"evaluations/{ENDPOINT}-{run}/"
        ((_, body),) = self.target.objects(self.target.bucket("artefacts"), prefix)
        found: dict[str, Any] = json.loads(body)
        return found


def readings(
    device: str, hour: int, rng: np.random.Generator, fault_ms: tuple[int, int] = (0, 0)
) -> Iterator[str]:
    """Yield an hour of raw lines, one every 5 s: a load that both sensors follow, and noise."""
    start_ms = int(START.timestamp() * 1000) + hour * 3_600_000
    load = np.convolve(rng.normal(size=740), np.ones(21) / 21.0, "valid")[:720]
    noise = rng.normal(size=(720, 2))
    for number in range(720):
        warmer = 20.0 if fault_ms[0] <= start_ms + number * 5_000 < fault_ms[1] else 0.0
        values = {
            "temperature_c": 60.0 + 8.0 * load[number] + 0.2 * noise[number, 0] + warmer,
            "velocity_mm_s_rms": 3.0 + 0.9 * load[number] + 0.05 * noise[number, 1],
        }
        line = {"schema": 1, "device_id": device, "seq": hour * 720 + number, "late": False}
        line |= {"event_time_ms": start_ms + number * 5_000, "values": values}
        yield json.dumps(line) + "\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("promotion"))
    try:
        made.boot()
        yield made
    finally:
        made.target.close()


def test_the_first_model_serves_without_a_comparison_and_is_approved(fleet: Fleet) -> None:
    execution = fleet.train("first")
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert fleet.serving() == f"{ENDPOINT}-first"
    assert fleet.approvals() == ["Approved"]
    assert fleet.told[-1]["kind"] == "model_ready"
    artefacts = fleet.target.bucket("artefacts")
    assert not list(fleet.target.objects(artefacts, "evaluations/"))


def test_a_candidate_that_is_not_worse_is_promoted_by_a_canary(fleet: Fleet) -> None:
    execution = fleet.train("second")
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    found = fleet.evaluation("second")
    assert found["promote"], found["reasons"]
    assert found["current"]["model_version"] != found["candidate"]["model_version"]
    assert found["held_out"]["devices"] == 3
    assert found["candidate"]["probes_found"] > 0
    assert fleet.serving() == f"{ENDPOINT}-second"
    assert fleet.approvals() == ["Approved", "Approved"]
    described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert [each["CurrentInstanceCount"] for each in described["ProductionVariants"]] == [2]
    policy = described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "CANARY"


def test_a_candidate_that_cries_wolf_is_rejected_and_the_endpoint_stays(fleet: Fleet) -> None:
    execution = fleet.train("wolf", {"false_alarms_per_machine_day": "5000"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    found = fleet.evaluation("wolf")
    assert not found["promote"]
    assert fleet.serving() == f"{ENDPOINT}-second"
    assert fleet.approvals() == ["Approved", "Approved", "Rejected"]
    message = fleet.told[-1]
    assert message["kind"] == "model_kept"
    assert message["reasons"] == found["reasons"]
    described = fleet.target.call(
        "sagemaker", "DescribeModelPackage", ModelPackageName=message["rejected"]
    )
    assert json.loads(described["ApprovalDescription"]) == found["reasons"]


def test_a_deaf_candidate_is_rejected_for_the_probes_that_it_misses(fleet: Fleet) -> None:
    start_ms = int(START.timestamp() * 1000)
    label = {"device_id": "pump-9", "start_ms": start_ms, "end_ms": start_ms + 60_000}
    fleet.put("processed", "labels/a.jsonl", json.dumps(label).encode())
    execution = fleet.train("deaf", {"false_alarms_per_machine_day": "1e-30"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    found = fleet.evaluation("deaf")
    assert not found["promote"]
    assert found["candidate"]["probes_found"] < found["current"]["probes_found"]
    assert (found["held_out"]["labels"], found["candidate"]["events"]) == (1, 0)
    assert fleet.serving() == f"{ENDPOINT}-second"
    assert fleet.approvals()[-1] == "Rejected"


def test_a_candidate_that_misses_a_fault_that_a_work_order_names_is_rejected_for_it_alone(
    fleet: Fleet,
) -> None:
    at_ms = {
        name: int((START + timedelta(hours=2, minutes=minute)).timestamp() * 1000)
        for name, minute in {"overhauled": 46, "ill": 48, "stopped": 52, "repaired": 56}.items()
    }
    fleet.record((at_ms["ill"], at_ms["stopped"]))
    order = {"schema": 1, "device_id": "pump-1", "failure_mode": "overheating"}
    overhaul = {"type": "preventive", "finished_ms": at_ms["overhauled"], "opened_ms": 0}
    repair = {"type": "corrective", "finished_ms": at_ms["repaired"], "downtime_s": 240.0}
    lines = [
        json.dumps({**order, **overhaul, "order_id": "WO-1"}),
        json.dumps({**order, **repair, "opened_ms": at_ms["stopped"], "order_id": "WO-2"}),
    ]
    fleet.put("raw", "maintenance/dt=2026-01-06/orders.jsonl", "\n".join(lines).encode())
    # It opens an episode after five minutes, and the fault lasts for four.
    execution = fleet.train("slow", {"enter_rows": "30"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    found = fleet.evaluation("slow")
    verdicts = [reason.split(":")[0] for reason in found["reasons"]]
    assert verdicts == ["passed", "failed", "passed"], found["reasons"]
    (event,) = found["events"]
    assert (event["start_ms"], event["end_ms"]) == (at_ms["overhauled"], at_ms["stopped"])
    assert event["candidate_delay_s"] is None
    assert event["current_delay_s"] > 0
    assert not found["promote"]
    assert fleet.serving() == f"{ENDPOINT}-second"
    assert (fleet.told[-1]["kind"], fleet.told[-1]["reasons"]) == ("model_kept", found["reasons"])
    told = {each["candidate"]: each for each in evaluations(fleet.target)}
    assert told[f"{ENDPOINT}-slow"]["events"] == found["events"], "the report of a run has it"
    assert told[f"{ENDPOINT}-second"]["promote"]


def test_a_canary_with_an_alarm_is_rolled_back_rejected_and_told(fleet: Fleet) -> None:
    execution = fleet.begin("ill", {"seed": "5"})
    described: dict[str, Any] = {}
    while not described.get("PendingDeploymentSummary", {}).get("ProductionVariants"):
        fleet.target.run_until(fleet.target.clock.now + 10.0)
        assert not execution.done.triggered, (execution.status, execution.cause)
        described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    fleet.target.call(
        "cloudwatch", "SetAlarmState", AlarmName=ALARM, StateValue="ALARM", StateReason="a test"
    )
    fleet.target.run_until(execution.done)
    assert (execution.status, execution.error) == ("FAILED", "EndpointFailed")
    assert fleet.serving() == f"{ENDPOINT}-second"
    assert fleet.approvals()[-1] == "Rejected"
    assert (fleet.told[-1]["kind"], fleet.told[-1]["state"]) == (
        "workflow_failed",
        "EndpointFailed",
    )
    described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert ALARM in described["FailureReason"]


def test_a_candidate_is_compared_though_the_endpoint_was_deleted_and_creates_it(
    fleet: Fleet,
) -> None:
    fleet.target.call("sagemaker", "DeleteEndpoint", EndpointName=ENDPOINT)
    execution = fleet.train("again", {"seed": "6"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert fleet.evaluation("again")["promote"]
    assert fleet.serving() == f"{ENDPOINT}-again"
    assert fleet.approvals()[-1] == "Approved"


def test_a_run_that_is_trained_a_second_time_is_a_model_of_its_own(fleet: Fleet) -> None:
    execution = fleet.train("again", {"seed": "7"}, "again-by-hand")
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    first, second = fleet.jobs("again")
    assert first == f"{ENDPOINT}-again"
    assert re.fullmatch(rf"{first}-[0-9a-f]{{8}}", second)
    assert fleet.evaluation(second.removeprefix(f"{ENDPOINT}-"))["candidate"]
    kept = fleet.told[-1]["kind"] == "model_kept"
    assert fleet.serving() == (first if kept else second)
    assert fleet.approvals()[-1] == ("Rejected" if kept else "Approved")


def test_a_run_whose_evaluation_failed_is_started_again_and_goes_on(fleet: Fleet) -> None:
    fleet.put("processed", "labels/broken.jsonl", b"no label")
    execution = fleet.train("torn", {"seed": "8"})
    assert (execution.status, execution.error) == ("FAILED", "States.TaskFailed")
    assert fleet.told[-1]["state"] == "Evaluate"
    fleet.put("processed", "labels/broken.jsonl", b"")
    execution = fleet.train("torn", {"seed": "8"}, "torn-by-hand")
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    _, second = fleet.jobs("torn")
    assert fleet.evaluation(second.removeprefix(f"{ENDPOINT}-"))["candidate"]


def test_drift_of_all_machines_is_found_by_the_monitor_and_trained_on(fleet: Fleet) -> None:
    target = fleet.target
    hour_ms = int(target.cloud.engine.epoch_s() + 60.0) // 3600 * 3_600_000
    # The rows of the last minutes of the hour, and no earlier captures, are what is judged.
    until_s = hour_ms / 1000 + 3_540.0 - target.cloud.engine.epoch_s()
    target.run_until(target.clock.now + until_s)
    for body in warmer_requests(target, hour_ms):
        target.call(
            "sagemaker-runtime",
            "InvokeEndpoint",
            EndpointName=ENDPOINT,
            ContentType="application/json",
            Body=body,
        )
    machine = target.name_of("AWS::StepFunctions::StateMachine", "-training")
    before = target.call("stepfunctions", "ListExecutions", stateMachineArn=machine)
    target.call("events", "EnableRule", Name="fleetwin-dev-monitoring-schedule")
    # Five minutes after the hour, and the time of two jobs.
    target.run_until(target.clock.now + 1_800.0)
    written = [key for key, _ in target.objects(target.bucket("artefacts"), "monitoring/")]
    assert any("/baseline/" in key for key in written)
    assert any("/windows/" in key for key in written)
    after = target.call("stepfunctions", "ListExecutions", stateMachineArn=machine)
    assert len(after["executions"]) == len(before["executions"]) + 1


def test_a_monitor_that_fails_is_told(fleet: Fleet) -> None:
    machine = fleet.target.name_of("AWS::StepFunctions::StateMachine", "-monitoring")
    data = json.dumps({"time": "never"})
    execution = fleet.target.start_workflow(machine, data, "never", lambda *_: None)
    fleet.target.run_until(execution.done)
    assert execution.status == "FAILED"
    assert "workflow_failed" in {each.get("kind") for each in fleet.told[-2:]}


def warmer_requests(target: Embedded, hour_ms: int) -> Iterator[bytes]:
    """Yield requests for the rows of the last hour trained on, now and 2 degrees warmer."""
    old_ms = int(START.timestamp() * 1000) + 2 * 3_600_000
    names = feature_names(FeatureSpec.parse(json.dumps(SPEC)))
    rows = []
    for key, body in target.objects(target.bucket("processed"), "features/dt=2026-01-06/hour=02/"):
        if key.endswith(".parquet"):
            rows += pq.read_table(io.BytesIO(body)).to_pylist()
    warmer = [f"temperature_c_{kind}" for kind in ("mean", "min", "max", "ewma")]
    rows.sort(key=lambda row: (row["event_time_ms"], row["device_id"]))
    for start in range(0, len(rows), 90):
        asked = []
        for row in rows[start : start + 90]:
            values = {**row, **{name: row[name] + 2.0 for name in warmer}}
            at_ms = row["event_time_ms"] - old_ms + hour_ms
            features = [values[name] for name in names]
            each = {"device_id": row["device_id"], "event_time_ms": at_ms, "features": features}
            asked.append(each)
        yield json.dumps({"rows": asked}).encode()
