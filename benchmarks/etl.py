"""The features job: the kernel beside native SQL, the job from a cold start, and large inputs.

``python -m benchmarks.etl`` writes `results/etl.json`; ``--rows 1 5 20 50`` are millions of
readings for the job. All ratios are of one run on one machine, one after the other.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.features import Signals, feature_rows
from pipeline.partitions import partition_of
from pipeline.settings import FeatureSpec

RESULTS = Path(__file__).parent / "results" / "etl.json"
START = datetime(2026, 1, 5, tzinfo=UTC)
SENSORS = ("temperature_c", "velocity_mm_s_rms", "pressure_bar", "current_a")
SPEC = FeatureSpec(SENSORS, ((-40, 200), (0, 100), (-1, 40), (0, 200)), bursts=False)
DEVICES = 100
LINES_AN_OBJECT = 20_000
LINES_A_TINY = 3

SQL = """
select r.device, g.at_ms, count(*) as n, {columns}
from grid g join readings r
    on r.device = g.device and r.t > g.at_ms - {window} and r.t <= g.at_ms
group by r.device, g.at_ms having count(*) >= 5
"""
COLUMNS = "avg({v}), stddev_pop({v}), regr_slope({v}, r.t / 1000.0)"


def readings(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return device, time and values of readings at 1 Hz, sorted by device and time."""
    rng = np.random.default_rng(1)
    each = rows // DEVICES
    device = np.repeat(np.arange(DEVICES), each)
    time_ms = int(START.timestamp() * 1000) + np.tile(np.arange(each) * 1000, DEVICES)
    return device, time_ms, np.round(rng.normal(50, 3, (each * DEVICES, len(SENSORS))), 4)


def kernel_beside_sql(rows: int, repeats: int) -> dict[str, Any]:
    """Time the kernel, DuckDB on one thread, and Spark SQL, for the same features."""
    device, time_ms, values = readings(rows)
    nothing = np.zeros(0, np.int64)
    signals = Signals(device, time_ms, values, nothing, nothing, np.zeros((0, 7)))
    bounds = np.zeros(DEVICES, np.int64), np.full(DEVICES, 1 << 43)
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.register("source", _table(device, time_ms, values))
    connection.execute("create table readings as select * from source")

    def sql() -> None:
        connection.execute(
            f"""create or replace table grid as select distinct device, unnest(range(
                (t // {SPEC.hop_ms} + 1) * {SPEC.hop_ms}, t + {SPEC.window_ms}, {SPEC.hop_ms}))
                as at_ms from readings"""
        )
        columns = ", ".join(COLUMNS.format(v=f"r.{name}") for name in SENSORS)
        query = SQL.format(columns=columns, window=SPEC.window_ms)
        connection.execute(f"create or replace table found as {query}")

    measured = _paired(
        {"kernel": lambda: feature_rows(signals, *bounds, SPEC), "duckdb": sql}, repeats
    )
    found: dict[str, Any] = {f"{name}_s": value for name, value in measured.items()}
    found["rows"] = rows
    found["kernel_over_duckdb"] = measured["kernel"] / measured["duckdb"]
    return found


def _table(
    device: NDArray[np.int64], time_ms: NDArray[np.int64], values: NDArray[np.float64]
) -> pa.Table:
    columns = {name: values[:, i] for i, name in enumerate(SENSORS)}
    return pa.table({"device": device, "t": time_ms, **columns})


def _paired(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each way, taken by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in seconds.items()}


def spark_sql_windows(rows: int) -> float:
    """Return the seconds of Spark SQL's own RANGE windows for one sensor's features, warm."""
    from simulator.cloud.java import find_java

    os.environ.setdefault("JAVA_HOME", str(find_java()))
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        path = Path(folder) / "readings.parquet"
        import pyarrow.parquet as pq

        pq.write_table(_table(*readings(rows)), path)
        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        spark = builder.config("spark.sql.shuffle.partitions", "4").getOrCreate()
        try:
            spark.read.parquet(str(path)).createOrReplaceTempView("readings")
            over = f"over (partition by device order by t range {SPEC.window_ms} preceding)"
            statistics_of = "avg({v}) {o}, stddev_pop({v}) {o}, regr_slope({v}, t / 1000.0) {o}"
            columns = ", ".join(statistics_of.format(v=name, o=over) for name in SENSORS)
            query = f"select device, t, {columns} from readings"
            spark.sql("select count(*) from readings").collect()
            began = time.perf_counter()
            spark.sql(query).write.format("noop").mode("overwrite").save()
            return time.perf_counter() - began
        finally:
            spark.stop()


