"""How long each hop takes in the embedded twin, in real time and on the run's clock.

``python -m benchmarks.latency`` writes `results/latency.json`. Real time: the calls that the hops
consist of, by boto3 without sockets, beside moto inside a process; a warm function beside a line
through a pipe; one reading from its topic to both functions' ends. The run's clock: the hops of a
run with ``--latency aws``, whose models are mostly assumed (docs/parity.md).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_processes import ROOT, answer_of
from benchmarks.result import finish, parser
from benchmarks.row import Row
from simulator.parity.latency_fit import load_traces
from simulator.targets import template_default

PROCESS = "benchmarks.latency_process"
PIPE, FUNCTION, READING = "a line through a pipe", "a warm function", "one reading"
CALLS = {
    "Kinesis PutRecord": 1.0,
    "S3 PutObject": 1.0,
    "DynamoDB PutItem": 1.0,
    "SNS Publish": 1.0,
    # Kept by moto behind our dispatch: both are paid for.
    "SQS send, receive, delete": 3.0,
}
"""Calls, and how many times moto's own time they may take."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("latency", __doc__).parse_args(arguments)
    count, rounds = (100, 1) if chosen.quick else (500, 2)
    ours, moto = [], []
    # By turns, so that what else the machine does meets both.
    for _ in range(rounds):
        ours.append(answer_of(PROCESS, "ours", count))
        moto.append(answer_of(PROCESS, "moto", count))
    mine, theirs = quickest(ours), quickest(moto)
    rows = [
        Row(
            f"{name}, p50",
            mine[name][0],
            "ms",
            "moto in a process",
            theirs[name][0],
            ceiling=ceiling,
            limits="ratio",
        )
        for name, ceiling in CALLS.items()
    ]
    rows += [
        Row(f"{FUNCTION}, p50", mine[FUNCTION][0], "ms", PIPE, mine[PIPE][0], ceiling=5.0),
        Row(
            "one reading from its topic to both functions' ends, p50",
            mine[READING][0],
            "ms",
            "both functions, warm, one after the other",
            2.0 * mine[FUNCTION][0],
            ceiling=100.0,
        ),
    ]
    details: dict[str, Any] = {"p50_and_p99_ms": mine, "moto_p50_and_p99_ms": theirs}
    if not chosen.quick:
        hops = on_the_clock()
        details["hops_of_a_run_s"] = hops
        window_s = float(template_default("MappingWindowS"))
        rows.append(
            Row(
                "from the stream to its function on the run's clock, mean",
                hops["wait"]["mean"],
                "s",
                "the batching window",
                window_s,
                ceiling=1.25,
                limits="ratio",
            )
        )
    return finish("latency", rows, chosen, details)


def quickest(found: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Return of each call the round with the least median: what it takes undisturbed."""
    names = [name for name in found[0] if name != "process_s"]
    return {name: min((each[name] for each in found), key=lambda pair: pair[0]) for name in names}


def on_the_clock() -> dict[str, dict[str, float]]:
    """Return how long each hop of a small run took on its clock, in seconds."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        words = ["run", "tiny", "--latency", "aws", "--out", folder]
        subprocess.run(
            [sys.executable, "-m", "simulator.cli", *words],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        traces = load_traces(Path(folder) / "traces.jsonl")
    return {
        hop: {
            "samples": len(taken),
            "mean": round(float(taken.mean()), 4),
            "p50": round(float(np.quantile(taken, 0.5)), 4),
            "p99": round(float(np.quantile(taken, 0.99)), 4),
        }
        for hop, taken in sorted(traces.items())
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
