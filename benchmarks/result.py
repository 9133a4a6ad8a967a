"""What a benchmark leaves behind: its rows and details, with the machine, the commit and the date.

Every benchmark's command line begins with `parser` and ends with `finish`. A full run is written
to `benchmarks/results/`, which is committed; a quick one, whose figures are rough, never is: it
goes to `out/bench-quick/`. The machine is described by what matters for speed and not by name.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.row import MISSED, Row, table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
QUICK_RESULTS = ROOT / "out" / "bench-quick"
MISSED_EXIT = 3
"""Exit code of a benchmark that ran well and misses a limit, under ``--strict``."""
BEGAN = time.monotonic()
LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


@dataclass
class Result:
    """All that one benchmark found; ``details`` holds what is richer than rows."""

    benchmark: str
    rows: list[Row]
    details: Any = None
    date: str = ""
    commit: str = ""
    took_s: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> list[Row]:
        """The rows that miss their limits."""
        return [row for row in self.rows if not row.met]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        found: dict[str, Any] = {
            "benchmark": self.benchmark,
            "date": self.date,
            "commit": self.commit,
            "took_s": self.took_s,
            "machine": self.machine,
            "rows": [row.to_json() for row in self.rows],
        }
        return found if self.details is None else {**found, "details": self.details}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Result:
        """Return the result that `to_json` gave."""
        rows = [Row.from_json(row) for row in stored["rows"]]
        return Result(**{**stored, "rows": rows})


def load(path: Path) -> Result:
    """Read a stored result; raises OSError or ValueError."""
    return Result.from_json(json.loads(path.read_text(encoding="utf-8")))


def load_all(folder: Path = RESULTS) -> list[Result]:
    """Read all stored results, by the names of their files."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser that every benchmark has; more options may be added."""
    new_file_us()  # Before the benchmark makes files itself.
    found = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "--quick", action="store_true", help="small sizes; rough, kept apart in out/bench-quick"
    )
    found.add_argument("--out", type=Path, help="folder to write to (default: as said above)")
    found.add_argument(
        "--strict", action="store_true", help=f"exit with {MISSED_EXIT} when a limit is missed"
    )
    return found


def folder_of(chosen: argparse.Namespace) -> Path:
    """Return where a run writes; a quick one never among the committed results."""
    folder: Path = chosen.out or (QUICK_RESULTS if chosen.quick else RESULTS)
    if chosen.quick and folder.resolve() == RESULTS.resolve():
        raise SystemExit("a quick run does not replace results of a full one: choose another --out")
    return folder


def finish(name: str, rows: Sequence[Row], chosen: argparse.Namespace, details: Any = None) -> int:
    """Print the rows, write the result, and return the exit code."""
    found = Result(
        name,
        list(rows),
        details,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit(),
        took_s=round(time.monotonic() - BEGAN, 1),
        machine=machine(),
    )
    return stored(found, chosen)


def stored(found: Result, chosen: argparse.Namespace) -> int:
    """Print the rows, write the result as it is, and return the exit code."""
    print(table(found.rows), flush=True)
    folder = folder_of(chosen)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n"
    path = folder / f"{found.benchmark}.json"
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    path.with_suffix(".tmp").replace(path)
    if found.missed:
        print(f"{MISSED}: " + "; ".join(row.name for row in found.missed), flush=True)
    return MISSED_EXIT if found.missed and chosen.strict else 0


@cache
def new_file_us() -> float:
    """Return the median time to make an empty file where runs keep theirs, in microseconds.

    A run makes tens of thousands. On ext4 without a journal each takes many times as long for some
    minutes after many others were deleted: wait before you compare.
    """
    taken_s = []
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        for number in range(100):
            began_s = time.perf_counter()
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            taken_s.append(time.perf_counter() - began_s)
    return round(statistics.median(taken_s) * 1e6, 1)


def machine() -> dict[str, Any]:
    """Return cores, memory and Python, and how busy the cores and how quick files were before."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9),
        "python": platform.python_version(),
        "load_before": round(LOAD_BEFORE, 1),
        "new_file_us": new_file_us(),
    }


def commit() -> str:
    """Return the commit's short name, with a plus when files differ from it; "" without git."""
    try:
        name, changed = (
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
            ).stdout.strip()
            for words in (
                ["rev-parse", "--short", "HEAD"],
                # What was measured is the code: results and pictures are what a run renews.
                ["status", "--porcelain", "--", "*.py", "*.toml", "*.json", ":!benchmarks/results"],
            )
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return name + "+" * bool(changed)
