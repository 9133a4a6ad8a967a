"""The Glue job: raw messages of some hours to feature rows, Parquet by date and hour.

Plain PySpark (Glue 5.1 = Spark 3.5.6). It may be run again for the same hours: every hour it
writes is replaced as a whole. Only rows that are final are written, so the same rows as the
detector computes; late messages are in the raw zone and count in neither. What is malformed is
counted and copied under ``quarantine/`` of the processed bucket; a report of each run lies under
``quality/``, and what work orders say of machines that were not healthy under ``labels/``.

Arguments: see `arguments`. Prints one JSON line with what was counted.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import boto3
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as fn

from pipeline.errors import DataQualityFailed, JobInputError
from pipeline.etl import bookmark
from pipeline.etl.arguments import JobArguments
from pipeline.etl.arrow_kernel import (
    COUNTS,
    Computation,
    compute_features,
    output_schema,
    table_columns,
)
from pipeline.etl.baseline_fit import fit_baseline
from pipeline.etl.catalog import GlueCatalog, add_columns, register_partitions
from pipeline.etl.healthy_baseline import HealthyBaseline
from pipeline.etl.lake_files import LakeFiles, bytes_of
from pipeline.etl.maintenance import MAINTENANCE_PREFIX, MaintenanceLog, Order, orders_in
from pipeline.etl.order_labels import LABELS_KEY, labels_of
from pipeline.etl.packed import PACKED_SCHEMA
from pipeline.etl.quality_rules import broken, judge
from pipeline.etl.raw_objects import parse_objects
from pipeline.features import feature_names
from pipeline.partitions import HOUR_MS, partition_of

BYTES_A_TASK = 8 << 20
"""Compressed raw bytes whose features one task computes: some half a million readings, which
take a few hundred MB as they are sorted."""
ROWS_A_FILE = 2_000_000
REPORTED = 100
"""Malformed objects and reasons that a report names; the rest is in the quarantine."""


def main(argv: Sequence[str], glue: GlueCatalog | None = None) -> dict[str, Any]:
    """Run the job; return what it prints. Raises PipelineError with the cause."""
    arguments = JobArguments.parse(argv)
    spark = SparkSession.builder.getOrCreate()
    # Objects are read whole. Small ones: pack by their size, not as if opening cost 4 MB.
    spark.conf.set("spark.sql.files.openCostInBytes", "65536")
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(2 * BYTES_A_TASK))
    # S3 has no block locations, and asking a local stand-in for them starts a process per file.
    spark.conf.set("spark.sql.sources.ignoreDataLocality", "true")
    job = FeaturesJob(spark, arguments)
    counts: Counter[str] = Counter(dict.fromkeys((*COUNTS, "rows"), 0))
    hours: set[tuple[str, str]] = set()
    ranges = job.ranges()
    for start_ms, end_ms in ranges:
        found, written = job.run(start_ms, end_ms)
        counts.update(found)
        hours.update(written)
    catalog = glue or boto3.client("glue")
    known = arguments.database, arguments.table
    result: dict[str, Any] = {"event": "features_job", **counts, "ranges": len(ranges)}
    result["new_columns"] = len(add_columns(catalog, *known, job.columns()) if hours else [])
    result["new_partitions"] = register_partitions(catalog, *known, job.location, sorted(hours))
    job.remember()
    result["labels"] = job.write_labels()
    print(json.dumps(result))
    return result


class FeaturesJob:
    """One run of the job."""

    def __init__(self, spark: SparkSession, arguments: JobArguments) -> None:
        self._spark = spark
        self._arguments = arguments
        self._spec = arguments.spec
        self._files = LakeFiles(spark)
        self._processed = f"s3://{arguments.processed_bucket}"
        self.location = f"{self._processed}/features"
        self._baseline = None if arguments.fit_baseline else self._stored_baseline()
        orders, self._maintenance_errors = self._work_orders()
        self._maintenance, self._labels = MaintenanceLog.of(orders), labels_of(orders)
        self._seen: dict[str, bookmark.Fingerprint] = {}

    def columns(self) -> list[tuple[str, str]]:
        """Return (name, type) of the columns that this run writes."""
        return table_columns(self._spec, normalised=self._baseline is not None)

    # -- which hours

    def ranges(self) -> list[tuple[int, int]]:
        """Return the ranges to compute: the one that was asked for, or what has changed."""
        if not self._arguments.incremental:
            return [(self._arguments.start_ms, self._arguments.end_ms)]
        raw = f"s3://{self._arguments.raw_bucket}"
        extents: dict[str, list[int]] = {}
        for kind in ("telemetry", "bursts") if self._spec.bursts else ("telemetry",):
            for day in self._files.folders(f"{raw}/{kind}"):
                for hour in self._files.folders(f"{raw}/{kind}/{day}"):
                    extent = self._files.extent(f"{raw}/{kind}/{day}/{hour}")
                    sums = extents.setdefault(f"{day}/{hour}", [0, 0])
                    sums[0] += extent.objects
                    sums[1] += extent.n_bytes
        self._seen = {name: (objects, size) for name, (objects, size) in extents.items()}
        stored = bookmark.parse(self._files.read_text(self._state_uri()), self._spec.fingerprint)
        reach_ms = max(self._spec.reach_ms, self._spec.burst_max_age_ms * self._spec.bursts)
        return bookmark.changed_ranges(stored, self._seen, reach_ms)

    def remember(self) -> None:
        """Store what an incremental run has made features of, after all of it is registered."""
        if self._arguments.incremental:
            text = bookmark.to_json(self._seen, self._spec.fingerprint)
            self._files.write_text(self._state_uri(), text)

    def _state_uri(self) -> str:
        return f"{self._processed}/state/{self._arguments.table}.json"

    # -- one range

    def run(self, start_ms: int, end_ms: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Compute and write the rows; return counts and the partitions (dt, hour) written.

        Raises JobInputError when there is not a single reading, DataQualityFailed when a rule
        is broken.
        """
        first, last = partition_of(start_ms), partition_of(end_ms)
        asked = f"s3://{self._arguments.raw_bucket}/telemetry from {first} to {last}"
        objects = self._objects(start_ms, end_ms)
        if objects is None:
            raise JobInputError(f"{asked}: no objects")
        parallel = self._spark.sparkContext.defaultParallelism
        tasks = max(parallel, -(-bytes_of(objects) // BYTES_A_TASK))
        packed = objects.select("path", "content").mapInArrow(
            partial(parse_objects, spec=self._spec), PACKED_SCHEMA
        )
        computation = Computation(self._spec, start_ms, end_ms, self._maintenance, self._baseline)
        counted = Observation("counts")
        rows = (
            packed.repartition(tasks, "device_id")
            .mapInArrow(
                partial(compute_features, computation=computation), output_schema(computation)
            )
            .observe(
                counted,
                *(fn.sum(name).alias(name) for name in COUNTS),
                fn.count("event_time_ms").alias("rows"),
                fn.concat_ws(" ", fn.collect_set(fn.concat_ws("/", "dt", "hour"))).alias("hours"),
            )
            .where("event_time_ms is not null")
            .drop(*COUNTS)
        )
        (
            rows.repartition(tasks, "dt", "hour")
            .sortWithinPartitions("dt", "hour", "device_id", "event_time_ms")
            .write.mode("overwrite")
            .option("partitionOverwriteMode", "dynamic")
            .option("maxRecordsPerFile", ROWS_A_FILE)
            .options(**self._dictionaries())
            .partitionBy("dt", "hour")
            .parquet(self.location)
        )
        found = counted.get
        counts = {name: int(found[name] or 0) for name in (*COUNTS, "rows")}
        pairs = [text.partition("/") for text in sorted((found["hours"] or "").split())]
        hours = [(dt, hour) for dt, _, hour in pairs]
        self._report(start_ms, end_ms, counts, self._quarantine(packed, start_ms, counts))
        if not counts["readings"] and not self._arguments.incremental:
            raise JobInputError(f"{asked}: no readings")
        if self._arguments.fit_baseline:
            self._fit(hours)
        return counts, hours

    def _dictionaries(self) -> dict[str, str]:
        """Return Parquet's settings for dictionaries: of the columns whose values repeat.

        Hardly two values of a feature are the same: Parquet would fill a dictionary for each
        column of each file, see that it saves nothing, and write the values after all.
        """
        setting = "parquet.enable.dictionary"
        repeating = [name for name, kind in self.columns() if kind != "double"]
        return {setting: "false", **{f"{setting}#{name}": "true" for name in repeating}}

    def _objects(self, start_ms: int, end_ms: int) -> DataFrame | None:
        """Return the objects of the hours that there are, None where there is no hour.

        One pattern for all of them: Spark finds out by itself which are there, and asks once.
        """
        folders = ",".join(self._raw_folders(start_ms, end_ms))
        pattern = f"s3://{self._arguments.raw_bucket}/{{{folders}}}"
        try:
            return self._spark.read.format("binaryFile").load(pattern)
        except AnalysisException as error:
            if error.getErrorClass() != "PATH_NOT_FOUND":
                raise
            return None

    def _raw_folders(self, start_ms: int, end_ms: int) -> Iterator[str]:
        """Yield the folders of the hours that rows in the range, and their being final, need."""
        spec = self._spec
        last = (end_ms + spec.allowed_lateness_ms) // HOUR_MS
        look_back_ms = {"telemetry": spec.reach_ms}
        if spec.bursts:
            look_back_ms["bursts"] = spec.burst_max_age_ms
        for kind, back_ms in look_back_ms.items():
            for hour in range((start_ms - back_ms) // HOUR_MS, last + 1):
                yield f"{kind}/{partition_of(hour * HOUR_MS)}"

    def _work_orders(self) -> tuple[list[Order], list[str]]:
        """Read all maintenance there is: small, and a row may look back on years of it."""
        folder = f"s3://{self._arguments.raw_bucket}/{MAINTENANCE_PREFIX}"
        if not self._files.exists(folder):
            return [], []
        lines = self._spark.read.option("recursiveFileLookup", "true").text(folder)
        return orders_in(row[0] for row in lines.toLocalIterator())

    def write_labels(self) -> int:
        """Write what the orders say of machines that were not healthy; return how many labels.

        The file is there without a label, too: the evaluation's input must not be without objects.
        """
        lines = [json.dumps(label, separators=(",", ":")) + "\n" for label in self._labels]
        self._files.write_text(f"{self._processed}/{LABELS_KEY}", "".join(lines))
        return len(lines)

    # -- baseline

    def _stored_baseline(self) -> HealthyBaseline | None:
        key = self._arguments.baseline
        text = self._files.read_text(f"{self._processed}/{key}") if key else None
        return HealthyBaseline.parse(text, feature_names(self._spec)) if text else None

    def _fit(self, hours: list[tuple[str, str]]) -> None:
        names = feature_names(self._spec)
        folders = [f"{self.location}/dt={dt}/hour={hour}" for dt, hour in hours]
        fitted = fit_baseline(self._spark.read.parquet(*folders), names)
        self._files.write_text(f"{self._processed}/{self._arguments.baseline}", fitted.to_json())

    # -- quality

    def _quarantine(
        self, packed: DataFrame, start_ms: int, counts: dict[str, int]
    ) -> list[dict[str, Any]]:
        """Copy what is malformed; return the worst of it for the report.

        It is rare, so reading again is cheaper than keeping it.
        """
        if not counts["malformed"]:
            return []
        wrong = packed.where("malformed is not null").select(
            "source", "reason", fn.base64("malformed").alias("line_b64")
        )
        folder = f"{self._processed}/quarantine/features/{partition_of(start_ms)}"
        wrong.coalesce(1).write.mode("overwrite").json(folder)
        summed = self._spark.read.schema(wrong.schema).json(folder).groupBy("source", "reason")
        rows = summed.count().orderBy(fn.desc("count"), "source", "reason").limit(REPORTED)
        return [row.asDict() for row in rows.collect()]

    def _report(
        self, start_ms: int, end_ms: int, counts: dict[str, int], malformed: list[dict[str, Any]]
    ) -> None:
        """Write the report of a range; raises DataQualityFailed."""
        verdicts = judge(self._arguments.quality_rules, counts, len(self._spec.sensors))
        report = {
            "schema": 1,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "counts": counts,
            "rules": [asdict(verdict) for verdict in verdicts],
            "malformed": malformed,
            "maintenance": self._maintenance_errors[:REPORTED],
        }
        hours = (end_ms - start_ms) // HOUR_MS
        uri = f"{self._processed}/quality/{partition_of(start_ms)}/features-{hours}h.json"
        self._files.write_text(uri, json.dumps(report, indent=1))
        if words := broken(verdicts):
            raise DataQualityFailed(f"{words}: see {uri}")


if __name__ == "__main__":
    main(sys.argv)
