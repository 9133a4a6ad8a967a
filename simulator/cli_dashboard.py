"""`fleetwin dashboard`: draws a dashboard of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import EnvironmentMissing, ScenarioError
from simulator.host_errors import write_file


def dashboard(
    name: Annotated[
        str, typer.Argument(help="A dashboard, or how its name ends; default: the only one.")
    ] = "",
    state: Annotated[
        Path, typer.Option(help="The twin's folder: `twin` in the --out of a run, or --state.")
    ] = Path("out/twin"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("dashboard.html"),
    svg: Annotated[Path | None, typer.Option(help="Also write one picture to this file.")] = None,
) -> None:
    """Draw what a CloudWatch dashboard of the stack showed in a run that is over.

    Example: fleetwin dashboard pipeline --svg dashboard.svg
    """
    from simulator.cloud import dashboards_store
    from simulator.dashboard_html import page_of
    from simulator.dashboard_svg import document

    try:
        kept = dashboards_store.load(state)
    except FileNotFoundError:
        raise EnvironmentMissing(
            f"no run has left its dashboards in {state}: run `fleetwin run` first, "
            "or give --state FOLDER"
        ) from None
    found = [each for each in sorted(kept.bodies) if each.endswith(name)]
    if len(found) != 1:
        raise ScenarioError(f"{name or 'no name'}: choose one of {', '.join(sorted(kept.bodies))}")
    write_file(out, page_of(kept, found[0]))
    print(out)
    if svg is not None:
        write_file(svg, document(kept, found[0]))
        print(svg)
