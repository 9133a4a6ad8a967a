"""Composition root: clock, target, machines -> RunReport.

The phases of a run: boot from the template, let the machines make a history, have the workflow
train on it and put the model in service, go on live, then join what the pipeline found with
what really happened.
"""

from __future__ import annotations

import gc
import json
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from simulator import evidence, report_html
from simulator.batch_path import BATCH_FOLDER, BatchPath
from simulator.cloud.isolation import PLAIN
from simulator.errors import SimulatorError
from simulator.fleet import decisions
from simulator.fleet.fleet import Fleet
from simulator.fleet.ground_truth import GroundTruth
from simulator.fleet.recording import Recording
from simulator.fleet.replay import Replay
from simulator.host_errors import make_folder
from simulator.parity.journey import SCORES_FILE
from simulator.parity.latency_fit import TRACES_FILE, chosen_models
from simulator.progress import Progress
from simulator.report import Fault, RunReport, Stage, Standstill
from simulator.scenario import Scenario
from simulator.stack_parameters import refuse_foreign, stack_parameters
from simulator.target import Packed, Target
from simulator.targets import (
    SNAPSHOT,
    Embedded,
    deployed,
    is_deployed,
    remote_of,
    template_default,
)
from simulator.workflow_text import named

HOUR_S = 3600

DELIVERY_S = 20.0
"""After a batching window, until what was in it is stored."""


class WorkflowFailed(SimulatorError):
    """The training workflow did not end well; the message has its error and cause."""


@dataclass
class Options:
    """How to run a scenario. ``speed`` is virtual seconds per real one, ``None`` the fastest."""

    scenario: Scenario
    out: Path
    speed: float | None = None
    port: int = 0
    progress: Progress = field(default_factory=Progress)
    parameters: dict[str, str] = field(default_factory=dict)
    assembly: Path | None = None
    latency: str = "none"
    """What hops take on the clock: none, aws, or a file of models."""
    cold: bool = False
    """A Spark process for each job run instead of one for all."""
    assets: Packed | None = None
    """Built archives that are run instead of the sources."""
    isolation: str = PLAIN
    """How the processes of SageMaker's containers are kept apart: plain or bubblewrap."""
    target: str = "embedded"
    endpoint: str | None = None
    """URL of what executes a part of AWS for the target localstack."""
    asked_for_aws: bool = False
    """The user knows that the target aws is an account and costs money."""


def run(options: Options) -> RunReport:
    """Run a scenario to its end; write `report.json`, `report.html`, ... to ``out``.

    Raises SimulatorError with one line that names cause and cure. Whatever happens, no process
    is left behind.
    """
    recording = _recording(options.scenario)
    latencies = chosen_models(options.latency)
    start = recording.start if recording else options.scenario.start
    make_folder(options.out)
    if is_deployed(options.target, options.endpoint):
        target: Target = deployed(
            start,
            options.assembly or SNAPSHOT,
            asked=options.asked_for_aws,
            say=options.progress.note,
        )
    else:
        target = _embedded(options, start)
        target.cloud.latency.install(latencies)
    work = _Run(options, target, recording)
    try:
        return work.execute()
    finally:
        work.close()
        target.close()


def parameters_of(
    scenario: Scenario, recording: Recording | None, assembly: Path = SNAPSHOT
) -> dict[str, str]:
    """Return the parameters with which the stack must be deployed for a scenario."""
    return {
        **evidence.template_parameters(scenario, recording),
        **(BatchPath.PARAMETERS if has_orders(scenario, recording) else {}),
        **stack_parameters(scenario, assembly),
    }


def has_orders(scenario: Scenario, recording: Recording | None) -> bool:
    """Tell whether machines of this scenario are worked on at all."""
    return recording is None and bool(scenario.life.wear)


def _embedded(options: Options, start: datetime) -> Embedded:
    remote = remote_of(options.target, options.endpoint)
    return Embedded(
        start,
        evidence.fresh_state(options.out),
        speed=options.speed,
        seed=options.scenario.seed,
        port=options.port,
        cold=options.cold,
        isolation=options.isolation,
        assets=options.assets,
        remote=remote,
        **({"assembly": options.assembly} if options.assembly else {}),
    )


def _recording(scenario: Scenario) -> Recording | None:
    if scenario.replay is None:
        return None
    return Recording.load(scenario.replay.folder, scenario.replay.history_rows)


