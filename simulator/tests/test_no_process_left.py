"""However a run is ended, nothing that it started goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from simulator.tests.command import command, environment

PATIENCE_S = 180.0
"""Real seconds within which a run gets as far as a test wants it, on a busy machine."""


SHORT = """
description = "a pump, and a minute of history: soon in the workflow"
seed = 1
history_s = 60
live_s = 60

[fleet]
sensors = ["temperature_c"]
machines = 1
burst_period_s = 0
"""


@contextmanager
def run_of(scenario: str, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a run as the leader of a process group, as a terminal does."""
    process = subprocess.Popen(
        command("run", scenario, "--out", str(out)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A run that hangs must not keep the tests waiting for its next line.
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    try:
        yield process
    finally:
        patience.cancel()
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_stage(process: subprocess.Popen[str], done: str) -> None:
    """Read progress until a stage is done."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.split()[:1] == [done]:
            return
    pytest.fail(f"the run ended before {done} was done")


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return every process that a run has started, and that these have started."""
    found: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return found


def programs(processes: list[psutil.Process]) -> set[str]:
    """Return the names of what runs."""
    return {process.name() for process in processes}


@pytest.mark.parametrize(
    ("number", "scenario", "stage"),
    [(signal.SIGTERM, "tiny", "boot"), (signal.SIGINT, "short.toml", "history")],
    ids=["SIGTERM in the history", "Ctrl-C in the workflow"],
)
def test_a_signal_ends_the_run_and_everything_that_it_started(
    tmp_path: Path, number: signal.Signals, scenario: str, stage: str
) -> None:
    if scenario.endswith(".toml"):
        scenario = str(tmp_path / scenario)
        Path(scenario).write_text(SHORT, "utf-8")
    with run_of(scenario, tmp_path / "out") as process:
        wait_for_stage(process, stage)
        deadline = time.monotonic() + 30.0
        while "java" not in programs(started := descendants(process)):
            assert time.monotonic() < deadline, "Spark comes up in the background"
            time.sleep(0.1)
        # Ctrl-C reaches the whole group, SIGTERM comes for the one process.
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        printed, said = process.communicate(timeout=30)
        _, alive = psutil.wait_procs(started, timeout=5)
        assert programs(alive) == set()
    assert process.returncode == 130
    assert printed == ""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("  ")]
    assert lines == ["fleetwin: stopped; every process that was started has ended"]


def test_nothing_is_left_when_the_run_is_killed(tmp_path: Path) -> None:
    with run_of("tiny", tmp_path) as process:
        wait_for_stage(process, "boot")
        started = descendants(process)
        assert started
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(started, timeout=10)
        assert programs(alive) == set()
