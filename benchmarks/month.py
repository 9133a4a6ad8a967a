"""How long the scenario `month` takes: 30 days of 20 pumps, with their nights and Mondays.

``python -m benchmarks.month`` writes `results/month.json`: the real time of ``fleetwin run month``,
and the processor time of all its processes, which other load on the machine disturbs less. A run in
which a night failed, the drift was not trained on, or a fault was not found counts as none. It is
run by name alone (`catalogue`): it takes minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.children import run_child
from benchmarks.result import finish, parser
from benchmarks.row import Row

MOST_S, CORES = 180.0, 2
"""What the run may take, on a machine of so many cores."""
ENDED_S = 1_800.0
ENDED_WELL = {"nightly": 30, "monitoring": 5, "training": 2}
"""The executions of workflows that there must be."""


class ProcessorTime:
    """Adds up what this process's descendants have used; look now and then, some end early."""

    def __init__(self) -> None:
        self._used_s: dict[tuple[int, float], float] = {}
        self._names: dict[tuple[int, float], str] = {}

    def look(self) -> None:
        """Note what each descendant has used so far."""
        for child in psutil.Process().children(recursive=True):
            try:
                used, key = child.cpu_times(), (child.pid, child.create_time())
                name = self._names.get(key, "other")
                # One that was just forked, or has ended, has no command line.
                self._names[key] = kind_of(child.cmdline()) if name == "other" else name
                self._used_s[key] = used.user + used.system
            except psutil.Error:
                continue

    def by_kind(self) -> dict[str, float]:
        """Return seconds by kind of process, the most first."""
        found: dict[str, float] = {}
        for key, used_s in self._used_s.items():
            found[self._names[key]] = found.get(self._names[key], 0.0) + used_s
        return dict(sorted(found.items(), key=lambda each: -each[1]))


KINDS = {
    "simulator.cli": "engine and gateway",
    "SparkSubmit": "Spark's JVM",
    "spark_daemon": "Spark's Python workers",
    "spark_host": "Spark's driver",
    "raw_writer.handler": "raw writer",
    "detector.handler": "detector",
    "container train": "training",
    "container serve": "model server",
}
"""What a process of a run is, by what is in its command line."""


def kind_of(command: Sequence[str]) -> str:
    """Return what a process of a run is."""
    words = " ".join(command)
    return next((kind for part, kind in KINDS.items() if part in words), "other")


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("month", __doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        out, used, said = Path(folder) / "out", ProcessorTime(), list[str]()
        began = time.perf_counter()
        command = ["-m", "simulator.cli", "run", "month", "--out", str(out)]
        code = run_child(command, ENDED_S, lambda _: used.look(), said.append)
        took_s = time.perf_counter() - began
        if code != 0:
            print("\n".join(said[-20:]))
            return 1
        report = json.loads((out / "report.json").read_text("utf-8"))
        problem = wrong(report, executions(out))
    if problem:
        print(problem)
        return 1
    by_kind = used.by_kind()
    processor_s = sum(by_kind.values())
    rows = [
        Row(
            "the scenario month",
            took_s,
            "s",
            f"its processor time on {CORES} cores",
            processor_s / CORES,
            ceiling=MOST_S,
        ),
        Row(
            "the scenario month: processor time of all processes",
            processor_s,
            "s",
            "its real time",
            took_s,
            ceiling=MOST_S * CORES,
        ),
    ]
    details = {
        "processor_s": {kind: round(seconds, 1) for kind, seconds in by_kind.items()},
        "stages_s": {each["name"]: round(each["wall_s"], 1) for each in report["stages"]},
        "readings": report["readings"]["published"],
    }
    print(json.dumps(details, indent=1))
    return finish("month", rows, chosen, details)


def executions(out: Path) -> list[dict[str, Any]]:
    """Return the executions of workflows that a run left."""
    from simulator.cloud import workflows_store

    return [each["description"] for each in workflows_store.load(out / "twin")]


def wrong(report: dict[str, Any], found: Sequence[dict[str, Any]]) -> str:
    """Return why a run is not the month that is promised; "" when it is."""
    well = [each["stateMachineArn"] for each in found if each["status"] == "SUCCEEDED"]
    counts = {name: sum(arn.endswith(f"-{name}") for arn in well) for name in ENDED_WELL}
    if counts != ENDED_WELL:
        return f"executions that ended well: {counts}, not {ENDED_WELL}"
    faults = report["faults"]
    return "" if faults["found"] == faults["total"] else f"found of the faults: {faults}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