class _Run:
    """One run under way."""

    def __init__(self, options: Options, target: Target, recording: Recording | None) -> None:
        self.options = options
        self.scenario = options.scenario
        self.target = target
        self.recording = recording
        self.stages: list[Stage] = []
        self.began = time.monotonic()
        self.start_s = target.epoch_s()
        self.calibrated_ms = 0
        self.machines: Fleet | Replay | None = None

    def close(self) -> None:
        """End what the machines started."""
        if isinstance(self.machines, Fleet):
            self.machines.close()

    def execute(self) -> RunReport:
        """Go through the phases and return the report."""
        progress = self.options.progress
        # Most of what booting makes stays: seldom look for what does not.
        gc.set_threshold(50_000, 20, 20)
        with self._stage("boot") as result:
            resources = self.target.boot(self._parameters())
            result.append(f"{resources} resources from the template")
            unused = sum(map(len, self.target.recorded_only().values()))
            result.append(f"{unused} of their properties change nothing here: fleetwin assembly")
        # What booting left lives as long as the run: keep the collector from visiting it again.
        gc.collect()
        gc.freeze()
        self.machines = machines = self._machines()
        batch = BatchPath(self.target, machines, self.options.out) if self._has_orders() else None
        if isinstance(machines, Fleet) and machines.reacts:
            self.target.on_alert(lambda message: self._on_alert(machines, message))
        self.target.on_alert(self._note_alert)
        total_s = self._expected_s()
        progress.watch(self.target.clock, total_s)
        self.target.look_ahead(machines)
        machines.start()
        with self._stage("history") as result:
            self.target.run_until(machines.history_over)
            self._settle(machines)
            result.append(f"{machines.counters.readings.published:,} readings published")
        execution = self._train(machines)
        self.calibrated_ms = int(self.target.epoch_s() * 1000)
        if isinstance(machines, Replay):
            self.calibrated_ms = 0
            machines.resume()
        with self._stage("live") as result:
            self.target.run_until(machines.finished)
            self.target.drain()
            if batch is not None:
                batch.deliver()
            result.append(f"{machines.counters.readings.published:,} readings published in all")
        progress.finish()
        with self._stage("report") as result:
            found = evidence.gather(self.target, machines)
            report = self._report(machines.truth, found, execution)
            self._write(report, found, machines.truth)
            self.target.keep()
            result.append(f"{len(report.judged.found)} of {len(report.faults)} faults found")
        report.stages, report.wall_s = self.stages, time.monotonic() - self.began
        self._write_json(report)
        report.check()
        return report

    def _parameters(self) -> dict[str, str]:
        """Return the template's parameters that this scenario changes."""
        assembly = self.options.assembly or SNAPSHOT
        refuse_foreign(assembly)
        return parameters_of(self.scenario, self.recording, assembly) | self.options.parameters

    def _parameter(self, name: str) -> str:
        """Return a parameter's value in this run."""
        given = self._parameters().get(name)
        return given or template_default(name, self.options.assembly or SNAPSHOT)

    def _has_orders(self) -> bool:
        """Tell whether machines of this scenario are worked on at all."""
        return has_orders(self.scenario, self.recording)

    def _machines(self) -> Fleet | Replay:
        env, publish = self.target.clock, self.target.publish
        if self.recording is not None:
            return Replay(self.recording, env, self.start_s, publish, self.scenario.seed)
        return Fleet(self.scenario, env, self.start_s, publish, apart=True)

    def _on_alert(self, machines: Fleet, message: str) -> None:
        """Have a machine looked at that an alert is about."""
        alert = json.loads(message)
        if "alert_id" in alert and alert.get("device_id") in machines.devices:
            machines.order(alert["device_id"], alert["alert_id"])

    def _note_alert(self, message: str) -> None:
        """Keep how long it took from a row's event time to its alert."""
        started_ms = json.loads(message).get("started_ms")
        if started_ms is not None:
            self.target.note("row to alert", started_ms / 1000 - self.start_s)

    def _maintenance(self) -> list[dict[str, Any]]:
        """Return the work orders as records, which also go to the batch path."""
        machines = self.machines
        if not isinstance(machines, Fleet):
            return []
        base_ms = machines.plan.base_ms
        folder = self.options.out / BATCH_FOLDER
        if machines.reacts:
            decisions.write_decisions(machines.decisions, folder / decisions.FILE)
        return [order.to_record(base_ms) for order in machines.work_orders]

    def _expected_s(self) -> float:
        if self.recording is not None:
            return float(max(run.times_ms[-1] for run in self.recording.runs) / 1000 + 900)
        return self.scenario.history_s + self.scenario.live_s

    def _settle(self, machines: Fleet | Replay) -> None:
        """Let the history reach the raw zone before the workflow reads it."""
        if isinstance(machines, Replay):
            self.target.drain()
        else:
            # Machines go on publishing: a batching window and a delivery later all is stored.
            window_s = float(self._parameter("MappingWindowS"))
            self.target.settle(window_s + DELIVERY_S)

    def _train(self, machines: Fleet | Replay) -> dict[str, Any]:
        """Run the training workflow over the whole hours of the history."""
        now_s = self.target.epoch_s()
        first_s = math.floor(self.start_s / HOUR_S) * HOUR_S
        last_s = math.ceil(now_s / HOUR_S) * HOUR_S
        data = {"start": _hour(first_s), "end": _hour(last_s), "run": f"seed-{self.scenario.seed}"}
        arn = self.target.name_of("AWS::StepFunctions::StateMachine", "training")
        with self._stage("workflow") as result:
            watch = _States(self)
            execution = self.target.run_workflow(
                arn, json.dumps(data), f"training-{self.scenario.seed}", watch.on_state
            )
            if execution.status != "SUCCEEDED":
                raise WorkflowFailed(
                    f"the training workflow {execution.status}: "
                    f"{named(execution.error, execution.cause, 2_000)}; its logs are in "
                    f"{execution.logs}; state by state: fleetwin workflow show "
                    f"{execution.name}{self._where()}"
                )
            result.append(f"{execution.events} events, {execution.status}")
        told = [Stage(f"workflow: {name}", took_s, took_s) for name, took_s in execution.states]
        self.stages.extend(watch.stages or told)
        return {
            "name": execution.name,
            "status": execution.status,
            "states": [stage.name for stage in watch.stages or told],
        }

    def _where(self) -> str:
        """Return the option that names this run's folder, where there is one and it is not out."""
        state = self.options.out / evidence.STATE_FOLDER
        return f" --state {state}" if state.is_dir() and self.options.out != Path("out") else ""

    def _report(
        self, truth: GroundTruth, found: evidence.Evidence, workflow: dict[str, Any]
    ) -> RunReport:
        return RunReport(
            scenario=self.scenario.name,
            seed=self.scenario.seed,
            target=self.target.name,
            virtual_s=self.target.clock.now,
            wall_s=0.0,
            readings=found.readings,
            faults=[
                Fault(f.device_id, f.kind, f.start_ms, f.end_ms, f.severity, f.fails_ms)
                for f in truth.intervals
            ],
            stops=[
                Standstill(stop.device_id, stop.start_ms, stop.end_ms, stop.reason)
                for stop in truth.stops
            ],
            maintenance=self._maintenance(),
            episodes=found.episodes,
            machine_days=truth.machine_days(self.calibrated_ms or None),
            stages=self.stages,
            started=datetime.fromtimestamp(self.start_s, UTC),
            model=found.model,
            workflow=workflow,
            alerts=len(found.alerts),
            messages=found.alerts,
            alarms=found.alarms,
            raw_zone=found.raw_zone,
            environment={
                "python": platform.python_version(),
                "machine": platform.machine(),
                "system": platform.system(),
            },
            recorded_only=self.target.recorded_only(),
        )

    def _write(self, report: RunReport, found: evidence.Evidence, truth: GroundTruth) -> None:
        live_from_ms = self.calibrated_ms or truth.live_start_ms
        report.wall_s = time.monotonic() - self.began
        page = report_html.render(report, found.traces, live_from_ms)
        (self.options.out / "report.html").write_text(page, encoding="utf-8")
        scores = evidence.score_lines(found.traces)
        (self.options.out / SCORES_FILE).write_bytes(b"".join(scores))
        alerts = b"".join(orjson.dumps(alert) + b"\n" for alert in found.alerts)
        (self.options.out / evidence.ALERTS_FILE).write_bytes(alerts)
        traces = evidence.trace_lines(self.target)
        (self.options.out / TRACES_FILE).write_bytes(b"".join(traces))
        evidence.keep_billable(self.target, self.options.out)

    def _write_json(self, report: RunReport) -> None:
        body = orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2)
        (self.options.out / "report.json").write_bytes(body + b"\n")

    @contextmanager
    def _stage(self, name: str) -> Iterator[list[str]]:
        """Time a stage on both clocks; what is put into the list is its result in words."""
        self.options.progress.stage(name)
        wall, virtual = time.monotonic(), self.target.clock.now
        result: list[str] = []
        yield result
        stage = Stage(
            name, time.monotonic() - wall, self.target.clock.now - virtual, "; ".join(result)
        )
        self.stages.append(stage)
        self.options.progress.stage_done(stage)


class _States:
    """Times the states of the workflow as they are entered and left."""

    def __init__(self, owner: _Run) -> None:
        self._owner = owner
        self._entered: dict[str, tuple[float, float]] = {}
        self.stages: list[Stage] = []

    def on_state(self, state: str, what: str) -> None:
        now = self._owner.target.clock.now
        if what == "entered":
            self._entered[state] = (time.monotonic(), now)
            self._owner.options.progress.note(state)
            return
        wall, virtual = self._entered[state]
        if now > virtual:
            self.stages.append(Stage(f"workflow: {state}", time.monotonic() - wall, now - virtual))


def _hour(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
