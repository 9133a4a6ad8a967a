"""`fleetwin trace`: on a folder that is written here, and on a real run."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.errors import EnvironmentMissing, ScenarioError
from simulator.targets import ROOT
from simulator.tests.conftest import FinishedRun
from simulator.trace import Run

GOLDEN = Path(__file__).with_name("golden") / "trace.txt"
START_MS = 1_767_571_200_000
ALERT = "d4f4d7c4b40f93816ddfaf7f5aeb30a5"
HOUR = "dt=2026-01-05/hour=00"


def traced(out: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["trace", *words, "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def write(path: Path, *rows: dict[str, Any], before: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(before + json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    data = lines.encode()
    with path.open("ab") as file:
        file.write(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def reading(seq: int) -> dict[str, Any]:
    at = {"event_time_ms": START_MS + seq * 1_000 + 497}
    said = {"temperature_c": 53.4, "current_a": 20.11}
    return {"schema": 1, "device_id": "pump-004", "seq": seq, **at, "late": False, "values": said}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    s3, logs = tmp_path / "twin/s3", tmp_path / "twin/logs/aws/lambda"
    key = f"telemetry/{HOUR}/shardId-000000000000-1.jsonl.gz"
    other = f"telemetry/{HOUR}/shardId-000000000000-9.jsonl.gz"
    write(s3 / "raw" / key, *[reading(seq) for seq in range(12)])
    write(s3 / "raw" / other, reading(12))
    span = {"devices": {"pump-004": [START_MS, START_MS + 12_497]}}
    batch = {"shard_id": "shardId-000000000000", "records": 12, **span}
    counts = {"Stored": 12, "Late": 0, "DeadLettered": 0, "Duplicates": 0}
    writer, detector = logs / "raw-writer.log", logs / "detector.log"
    write(writer, {**batch, "objects": [key], **counts}, before="2026-01-05T00:00:13Z one ")
    write(writer, {**batch, "objects": [other], **counts}, before="2026-01-05T00:00:14Z one ")
    rows = {"FeatureRows": 1, "ScoredRows": 1, "AlertsSent": 0}
    write(detector, {**batch, **rows}, before="2026-01-05T00:00:13Z two ")
    opened = {"alert_id": ALERT, "correlation_id": "pump-004@2026-01-05T00:00:10.000Z"}
    sent = {**batch, **rows, "devices": {}, "AlertsSent": 1, "alerts": [opened]}
    write(detector, sent, before="2026-01-05T00:00:24Z two ")
    score = {"device_id": "pump-004", "score": 1.908734, "model_version": "e605fc5e"}
    scores = [{**score, "event_time_ms": START_MS + at} for at in (20_000, 10_000)]
    write(s3 / "processed/scores" / HOUR / "shardId-000000000000-1.jsonl", *scores)
    training = tmp_path / "twin/logs/aws/sagemaker/TrainingJobs.log"
    for job, model in (("older", "0a0a0a0a"), ("newer", "e605fc5e")):
        said = {"event": "training_job", "job": job, "message": f"read rows of {job}"}
        at = f"2026-01-05T00:00:00Z {job}/algo-1-1 "
        write(training, said, {**said, "message": "made", "model_version": model}, before=at)
    with training.open("a") as file:
        file.write(f"{at}Traceback (most recent call last):\n")
    found = {
        "detection_id": ALERT,
        "device_id": "pump-004",
        "started": "2026-01-05T00:00:10.000Z",
        "ended": None,
        "score": 1.908734,
        "contributions": {"temperature_c": 0.2, "current_a": 0.8},
    }
    (tmp_path / "report.json").write_text(json.dumps({"detections": [found]}))
    return tmp_path


def trained_with(out: Path, window_s: int, hop_s: int) -> None:
    spec = {"sensors": {"current_a": [0, 200]}, "window_s": window_s, "hop_s": hop_s}
    spec |= {"allowed_lateness_s": 120, "bursts": False, "burst_max_age_s": 900}
    card = {"hyperparameters": {"feature_spec": json.dumps(spec)}}
    write(out / "twin/sagemaker/training/job/model/model_card.json", card)


def test_a_readings_trace_is_the_golden_file(out: Path) -> None:
    assert traced(out, "pump-004@2026-01-05T00:00:03.497Z") == GOLDEN.read_text("utf-8")


def test_a_reading_is_named_by_time_by_number_or_by_the_alert_that_it_led_to(out: Path) -> None:
    by_time = traced(out, f"pump-004@{START_MS + 9_497}")
    assert traced(out, "pump-004#9") == by_time
    assert traced(out, ALERT) == by_time, "the newest reading of the row that opened it"


def test_only_the_batch_that_put_the_object_stored_the_reading(out: Path) -> None:
    trace = Run(out).trace("pump-004#12")
    stored = [line.at for line in trace.logs if "raw-writer" in line.group]
    assert stored == ["2026-01-05T00:00:14Z"]
    assert trace.score is not None
    assert trace.score.row["event_time_ms"] == START_MS + 20_000


@pytest.mark.parametrize("seq", [1, 299])
def test_a_row_is_found_as_long_after_its_reading_as_the_models_rows_lie_apart(
    out: Path, seq: int
) -> None:
    row_ms = START_MS + 3_600_000
    first = reading(0) | {"device_id": "fan-001"}
    read = first | {"seq": seq, "event_time_ms": row_ms - 600_000 + seq * 1_000}
    write(out / "twin/s3/raw/telemetry" / HOUR / "shardId-000000000000-2.jsonl.gz", first, read)
    row = {"device_id": "fan-001", "event_time_ms": row_ms, "score": 0.5, "model_version": "e6"}
    later = HOUR.replace("hour=00", "hour=01")
    write(out / "twin/s3/processed/scores" / later / "shardId-000000000000-2.jsonl", row)
    assert Run(out).trace(f"fan-001#{seq}").score is None, "five minutes without a model"
    trained_with(out, window_s=1_200, hop_s=600)
    trace = Run(out).trace(f"fan-001#{seq}")
    assert trace.score is not None
    assert trace.score.row["event_time_ms"] == row_ms
    assert Run(out).trace("fan-001#0").score is None, "an hour before the row"


def test_the_trace_is_also_there_for_programs(out: Path) -> None:
    found = json.loads(traced(out, "pump-004#3", "--json"))
    assert found["correlation_id"] == "pump-004@2026-01-05T00:00:03.497Z"
    assert found["reading"]["row"]["values"]["current_a"] == 20.11
    assert [one["detection_id"] for one in found["detections"]] == [ALERT]
    assert [line["said"]["job"] for line in found["training"]] == ["newer", "newer"]


@pytest.mark.parametrize("text", ["pump-004", "pump-004#99", "pump-9@2026-01-05T00:00:00Z", "x@y"])
def test_what_the_run_does_not_have_is_said(out: Path, text: str) -> None:
    with pytest.raises(ScenarioError, match=text):
        Run(out).trace(text)


def test_where_there_is_no_reading_its_neighbours_are_named(out: Path) -> None:
    said = traced(out, "pump-004@2026-01-05T00:00:03.900Z")
    assert (
        "the nearest: pump-004@2026-01-05T00:00:03.497Z, pump-004@2026-01-05T00:00:04.497Z" in said
    )
    with pytest.raises(ScenarioError, match="there are pump-004#0 to pump-004#12"):
        Run(out).trace("pump-004#99")
    with pytest.raises(ScenarioError, match="nothing of pump-9 was stored"):
        Run(out).trace("pump-9#1")


def test_an_alert_is_named_by_how_its_id_begins_and_shows_what_a_person_was_told(
    out: Path,
) -> None:
    write(out / "alerts.jsonl", {"alert_id": ALERT, "what_to_do": "Inspect pump-004."})
    said = traced(out, ALERT[:8])
    assert said == traced(out, ALERT)
    assert "told: Inspect pump-004." in said
    with pytest.raises(ScenarioError, match="no DEVICE@TIME"):
        Run(out).trace(ALERT[:5])


def test_the_readings_that_the_story_follows_are_in_the_run_that_it_names(
    tiny_run: FinishedRun,
) -> None:
    story = (ROOT / "docs" / "life-of-a-reading.md").read_text("utf-8")
    followed = re.findall(r"fleetwin trace (pump-\S+)", story)
    assert followed
    traces = [Run(tiny_run.out).trace(text) for text in followed]
    assert len({trace.correlation_id for trace in traces}) == 1
    for trace in traces:
        assert trace.reading is not None
        assert trace.correlation_id in story
        # The story says so: the first row that has the reading opens the episode.
        assert trace.score is not None
        [opened] = trace.detections
        assert opened["alert"]["started_ms"] == trace.score.row["event_time_ms"]


def test_without_a_run_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="fleetwin run"):
        Run(tmp_path)


def test_an_alert_of_a_run_leads_back_to_a_reading_and_every_line_about_it(
    tiny_run: FinishedRun,
) -> None:
    report = json.loads((tiny_run.out / "report.json").read_text("utf-8"))
    for detection in report["detections"]:
        trace = Run(tiny_run.out).trace(detection["detection_id"])
        assert trace.reading is not None
        assert trace.score is not None
        assert trace.score.row["score"] > 1.0
        assert [one["detection_id"] for one in trace.detections] == [detection["detection_id"]]
        groups = [line.group.rpartition("-")[2] for line in trace.logs]
        assert groups.count("writer") == 1
        assert groups.count("detector") >= 1
        sent = [alert for line in trace.logs for alert in line.said.get("alerts", [])]
        assert detection["detection_id"] in {alert["alert_id"] for alert in sent}
        assert trace.training[-1].said["model_version"] == trace.score.row["model_version"]
        assert trace.training[0].said["message"].startswith("read ")
