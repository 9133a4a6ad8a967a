"""What the job joins rows with and remembers: flags, maintenance, baseline, rules, bookmark."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import JobInputError
from pipeline.etl import bookmark
from pipeline.etl.healthy_baseline import MIN_ROWS, HealthyBaseline, kind_of
from pipeline.etl.maintenance import MaintenanceLog, orders_in
from pipeline.etl.quality_rules import broken, judge, parse_rules
from pipeline.etl.row_quality import gap_ms, row_quality
from pipeline.features import Signals, feature_rows
from pipeline.partitions import HOUR_MS, partition_of
from pipeline.tests.streams import SPEC, START_MS


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 3))
def test_flags_count_what_the_window_holds(seed: int, n: int, devices: int) -> None:
    rng = np.random.default_rng(seed)
    device = np.sort(rng.integers(0, devices, n))
    time = np.zeros(n, np.int64)
    for number in range(devices):
        mine = device == number
        time[mine] = START_MS + np.cumsum(
            rng.choice([0, 1_000, 20_000], mine.sum(), p=[0.1, 0.8, 0.1])
        )
    values = rng.choice([5.0, 5.0, 5.0, 6.0, 900.0, np.nan], (n, 2))
    nothing = np.zeros(0, np.int64)
    signals = Signals(device, time, values, nothing, nothing, np.zeros((0, 7)))
    bounds = np.full(devices, 0), np.full(devices, 1 << 43)
    rows = feature_rows(signals, *bounds, SPEC)
    (impossible, stuck, gaps), totals = row_quality(signals, rows, SPEC)
    for row in range(len(rows)):
        at_ms = rows.event_time_ms[row]
        inside = (device == rows.device[row]) & (time > at_ms - SPEC.window_ms) & (time <= at_ms)
        found = values[inside]
        assert impossible[row] == (found == 900.0).sum()
        columns = [column[~np.isnan(column)] for column in found.T]
        assert stuck[row] == sum(
            len(column) >= SPEC.min_count and len(set(column)) == 1 for column in columns
        )
        assert gaps[row] == (np.diff(time[inside]) > gap_ms(SPEC)).sum()
    assert totals == {
        "missing": int(np.isnan(values).sum()),
        "impossible": int((values == 900.0).sum()),
    }


orders = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 500)), max_size=12)


@settings(deadline=None)
@given(orders, st.lists(st.integers(0, 600), min_size=1, max_size=20))
def test_a_row_knows_of_maintenance_that_was_finished_and_of_no_other(
    done: list[tuple[str, int]], times: list[int]
) -> None:
    lines = [
        json.dumps({"order_id": f"o{i}", "device_id": name, "finished_ms": at})
        for i, (name, at) in enumerate(done)
    ]
    orders, wrong = orders_in([*lines, *lines, ""])
    log = MaintenanceLog.of(orders)
    assert wrong == []
    ids = ["b", "never", "a"]
    device = np.repeat(np.arange(3), len(times))
    at_ms = np.tile(np.sort(np.array(times)), 3)
    count, since_s = log.until(ids, device, at_ms)
    for row in range(len(device)):
        before = [at for name, at in done if name == ids[device[row]] and at <= at_ms[row]]
        assert count[row] == len(before)
        if before:
            assert since_s[row] == (at_ms[row] - max(before)) / 1000
        else:
            assert math.isnan(since_s[row])
    # What comes later changes nothing that is known now.
    later = json.dumps({"order_id": "later", "device_id": "a", "finished_ms": 601})
    again = MaintenanceLog.of(orders_in([*lines, later])[0])
    assert again.until(ids, device, at_ms)[0].tolist() == count.tolist()


def test_maintenance_lines_that_cannot_be_used_are_named() -> None:
    lines = ["{", "[]", '{"device_id":1,"finished_ms":2}', '{"device_id":"a"}', "7"]
    orders, wrong = orders_in(lines)
    assert orders == []
    assert [reason.split(":")[0] for reason in wrong] == [
        f"maintenance line {number}" for number in range(1, 6)
    ]


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ({"finished_ms": 1 << 80}, "finished_ms"),
        ({"finished_ms": -1}, "finished_ms"),
        ({"finished_ms": True}, "finished_ms"),
        ({"device_id": ""}, "device_id"),
        ({"order_id": 7}, "order_id"),
        ({"schema": 99}, "schema 99"),
    ],
)
def test_a_work_order_with_a_wrong_member_is_left_out_and_told(
    member: dict[str, object], named: str
) -> None:
    good = {"schema": 1, "device_id": "a", "order_id": "WO-1", "finished_ms": 5}
    orders, (reason,) = orders_in([json.dumps(good), json.dumps({**good, **member})])
    assert orders == [good]
    assert named in reason


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["schema", "device_id", "order_id", "finished_ms"]),
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=2), st.floats()),
        )
    )
)
def test_whatever_lines_say_each_is_an_order_or_has_a_reason(
    records: list[dict[str, object]],
) -> None:
    lines = [json.dumps({**record, "order_id": None}) for record in records]
    orders, wrong = orders_in(lines)
    assert len(orders) + len(wrong) == len(lines)


def test_a_unit_is_normalised_by_itself_and_a_new_one_by_its_kind() -> None:
    rng = np.random.default_rng(4)
    names = ("x", "still")
    rows = {
        "pump-1": np.column_stack([rng.normal(10, 2, 400), np.full(400, 3.0)]),
        "pump-2": np.column_stack([rng.normal(20, 2, 400), np.full(400, 3.0)]),
        "pump-3": np.column_stack([rng.normal(50, 2, MIN_ROWS - 1), np.full(MIN_ROWS - 1, 3.0)]),
    }
    moments = [
        (name, np.full(2, float(len(v))), v.mean(0), ((v - v.mean(0)) ** 2).sum(0))
        for name, v in rows.items()
    ]
    fitted = HealthyBaseline.of_moments(names, moments)
    assert HealthyBaseline.parse(fitted.to_json(), names).to_json() == fitted.to_json()
    ids = [*rows, "pump-9", "fan-1"]
    z = fitted.normalise(
        ids, np.arange(5), np.array([[10.0, 3], [20, 3], [17, 3], [17, 3], [1, 1]])
    )
    assert np.abs(z[:2, 0]).max() < 0.3
    assert z[2, 0] == z[3, 0]
    assert np.isnan(z[4]).all()
    assert np.isnan(z[:, 1]).all(), "a feature that never moved has no scale"
    assert fitted.kinds["pump"][1][0] == pytest.approx(2, rel=0.1), "within units, not between"
    assert (kind_of("gearbox-fan-12"), kind_of("x")) == ("gearbox-fan", "x")
    for text in ("{", "[]", json.dumps({"features": ["y"], "units": {}, "kinds": {}})):
        with pytest.raises(JobInputError, match="fit it again"):
            HealthyBaseline.parse(text, names)


COUNTS = {
    "readings": 80,
    "bursts": 10,
    "late": 9,
    "malformed": 10,
    "duplicates": 0,
    "missing": 16,
    "impossible": 0,
    "rows": 7,
}


def test_rules_are_judged_by_shares_of_what_they_are_about() -> None:
    rules = parse_rules('{"max_malformed_share":0.1,"max_late_share":0.05,"min_rows":8}')
    verdicts = {verdict.rule: verdict for verdict in judge(rules, COUNTS, n_sensors=2)}
    assert verdicts["max_malformed_share"].value == 0.1
    assert verdicts["max_malformed_share"].kept
    assert verdicts["max_late_share"].value == 0.1
    assert broken(list(verdicts.values())) == (
        "max_late_share is 0.05, found 0.1; min_rows is 8, found 7"
    )
    (missing,) = judge({"max_missing_share": 0.1}, COUNTS, n_sensors=2)
    assert (missing.value, missing.kept) == (0.1, True)
    nothing = dict.fromkeys(COUNTS, 0)
    assert (
        broken(judge(dict.fromkeys(("max_late_share", "max_missing_share"), 0.0), nothing, 2)) == ""
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"max_late":1}', '{"min_rows":-1}', '{"min_rows":"x"}']
)
def test_wrong_rules_are_named(text: str) -> None:
    with pytest.raises(JobInputError, match="--quality_rules"):
        parse_rules(text)


hours = st.dictionaries(
    st.integers(490_000, 490_060), st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=12
)


@given(hours, hours, st.integers(0, 3 * HOUR_MS))
def test_just_the_hours_that_depend_on_a_change_are_computed_again(
    before: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]], reach_ms: int
) -> None:
    then, named = (
        {partition_of(hour * HOUR_MS): pair for hour, pair in hours_of.items()}
        for hours_of in (before, now)
    )
    ranges = bookmark.changed_ranges(then, named, reach_ms)
    found = {hour for start, end in ranges for hour in range(start // HOUR_MS, end // HOUR_MS)}
    changed = {hour for hour, pair in now.items() if before.get(hour) != pair}
    reach = -(-reach_ms // HOUR_MS)
    assert found == {hour + step for hour in changed for step in range(-1, reach + 1)}
    assert all(a[1] < b[0] for a, b in pairwise(ranges)), "ranges are whole"
    assert bookmark.parse(bookmark.to_json(named, 7), 7) == named
    assert bookmark.parse(bookmark.to_json(named, 7), 8) == {}


def test_a_bookmark_or_a_folder_that_cannot_be_read_is_named() -> None:
    assert bookmark.parse(None, 7) == {}
    for text in ("{", "[]", '{"spec":7,"hours":{"a":[1]}}'):
        with pytest.raises(JobInputError, match="delete it"):
            bookmark.parse(text, 7)
    with pytest.raises(JobInputError, match="is not dt="):
        bookmark.hour_of("dt=2026-01-05/minute=3")
