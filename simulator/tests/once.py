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


def fresh_snapshot(factory: pytest.TempPathFactory) -> Path:
    """Return what `python -m infra_cdk.synth FOLDER` writes now; skips as `prod_assembly`."""
    return _synthesized(factory) / "fresh"


def small_assemblies(factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return what is left of two syntheses of an open queue; skips as `prod_assembly`.

    Of the first our findings were acknowledged, of the second none. Where one failed, its
    RuntimeError is in a file ``failed`` in it.
    """
    made = _synthesized(factory)
    return made / "acknowledged", made / "unacknowledged"


SYNTHESIZE = """
import dataclasses, pathlib, runpy, sys
folder = pathlib.Path(sys.argv[1])
sys.argv[1] = str(folder / "prod")
app = runpy.run_module("infra_cdk.app", run_name="__main__")
config = dataclasses.replace(app["DEV"], is_lake_governed=False)
app["synthesize"](folder / "ungoverned", config)

sys.argv[1] = str(folder / "fresh")
runpy.run_module("infra_cdk.synth", run_name="__main__")

from aws_cdk import Stack, aws_sqs
from infra_cdk import app

class Small(Stack):
    def __init__(self, scope, config):
        super().__init__(scope, "Small")
        aws_sqs.CfnQueue(self, "Open")

app.FleetwinStack = Small
for name in ("acknowledged", "unacknowledged"):
    if name == "unacknowledged":
        app.acknowledge = lambda stack: None
    try:
        app.synthesize(folder / name)
    except RuntimeError as error:
        (folder / name / "failed").write_text(str(error))
"""
"""The small queue has no dead-letter queue, which is accepted, and no TLS alone, which is not."""


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
