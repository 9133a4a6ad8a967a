"""What several test files look at and only one makes, whichever worker of pytest-xdist it is on."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.targets import ROOT

DONE = "done"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder of a name that ``make`` has filled, for all workers of a test run.

    Workers that come while it is made wait; where ``make`` fails, the next one tries again, in
    a folder of its own. What is found there must be copied before it is changed.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # A worker has a folder below that of the run.
    place = base / f"once-{name}"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tried = sorted(each for each in place.iterdir() if each.is_dir())
        for folder in tried:
            if (place / f"{folder.name}.{DONE}").exists():
                return folder
        folder = place / str(len(tried))
        folder.mkdir()
        make(folder)
        (place / f"{folder.name}.{DONE}").touch()
        return folder


def prod_assembly(factory: pytest.TempPathFactory) -> Path:
    """Return the assembly of the stage prod as the CDK writes it; skips where there is none.

    It is not committed, and to synthesize it takes ten seconds of processor time.
    """
    pytest.importorskip(
        "aws_cdk", reason="the extra 'infra' is not installed: pip install -e '.[infra]'"
    )
    return made_once(factory, "prod", _synthesize_prod) / "assembly"


def _synthesize_prod(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "infra_cdk.app", str(folder / "assembly")],
        cwd=ROOT,
        env={**os.environ, "FLEETWIN_STAGE": "prod"},
        check=True,
        capture_output=True,
    )
