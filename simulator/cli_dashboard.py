"""`fleetwin dashboard`: draws a dashboard of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from simulator.aws_endpoint import endpoint_of
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
    quicksight: Annotated[
        bool, typer.Option("--quicksight", help="The QuickSight dashboard: reports on the lake.")
    ] = False,
    assembly: Annotated[
        Path | None, typer.Option(help="With --quicksight: the cdk.out that the run was of.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="With --quicksight: embedded, a twin that is up, on --state.")
    ] = "",
) -> None:
    """Draw what a dashboard of the stack shows of a run that is over.

    CloudWatch's has the pipeline's metrics; with --quicksight, QuickSight's has what the lake says
    of the machines, each data set's SQL run on it as `fleetwin sql` does.

    Example: fleetwin dashboard pipeline --svg dashboard.svg
    """
    if quicksight:
        if svg is not None:
            raise ScenarioError("--svg: a QuickSight dashboard is drawn as a page only")
        _reports(name, state, out, assembly, target)
        return
    if assembly is not None or target:
        raise ScenarioError("--assembly and --target belong to --quicksight")
    from simulator.cloud import dashboards_store
    from simulator.dashboard_html import page_of
    from simulator.dashboard_svg import document

    try:
        kept = dashboards_store.load(state)
    except (FileNotFoundError, NotADirectoryError):
        raise EnvironmentMissing(
            f"no run has left its dashboards in {state}: run `fleetwin run` first, "
            "or give --state FOLDER"
        ) from None
    except ValueError as error:
        raise EnvironmentMissing(
            f"{state}: its dashboards cannot be read ({error}): run `fleetwin run` again, "
            "or give another --state FOLDER"
        ) from None
    found = [each for each in sorted(kept.bodies) if each.endswith(name)]
    if len(found) != 1:
        raise ScenarioError(f"{name or 'no name'}: choose one of {', '.join(sorted(kept.bodies))}")
    write_file(out, page_of(kept, found[0]))
    print(out)
    if svg is not None:
        write_file(svg, document(kept, found[0]))
        print(svg)


def _reports(name: str, state: Path, out: Path, assembly: Path | None, target: str) -> None:
    """Write the page of a QuickSight dashboard."""
    endpoint = endpoint_of(target, os.environ) if target else None
    if target and (assembly is not None or endpoint is None):
        raise ScenarioError(
            "--target: only embedded, and without --assembly; an account's dashboard is looked at "
            "in QuickSight"
        )
    if not (state / "glue" / "catalog.json").exists():
        raise EnvironmentMissing(
            f"there is no catalog in {state}: run `fleetwin run` first, or give --state FOLDER"
        )
    try:
        from simulator.quicksight.page import page_of
        from simulator.quicksight.source import report_at, report_of
        from simulator.targets import SNAPSHOT
    except ModuleNotFoundError as error:
        raise EnvironmentMissing(
            f"{error.name} is missing: install it with pip install 'fleetwin[embedded]'"
        ) from error
    if endpoint:
        report = report_at(state, endpoint, name)
    else:
        report = report_of(state, assembly or SNAPSHOT, name)
    write_file(out, page_of(report))
    print(out)
