"""`fleetwin scenario`: make, check and look at scenarios."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import ScenarioError
from simulator.host_errors import write_file
from simulator.scenario import Scenario, source_of

app = typer.Typer(
    no_args_is_help=True,
    help="Make, check and look at scenarios: which machines, faults, networks and repairs.",
)

Name = Annotated[
    str, typer.Argument(help="A built-in scenario (see `fleetwin scenarios`) or a TOML file.")
]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The TOML file to write.")],
    like: Annotated[str, typer.Option(help="The built-in scenario to start from.")] = "demo",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a scenario file to start from, a commented copy of a built-in one.

    Example: fleetwin scenario new mine.toml --like mixed
    """
    if file.suffix != ".toml":
        raise ScenarioError(f"{file}: a scenario is a .toml file; call it {file.stem}.toml")
    if file.exists() and not force:
        raise ScenarioError(f"{file}: is there already; choose another name or add --force")
    text = source_of(like).read_text(encoding="utf-8")
    write_file(file, text)
    print(f"wrote {file}; try: fleetwin scenario show {file}, then fleetwin run {file}")


@app.command()
def check(files: Annotated[list[str], typer.Argument(help="Files or built-in names.")]) -> None:
    """Tell for each scenario whether it can run; exit code 1 when one cannot.

    Example: fleetwin scenario check mine.toml demo
    """
    from simulator.stack_parameters import stack_parameters
    from simulator.targets import SNAPSHOT

    refused = 0
    for name in files:
        try:
            scenario = Scenario.load(name)
            stack_parameters(scenario, SNAPSHOT)
            print(f"{name}: ok, {in_words(scenario)}")
        except ScenarioError as error:
            refused += 1
            words = str(error)
            print(words if words.startswith(name) else f"{name}: {words}", file=sys.stderr)
    if refused:
        raise typer.Exit(1)


@app.command()
def show(
    scenario: Name = "demo",
    svg: Annotated[Path | None, typer.Option(help="Also write the picture to this file.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Columns; default: those of the terminal.", min=40)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed: other drawn faults.")] = None,
) -> None:
    """Draw the timeline: faults, failures and repairs, offline periods, machine by machine.

    Example: fleetwin scenario show mixed --svg mixed.svg
    """
    from simulator.timeline import text_of, timeline_of
    from simulator.timeline_svg import svg_of

    chosen = Scenario.load(scenario)
    if seed is not None:
        chosen = chosen.with_seed(seed)
    timeline = timeline_of(chosen)
    columns = width or min(160, shutil.get_terminal_size((100, 24)).columns)
    print(f"{chosen.name}: {chosen.description}\n{in_words(chosen)}\n")
    print(text_of(timeline, columns))
    if svg is not None:
        write_file(svg, svg_of(timeline, f"{chosen.name}: {chosen.description}"))
        print(f"\nwrote {svg}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a scenario, for editors that complete and check TOML.

    Example: fleetwin scenario schema > scenario.schema.json
    """
    from simulator.scenario_schema import schema as made

    print(json.dumps(made(), indent=2))


def in_words(scenario: Scenario) -> str:
    """Return the size of a scenario in one line."""
    from simulator.fleet.catalogue import KINDS, devices_of

    kinds = list(devices_of(scenario.fleet).values())
    counts = ", ".join(
        f"{kinds.count(kind):,} {KINDS[kind].title}{'s' if kinds.count(kind) > 1 else ''}"
        for kind in dict.fromkeys(kinds)
    ).replace("fan with gearboxs", "fans with gearbox")
    total_s = scenario.history_s + scenario.live_s
    readings = len(kinds) * scenario.fleet.rate_hz * total_s
    return (
        f"{counts}; {scenario.history_s / 3600:.3g} h of history, {scenario.live_s / 3600:.3g} h "
        f"live; about {readings:,.0f} readings; {len(scenario.all_faults)} faults"
    )
