"""The class-data archive of Spark: made once, accepted by the JVM, and never needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cloud import java_archive
from simulator.cloud.java import find_java
from simulator.cloud.java_archive import archive_options, archive_path, make_archive
from simulator.cloud.spark_settings import spark_settings
from simulator.errors import EnvironmentMissing

START = """
import json, os
from pyspark.sql import SparkSession
builder = SparkSession.builder
for key, value in json.loads(os.environ["FLEETWIN_SPARK_CONF"]).items():
    builder = builder.config(key, value)
print("rows", builder.getOrCreate().range(3).count())
"""


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an environment of its own, so that the one the tests run in stays as it is."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


def test_without_an_archive_spark_starts_with_its_usual_options(prefix: Path) -> None:
    assert archive_options() == ""
    assert archive_path().is_relative_to(prefix)
    usual = spark_settings(prefix)
    assert spark_settings(prefix, archive_options()) == usual


def test_the_archive_is_made_once_and_the_jvm_maps_it(prefix: Path) -> None:
    path = make_archive()
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing else is left"
    made = path.stat().st_mtime_ns
    assert make_archive() == path
    assert path.stat().st_mtime_ns == made
    # With -Xshare:on a JVM that cannot map the archive ends with an error.
    options = archive_options().replace("-Xlog:disable", "-Xshare:on")
    environment = {
        **os.environ,
        "JAVA_HOME": str(find_java()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "FLEETWIN_SPARK_CONF": json.dumps(spark_settings(prefix, options)),
    }
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=environment,
        cwd=prefix,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "rows 3" in done.stdout, done.stderr


def test_a_jvm_that_writes_no_archive_is_told_with_its_last_words(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = prefix / "fails.py"
    script.write_text("raise SystemExit('the disk is full')\n", encoding="utf-8")
    monkeypatch.setattr(java_archive, "SCRIPT", script)
    with pytest.raises(EnvironmentMissing, match="the disk is full"):
        make_archive()
    assert list(archive_path().parent.iterdir()) == []
