"""Kinds of machine: laws of physics, and faults in the lines where the literature has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import KINDS, SENSOR_LIMITS
from simulator.fleet.faults import HEALTHY, MachineEffects
from simulator.fleet.kinds import physics_of
from simulator.fleet.kinds.compressor import FILL_S, discharge_rise_c
from simulator.fleet.kinds.kind import Kind
from simulator.fleet.machine import Machine
from simulator.fleet.operation import Operation
from simulator.fleet.settings import FaultPlan, FleetSettings
from simulator.fleet.spectra import envelope_spectrum
from simulator.fleet.streams import FloatArray
from simulator.fleet.vibration import VibrationState

SPEEDS = st.floats(0.4, 1.0)
SEEDS = st.integers(0, 2**32)
QUIET = FleetSettings(operation="continuous", burst_period_s=10.0, burst_length_s=0.01)


def draw(kind: str, seed: int = 1) -> Kind:
    return physics_of(kind).draw(seed, "unit-001", 1.0)


def at(speed: float, load: float = 1.0, count: int = 1) -> Operation:
    return Operation(np.full(count, speed), np.full(count, load), None, np.full(count, 7.3))


def with_fault(kind: str, fault: str, level: float = 1.0) -> MachineEffects:
    return MachineEffects(kind, {fault: np.full(1, level)})


def state_of(kind: str, effects: MachineEffects, speed: float = 0.9) -> VibrationState:
    physics, point = draw(kind), at(speed, 0.8)
    return physics.state(0, point, effects, physics.powers(point, effects))


def lines_of(kind: str, effects: MachineEffects, speed: float = 0.9) -> dict[float, float]:
    """Return order of the shaft -> squared velocity."""
    state = state_of(kind, effects, speed)
    physics, point = draw(kind), at(speed, 0.8)
    shaft_hz = physics.rated_hz * float(physics.shaft_share(point, effects)[0])
    orders: dict[float, float] = {}
    for line in state.lines:
        order = round(line.frequency_hz / shaft_hz, 3)
        orders[order] = orders.get(order, 0.0) + line.velocity_mm_s**2
    return orders


def grown(kind: str, fault: str) -> set[float]:
    """Return the orders that a fault raises by a quarter of a mm/s or more."""
    healthy, faulty = lines_of(kind, HEALTHY), lines_of(kind, with_fault(kind, fault))
    least = (0.25 * draw(kind).vibration_scale) ** 2
    return {order for order in faulty if faulty[order] - healthy.get(order, 0.0) > least}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_the_sensors_of_the_catalogue(kind: str) -> None:
    models = draw(kind).models
    assert tuple(model.name for model in models) == KINDS[kind].sensors
    assert all((m.lowest, m.highest) == SENSOR_LIMITS[m.name] for m in models)


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ScenarioError, match="no machine 'turbine'; there are centrifugal_pump"):
        physics_of("turbine")


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=SEEDS)
def test_individuals_differ_and_are_the_same_every_time(kind: str, seed: int) -> None:
    one, again, other = draw(kind, seed), draw(kind, seed), draw(kind, seed + 1)
    assert one.rated_current_a == again.rated_current_a != other.rated_current_a
    assert one.rated_current_a == pytest.approx(other.rated_current_a, rel=0.25)
    assert 0.3 < one.mean_losses("cycling", 24.0) < 1.1


@settings(max_examples=30, deadline=None)
@given(speed=SPEEDS, seed=SEEDS)
def test_a_pump_obeys_the_affinity_laws(speed: float, seed: int) -> None:
    pump = draw("centrifugal_pump", seed)
    suction = float(pump.pressure_bar(at(0.0), HEALTHY)[0])
    head = pump.pressure_bar(at(speed), HEALTHY) - suction
    rated = pump.pressure_bar(at(1.0), HEALTHY) - suction
    np.testing.assert_allclose(head, speed**2 * rated)
    np.testing.assert_allclose(pump.torque(at(speed)), speed**2 * pump.torque(at(1.0)))
    flow = pump.flow_m3_h(at(speed), HEALTHY)
    np.testing.assert_allclose(flow, speed * pump.flow_m3_h(at(1.0), HEALTHY))


def test_a_pump_has_the_numbers_of_its_design() -> None:
    pump = draw("centrifugal_pump", 5)
    assert float(pump.pressure_bar(at(1.0), HEALTHY)[0]) == pytest.approx(6.0, rel=0.12)
    assert float(pump.load_square(at(1.0), HEALTHY)[0]) == pytest.approx(1.0)
    np.testing.assert_allclose(
        pump.load_square(at(0.8, 0.9), HEALTHY),
        0.09 + 0.91 * (0.8**2 * (0.45 + 0.55 * 0.9)) ** 2,
    )


@settings(max_examples=30, deadline=None)
@given(speed=SPEEDS, seed=SEEDS)
def test_a_fan_obeys_the_fan_laws(speed: float, seed: int) -> None:
    fan = draw("gearbox_fan", seed)
    rated = fan.pressure_bar(at(1.0), HEALTHY)
    np.testing.assert_allclose(fan.pressure_bar(at(speed), HEALTHY), speed**2 * rated)
    assert 0.02 < float(rated[0]) < 0.03
    assert fan.orders["mesh"] * fan.rated_hz == pytest.approx(29 * 24.5)
    assert fan.orders["pinion"] * fan.rated_hz == pytest.approx(24.5)


def test_the_slip_of_a_motor_is_in_proportion_to_its_torque() -> None:
    motor = draw("electric_motor")
    rpm = {load: 1_455.0 * float(motor.shaft_share(at(1.0, load), HEALTHY)[0]) for load in (0, 1)}
    assert rpm[1] == pytest.approx(1_455.0)
    assert rpm[0] == pytest.approx(1_500.0, rel=2e-3)


def test_a_spindle_turns_between_6000_and_18000_rpm() -> None:
    spindle = physics_of("spindle")
    rpm = [60.0 * spindle.rated_hz * level for level in spindle.duty.speed_levels]
    assert min(rpm) == pytest.approx(6_000.0)
    assert max(rpm) == pytest.approx(18_000.0)


def test_a_polytropic_compression_heats_as_the_formula_says() -> None:
    one, two = np.array(1.013 * (2.0 - 1.0)), np.array(20.0)
    assert float(discharge_rise_c(one, two, 1.4)) == pytest.approx(293.15 * (2 ** (2 / 7) - 1))
    assert float(discharge_rise_c(np.zeros(1), np.full(1, 20.0), 1.2)[0]) == 0.0
    assert 55.0 < draw("compressor").rated_rise_c < 75.0


@settings(max_examples=15, deadline=None)
@given(demand=st.floats(0.3, 0.9))
def test_a_compressor_is_loaded_for_the_share_that_is_drawn(demand: float) -> None:
    compressor = draw("compressor")
    point = compressor.condition(at(1.0, demand, 20_000), HEALTHY)
    assert set(point.load.tolist()) == {0.0, 1.0}
    # Samples of 1 s see the switch up to one sample late in every cycle, and half a cycle is cut.
    seen_late = demand * (1.0 - demand) / FILL_S
    assert point.load.mean() == pytest.approx(demand, abs=seen_late + FILL_S / 20_000)
    pressure = compressor.pressure_bar(point, HEALTHY)
    assert pressure.min() > 6.85
    assert pressure.max() < 7.9
    rising = np.diff(pressure) > 0.0
    assert (rising == (point.load[1:] == 1.0)).mean() > 0.9
    leaking = draw("compressor").condition(
        at(1.0, demand, 20_000), MachineEffects("compressor", {"seal_leak": np.ones(20_000)})
    )
    assert leaking.load.mean() > point.load.mean() + 0.02


@settings(max_examples=40, deadline=None)
@given(
    which=st.sampled_from([(kind, fault) for kind in KINDS for fault in KINDS[kind].faults]),
    level=st.floats(0.0, 1.0),
    speed=SPEEDS,
)
def test_the_lines_of_a_burst_hold_the_velocity_that_the_channel_shows(
    which: tuple[str, str], level: float, speed: float
) -> None:
    kind, fault = which
    physics, point, effects = draw(kind), at(speed, 0.8), with_fault(kind, fault, level)
    powers = physics.powers(point, effects)
    state = physics.state(0, point, effects, powers)
    in_lines = sum(line.velocity_mm_s**2 for line in state.lines)
    overall = sum(float(power[0]) for power in powers.values())
    assert in_lines + float(powers["broadband"][0]) == pytest.approx(overall, rel=1e-9)
    assert all(line.frequency_hz > 0.0 for line in state.lines)
    assert 0.1 < math.sqrt(overall) < 12.0


@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_the_shaft_raise_the_lines_that_the_literature_names(kind: str) -> None:
    assert grown(kind, "imbalance") == {1.0}
    assert grown(kind, "misalignment") >= {1.0, 2.0, 3.0}
    assert grown(kind, "looseness") >= {0.5, 1.0, 2.0, 3.0, 4.0, 5.0}
    lines = lines_of(kind, with_fault(kind, "misalignment"))
    assert lines[2.0] > lines_of(kind, HEALTHY)[2.0] * 1.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("defect", ["outer_race", "inner_race", "ball", "cage"])
def test_a_damaged_bearing_strikes_at_the_frequency_of_the_defect(kind: str, defect: str) -> None:
    state = state_of(kind, with_fault(kind, f"bearing_{defect}", 0.5))
    shaft_hz = draw(kind).rated_hz * float(draw(kind).shaft_share(at(0.9, 0.8), HEALTHY)[0])
    bearing = draw(kind).bearing
    expected = {
        "outer_race": bearing.outer_race_hz(shaft_hz),
        "inner_race": bearing.inner_race_hz(shaft_hz),
        "ball": 2.0 * bearing.ball_spin_hz(shaft_hz),
        "cage": bearing.cage_hz(shaft_hz),
    }[defect]
    assert [round(impacts.rate_hz, 6) for impacts in state.impacts] == [round(expected, 6)]
    assert not state_of(kind, HEALTHY).impacts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("defect", ["outer_race", "inner_race", "ball"])
def test_the_envelope_of_a_burst_shows_the_defect_within_1_per_cent(kind: str, defect: str) -> None:
    fleet = FleetSettings(operation="continuous", burst_length_s=2.0)
    worn = FaultPlan("unit-001", f"bearing_{defect}", -1e5, 2e5, 0.6)
    healthy, faulty = (
        Machine("unit-001", kind, 1, fleet, 0.0, plans).take(130).bursts[0]
        for plans in ((), (worn,))
    )
    expected_hz = faulty.state.impacts[0].rate_hz
    # The strikes on a spindle come so fast that only a wide band holds two of their multiples.
    band = (800.0, 5_800.0) if kind == "spindle" else (2_700.0, 3_700.0)
    frequency_hz, height = envelope_spectrum(faulty.samples, faulty.rate_hz, *band)
    near = (frequency_hz > 0.7 * expected_hz) & (frequency_hz < 1.3 * expected_hz)
    assert frequency_hz[near][np.argmax(height[near])] == pytest.approx(expected_hz, rel=0.01)
    _, before = envelope_spectrum(healthy.samples, healthy.rate_hz, *band)
    assert height[near].max() > 3.0 * before[near].max()


def test_a_damaged_tooth_modulates_the_mesh_once_per_turn_of_the_pinion() -> None:
    state = state_of("gearbox_fan", with_fault("gearbox_fan", "gear_tooth"))
    mesh = max(state.lines, key=lambda line: line.side_depth)
    assert mesh.frequency_hz / mesh.side_hz == pytest.approx(29.0)
    assert [impacts.rate_hz for impacts in state.impacts] == [pytest.approx(mesh.side_hz)]
    assert grown("gearbox_fan", "gear_tooth") == {44.0}


def test_the_side_bands_of_a_broken_bar_need_a_load() -> None:
    effects = with_fault("electric_motor", "rotor_bar")
    motor = draw("electric_motor")

    def once(load: float) -> tuple[float, float]:
        point = at(1.0, load)
        line = motor.state(0, point, effects, motor.powers(point, effects)).lines[0]
        return line.side_hz, line.side_depth

    np.testing.assert_allclose(once(1.0), (2.0 * 0.03 * 50.0, 0.8))
    assert once(0.5)[0] == pytest.approx(0.5 * once(1.0)[0])
    assert once(0.0) == (0.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_at_rest_has_no_line_and_no_impact(kind: str) -> None:
    for fault in KINDS[kind].faults:
        still = state_of(kind, with_fault(kind, fault), speed=0.0)
        assert not still.lines
        assert not still.impacts
        assert not still.bands
        assert 0.0 < still.broadband_m_s2 < 0.1


def difference(kind: str, fault: str, name: str) -> FloatArray:
    plan = FaultPlan("unit-001", fault, 0.0, 6_000.0, 1.0)
    machines = [
        Machine("unit-001", kind, 1, QUIET, 0.0, plans, with_bursts=False)
        for plans in ((), (plan,))
    ]
    healthy, faulty = (machine.take(6_000).values[name][3_000:4_400] for machine in machines)
    return np.asarray(faulty - healthy)


@pytest.mark.parametrize("kind", KINDS)
def test_misalignment_warms_by_some_kelvin(kind: str) -> None:
    assert 2.0 < difference(kind, "misalignment", "temperature_c").mean() < 12.0


@pytest.mark.parametrize("kind", [k for k in KINDS if "flow_m3_h" in KINDS[k].sensors])
def test_a_clogged_filter_costs_flow_and_warms(kind: str) -> None:
    assert difference(kind, "filter_clogging", "flow_m3_h").mean() < 0.0
    assert difference(kind, "filter_clogging", "temperature_c").mean() > 0.3


def test_a_broken_bar_makes_the_current_of_a_loaded_motor_swing() -> None:
    swing = difference("electric_motor", "rotor_bar", "current_a")
    assert swing.std() > 0.8
    assert abs(swing.mean()) < 1.5


def test_cavitation_makes_the_pressure_ripple() -> None:
    ripple = difference("centrifugal_pump", "cavitation", "pressure_bar")
    assert ripple.std() == pytest.approx(0.25, rel=0.2)
    assert ripple.mean() < -0.3
