"""What work orders label: a fault that somebody found, and the time before it was looked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.etl.maintenance import Order
from pipeline.etl.order_labels import DOUBTFUL_S, SURE_S, labels_of

HOUR_MS = 3_600_000
OPENED_MS = 100 * HOUR_MS
FINISHED_MS = OPENED_MS + 2 * HOUR_MS
REPAIR: Order = {
    "schema": 1,
    "order_id": "WO-a-0001",
    "device_id": "a",
    "type": "corrective",
    "opened_ms": OPENED_MS,
    "started_ms": OPENED_MS + HOUR_MS,
    "finished_ms": FINISHED_MS,
    "failure_mode": "seal_leak",
    "downtime_s": 7_200.0,
}


def test_a_breakdown_labels_the_hour_before_it_and_leaves_the_day_before_in_doubt() -> None:
    assert labels_of([REPAIR]) == [
        {
            "device_id": "a",
            "start_ms": OPENED_MS - SURE_S * 1_000,
            "end_ms": OPENED_MS,
            "doubtful_from_ms": OPENED_MS - DOUBTFUL_S * 1_000,
            "doubtful_until_ms": FINISHED_MS,
            "order_id": "WO-a-0001",
            "failure_mode": "seal_leak",
        }
    ]


def test_a_machine_that_was_worked_on_because_of_an_alert_ran_on_until_it_was_stopped() -> None:
    (label,) = labels_of([{**REPAIR, "type": "condition", "downtime_s": 3_600.0}])
    assert label["end_ms"] == OPENED_MS + HOUR_MS
    (label,) = labels_of([{**REPAIR, "type": "condition", "downtime_s": None}])
    assert label["end_ms"] == OPENED_MS


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "preventive"},
        {"type": "preventive", "failure_mode": None},
        {"failure_mode": None},
        {"failure_mode": ""},
        {"failure_mode": 7},
        {"type": None},
        {"opened_ms": None},
        {"opened_ms": FINISHED_MS + 1},
        {"opened_ms": float(OPENED_MS)},
        {"opened_ms": -1},
    ],
)
def test_an_order_without_a_fault_or_by_the_calendar_is_no_label(changes: dict[str, Any]) -> None:
    assert labels_of([{**REPAIR, **changes}]) == []


def test_what_lies_before_an_earlier_work_on_the_machine_is_not_of_this_fault() -> None:
    overhauled_ms = OPENED_MS - HOUR_MS // 4
    overhaul = {**REPAIR, "type": "preventive", "finished_ms": overhauled_ms, "order_id": "WO-0"}
    elsewhere = {**overhaul, "device_id": "b", "finished_ms": overhauled_ms + 1}
    (label,) = labels_of([REPAIR, elsewhere, overhaul])
    assert label["start_ms"] == label["doubtful_from_ms"] == overhauled_ms


def test_a_machine_that_did_not_start_again_has_one_label() -> None:
    again = {
        **REPAIR,
        "order_id": "WO-a-0002",
        "opened_ms": FINISHED_MS,
        "finished_ms": FINISHED_MS + HOUR_MS,
        "downtime_s": 3_600.0,
    }
    assert [label["order_id"] for label in labels_of([again, REPAIR])] == ["WO-a-0001"]


orders = st.lists(
    st.fixed_dictionaries(
        {
            "device_id": st.sampled_from(["a", "b"]),
            "finished_ms": st.integers(0, 300_000_000),
            "type": st.sampled_from(["corrective", "condition", "preventive", "other", None]),
            "failure_mode": st.sampled_from([None, "imbalance"]),
            "opened_ms": st.one_of(st.none(), st.booleans(), st.integers(-5, 300_000_000)),
        },
        optional={
            "order_id": st.text(max_size=2),
            "downtime_s": st.one_of(st.none(), st.floats(), st.integers(-5, 400_000)),
        },
    ),
    max_size=8,
)


@given(orders, st.randoms())
def test_labels_lie_before_the_end_of_their_work_after_any_earlier_and_depend_on_no_order_of_lines(
    done: list[Order], random: Any
) -> None:
    labels = labels_of(done)
    assert json.loads(json.dumps(labels)) == labels
    shuffled = list(done)
    random.shuffle(shuffled)

    def sorted_by_text(found: list[dict[str, Any]]) -> list[str]:
        return sorted(map(json.dumps, found))

    assert sorted_by_text(labels_of(shuffled)) == sorted_by_text(labels)
    repairs = [order for order in done if order["type"] in ("corrective", "condition")]
    assert len(labels) <= sum(order["failure_mode"] is not None for order in repairs)
    for label in labels:
        own = [order for order in done if order["device_id"] == label["device_id"]]
        finished_ms = label["doubtful_until_ms"]
        assert label["doubtful_from_ms"] <= label["start_ms"] < label["end_ms"] <= finished_ms
        earlier = [each["finished_ms"] for each in own if each["finished_ms"] < finished_ms]
        assert label["doubtful_from_ms"] >= max(earlier, default=0)
