"""Ctrl-C while Python still imports the command line: one line, no traceback, exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from simulator.tests.command import command, environment

BEGUN = "import time: "
PATIENCE_S = 60.0
"""Real seconds within which a module is imported on a busy machine."""

INSTALLED = [sys.executable, "-c", "from simulator.cli import main; main()", "run", "tiny"]
"""What the installed `fleetwin` does."""


@pytest.mark.parametrize("started", [command("run", "tiny"), INSTALLED], ids=["module", "script"])
@pytest.mark.parametrize("module", ["importlib.metadata", "typer", "boto3", "numpy"])
def test_ctrl_c_during_the_imports_ends_quietly(started: list[str], module: str) -> None:
    # Python tells of each import as it is done: a place in time that no busy machine moves.
    process = subprocess.Popen(
        [started[0], "-X", "importtime", *started[1:]],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == module:
                process.send_signal(signal.SIGINT)
                break
        printed, said = process.communicate()
    finally:
        patience.cancel()
        if process.poll() is None:
            process.kill()
            process.communicate()
    # 130 to a shell either way: Python ends itself by the signal where this came within an `eval`,
    # which a command that has begun may meet in a module that it imports.
    assert process.returncode in (130, -signal.SIGINT), said
    assert printed == ""
    lines = [line for line in said.splitlines() if line and not line.startswith(BEGUN)]
    # On a machine that is late to send it, the command has begun.
    assert len(lines) == 1 or lines[0] == "fleetwin: tiny, seed 1", said
    assert lines[-1].startswith("fleetwin: stopped")


def test_a_background_job_of_a_shell_goes_on_ignoring_ctrl_c() -> None:
    program = (
        "import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "sys.argv = ['fleetwin', '--version'];"
        "from simulator.cli import main; os.kill(os.getpid(), signal.SIGINT); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fleetwin ")
