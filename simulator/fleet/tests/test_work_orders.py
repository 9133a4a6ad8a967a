"""Work orders: exact fields, a crew's words, files that are there whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.fleet.catalogue import MACHINE_FAULTS
from simulator.fleet.life import MachineLife
from simulator.fleet.repairs import REPAIRS
from simulator.fleet.settings import LifeSettings, MaintenanceSettings, WearSettings
from simulator.fleet.work_orders import SCHEMA, WorkOrder, write_orders

BASE_MS = 1_767_571_200_000
DAYS_S = 6 * 86_400.0


def orders(seed: int = 1) -> list[WorkOrder]:
    wear = tuple(WearSettings(kind, 40_000.0, 2.0) for kind in ("seal_leak", "imbalance"))
    work = MaintenanceSettings("time_based", interval_s=100_000.0, wrong_part=0.2)
    found = []
    for device in ("pump-001", "pump-002"):
        life = MachineLife(seed, device, "centrifugal_pump", LifeSettings(wear, work))
        life.up(np.array([DAYS_S]))
        found += life.work_orders
    return found


def test_every_fault_of_a_machine_can_be_put_right() -> None:
    assert set(MACHINE_FAULTS) == set(REPAIRS)
    assert len(REPAIRS) >= 12


def test_a_record_has_times_costs_and_words_that_belong_together() -> None:
    for order in orders():
        record = order.to_record(BASE_MS)
        assert json.loads(json.dumps(record)) == record
        assert record["schema"] == SCHEMA
        assert record["opened_ms"] <= record["started_ms"] <= record["finished_ms"]
        assert record["labour_h"] == pytest.approx(
            (record["finished_ms"] - record["started_ms"]) / 3.6e6, abs=0.01
        )
        down_cost = record["downtime_s"] / 3_600.0 * 500.0
        total = record["parts_cost"] + record["labour_cost"] + down_cost
        assert record["total_cost"] == pytest.approx(total, abs=0.02)
        assert 3 < len(record["text"]) < 160
        assert len(record["parts"]) <= len(record["treated"])


def test_the_words_depend_on_the_seed_alone() -> None:
    texts = [order.to_record(BASE_MS)["text"] for order in orders()]
    assert texts == [order.to_record(0)["text"] for order in orders()]
    assert len(set(texts)) > len(texts) / 2
    assert texts != [order.to_record(BASE_MS)["text"] for order in orders(2)][: len(texts)]


def test_files_are_there_whole_by_day_and_the_same_again(tmp_path: Path) -> None:
    first = write_orders(orders(), tmp_path / "a", BASE_MS)
    second = write_orders(reversed(orders()), tmp_path / "b", BASE_MS)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert not list(tmp_path.rglob("*.partial"))
    lines = [json.loads(line) for path in first for line in path.read_text().splitlines()]
    assert len(lines) == len(orders())
    assert [line["finished_ms"] for line in lines] == sorted(line["finished_ms"] for line in lines)
    assert {path.parent.name for path in first} <= {f"dt=2026-01-{day:02d}" for day in range(5, 12)}
