"""Drift on a twin, by the clock: captured, found, trained on, and gone; faults train nothing.

One twin, nine hours: three pumps, of which all are warmer from 05:00 on, and one has a fault from
08:00 on. The traffic is that of a detector; everything from the endpoint on is the stack's own.
At last somebody trains over the hours of the fault, which is not learnt as usual.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.features import Signals, feature_rows
from pipeline.model.dataset import Dataset
from pipeline.settings import FeatureSpec
from simulator.cloud.asl_execution import Execution
from simulator.targets import Embedded

# One twin for all, in the order of the file.
pytestmark = pytest.mark.slow

START = datetime(2026, 1, 6, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000
TRAINED_H, TRAFFIC_H, DRIFT_H, FAULT_H, END_H = 3, 4, 5, 8, 10
PUMPS = ("pump-1", "pump-2", "pump-3")
SENSORS = {"temperature_c": [-40, 200], "velocity_mm_s_rms": [0, 100]}
SPEC = {"sensors": SENSORS, "window_s": 60, "hop_s": 20, "allowed_lateness_s": 10, "bursts": False}
ENDPOINT = "fleetwin-dev-detector"
REQUEST_MS = 120_000


def values_of(seed: int) -> np.ndarray[Any, Any]:
    """Return (hours * 720, 2) readings of a pump every 5 s: a load that both follow, and noise."""
    rng = np.random.default_rng(seed)
    rows = END_H * 720
    load = np.convolve(rng.normal(size=rows + 20), np.ones(21) / 21.0, "valid")
    noise = rng.normal(size=(rows, 2))
    values = np.column_stack(
        [60.0 + 8.0 * load + 0.2 * noise[:, 0], 3.0 + 0.9 * load + 0.05 * noise[:, 1]]
    )
    values[DRIFT_H * 720 :, 0] += 4.0
    if seed == 0:
        values[FAULT_H * 720 :, 1] += 3.0
    return values


READINGS = {pump: values_of(number) for number, pump in enumerate(PUMPS)}
TIMES_MS = START_MS + np.arange(END_H * 720, dtype=np.int64) * 5_000


def raw_lines(hour: int) -> str:
    lines = []
    for pump, values in READINGS.items():
        for number in range(hour * 720, (hour + 1) * 720):
            given = dict(zip(SENSORS, values[number].tolist(), strict=True))
            line = {"schema": 1, "device_id": pump, "seq": number, "late": False}
            line |= {"event_time_ms": int(TIMES_MS[number]), "values": given}
            lines.append(json.dumps(line) + "\n")
    return "".join(lines)


def features() -> Dataset:
    """Return the rows that the detector would ask about."""
    parts = []
    none = np.zeros(0, np.int64)
    bounds = np.array([START_MS], np.int64), np.array([START_MS + END_H * HOUR_MS], np.int64)
    for values in READINGS.values():
        zeros = np.zeros(len(TIMES_MS), np.int64)
        signals = Signals(zeros, TIMES_MS, values, none, none, np.zeros((0, 0)))
        parts.append(feature_rows(signals, *bounds, FeatureSpec.parse(json.dumps(SPEC))))
    return Dataset(
        [
            pump
            for pump, part in zip(READINGS, parts, strict=True)
            for _ in range(len(part.event_time_ms))
        ],
        np.concatenate([part.event_time_ms for part in parts]),
        np.vstack([part.features for part in parts]),
    )


class Fleet:
    """The twin, what the alert topic told, and the answers of the endpoint by time."""

    def __init__(self, folder: Path) -> None:
        self.target = Embedded(START + timedelta(hours=TRAINED_H), folder, speed=None, seed=1)
        self.told: list[dict[str, Any]] = []
        self.rows = features()
        self.answers: list[tuple[int, list[str], dict[str, Any]]] = []

    def boot(self) -> None:
        settings = {
            "FeatureSpec": json.dumps(SPEC),
            "MonitoringState": "ENABLED",
            "MonitoringWindowS": "600",
            "MonitoringMarginS": "300",
            "RetrainingS": "7200",
        }
        self.target.boot(settings, prewarmed=False)
        self.target.on_alert(lambda message: self.told.append(json.loads(message)))
        name, values = "/fleetwin/dev/training-settings", {"epochs": "5", "alarm_margin_s": "600"}
        self.target.call("ssm", "PutParameter", Name=name, Value=json.dumps(values), Overwrite=True)
        bucket = self.target.bucket("raw")
        for hour in range(END_H):
            key = f"telemetry/dt=2026-01-06/hour={hour:02}/rows.jsonl.gz"
            body = gzip.compress(raw_lines(hour).encode())
            self.target.call("s3", "PutObject", Bucket=bucket, Key=key, Body=body)

    def train(self, run: str, start_h: int, end_h: int) -> None:
        hours = {"start": start_h, "end": end_h}
        data = {name: f"2026-01-06T{hour:02}:00:00Z" for name, hour in hours.items()}
        machine = self.target.name_of("AWS::StepFunctions::StateMachine", "-training")
        execution = self.target.start_workflow(
            machine, json.dumps(data | {"run": run}), run, lambda *_: None
        )
        self.target.run_until(execution.done)
        assert execution.status == "SUCCEEDED", (execution.error, execution.cause)

    def serve(self, start_h: int, end_h: int) -> None:
        """Ask the endpoint about the rows of some hours, as they come."""
        for start_ms in range(start_h * HOUR_MS, end_h * HOUR_MS, REQUEST_MS):
            asked = self.rows.within(START_MS + start_ms, START_MS + start_ms + REQUEST_MS)
            self.target.run_until((start_ms + REQUEST_MS) / 1000.0 - TRAINED_H * 3600.0 - 1.0)
            self.answers.append((start_ms // HOUR_MS, asked.device_ids, self.asked(asked)))

    def asked(self, rows: Dataset) -> dict[str, Any]:
        """Return what the endpoint says of rows."""
        columns = (rows.device_ids, rows.event_time_ms.tolist(), rows.features.tolist())
        asked = [
            {"device_id": device, "event_time_ms": moment, "features": values}
            for device, moment, values in zip(*columns, strict=True)
        ]
        answer = self.target.call(
            "sagemaker-runtime",
            "InvokeEndpoint",
            EndpointName=ENDPOINT,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps({"rows": asked}).encode(),
        )
        body = answer["Body"]
        found: dict[str, Any] = json.loads(body if isinstance(body, bytes) else body.read())
        return found

    def card(self, run: str) -> dict[str, Any]:
        """Return the card of the model that a training left."""
        name = f"models/{ENDPOINT}-{run}/"
        ((_, body),) = self.target.objects(self.target.bucket("artefacts"), name)
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            stored = archive.extractfile("model_card.json")
            assert stored is not None
            found: dict[str, Any] = json.load(stored)
        return found

    def judge_again(self, name: str, time: str) -> Execution:
        """Run the monitoring workflow by hand, and give what it starts the time to begin."""
        machine = self.target.name_of("AWS::StepFunctions::StateMachine", "-monitoring")
        data = json.dumps({"time": time})
        execution = self.target.start_workflow(machine, data, name, lambda *_: None)
        self.target.run_until(execution.done)
        self.target.run_until(self.target.clock.now + 60.0)
        return execution

    def measured(self, name: str) -> list[tuple[datetime, float]]:
        """Return (time, samples) of a metric of the monitoring, by the minute."""
        found = self.target.call(
            "cloudwatch",
            "GetMetricStatistics",
            Namespace="Fleetwin",
            MetricName=name,
            Dimensions=[
                {"Name": "Endpoint", "Value": ENDPOINT},
                {"Name": "MonitoringSchedule", "Value": "fleetwin-dev-monitoring"},
            ],
            StartTime=START,
            EndTime=START + timedelta(hours=END_H, minutes=1),
            Period=60,
            Statistics=["SampleCount"],
        )
        return sorted((each["Timestamp"], each["SampleCount"]) for each in found["Datapoints"])

    def executions(self, ending: str) -> list[dict[str, Any]]:
        arn = self.target.name_of("AWS::StepFunctions::StateMachine", ending)
        found = self.target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)
        return list(reversed(found["executions"]))

    def reports(self) -> dict[str, dict[str, Any]]:
        """Return the monitoring reports by the time of their execution."""
        bucket = self.target.bucket("artefacts")
        return {
            key.split("/")[3]: json.loads(body)
            for key, body in self.target.objects(bucket, "monitoring/")
            if key.endswith("/report.json")
        }

    def above(self, hour: int, pumps: tuple[str, ...]) -> float:
        """Return the share of rows of an hour that the serving model scored above threshold."""
        scores = [
            score
            for at, devices, answer in self.answers
            for device, score in zip(devices, answer["scores"], strict=True)
            if at == hour and device in pumps
        ]
        return float((np.array(scores) > 1.0).mean())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("twin"))
    try:
        made.boot()
        made.train("first", 0, TRAINED_H)
        made.serve(TRAFFIC_H, END_H)
        made.target.run_until((END_H - TRAINED_H) * 3600.0 + 1800.0)
        yield made
    finally:
        made.target.close()


def test_a_usual_hour_has_a_baseline_made_and_is_told_to_nobody(fleet: Fleet) -> None:
    assert {each["status"] for each in fleet.executions("-monitoring")} == {"SUCCEEDED"}
    report = fleet.reports()["2026-01-06T05:05:00Z"]
    assert report["rows_judged_for_drift"] > 0
    assert report["drift"] is None
    assert [each["kind"] for each in fleet.told][:2] == ["model_ready", "monitoring_violations"]
    assert fleet.told[1]["time"] == "2026-01-06T06:05:00Z"


def test_drift_is_told_after_its_first_hour_and_trained_on_after_its_second(fleet: Fleet) -> None:
    reports = fleet.reports()
    drift = reports["2026-01-06T06:05:00Z"]["drift"]
    assert "temperature_c_mean" in [each["name"] for each in drift["features"]]
    assert (drift["drifted_since"], drift["retrain"]) == ("2026-01-06T05:00:00Z", False)
    assert reports["2026-01-06T07:05:00Z"]["drift"]["retrain"] is True
    first, second = fleet.executions("-training")
    assert first["status"] == second["status"] == "SUCCEEDED"
    found = fleet.target.call(
        "stepfunctions", "DescribeExecution", executionArn=second["executionArn"]
    )
    assert json.loads(found["input"]) == {
        "start": "2026-01-06T05:00:00Z",
        "end": "2026-01-06T07:00:00Z",
        "run": "drift-20260106-070000",
    }
    described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert described["EndpointConfigName"] == f"{ENDPOINT}-drift-20260106-070000"


def test_after_the_training_nothing_drifts_and_the_false_alarms_are_gone(fleet: Fleet) -> None:
    assert fleet.above(DRIFT_H - 1, PUMPS) < 0.05
    assert fleet.above(DRIFT_H, PUMPS) > 0.5
    assert fleet.above(FAULT_H, PUMPS[1:]) < 0.05
    reports = fleet.reports()
    for hour in range(FAULT_H, END_H + 1):
        assert reports[f"2026-01-06T{hour:02}:05:00Z"]["drift"] is None, hour


def test_a_fault_alone_is_in_alarm_and_trains_nothing(fleet: Fleet) -> None:
    reports = fleet.reports()
    for hour in range(FAULT_H + 1, END_H + 1):
        assert reports[f"2026-01-06T{hour:02}:05:00Z"]["rows_in_alarm"] > 0, hour
    assert fleet.above(FAULT_H + 1, PUMPS[:1]) > 0.9
    assert len(fleet.executions("-training")) == 2


def test_a_training_on_drift_takes_all_rows_though_all_of_them_are_in_alarm(fleet: Fleet) -> None:
    told = fleet.card("drift-20260106-070000")["left_out"]
    assert told["hours_of_a_common_cause"] == 2
    assert told["rows"] == 0


def test_a_training_over_the_hours_of_a_fault_leaves_them_out_and_finds_it_as_before(
    fleet: Fleet,
) -> None:
    fleet.train("after", DRIFT_H, END_H)
    described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert described["EndpointConfigName"] == f"{ENDPOINT}-after"
    card = fleet.card("after")
    ((start_ms, end_ms),) = card["left_out"]["spans"]["pump-1"]
    assert 0 <= START_MS + FAULT_H * HOUR_MS - start_ms <= 900_000
    assert end_ms == START_MS + END_H * HOUR_MS - 20_000
    hour_ms = START_MS + (FAULT_H + 1) * HOUR_MS
    rows = fleet.rows.within(hour_ms, hour_ms + REQUEST_MS * 5)
    scores = np.array(fleet.asked(rows)["scores"])
    faulty = np.array(rows.device_ids) == "pump-1"
    assert (scores[faulty] > 1.0).all()
    assert (scores[~faulty] > 1.0).mean() < 0.05


def test_a_drifted_window_that_is_judged_again_is_told_and_trained_on_once(fleet: Fleet) -> None:
    """The model of before serves again, as if the training had not put another one in its place."""
    told, trainings = fleet.measured("violations"), len(fleet.executions("-training"))
    assert {count for _, count in told} == {1.0}
    before = fleet.reports()["2026-01-06T07:05:00Z"]
    assert fleet.judge_again("by-the-new-model", "2026-01-06T07:06:00Z").status == "SUCCEEDED"
    assert fleet.reports()["2026-01-06T07:06:00Z"]["rows_of_other_models"] > 0
    assert fleet.measured("violations") == told
    fleet.target.call(
        "sagemaker", "UpdateEndpoint", EndpointName=ENDPOINT, EndpointConfigName=f"{ENDPOINT}-first"
    )
    fleet.target.run_until(fleet.target.clock.now + 1200.0)
    described = fleet.target.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "InService",
        f"{ENDPOINT}-first",
    )
    for name, time in (("again", "07:05:00"), ("of-another-time", "07:08:30")):
        execution = fleet.judge_again(name, f"2026-01-06T{time}Z")
        assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
        report = fleet.reports()[f"2026-01-06T{time}Z"]
        assert report == before, "it drifts as it did, and the event would start a training"
        assert report["drift"]["retrain"] is True
        assert fleet.measured("violations") == told
        assert len(fleet.executions("-training")) == trainings
    # Forgotten, it would be told and trained on again.
    bucket = fleet.target.bucket("artefacts")
    kept = f"monitoring/told/{ENDPOINT}/2026-01-06T06:50:00Z--2026-01-06T07:00:00Z.json"
    fleet.target.call("s3", "DeleteObject", Bucket=bucket, Key=kept)
    fleet.judge_again("forgotten", "2026-01-06T07:05:00Z")
    assert len(fleet.executions("-training")) == trainings + 1
    assert sum(count for _, count in fleet.measured("violations")) == len(told) + 1
