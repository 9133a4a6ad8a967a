"""Days of monitoring of a simulated fleet: drift of all machines is trained on, faults are not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks import monitoring_month
from pipeline.model.hyperparameters import Hyperparameters
from simulator.tests.monitored_month import MACHINES, ONSET_H, gain, monitored, rows_of


def test_the_benchmarks_month_has_rows_of_every_hour_of_all_pumps() -> None:
    days = monitoring_month.TRAINED_DAYS + 1
    rows = rows_of(monitoring_month.plan_of(days))
    counts = [
        len(rows.within(monitoring_month.at_ms(hour), monitoring_month.at_ms(hour + 1)))
        for hour in range(1, 24 * days)
    ]
    assert set(counts) == {MACHINES * 15}


def test_a_stationary_fleet_drifts_in_less_than_one_window_in_twenty() -> None:
    month = monitored(8)
    assert month.judged == 7 * 24
    assert len(month.drifted) <= 0.05 * month.judged
    assert month.retrained == []


def test_new_firmware_of_all_sensors_is_found_at_once_trained_on_a_day_later_and_then_usual() -> (
    None
):
    """`benchmarks.monitoring` has how long both models are in alarm after it."""
    month = monitored(6, *(gain(machine, 0.3) for machine in range(1, MACHINES + 1)))
    before = [hour for hour in month.drifted if hour < ONSET_H]
    assert len(before) <= 2
    assert all("current_a_mean" in month.drifted[hour] for hour in range(ONSET_H, ONSET_H + 24))
    assert month.retrained == [ONSET_H + 24]
    after = range(ONSET_H + 24, 144)
    assert len([hour for hour in month.drifted if hour >= after.start]) <= 0.05 * len(after)
    _, old_share = month.false_alarms(0, after)
    episodes, new_share = month.false_alarms(1, after)
    assert old_share > 0.5
    assert new_share < 0.02
    machine_days = MACHINES * len(after) / 24
    designed = Hyperparameters(feature_spec="").false_alarms_per_machine_day
    assert episodes <= 1.5 * designed * machine_days + 2.0


def test_faults_of_a_quarter_of_the_machines_train_nothing() -> None:
    onsets = {1: 0.3, 5: 0.3, 9: 0.8}
    month = monitored(7, *(gain(machine, severity) for machine, severity in onsets.items()))
    assert month.retrained == []
    assert len(month.drifted) <= 0.05 * month.judged
    episodes, _ = month.false_alarms(0, range(ONSET_H, 168))
    assert episodes > 0, "the faults are found"


@pytest.mark.slow
def test_in_spring_new_models_call_seldom_and_the_first_one_would_be_in_alarm() -> None:
    """`benchmarks.monitoring` has the episodes of 28 days."""
    hours = 24 * 15
    month = monitored(15, season_swing_c=12.0)
    assert len(month.retrained) >= 2
    edges = [24, *month.retrained, hours]
    served = [month.false_alarms(at, range(*pair)) for at, pair in enumerate(pairwise(edges))]
    machine_days = MACHINES * (hours - 24) / 24
    assert sum(episodes for episodes, _ in served) <= 0.25 * machine_days
    assert all(share < 0.05 for _, share in served)
    _, aged = month.false_alarms(0, range(month.retrained[1], hours))
    assert aged > 0.5
