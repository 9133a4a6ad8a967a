"""Work orders come into the lake by DataSync, and small objects become large ones by the clock."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import TransferFailed
from simulator.lake import lake_of
from simulator.run import Options, run
from simulator.scenario import Scenario
from simulator.targets import Embedded

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


EXPORTED_MS = round(datetime(2026, 1, 5, 23, 5, tzinfo=UTC).timestamp() * 1000)
"""When the maintenance system wrote its files the last time before the features were made."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    state = tmp_path_factory.mktemp("batch-path")
    target = Embedded(datetime(2026, 1, 6, 3, tzinfo=UTC), state, speed=None, seed=1)
    try:
        parameters = {
            "MaintenanceServer": "plant",
            "AgentActivationKey": "LOCAL-LOCAL-LOCAL-LOCAL-LOCAL",
        }
        target.boot(parameters, prewarmed=False)
        yield target
    finally:
        target.close()


def test_the_compaction_workflow_makes_one_object_of_an_hour_of_the_day_before(
    twin: Embedded,
) -> None:
    bucket = twin.bucket("raw")
    line = '{"schema":1,"device_id":"p","seq":%d,"event_time_ms":%d,"late":false,"values":{}}\n'
    for hour in ("dt=2026-01-05/hour=07", "dt=2026-01-06/hour=01"):
        for number in range(10):
            body = gzip.compress((line % (number, number)).encode())
            key = f"telemetry/{hour}/{number:02}.jsonl.gz"
            twin.call("s3", "PutObject", Bucket=bucket, Key=key, Body=body)
    machine = twin.name_of("AWS::StepFunctions::StateMachine", "-compaction")
    event = json.dumps({"time": "2026-01-06T03:45:00Z"})
    execution = twin.start_workflow(machine, event, "compaction", lambda state, what: None)
    twin.run_until(execution.done)
    assert (execution.status, execution.error, execution.cause) == ("SUCCEEDED", None, None)
    left = [key for key, _ in twin.objects(bucket, "telemetry/")]
    assert sum("dt=2026-01-05" in key for key in left) == 1
    assert sum("dt=2026-01-06" in key for key in left) == 10
    ((_, body),) = twin.objects(bucket, "telemetry/dt=2026-01-05")
    assert len(gzip.decompress(body).splitlines()) == 10


def test_a_transfer_from_a_server_that_is_away_says_so(twin: Embedded) -> None:
    with pytest.raises(TransferFailed, match=r"maintenance failed: .*plant"):
        twin.transfer("maintenance")
