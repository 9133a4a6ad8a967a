"""A small Spark run that touches the classes that jobs use, for the class-data archive.

Started by `simulator.cloud.java_archive` as a plain script, with a working folder of its own; the
JVM writes the archive as it ends. Settings come as JSON in FLEETWIN_SPARK_CONF. Which data it
moves does not matter, which parts of Spark move them does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as fn


def main() -> None:
    """Read, map, shuffle, join, write and read again, below ``s3://bucket``."""
    bucket = Path("bucket").resolve()
    bucket.mkdir()
    builder = SparkSession.builder
    for key, value in json.loads(os.environ["FLEETWIN_SPARK_CONF"]).items():
        builder = builder.config(key, value)
    mount = "spark.hadoop.fs.viewfs.mounttable.bucket.linkFallback"
    spark = builder.config(mount, bucket.as_uri()).getOrCreate()
    spark = spark.newSession()
    (bucket / "lines").mkdir()
    for number in range(3):
        text = "".join(f'{{"a": {row}, "b": "x"}}\n' for row in range(100))
        (bucket / "lines" / f"{number}.json").write_text(text, encoding="utf-8")
    objects = spark.read.format("binaryFile").load("s3://bucket/lines").select("path", "content")
    seen = Observation("seen")
    rows = (
        objects.mapInArrow(lambda batches: batches, objects.schema)
        .repartition(4, "path")
        .observe(seen, fn.count(fn.lit(1)).alias("rows"))
        .withColumn("dt", fn.lit("2026-01-05"))
        .withColumn("hour", fn.substring("path", -6, 1))
    )
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    for _ in range(2):
        write = rows.select(fn.length("content").alias("n"), "path", "dt", "hour").write
        write.partitionBy("dt", "hour").mode("overwrite").parquet("s3://bucket/table")
    table = spark.read.parquet("s3://bucket/table")
    table.groupBy("dt").agg(fn.avg("n"), fn.stddev_pop("n")).orderBy("dt").collect()
    table.coalesce(1).write.mode("overwrite").json("s3://bucket/again")
    lines = spark.read.option("recursiveFileLookup", "true").text("s3://bucket/again")
    list(lines.toLocalIterator())
    spark.read.schema(table.schema).json("s3://bucket/again").createOrReplaceTempView("again")
    spark.sql("select path, count(*) from again join (select 1 as one) group by path").collect()
    _touch_files(spark)
    spark.stop()


def _touch_files(spark: SparkSession) -> None:
    """List, write and rename by Hadoop's own calls, as jobs do for small files."""
    jvm = spark._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path("s3://bucket/note.json")
    system = path.getFileSystem(spark._jsc.hadoopConfiguration())
    stream = system.create(path, True)
    stream.write(bytearray(b"{}"))
    stream.close()
    system.exists(path)
    system.listStatus(path.getParent())
    system.getContentSummary(path.getParent())
    opened = system.open(path)
    jvm.org.apache.commons.io.IOUtils.toString(opened, "UTF-8")
    opened.close()


if __name__ == "__main__":
    main()
