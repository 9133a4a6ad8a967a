"""`fleetwin trace`: on a folder that is written here, and on a real run."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.etl.compaction_job import Compaction
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


class Folder:
    """A bucket that is a folder, as far as compaction calls it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get_object(self, **request: Any) -> Any:
        return {"Body": io.BytesIO((self._root / request["Key"]).read_bytes())}

    def put_object(self, **request: Any) -> None:
        path = self._root / request["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(request["Body"])

    def list_objects_v2(self, **request: Any) -> Any:
        paths = sorted(path for path in self._root.rglob("*") if path.is_file())
        keys = [path.relative_to(self._root).as_posix() for path in paths]
        found = [{"Key": k, "ETag": "e"} for k in keys if k.startswith(request["Prefix"])]
        return {"Contents": found, "IsTruncated": False}

    def delete_objects(self, **request: Any) -> Any:
        for one in request["Delete"]["Objects"]:
            (self._root / one["Key"]).unlink()
        return {}


def compact(bucket: Path, prefix: str) -> None:
    made = Compaction(Folder(bucket), bucket.name, prefix, minimum_files=2)
    made.compact(START_MS, START_MS + 3_600_000)
    assert made.counts["objects_after"] == 1


@pytest.mark.parametrize(
    ("seq", "stored_at"), [(12, "2026-01-05T00:00:14Z"), (3, "2026-01-05T00:00:13Z")]
)
def test_compaction_takes_no_log_line_from_a_trace(out: Path, seq: int, stored_at: str) -> None:
    writer = out / "twin/logs/aws/lambda/raw-writer.log"
    span = {"devices": {"pump-004": [START_MS, START_MS + 20_000]}}
    counts = {"shard_id": "s", "records": 1, **span, "Stored": 1}
    repeated = {**counts, "Stored": 0, "objects": []}
    earlier = {**counts, "objects": [f"telemetry/{HOUR.replace('=00', '=23')}/s-2.jsonl.gz"]}
    write(writer, repeated, earlier, before="2026-01-05T00:00:15Z one ")
    before = Run(out).trace(f"pump-004#{seq}")
    compact(out / "twin/s3/raw", "telemetry")
    after = Run(out).trace(f"pump-004#{seq}")
    assert before.reading is not None
    assert after.reading is not None
    assert after.reading.row == before.reading.row
    assert "/compact-" in after.reading.place
    stored = [line for line in before.logs if "raw-writer" in line.group]
    assert [line.at for line in stored] == [stored_at]
    # Which of two overtaking batches it was the name alone has said.
    assert set(map(str, stored)) <= set(map(str, after.logs))
    both = [line.at for line in after.logs if "raw-writer" in line.group]
    assert both == ["2026-01-05T00:00:13Z", "2026-01-05T00:00:14Z"]


def feature_rows(path: Path, *rows: tuple[str, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("device_id", "event_time_ms", "n")
    made = [dict(zip(names, (d, START_MS + at, n), strict=True)) for d, at, n in rows]
    pq.write_table(pa.Table.from_pylist(made), path)


def test_the_feature_row_of_a_reading_is_the_devices_first_one_at_its_time_or_after_it(
    out: Path,
) -> None:
    zone = out / "twin/s3/processed/features"
    next_hour = HOUR.replace("hour=00", "hour=01")
    one, other = zone / HOUR / "part-0.parquet", zone / HOUR / "part-1.parquet"
    feature_rows(one, ("pump-004", 0, 3), ("fan-001", 10_000, 9), ("pump-004", 20_000, 60))
    feature_rows(other, ("pump-004", 10_000, 10))
    feature_rows(zone / next_hour / "part-0.parquet", ("pump-004", 3_600_000, 1))
    found = Run(out).trace("pump-004#3").features
    assert found is not None
    assert found.place == f"s3://processed/features/{HOUR}/part-1.parquet"
    assert found.row == {"device_id": "pump-004", "event_time_ms": START_MS + 10_000, "n": 10}
    said = traced(out, "pump-004#3")
    assert f"features    2026-01-05T00:00:10Z of 10 readings\n{' ' * 14}{found.place}\n" in said
    later = Run(out).trace("pump-004#12").features
    assert later is not None
    assert later.row["n"] == 60
    compact(out / "twin/s3/processed", "features")
    same = Run(out).trace("pump-004#3").features
    assert same is not None
    assert "/compact-" in same.place
    assert same.row == found.row


def test_a_feature_row_of_the_next_hour_is_that_of_a_reading_at_the_end_of_one(out: Path) -> None:
    last = reading(3_599) | {"device_id": "fan-001"}
    write(out / "twin/s3/raw/telemetry" / HOUR / "shardId-000000000000-2.jsonl.gz", last)
    next_hour = HOUR.replace("hour=00", "hour=01")
    zone = out / "twin/s3/processed/features"
    feature_rows(zone / next_hour / "part-0.parquet", ("fan-001", 3_600_000, 60))
    found = Run(out).trace("fan-001#3599").features
    assert found is not None
    assert found.row["event_time_ms"] == START_MS + 3_600_000


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
