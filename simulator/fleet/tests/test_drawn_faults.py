"""Faults drawn at random, as properties over several rates, also of the same fault."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.catalogue import DEVICE_FAULTS, KINDS, SENSOR_FAULTS
from simulator.fleet.rates import drawn_faults
from simulator.fleet.settings import FaultPlan, FaultRate

LIVE_S = 5 * 86_400.0
DEVICES = {f"{kind.word}-00{i}": name for name, kind in KINDS.items() for i in (1, 2)}
IMBALANCE = FaultRate("imbalance", 4.0)

rates = st.lists(
    st.builds(
        FaultRate,
        kind=st.sampled_from(["imbalance", "gear_tooth", "spike", "dropout", *DEVICE_FAULTS]),
        per_machine_day=st.floats(0.0, 20.0),
        sensor=st.just(""),
    ),
    max_size=4,
)


def of(device: str, plans: tuple[FaultPlan, ...]) -> list[FaultPlan]:
    return [plan for plan in plans if plan.device == device]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rates=rates)
def test_faults_lie_in_the_live_part_and_the_same_fault_never_overlaps(
    seed: int, rates: list[FaultRate]
) -> None:
    plans = drawn_faults(seed, DEVICES, rates, LIVE_S)
    spans: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for plan in plans:
        assert plan.onset_s >= 0.0
        assert plan.onset_s + plan.duration_s <= LIVE_S
        assert 1_200.0 <= plan.duration_s <= 3_600.0
        assert 0.3 <= plan.severity <= 0.7
        key = (plan.device, plan.kind, plan.sensor)
        spans.setdefault(key, []).append((plan.onset_s, plan.onset_s + plan.duration_s))
    for found in spans.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(found)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rates=rates)
def test_every_fault_is_one_that_the_machine_can_have(seed: int, rates: list[FaultRate]) -> None:
    for plan in drawn_faults(seed, DEVICES, rates, LIVE_S):
        kind = KINDS[DEVICES[plan.device]]
        if plan.kind in DEVICE_FAULTS or plan.kind not in SENSOR_FAULTS:
            assert not plan.sensor
            assert plan.kind in (*kind.faults, *DEVICE_FAULTS)
        else:
            assert plan.sensor in kind.sensors


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), before=rates)
def test_other_devices_and_rates_of_other_faults_move_nothing(
    seed: int, before: list[FaultRate]
) -> None:
    others = [rate for rate in before if rate.kind != "imbalance"]
    alone = drawn_faults(seed, {"pump-002": "centrifugal_pump"}, [IMBALANCE], LIVE_S)
    among = drawn_faults(
        seed, {**DEVICES, "pump-002": "centrifugal_pump"}, [*others, IMBALANCE], LIVE_S
    )
    assert list(alone) == [plan for plan in of("pump-002", among) if plan.kind == "imbalance"]


def test_the_number_of_faults_is_that_of_a_poisson_process() -> None:
    # Short faults, so that the pauses between them hardly count.
    rate = FaultRate("spike", 2.0, duration_low_s=1.0, duration_high_s=2.0)
    devices = {f"pump-{i:03d}": "centrifugal_pump" for i in range(600)}
    plans = drawn_faults(1, devices, [rate], LIVE_S)
    counted = Counter(plan.device for plan in plans)
    counts = np.array([counted[device] for device in devices])
    assert counts.mean() == pytest.approx(10.0, abs=4 * np.sqrt(10.0 / 600))
    assert counts.var() == pytest.approx(10.0, rel=0.25)
    assert {plan.sensor for plan in plans} == set(KINDS["centrifugal_pump"].sensors)


def test_only_sensors_that_are_fitted_get_faults() -> None:
    spikes = FaultRate("spike", 5.0)
    plans = drawn_faults(1, DEVICES, [spikes], LIVE_S, fitted=("current_a", "temperature_c"))
    assert {plan.sensor for plan in plans} == {"current_a", "temperature_c"}
    assert drawn_faults(1, {"motor-001": "electric_motor"}, [spikes], LIVE_S, ("flow_m3_h",)) == ()
    frozen = FaultRate("frozen_timestamp", 5.0)
    assert drawn_faults(1, DEVICES, [frozen], LIVE_S, fitted=("current_a",))


def test_a_rate_of_some_kinds_of_machine_leaves_the_others_alone() -> None:
    rate = FaultRate("imbalance", 5.0, kinds_of_machine=("spindle",))
    found = {DEVICES[plan.device] for plan in drawn_faults(1, DEVICES, [rate], LIVE_S)}
    assert found == {"spindle"}
    assert drawn_faults(1, DEVICES, [FaultRate("imbalance", 0.0)], LIVE_S) == ()


def test_two_rates_of_the_same_fault_draw_differently_and_do_not_overlap() -> None:
    one = drawn_faults(1, DEVICES, [IMBALANCE], LIVE_S)
    two = drawn_faults(1, DEVICES, [IMBALANCE, IMBALANCE], LIVE_S)
    assert set(one) < set(two)
    for device in DEVICES:
        ordered = sorted(of(device, two), key=lambda plan: plan.onset_s)
        assert all(a.onset_s + a.duration_s <= b.onset_s for a, b in pairwise(ordered))
