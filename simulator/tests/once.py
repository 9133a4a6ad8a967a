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
    """Return the assembly of the stage prod as the CDK writes it; skips where there is none."""
    return _synthesized(factory) / "prod"


def ungoverned_assembly(factory: pytest.TempPathFactory) -> Path:
    """Return the assembly of a stage dev that leaves its lake to IAM; skips as `prod_assembly`."""
    return _synthesized(factory) / "ungoverned"


SYNTHESIZE = """
import dataclasses, pathlib, runpy, sys
folder = pathlib.Path(sys.argv[1])
sys.argv[1] = str(folder / "prod")
app = runpy.run_module("infra_cdk.app", run_name="__main__")
config = dataclasses.replace(app["DEV"], is_lake_governed=False)
app["synthesize"](folder / "ungoverned", config)
"""


def _synthesized(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of assemblies that are not committed.

    The CDK starts slowly, so one process makes them all.
    """
    pytest.importorskip(
        "aws_cdk", reason="the extra 'infra' is not installed: pip install -e '.[infra]'"
    )
    return made_once(factory, "synthesized", _synthesize)


def _synthesize(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", SYNTHESIZE, str(folder)],
        cwd=ROOT,
        env={**os.environ, "FLEETWIN_STAGE": "prod"},
        check=True,
        capture_output=True,
    )
