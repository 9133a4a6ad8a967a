"""`fleetwin workflow`: start a workflow, list executions, draw one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.aws_endpoint import endpoint_of
from simulator.errors import SimulatorError
from simulator.host_errors import write_file
from simulator.progress import Progress
from simulator.workflow_runs import STATUSES, WorkflowRun
from simulator.workflow_sources import Endpoint, Folder, Source, checked_input, found

app = typer.Typer(
    no_args_is_help=True,
    help="Start a workflow, list executions, draw one: states, times, retries, errors.",
)

State = Annotated[
    Path, typer.Option(help="The twin's folder: `twin` in the --out of a run, or --state.")
]
Target = Annotated[
    str,
    typer.Option(
        help="Instead of a folder: embedded (a twin that is up, by AWS_ENDPOINT_URL) or aws."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a picture.")]
Width = Annotated[int | None, typer.Option(help="Columns; default: those of the terminal.", min=40)]
Svg = Annotated[Path | None, typer.Option(help="Also write the picture to this file.")]
_OUT = Path("out/twin")


@app.command("list")
def list_runs(
    workflow: Annotated[str, typer.Option(help="Only workflows whose name has this in it.")] = "",
    status: Annotated[str, typer.Option(help="Only these: RUNNING, FAILED, ...")] = "",
    state: State = _OUT,
    target: Target = "",
    as_json: AsJson = False,
) -> None:
    """List executions, the latest last.

    Example: fleetwin workflow list --status FAILED
    """
    from simulator.workflow_text import table_of

    if status.upper() not in ("", *STATUSES):
        raise SimulatorError(f"--status {status}: choose one of {', '.join(STATUSES)}")
    with _source(state, target) as source:
        runs = [
            run
            for run in source.runs()
            if workflow in run.machine and status.upper() in ("", run.status)
        ]
    if as_json:
        print(json.dumps([_plain(run, states=False) for run in runs], indent=2))
    else:
        print(table_of(runs) if runs else "no executions")


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="An execution (or how its name begins), or a workflow: its last.")
    ],
    state: State = _OUT,
    target: Target = "",
    as_json: AsJson = False,
    svg: Svg = None,
    width: Width = None,
) -> None:
    """Draw an execution: its states, when each worked, waited and failed.

    Example: fleetwin workflow show training --svg training.svg
    """
    with _source(state, target) as source:
        run = source.whole(found(name, source.runs()))
    _draw(run, as_json, svg, width)


@app.command()
def run(
    workflow: Annotated[str, typer.Argument(help="A workflow, or how its name ends: training.")],
    data: Annotated[
        str, typer.Option("--input", help="The execution's input: JSON, or @FILE with it.")
    ] = "{}",
    state: State = _OUT,
    target: Target = "",
    as_json: AsJson = False,
    svg: Svg = None,
    width: Width = None,
) -> None:
    """Start a workflow, wait for its end, and draw it. Ends with 1 when it did not succeed.

    On a folder, a twin of it lives as long as the execution, on a clock that does not wait; what
    only a run keeps (streams, endpoints, the state table) is not there.

    Example: fleetwin workflow run features --input '{}'
    """
    text = checked_input(data)
    progress = Progress.to_stderr()
    with _source(state, target) as source:
        progress.stage(workflow)
        try:
            ended = source.start(workflow, text, progress.note)
        finally:
            progress.finish()
    _draw(ended, as_json, svg, width)
    if ended.status != "SUCCEEDED":
        raise typer.Exit(1)


@contextmanager
def _source(state: Path, target: str) -> Iterator[Source]:
    """Return where to look; errors of boto3 become one line."""
    if not target:
        yield Folder(state)
        return
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint = endpoint_of(target, os.environ)
    try:
        yield Endpoint(boto3.Session().client("stepfunctions", endpoint_url=endpoint))
    except (BotoCoreError, ClientError) as error:
        raise SimulatorError(f"Step Functions at {endpoint or 'AWS'}: {error}") from error


def _draw(run: WorkflowRun, as_json: bool, svg: Path | None, width: int | None) -> None:
    from simulator.workflow_svg import svg_of
    from simulator.workflow_text import text_of

    if as_json:
        print(json.dumps(_plain(run), indent=2))
    else:
        columns = width or min(160, shutil.get_terminal_size((100, 24)).columns)
        print(text_of(run, columns))
    if svg is not None:
        write_file(svg, svg_of(run))
        if not as_json:
            print(f"\nwrote {svg}")


def _plain(run: WorkflowRun, *, states: bool = True) -> dict[str, Any]:
    """Return an execution as JSON has it; times are ISO texts."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(run), default=_text))
    if not states:
        del plain["states"], plain["events"]
    return plain


def _text(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
