"""Finished runs of the scenario `journey`, made once for all tests that compare them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simulator import localstack_host
from simulator.tests.command import command
from simulator.tests.command import environment as environment_of

LOCALSTACK_WITHIN_S = 1_800.0
"""Real seconds; 400 were measured on a busy machine, 1,200 on one with a load of 20."""


@pytest.fixture(scope="session")
def on_localstack(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Return the folder of a run on a LocalStack of its own, None where none was prepared."""
    environment = localstack_host.prepared()
    if environment is None:
        return None
    out = tmp_path_factory.mktemp("localstack")
    # Its environment, and not what it refers to, says where Python finds its packages.
    python = environment / "bin" / "python"
    with localstack_host.running(python, environment / "files") as (url, _):
        done = subprocess.run(
            command(
                *("run", "journey", "--target", "localstack", "--endpoint", url, "--out", str(out))
            ),
            env=environment_of(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LOCALSTACK_WITHIN_S,
            check=False,
        )
    if done.returncode != 0:
        pytest.fail("\n".join(done.stderr.splitlines()[-5:]), pytrace=False)
    return out


@pytest.fixture(scope="session")
def journeys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of two runs on the embedded target, made at the same time."""
    folders = [tmp_path_factory.mktemp("journey") for _ in range(2)]
    running = [
        subprocess.Popen(
            command("run", "journey", "--out", str(out)),
            env=environment_of(PYTHONHASHSEED=str(number + 1)),
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
