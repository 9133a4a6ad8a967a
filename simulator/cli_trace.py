"""`fleetwin trace`: one reading through everything that a finished run left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="DEVICE@TIME, DEVICE#SEQUENCE, or the id of an alert (how it begins is enough).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The --out of a run that is over.")] = Path("out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Follow a reading: its raw object, log lines, feature row, score and alert.

    The reading, and what became of it: which object holds it, which invocations worked on it, how
    the first row that has it was scored, and whether an alert was open then.

    Example: fleetwin trace pump-002#1805 --out out
    """
    from simulator.trace import Run
    from simulator.trace_text import text_of

    found = Run(out).trace(what)
    print(json.dumps(found.to_json(), indent=2) if as_json else text_of(found))
