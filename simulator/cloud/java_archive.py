"""The class-data archive that lets Spark's JVM start quickly (JEP 350: dynamic CDS archives).

Classes come loaded and verified from a file of about 100 MB instead of from Spark's 250 jars. It
is made once for an environment (`fleetwin prepare`, a part of every make target's set-up) and lies
in it; without it, or when Java or Spark have changed, Spark starts as it always did, only slower.
`simulator.cloud.spark` asks for its options.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from simulator.cloud.java import find_java
from simulator.cloud.spark_settings import spark_settings
from simulator.errors import EnvironmentMissing

LIMIT_S = 300.0
SCRIPT = Path(__file__).parent / "runtime" / "spark_classes.py"


def archive_path() -> Path:
    """Return where this environment's archive is, or would be; raises EnvironmentMissing."""
    release = find_java() / "release"
    told = release.read_text("utf-8") if release.exists() else str(find_java())
    # The JVM refuses an archive of other jars or another Java by itself; the name only keeps two
    # that live side by side apart.
    key = hashlib.sha256(f"{told}{version('pyspark')}{SCRIPT.read_text('utf-8')}".encode())
    return Path(sys.prefix) / "share" / "fleetwin" / f"spark-{key.hexdigest()[:12]}.jsa"


def archive_options() -> str:
    """Return the JVM's options for the archive, nothing where there is none."""
    path = archive_path()
    # Where it does not fit after all, the JVM would say so on standard output.
    return f'"-XX:SharedArchiveFile={path}" -Xlog:disable' if path.exists() else ""


def make_archive() -> Path:
    """Make the archive, unless it is there, and return its path; takes about half a minute.

    Raises EnvironmentMissing with what the JVM said when it writes none.
    """
    path = archive_path()
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    for older in path.parent.glob("spark-*.jsa"):
        older.unlink()
    with tempfile.TemporaryDirectory(prefix="fleetwin-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        options = f'"-XX:ArchiveClassesAtExit={made}" -Xlog:disable'
        environment = {
            **os.environ,
            "JAVA_HOME": str(find_java()),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "FLEETWIN_SPARK_CONF": json.dumps(spark_settings(Path(folder), options)),
        }
        try:
            done = subprocess.run(
                [sys.executable, str(SCRIPT)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise EnvironmentMissing(
                f"no class-data archive for Spark: not done after {LIMIT_S:.0f} s"
            ) from late
        if done.returncode or not made.exists():
            last = (done.stderr.strip().splitlines() or ["the JVM wrote no archive"])[-1]
            raise EnvironmentMissing(f"no class-data archive for Spark: {last}")
        made.rename(path)  # Whole or not at all: another process may look for it now.
    return path
