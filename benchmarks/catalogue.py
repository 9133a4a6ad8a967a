"""The benchmarks that `python -m benchmarks` runs, what each takes, what a quick run leaves out.

Times are of two quiet cores. They are what the progress line counts down from, and a benchmark
that takes many times longer is ended.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DATA_VARIABLE = "FLEETWIN_DATA"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: a module whose ``main`` takes ``--quick`` and ``--out`` and writes its rows.

    ``quick_s`` None means that a quick run leaves it out, for the reason in ``left_out``.
    ``data`` names a folder below `FLEETWIN_DATA` without which it cannot run.
    """

    name: str
    area: str
    about: str
    full_s: float
    quick_s: float | None = None
    left_out: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()
    data: str = ""

    @property
    def command(self) -> tuple[str, ...]:
        """What follows ``python -m``."""
        return (self.module or f"benchmarks.{self.name}", *self.arguments)

    def missing(self) -> str:
        """Say what this machine lacks to run it; "" when nothing."""
        if not self.data:
            return ""
        folder = os.environ.get(DATA_VARIABLE)
        if not folder:
            return f"{DATA_VARIABLE} does not name the folder of recorded sets"
        found = Path(folder, self.data).is_dir()
        return "" if found else f"no folder {self.data} where {DATA_VARIABLE} points"


BENCHMARKS = (
    Benchmark("pipeline", "throughput", "readings through the pipeline, PutRecords", 20.0, 12.0),
)
"""In the order in which they run: what is quick, and what others are judged by, first."""


def named(name: str) -> Benchmark:
    """Return a benchmark; raises KeyError."""
    return {each.name: each for each in BENCHMARKS}[name]
