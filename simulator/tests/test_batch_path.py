"""Work orders come into the lake by DataSync, and features know of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.lake import lake_of
from simulator.run import Options, run
from simulator.scenario import Scenario

WEARING = """
description = "two pumps that are overhauled by the clock"
seed = 1
start = 2026-01-05T22:00:00Z
history_s = 6000
live_s = 4800

[fleet]
sensors = ["temperature_c", "velocity_mm_s_rms"]
machines = 2
kind = "centrifugal_pump"
rate_hz = 0.2
burst_period_s = 0

[life.maintenance]
policy = "time_based"
interval_s = 2400
work_s = 300

[[life.wear]]
kind = "imbalance"
life_s = 18000
shape = 3.5
process = "exponential"
growth_s = 5400
"""
TRUTH = {"found", "cause", "is_wrong", "severity", "health"}
"""What only the simulator knows."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("wearing")
    path = folder / "wearing.toml"
    path.write_text(WEARING, "utf-8")
    out = folder / "out"
    report = run(Options(Scenario.load(str(path)), out))
    return out, report.to_json()


def test_every_work_order_of_a_run_is_in_the_raw_zone_once_by_its_day(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    out, report = finished
    bucket = out / "twin" / "s3" / "fleetwin-dev-raw-000000000000" / "maintenance"
    files = {path.parent.name: path.read_text("utf-8") for path in bucket.rglob("*.jsonl")}
    assert files.keys() == {"dt=2026-01-05", "dt=2026-01-06"}, "the run goes over midnight"
    stored = [json.loads(line) for text in files.values() for line in text.splitlines()]
    by_id = {order["order_id"]: order for order in stored}
    assert len(by_id) == len(stored) == len(report["maintenance"]) > 2
    assert by_id == {order["order_id"]: order for order in report["maintenance"]}
    assert not {name for order in stored for name in order} & TRUTH
    found = lake_of(out / "twin").run("select count(*), sum(labour_h) from maintenance").rows
    assert found[0][0] == len(stored)


def test_features_know_the_work_that_was_finished_by_then(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    out, report = finished
    sql = "select device_id, event_time_ms, maintenance_count from features"
    rows = lake_of(out / "twin").run(sql).rows
    done = [(order["device_id"], order["finished_ms"]) for order in report["maintenance"]]
    assert {count for _, _, count in rows} >= {0, 1}
    for device_id, at_ms, count in rows:
        # Of the last hour, whose orders the next transfer brings, the job knew nothing yet.
        known = sum(1 for device, when in done if device == device_id and when <= at_ms)
        assert count <= known
        assert count > 0 or not any(
            device == device_id and when <= min(at_ms, EXPORTED_MS) for device, when in done
        )


def test_orders_label_their_machine_only_where_a_crew_came_for_a_fault(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    out, report = finished
    bucket = out / "twin" / "s3" / "fleetwin-dev-processed-000000000000"
    lines = (bucket / "labels" / "work-orders.jsonl").read_text("utf-8").splitlines()
    known = [order for order in report["maintenance"] if order["finished_ms"] <= EXPORTED_MS]
    assert "preventive" in {order["type"] for order in known}
    repaired = [order for order in known if order["type"] != "preventive"]
    named = {order["order_id"] for order in repaired if order["failure_mode"]}
    assert {json.loads(line)["order_id"] for line in lines} == named


EXPORTED_MS = round(datetime(2026, 1, 5, 23, 5, tzinfo=UTC).timestamp() * 1000)
"""When the maintenance system wrote its files the last time before the features were made."""
