"""How long a month of scheduled monitoring takes, on a twin whose clock is the run's.

``python -m benchmarks.monitoring_month`` writes `results/monitoring_month.json`. The stack is
booted, a model trained on three days of twelve simulated pumps and put in service; then the
endpoint is asked about their rows for thirty days, hour by hour, and the stack's own rule starts
the monitoring workflow each morning: a processing job of its own on the traffic that was captured.
Counted is the real time that the clock took from one hour to the next, in which the schedules and
jobs are; making readings, training and asking are not. The processor time of the jobs is beside
it, which other load on the machine disturbs less. Run by its name alone (`catalogue`).
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.result import finish, parser
from benchmarks.row import Row
from pipeline.model.dataset import Dataset
from simulator.fleet.plant import PlantPlan, Unit
from simulator.fleet.settings import AmbientSettings, FleetSettings
from simulator.targets import Embedded
from simulator.tests.monitored_month import BASE_MS, DAY_S, HOUR_MS, MACHINES, SENSORS, rows_of

TRAINED_DAYS, DAYS, QUICK_DAYS = 3, 30, 2
WINDOW_H = 3
MONTH_CEILING_S = 120.0
"""A choice: four seconds for each of thirty processing jobs, each a process of its own."""
ENDPOINT = "fleetwin-dev-detector"
SPEC = {
    "sensors": {name: [-1000, 1000] for name in SENSORS},
    "window_s": 600,
    "hop_s": 240,
    "allowed_lateness_s": 10,
    "bursts": False,
}
SETTINGS = {
    "FeatureSpec": json.dumps(SPEC),
    "ExtraFeatures": '{"long_windows_s":[3600],"statistics":["min","max","ewma"],"gap_s":600}',
    "MonitoringState": "ENABLED",
    "MonitoringSchedule": "cron(5 6 * * ? *)",
    "MonitoringEveryS": "86400",
    "MonitoringWindowS": str(WINDOW_H * 3600),
    "RetrainingS": "259200",
}


@dataclass
class Clocked:
    """A twin with a model in service, and the real seconds that its clock has taken."""

    target: Embedded
    rows: Dataset
    clock_s: float = 0.0
    processor_s: float = 0.0
    asking_s: float = 0.0
    asked_rows: int = 0
    told: list[str] = field(default_factory=list)

    def train(self) -> None:
        """Train on the days before the clock's start; raises RuntimeError when that fails."""
        bounds = {"start": at_ms(0), "end": at_ms(TRAINED_DAYS * 24)}
        data = {name: iso(moment) for name, moment in bounds.items()}
        machine = self.target.name_of("AWS::StepFunctions::StateMachine", "-training")
        execution = self.target.start_workflow(
            machine, json.dumps(data | {"run": "first"}), "first", lambda *_: None
        )
        self.target.run_until(execution.done)
        if execution.status != "SUCCEEDED":
            raise RuntimeError(f"the training: {execution.error} {execution.cause}")

    def serve(self, days: int) -> None:
        """Let the clock run, and ask the endpoint each hour about the hour's rows."""
        for hour in range(TRAINED_DAYS * 24, (TRAINED_DAYS + days) * 24):
            # A second before the hour's end: what is captured belongs to the hour.
            self.run_until_h(hour + 1.0 - 1.0 / 3600.0)
            began = time.perf_counter()
            self.ask(self.rows.within(at_ms(hour), at_ms(hour + 1)))
            self.asking_s += time.perf_counter() - began
        self.run_until_h((TRAINED_DAYS + days) * 24 + 0.5)

    def run_until_h(self, hour: float) -> None:
        """Let the clock run up to an hour after the readings' begin."""
        began, used_s = time.perf_counter(), processor_s()
        self.target.run_until((hour - TRAINED_DAYS * 24) * 3600.0)
        self.clock_s += time.perf_counter() - began
        self.processor_s += processor_s() - used_s

    def ask(self, rows: Dataset) -> None:
        """Ask the endpoint as the detector does."""
        columns = (rows.device_ids, rows.event_time_ms.tolist(), rows.features.tolist())
        asked = [
            {"device_id": device, "event_time_ms": moment, "features": values}
            for device, moment, values in zip(*columns, strict=True)
        ]
        self.target.call(
            "sagemaker-runtime",
            "InvokeEndpoint",
            EndpointName=ENDPOINT,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps({"rows": asked}).encode(),
        )
        self.asked_rows += len(asked)

    def executions(self) -> list[str]:
        """Return how the monitoring workflow's executions ended."""
        arn = self.target.name_of("AWS::StepFunctions::StateMachine", "-monitoring")
        found = self.target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)
        return [each["status"] for each in found["executions"]]

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports of the windows that were judged."""
        bucket = self.target.bucket("artefacts")
        return [
            json.loads(body)
            for key, body in self.target.objects(bucket, "monitoring/")
            if key.endswith("/report.json")
        ]


def processor_s() -> float:
    """Return the processor time of this process and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def at_ms(hour: int) -> int:
    """Return the time so many hours after the readings' begin, in epoch milliseconds."""
    return BASE_MS + hour * HOUR_MS


