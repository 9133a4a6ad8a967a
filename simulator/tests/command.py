"""How the acceptance tests start `fleetwin` and change its templates."""

from __future__ import annotations

import atexit
import functools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from simulator.cli import main
from simulator.cli_commands import app
from simulator.scenario import list_scenarios
from simulator.targets import ROOT, SNAPSHOT


def command(*arguments: str) -> list[str]:
    """Return the command line of ``fleetwin`` with these arguments."""
    return [sys.executable, "-m", "simulator.cli", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a child: ours without AWS's variables, with ``changes``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **changes}


def fleetwin_anew(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run ``fleetwin`` to its end, Python and all; ``changes`` are environment variables."""
    return subprocess.run(
        command(*arguments),
        env=environment(**changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fleetwin(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``fleetwin`` to its end in a process that begins where its imports are done.

    Which are two seconds of processor time, of a command that is refused nearly all. The process
    is forked off one that has only imported, so that it has nothing of the tests.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, "simulator.run"])
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        process = forks.Process(
            target=_main, args=(arguments, environment(), *said), name="fleetwin"
        )
        process.start()
        process.join(120)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command(*arguments), 120)
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(
            command(*arguments), code, *(file.read_text("utf-8") for file in said)
        )


def _main(arguments: tuple[str, ...], environ: dict[str, str], out: Path, err: Path) -> None:
    """Be ``fleetwin`` with these arguments, whose output goes to files."""
    for number, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(ROOT)
    sys.argv = ["fleetwin", *arguments]
    try:
        main()
    finally:
        # What multiprocessing does not do at a process's end.
        atexit._run_exitfuncs()


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
