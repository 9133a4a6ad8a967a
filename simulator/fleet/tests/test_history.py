"""Histories: the same rows whoever makes them, whole files, refusals that help."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.messages import encode_readings
from simulator.fleet import history
from simulator.fleet.files import PARTIAL, ReadingFiles, complete
from simulator.fleet.history import HistoryError, HistoryOrder, finish, prepare, write_local
from simulator.fleet.history_spark import rows_of
from simulator.fleet.maintenance import Decision
from simulator.fleet.plant import PlantPlan, Unit
from simulator.fleet.settings import (
    ClockSettings,
    FaultPlan,
    FleetSettings,
    GroupSettings,
    LifeSettings,
    MaintenanceSettings,
    WearSettings,
)

MIDNIGHT_MS = 1_767_657_600_000
PLAN = PlantPlan(
    seed=3,
    fleet=FleetSettings(
        groups=(GroupSettings("centrifugal_pump", 2), GroupSettings("electric_motor", 1)),
        burst_period_s=400.0,
        burst_length_s=0.2,
    ),
    live_start_s=600.0,
    total_s=2_000.0,
    # Half before midnight, half after.
    base_ms=MIDNIGHT_MS - 1_000_000,
    faults=(FaultPlan("pump-001", "dropout", 100.0, 600.0, 0.5, "pressure_bar"),),
    life=LifeSettings(
        (WearSettings("imbalance", 500.0, 2.0, "gamma", 400.0),),
        MaintenanceSettings(response_s=60.0, response_least_s=30.0, work_s=100.0),
    ),
    clock=ClockSettings(offset_sigma_s=2.0, drift_ppm_sigma=100.0),
)


def made(folder: Path, workers: int = 1, **changes: object) -> Path:
    order = HistoryOrder(PLAN, folder, **changes)  # type: ignore[arg-type]
    prepare(order, replace=False)
    finish(order, write_local(order, workers, lambda _: None), {"scenario": "test"})
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_one_worker_and_three_write_the_same_bytes(tmp_path: Path) -> None:
    assert files(made(tmp_path / "one")) == files(made(tmp_path / "three", workers=3))


def test_the_manifest_names_every_file_and_every_row(tmp_path: Path) -> None:
    folder = made(tmp_path / "h")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["readings"] == 3 * 2_000
    assert {f["path"] for f in manifest["files"]} == set(files(folder)) - {"manifest.json"}
    rows = sum(f["rows"] for f in manifest["files"] if f["path"].startswith("telemetry/"))
    assert rows == 3 * 2_000
    days = {path.name for path in (folder / "telemetry").iterdir()}
    assert days == {"dt=2026-01-05", "dt=2026-01-06"}


def test_parquet_json_and_spark_hold_the_same_readings(tmp_path: Path) -> None:
    parquet, text = made(tmp_path / "p"), made(tmp_path / "j", format="json")
    channels = [
        field.name
        for field in pq.read_schema(next((parquet / "telemetry").rglob("pump-001.parquet")))
    ][3:]
    for device in PLAN.devices:
        payloads: list[bytes] = []
        for path in sorted((parquet / "telemetry").rglob(f"{device}.parquet")):
            table = pq.ParquetFile(path).read()
            assert set(table.column("device_id").to_pylist()) == {device}
            present = [c for c in channels if table.column(c).null_count < table.num_rows]
            payloads += encode_readings(
                device,
                table.column("seq")[0].as_py(),
                table.column("event_time_ms").to_numpy(),
                {name: table.column(name).to_numpy() for name in present},
            )
        lines = [
            line
            for path in sorted(text.rglob(f"{device}.jsonl.gz"))
            for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
        assert [json.loads(line) for line in lines] == [json.loads(p) for p in payloads]
        batches = list(rows_of(PLAN, device))
        spark = [value for batch in batches for value in batch.column(2).to_pylist()]
        assert spark == [json.loads(line)["event_time_ms"] for line in lines]
        assert {d for b in batches for d in b.column("dt").to_pylist()} == {
            "2026-01-05",
            "2026-01-06",
        }


def test_a_history_has_the_readings_that_the_fleet_sends(tmp_path: Path) -> None:
    folder = made(tmp_path / "h", format="json")
    unit = Unit(PLAN, "pump-001")
    sent = []
    for end_s in np.arange(100.0, 2_001.0, 100.0):
        batch = unit.batch(float(end_s))
        sent += [
            p for p, is_reading in zip(batch.payloads, batch.is_reading, strict=True) if is_reading
        ]
    lines = [
        line
        for path in sorted(folder.rglob("pump-001.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert lines == sent


def test_bursts_lie_where_their_index_says(tmp_path: Path) -> None:
    folder = made(tmp_path / "h")
    unit = Unit(PLAN, "motor-001")
    block = unit.until(PLAN.total_s)
    assert block is not None
    found = {}
    for path in (folder / "bursts").rglob("motor-001.jsonl"):
        body = path.with_suffix(".i16").read_bytes()
        for line in path.read_text().splitlines():
            at = json.loads(line)
            found[at["seq"]] = np.frombuffer(body, "<i2", at["samples"], at["offset_bytes"])
    assert sorted(found) == [burst.seq for burst in block.bursts]
    for burst in block.bursts:
        np.testing.assert_array_equal(found[burst.seq], burst.samples)


def test_truth_and_remaining_life_are_beside_the_readings(tmp_path: Path) -> None:
    folder = made(tmp_path / "h")
    truth = [json.loads(line) for line in (folder / "truth/faults.jsonl").read_text().splitlines()]
    assert {"dropout", "imbalance"} == {fault["kind"] for fault in truth}
    rul = pq.ParquetFile(folder / "truth/rul/pump-001.parquet").read()
    assert rul.num_rows == 4
    assert list(folder.glob("maintenance/*/orders.jsonl"))


def test_what_fails_leaves_no_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = HistoryOrder(PLAN, tmp_path / "h")
    prepare(order, replace=False)
    real = history.write_device

    def interrupted(given: HistoryOrder, device_id: str) -> object:
        if device_id == "pump-002":
            (given.folder / f"half{PARTIAL}").touch()
            raise KeyboardInterrupt
        return real(given, device_id)

    monkeypatch.setattr(history, "write_device", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_local(order, 1, lambda _: None)
    assert not list(tmp_path.rglob(f"*{PARTIAL}"))
    assert not (tmp_path / "h/manifest.json").exists()


def test_a_folder_is_replaced_only_when_asked_and_only_if_ours(tmp_path: Path) -> None:
    folder = made(tmp_path / "h")
    order = HistoryOrder(PLAN, folder)
    with pytest.raises(HistoryError, match="add --force"):
        prepare(order, replace=False)
    (folder / "own.txt").write_text("mine")
    prepare(order, replace=True)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["own.txt"]
    with pytest.raises(HistoryError, match="not made by fleetwin"):
        prepare(order, replace=True)


def test_repairs_that_follow_alerts_need_a_log_of_decisions(tmp_path: Path) -> None:
    life = replace(PLAN.life, maintenance=MaintenanceSettings("condition_based"))
    plan = replace(PLAN, life=life)
    with pytest.raises(HistoryError, match="--decisions"):
        prepare(HistoryOrder(plan, tmp_path), replace=False)
    logged = replace(plan, decisions=(Decision(100.0, "pump-001", "alert", "a"),))
    prepare(HistoryOrder(logged, tmp_path), replace=False)


def test_a_clock_that_comes_back_to_a_finished_day_loses_nothing(tmp_path: Path) -> None:
    sheets = ReadingFiles(tmp_path, "d", ["x"], "parquet")
    one = {"x": np.ones(1)}
    for seq, day in enumerate((0, 5, 0)):
        sheets.write(seq, np.array([day * 86_400_000], np.int64), one)
    written = sheets.close()
    assert sum(file.rows for file in written) == 3
    assert len({file.path for file in written}) == 3


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.with_name("a" + PARTIAL).write_bytes(b"abc")
    written = complete(tmp_path, path, 1)
    assert (written.path, written.bytes) == ("a", 3)
    assert written.sha256.startswith("ba7816bf")


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java, which Spark runs on")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_spark_writes_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    from simulator.fleet.history_spark import write_spark

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    here = made(tmp_path / "h")
    order = HistoryOrder(PLAN, tmp_path / "s", bursts=False)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(tmp_path / "spark"))
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        histories = write_spark(order, spark)
        assert [h.rows for h in histories] == [2_000] * 3
        columns = ["device_id", "seq", "event_time_ms", "pressure_bar", "temperature_c"]
        found = [
            pq.read_table(folder / "telemetry")
            .select(columns)
            .sort_by([("device_id", "ascending"), ("seq", "ascending")])
            .to_pydict()
            for folder in (here, order.folder)
        ]
        assert found[0] == found[1]
    finally:
        spark.stop()
