"""The words found, false alarm and repeat; the sums; the quantiles."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InvariantBroken
from simulator.report import Episode, Fault, Judged, Readings, RunReport, Stage

DEVICES = ("pump-001", "pump-002")
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def fault(onset_ms: int, end_ms: int, device: str = "pump-001") -> Fault:
    return Fault(device, "bearing_outer_race", onset_ms, end_ms, 0.5)


def episode(
    started_ms: int,
    ended_ms: int | None = None,
    device: str = "pump-001",
    rule: str = "model",
) -> Episode:
    return Episode(device, rule, started_ms, ended_ms, 1.5, {}, f"{rule}-{device}-{started_ms}")


def report(
    faults: list[Fault] | None = None,
    episodes: list[Episode] | None = None,
    readings: Readings | None = None,
    **more: object,
) -> RunReport:
    made = RunReport(
        scenario="s",
        seed=1,
        target="embedded",
        virtual_s=10.0,
        wall_s=1.0,
        readings=readings or Readings(10, 1, 2, 7, 5, 1, 1),
        faults=faults or [],
        episodes=episodes or [],
        machine_days=2.0,
        stages=[Stage("boot", 1.0, 0.0)],
        started=datetime(2026, 1, 5, tzinfo=UTC),
    )
    return replace(made, **more)  # type: ignore[arg-type]


faults = st.lists(
    st.builds(
        lambda onset, length, device: fault(onset, onset + length, device),
        st.integers(0, HOUR_MS),
        st.integers(0, HOUR_MS),
        st.sampled_from(DEVICES),
    ),
    max_size=4,
)
episodes = st.lists(
    st.builds(
        lambda start, length, device: episode(start, start + length, device),
        st.integers(0, 3 * HOUR_MS),
        st.integers(0, HOUR_MS),
        st.sampled_from(DEVICES),
    ),
    max_size=8,
    unique_by=lambda each: (each.device_id, each.started_ms),
)


@given(faults, episodes)
def test_every_episode_is_found_or_repeat_or_false_alarm_and_nothing_else(
    truth: list[Fault], said: list[Episode]
) -> None:
    judged = Judged.judge(truth, said)
    finders = {each.detection_id for each in judged.found.values()}
    repeats = {each.detection_id for each in judged.repeats}
    false_alarms = {each.detection_id for each in judged.false_alarms}
    assert len(finders | repeats | false_alarms) == len(said)
    assert len(finders) + len(repeats) + len(false_alarms) == len(said)
    for each in said:
        words = {"found": finders, "repeat": repeats, "false_alarm": false_alarms}
        assert each.detection_id in words[judged.outcome(each)]


@given(faults, episodes)
def test_a_fault_is_found_by_the_first_episode_that_starts_from_onset_to_a_minute_after_its_end(
    truth: list[Fault], said: list[Episode]
) -> None:
    judged = Judged.judge(truth, said)
    for number, each in enumerate(truth):
        starts = [
            e.started_ms
            for e in said
            if e.device_id == each.device_id
            and each.onset_ms <= e.started_ms <= each.end_ms + MINUTE_MS
        ]
        if starts:
            assert judged.found[number].started_ms == min(starts)
        else:
            assert number not in judged.found


@given(faults, episodes)
def test_delays_are_never_negative_and_one_for_each_fault_found(
    truth: list[Fault], said: list[Episode]
) -> None:
    judged = Judged.judge(truth, said)
    assert len(judged.delays_s) == len(judged.found)
    assert all(delay >= 0 for delay in judged.delays_s)


@given(faults, episodes, st.randoms(use_true_random=False))
def test_the_order_of_the_episodes_changes_nothing(
    truth: list[Fault], said: list[Episode], random: object
) -> None:
    shuffled = sorted(said, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert Judged.judge(truth, said) == Judged.judge(truth, shuffled)


@given(faults, episodes)
def test_the_end_of_an_episode_changes_nothing(truth: list[Fault], said: list[Episode]) -> None:
    open_ended = [replace(each, ended_ms=None) for each in said]
    before, after = Judged.judge(truth, said), Judged.judge(truth, open_ended)
    assert before.delays_s == after.delays_s
    assert len(before.false_alarms) == len(after.false_alarms)


@pytest.mark.parametrize(
    ("started_ms", "outcome"),
    [
        (99_999, "false_alarm"),
        (100_000, "found"),
        (200_000, "found"),
        (260_000, "found"),
        (260_001, "false_alarm"),
    ],
)
def test_the_borders_of_found(started_ms: int, outcome: str) -> None:
    said = episode(started_ms)
    assert Judged.judge([fault(100_000, 200_000)], [said]).outcome(said) == outcome


def test_an_episode_open_at_the_onset_finds_nothing_and_is_a_false_alarm() -> None:
    said = episode(50_000, 150_000)
    judged = Judged.judge([fault(100_000, 200_000)], [said])
    assert judged.found == {}
    assert judged.false_alarms == [said]


def test_a_second_episode_inside_a_fault_is_a_repeat_and_no_false_alarm() -> None:
    first, second = episode(110_000, 120_000), episode(150_000)
    judged = Judged.judge([fault(100_000, 200_000)], [second, first])
    assert judged.found == {0: first}
    assert (judged.repeats, judged.false_alarms) == ([second], [])


def test_an_episode_of_another_machine_finds_nothing() -> None:
    said = episode(150_000, device="pump-002")
    judged = Judged.judge([fault(100_000, 200_000)], [said])
    assert (judged.found, judged.false_alarms) == ({}, [said])


def test_one_episode_finds_two_faults_that_overlap() -> None:
    said = episode(150_000)
    judged = Judged.judge([fault(100_000, 200_000), fault(140_000, 300_000)], [said])
    assert judged.found == {0: said, 1: said}
    assert judged.delays_s == [50.0, 10.0]


def test_the_rules_are_judged_apart_and_only_the_models_episodes_are_detections() -> None:
    model, other = episode(150_000), episode(120_000, rule="no_model")
    stray = episode(10_000, rule="no_model")
    values = report([fault(100_000, 200_000)], [model, other, stray]).to_json()
    assert values["faults"] == {"total": 1, "found": 1}
    assert values["false_alarms"]["episodes"] == 0
    assert values["no_model"] == {"found": 1, "false_alarm_episodes": 1}
    assert [each["detection_id"] for each in values["detections"]] == [model.detection_id]
    assert values["truth"][0]["delay_s"] == 50.0


def test_a_report_without_faults_has_no_delays_and_divides_by_no_zero() -> None:
    values = report(machine_days=0.0).to_json()
    assert values["detection_delay_s"] == {"median": None, "p90": None}
    assert values["false_alarms"] == {"episodes": 0, "per_machine_day": 0.0}
    json.dumps(values, allow_nan=False)


@given(st.lists(st.integers(0, HOUR_MS), min_size=1, max_size=20))
def test_median_and_p90_are_delays_that_occurred_in_order(onsets: list[int]) -> None:
    truth = [fault(0, HOUR_MS, f"pump-{number:03d}") for number in range(len(onsets))]
    said = [episode(at, device=truth[number].device_id) for number, at in enumerate(onsets)]
    delays = report(truth, said).to_json()["detection_delay_s"]
    occurred = sorted(at / 1000 for at in onsets)
    assert delays["median"] in occurred
    assert delays["p90"] in occurred
    assert occurred[0] <= delays["median"] <= delays["p90"] <= occurred[-1]
    assert sum(each <= delays["median"] for each in occurred) >= len(occurred) / 2
    assert sum(each <= delays["p90"] for each in occurred) >= len(occurred) * 0.9


amounts = st.integers(0, 1_000_000)


@given(*[amounts] * 5)
def test_books_that_add_up_have_no_problem(
    lost: int, discarded: int, stored: int, late: int, dead: int
) -> None:
    delivered = stored + late + dead
    books = Readings(lost + discarded + delivered, lost, discarded, delivered, stored, late, dead)
    assert books.problems() == []
    report(readings=books).check()


COUNTED = (
    *("published", "lost_in_network", "discarded_by_broker", "delivered", "stored", "late"),
    "dead_lettered",
)


@given(st.sampled_from(COUNTED), st.integers(1, 1000))
def test_one_count_that_is_off_is_noticed_and_stops_the_run(name: str, more: int) -> None:
    books = Readings(10, 1, 2, 7, 5, 1, 1)
    wrong = replace(books, **{name: getattr(books, name) + more})
    assert wrong.problems()
    with pytest.raises(InvariantBroken, match="do not add up"):
        report(readings=wrong).check()


def test_a_reading_that_lies_in_the_raw_zone_twice_stops_the_run() -> None:
    with pytest.raises(InvariantBroken, match="twice"):
        report(raw_zone={"problems": ["1 readings lie in the raw zone twice"]}).check()
