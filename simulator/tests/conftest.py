"""What the acceptance tests share: command-line runs, copies of the templates, two finished runs.

A run of `tiny` takes about half a minute, so all tests that look at a finished one look at the
same, whichever worker of pytest-xdist they are on.
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

from simulator.targets import ROOT
from simulator.tests.archives import build_marked
from simulator.tests.command import command, environment
from simulator.tests.once import made_once

# A shell's background jobs ignore Ctrl-C, and so would every command that is started from one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = (
    "simulator/tests/test_month.py",
    "simulator/tests/test_deployed.py",
    "simulator/tests/test_built_assets.py",
    "simulator/tests/test_promotion.py",
    "simulator/cloud/tests/test_java_archive.py",
    "simulator/cloud/tests/test_glue.py",
    "simulator/tests/test_batch_path.py",
    "pipeline/tests/test_features_job.py",
    "parity_tests/journey/test_journey.py",
    "parity_tests/mutations/test_mutations.py",
    "parity_tests/latency/test_hidden_delays.py",
    "parity_tests/latency/test_slow_endpoint.py",
    "parity_tests/test_scorecard.py",
    "parity_tests/test_cassettes.py",
    "parity_tests/test_cassette_runs.py",
)
"""Files that take long as a whole, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have files that take long run first: a worker gets whole files, and one would end alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    places = {ROOT / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (places.get(item.path, len(places)), item.path not in slow))


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

    They share the machine and hash strings differently; the second names its folder relative to
    where it was started, and its code comes from the archives that are deployed: none of it may
    change what they find.
    """
    made = made_once(tmp_path_factory, "tiny", _run_tiny_twice)
    first, second = (
        FinishedRun(
            made / name,
            (made / f"{name}.stdout").read_text("utf-8"),
            (made / f"{name}.stderr").read_text("utf-8"),
        )
        for name in ("sources", "archives")
    )
    return first, second


def _run_tiny_twice(folder: Path) -> None:
    """Run ``tiny`` from the sources and from archives, in folders of these names."""
    build_marked(folder / "built")
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name, *words in (
        ("sources", "--out", str(folder / "sources")),
        ("archives", "--out", "archives", "--assets", f"built={folder / 'built'}"),
    ):
        with (
            (folder / f"{name}.stdout").open("w") as out,
            (folder / f"{name}.stderr").open("w") as err,
        ):
            running[name] = subprocess.Popen(
                command("run", "tiny", *words),
                cwd=folder,
                env=environment(PYTHONHASHSEED=str(len(running) + 1)),
                stdout=out,
                stderr=err,
            )
    try:
        for name, process in running.items():
            if process.wait(timeout=400) != 0:
                said = (folder / f"{name}.stderr").read_text("utf-8").splitlines()
                pytest.fail("\n".join(said[-5:]), pytrace=False)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=60)


@pytest.fixture(scope="session")
def tiny_run(tiny_runs: tuple[FinishedRun, FinishedRun]) -> FinishedRun:
    """Return one finished run of ``tiny``."""
    return tiny_runs[0]
