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
    properties: Annotated[
        bool, typer.Option("--properties", help="Every property in use, with its verdict.")
    ] = False,
) -> None:
    """Say what the twin makes of a CDK app: a line a resource type.

    runs: the twin's own code acts on it. forwarded: moto has it. refused: the twin does not have
    the type or one of its properties. Below a type stand properties that change nothing here.
    With --properties all of them stand there: enforced (the twin denies or limits by it),
    honoured (what the twin does follows it), recorded only (with the reason), refused.
    Ends with 1 when something is refused.

    Example: fleetwin assembly cdk.out --properties, then: fleetwin up --assembly cdk.out
    """
    from simulator.cloud import survey
    from simulator.cloud.resources.declarations import REFUSED
    from simulator.targets import SNAPSHOT, look_at

    with tempfile.TemporaryDirectory(prefix="fleetwin-") as state:
        rows = look_at(folder or SNAPSHOT, datetime(2026, 1, 5, tzinfo=UTC), Path(state))
    print(survey.table(rows, properties=properties))
    if any(row.verdict == REFUSED for row in rows):
        raise typer.Exit(1)
