"""The scenario `month`, and a shortened one that runs: nights, mornings, a drift, a retraining.

Five days instead of thirty, with a look at the traffic each morning instead of each Monday. The
whole month is for people: `fleetwin run month` (docs/monitoring.md).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud import workflows_store
from simulator.progress import Progress
from simulator.report import RunReport
from simulator.run import Options, run
from simulator.scenario import Scenario, StackSettings
from simulator.stack_parameters import stack_parameters
from simulator.targets import SNAPSHOT

DAY_S = 86_400.0
DRIFT = datetime.fromisoformat("2026-01-08T05:30:00Z")
RETRAINED = datetime.fromisoformat("2026-01-09T06:30:00Z")
"""What is still smoothed over rows of before the training has passed by then."""


def shortened() -> Scenario:
    """Return two days of history, three and a morning live, with the drift on the second."""
    month = Scenario.load("month")
    (drift,) = month.drifts
    (fault, _) = month.faults
    parameters = {
        **month.stack.parameters,
        "MonitoringSchedule": "cron(30 5 * * ? *)",
        "MonitoringEveryS": "86400",
        "MonitoringWindowS": "7200",
        "RetrainingS": "79200",
    }
    return replace(
        month,
        history_s=2 * DAY_S,
        live_s=3 * DAY_S + 4 * 3600,
        faults=(replace(fault, onset_s=2.4 * DAY_S, duration_s=0.4 * DAY_S),),
        drifts=(replace(drift, onset_s=DAY_S + 2.5 * 3600),),
        stack=StackSettings(parameters),
    )


def test_the_month_is_the_size_that_is_promised_and_its_parameters_are_the_stacks() -> None:
    month = Scenario.load("month")
    assert month.fleet.machines == 20
    assert month.history_s + month.live_s == 30 * DAY_S
    assert month.fleet.rate_hz == pytest.approx(1 / 120)
    assert stack_parameters(month, SNAPSHOT)["MonitoringState"] == "ENABLED"
    assert len(month.drifts) == 1
    assert stack_parameters(shortened(), SNAPSHOT)


@dataclass(frozen=True)
class Finished:
    """What the shortened month left."""

    report: RunReport
    out: Path
    progress: str

    def executions(self, machine: str) -> list[dict[str, Any]]:
        """Return the executions of a workflow in the order of their start."""
        found = [each["description"] for each in workflows_store.load(self.out / "twin")]
        mine = [each for each in found if each["stateMachineArn"].endswith(f"-{machine}")]
        return sorted(mine, key=lambda each: str(each["startDate"]))

    def starts(self, machine: str) -> list[str]:
        """Return when each execution of a workflow began, as day and hour."""
        return [str(each["startDate"])[:16] for each in self.executions(machine)]

    def judgements(self) -> dict[str, dict[str, Any]]:
        """Return the monitoring reports by the day on which they were made."""
        bucket = self.out / "twin" / "s3" / "fleetwin-dev-artefacts-000000000000"
        return {
            path.parent.name[:10]: json.loads(path.read_text("utf-8"))
            for path in sorted(bucket.glob("monitoring/*/windows/*/report.json"))
        }

    def false_alarms(self, since: datetime, until: datetime | None = None) -> int:
        """Return how many episodes of no fault began in a time."""
        faults = self.report.faults
        begun = [
            episode.started_ms
            for episode in self.report.episodes
            if episode.rule == "model"
            and not any(
                fault.device_id == episode.device_id and fault.found_by(episode.started_ms)
                for fault in faults
            )
        ]
        first_ms = since.timestamp() * 1000
        last_ms = until.timestamp() * 1000 if until else float("inf")
        return sum(first_ms <= at_ms < last_ms for at_ms in begun)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out = tmp_path_factory.mktemp("month")
    said = io.StringIO()
    report = run(Options(shortened(), out, progress=Progress(said)))
    return Finished(report, out, said.getvalue())


@pytest.mark.slow
def test_every_night_makes_the_day_before_and_every_morning_is_judged(finished: Finished) -> None:
    nights, mornings = finished.executions("nightly"), finished.executions("monitoring")
    assert finished.starts("nightly") == [f"2026-01-{day:02}T02:30" for day in range(6, 11)]
    assert {each["status"] for each in nights} == {"SUCCEEDED"}
    assert finished.starts("monitoring") == [f"2026-01-{day:02}T05:30" for day in range(5, 11)]
    assert {each["status"] for each in mornings} == {"SUCCEEDED"}


@pytest.mark.slow
def test_the_drift_is_told_when_it_is_there_and_trained_on_once(finished: Finished) -> None:
    judged = finished.judgements()
    drifts = {day: report["drift"] for day, report in judged.items()}
    assert [day for day, drift in drifts.items() if drift] == ["2026-01-09"]
    assert drifts["2026-01-09"]["retrain"] is True
    assert "current_a_mean" in [each["name"] for each in drifts["2026-01-09"]["features"]]
    first, second = finished.executions("training")
    assert (first["status"], second["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert str(second["startDate"]).startswith("2026-01-09T05:")
    run = json.loads(second["input"])["run"]
    assert run.startswith("drift-")
    (judged_candidate,) = finished.report.model["evaluations"]
    assert judged_candidate["candidate"].endswith(run)
    assert judged_candidate["promote"] is True


@pytest.mark.slow
def test_false_alarms_come_with_the_drift_and_end_with_the_training(finished: Finished) -> None:
    # A day, a day, and another, of 20 machines. Two days are little to learn them from.
    assert finished.false_alarms(finished.report.started, DRIFT) <= 6
    assert finished.false_alarms(DRIFT, RETRAINED) >= 15
    assert finished.false_alarms(RETRAINED) <= 4
    over_ms = (RETRAINED.timestamp() + 6 * 3600) * 1000
    of_model = [each for each in finished.report.episodes if each.rule == "model"]
    begun = [each for each in of_model if each.started_ms < RETRAINED.timestamp() * 1000]
    assert all(each.ended_ms is not None and each.ended_ms < over_ms for each in begun)
    (fault,) = finished.report.faults
    assert finished.report.judged.found, f"{fault.kind} of {fault.device_id} after the training"


@pytest.mark.slow
def test_a_long_stage_tells_how_far_it_is(finished: Finished) -> None:
    assert " h on the clock" in finished.progress
