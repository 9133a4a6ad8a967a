"""The features job: the kernel beside native SQL, the job from a cold start, and large inputs.

``python -m benchmarks.etl`` writes `results/etl.json`; ``--rows 1 5 20 50`` are millions of
readings for the job: sizes that a run leaves out keep what an earlier run gave, with its date.
All ratios are of one run on one machine, one after the other. Inputs are made by `etl_inputs`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.etl_inputs import (
    DEVICES,
    LINES_A_TINY,
    SENSORS,
    START,
    readings,
    table_of,
    write_raw,
    write_tiny,
)
from benchmarks.result import finish, folder_of, load, parser
from benchmarks.row import Row
from pipeline.features import Signals, feature_rows
from pipeline.settings import FeatureSpec

SPEC = FeatureSpec(SENSORS, ((-40, 200), (0, 100), (-1, 40), (0, 200)), bursts=False)
COLD_MOST_S = 12.0
SECOND_MOST_S = 3.0
MEMORY_MOST_MB = 4_000.0

GRID = f"""create or replace table grid as select distinct device, unnest(range(
    (t // {SPEC.hop_ms} + 1) * {SPEC.hop_ms}, t + {SPEC.window_ms}, {SPEC.hop_ms})) as at_ms
from readings"""
SQL = """
select r.device, g.at_ms, count(*) as n, {columns}
from grid g join readings r
    on r.device = g.device and r.t > g.at_ms - {window} and r.t <= g.at_ms
group by r.device, g.at_ms having count(*) >= 5
"""
COLUMNS = "avg({v}), stddev_pop({v}), regr_slope({v}, r.t / 1000.0)"


def main(arguments: Sequence[str]) -> int:
    """Measure and write the results."""
    options = parser("etl", __doc__)
    options.add_argument("--rows", type=float, nargs="*", default=[1, 5], help="millions")
    options.add_argument("--tiny", type=int, default=20_000, help="objects of one hour; 0: none")
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.rows, chosen.tiny, chosen.repeats = [0.1], 0, 1
    kernel = kernel_beside_sql(100_000 if chosen.quick else 1_000_000, chosen.repeats)
    print(json.dumps(kernel), flush=True)
    spark = {} if chosen.quick else kernel_beside_spark(200_000)
    print(json.dumps(spark), flush=True)
    jobs = []
    for millions in sorted(chosen.rows):
        with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
            jobs.append(job(round(millions * 1_000_000), Path(folder)))
        print(json.dumps(jobs[-1]), flush=True)
    tiny: dict[str, Any] = {}
    if chosen.tiny:
        with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
            tiny = tiny_objects(chosen.tiny, Path(folder))
        print(json.dumps(tiny), flush=True)
    found = rows_of(kernel, spark, jobs, tiny)
    kept = {"job": with_earlier(jobs, chosen), "tiny_objects": tiny}
    return finish("etl", found, chosen, {"kernel": kernel, "spark_sql": spark, **kept})


def rows_of(
    kernel: dict[str, Any], spark: dict[str, Any], jobs: list[dict[str, Any]], tiny: dict[str, Any]
) -> list[Row]:
    """Return what the results say as rows; scaling needs two sizes of the job."""
    found = [
        Row(
            f"feature kernel, {kernel['rows']:,} readings, one core",
            kernel["kernel_s"],
            "s",
            "DuckDB's SQL on one thread",
            kernel["duckdb_s"],
            ceiling=2.0,
            limits="ratio",
        )
    ]
    if spark:
        found.append(
            Row(
                f"feature kernel, {spark['rows']:,} readings, one core",
                spark["kernel_s"],
                "s",
                "Spark SQL's RANGE windows",
                spark["spark_sql_s"],
                ceiling=0.2,
                limits="ratio",
            )
        )
    first, last = jobs[0], jobs[-1]
    millions = f"{first['rows'] / 1e6:g} M readings"
    peer = "DuckDB's SQL on the same objects"
    name = f"features job, {millions}, cold process"
    cold = COLD_MOST_S
    found.append(Row(name, first["cold_s"], "s", peer, first["duckdb_s"], ceiling=cold))
    name, peer = "features job, a second one in the session, one hour", "the cold one"
    second = SECOND_MOST_S
    found.append(Row(name, first["second_s"], "s", peer, first["cold_s"], ceiling=second))
    if last is not first:
        name = f"features job, {last['rows'] / 1e6:g} M readings"
        times = last["rows"] / first["rows"]
        peer, linear = f"{times:g} times the seconds of {millions}", times * first["cold_s"]
        found.append(Row(name, last["cold_s"], "s", peer, linear, ceiling=1.1, limits="ratio"))
    name = f"features job, {last['rows'] / 1e6:g} M readings, peak memory"
    found.append(
        Row(
            name,
            last["peak_mb"],
            "MB",
            "its input as JSON",
            last["encoded_mb"],
            ceiling=MEMORY_MOST_MB,
        )
    )
    if tiny:
        name = f"features job, {tiny['objects']:,} objects of {LINES_A_TINY} lines, cold process"
        values = tiny["objects_per_s"], "objects/s", "reading each file once", tiny["read_per_s"]
        found.append(Row(name, *values, floor=1_000.0))
    return found


def with_earlier(jobs: list[dict[str, Any]], chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the jobs with those of sizes that were measured earlier, in the order of sizes."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    by_rows = {each["rows"]: {**each, "date": today} for each in jobs}
    path = folder_of(chosen) / "etl.json"
    if path.exists() and not chosen.quick:
        by_rows = {each["rows"]: each for each in load(path).details["job"]} | by_rows
    return [by_rows[rows] for rows in sorted(by_rows)]


# -- the kernel


def kernel(rows: int) -> Callable[[], object]:
    """Return what computes the features of so many readings."""
    device, time_ms, values = readings(rows)
    nothing = np.zeros(0, np.int64)
    signals = Signals(device, time_ms, values, nothing, nothing, np.zeros((0, 7)))
    bounds = np.zeros(DEVICES, np.int64), np.full(DEVICES, 1 << 43)
    return lambda: feature_rows(signals, *bounds, SPEC)


def kernel_beside_sql(rows: int, repeats: int) -> dict[str, Any]:
    """Time the kernel and DuckDB on one thread for the same features."""
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.register("source", table_of(*readings(rows)))
    connection.execute("create table readings as select * from source")
    measured = _paired({"kernel": kernel(rows), "duckdb": lambda: _sql(connection)}, repeats)
    return {"rows": rows, **{f"{name}_s": value for name, value in measured.items()}}


def _sql(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(GRID)
    columns = ", ".join(COLUMNS.format(v=f"r.{name}") for name in SENSORS)
    query = SQL.format(columns=columns, window=SPEC.window_ms)
    connection.execute(f"create or replace table found as {query}")


def _paired(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each way, taken by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in seconds.items()}


def kernel_beside_spark(rows: int) -> dict[str, Any]:
    """Time the kernel, and Spark SQL's own RANGE windows of the same sensors, warm."""
    taken = _paired({"kernel": kernel(rows)}, 3)
    return {"rows": rows, "kernel_s": taken["kernel"], "spark_sql_s": spark_sql_windows(rows)}


def spark_sql_windows(rows: int) -> float:
    """Return the seconds of Spark SQL's windows, which make a row a reading and not a row a hop."""
    from simulator.cloud.java import find_java

    os.environ.setdefault("JAVA_HOME", str(find_java()))
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        path = Path(folder) / "readings.parquet"
        import pyarrow.parquet as pq

        pq.write_table(table_of(*readings(rows)), path)
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


# -- the job


def job(rows: int, root: Path) -> dict[str, Any]:
    """Return what a cold process takes for all hours, and then for the last one alone."""
    hours, encoded = write_raw(rows, root / "raw")
    stamps = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H}" for hour in range(hours + 1)]
    began = time.perf_counter()
    whole, small = cold_process(root, [f"{stamps[0]}/{stamps[-1]}", f"{stamps[-2]}/{stamps[-1]}"])
    process_s = time.perf_counter() - began
    assert whole["counts"]["readings"] == rows, whole
    return {
        "rows": rows,
        "cold_s": whole["s"],
        "rows_per_s": rows / whole["s"],
        "peak_mb": max(whole["peak_mb"], small["peak_mb"]),
        "encoded_mb": encoded / 1e6,
        "second_s": small["s"],
        "second_rows": small["counts"]["readings"],
        "process_s": process_s,
        "duckdb_s": duckdb_job(root) if rows <= 1_000_000 else None,
    }


def duckdb_job(root: Path) -> float:
    """Return what DuckDB takes from the job's objects to a Parquet file of the same features."""
    began = time.perf_counter()
    connection = duckdb.connect()
    columns = ", ".join(f'"values".{name} as {name}' for name in SENSORS)
    connection.execute(
        f"create table readings as select device_id as device, event_time_ms as t, {columns} "
        f"from read_json_auto('{root}/raw/telemetry/**/*.jsonl.gz')"
    )
    _sql(connection)
    connection.execute(f"copy found to '{root}/found.parquet'")
    return time.perf_counter() - began


def tiny_objects(count: int, root: Path) -> dict[str, Any]:
    """Return what a cold process takes for an hour of so many objects, `LINES_A_TINY` each."""
    write_tiny(count, root / "raw")
    hours = f"{START:%Y-%m-%dT%H}/{START + timedelta(hours=1):%Y-%m-%dT%H}"
    (found,) = cold_process(root, [hours])
    assert found["counts"]["readings"] == count * LINES_A_TINY, found
    began = time.perf_counter()
    assert sum(len(path.read_bytes()) for path in (root / "raw").rglob("*.jsonl")) > 0
    read_s = time.perf_counter() - began
    return {
        "objects": count,
        "rows": count * LINES_A_TINY,
        "cold_s": found["s"],
        "objects_per_s": count / found["s"],
        "read_per_s": count / read_s,
        "peak_mb": found["peak_mb"],
    }


def cold_process(root: Path, ranges: list[str]) -> list[dict[str, Any]]:
    """Run the job over each range in one process; return a line of figures for each."""
    (root / "processed").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.etl_job_process", str(root), SPEC.to_json()]
    done = subprocess.run(
        [*command, *ranges], check=True, stdout=subprocess.PIPE, text=True, timeout=3_600
    )
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"s"')]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
