"""The monitoring job from files to files, and what it tells CloudWatch and EventBridge."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import JobInputError, SettingsError
from pipeline.model import artefact
from pipeline.model.dataset import Dataset
from pipeline.monitoring import job, job_settings, publishing
from pipeline.tests import healthy, monitored
from pipeline.tests.test_model_training import write

FLOW_MEAN = np.eye(healthy.WIDTH)[0]
ENDPOINT = "fleetwin-dev-detector"
PUMPS = range(monitored.UNITS)


class Clients:
    """Stands for boto3: keeps what was put."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.kept: dict[str, bytes] = {}

    def __call__(self, service: str) -> Clients:
        assert service in ("cloudwatch", "events", "s3")
        return self

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        if f"{Bucket}/{Key}" not in self.kept:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        return {"Body": io.BytesIO(self.kept[f"{Bucket}/{Key}"])}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> Any:
        self.kept[f"{Bucket}/{Key}"] = Body

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> Any:
        assert Namespace == "Fleetwin"
        self.metrics += MetricData

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:
        self.events += Entries
        return {"FailedEntryCount": 0, "Entries": [{} for _ in Entries]}


def drifted(windows: int) -> Dataset:
    """Return the rows of windows from the hundredth on, drifted from the fourth of them on."""
    since_ms, _ = monitored.window(103)
    return monitored.shifted(monitored.rows_of(3, windows, 100), FLOW_MEAN, PUMPS, since_ms)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base folder with the model's archive and its baseline, made by the job."""
    base = tmp_path_factory.mktemp("baseline")
    features, folder = base / "processing/input/data", base / "processing/input/model"
    (base / "made").mkdir()
    features.mkdir(parents=True)
    folder.mkdir(parents=True)
    # Rows beyond the training range would spoil it: the model says which are its own.
    write(monitored.rows_of(1, monitored.REFERENCE_WINDOWS), features / "part.parquet")
    artefact.save(monitored.model(), base / "made")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for path in sorted((base / "made").iterdir()):
            archive.add(path, path.name)
    env = {"SAGEMAKER_BASE_DIR": str(base), "WINDOW_S": str(monitored.WINDOW_MS // 1000)}
    assert job.run(env, Clients()).startswith("Completed: baseline of ")
    return base


def monitor(
    prepared: Path,
    folder: Path,
    data: Dataset | list[bytes],
    number: int,
    clients: Clients | None = None,
    /,
    **more: str,
) -> tuple[str, Clients, dict[str, Any]]:
    """Run the job on captured rows; return its message, what it put and its files."""
    capture = folder / "capture/detector/2026/01/05/00"
    capture.mkdir(parents=True, exist_ok=True)
    lines = monitored.captured(data) if isinstance(data, Dataset) else data
    (capture / "00-00-000-a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    _, end_ms = monitored.window(number)
    baseline = prepared / "processing/output"
    clients = clients or Clients()
    env = {
        "SAGEMAKER_BASE_DIR": str(prepared),
        "dataset_source": str(folder / "capture"),
        "output_path": str(folder / "out"),
        "baseline_statistics": str(baseline / "statistics.json"),
        "baseline_constraints": str(baseline / "constraints.json"),
        "end_time": datetime.fromtimestamp(end_ms / 1000 + 7, UTC).isoformat(),
        "sagemaker_endpoint_name": ENDPOINT,
        "sagemaker_monitoring_schedule_name": "hourly",
        "WINDOW_S": str(monitored.WINDOW_MS // 1000),
        "HEALTHY_MARGIN_S": str(monitored.MARGIN_MS // 1000),
        "RETRAINING_S": str(4 * monitored.WINDOW_MS // 1000),
        **more,
    }
    message = job.run(env, clients)
    files = {path.stem: json.loads(path.read_text()) for path in (folder / "out").iterdir()}
    return message, clients, files


def test_a_baseline_is_in_model_monitors_formats(prepared: Path) -> None:
    folder = prepared / "processing/output"
    statistics = json.loads((folder / "statistics.json").read_text())
    constraints = json.loads((folder / "constraints.json").read_text())
    assert statistics["version"] == constraints["version"] == 0
    names = [*monitored.model().feature_names, "score"]
    assert [feature["name"] for feature in statistics["features"]] == names
    assert [feature["name"] for feature in constraints["features"]] == names
    for feature in constraints["features"]:
        own = feature["monitoringConfigOverrides"]["distribution_constraints"]
        assert own["comparison_method"] == "Simple"
        assert 0.0 < own["comparison_threshold"] < 1.0
    rows = monitored.REFERENCE_WINDOWS * monitored.WINDOW_ROWS * monitored.UNITS
    assert statistics["dataset"]["item_count"] == rows


def test_a_window_as_usual_completes_and_tells_nobody_of_drift(
    prepared: Path, tmp_path: Path
) -> None:
    message, clients, files = monitor(prepared, tmp_path, monitored.rows_of(3, 3, 100), 102)
    rows = monitored.WINDOW_ROWS * monitored.UNITS
    assert message == f"Completed: {rows} rows"
    assert clients.events == []
    assert files["constraint_violations"] == {"violations": []}
    assert files["statistics"]["dataset"]["item_count"] == rows
    assert files["report"]["rows_judged_for_drift"] > 0.5 * rows


def test_drift_is_a_violation_a_metric_and_an_event_and_is_not_trained_on_too_early(
    prepared: Path, tmp_path: Path
) -> None:
    _, end_ms = monitored.window(103)
    message, clients, files = monitor(prepared, tmp_path, drifted(4), 103)
    found = files["constraint_violations"]["violations"]
    assert message.startswith(f"CompletedWithViolations: {len(found)} violations")
    assert {each["constraint_check_type"] for each in found} == {"baseline_drift_check"}
    assert "flow_mean" in [each["feature_name"] for each in found]
    at = datetime.fromtimestamp(end_ms / 1000, UTC)
    values = {each["MetricName"]: each for each in clients.metrics}
    assert values["feature_baseline_drift_flow_mean"]["Value"] > 0.3
    assert values["violations"]["Value"] == len(found)
    assert {each["Timestamp"] for each in clients.metrics} == {at}
    (event,) = clients.events
    assert (event["Source"], event["DetailType"]) == ("fleetwin.monitoring", "Model Drift")
    detail = json.loads(event["Detail"])
    assert detail["retrain"] is False
    assert detail["drifted_since"] == "2026-01-05T08:35:00Z"
    assert detail == files["report"]["drift"]


def test_drift_that_has_lasted_long_enough_to_train_on_says_on_what(
    prepared: Path, tmp_path: Path
) -> None:
    _, clients, _ = monitor(prepared, tmp_path, drifted(8), 106)
    detail = json.loads(clients.events[0]["Detail"])
    assert detail["retrain"] is True
    assert detail["training"] == {
        "start": "2026-01-05T08:35:00Z",
        "end": "2026-01-05T08:55:00Z",
        "run": "drift-20260105-085500",
    }


TOLD = "s3://artefacts/monitoring/told/e"


def test_a_window_that_is_judged_again_tells_nobody_a_second_time(
    prepared: Path, tmp_path: Path
) -> None:
    data = drifted(8)
    message, clients, files = monitor(prepared, tmp_path, data, 106, TOLD_URI=TOLD)
    metrics, events, kept = list(clients.metrics), list(clients.events), dict(clients.kept)
    (key,) = kept
    assert key == "artefacts/monitoring/told/e/2026-01-05T08:50:00Z--2026-01-05T08:55:00Z.json"
    assert json.loads(kept[key]) == {"metrics": True, "drift": files["report"]["drift"]}
    said, _, written = monitor(prepared, tmp_path, data, 106, clients, TOLD_URI=TOLD)
    assert (said, written) == (message, files), "it is judged and reported as before"
    assert (clients.metrics, clients.events, clients.kept) == (metrics, events, kept)
    monitor(prepared, tmp_path, data, 107, clients, TOLD_URI=TOLD)
    assert len(clients.events) == 2, "the next window is another one"
    assert len(clients.kept) == 2


@pytest.mark.parametrize(
    ("before", "puts_metrics", "puts_drift"),
    [
        (None, True, True),
        ({"metrics": False, "drift": None}, True, True),
        ({"metrics": True, "drift": None}, False, True),
        ({"metrics": True, "drift": {"retrain": False}}, False, True),
        ({"metrics": True, "drift": {"retrain": True}}, False, False),
        ({"metrics": False, "drift": {"retrain": True}}, True, False),
    ],
)
def test_what_was_not_told_of_a_window_before_is_told(
    prepared: Path,
    tmp_path: Path,
    before: dict[str, Any] | None,
    puts_metrics: bool,
    puts_drift: bool,
) -> None:
    clients = Clients()
    key = "artefacts/monitoring/told/e/2026-01-05T08:50:00Z--2026-01-05T08:55:00Z.json"
    if before is not None:
        clients.kept[key] = json.dumps(before).encode()
    monitor(prepared, tmp_path, drifted(8), 106, clients, TOLD_URI=TOLD)
    assert (bool(clients.metrics), bool(clients.events)) == (puts_metrics, puts_drift)
    kept = json.loads(clients.kept[key])
    assert (kept["metrics"], kept["drift"]["retrain"]) == (True, True)


def test_an_event_that_was_not_taken_is_not_kept_as_told(prepared: Path, tmp_path: Path) -> None:
    class Refusing(Clients):
        def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    refusing = Refusing()
    with pytest.raises(RuntimeError, match="was not taken"):
        monitor(prepared, tmp_path, drifted(8), 106, refusing, TOLD_URI=TOLD)
    assert refusing.kept == {}


def test_a_drift_that_goes_on_is_trained_on_once_a_period_and_not_after_every_window() -> None:
    hour_ms = 3_600_000
    due = {
        end
        for end in range(6, 100)
        if publishing.retraining(
            max(5, end - 36) * hour_ms, end * hour_ms, 24 * hour_ms, hour_ms, again=end > 29
        ).due
    }
    assert due == {29, 48, 72, 96}


def test_drift_that_goes_on_is_not_trained_on_after_the_next_window(
    prepared: Path, tmp_path: Path
) -> None:
    _, clients, _ = monitor(prepared, tmp_path, drifted(9), 108)
    assert json.loads(clients.events[0]["Detail"])["retrain"] is False


def test_drift_that_no_judgement_has_seen_yet_is_trained_on_however_long_ago_it_began(
    prepared: Path, tmp_path: Path
) -> None:
    data = drifted(9)
    every = {"JUDGED_EVERY_S": str(7 * monitored.WINDOW_MS // 1000)}
    _, clients, _ = monitor(prepared, tmp_path, data, 108, **every)
    assert json.loads(clients.events[0]["Detail"])["retrain"] is True


@given(every=st.integers(1, 60), needed=st.integers(1, 60), end=st.integers(200, 400))
def test_a_drift_that_goes_on_is_due_once_in_the_time_that_is_needed_or_at_every_judgement(
    every: int, needed: int, end: int
) -> None:
    judged = range(end, end + 1_000, every)
    due = [publishing.retraining(0, at, needed, every, again=True).due for at in judged]
    periods = judged[-1] // needed - (end - every) // needed
    assert sum(due) == min(len(judged), periods)


def test_faults_only_put_no_event(prepared: Path, tmp_path: Path) -> None:
    data = monitored.shifted(monitored.rows_of(3, 4, 100), 30.0 * FLOW_MEAN, range(2))
    _, clients, files = monitor(prepared, tmp_path, data, 103)
    assert clients.events == []
    assert files["report"]["rows_in_alarm"] > 0


def edited(number: int, change: Any) -> list[bytes]:
    """Return a window's captured lines with every request's rows changed."""
    lines = []
    for line in monitored.captured(monitored.rows_of(3, 1, number)):
        record = json.loads(line)
        side = record["captureData"]["endpointInput"]
        asked = json.loads(side["data"])
        for at, row in enumerate(asked["rows"]):
            change(at, row["features"])
        side["data"] = json.dumps(asked)
        lines.append(json.dumps(record).encode())
    return lines


def gap(at: int, features: list[Any]) -> None:
    if at % 2:
        features[3] = None


def text(at: int, features: list[Any]) -> None:
    features[3] = "bad" if at % 5 == 0 else features[3]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (gap, {("heat_mean", "completeness_check")}),
        (text, {("heat_mean", "data_type_check")}),
        (lambda at, features: features.append(1.0), {("_c9", "extra_column_check")}),
        (lambda at, features: features.pop(), {("current_slope", "missing_column_check")}),
    ],
)
def test_data_quality_is_exact(
    prepared: Path, tmp_path: Path, change: Any, expected: set[tuple[str, str]]
) -> None:
    message, clients, files = monitor(prepared, tmp_path, edited(100, change), 100)
    found = files["constraint_violations"]["violations"]
    assert {(each["feature_name"], each["constraint_check_type"]) for each in found} == expected
    assert message.startswith("CompletedWithViolations")
    assert clients.events == []


def test_what_cannot_be_read_and_what_another_model_scored_is_counted(
    prepared: Path, tmp_path: Path
) -> None:
    good = monitored.captured(monitored.rows_of(3, 1, 100))
    foreign = json.loads(good[0])
    side = foreign["captureData"]["endpointOutput"]
    side["data"] = json.dumps({**json.loads(side["data"]), "model_version": "another"})
    start_ms, _ = monitored.window(100)
    spoilt = [b"{", b"[]", monitored.record("eA==", "eA==", start_ms, "BASE64")]
    lines = [json.dumps(foreign).encode(), *spoilt, *good[1:]]
    message, _, files = monitor(prepared, tmp_path, lines, 100)
    assert files["report"]["unreadable_records"] == 3
    assert files["report"]["rows_of_other_models"] == monitored.BATCH
    assert message == f"Completed: {monitored.WINDOW_ROWS * monitored.UNITS - monitored.BATCH} rows"


def test_no_traffic_is_no_violation(prepared: Path, tmp_path: Path) -> None:
    message, clients, files = monitor(prepared, tmp_path, [], 100)
    assert message == "Completed: no traffic of this model in the window"
    assert {each["MetricName"]: each["Value"] for each in clients.metrics}["rows"] == 0.0
    assert files["constraint_violations"] == {"violations": []}


def test_a_baseline_of_another_model_is_refused(prepared: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in (prepared / "processing/output").iterdir():
        content = json.loads(path.read_text())
        if path.name == "reference.json":
            content["model_version"] = "another"
        (other / path.name).write_text(json.dumps(content))
    with pytest.raises(JobInputError, match="the baseline is of model another"):
        monitor(
            prepared,
            tmp_path,
            [],
            100,
            baseline_statistics=str(other / "statistics.json"),
            baseline_constraints=str(other / "constraints.json"),
        )


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"baseline_statistics": "a"}, "baseline_statistics: needs baseline_constraints"),
        ({"WINDOW_S": "0"}, "WINDOW_S: must be a whole number"),
        ({"RETRAINING_S": "5400"}, "RETRAINING_S: must be a multiple"),
        ({"TOLD_URI": "/opt/ml/told"}, "TOLD_URI: must begin with s3://"),
        ({"publish_cloudwatch_metrics": "yes"}, "publish_cloudwatch_metrics: must be"),
        ({"baseline_statistics": "a", "baseline_constraints": "b"}, "end_time: must be"),
        (
            {
                "baseline_statistics": "a",
                "baseline_constraints": "b",
                "end_time": "2026-01-05T00:00:00Z",
                "start_time": "2026-01-05T00:00:00Z",
            },
            "start_time: must be before",
        ),
    ],
)
def test_wrong_variables_are_refused_by_name(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        job_settings.parse(env)


def test_a_failed_job_leaves_the_reason_as_its_message(tmp_path: Path) -> None:
    assert job.main({"SAGEMAKER_BASE_DIR": str(tmp_path)}) == 1
    assert (tmp_path / "output/message").read_text().startswith("ModelNotReady: ")
