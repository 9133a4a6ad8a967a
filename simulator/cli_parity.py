"""`fleetwin parity`: do two targets do the same?"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from simulator.host_errors import write_file

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
    """Join the detections of two runs by machine and window; ends with 1 when they differ.

    Example: fleetwin parity diff out-embedded out-localstack --html diff.html
    """
    from simulator.parity.journey import Tolerance, difference, load
    from simulator.parity.journey_page import page
    from simulator.parity.journey_words import words

    found = difference(load(here), load(there), Tolerance(score, start_s, join_s, latency))
    if json_file is not None:
        write_file(json_file, json.dumps(found.to_json(), indent=2) + "\n")
    if html_file is not None:
        write_file(html_file, page(found))
    print(words(found))
    if not found.same:
        raise typer.Exit(1)


@app.command()
def latency(
    here: Annotated[Path, typer.Argument(help="The --out folder of one run.")],
    there: Annotated[Path, typer.Argument(help="That of another.")],
    tolerance: Annotated[
        float, typer.Option(help="Share of the mean by which a hop may surely differ.")
    ] = 0.1,
) -> None:
    """Compare how long each hop took in two runs; ends with 1 when one surely differs.

    Example: fleetwin parity latency out-embedded out-localstack
    """
    from simulator.parity.latency_diff import latencies
    from simulator.parity.latency_fit import TRACES_FILE, load_traces
    from simulator.parity.latency_words import latency_words

    sides = load_traces(here / TRACES_FILE), load_traces(there / TRACES_FILE)
    found = latencies(*sides, tolerance)
    print(latency_words(found))
    if found.different:
        raise typer.Exit(1)


@app.command()
def fit(
    traces: Annotated[Path, typer.Argument(help="traces.jsonl of a run.")],
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
    from simulator.parity.latency_fit import fit_all, load_traces, save_models

    on = day or datetime.now(UTC).date().isoformat()
    found = fit_all(load_traces(traces), source, origin or traces.name, on)
    save_models(found, models)
    for hop, model in found.items():
        print(f"  {hop:<34} {model.samples:>7} samples  {type(model.draw).__name__.lower()}")
    print(f"wrote {models}; use it: fleetwin run --latency {models}")


REGION = "us-east-1"


@app.command()
def record(
    cassette: Annotated[Path, typer.Argument(help="The file to write.")],
    target: Annotated[
        str, typer.Option(help="embedded, localstack (an endpoint of this machine) or aws.")
    ] = "embedded",
    endpoint: Annotated[
        str | None, typer.Option(help="Of localstack; default: where `make localstack` starts it.")
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="For aws: I know that this makes and deletes things in my account."
        ),
    ] = False,
) -> None:
    """Hold a fixed conversation with a target and keep its answers, latencies and date.

    On aws it makes a bucket, a stream of one shard, a table, a queue, a topic and a log group,
    all named fleetwin-parity-..., sends a few bytes to each and deletes them; some cents at most.
    Besides run with --target aws --yes, no other command sends anything to aws.

    Example: fleetwin parity record cassette.jsonl
    """
    from simulator.parity.conversation import STEPS
    from simulator.parity.recorder import record as hold
    from simulator.targets import partner_of
    from simulator.testing.twin import Twin

    today = datetime.now(UTC).date()
    with partner_of(target, REGION, endpoint, Twin, asked=yes) as partner:
        steps = tuple(each for each in STEPS if each.service not in partner.absent)
        for service in sorted({each.service for each in STEPS} & partner.absent):
            print(f"fleetwin: {endpoint or target} has no {service}: left out", file=sys.stderr)
        found = hold(partner, steps, partner.run, today)
    found.save(cassette)
    refused = sum(each.error is not None for each in found.played)
    print(f"{len(found.played)} steps on {target}, {refused} of them refused; wrote {cassette}")


@app.command()
def replay(
    cassette: Annotated[Path, typer.Argument(help="What `fleetwin parity record` wrote.")],
    today: Annotated[
        str | None, typer.Option(help="The day on which its age is counted; default: today.")
    ] = None,
    expires_days: Annotated[int, typer.Option(help="Older cassettes get a warning.")] = 180,
) -> None:
    """Hold a cassette's conversation with the embedded twin; ends with 1 when answers differ.

    Needs no network. Latencies are not compared: those of the twin are on its own clock.

    Example: fleetwin parity replay cassette.jsonl
    """
    from simulator.parity.cassette import Cassette
    from simulator.parity.recorder import replay as hold_again
    from simulator.targets import partner_of
    from simulator.testing.twin import Twin

    recorded = Cassette.load(cassette)
    day = date.fromisoformat(today) if today else datetime.now(UTC).date()
    if warning := recorded.warning(day, expires_days):
        print(f"fleetwin: {warning}", file=sys.stderr)
    with partner_of("embedded", REGION, None, Twin, asked=False) as partner:
        found = hold_again(recorded, partner, partner.run)
    for mismatch in found:
        print(f"{mismatch.step} ({mismatch.call})")
        for line in mismatch.lines:
            print(f"  {line}")
    compared = sum(not each.step.tidies for each in recorded.played)
    print(
        f"{compared - len(found)} of {compared} steps are answered as on {recorded.target} "
        f"({recorded.recorded})"
    )
    if found:
        raise typer.Exit(1)
