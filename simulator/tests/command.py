"""How the acceptance tests start `fleetwin` and change its templates."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from simulator.cli import app
from simulator.scenario import list_scenarios
from simulator.targets import ROOT, SNAPSHOT


def command(*arguments: str) -> list[str]:
    """Return the command line of ``fleetwin`` with these arguments."""
    return [sys.executable, "-m", "simulator.cli", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a child: ours without AWS's variables, with ``changes``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **changes}


def fleetwin(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run ``fleetwin`` to its end; ``changes`` are environment variables."""
    return subprocess.run(
        command(*arguments),
        env=environment(**changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def parse_fleetwin(arguments: list[str]) -> None:
    """Parse a command line without running it; raises on an unknown command or option.

    Of a command in a group, documents may leave out what it must be given, and name several at
    once: `fleetwin workflow run|list|show`.
    """
    group = _whole_command()
    context = group.make_context("fleetwin", list(arguments), resilient_parsing=True)
    if arguments[0].startswith("-"):
        return
    name, command, rest = group.resolve_command(context, list(arguments))
    if hasattr(command, "resolve_command"):
        for each in rest[0].split("|"):
            _parse_below(command, [each, *rest[1:]], context)
        return
    scenario = command.make_context(name, list(rest)).params.get("scenario")
    assert scenario is None or scenario in list_scenarios() or scenario.endswith(".toml")


@functools.cache
def _whole_command() -> Any:
    return typer.main.get_command(app)


def _parse_below(group: Any, arguments: list[str], parent: Any) -> None:
    context = group.make_context("group", list(arguments), parent=parent, resilient_parsing=True)
    name, command, rest = group.resolve_command(context, list(arguments))
    try:
        command.make_context(name, list(rest), parent=context)
    except Exception as error:
        if type(error).__name__ != "MissingParameter":
            raise


def changed_assembly(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of the committed templates in ``folder`` with the stack's one changed."""
    copy = Path(shutil.copytree(SNAPSHOT, folder / "assembly"))
    # The sources are relative to a folder above the templates; a copy is somewhere else.
    listed = json.loads((copy / "sources.json").read_text("utf-8"))
    for entry in listed.values():
        entry["path"] = str((ROOT / entry["path"]).resolve())
    (copy / "sources.json").write_text(json.dumps(listed), "utf-8")
    file = copy / "FleetwinDev.template.json"
    template = json.loads(file.read_text("utf-8"))
    change(template)
    file.write_text(json.dumps(template), "utf-8")
    return copy


def without_statement(template: dict[str, Any], role: str, sid: str) -> None:
    """Take the one statement ``sid`` away from the role whose logical id begins with ``role``."""
    removed = 0
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role" or not name.startswith(role):
            continue
        for policy in resource["Properties"].get("Policies", []):
            document = policy["PolicyDocument"]
            kept = [each for each in document["Statement"] if each.get("Sid") != sid]
            removed += len(document["Statement"]) - len(kept)
            document["Statement"] = kept
    assert removed == 1, f"{removed} statements {sid} in {role}"
