"""The Glue job: raw messages of some hours to feature rows, Parquet by date and hour.

Plain PySpark (Glue 5.1 = Spark 3.5.6). It may be run again for the same hours: every hour it
writes is replaced as a whole. Only rows that are final are written, so the same rows as the
detector computes; late messages are in the raw zone and count in neither. Malformed lines are
counted and copied under ``quarantine/`` of the processed bucket.

Arguments: see `arguments`. Prints one JSON line with what was counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import boto3
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as fn

from pipeline.errors import JobInputError
from pipeline.etl.arguments import JobArguments
from pipeline.etl.arrow_kernel import (
    COUNTS,
    MESSAGE_SCHEMA,
    compute_features,
    output_schema,
    parse_lines,
)
from pipeline.etl.catalog import GlueCatalog, register_partitions
from pipeline.partitions import HOUR_MS, partition_of


def main(argv: Sequence[str], glue: GlueCatalog | None = None) -> dict[str, Any]:
    """Run the job; return what it prints. Raises PipelineError with the cause."""
    arguments = JobArguments.parse(argv)
    spark = SparkSession.builder.getOrCreate()
    # Raw objects are small: pack by their size alone, not as if opening one cost 4 MB of reading.
    spark.conf.set("spark.sql.files.openCostInBytes", "65536")
    # S3 has no block locations, and asking a local stand-in for them starts a process per file.
    spark.conf.set("spark.sql.sources.ignoreDataLocality", "true")
    counts, hours = run(spark, arguments)
    location = f"s3://{arguments.processed_bucket}/features"
    new_partitions = register_partitions(
        glue or boto3.client("glue"), arguments.database, arguments.table, location, hours
    )
    result = {"event": "features_job", **counts, "new_partitions": new_partitions}
    print(json.dumps(result))
    return result


def run(
    spark: SparkSession, arguments: JobArguments
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Compute and write the rows; return counts and the partitions (dt, hour) written.

    Raises JobInputError when there is not a single reading.
    """
    spec = arguments.spec
    uris = _existing(spark, _raw_uris(arguments))
    if not uris:
        raise JobInputError(f"{_input_text(arguments)}: no objects")
    lines = spark.read.text(uris).select(fn.col("value").cast("binary"))
    messages = lines.mapInArrow(partial(parse_lines, spec=spec), MESSAGE_SCHEMA)
    compute = partial(
        compute_features, spec=spec, start_ms=arguments.start_ms, end_ms=arguments.end_ms
    )
    counted = Observation("counts")
    tasks = spark.sparkContext.defaultParallelism
    rows = (
        messages.repartition(tasks, "device_id")
        .mapInArrow(compute, output_schema(spec))
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
        .partitionBy("dt", "hour")
        .parquet(f"s3://{arguments.processed_bucket}/features")
    )
    found = counted.get
    counts = {name: int(found[name] or 0) for name in (*COUNTS, "rows")}
    if counts["malformed"]:
        _quarantine(messages, arguments)
    if not counts["readings"]:
        raise JobInputError(f"{_input_text(arguments)}: no readings")
    hours = [text.partition("/") for text in sorted(found["hours"].split())]
    return counts, [(dt, hour) for dt, _, hour in hours]


def _quarantine(messages: DataFrame, arguments: JobArguments) -> None:
    """Copy the malformed lines; it is rare, so reading again is cheaper than keeping them."""
    first = partition_of(arguments.start_ms)
    (
        messages.where("malformed is not null")
        .select(fn.col("malformed").cast("string"))
        .coalesce(1)
        .write.mode("overwrite")
        .text(f"s3://{arguments.processed_bucket}/quarantine/features/{first}")
    )


def _raw_uris(arguments: JobArguments) -> Iterator[str]:
    """Yield the folders of the hours that rows in the range, and their being final, depend on."""
    spec = arguments.spec
    last = (arguments.end_ms + spec.allowed_lateness_ms) // HOUR_MS
    look_back_ms = {"telemetry": spec.reach_ms}
    if spec.bursts:
        look_back_ms["bursts"] = spec.burst_max_age_ms
    for kind, back_ms in look_back_ms.items():
        for hour in range((arguments.start_ms - back_ms) // HOUR_MS, last + 1):
            yield f"s3://{arguments.raw_bucket}/{kind}/{partition_of(hour * HOUR_MS)}"


def _existing(spark: SparkSession, uris: Iterator[str]) -> list[str]:
    """Return the folders that exist, through the file system that Spark will read them with."""
    jvm: Any = spark._jvm
    configuration = spark._jsparkSession.sessionState().newHadoopConf()
    found = []
    for uri in uris:
        path = jvm.org.apache.hadoop.fs.Path(uri)
        if path.getFileSystem(configuration).exists(path):
            found.append(uri)
    return found


def _input_text(arguments: JobArguments) -> str:
    first, last = partition_of(arguments.start_ms), partition_of(arguments.end_ms)
    return f"s3://{arguments.raw_bucket}/telemetry from {first} to {last}"


if __name__ == "__main__":
    main(sys.argv)
