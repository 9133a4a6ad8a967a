"""The detection benchmark on simulated fleets: its rules, its questions, the page's part."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.detection import figures, fleet, fleet_reporting, fleet_rules, reporting
from benchmarks.detection.fleet_data import MachineRows, rows_of
from benchmarks.detection.fleet_scenarios import bearings, healthy_plant, spec
from pipeline.detection import episodes
from simulator.scenario import Scenario

HOP_MS = 10_000


@given(
    seed=st.integers(0, 2**32 - 1),
    memory=st.sampled_from([0, 3, 20]),
    gaps=st.lists(st.integers(1, 299), max_size=4),
    enter_rows=st.integers(1, 3),
    exit_rows=st.integers(1, 4),
)
def test_rows_judged_at_once_have_the_episodes_of_the_detector_that_sees_one_after_the_other(
    seed: int, memory: int, gaps: list[int], enter_rows: int, exit_rows: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2.0, 0.35, 300) * np.repeat(rng.choice([0.6, 1.5], 15), 20)
    deviations = rng.standard_normal((300, 2 if memory else 0)) + np.repeat(
        rng.choice([0.0, 1.5], 15), 20
    ).reshape(-1, 1)
    steps_ms = np.full(300, HOP_MS)
    steps_ms[gaps] = 9 * HOP_MS
    times_ms = np.cumsum(steps_ms)
    rule = episodes.Rule(4, 1.0, 0.8, enter_rows, exit_rows, 2 * HOP_MS, memory_rows=memory)
    found = fleet_rules.judged(rule, times_ms, scores, deviations)

    state, expected = episodes.EpisodeState(), []
    for row, time_ms in enumerate(times_ms.tolist()):
        levels = deviations[row].tolist()
        state, step = episodes.advance(state, rule, time_ms, scores[row], levels)
        smoothed = np.nan if step.smoothed is None else step.smoothed
        np.testing.assert_allclose(found.levels[row], smoothed, rtol=1e-9)
        if step.closed and step.episode is not None:
            expected.append(fleet_rules.Episode(step.episode.started_ms, time_ms))
    if state.is_open:
        expected.append(fleet_rules.Episode(state.started_ms, int(times_ms[-1])))
    assert list(found.episodes) == expected


def test_trivial_rules_look_at_no_sensor_and_an_alarm_that_is_always_on_never_ends() -> None:
    rows = rows_of(healthy_plant(3, 1, 0.25, 0.5), spec(), 1)
    (machine,) = rows.machines
    names = (fleet_rules.RANDOM, fleet_rules.ALWAYS, fleet_rules.INDEX)
    found = {name: judge(machine) for name, judge in fleet_rules.judges(rows, names).items()}
    blind = MachineRows(machine.device_id, machine.event_time_ms, np.zeros_like(machine.features))
    for name, judge in fleet_rules.judges(rows, names).items():
        np.testing.assert_array_equal(judge(blind).levels, found[name].levels)
    for name in (fleet_rules.ALWAYS, fleet_rules.INDEX):
        (only,) = found[name].episodes
        assert only.closed_ms == machine.event_time_ms[-1]
        assert found[name].in_episode.mean() > 0.99
    assert found[fleet_rules.RANDOM].in_episode.mean() < 0.05


def test_a_small_fleet_is_measured_from_its_samples_to_the_page() -> None:
    leads = fleet.run_to_failure(1, machines=3)
    assert leads["pipeline"].found_share > 0.0
    assert leads["always_alarm"].found_share == 0.0
    assert all(0.0 <= share <= 1.0 for share in leads["pipeline"].shares)
    faults = fleet.faults(1, machines=1, live_d=0.5)
    injected = sum(faults["pipeline"].injected.values())
    assert injected > 0
    assert sum(map(len, faults["always_alarm"].delays_s.values())) == injected
    assert faults["pipeline"].auc_pr > faults["random"].auc_pr
    healthy = fleet.healthy(1, (1,), machines=2, history_d=0.25, live_d=0.5)
    assert healthy["pipeline"].rate.exposure == pytest.approx(1.0, rel=0.01)
    assert healthy["always_alarm"].rate.count == 2
    body = reporting.merged({}, ["made"], [], [])
    stored = fleet_reporting.values(leads, faults, healthy)
    body["fleet"] = json.loads(json.dumps(stored))
    page = reporting.page(body)
    assert "machine-days" in page
    assert [name for name in fleet_rules.RULES if f"| {name} | " not in page] == []
    low, high = stored["measured_interval"]
    rate = figures.rows_of(body)[0]
    assert f"{low / 0.05:.2f} to {high / 0.05:.2f} times" in rate.against


def test_each_defect_of_a_bearing_is_told_and_the_latest_has_a_row_of_its_own() -> None:
    def leads(found: int, share: float) -> dict[str, float]:
        shares = (share,) * found + (0.0,) * (10 - found)
        return fleet_reporting.leads_of(
            fleet.LeadReport(tuple(part * 4_800.0 for part in shares), shares)
        )

    stored = {
        "bearing_outer_race": {"pipeline": leads(10, 0.8), "no_model": leads(1, 0.1)},
        "bearing_cage": {"pipeline": leads(8, 0.15), "no_model": leads(10, 0.9)},
    }
    found, lead = figures.rows_of({"fleet_defects": stored})
    assert (found.value, found.against_value, found.met) == (18.0, 20.0, False)
    assert "bearing cage" in lead.name
    assert (lead.value, lead.met) == (720.0, False)
    page = reporting.page({"fleet_defects": stored})
    assert "| bearing_cage | pipeline | 80% of 10 | 15% (12 min) | 0% |" in page


def test_bearings_fail_by_the_defect_that_is_asked_for() -> None:
    rows = rows_of(bearings(24, 2, "bearing_cage"), spec(), 1)
    faults = [fault for one in rows.machines for fault in rows.truth.of(one.device_id)]
    assert {fault.kind for fault in faults} == {"bearing_cage"}


def test_the_design_is_held_against_all_unseen_plants_together() -> None:
    def part(*plants: tuple[int, float]) -> dict[str, object]:
        stored = [{"episodes": count, "machine_days": days} for count, days in plants]
        return {"healthy_plants": stored, "designed_per_machine_day": 0.05}

    row = figures._pooled([part((6, 320.0), (20, 320.0)), part((22, 360.0))])
    assert row.against.startswith("48 in 1000 machine-days (95 %: 0.79 to 1.41 times)")
    assert row.ratio == pytest.approx(0.05 / 0.048)
    assert row.met
    assert not figures._pooled([part((6, 320.0))]).met


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_faults_of_the_scenario_that_a_new_user_runs_are_found(seed: int) -> None:
    rows = rows_of(Scenario.load("tiny").with_seed(seed), spec(), 1)
    judge = fleet_rules.judges(rows, ("pipeline",))["pipeline"]
    for machine in rows.machines:
        found = judge(machine).episodes
        for fault in rows.truth.of(machine.device_id):
            delays_s = [(each.opened_ms - fault.start_ms) / 1000 for each in found]
            # Half of the fault's own time at most: no episode that only just opened.
            assert any(0 <= delay <= 240 for delay in delays_s), fault.kind
