"""Machine faults: every one of the catalogue has the effects that the literature gives it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.fleet import catalogue
from simulator.fleet.catalogue import KINDS
from simulator.fleet.faults import (
    EFFECT_NAMES,
    MACHINE_FAULTS,
    MachineEffects,
    fault_of,
    severities,
)
from simulator.fleet.settings import FaultPlan
from simulator.fleet.streams import FloatArray

T = np.arange(0.0, 1_000.0)
PUMP = "centrifugal_pump"

EXPECTED = {
    "bearing_outer_race": {"outer_race_m_s2", "broadband_mm_s", "heat"},
    "bearing_inner_race": {"inner_race_m_s2", "broadband_mm_s", "heat"},
    "bearing_ball": {"ball_m_s2", "broadband_mm_s", "heat"},
    "bearing_cage": {"cage_m_s2", "broadband_mm_s", "heat"},
    "imbalance": {"once_mm_s"},
    "misalignment": {"twice_mm_s", "once_mm_s", "heat"},
    "looseness": {"half_mm_s", "harmonics_mm_s"},
    "cavitation": {"flow", "pressure", "current", "ripple_bar", "cavitation_m_s2"},
    "overheating": {"heat"},
    "lubrication_loss": {"heat", "current", "friction_m_s2", "broadband_mm_s"},
    "seal_leak": {"flow", "pressure", "heat"},
    "filter_clogging": {"flow", "pressure", "heat"},
    "rotor_bar": {"slip_side", "current_swing", "speed"},
    "gear_tooth": {"mesh_mm_s", "mesh_side", "tooth_m_s2"},
    "thermal_runaway": {"runaway"},
}


class Worn:
    """A life with one defect of constant severity."""

    def __init__(self, fault: str, level: float) -> None:
        self.fault, self.level = fault, level

    def severities(self, t: FloatArray) -> dict[str, FloatArray]:
        return {self.fault: np.full_like(t, self.level)}

    def up(self, t: FloatArray) -> npt.NDArray[np.bool_]:
        return np.ones(len(t), dtype=bool)


def plan(fault: str, severity: float, onset_s: float = 200.0) -> FaultPlan:
    return FaultPlan("unit-001", fault, onset_s, 500.0, severity)


def test_every_machine_fault_of_the_catalogue_has_effects() -> None:
    assert set(MACHINE_FAULTS) == set(catalogue.MACHINE_FAULTS) == set(EXPECTED)


@pytest.mark.parametrize(("fault", "names"), EXPECTED.items())
def test_a_fault_acts_on_the_channels_that_show_it(fault: str, names: set[str]) -> None:
    for kind in KINDS:
        if fault in KINDS[kind].faults:
            assert all(getattr(fault_of(kind, fault), name) for name in names)


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from([(kind, fault) for kind in KINDS for fault in KINDS[kind].faults]),
    severity=st.floats(0.0, 1.0),
    more=st.floats(0.0, 1.0),
)
def test_severities_stay_between_0_and_1_and_within_their_label(
    which: tuple[str, str], severity: float, more: float
) -> None:
    kind, fault = which
    plans = [plan(fault, severity), plan(fault, more, 300.0)]
    for level in severities(kind, plans, None, 100.0, T).values():
        assert level.min() >= 0.0
        assert level.max() <= 1.0
        assert not level[T < 300.0].any()
        assert not level[T >= 900.0].any()


def test_a_fault_that_is_not_there_has_no_effect_at_all() -> None:
    healthy = MachineEffects(PUMP, severities(PUMP, [plan("imbalance", 0.0)], None, 0.0, T))
    values = np.ones(3)
    for name in EFFECT_NAMES:
        assert healthy.get(name) is None
        assert healthy.scaled(values, name) is values
        assert healthy.at(name, 1) == 0.0


def test_wear_and_planned_faults_add_up_to_1_at_most() -> None:
    levels = severities(PUMP, [plan("seal_leak", 0.7, 0.0)], Worn("seal_leak", 0.6), 0.0, T)
    assert levels["seal_leak"][450] == 1.0
    assert levels["seal_leak"][900] == 0.6
    assert severities(PUMP, [], Worn("seal_leak", 0.0), 0.0, T) == {}


def test_effects_of_several_faults_add_up() -> None:
    level = np.array([0.0, 0.5, 1.0])
    both = MachineEffects(PUMP, {"cavitation": level, "seal_leak": level}).get("pressure")
    assert both is not None
    np.testing.assert_allclose(both, (-0.14 - 0.12) * level)


def test_cavitation_costs_between_5_and_15_per_cent_of_the_flow() -> None:
    assert -0.15 <= fault_of(PUMP, "cavitation").flow <= -0.05


def test_a_clogged_filter_raises_the_pressure_of_a_fan_and_lowers_that_of_a_pump() -> None:
    assert fault_of("gearbox_fan", "filter_clogging").pressure > 0.0
    assert fault_of(PUMP, "filter_clogging").pressure < 0.0
    assert all(
        fault_of(kind, "filter_clogging").flow < -0.1
        for kind in KINDS
        if "filter_clogging" in KINDS[kind].faults
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_refuses_the_faults_that_it_cannot_have(kind: str) -> None:
    for fault in set(MACHINE_FAULTS) - set(KINDS[kind].faults):
        with pytest.raises(ScenarioError, match=fault):
            fault_of(kind, fault)
