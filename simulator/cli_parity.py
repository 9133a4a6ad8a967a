"""`fleetwin parity`: do two targets do the same?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Compare what two targets did with the same scenario.")


@app.callback()
def parity() -> None:
    """Compare targets."""


@app.command()
def diff(
    here: Annotated[Path, typer.Argument(help="The --out folder of one run.")],
    there: Annotated[Path, typer.Argument(help="That of another, same scenario and seed.")],
    score: Annotated[float, typer.Option("--score", help="Scores may differ by so much.")] = 1e-6,
    start_s: Annotated[
        float, typer.Option("--start-s", help="Starts and ends may differ by so many seconds.")
    ] = 0.0,
    join_s: Annotated[
        float, typer.Option("--join-s", help="Starts this far apart are one detection, moved.")
    ] = 60.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the comparison as JSON.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with a picture a machine.")
    ] = None,
) -> None:
    """Join the detections of two runs by machine and window; ends with 1 when they differ.

    Example: fleetwin parity diff out-embedded out-localstack --html diff.html
    """
    from simulator.parity.journey import Tolerance, difference, load
    from simulator.parity.journey_page import page
    from simulator.parity.journey_words import words

    found = difference(load(here), load(there), Tolerance(score, start_s, join_s))
    if json_file is not None:
        json_file.write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
    if html_file is not None:
        html_file.write_text(page(found), encoding="utf-8")
    print(words(found))
    if not found.same:
        raise typer.Exit(1)
