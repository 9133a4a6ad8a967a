"""`fleetwin parity`: do two targets do the same?"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli_cassettes import record, replay
from simulator.host_errors import write_file

app = typer.Typer(no_args_is_help=True, help="Compare what two targets did with the same scenario.")


MoreHere = Annotated[
    list[Path] | None, typer.Option("--here", help="A further run of the first side; repeatable.")
]
MoreThere = Annotated[
    list[Path] | None, typer.Option("--there", help="A further run of the second side; repeatable.")
]


@app.callback()
def parity() -> None:
    """Compare targets."""


@app.command()
def diff(
    here: Annotated[Path, typer.Argument(help="The --out folder of one run, or a cassette.")],
    there: Annotated[Path, typer.Argument(help="That of another, same scenario and seed.")],
    more_here: MoreHere = None,
    more_there: MoreThere = None,
    score: Annotated[float, typer.Option("--score", help="Scores may differ by so much.")] = 1e-6,
    start_s: Annotated[
        float, typer.Option("--start-s", help="Starts and ends may differ by so many seconds.")
    ] = 0.0,
    join_s: Annotated[
        float, typer.Option("--join-s", help="Starts this far apart are one detection, moved.")
    ] = 60.0,
    latency: Annotated[
        float | None,
        typer.Option(
            help="Hops may surely differ by this share of their mean; without it they are "
            "compared and do not count."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the comparison as JSON.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with a picture a machine.")
    ] = None,
) -> None:
    """Join the detections of two runs by machine and window, and compare how long hops took.

    Ends with 1 when the two differ. Of two cassettes the answers are compared too. Of several runs
    a side, in folders or on cassettes, detections are compared seed by seed, and latencies of all
    together: how much runs differ is in their intervals then.

    Example: fleetwin parity diff out-embedded out-localstack --html diff.html
    """
    from simulator.errors import ParityError
    from simulator.parity.calls_page import calls_page, calls_section
    from simulator.parity.journey import Tolerance
    from simulator.parity.journey_page import page
    from simulator.parity.journey_words import verdict, words
    from simulator.parity.sides import (
        calls_difference,
        calls_words,
        no_scenario,
        run_differences,
        side,
    )

    ours, theirs = (here, *(more_here or ())), (there, *(more_there or ()))
    _tell_expired(*ours, *theirs)
    sides = side(*ours), side(*theirs)
    calls = calls_difference(*sides, latency)
    found = run_differences(*sides, Tolerance(score, start_s, join_s, latency))
    if calls is None and not found:
        raise ParityError(no_scenario(*sides))
    runs, others = (found[0], found[1:]) if found else (None, [])
    same = all(each.same for each in (calls, *found) if each is not None)
    if json_file is not None:
        values = {} if runs is None else runs.to_json()
        values |= {"further_runs": [each.to_json() for each in others]} if others else {}
        values |= {} if calls is None else {"calls": calls.to_json()}
        write_file(json_file, json.dumps({**values, "same": same}, indent=2) + "\n")
    if html_file is not None and runs is not None:
        write_file(html_file, page(runs, "" if calls is None else calls_section(calls)))
    elif html_file is not None and calls is not None:
        write_file(html_file, calls_page(calls))
    if calls is not None:
        print(calls_words(calls), end="\n\n")
    print(words(runs) if runs is not None else no_scenario(*sides))
    for each in others:
        print(f"seed {each.here.seed}: {verdict(each)}")
    if not same:
        raise typer.Exit(1)


@app.command()
def latency(
    here: Annotated[Path, typer.Argument(help="The --out folder of one run, or a cassette.")],
    there: Annotated[Path, typer.Argument(help="That of another.")],
    more_here: MoreHere = None,
    more_there: MoreThere = None,
    tolerance: Annotated[
        float, typer.Option(help="Share of the mean by which a hop may surely differ.")
    ] = 0.1,
) -> None:
    """Compare how long each hop took in two runs; ends with 1 when one surely differs.

    Example: fleetwin parity latency out-embedded out-localstack
    """
    from simulator.parity.latency_diff import latencies
    from simulator.parity.latency_words import latency_words, of_runs
    from simulator.parity.sides import traces_of

    ours, theirs = (here, *(more_here or ())), (there, *(more_there or ()))
    _tell_expired(*ours, *theirs)
    found = latencies(traces_of(*ours), traces_of(*theirs), tolerance)
    print(latency_words(found))
    print(of_runs(found))
    if found.different:
        raise typer.Exit(1)


@app.command()
def fit(
    traces: Annotated[Path, typer.Argument(help="traces.jsonl of a run, or a cassette.")],
    models: Annotated[Path, typer.Argument(help="The file of models to write.")],
    source: Annotated[
        str, typer.Option(help="Where the traces are from: recorded, documented or assumed.")
    ] = "assumed",
    origin: Annotated[str, typer.Option(help="Whose they are, in words.")] = "",
    day: Annotated[
        str | None, typer.Option("--date", help="Of the traces; default: today.")
    ] = None,
) -> None:
    """Fit a model for each hop of a run's traces, for `fleetwin run --latency FILE`.

    Example: fleetwin parity fit out/traces.jsonl aws.json, then: fleetwin run --latency aws.json
    """
    from simulator.parity.latency_fit import fit_all, save_models, together
    from simulator.parity.sides import traces_of

    _tell_expired(traces)
    on = day or datetime.now(UTC).date().isoformat()
    found = fit_all(together(traces_of(traces)), source, origin or traces.name, on)
    save_models(found, models)
    for hop, model in found.items():
        print(f"  {hop:<34} {model.samples:>7} samples  {type(model.draw).__name__.lower()}")
    print(f"wrote {models}; use it: fleetwin run --latency {models}")


def _tell_expired(*paths: Path) -> None:
    """Warn of cassettes that are too old, as `replay` does; they are used all the same."""
    from simulator.parity.sides import expired

    for warning in expired(paths):
        print(f"fleetwin: {warning}", file=sys.stderr)


app.command()(record)
app.command()(replay)
