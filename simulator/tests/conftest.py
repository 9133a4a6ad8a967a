"""What the acceptance tests share: command-line runs, copies of the templates, two finished runs.

A run of `tiny` takes about half a minute, so all tests that look at a finished one look at the
same; the mark ``TINY`` keeps them on one worker of pytest-xdist.
"""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.tests.command import command, environment

# A shell's background jobs ignore Ctrl-C, and so would every command that is started from one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have files with slow tests run first: a worker gets whole files, and one would end alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@dataclass(frozen=True)
class FinishedRun:
    """What ``fleetwin run`` left behind in its output folder, and what it said."""

    out: Path
    printed: str
    progress: str

    @property
    def report(self) -> dict[str, Any]:
        """Return `report.json`."""
        content: dict[str, Any] = json.loads((self.out / "report.json").read_text("utf-8"))
        return content

    @property
    def page(self) -> str:
        """Return `report.html`."""
        return (self.out / "report.html").read_text("utf-8")

    def lake(self, zone: str, prefix: str) -> Iterator[bytes]:
        """Yield the lines of every object below a prefix, read from the twin's plain files."""
        bucket = self.out / "twin" / "s3" / f"fleetwin-dev-{zone}-000000000000"
        for path in sorted(bucket.glob(f"{prefix}/**/*.jsonl*")):
            data = path.read_bytes()
            yield from (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, FinishedRun]:
    """Return two finished runs of ``tiny`` with the same seed, made at the same time.

    They share the machine, hash strings differently, and the second names its folder relative to
    where it was started: none of it may change what they find.
    """
    folders = [tmp_path_factory.mktemp("tiny") for _ in range(2)]
    running = [
        subprocess.Popen(
            command("run", "tiny", "--out", out.name if number else str(out)),
            cwd=out.parent,
            env=environment(PYTHONHASHSEED=str(number + 1)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, out in enumerate(folders)
    ]
    finished = []
    try:
        for out, process in zip(folders, running, strict=True):
            printed, progress = process.communicate(timeout=400)
            if process.returncode != 0:
                pytest.fail("\n".join(progress.splitlines()[-5:]), pytrace=False)
            finished.append(FinishedRun(out, printed, progress))
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)
    return finished[0], finished[1]


@pytest.fixture(scope="session")
def tiny_run(tiny_runs: tuple[FinishedRun, FinishedRun]) -> FinishedRun:
    """Return one finished run of ``tiny``."""
    return tiny_runs[0]
