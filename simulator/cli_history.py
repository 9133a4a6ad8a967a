"""`fleetwin history`: histories of fleets as files, on this machine or on Spark."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import ScenarioError
from simulator.host_errors import make_folder
from simulator.scenario import Scenario

if TYPE_CHECKING:
    from simulator.fleet.history import DeviceHistory, HistoryOrder


def history(
    scenario: Annotated[
        str, typer.Argument(help="A built-in scenario (see `fleetwin scenarios`) or a TOML file.")
    ] = "demo",
    out: Annotated[Path, typer.Option(help="Folder for the files; must be empty.")] = Path(
        "history"
    ),
    engine: Annotated[
        str, typer.Option(help="local: processes of this machine; spark: a Spark session.")
    ] = "local",
    workers: Annotated[
        int, typer.Option(help="Processes of the local engine; 0: one for each core.", min=0)
    ] = 0,
    format: Annotated[str, typer.Option(help="Of readings: parquet or json.")] = "parquet",
    bursts: Annotated[
        bool, typer.Option(help="Also write the raw acceleration bursts as binary files.")
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Another random seed.")] = None,
    days: Annotated[
        float | None, typer.Option(help="Length of the live part instead of the scenario's.")
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(help="decisions.jsonl of a run, whose repairs followed the alerts."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier history in the folder.")
    ] = False,
) -> None:
    """Write the whole history of a fleet as files: readings, bursts, truth, work orders.

    A device's rows depend on the seed and its id alone: any number of workers and Spark write
    the same.

    Example: fleetwin history run-to-failure --days 2 --out history --workers 4
    """
    from simulator.fleet.decisions import read_decisions
    from simulator.fleet.history import HistoryOrder, finish, prepare, write_local
    from simulator.fleet.plant import plan_of

    for name, value, known in (
        ("--engine", engine, ("local", "spark")),
        ("--format", format, ("parquet", "json")),
    ):
        if value not in known:
            raise ScenarioError(f"{name} {value}: choose one of {', '.join(known)}")
    chosen = _scenario(scenario, seed, days)
    plan = plan_of(
        chosen,
        round(chosen.start.timestamp() * 1000),
        decisions=read_decisions(decisions) if decisions else (),
    )
    order = HistoryOrder(plan, out, format, bursts)
    make_folder(out)
    prepare(order, replace=force)
    progress = _Progress(len(plan.devices), plan.total_s * plan.fleet.rate_hz)
    if engine == "spark":
        histories = _on_spark(order)
    else:
        histories = write_local(order, workers or os.cpu_count() or 1, progress.done)
    manifest = finish(order, histories, {"scenario": chosen.name})
    progress.end()
    print(f"{sum(h.rows for h in histories):,} readings of {len(histories):,} machines: {manifest}")


def _scenario(name: str, seed: int | None, days: float | None) -> Scenario:
    from dataclasses import replace

    chosen = Scenario.load(name)
    if chosen.replay is not None:
        raise ScenarioError(f"{name}: replays recorded files, which are a history already")
    if seed is not None:
        chosen = chosen.with_seed(seed)
    if days is not None:
        if days * 86_400 < 60:
            raise ScenarioError(f"--days {days:g}: must be at least a minute (0.0007)")
        chosen = replace(chosen, live_s=days * 86_400)
    return chosen


def _on_spark(order: HistoryOrder) -> list[DeviceHistory]:
    """Write with the Spark session that the environment gives, or one of this machine."""
    from simulator.cloud.java import find_java
    from simulator.fleet.history import HistoryError

    if order.bursts or order.format != "parquet":
        raise HistoryError(
            "--engine spark: writes readings as Parquet; add --no-bursts, or take --engine local"
        )
    os.environ.setdefault("JAVA_HOME", str(find_java()))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    from simulator.fleet.history_spark import write_spark

    # A master comes from spark-submit or SPARK_CONF_DIR; without one it is this machine.
    spark = SparkSession.builder.appName("fleetwin history").getOrCreate()
    try:
        spark.sparkContext.setLogLevel("ERROR")
        return write_spark(order, spark)
    finally:
        spark.stop()


class _Progress:
    """Says on standard error how far it is, on one line where that is a terminal."""

    def __init__(self, machines: int, rows_each: float) -> None:
        self._machines = machines
        self._rows_each = rows_each
        self._ready = self._rows = 0
        self._began = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def done(self, made: DeviceHistory) -> None:
        """Count a machine that is written."""
        self._ready += 1
        self._rows += made.rows
        now = time.monotonic()
        if now - self._said > (0.2 if self._terminal else 10.0):
            self._said = now
            self._say("\r" if self._terminal else "", "" if self._terminal else "\n")

    def end(self) -> None:
        """Leave the line."""
        if self._terminal and self._rows:
            self._say("\r", "\n")

    def _say(self, before: str, after: str) -> None:
        rate = self._rows / max(1e-3, time.monotonic() - self._began)
        left_s = (self._machines * self._rows_each - self._rows) / max(1.0, rate)
        words = f"{self._ready:,} of {self._machines:,} machines, {rate:,.0f} readings/s"
        print(f"{before}{words}, {max(0.0, left_s):.0f} s left ", end=after, file=sys.stderr)
        sys.stderr.flush()
