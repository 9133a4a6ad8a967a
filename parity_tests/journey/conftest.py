"""Runs of the scenario `journey`, each made once for all tests that compare them.

The fixtures only say how: `test_journey` makes them, so that one that fails is told in its report.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import localstack_host
from simulator.tests.command import command
from simulator.tests.command import environment as environment_of

LOCALSTACK_WITHIN_S = 1_800.0
"""Real seconds; 400 were measured on a busy machine, 1,200 on one with a load of 20."""


class RunFailed(Exception):
    """A run ended with an error; its words are the last that the run printed."""


@pytest.fixture(scope="session")
def run_on_localstack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path] | None:
    """Return how to run on a LocalStack of its own, None where none was prepared."""
    environment = localstack_host.prepared()
    if environment is None:
        return None
    # Its environment, and not what it refers to, says where Python finds its packages.
    python = environment / "bin" / "python"

    def run() -> Path:
        out = tmp_path_factory.mktemp("localstack")
        with localstack_host.running(python, environment / "files") as (url, _):
            where = ("--target", "localstack", "--endpoint", url, "--out", str(out))
            done = subprocess.run(
                command("run", "journey", *where),
                env=environment_of(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=LOCALSTACK_WITHIN_S,
                check=False,
            )
        if done.returncode != 0:
            raise RunFailed(_last_words(done.stderr))
        return out

    return run


@pytest.fixture(scope="session")
def run_twice(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[Path, Path]]:
    """Return how to run twice on the embedded target, at the same time."""

    def run() -> tuple[Path, Path]:
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
                    raise RunFailed(_last_words(said))
        finally:
            for process in running:
                if process.poll() is None:
                    process.terminate()
                    process.communicate(timeout=60)
        return folders[0], folders[1]

    return run


def _last_words(said: str) -> str:
    return "\n".join(said.splitlines()[-5:])
