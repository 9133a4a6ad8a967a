"""`fleetwin run --assembly FOLDER` where the folder is an app that is not ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.errors import ScenarioError

PANEL = "An app of your own (with --assembly)"

For = Annotated[
    str | None,
    typer.Option(
        "--for",
        rich_help_panel=PANEL,
        metavar="TIME",
        help="How long it runs on the twin's clock: 90s, 15m, 2h, 1d; default 1h.",
    ),
]
Messages = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=PANEL,
        help="JSON lines with at_s, topic and payload: what is published to IoT meanwhile.",
    ),
]


def ran_as_app(
    assembly: Path | None,
    out: Path,
    time: str | None,
    messages: Path | None,
    *,
    of_scenarios: dict[str, Any],
    **more: Any,
) -> bool:
    """Run an assembly that is not ours and print its report; return False where it is ours.

    ``of_scenarios`` are options that only scenarios have: one that was given is refused. Raises
    ScenarioError for it, and for an app's options with a stack of ours.
    """
    from simulator.app_report import text_of
    from simulator.app_run import FOR_S, AppOptions, is_ours, run_app, seconds_of

    if assembly is None or is_ours(assembly):
        if given := [name for name, value in (("--for", time), ("--messages", messages)) if value]:
            raise ScenarioError(
                f"{' and '.join(given)}: for an app that is not ours, with --assembly; a scenario "
                "says itself how long it runs and what is published"
            )
        return False
    if given := sorted(name for name, value in of_scenarios.items() if value):
        raise ScenarioError(
            f"{assembly}: no stage of our stack, which is what scenarios run on, and "
            f"{', '.join(given)} is for a scenario; without it the app runs for the time of --for, "
            f"and `fleetwin up --assembly {assembly}` keeps it up"
        )
    for_s = FOR_S if time is None else seconds_of(time)
    print(f"fleetwin: {assembly}, {for_s:,.0f} s of the clock", file=sys.stderr)
    print(text_of(run_app(AppOptions(assembly, out, for_s, messages, **more))))
    print(f"\n{out / 'app-report.json'}   the same in numbers")
    return True
