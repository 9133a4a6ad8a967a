"""The committed scorecard is true, and it may only improve."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from parity_tests.behaviour import ROWS
from parity_tests.scorecard import (
    BY_HAND,
    FILE,
    FITS,
    NO_TEST,
    NOT_YET,
    REFUSED,
    card,
    stated,
    worse,
)


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """Return the card in the repository."""
    content: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return content


def test_the_twin_is_not_worse_than_the_committed_card(
    committed: dict[str, Any], tmp_path: Path
) -> None:
    new = card(tmp_path)
    assert worse(committed, new) == []
    # And the card claims no more than is so, or the next loss would go unseen.
    assert committed["totals"]["L1 fit their shape"] <= new["totals"]["L1 fit their shape"]
    assert committed["totals"]["L2 rows that hold"] <= new["totals"]["L2 rows that hold"] + 1


def test_each_operation_has_both_levels_or_says_that_nobody_recorded_it(
    committed: dict[str, Any],
) -> None:
    for service, operations in committed["services"].items():
        for operation, entry in operations.items():
            assert (entry["L1"], entry["L1 requests"]) == (FITS, REFUSED), (service, operation)
            if entry["L2"] == NOT_YET:
                continue
            for row in entry["L2"]:
                assert row["source"] in ("recorded", "documented")
                assert row["date"]
                assert row["holds"] is True
    listed = {
        (service, operation, row["what"])
        for service, operations in committed["services"].items()
        for operation, entry in operations.items()
        if entry["L2"] != NOT_YET
        for row in entry["L2"]
    }
    missing = {(row.service, row.operation, row.what) for row in ROWS} - listed
    assert missing == set(), "renew it: python -m parity_tests.scorecard"


def test_lines_stated_by_hand_say_so_and_name_a_test_that_exists(
    committed: dict[str, Any],
) -> None:
    assert committed["stated by hand"] == BY_HAND
    for level in ("L3", "L4"):
        assert NO_TEST not in committed[level].values()
    gone = stated({"x": ("the same", "journey/test_journey.py::test_that_is_not_there")})
    assert gone == {"x": NO_TEST}


def test_what_was_not_compared_with_aws_says_so(committed: dict[str, Any]) -> None:
    assert committed["L3"]["embedded against aws"] == NOT_YET
    assert committed["L4"]["embedded against aws"] == NOT_YET


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("services", "kinesis", "PutRecords", "L1"), "missing member"),
        (("services", "kinesis", "PutRecords", "L1 requests"), "kinesis.PutRecords: was accepted"),
        (("services", "kms", "Encrypt"), None),
        (("services", "kinesis", "PutRecords", "L2"), NOT_YET),
        (("services", "kinesis", "PutRecords", "L2", 0, "holds"), False),
        (("services", "kinesis", "PutRecords"), None),
        (("L3", "embedded, twice"), NOT_YET),
        (("cassettes", "embedded", "otherwise"), ["a record"]),
        (("cassettes", "localstack"), None),
    ],
    ids=str,
)
def test_each_kind_of_loss_is_noticed(
    path: tuple[Any, ...], value: Any, committed: dict[str, Any]
) -> None:
    assert worse(committed, committed) == []
    lost = copy.deepcopy(committed)
    place: Any = lost
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert worse(committed, lost)
    assert worse(lost, committed) == [], "getting better is no loss"
