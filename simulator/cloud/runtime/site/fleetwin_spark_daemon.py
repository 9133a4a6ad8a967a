"""Spark's own daemon of Python workers, without Spark's archives on its path.

Spark puts its jar and two archives on the workers' path, and a worker has Python read the tables of
contents of all archives there again before each task (`importlib.invalidate_caches`). What is in
them is installed beside Python here. Archives that a job brings stay. Named by
`simulator.cloud.spark`; imports nothing of the project.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

JAR = "spark-core_"


def is_spark_s(place: str) -> bool:
    """Tell whether an entry of the path is one of Spark's archives."""
    folder, name = os.path.split(place)
    is_library = folder.endswith(os.path.join("python", "lib")) and name.endswith(".zip")
    return is_library or (name.startswith(JAR) and name.endswith(".jar"))


def leave_out() -> None:
    """Take Spark's archives off the path; forked workers inherit it."""
    sys.path[:] = [place for place in sys.path if not is_spark_s(place)]
    for place in list(sys.path_importer_cache):
        if is_spark_s(place):
            del sys.path_importer_cache[place]


if __name__ == "__main__":
    leave_out()
    import_module("pyspark.daemon").manager()
