"""The features job as a driver of a cluster, whose workers are other processes: started by a test.

Arguments: master URL, folder of the buckets, and the job's own. No catalog: it takes everything.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from pipeline.etl.features_job import main


class NoCatalog:
    """A Glue catalog that takes everything."""

    def get_table(self, **request: Any) -> Any:
        """Describe a table without columns."""
        return {"Table": {"Name": "features", "StorageDescriptor": {"Columns": []}}}

    def update_table(self, **request: Any) -> Any:
        """Take it."""

    def batch_create_partition(self, **request: Any) -> Any:
        """Take them."""
        return {}


def run(master: str, root: Path, arguments: list[str]) -> None:
    """Connect, run, and say on how many executors it ran."""
    builder = SparkSession.builder.master(master).appName("features on a cluster")
    settings = {
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    }
    for bucket in ("raw", "processed"):
        mount = f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback"
        settings[mount] = (root / bucket).as_uri()
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    main(["features_job.py", *arguments], NoCatalog())
    scala: Any = spark.sparkContext._jsc.sc()
    # The driver is one of them.
    print(f"executors {scala.getExecutorMemoryStatus().size() - 1}", flush=True)
    spark.stop()


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
