"""The Glue job on real Spark: the same rows as online, written once however often it runs."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.device_state import DeviceState, advance
from pipeline.errors import DataQualityFailed, JobInputError
from pipeline.etl.order_labels import LABELS_KEY
from pipeline.features import feature_names
from pipeline.ingestion.raw_batch import RawWriter
from pipeline.settings import RawWriterSettings
from pipeline.state_table import StateTable
from pipeline.tests.fakes import FakeDynamoDb, FakeS3, Trouble
from pipeline.tests.spark_driver import REPOSITORY, command, environment
from pipeline.tests.streams import SPEC, START_MS, Weather, kinesis_record, payload, stream

pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java, which Spark runs on"),
    # PySpark 3.5 compares versions with distutils, and leaves the gateway's sockets to the end.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

HOURS = {"--start": "2026-01-05T00", "--end": "2026-01-05T02"}


class FakeGlue:
    """A catalog that knows its partitions."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[str, ...], str] = {}
        self.columns: list[dict[str, str]] = [{"Name": "device_id", "Type": "string"}]

    def get_table(self, **request: Any) -> Any:
        """Describe the table."""
        storage = {"InputFormat": "parquet", "Location": "s3://x/", "Columns": self.columns}
        return {"Table": {"Name": "features", "StorageDescriptor": storage}}

    def update_table(self, **request: Any) -> Any:
        """Replace the columns."""
        self.columns = request["TableInput"]["StorageDescriptor"]["Columns"]

    def batch_create_partition(self, **request: Any) -> Any:
        """Create partitions, except those that exist."""
        errors = []
        for partition in request["PartitionInputList"]:
            values = tuple(partition["Values"])
            if values in self.partitions:
                detail = {"ErrorCode": "AlreadyExistsException", "ErrorMessage": ""}
                errors.append({"PartitionValues": list(values), "ErrorDetail": detail})
            self.partitions[values] = partition["StorageDescriptor"]["Location"]
        return {"Errors": errors}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Spark with ``s3://raw`` and ``s3://processed`` on folders; return their parent."""
    from pyspark.sql import SparkSession

    root = tmp_path_factory.mktemp("s3")
    repository = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join([repository, os.environ.get("PYTHONPATH", "")]))
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.log.level": "ERROR",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.warehouse.dir": str(root / "warehouse"),
            "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
            "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
            "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        }
        for bucket in ("raw", "processed"):
            (root / bucket).mkdir()
            mount = f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback"
            settings[mount] = (root / bucket).as_uri()
        builder = SparkSession.builder.master("local[2]").appName("features_job test")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield root
        session.stop()


def run_job(
    glue: FakeGlue, hours: dict[str, str] | None = None, extra: dict[str, str] | None = None
) -> dict[str, Any]:
    from pipeline.etl.features_job import main

    options = {
        **(hours or HOURS),
        "--raw_bucket": "raw",
        "--processed_bucket": "processed",
        "--database": "fleetwin_dev",
        "--table": "features",
        "--feature_spec": SPEC.to_json(),
        **(extra or {}),
    }
    return main(["features_job.py", *(word for pair in options.items() for word in pair)], glue)


def store_stream(root: Path, weather: Weather) -> tuple[dict[tuple[str, int], bytes], int]:
    """Store a stream through the raw writer; return the online rows and the lines stored."""
    messages = stream(weather)
    store = FakeS3(Trouble())
    states = StateTable(FakeDynamoDb(Trouble()), "states")
    settings = RawWriterSettings("raw", "states", SPEC, 300, "Fleetwin")
    writer = RawWriter(settings, store, states, lambda line: None)
    records = [
        kinesis_record(number, payload(message), message.device_id, message.event_time_ms / 1000)
        for number, message in enumerate(messages)
    ]
    for start in range(0, len(records), 50):
        writer.handle({"Records": records[start : start + 50]})
    for key, body in store.objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(body)
    online = {name: DeviceState.new(SPEC) for name in {message.device_id for message in messages}}
    found = advance(online, messages, SPEC)
    rows = {
        (found.device_ids[device], int(at_ms)): features.tobytes()
        for device, at_ms, features in zip(
            found.rows.device, found.rows.event_time_ms, found.rows.features, strict=True
        )
    }
    return rows, len(messages) - found.duplicates


