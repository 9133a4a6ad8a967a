"""The Glue job on real Spark: the same rows as online, written once however often it runs."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.device_state import DeviceState, advance
from pipeline.errors import JobInputError
from pipeline.features import feature_names
from pipeline.ingestion.raw_batch import RawWriter
from pipeline.settings import RawWriterSettings
from pipeline.state_table import StateTable
from pipeline.tests.fakes import FakeDynamoDb, FakeS3, Trouble
from pipeline.tests.streams import SPEC, Weather, kinesis_record, payload, stream

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


def run_job(glue: FakeGlue, hours: dict[str, str] | None = None) -> dict[str, Any]:
    from pipeline.etl.features_job import main

    options = {
        **(hours or HOURS),
        "--raw_bucket": "raw",
        "--processed_bucket": "processed",
        "--database": "fleetwin_dev",
        "--table": "features",
        "--feature_spec": SPEC.to_json(),
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
