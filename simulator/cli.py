"""`fleetwin`: run a scenario, keep a twin up, list the scenarios.

Errors are one line with cause and cure on standard error; Ctrl-C and SIGTERM end every process
that was started.
"""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from simulator import (
    cli_assembly,
    cli_dashboard,
    cli_dead_letters,
    cli_deploy,
    cli_history,
    cli_iam,
    cli_import,
    cli_parity,
    cli_plan,
    cli_publish,
    cli_scenario,
    cli_sql,
    cli_trace,
    cli_workflow,
)
from simulator.built_assets import SOURCE, built_assets
from simulator.errors import AssetsError, ScenarioError, SimulatorError
from simulator.progress import Progress
from simulator.report import RunReport
from simulator.scenario import ReplaySettings, Scenario, list_scenarios

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A local twin of a predictive-maintenance pipeline on AWS. Machines are simulated or "
    "replayed; the pipeline's own code really runs: IoT rules, Kinesis, Lambda, Spark, training, "
    "endpoint, alarms. No account, no Docker.",
)

app.add_typer(cli_scenario.app, name="scenario")
app.add_typer(cli_iam.app, name="iam")
app.add_typer(cli_parity.app, name="parity")
app.add_typer(cli_workflow.app, name="workflow")
app.command()(cli_history.history)
app.command()(cli_plan.plan)
app.command()(cli_publish.publish)
app.command()(cli_dead_letters.replay_dead_letters)
app.command()(cli_sql.sql)
app.command()(cli_trace.trace)
app.command()(cli_dashboard.dashboard)
app.command()(cli_assembly.assembly)
app.command()(cli_deploy.deploy)
app.command()(cli_deploy.destroy)
app.command("import")(cli_import.import_history)

Seed = Annotated[int | None, typer.Option(help="Random seed; the same seed gives the same report.")]
Speed = Annotated[
    str, typer.Option(help="Virtual seconds per real second: max, 1 (real time), 60, ...")
]
Port = Annotated[
    int, typer.Option(help="Port of the AWS endpoint on 127.0.0.1; 0 takes a free one.")
]

Isolation = Annotated[
    str,
    typer.Option(
        help="How training, processing and model containers run: plain, or bubblewrap (Linux) "
        "with the true /opt/ml and no other file to write."
    ),
]

Target = Annotated[
    str,
    typer.Option(
        help="embedded; localstack: what its endpoint executes is executed there; or, for a run, "
        "aws: the deployed stack in your account, with --yes."
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(help="LocalStack's URL; default http://127.0.0.1:4566. Never AWS's."),
]

Assets = Annotated[
    str,
    typer.Option(
        metavar="source|built[=FOLDER]",
        help="What functions, jobs, training and endpoint run: the checkout's source, or exactly "
        "the archives that `python -m infra_cdk.build [--wheels]` wrote (to build/assets), with "
        "nothing of the checkout on their path.",
    ),
]

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT."""


def main() -> None:
    """Run the command line; turn our errors into one line and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        # Typer answers an interrupt with this code instead of the exception.
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)
    except (typer.Abort, KeyboardInterrupt):
        print("\nfleetwin: stopped; every process that was started has ended", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SimulatorError as error:
        print(f"fleetwin: {error}", file=sys.stderr)
        sys.exit(1)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            show = getattr(error, "show", None)
            if show is not None:
                show()
                sys.exit(getattr(error, "exit_code", 2))
        raise


def _terminate(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if speed <= 0:
        raise ScenarioError(f"--speed {text}: must be max or a number above 0, such as 1 or 60")
    return speed


def _scenario(name: str, replay: Path | None, seed: int | None) -> Scenario:
    if replay is not None:
        scenario = Scenario(
            name=f"replay of {replay.name}",
            replay=ReplaySettings(folder=str(replay)),
        )
    else:
        scenario = Scenario.load(name)
    return scenario if seed is None else scenario.with_seed(seed)


@app.command()
def run(
    scenario: Annotated[
        str, typer.Argument(help="A built-in scenario (see `fleetwin scenarios`) or a TOML file.")
    ] = "demo",
    replay: Annotated[
        Path | None,
        typer.Option(help="A folder of recorded runs (CSV) to replay as machines instead."),
    ] = None,
    seed: Seed = None,
    speed: Speed = "max",
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path(
        "out"
    ),
    port: Port = 0,
    zero_severity: Annotated[
        bool, typer.Option("--zero-severity", help="Inject the faults without any effect.")
    ] = False,
    latency: Annotated[
        str, typer.Option(help="What hops take on the clock: none, aws, or a file of models.")
    ] = "none",
    cold: Annotated[
        bool, typer.Option("--cold", help="A Spark process for each job run, as on Glue; slower.")
    ] = False,
    assets: Assets = "source",
    assembly: Annotated[
        Path | None,
        typer.Option(help="Another stage of our stack, as `python -m infra_cdk.synth` writes it."),
    ] = None,
    isolation: Isolation = "plain",
    target: Target = "embedded",
    endpoint: Endpoint = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="For aws: I know that this costs money in my account.")
    ] = False,
) -> None:
    """Run a fleet through the whole pipeline and report what was found.

    Example: fleetwin run demo --seed 7 --out out

    What would be deployed, on the twin: python -m infra_cdk.build; fleetwin run tiny --assets built
    """
    from simulator.run import Options
    from simulator.run import run as run_scenario

    chosen = _scenario(scenario, replay, seed)
    if zero_severity:
        chosen = chosen.with_zero_severity()
    options = Options(
        chosen,
        out,
        speed=_speed(speed),
        port=port,
        progress=Progress.to_stderr(),
        cold=cold,
        assembly=assembly,
        latency=latency,
        isolation=isolation,
        assets=built_assets(assets),
        target=target,
        endpoint=endpoint,
        asked_for_aws=yes,
    )
    print(f"fleetwin: {chosen.name}, seed {chosen.seed}", file=sys.stderr)
    report = run_scenario(options)
    print(summary(report, out))


