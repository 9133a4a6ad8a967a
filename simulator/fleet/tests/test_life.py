"""Lives of machines: whatever happens, what was told stays and the truth is what was applied."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InvariantBroken
from simulator.fleet.life import MachineLife
from simulator.fleet.maintenance import Decision
from simulator.fleet.parts import NEVER
from simulator.fleet.settings import LifeSettings, MaintenanceSettings, WearSettings
from simulator.fleet.streams import FloatArray

DEVICE = "pump-001"
HOUR_S = 3_600.0
TOTAL_S = 60 * HOUR_S


def life_settings(policy: str = "run_to_failure", **maintenance: object) -> LifeSettings:
    return LifeSettings(
        wear=(
            WearSettings("bearing_outer_race", 12 * HOUR_S, 1.5, "gamma", 5 * HOUR_S),
            WearSettings("seal_leak", 15 * HOUR_S, 2.0, "exponential", 6 * HOUR_S),
            WearSettings("filter_clogging", 20 * HOUR_S, 3.0, "wiener", 4 * HOUR_S),
        ),
        maintenance=MaintenanceSettings(
            policy,
            interval_s=8 * HOUR_S,
            response_s=HOUR_S,
            work_s=HOUR_S,
            **maintenance,  # type: ignore[arg-type]
        ),
    )


def life(seed: int = 1, policy: str = "run_to_failure", **maintenance: object) -> MachineLife:
    return MachineLife(seed, DEVICE, "centrifugal_pump", life_settings(policy, **maintenance))


def tell(machine: MachineLife, cuts: list[float], step_s: float = 60.0) -> dict[str, FloatArray]:
    """Return health and running of every sample, taken block by block."""
    t = np.arange(0.0, TOTAL_S, step_s)
    health, up = [], []
    for part in np.split(t, np.searchsorted(t, sorted(cuts))):
        if part.size:
            health.append(machine.health(part))
            up.append(machine.up(part))
    return {"t": t, "health": np.concatenate(health), "up": np.concatenate(up)}


policies = st.sampled_from(["run_to_failure", "time_based"])
cuts = st.lists(st.floats(0.0, TOTAL_S), max_size=8)
repairs = st.sampled_from(["perfect", "minimal", "imperfect"])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32), policy=policies, cut=cuts, repair=repairs, wrong=st.floats(0, 0.9)
)
def test_blocks_of_any_length_tell_the_same_life(
    seed: int, policy: str, cut: list[float], repair: str, wrong: float
) -> None:
    one, other = (life(seed, policy, repair=repair, wrong_part=wrong) for _ in range(2))
    whole, parts = tell(one, []), tell(other, cut)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])
    assert one.truth() == other.truth()
    assert one.work_orders == other.work_orders


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), policy=policies, wrong=st.floats(0, 0.5))
def test_the_truth_is_what_was_applied(seed: int, policy: str, wrong: float) -> None:
    machine = life(seed, policy, wrong_part=wrong)
    told = tell(machine, [])
    t, health, up = told["t"], told["health"], told["up"]
    assert health.min() >= 0.0
    assert health.max() <= 1.0
    down = np.zeros(len(t), bool)
    for stop in machine.stops():
        down |= (t >= stop.begun_s) & (t < stop.ended_s)
    np.testing.assert_array_equal(up, ~down)
    defective = np.zeros(len(t), bool)
    for defect in machine.truth():
        ended_s = NEVER if defect.ended_s is None else defect.ended_s
        defective |= (t > defect.begun_s) & (t < ended_s)
    # A Wiener process comes back to nothing now and then: a label without an effect is rare.
    assert not np.any((health < 1.0) & ~defective)
    assert np.mean((health == 1.0) & defective) < 0.05
    for failure in machine.failures:
        assert any(stop.begun_s == failure.at_s for stop in machine.stops())
    assert all(a.ended_s <= b.begun_s for a, b in pairwise(machine.stops()))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_remaining_life_falls_with_time_and_ends_in_the_failure(seed: int) -> None:
    machine = life(seed)
    t = tell(machine, [])["t"]
    left_s = machine.rul_s(t)
    up = np.isin(t, t[left_s > 0.0])
    steps = np.diff(left_s)
    running = up[1:] & up[:-1]
    renewed = {float(stop.ended_s) for stop in machine.stops()}
    for i in np.flatnonzero(running & (np.abs(steps + 60.0) > 1e-6)).tolist():
        assert any(t[i] < at_s <= t[i + 1] for at_s in renewed)
    for failure in machine.failures:
        before = np.searchsorted(t, failure.at_s) - 1
        if not up[before]:
            # It ran for less than a step: no sample saw it.
            continue
        assert left_s[before] == pytest.approx(failure.at_s - t[before], abs=1e-6)


def test_a_machine_that_wears_not_lives_for_ever() -> None:
    machine = MachineLife(1, DEVICE, "centrifugal_pump", LifeSettings())
    t = np.arange(0.0, 1e6, 1e3)
    assert machine.up(t).all()
    assert machine.health(t).min() == 1.0
    assert np.isinf(machine.rul_s(t)).all()


def test_overhauls_keep_a_machine_from_failing() -> None:
    failures = {
        policy: sum(len(_told(life(seed, policy)).failures) for seed in range(20))
        for policy in ("run_to_failure", "time_based")
    }
    assert failures["time_based"] < 0.5 * failures["run_to_failure"]


def test_an_order_comes_before_the_failure() -> None:
    defect = _told(life()).truth()[0]
    machine = life(policy="condition_based")
    t = np.arange(0.0, defect.begun_s + HOUR_S, 60.0)
    machine.up(t)
    machine.order(float(t[-1]), "alert", "a1")
    machine.up(np.arange(t[-1] + 60.0, defect.fails_s + 20 * HOUR_S, 60.0))
    order = machine.work_orders[0]
    assert (order.type, order.alert_id, order.found) == ("condition", "a1", defect.kind)
    assert order.started_s >= t[-1] + 600.0
    assert machine.truth()[0].ended_s == order.finished_s
    assert not machine.truth()[0].failed


def test_an_order_for_a_machine_that_has_one_is_counted_and_ignored() -> None:
    machine = life(policy="condition_based")
    for at_s in (0.0, 60.0, 90.0):
        machine.order(at_s)
    machine.up(np.array([HOUR_S]))
    assert machine.ignored_decisions == 2
    assert len(machine.decisions) == 3


def test_an_order_in_what_was_told_is_a_broken_invariant() -> None:
    machine = life(policy="condition_based")
    machine.up(np.array([2 * HOUR_S]))
    with pytest.raises(InvariantBroken, match=DEVICE):
        machine.order(HOUR_S)


def test_who_finds_nothing_repairs_nothing() -> None:
    machine = life(policy="condition_based")
    machine.order(0.0)
    machine.up(np.array([5 * HOUR_S]))
    order = machine.work_orders[0]
    assert (order.found, order.treated) == ("", ())
    assert order.finished_s - order.started_s < 0.5 * HOUR_S


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_a_wrong_part_leaves_the_machine_failed(wrong: float) -> None:
    machine = _told(life(3, wrong_part=wrong))
    first = machine.work_orders[0]
    assert first.is_running == (wrong == 0.0)
    assert (first.found in first.treated) == (wrong == 0.0)


def test_what_stands_still_does_not_wear() -> None:
    """While a machine waits for a repair, its other parts wait too, and so does the truth."""
    wear = tuple(
        WearSettings(kind, 10 * HOUR_S, 1.5, "gamma", 2 * HOUR_S)
        for kind in ("seal_leak", "bearing_outer_race", "filter_clogging")
    )
    slow = LifeSettings(wear, MaintenanceSettings(response_s=6 * HOUR_S, work_s=2 * HOUR_S))
    for seed in range(40):
        machine = MachineLife(seed, DEVICE, "centrifugal_pump", slow)
        for k in range(60):
            t = np.arange(k * HOUR_S, (k + 1) * HOUR_S, 300.0)
            levels = machine.severities(t)
            for stop in machine.stops():
                during = (t >= stop.begun_s) & (t < stop.ended_s)
                for level in levels.values():
                    assert np.all(np.diff(level[during]) <= 0.0)
            truth = machine.truth()
            failed = sorted(defect.kind for defect in truth if defect.failed)
            assert failed == sorted(failure.kind for failure in machine.failures)
            assert all(d.failed or d.ended_s or d.fails_s > t[-1] for d in truth)
        for order in machine.work_orders:
            assert order.found == order.cause, "the part that failed is what is found"


def test_orders_of_one_standstill_share_its_time() -> None:
    for seed in range(20):
        machine = life(seed, wrong_part=0.5)
        machine.up(np.array([TOTAL_S]))
        ended = [stop for stop in machine.stops() if stop.ended_s < NEVER]
        counted = [o for o in machine.work_orders if ended and o.finished_s <= ended[-1].ended_s]
        stood_s = sum(stop.ended_s - stop.begun_s for stop in ended)
        assert sum(order.down_s for order in counted) == pytest.approx(stood_s)


def test_a_life_told_in_one_go_costs_no_more_memory_than_in_blocks() -> None:
    machine = _told(life(repair="minimal"))
    assert len(machine.work_orders) > 5
    assert len(machine._past) <= 3
    assert len(machine._spells) <= 3


def test_imperfect_repairs_of_the_two_types_age_differently() -> None:
    def lives_s(kind: int, share: float) -> FloatArray:
        total = np.zeros(6)
        for seed in range(60):
            wear = (WearSettings("seal_leak", 10 * HOUR_S, 3.0, "exponential", HOUR_S),)
            work = MaintenanceSettings(
                response_s=600.0, work_s=600.0, repair="imperfect", kijima_type=kind, kijima_q=share
            )
            machine = MachineLife(seed, DEVICE, "centrifugal_pump", LifeSettings(wear, work))
            until_s = 0.0
            while len(machine.truth()) < 6:
                until_s += 10 * HOUR_S
                machine.up(np.array([until_s]))
            begun = [defect.begun_s for defect in machine.truth()][:6]
            starts = [0.0, *(stop.ended_s for stop in machine.stops())][:6]
            total += np.array(begun) - np.array(starts)
        return total / 60

    first, second = lives_s(1, 0.5), lives_s(2, 0.5)
    assert first[5] < 0.75 * first[1], "type 1 keeps falling"
    assert second[5] > 0.75 * second[1], "type 2 levels off"
    np.testing.assert_array_equal(lives_s(1, 0.0), lives_s(2, 0.0))


def test_decisions_of_other_devices_are_left_out() -> None:
    other = Decision(0.0, "pump-002")
    machine = MachineLife(
        1, DEVICE, "centrifugal_pump", life_settings("condition_based"), decisions=[other]
    )
    machine.up(np.array([5 * HOUR_S]))
    assert machine.work_orders == []


def _told(machine: MachineLife) -> MachineLife:
    machine.up(np.array([TOTAL_S]))
    return machine
