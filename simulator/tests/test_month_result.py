"""The committed measurement of the scenario `month`: of the whole month, and within its limit.

The month itself takes minutes and runs by name (`python -m benchmarks.month`); a shortened one is
in `test_month`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import month
from benchmarks.result import RESULTS
from benchmarks.row import Row
from simulator.scenario import Scenario

PROMISED_S = 180.0
"""What the month may take: three minutes."""


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RESULTS / "month.json").read_text("utf-8"))
    return loaded


def test_the_committed_month_keeps_the_limit_that_is_promised(result: dict[str, Any]) -> None:
    rows = {row.name: row for row in map(Row.from_json, result["rows"])}
    took = rows["the scenario month"]
    assert month.MOST_S == took.ceiling == PROMISED_S
    assert took.value < PROMISED_S
    assert all(row.met for row in rows.values())
    assert result["machine"]["cores"] == month.CORES


def test_the_committed_month_is_of_every_reading_of_the_scenario(result: dict[str, Any]) -> None:
    scenario = Scenario.load("month")
    length_s = scenario.history_s + scenario.live_s
    expected = scenario.fleet.machines * scenario.fleet.rate_hz * length_s
    assert result["details"]["readings"] == pytest.approx(expected, rel=0.001)


def ended(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"stateMachineArn": f"arn:aws:states:::stateMachine:x-{name}", "status": "SUCCEEDED"}
        for name, count in counts.items()
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", month.ENDED_WELL)
def test_a_month_in_which_an_execution_is_missing_or_too_many_is_none(name: str) -> None:
    report = {"faults": {"found": 2, "total": 2}}
    assert month.wrong(report, ended(month.ENDED_WELL)) == ""
    for change in (-1, 1):
        counts = {**month.ENDED_WELL, name: month.ENDED_WELL[name] + change}
        assert name in month.wrong(report, ended(counts))


def test_a_month_in_which_a_fault_was_not_found_is_none() -> None:
    report = {"faults": {"found": 1, "total": 2}}
    assert "faults" in month.wrong(report, ended(month.ENDED_WELL))
