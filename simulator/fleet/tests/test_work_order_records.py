"""Records of work orders as properties over all orders; the crew's words and their slips."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.catalogue import KINDS, MACHINE_FAULTS
from simulator.fleet.crew_notes import LONGEST, SHORT
from simulator.fleet.kinds import physics_of
from simulator.fleet.repairs import BEARING_PART, BEARINGS_OF, REPAIRS, work_on
from simulator.fleet.work_orders import WorkOrder, write_orders

BASE_MS = 1_767_571_200_000
DAY_S = 86_400.0


def order(number: int = 0, **changes: object) -> WorkOrder:
    done = WorkOrder(
        number=number,
        device_id="pump-001",
        kind_of_machine="centrifugal_pump",
        type="corrective",
        cause="seal_leak",
        found="seal_leak",
        treated=("seal_leak",),
        is_wrong=False,
        opened_s=1_000.0,
        started_s=8_200.0,
        finished_s=15_400.0,
        down_s=14_400.0,
        is_running=True,
        alert_id="",
        seed=1,
        labour_per_h=80.0,
        downtime_per_h=500.0,
    )
    return replace(done, **changes)  # type: ignore[arg-type]


modes = st.sampled_from(MACHINE_FAULTS)


@st.composite
def orders(draw: st.DrawFn) -> WorkOrder:
    """An order as `life` could leave it."""
    type_ = draw(st.sampled_from(["corrective", "preventive", "condition"]))
    found = draw(modes if type_ == "corrective" else st.one_of(st.just(""), modes))
    is_wrong = bool(found) and type_ != "preventive" and draw(st.booleans())
    treated = draw(st.lists(modes, min_size=1, max_size=4, unique=True))
    if type_ != "preventive":
        other = tuple(mode for mode in treated if mode != found)[:1]
        treated = list(other if is_wrong else (found,) if found else ())
    opened_s = draw(st.floats(0.0, 1e7))
    started_s = opened_s + draw(st.floats(0.0, 1e5))
    finished_s = started_s + draw(st.floats(60.0, 1e5))
    return order(
        draw(st.integers(0, 10_000)),
        kind_of_machine=draw(st.sampled_from(sorted(KINDS))),
        type=type_,
        found=found,
        treated=tuple(treated),
        is_wrong=is_wrong,
        opened_s=opened_s,
        started_s=started_s,
        finished_s=finished_s,
        down_s=finished_s - started_s,
        is_running=draw(st.booleans()) or not found,
        alert_id="alert-1" if type_ == "condition" else "",
        seed=draw(st.integers(0, 2**32)),
    )


@settings(max_examples=150, deadline=None)
@given(done=orders())
def test_a_record_is_plain_json_and_always_the_same(done: WorkOrder) -> None:
    record = done.to_record(BASE_MS)
    assert json.loads(json.dumps(record)) == record
    assert record == done.to_record(BASE_MS)
    assert record["schema"] == 1
    assert record["order_id"] == f"WO-pump-001-{done.number + 1:04d}"
    assert BASE_MS <= record["opened_ms"] <= record["started_ms"] <= record["finished_ms"]
    assert record["alert_id"] == (done.alert_id or None)


@settings(max_examples=150, deadline=None)
@given(done=orders())
def test_costs_add_up_and_every_part_is_paid_once(done: WorkOrder) -> None:
    record = done.to_record(BASE_MS)
    downtime = done.down_s / 3_600.0 * done.downtime_per_h
    total = record["parts_cost"] + record["labour_cost"] + downtime
    assert record["total_cost"] == pytest.approx(total, abs=0.02)
    assert len(set(record["parts"])) == len(record["parts"]) <= len(done.treated)
    assert (record["parts_cost"] > 0.0) == bool(record["parts"])
    assert BEARING_PART not in record["parts"]
    if not done.treated:
        assert (record["action"], record["failure_mode"]) == ("inspect", None)


@settings(max_examples=150, deadline=None)
@given(done=orders())
def test_a_text_is_one_short_line_of_plain_characters(done: WorkOrder) -> None:
    text = done.to_record(BASE_MS)["text"]
    assert 3 < len(text) <= LONGEST
    assert text.isascii()
    assert text.isprintable()
    assert text == text.strip()
    assert done.device_id not in text
    assert not any(mode in text for mode in MACHINE_FAULTS if "_" in mode), "a label"


def test_an_overhaul_takes_one_bearing_for_all_its_failure_modes() -> None:
    treated = ("bearing_outer_race", "bearing_cage", "seal_leak")
    record = order(type="preventive", treated=treated).to_record(BASE_MS)
    assert record["parts"] == ["BRG-6205-C3", "SEAL-32"]
    assert record["parts_cost"] == 258.0
    assert record["action"] == "overhaul"


def test_the_record_says_what_the_crew_believed() -> None:
    wrong = order(treated=("looseness",), is_wrong=True, is_running=False)
    record = wrong.to_record(BASE_MS)
    assert record["failure_mode"] == "looseness"
    assert record["restarted"] is False
    assert wrong.found == "seal_leak"


def test_every_machine_fault_can_be_put_right_in_several_words() -> None:
    assert set(REPAIRS) == set(MACHINE_FAULTS)
    for mode, repair in REPAIRS.items():
        assert len(set(repair.seen)) >= 3, mode
        assert len(set(repair.done)) >= 3, mode
        assert repair.done[0].action in ("replace", "adjust", "lubricate")
        assert all(work.part == BEARING_PART or work.cost > 0.0 for work in repair.done)


def test_a_new_bearing_is_one_that_the_machine_has() -> None:
    assert set(BEARINGS_OF) == set(KINDS)
    names = {bearing: name.replace("-", "") for name, bearing in BEARINGS.items()}
    for kind, (part, cost) in BEARINGS_OF.items():
        assert names[physics_of(kind).bearing] in part
        assert work_on("bearing_cage", kind, 0.5)[2:] == (part, cost)


def test_texts_hardly_repeat_are_shortened_and_have_slips() -> None:
    texts = [
        order(i, found=mode, treated=(mode,)).to_record(BASE_MS)["text"]
        for mode in MACHINE_FAULTS
        for i in range(40)
    ]
    assert len(set(texts)) > 0.93 * len(texts)
    whole = [text for text in texts if text != text.upper()]
    assert 0.05 < 1.0 - len(whole) / len(texts) < 0.2
    short = {abbreviation for forms in SHORT.values() for abbreviation in forms}
    used = Counter(form for text in whole for form in short if form in text)
    assert len(used) > 0.7 * len(short)
    # A slip leaves a word that is in no table.
    table = " ".join(
        [*short, *SHORT]
        + [seen for repair in REPAIRS.values() for seen in repair.seen]
        + [work.text for repair in REPAIRS.values() for work in repair.done]
    )
    known = set(re.findall("[a-z]{5,}", table.lower()))
    slipped = sum(
        any(re.sub("(.)\\1", "\\1", word) in known - {word} for word in words)
        for words in (set(re.findall("[a-z]{5,}", text.lower())) - known for text in whole)
    )
    assert 0.01 < slipped / len(whole) < 0.2


def test_a_text_belongs_to_the_number_of_its_order() -> None:
    assert order(3).to_record(0)["text"] == order(3, opened_s=5.0).to_record(0)["text"]
    assert order(3).to_record(0)["text"] != order(4).to_record(0)["text"]


def test_orders_lie_in_the_folder_of_the_day_on_which_they_ended(tmp_path: Path) -> None:
    days = [0.0, 0.0, 1.0, 3.0]
    done = [
        order(i, opened_s=0.0, started_s=0.0, finished_s=3_600.0 + day * DAY_S)
        for i, day in enumerate(days)
    ]
    written = write_orders(done, tmp_path, BASE_MS)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        f"maintenance/dt=2026-01-0{day}/orders.jsonl" for day in (5, 6, 8)
    ]
    lines = [line for path in written for line in path.read_text("utf-8").splitlines()]
    assert [json.loads(line) for line in lines] == [one.to_record(BASE_MS) for one in done]


@settings(max_examples=25, deadline=None)
@given(done=st.lists(orders(), max_size=6, unique_by=lambda one: one.number))
def test_files_have_the_same_bytes_whatever_the_order_and_leave_nothing_behind(
    tmp_path_factory: pytest.TempPathFactory, done: list[WorkOrder]
) -> None:
    one, other = (tmp_path_factory.mktemp("orders") for _ in range(2))
    first = write_orders(done, one, BASE_MS)
    write_orders(reversed(done), other, BASE_MS)
    again = write_orders(done, other, BASE_MS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    files = [path for path in other.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(again), "no unfinished file is left"
