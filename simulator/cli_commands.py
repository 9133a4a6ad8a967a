"""The commands of `fleetwin`: run a scenario, keep a twin up, list the scenarios; and all others.

`cli` calls `run_command_line`. Errors are one line with cause and cure on standard error; Ctrl-C
and SIGTERM end every process that was started.
"""

from __future__ import annotations

import math
import platform
import shlex
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from simulator import (
    cli_app_run,
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
from simulator.cli import INTERRUPTED
from simulator.cli_help import CHANGE, DATA, FIRST_STEPS, LOOK, PLAN, RUN, lay_out
from simulator.errors import AssetsError, SimulatorError
from simulator.host_errors import make_folder, words_for
from simulator.progress import Progress
from simulator.report_text import summary
from simulator.scenario import ReplaySettings, Scenario, list_scenarios

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A local twin of a predictive-maintenance pipeline on AWS. Machines are simulated or "
    "replayed; the pipeline's own code really runs: IoT rules, Kinesis, Lambda, Spark, training, "
    "endpoint, alarms. No account, no Docker.",
    epilog=FIRST_STEPS,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_IN_A_TWIN = "How the twin runs"
_ELSEWHERE = "Another target"

Seed = Annotated[int | None, typer.Option(help="Random seed; the same seed gives the same report.")]
Speed = Annotated[
    str, typer.Option(help="Virtual seconds per real second: max, 1 (real time), 60, ...")
]
Port = Annotated[
    int,
    typer.Option(
        rich_help_panel=_IN_A_TWIN,
        min=0,
        max=65_535,
        help="Port of the AWS endpoint on 127.0.0.1; 0 takes a free one.",
    ),
]

Isolation = Annotated[
    str,
    typer.Option(
        rich_help_panel=_IN_A_TWIN,
        help="How training, processing and model containers run: plain, or bubblewrap (Linux) "
        "with the true /opt/ml and no other file to write.",
    ),
]

Target = Annotated[
    str,
    typer.Option(
        rich_help_panel=_ELSEWHERE,
        help="embedded; localstack: what its endpoint executes is executed there; or, for a run, "
        "aws: the deployed stack in your account, with --yes.",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_ELSEWHERE,
        help="LocalStack's URL; default http://127.0.0.1:4566. Never AWS's.",
    ),
]

Assets = Annotated[
    str,
    typer.Option(
        rich_help_panel=_IN_A_TWIN,
        metavar="source|built[=FOLDER]",
        help="What functions, jobs, training and endpoint run: the checkout's source, or exactly "
        "the archives that `python -m infra_cdk.build [--wheels]` wrote (to build/assets), with "
        "nothing of the checkout on their path.",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"fleetwin {version('fleetwin')}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    pass


def run_command_line() -> NoReturn:
    """Run the command that was asked for; turn our errors into one line and an exit code."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
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
        if (trouble := words_for(error)) is None:
            raise
        print(f"fleetwin: {trouble}", file=sys.stderr)
        sys.exit(1)


def _terminate(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _speed(text: str) -> float | None:
    """Return a pace that real time keeps, None for as quick as it goes."""
    speed = cli_publish.speed_of(text)
    return None if math.isinf(speed) else speed


def _scenario(name: str, replay: Path | None, seed: int | None) -> Scenario:
    if replay is not None:
        scenario = Scenario(
            name=f"replay of {replay.name}",
            replay=ReplaySettings(folder=str(replay)),
        )
    else:
        scenario = Scenario.load(name)
    return scenario if seed is None else scenario.with_seed(seed)


@app.command(rich_help_panel=RUN)
def run(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="A built-in scenario (see `fleetwin scenarios`) or a TOML file.",
            show_default="demo",
        ),
    ] = None,
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
        str,
        typer.Option(
            rich_help_panel=_IN_A_TWIN,
            help="What hops take on the clock: none, aws, or a file of models.",
        ),
    ] = "none",
    cold: Annotated[
        bool,
        typer.Option(
            "--cold",
            rich_help_panel=_IN_A_TWIN,
            help="A Spark process for each job run, as on Glue; slower.",
        ),
    ] = False,
    assets: Assets = "source",
    assembly: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_IN_A_TWIN,
            help="Another stage of our stack, as `python -m infra_cdk.synth` writes it; or what "
            "`cdk synth` wrote for an app of your own, which then runs without a scenario.",
        ),
    ] = None,
    time: cli_app_run.For = None,
    messages: cli_app_run.Messages = None,
    isolation: Isolation = "plain",
    target: Target = "embedded",
    endpoint: Endpoint = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            rich_help_panel=_ELSEWHERE,
            help="For aws: I know that this costs money in my account.",
        ),
    ] = False,
) -> None:
    """Run a fleet through the whole pipeline and report what was found.

    Example: fleetwin run demo --seed 7 --out out
    Your own: fleetwin scenario new mine.toml, then: fleetwin run mine.toml
    What would be deployed: python -m infra_cdk.build, then: fleetwin run tiny --assets built
    An app of your own, for two hours of its clock: fleetwin run --assembly cdk.out --for 2h
    """
    from simulator.run import Options
    from simulator.run import run as run_scenario

    for_scenarios = {"SCENARIO": scenario, "--replay": replay, "--zero-severity": zero_severity}
    for_scenarios |= {"--assets": assets != SOURCE, "--latency": latency != "none"}
    how = {"speed": _speed(speed), "port": port, "cold": cold, "isolation": isolation}
    how |= {"seed": seed or 0, "target": target, "endpoint": endpoint}
    if cli_app_run.ran_as_app(assembly, out, time, messages, of_scenarios=for_scenarios, **how):
        return
    chosen = _scenario(scenario or "demo", replay, seed)
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


@app.command(rich_help_panel=RUN)
def up(
    speed: Speed = "1",
    port: Port = 0,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the ids; default: from the clock, so that no id comes twice."),
    ] = None,
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

    Prints the variables to export in another shell; what a client then does is done as in an
    account: aws s3 ls, or boto3.client("s3").list_buckets(). `fleetwin deploy` changes its stack
    meanwhile.

    Example: fleetwin up --port 4510
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
    if state is not None:
        make_folder(state, "--state")
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as folder:
        twin = Embedded(
            now,
            state or Path(folder),
            speed=pace or 1.0,
            # What an earlier twin has left in the folder must not be taken for this one's.
            seed=round(now.timestamp() * 1e6) if seed is None else seed,
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


def prepare() -> None:
    """Make what lets Spark start quickly: once for an environment.

    Runs without it too, slower each. Make's targets do it by themselves.

    Example: fleetwin prepare
    """
    from simulator.cloud.java_archive import make_archive

    print(f"fleetwin: Spark's classes are in {make_archive()}")


@app.command(rich_help_panel=RUN)
def scenarios() -> None:
    """List the built-in scenarios, each with what it is.

    Example: fleetwin scenarios
    """
    for name, description in list_scenarios().items():
        print(f"{name:<16} {description}")


# Help lists a heading's commands in this order, groups after single commands.
app.add_typer(cli_scenario.app, name="scenario", rich_help_panel=RUN)
app.command(rich_help_panel=LOOK)(cli_trace.trace)
app.command(rich_help_panel=LOOK)(cli_sql.sql)
app.command(rich_help_panel=LOOK)(cli_dashboard.dashboard)
app.add_typer(cli_workflow.app, name="workflow", rich_help_panel=LOOK)
app.add_typer(cli_iam.app, name="iam", rich_help_panel=LOOK)
app.add_typer(cli_parity.app, name="parity", rich_help_panel=LOOK)
app.command(rich_help_panel=CHANGE)(cli_deploy.deploy)
app.command(rich_help_panel=CHANGE)(cli_deploy.destroy)
app.command(rich_help_panel=CHANGE)(cli_deploy.drift)
app.command(rich_help_panel=CHANGE)(cli_dead_letters.replay_dead_letters)
app.command("import", rich_help_panel=DATA)(cli_import.import_history)
app.command(rich_help_panel=DATA)(cli_history.history)
app.command(rich_help_panel=DATA)(cli_publish.publish)
app.command(rich_help_panel=PLAN)(cli_plan.plan)
app.command(rich_help_panel=PLAN)(cli_assembly.assembly)
app.command(rich_help_panel=PLAN)(prepare)
lay_out(app)
