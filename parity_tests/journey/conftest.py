"""Finished runs of the scenario `journey`, made once for all tests that compare them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simulator.tests.command import command, environment


@pytest.fixture(scope="session")
def journeys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of two runs on the embedded target, made at the same time."""
    folders = [tmp_path_factory.mktemp("journey") for _ in range(2)]
    running = [
        subprocess.Popen(
            command("run", "journey", "--out", str(out)),
            env=environment(PYTHONHASHSEED=str(number + 1)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, out in enumerate(folders)
    ]
    try:
        for process in running:
            _, said = process.communicate(timeout=400)
            if process.returncode != 0:
                pytest.fail("\n".join(said.splitlines()[-5:]), pytrace=False)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=60)
    return folders[0], folders[1]
