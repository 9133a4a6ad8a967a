"""Fresh processes that print one line of JSON: what is measured cold, or must not share a process.

Used by the benchmarks of start-up, latency, memory and HTTP.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


def answer_of(
    module: str, *words: object, variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run ``python -m module words`` and return the JSON object in its last line.

    Adds `process_s`, the seconds from its start to its end. Raises RuntimeError with what it said
    when it fails.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(map(str, words))}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"process_s": took_s, **answer}


def seconds_of(program: Sequence[str], times: int) -> float:
    """Return the shortest of some runs of ``python program``: what it takes undisturbed."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, *program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - began)
    return min(found)


def own_peak_mb() -> float:
    """Return the highest memory so far of this process alone."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_mb() -> float:
    """Return the highest memory so far of this process and of its children together.

    The sum of each one's peak, pages that they share counted for each: at most what they took at
    once.
    """
    mine = own_peak_mb()
    for child in psutil.Process().children(recursive=True):
        try:
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
        except OSError:
            continue
        peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "0 0")
        mine += float(peak.split()[1]) / 1024
    return mine
