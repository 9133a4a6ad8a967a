"""How long until something can be asked: the command line, the stack's boot, twins in tests.

``python -m benchmarks.startup`` writes `results/startup.json`. Everything is measured in fresh
processes. The peers start with nothing in them and less to do: moto's server and moto inside a
test. The stack is the full snapshot, with every resource that a condition may leave out; its
functions are warm at the end of a boot.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.by_processes import answer_of, seconds_of
from benchmarks.moto_server import moto_server
from benchmarks.result import finish, parser
from benchmarks.row import Row

START = datetime(2026, 1, 5, tzinfo=UTC)
FURTHER = 5
"""Twins of a process after its first."""
EVERYTHING = {
    "MaintenanceServer": "plant",
    "AgentActivationKey": "-".join(["LOCAL"] * 5),
    "QuickSightPrincipal": "arn:aws:quicksight:us-east-1:000000000000:user/default/reader",
    "AccountLogs": "true",
}
"""The parameters with which no condition leaves a resource of the template out."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("startup", __doc__).parse_args(arguments)
    times = 1 if chosen.quick else 5
    boots = [answer_of("benchmarks.startup", "--boot") for _ in range(times)]
    twins = answer_of("benchmarks.startup", "--twins")
    moto = answer_of("benchmarks.startup", "--moto")
    servers = [_moto_server_s() for _ in range(times)]
    aws = seconds_of(["-c", "import boto3, moto.server"], times)
    command_line = seconds_of(["-m", "simulator.cli", "--help"], times)
    bare = seconds_of(["-c", "import boto3"], times)
    rows = [
        Row("fleetwin --help", command_line, "s", "importing boto3", bare, ceiling=1.0),
        Row(
            "importing the twin",
            _least(boots, "import_s"),
            "s",
            "importing boto3 and moto's server",
            aws,
            ceiling=3.0,
        ),
        Row(
            "boot of the full snapshot, cold process",
            _least(boots, "cold_s"),
            "s",
            "moto's server, cold and empty",
            min(servers),
            ceiling=6.0,
        ),
        Row(
            "boot of the full snapshot after the imports",
            _least(boots, "boot_s"),
            "s",
            "moto's server, cold and empty",
            min(servers),
            ceiling=3.0,
        ),
        Row(
            "first twin of a test process",
            twins["first_s"],
            "s",
            "first mock_aws of a process, with a client and a bucket",
            moto["first_s"],
            ceiling=3.0,
        ),
        Row(
            "each further twin of a test process",
            twins["further_s"],
            "s",
            "a further mock_aws, with a client and a bucket",
            moto["further_s"],
            ceiling=1.0,
        ),
    ]
    return finish("startup", rows, chosen)


def _least(answers: Sequence[dict[str, Any]], name: str) -> float:
    return min(float(answer[name]) for answer in answers)


def _moto_server_s() -> float:
    with moto_server() as (_, took_s):
        return took_s


def boot() -> dict[str, float]:
    """Boot the stack twice as a run does: cold, and with all that it needs imported.

    Return the seconds of the import, from the process's start to the end of the first boot, and
    of the second boot.
    """
    began = time.perf_counter()
    from simulator.targets import Embedded

    imported_s = time.perf_counter() - began
    taken, ended = [], []
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
            began = time.perf_counter()
            target = Embedded(START, Path(folder), speed=None, seed=1)
            try:
                target.boot(EVERYTHING)
                ended.append(time.clock_gettime(time.CLOCK_BOOTTIME))
                taken.append(time.perf_counter() - began)
            finally:
                target.close()
    # What the interpreter took before the first line is a part of a cold start.
    cold_s = ended[0] - _process_start_s()
    return {"import_s": imported_s, "boot_s": taken[1], "cold_s": cold_s}


def _process_start_s() -> float:
    """Return when this process began, in seconds since the machine did."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def twins() -> dict[str, float]:
    """Make twins as the fixture `fleetwin` does; return the seconds of the first and the others."""
    began = time.perf_counter()
    from simulator.testing.twin import Twin

    taken = []
    for _ in range(FURTHER + 1):
        with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
            twin = Twin(START, Path(folder) / "fleetwin")
            taken.append(time.perf_counter() - began)
            twin.close()
        began = time.perf_counter()
    return {"first_s": taken[0], "further_s": statistics.median(taken[1:])}


def moto() -> dict[str, float]:
    """Do the same with moto's mock."""
    began = time.perf_counter()
    import boto3
    from moto import mock_aws

    taken = []
    for _ in range(FURTHER + 1):
        with mock_aws():
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="made")
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
    return {"first_s": taken[0], "further_s": statistics.median(taken[1:])}


if __name__ == "__main__":
    PARTS = {"--boot": boot, "--twins": twins, "--moto": moto}
    if sys.argv[1:] and sys.argv[1] in PARTS:
        print(json.dumps(PARTS[sys.argv[1]]()))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
