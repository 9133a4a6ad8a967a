"""The committed measurement of the start: of the full snapshot, and within what is promised.

The measurement itself is `python -m benchmarks.startup`.
"""

from __future__ import annotations

import json

import pytest

from benchmarks.result import RESULTS
from benchmarks.row import Row

PROMISED_S = {
    "boot of the full snapshot after the imports": 3.0,
    "boot of the full snapshot, cold process": 6.0,
}
"""Seconds that a boot may take on two cores: once the backends are imported, and cold."""


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    result = json.loads((RESULTS / "startup.json").read_text("utf-8"))
    assert result["machine"]["cores"] == 2
    return {row.name: row for row in map(Row.from_json, result["rows"])}


@pytest.mark.parametrize("name", PROMISED_S)
def test_the_committed_boot_keeps_the_limit_that_is_promised(
    rows: dict[str, Row], name: str
) -> None:
    row = rows[name]
    assert (row.unit, row.ceiling) == ("s", PROMISED_S[name])
    assert 0 < row.value < PROMISED_S[name]


def test_every_row_of_the_committed_start_keeps_its_own_limit(rows: dict[str, Row]) -> None:
    assert [row.name for row in rows.values() if not row.met] == []


def test_a_warm_boot_is_a_part_of_a_cold_one(rows: dict[str, Row]) -> None:
    warm, cold = (rows[name].value for name in PROMISED_S)
    assert warm < cold
