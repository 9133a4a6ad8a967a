"""One cold process that runs the features job as the twin's Spark host does; a part of `etl`.

Arguments: a folder with the buckets, a feature spec, and ranges ``start/end`` to run one after
the other. Prints a line of JSON for each: seconds, what the job counted, and memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.by_processes import peak_mb


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


def main(root: Path, spec: str, ranges: list[str]) -> None:
    """Run the job over each range."""
    began = time.monotonic()
    from simulator.cloud.java import find_java
    from simulator.cloud.java_archive import archive_options
    from simulator.cloud.spark_settings import spark_settings

    os.environ.setdefault("JAVA_HOME", str(find_java()))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    from pipeline.etl.features_job import main as run_job

    builder = SparkSession.builder
    for name, value in spark_settings(root, archive_options()).items():
        builder = builder.config(name, value)
    for bucket in ("raw", "processed"):
        mount = f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback"
        builder = builder.config(mount, (root / bucket).as_uri())
    builder.config("spark.log.level", "ERROR").getOrCreate()
    for text in ranges:
        start, _, end = text.partition("/")
        options = {
            "--start": start,
            "--end": end,
            "--raw_bucket": "raw",
            "--processed_bucket": "processed",
            "--database": "db",
            "--table": "features",
            "--feature_spec": spec,
        }
        with redirect_stdout(sys.stderr):
            counts = run_job(["job", *(w for pair in options.items() for w in pair)], NoCatalog())
        memory = peak_mb()
        print(json.dumps({"s": time.monotonic() - began, "counts": counts, "peak_mb": memory}))
        sys.stdout.flush()
        began = time.monotonic()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
