"""How tests start the features job as a driver of its own, `cluster_job`, on a cluster or alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyspark

from pipeline.tests.streams import SPEC

REPOSITORY = Path(__file__).parents[2]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the driver and of a cluster, who write to a folder."""
    return {
        **os.environ,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        # Of daemons, driver, executors and what launches them: eight of them compile for nothing.
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY),
    }


def command(master: str, root: Path, hours: dict[str, str]) -> list[str]:
    """Return the command line of the job for some hours."""
    options = {
        **hours,
        "--raw_bucket": "raw",
        "--processed_bucket": "processed",
        "--database": "db",
        "--table": "features",
        "--feature_spec": SPEC.to_json(),
    }
    words = [word for pair in options.items() for word in pair]
    return [sys.executable, "-m", "pipeline.tests.cluster_job", master, str(root), *words]
