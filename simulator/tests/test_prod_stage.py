"""The stage prod on the twin: it boots whole, answers as it was asked for, and a fleet runs on it.

Its templates are not committed: they are synthesized here, so the CDK has to be installed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.resources.declarations import REFUSED
from simulator.progress import Progress
from simulator.run import Options, run
from simulator.scenario import Scenario
from simulator.targets import look_at
from simulator.tests.once import prod_assembly

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the assembly of the stage prod."""
    return prod_assembly(tmp_path_factory)


def test_nothing_of_prod_is_refused(prod: Path, tmp_path: Path) -> None:
    rows, _ = look_at(prod, START, tmp_path, {})
    assert len(rows) >= 25
    assert [row.type for row in rows if row.verdict == REFUSED] == []


def test_prod_boots_and_its_describe_calls_return_what_was_asked_for(
    prod: Path, tmp_path: Path
) -> None:
    cloud = Cloud(START, tmp_path)
    try:
        cloud.boot(prod, {}, prewarmed=False)
        assert cloud.drift() == []
        stream = cloud.call(
            "kinesis", "DescribeStreamSummary", StreamName="fleetwin-prod-telemetry"
        )
        assert stream["StreamDescriptionSummary"]["OpenShardCount"] == 4
        rules = cloud.call("events", "ListRules")["Rules"]
        scheduled = {each["Name"] for each in rules if "ScheduleExpression" in each}
        on = {each["Name"] for each in rules if each["State"] == "ENABLED"}
        assert {
            f"fleetwin-prod-{name}-schedule" for name in ("nightly", "monitoring")
        } <= scheduled & on
    finally:
        cloud.close()


@pytest.mark.slow
def test_a_fleet_runs_through_prod_beside_its_schedules(prod: Path, tmp_path: Path) -> None:
    report = run(Options(Scenario.load("tiny"), tmp_path, progress=Progress(), assembly=prod))
    assert report.workflow["status"] == "SUCCEEDED"
    assert "cavitation" in [report.faults[number].kind for number in report.judged.found]
    assert report.readings.dead_lettered == 0
    assert report.readings.stored + report.readings.late == report.readings.delivered