def processed_rows(root: Path) -> dict[tuple[str, int], bytes]:
    rows: dict[tuple[str, int], bytes] = {}
    for path in sorted((root / "processed" / "features").rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            table = file.read()
        columns = np.column_stack([table[name].to_numpy() for name in feature_names(SPEC)])
        for name, at_ms, features in zip(
            table["device_id"].to_pylist(), table["event_time_ms"].to_pylist(), columns, strict=True
        ):
            assert (name, at_ms) not in rows
            rows[name, at_ms] = features.tobytes()
    return rows


def test_the_job_writes_the_rows_of_the_online_path_and_again_changes_nothing(s3: Path) -> None:
    glue = FakeGlue()
    with pytest.raises(JobInputError, match="no objects"):
        run_job(glue)
    weather = Weather(
        seed=5, devices=3, readings=400, lost=0.1, repeated=0.1, delay_s=6, silences=0.2
    )
    online, stored = store_stream(s3, weather)
    bad = s3 / "raw/telemetry/dt=2026-01-05/hour=00/zz.jsonl.gz"
    wrong = [b'{"device_id":"pump-0"', b'{"schema":1}', b"\xff\xfe", b"NaN"]
    bad.write_bytes(gzip.compress(b"\n".join(wrong)))

    counts = run_job(glue)

    assert len({at_ms // 3_600_000 for _, at_ms in online}) > 1, "the stream spans hours"
    assert processed_rows(s3) == online
    assert counts["readings"] + counts["bursts"] == stored
    assert counts["rows"] == len(online)
    assert counts["late"] > 0
    assert counts["malformed"] == len(wrong)
    quarantined = [
        json.loads(line)
        for path in (s3 / "processed/quarantine").rglob("*.json")
        for line in path.read_bytes().splitlines()
    ]
    assert sorted(base64.b64decode(row["line_b64"]) for row in quarantined) == sorted(wrong)
    assert {row["source"] for row in quarantined} == {
        "s3://raw/telemetry/dt=2026-01-05/hour=00/zz.jsonl.gz"
    }
    assert counts["new_partitions"] == len(glue.partitions) == 2
    assert glue.partitions["2026-01-05", "01"] == ("s3://processed/features/dt=2026-01-05/hour=01/")
    files = sorted((s3 / "processed/features").rglob("*.parquet"))
    assert len(files) == 2, "one file an hour"
    with pq.ParquetFile(files[0]) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
    for column in columns:
        repeats = column.physical_type != "DOUBLE"
        assert column.has_dictionary_page == repeats, column.path_in_schema

    bad.unlink()
    again = run_job(glue)
    assert (again["new_partitions"], again["malformed"]) == (0, 0)
    assert processed_rows(s3) == online
    # One hour by itself, with what it needs of the hour before, gives the same rows.
    shutil.rmtree(s3 / "processed/features")
    run_job(glue, {"--start": "2026-01-05T01", "--end": "2026-01-05T02"})
    second = {key: row for key, row in online.items() if key[1] % 86_400_000 >= 3_600_000}
    assert processed_rows(s3) == second


def test_counts_are_printed_as_one_json_line(s3: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weather = Weather(seed=2, devices=1, readings=60, lost=0, repeated=0, delay_s=0, silences=0)
    store_stream(s3, weather)
    counts = run_job(FakeGlue())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [json.loads(line) for line in lines] == [counts]


def clean(root: Path) -> None:
    for folder in (*(root / "raw").iterdir(), *(root / "processed").iterdir()):
        shutil.rmtree(folder)


def report_of(root: Path) -> dict[str, Any]:
    (path,) = (root / "processed/quality").rglob("*.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


CALM = Weather(seed=7, devices=2, readings=300, lost=0, repeated=0, delay_s=0, silences=0.1)


def test_broken_objects_are_reported_and_the_rest_is_processed(s3: Path) -> None:
    clean(s3)
    online, stored = store_stream(s3, CALM)
    hour = s3 / "raw/telemetry/dt=2026-01-05/hour=00"
    body = gzip.compress(b'{"schema":1}\n' * 400 + os.urandom(4_000))
    (hour / "cut.jsonl.gz").write_bytes(body[:2_000])
    (hour / "not.parquet").write_bytes(b"PAR1 and no more")
    (hour / "half.jsonl").write_bytes(b'{"device_id":"pump-0","seq":1,"event_ti')
    (hour / "empty.jsonl").write_bytes(b"")
    (s3 / "raw/bursts/dt=2026-01-05/hour=01").mkdir(parents=True, exist_ok=True)
    maintenance = s3 / "raw/maintenance/dt=2026-01-05"
    maintenance.mkdir(parents=True)
    finished_ms = START_MS + 120_000
    order = {"order_id": "WO-1", "device_id": "pump-0", "finished_ms": finished_ms}
    order |= {"type": "corrective", "failure_mode": "seal_leak", "opened_ms": finished_ms - 1_000}
    (maintenance / "orders.jsonl").write_text(json.dumps(order) + "\nnonsense\n", "utf-8")

    counts = run_job(FakeGlue(), extra={"--quality_rules": '{"max_late_share":0.5,"min_rows":1}'})

    assert processed_rows(s3) == online
    assert counts["readings"] + counts["bursts"] == stored
    report = report_of(s3)
    named = {row["source"].rpartition("/")[2]: row["reason"] for row in report["malformed"]}
    assert named.keys() == {"cut.jsonl.gz", "not.parquet", "half.jsonl"}
    assert "not a readable Parquet object" in named["not.parquet"]
    assert report["counts"]["malformed"] == counts["malformed"]
    assert [rule["kept"] for rule in report["rules"]] == [True, True]
    assert len(report["maintenance"]) == counts["labels"] == 1
    label = json.loads((s3 / "processed" / LABELS_KEY).read_text("utf-8"))
    assert (label["device_id"], label["end_ms"]) == ("pump-0", finished_ms - 1_000)
    for path in (s3 / "processed/features").rglob("*.parquet"):
        with pq.ParquetFile(path) as file:
            for row in file.read().to_pylist():
                at_ms = row["event_time_ms"]
                knows = row["device_id"] == "pump-0" and at_ms >= finished_ms
                assert row["maintenance_count"] == int(knows)
                expected = (at_ms - finished_ms) / 1000 if knows else None
                assert row["since_maintenance_s"] == expected


def test_a_broken_rule_fails_the_run_before_the_catalog_knows_of_it(s3: Path) -> None:
    clean(s3)
    store_stream(s3, CALM)
    glue = FakeGlue()
    with pytest.raises(
        DataQualityFailed, match=r"min_rows is 1e\+06, found .*: see s3://processed"
    ):
        run_job(glue, extra={"--quality_rules": '{"min_rows":1000000}'})
    assert glue.partitions == {}
    assert [rule["kept"] for rule in report_of(s3)["rules"]] == [False]


def test_an_incremental_run_computes_what_changed_and_nothing_else(s3: Path) -> None:
    clean(s3)
    auto = {"--start": "auto", "--end": "auto"}
    assert run_job(FakeGlue(), auto)["ranges"] == 0
    assert (s3 / "processed" / LABELS_KEY).read_bytes() == b"", "there without an order too"
    online, _ = store_stream(s3, CALM)
    first = run_job(FakeGlue(), auto)
    assert first["rows"] == len(online)
    assert processed_rows(s3) == online
    assert run_job(FakeGlue(), auto)["ranges"] == 0, "nothing has changed"

    # A recording of another machine arrives late, in one of the hours.
    line = {"schema": 1, "device_id": "fan-9", "late": False, "values": {"temperature_c": 1.0}}
    line["values"] = {"temperature_c": 20.5, "pressure_bar": 1}
    lines = [
        json.dumps({**line, "seq": seq, "event_time_ms": START_MS + seq * 1000})
        for seq in range(60)
    ]
    path = s3 / "raw/telemetry/dt=2026-01-05/hour=00/fan.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    again = run_job(FakeGlue(), auto)
    assert again["ranges"] == 1
    rows = processed_rows(s3)
    assert {key: row for key, row in rows.items() if key[0] != "fan-9"} == online
    assert len(rows) > len(online)
    # As if all had been there from the start.
    shutil.rmtree(s3 / "processed/features")
    run_job(FakeGlue())
    assert processed_rows(s3) == rows


def test_rows_are_normalised_by_the_baseline_of_healthy_hours(s3: Path) -> None:
    clean(s3)
    store_stream(s3, CALM)
    glue = FakeGlue()
    run_job(glue, extra={"--baseline": "baselines/f.json", "--fit_baseline": "true"})
    before = len(glue.columns)
    plain = processed_rows(s3)
    normalised = run_job(glue, extra={"--baseline": "baselines/f.json"})
    assert normalised["new_columns"] == len(glue.columns) - before == len(feature_names(SPEC))
    assert processed_rows(s3) == plain, "the features themselves stay"
    parts = []
    for path in (s3 / "processed/features").rglob("*.parquet"):
        with pq.ParquetFile(path) as file:
            parts.append(file.read(columns=["device_id", "temperature_c_mean_z"]))
    table = pa.concat_tables(parts)
    for name in ("pump-0", "pump-1"):
        z = table.filter(pc.equal(table["device_id"], name))["temperature_c_mean_z"].to_numpy()
        assert abs(z.mean()) < 1e-9
        assert z.std() == pytest.approx(1, abs=1e-9)


@pytest.mark.skipif(os.name != "posix", reason="processes are killed as a group")
def test_after_a_run_that_was_killed_while_it_wrote_the_next_writes_all(
    s3: Path, tmp_path: Path
) -> None:
    clean(s3)
    weather = Weather(
        seed=3, devices=3, readings=300, lost=0, repeated=0.2, delay_s=8, silences=0.2
    )
    online, _ = store_stream(s3, weather)
    process = subprocess.Popen(
        command("local[2]", s3, HOURS),
        env=environment(tmp_path),
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    features = s3 / "processed" / "features"
    for _ in range(1_200):
        if features.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert process.returncode == -signal.SIGKILL, "it was killed before its end"
    assert not processed_rows(s3), "what is half written is no row"
    run_job(FakeGlue())
    assert processed_rows(s3) == online
