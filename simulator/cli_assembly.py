"""`fleetwin assembly`: what the twin makes of a CDK app, before anything of it is created."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def assembly(
    folder: Annotated[
        Path | None,
        typer.Argument(help="What `cdk synth` wrote (cdk.out).", show_default="our own stack"),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of a template's parameter; repeatable."),
    ] = None,
    properties: Annotated[
        bool, typer.Option("--properties", help="Every property in use, with its verdict.")
    ] = False,
) -> None:
    """Say what the twin makes of a CDK app: a line a resource type.

    runs: the twin's own code acts on it. forwarded: moto has it. refused: the twin does not have
    the type or one of its properties. Below a type stand properties that change nothing here.
    With --properties all of them stand there: enforced (the twin denies or limits by it),
    honoured (what the twin does follows it), recorded only (with the reason), refused.
    Resources that a condition leaves out are named; with the --parameters that the condition asks
    for they are looked at too. Ends with 1 when something is refused.

    Example: fleetwin assembly cdk.out --properties, then: fleetwin up --assembly cdk.out
    """
    from simulator.cli_deploy import named_values
    from simulator.cloud import survey
    from simulator.cloud.resources.declarations import REFUSED
    from simulator.targets import SNAPSHOT, look_at

    place, start = folder or SNAPSHOT, datetime(2026, 1, 5, tzinfo=UTC)
    given = named_values(parameters or [])
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as state:
        rows, absent = look_at(place, start, Path(state), given)
    print(survey.table(rows, properties=properties))
    for condition, names in sorted(absent.items()):
        print(f"not looked at, left out by the condition {condition}: {', '.join(names)}")
    if any(row.verdict == REFUSED for row in rows):
        raise typer.Exit(1)
