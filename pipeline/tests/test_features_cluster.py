"""The same job on a Spark cluster of two workers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark
import pytest

from pipeline.tests.spark_driver import REPOSITORY, command, environment
from pipeline.tests.streams import Weather
from pipeline.tests.test_features_job import HOURS, processed_rows, store_stream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("java") is None or os.name != "posix", reason="no Java, which Spark runs on"
    ),
]

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"


@contextmanager
def daemon(folder: Path, name: str, arguments: list[str]) -> Iterator[Path]:
    """Run a part of the cluster; yield the file that it logs to."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(SPARK_CLASS), *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(folder),
            start_new_session=True,
        )
        try:
            yield log
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def logged(log: Path, pattern: str) -> str:
    """Wait until a line of a log matches; return its first group."""
    for _ in range(600):
        found = re.search(pattern, log.read_text("utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"{pattern!r} is not in {log.read_text('utf-8', errors='replace')}")


def test_a_cluster_of_two_workers_writes_the_rows_of_one_machine(tmp_path: Path) -> None:
    root = tmp_path / "s3"
    for bucket in ("raw", "processed"):
        (root / bucket).mkdir(parents=True)
    weather = Weather(
        seed=11, devices=3, readings=300, lost=0.1, repeated=0.1, delay_s=6, silences=0.2
    )
    online, _ = store_stream(root, weather)
    where = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with ExitStack() as cluster:
        master = ["org.apache.spark.deploy.master.Master", *where]
        log = cluster.enter_context(daemon(tmp_path, "master", master))
        url = logged(log, r"Starting Spark master at (spark://127\.0\.0\.1:\d+)")
        for number in (1, 2):
            size = ["-c", "1", "-m", "600m"]
            worker = ["org.apache.spark.deploy.worker.Worker", *where, *size, url]
            log = cluster.enter_context(daemon(tmp_path, f"worker{number}", worker))
            logged(log, r"(Successfully registered)")
        done = subprocess.run(
            command(url, root, HOURS),
            env=environment(tmp_path),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "executors 2" in done.stdout
    assert processed_rows(root) == online