def iso(moment_ms: int) -> str:
    """Return a time as an ISO text."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def plan_of(days: int) -> PlantPlan:
    """Return what healthy pumps do for some days, a reading a minute."""
    fleet = FleetSettings(
        machines=MACHINES, sensors=SENSORS, rate_hz=1 / 60, ambient=AmbientSettings(mean_c=18.0)
    )
    return PlantPlan(1, fleet, DAY_S, days * DAY_S, BASE_MS, ())


def put_raw(target: Embedded, plan: PlantPlan) -> None:
    """Put readings into the raw zone, an object an hour, as the raw writer's are."""
    by_hour: dict[int, list[str]] = {}
    for device_id in plan.devices:
        unit = Unit(plan, device_id, bursts=False)
        block = unit.until(plan.total_s)
        assert block is not None
        stamps_ms = unit.stamps_ms(block.times_s).tolist()
        values = np.column_stack([block.values[name] for name in SENSORS]).tolist()
        for number, (stamp_ms, row) in enumerate(zip(stamps_ms, values, strict=True)):
            line = {"schema": 1, "device_id": device_id, "seq": number, "late": False}
            line |= {"event_time_ms": stamp_ms, "values": dict(zip(SENSORS, row, strict=True))}
            by_hour.setdefault((stamp_ms - BASE_MS) // HOUR_MS, []).append(json.dumps(line))
    bucket = target.bucket("raw")
    for hour, lines in by_hour.items():
        at = datetime.fromtimestamp(at_ms(hour) / 1000, UTC)
        key = f"telemetry/dt={at:%Y-%m-%d}/hour={at:%H}/rows.jsonl.gz"
        body = gzip.compress(("\n".join(lines) + "\n").encode())
        target.call("s3", "PutObject", Bucket=bucket, Key=key, Body=body)


def measured(days: int) -> dict[str, Any]:
    """Return what a month of so many days took; raises RuntimeError when it was none."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        start = datetime.fromtimestamp(BASE_MS / 1000, UTC) + timedelta(days=TRAINED_DAYS)
        target = Embedded(start, Path(folder), speed=None, seed=1)
        try:
            target.boot(SETTINGS, prewarmed=False)
            put_raw(target, plan_of(TRAINED_DAYS))
            run = Clocked(target, rows_of(plan_of(TRAINED_DAYS + days)))
            target.on_alert(lambda message: run.told.append(json.loads(message)["kind"]))
            run.train()
            run.serve(days)
            ended, reports = run.executions(), run.reports()
        finally:
            target.close()
    judged = sum(report["rows_judged_for_drift"] > 0 for report in reports)
    if ended != ["SUCCEEDED"] * days or judged != days:
        raise RuntimeError(f"{days} mornings, but executions {ended} and {judged} judged windows")
    return {
        "days": days,
        "clock_s": round(run.clock_s, 2),
        "processor_s": round(run.processor_s, 2),
        "asking_s": round(run.asking_s, 2),
        "asked_rows": run.asked_rows,
        "judged": judged,
        "drifted": sum(report["drift"] is not None for report in reports),
        "alerts": sorted(run.told),
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("monitoring_month", __doc__).parse_args(arguments)
    found = measured(QUICK_DAYS if chosen.quick else DAYS)
    print(json.dumps(found, indent=1))
    return finish("monitoring_month", rows_of_result(found), chosen, found)


def rows_of_result(found: dict[str, Any]) -> list[Row]:
    """Return what was found as rows."""
    days = found["days"]
    return [
        Row(
            f"{days} days of daily monitoring",
            found["clock_s"],
            "s",
            "the same days on the run's clock",
            days * DAY_S,
            ceiling=MONTH_CEILING_S * days / DAYS,
        ),
        Row(
            f"{days} days of daily monitoring: processor time",
            found["processor_s"],
            "s",
            "their real time",
            found["clock_s"],
            ceiling=MONTH_CEILING_S * days / DAYS,
        ),
        Row(
            "mornings of healthy pumps that drift",
            found["drifted"] / days,
            "of all",
            "all mornings",
            1.0,
            ceiling=0.05,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