@app.command()
def up(
    speed: Speed = "1",
    port: Port = 0,
    seed: Seed = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for the twin's state; default: a temporary one.")
    ] = None,
    assembly: Annotated[
        Path | None,
        typer.Option(help="What `cdk synth` wrote for an app of your own, instead of our stack."),
    ] = None,
    assets: Assets = "source",
    scenario: Annotated[
        str | None,
        typer.Option(help="Boot the stack as this scenario needs it; publishes nothing."),
    ] = None,
    isolation: Isolation = "plain",
    target: Target = "embedded",
    endpoint: Endpoint = None,
) -> None:
    """Keep the twin running, so that boto3 or the AWS CLI can talk to it; Ctrl-C ends it.

    Prints the variables to export. `fleetwin deploy` changes its stack meanwhile.
    """
    from datetime import UTC, datetime

    from simulator.cloud.deployments import Deployments
    from simulator.run import parameters_of
    from simulator.targets import SNAPSHOT, Embedded, remote_of

    if assembly is not None and assets != SOURCE:
        raise AssetsError(
            f"--assets {assets}: is for our own stack; the assets of {assembly} lie in it already"
        )
    place = assembly or SNAPSHOT
    wanted = parameters_of(Scenario.load(scenario), None, place) if scenario else {}
    pace, remote = _speed(speed), remote_of(target, endpoint)
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as folder:
        twin = Embedded(
            datetime.now(UTC),
            state or Path(folder),
            speed=pace or 1.0,
            seed=seed or 0,
            port=port,
            assembly=place,
            isolation=isolation,
            remote=remote,
            assets=built_assets(assets),
        )
        try:
            resources = twin.boot(wanted)
            print(f"# fleetwin is up with {resources} resources; Ctrl-C ends it")
            for name, value in twin.environment().items():
                print(f"export {name}={shlex.quote(value)}")
            sys.stdout.flush()
            Deployments(twin.cloud).serve()
        finally:
            twin.close()


@app.command()
def prepare() -> None:
    """Make what lets Spark start quickly: once for an environment, about half a minute.

    Runs without it too, some seconds slower each. Make's targets do it by themselves.
    """
    from simulator.cloud.java_archive import make_archive

    print(f"fleetwin: Spark's classes are in {make_archive()}")


@app.command()
def scenarios() -> None:
    """List the built-in scenarios."""
    for name, description in list_scenarios().items():
        print(f"{name:<16} {description}")


def summary(report: RunReport, out: Path) -> str:
    """Return the end of a run in words: what happened, what was found, where to look."""
    values = report.to_json()
    readings, delay = values["readings"], values["detection_delay_s"]
    lines = [
        "",
        f"{report.scenario}: seed {report.seed}, {report.virtual_s / 3600:.1f} h of machine time "
        f"in {report.wall_s:.0f} s",
        "",
        f"  readings      {readings['published']:,} published = {readings['lost_in_network']:,} "
        f"lost + {readings['discarded_by_broker']:,} discarded + "
        f"{readings['delivered']:,} delivered",
        f"                {readings['delivered']:,} delivered = {readings['stored']:,} stored + "
        f"{readings['late']:,} late + {readings['dead_lettered']:,} dead-lettered",
        f"  faults        {values['faults']['found']} of {values['faults']['total']} found"
        + (
            f", median delay {delay['median']:.0f} s, p90 {delay['p90']:.0f} s"
            if delay["median"] is not None
            else ""
        ),
        f"  false alarms  {values['false_alarms']['episodes']} in {values['machine_days']:.2f} "
        "healthy machine-days",
        f"  no model      {values['no_model']['found']} of {values['faults']['total']} found, "
        f"{values['no_model']['false_alarm_episodes']} false alarms (the same rule on x_hat = 0)",
        f"  alerts        {values['alerts']} by SNS, one an episode",
        *_maintenance(values),
        "",
    ]
    for item in values["truth"]:
        verdict = f"found after {item['delay_s']:.0f} s" if item["found"] else "NOT FOUND"
        lines.append(
            f"  {item['device_id']:<18} {item['kind'].replace('_', ' '):<20} "
            f"severity {item['severity']:.2f}  {verdict}"
        )
    lines += [
        "",
        f"  {out / 'report.html'}   a picture of every machine",
        f"  {out / 'report.json'}   the same in numbers",
    ]
    return "\n".join(lines)


def _maintenance(values: dict[str, Any]) -> list[str]:
    """Return what was repaired, if anything was: orders, standstill, cost, warning times."""
    orders = values["maintenance"]
    if not orders:
        return []
    counts = Counter(order["type"] for order in orders)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    hours = sum(order["downtime_s"] for order in orders) / 3600
    cost = sum(order["total_cost"] for order in orders)
    lines = [
        f"  maintenance   {len(orders)} orders ({kinds}), {hours:.1f} h of standstill, cost "
        f"{cost:,.0f}"
    ]
    lead = values["lead_time_s"]
    if lead["median"] is not None:
        lines.append(
            f"  lead time     median {lead['median'] / 60:.0f} min from detection to the failure "
            f"that would come, shortest {lead['shortest'] / 60:.0f} min"
        )
    return lines


if __name__ == "__main__":
    main()
