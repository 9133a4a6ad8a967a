"""`fleetwin parity record` and `replay`: what a target answered and did, kept and held against."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulator.parity.recorded_run import RecordedRun

REGION = "us-east-1"


def record(
    cassette: Annotated[Path, typer.Argument(help="The file to write.")],
    target: Annotated[
        str, typer.Option(help="embedded, localstack (an endpoint of this machine) or aws.")
    ] = "embedded",
    endpoint: Annotated[
        str | None, typer.Option(help="Of localstack; default: where `make localstack` starts it.")
    ] = None,
    times: Annotated[
        int, typer.Option(min=1, help="Hold the conversation so often, for more latencies.")
    ] = 5,
    scenario: Annotated[
        str | None, typer.Option(help="Also run this scenario there, and keep what it led to.")
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Run it so often, each time with the next seed.")
    ] = 1,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Instead: keep a finished run, the --out folder of one; repeatable."),
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
    all named fleetwin-parity-..., sends a few bytes to each and deletes them, once for each of
    --times; some cents at most. Besides run with --target aws --yes, no other command sends
    anything to aws. With a scenario, its detections, scores and the traces of its hops are kept.

    Example: fleetwin parity record cassette.jsonl --scenario tiny
    """
    from dataclasses import replace

    from simulator.errors import ParityError
    from simulator.parity.conversation import STEPS
    from simulator.parity.recorder import record as hold
    from simulator.targets import partner_of
    from simulator.testing.twin import Twin

    if scenario is not None and run:
        raise ParityError("--scenario runs one and --run keeps a finished one: take either")
    # A folder that is none must be told before minutes of calls.
    kept = [_finished(each, target) for each in run or ()]
    today = datetime.now(UTC).date()
    with partner_of(target, REGION, endpoint, Twin, asked=yes) as partner:
        steps = tuple(each for each in STEPS if each.service not in partner.absent)
        for service in sorted({each.service for each in STEPS} & partner.absent):
            print(f"fleetwin: {endpoint or target} has no {service}: left out", file=sys.stderr)
        found = hold(partner, steps, partner.run, today, times)
    if scenario is not None:
        kept = [_ran(scenario, number, target, endpoint, yes) for number in range(runs)]
    replace(found, runs=tuple(kept)).save(cassette)
    refused = sum(each.error is not None for each in found.played)
    for each in found.played:
        if not each.steady:
            print(f"fleetwin: not always answered the same: {each.step.name}", file=sys.stderr)
    for each_run in kept:
        print(f"kept {each_run.words}")
    print(f"{len(found.played)} steps on {target}, {refused} of them refused; wrote {cassette}")


def replay(
    cassette: Annotated[Path, typer.Argument(help="What `fleetwin parity record` wrote.")],
    today: Annotated[
        str | None, typer.Option(help="The day on which its age is counted; default: today.")
    ] = None,
    expires_days: Annotated[int, typer.Option(help="Older cassettes get a warning.")] = 180,
) -> None:
    """Hold a cassette's conversation with the embedded twin; ends with 1 when answers differ.

    Needs no network. Latencies are not compared: those of the twin are on its own clock. The run
    of a scenario is compared by `fleetwin parity diff OUT CASSETTE`, with a run on any target.

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
    took = recorded.latencies()
    print(
        f"kept and not compared: how long {len(took)} operations took "
        f"({sum(map(len, took.values()))} calls)"
    )
    for run in recorded.runs:
        print(f"kept and not compared: {run.words}")
        print(
            f"  compare it: fleetwin run {run.report['scenario']} --seed "
            f"{run.report['seed']} --out out, then: fleetwin parity diff out {cassette}"
        )
    compared = sum(not each.step.tidies for each in recorded.played)
    print(
        f"{compared - len(found)} of {compared} steps are answered as on {recorded.target} "
        f"({recorded.recorded})"
    )
    if found:
        raise typer.Exit(1)


def _ran(scenario: str, number: int, target: str, endpoint: str | None, asked: bool) -> RecordedRun:
    """Run a scenario on a target, its seed higher by ``number``; return what a cassette keeps."""
    from dataclasses import replace

    from simulator.parity.recorded_run import RecordedRun
    from simulator.progress import Progress
    from simulator.run import Options
    from simulator.run import run as run_scenario
    from simulator.scenario import Scenario

    wanted = Scenario.load(scenario)
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as out:
        run_scenario(
            Options(
                replace(wanted, seed=wanted.seed + number),
                Path(out),
                progress=Progress.to_stderr(),
                target=target,
                endpoint=endpoint,
                asked_for_aws=asked,
            )
        )
        return RecordedRun.of_folder(Path(out))


def _finished(out: Path, target: str) -> RecordedRun:
    """Return a finished run on the same target; raises ParityError for one elsewhere."""
    from simulator.errors import ParityError
    from simulator.parity.recorded_run import RecordedRun

    found = RecordedRun.of_folder(out)
    if found.report["target"] != target:
        raise ParityError(f"{out} was run on {found.report['target']}: --target is {target}")
    return found