def job(rows: int, root: Path) -> dict[str, Any]:
    """Return what a cold process takes for all hours, and then for the last one alone."""
    hours = write_raw(rows, root / "raw")
    (root / "processed").mkdir(exist_ok=True)
    stamps = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H}" for hour in range(hours + 1)]
    ranges = [f"{stamps[0]}/{stamps[-1]}", f"{stamps[-2]}/{stamps[-1]}"]
    command = [sys.executable, "-m", "benchmarks.etl_job_process", str(root), SPEC.to_json()]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *ranges], check=True, stdout=subprocess.PIPE, text=True, timeout=3_600
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    whole, small = lines
    assert whole["counts"]["readings"] == rows, whole
    return {
        "rows": rows,
        "cold_s": whole["s"],
        "rows_per_s": rows / whole["s"],
        "peak_mb": max(line["peak_mb"] for line in lines),
        "second_s": small["s"],
        "second_rows": small["counts"]["readings"],
        "process_s": time.perf_counter() - began,
    }


def tiny_objects(count: int, root: Path) -> dict[str, Any]:
    """Return what a cold process takes for an hour of so many objects, `LINES_A_TINY` each."""
    write_tiny(count, root / "raw")
    (root / "processed").mkdir(exist_ok=True)
    hours = f"{START:%Y-%m-%dT%H}/{START + timedelta(hours=1):%Y-%m-%dT%H}"
    command = [sys.executable, "-m", "benchmarks.etl_job_process", str(root), SPEC.to_json(), hours]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=3_600)
    found = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"s"'))
    assert found["counts"]["readings"] == count * LINES_A_TINY, found
    return {
        "objects": count,
        "rows": count * LINES_A_TINY,
        "cold_s": found["s"],
        "objects_per_s": count / found["s"],
        "peak_mb": found["peak_mb"],
    }


def write_tiny(count: int, raw: Path) -> None:
    """Write an hour in objects of a few lines, as a careless importer would."""
    start_ms = int(START.timestamp() * 1000)
    folder = raw / "telemetry" / partition_of(start_ms)
    folder.mkdir(parents=True)
    line = (
        b'{"schema":1,"device_id":"pump-%03d","seq":%d,"event_time_ms":%d,"late":false,'
        b'"values":{"temperature_c":50.0,"velocity_mm_s_rms":2.0,"pressure_bar":5.0,'
        b'"current_a":10.0}}\n'
    )
    step_ms = 3_600_000 * DEVICES // (count * LINES_A_TINY)
    for number in range(count):
        device, first = number % DEVICES, number // DEVICES * LINES_A_TINY
        seqs = range(first, first + LINES_A_TINY)
        body = b"".join(line % (device, seq, start_ms + seq * step_ms) for seq in seqs)
        (folder / f"{number:06d}.jsonl").write_bytes(body)


def write_raw(rows: int, raw: Path) -> int:
    """Write readings as the raw writer does, in larger objects; return how many hours."""
    each = rows // DEVICES
    rng = np.random.default_rng(2)
    start_ms = int(START.timestamp() * 1000)
    line = (
        b'{"schema":1,"device_id":"pump-%03d","seq":%d,"event_time_ms":%d,"late":false,'
        b'"values":{"temperature_c":%.4f,"velocity_mm_s_rms":%.4f,"pressure_bar":%.4f,'
        b'"current_a":%.4f}}\n'
    )
    step = LINES_AN_OBJECT // DEVICES
    for first in range(0, each, step):
        seqs = range(first, min(first + step, each))
        values = rng.normal(50, 3, (len(seqs) * DEVICES, len(SENSORS))).tolist()
        body = b"".join(
            line % (device, seq, start_ms + seq * 1000, *values[index * DEVICES + device])
            for index, seq in enumerate(seqs)
            for device in range(DEVICES)
        )
        # Whole objects an hour: 3,600 is a multiple of the step.
        folder = raw / "telemetry" / partition_of(start_ms + first * 1000)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"shard-{first:09d}.jsonl.gz").write_bytes(gzip.compress(body, 1))
    return -(-each // 3_600)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 5], help="millions, for the job")
    parser.add_argument(
        "--tiny", type=int, default=100_000, help="objects of one hour, a few lines each"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="100,000 readings, written nowhere")
    chosen = parser.parse_args()
    rows = 100_000 if chosen.quick else 1_000_000
    kernel = kernel_beside_sql(rows, 1 if chosen.quick else chosen.repeats)
    print(json.dumps(kernel, indent=1))
    kernel["spark_sql_windows_s"] = spark_sql_windows(rows)
    kernel["spark_sql_over_kernel"] = kernel["spark_sql_windows_s"] / kernel["kernel_s"]
    print(json.dumps(kernel, indent=1))
    jobs = []
    for millions in [0.1] if chosen.quick else chosen.rows:
        with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
            jobs.append(job(round(millions * 1_000_000), Path(folder)))
        print(json.dumps(jobs[-1]), flush=True)
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        tiny = tiny_objects(1_000 if chosen.quick else chosen.tiny, Path(folder))
    print(json.dumps(tiny), flush=True)
    if not chosen.quick:
        found = {"kernel": kernel, "job": jobs, "tiny_objects": tiny}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
