"""Machines of every kind: the same signal however it is cut, and labels that match effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import DEVICE_FAULTS, KINDS, SENSOR_FAULTS, SENSOR_LIMITS
from simulator.fleet.faults import Life
from simulator.fleet.machine import Machine
from simulator.fleet.operation import OPERATIONS
from simulator.fleet.settings import FaultPlan, FleetSettings
from simulator.fleet.streams import FloatArray

DEVICE = "unit-001"
LIVE_S = 300.0
TOTAL = 900
ONSET, END = 400, 800
SHORT_BURSTS = FleetSettings(burst_period_s=60.0, burst_length_s=0.05)
FRIDAY_EVENING_S = 1_767_995_700.0
"""21:55 UTC on a Friday, five minutes before the second shift ends for the week-end."""

BY_KIND = [(kind, fault) for kind in KINDS for fault in KINDS[kind].faults]
PLANNED = [fault for fault in SENSOR_FAULTS if fault not in DEVICE_FAULTS]


class Wear(NamedTuple):
    """A life that is what it is told to be."""

    levels: Mapping[str, float]
    down_from_s: float = 1e9
    down_to_s: float = 1e9

    def severities(self, t: FloatArray) -> dict[str, FloatArray]:
        return {fault: np.where(t >= ONSET, level, 0.0) for fault, level in self.levels.items()}

    def up(self, t: FloatArray) -> npt.NDArray[np.bool_]:
        return (t < self.down_from_s) | (t >= self.down_to_s)


class Record(NamedTuple):
    times_s: FloatArray
    values: dict[str, FloatArray]
    bursts: dict[int, bytes]
    running: FloatArray


def plan(fault: str, severity: float = 0.6, sensor: str = "velocity_mm_s_rms") -> FaultPlan:
    return FaultPlan(DEVICE, fault, 100.0, 400.0, severity, sensor if fault in PLANNED else "")


def make(
    kind: str,
    *plans: FaultPlan,
    seed: int = 1,
    life: Life | None = None,
    fleet: FleetSettings = SHORT_BURSTS,
    start_epoch_s: float = FRIDAY_EVENING_S,
) -> Machine:
    return Machine(DEVICE, kind, seed, fleet, LIVE_S, plans, life, start_epoch_s)


def record(machine: Machine, blocks: Sequence[int] = (TOTAL,)) -> Record:
    parts = [machine.take(count) for count in blocks]
    return Record(
        np.concatenate([p.times_s for p in parts]),
        {n: np.concatenate([p.values[n] for p in parts]) for n in machine.sensors},
        {b.seq: b.samples.tobytes() for p in parts for b in p.bursts},
        np.concatenate(
            [np.ones(len(p.times_s)) if p.running is None else p.running for p in parts]
        ),
    )


def whole(kind: str, *plans: FaultPlan, seed: int = 1, total: int = TOTAL) -> dict[str, FloatArray]:
    return record(make(kind, *plans, seed=seed), [total]).values


def assert_same(one: Record, other: Record) -> None:
    for name, values in one.values.items():
        assert values.tobytes() == other.values[name].tobytes(), name
    assert one.bursts == other.bursts
    assert one.running.tobytes() == other.running.tobytes()


def cuts(total: int) -> st.SearchStrategy[list[int]]:
    places = st.sets(st.integers(1, total - 1), max_size=8)
    return places.map(lambda cut: np.diff([0, *sorted(cut), total]).tolist())


@settings(max_examples=60, deadline=None)
@given(
    blocks=cuts(TOTAL),
    which=st.sampled_from(BY_KIND),
    sensor_fault=st.sampled_from(PLANNED),
    mode=st.sampled_from(OPERATIONS),
    down_s=st.tuples(st.integers(0, 900), st.integers(0, 300)),
    seed=st.integers(0, 2**32),
)
def test_blocks_of_any_length_give_the_same_signal(
    blocks: list[int],
    which: tuple[str, str],
    sensor_fault: str,
    mode: str,
    down_s: tuple[int, int],
    seed: int,
) -> None:
    kind, fault = which
    fleet = FleetSettings(operation=mode, burst_period_s=150.0, burst_length_s=0.02)
    life = Wear({"imbalance": 0.3, fault: 0.8}, down_s[0], down_s[0] + down_s[1])
    once, cut = (
        record(
            make(kind, plan(fault, 1.0), plan(sensor_fault), seed=seed, life=life, fleet=fleet),
            lengths,
        )
        for lengths in ([TOTAL], blocks)
    )
    np.testing.assert_array_equal(once.times_s, cut.times_s)
    assert_same(once, cut)
    assert sorted(once.bursts) == list(range(len(once.bursts)))


@pytest.mark.parametrize(("kind", "fault"), BY_KIND)
def test_a_fault_of_zero_severity_changes_no_bit(kind: str, fault: str) -> None:
    healthy = record(make(kind, seed=3))
    assert_same(healthy, record(make(kind, plan(fault, 0.0), seed=3)))
    assert_same(healthy, record(make(kind, seed=3, life=Wear({fault: 0.0}))))


@pytest.mark.parametrize(("kind", "fault"), BY_KIND)
def test_the_label_matches_the_effect(kind: str, fault: str) -> None:
    healthy, faulty = record(make(kind)), record(make(kind, plan(fault, 1.0)))
    changed = np.zeros(TOTAL, dtype=bool)
    # A machine that its protection switched off needs a while to be at its speed again.
    over = END + (120 if fault == "thermal_runaway" else 0)
    for name, values in healthy.values.items():
        differs = values != faulty.values[name]
        assert not differs[:ONSET].any()
        changed |= differs
        if name != "temperature_c":
            assert not differs[over:].any(), f"only heat may outlast the label, not {name}"
    assert changed[ONSET:END].mean() > 0.5
    for seq, samples in healthy.bursts.items():
        end = healthy.times_s[0] + 60 * seq + _first_end(kind)
        if not ONSET <= end < over:
            assert samples == faulty.bursts[seq]


def _first_end(kind: str) -> float:
    machine = make(kind)
    block = machine.take(70)
    return float(block.bursts[0].end_s - block.times_s[0])


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(BY_KIND),
    severity=st.floats(0.0, 1.0),
    other=st.sampled_from(PLANNED),
    mode=st.sampled_from(OPERATIONS),
    seed=st.integers(0, 2**32),
)
def test_every_value_stays_within_what_its_sensor_can_show(
    which: tuple[str, str], severity: float, other: str, mode: str, seed: int
) -> None:
    kind, fault = which
    fleet = FleetSettings(operation=mode, burst_period_s=0.0)
    life = Wear({"overheating": 1.0, "looseness": severity}, 600.0, 700.0)
    for sensor in KINDS[kind].sensors:
        plans = (plan(fault, severity), plan(other, severity, sensor))
        values = record(make(kind, *plans, seed=seed, life=life, fleet=fleet)).values
        assert tuple(values) == KINDS[kind].sensors
        for name, shown in values.items():
            lowest, highest = SENSOR_LIMITS[name]
            valid = shown if name != sensor else shown[~np.isnan(shown)]
            assert np.isfinite(valid).all()
            assert valid.min(initial=highest) >= lowest
            assert valid.max(initial=lowest) <= highest


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_that_is_not_up_stands_still_and_cools_down(kind: str) -> None:
    life = Wear({"imbalance": 1.0}, down_from_s=600.0)
    stopped = record(make(kind, life=life), [9_000])
    rest = {name: values[1_000:] for name, values in stopped.values.items()}
    assert (stopped.running[:595] == 1.0).all()
    assert (stopped.running[605:] == 0.0).all()
    assert abs(rest["speed_rpm"].mean()) < 15.0
    assert rest["current_a"].mean() < 1.5
    assert rest["velocity_mm_s_rms"].mean() < 0.15
    if "flow_m3_h" in rest:
        assert rest["flow_m3_h"].mean() < 0.05 * stopped.values["flow_m3_h"][:600].max()
        assert rest["pressure_bar"].mean() < 0.25 * stopped.values["pressure_bar"][:600].mean()
    assert rest["temperature_c"][-600:].mean() == pytest.approx(24.0, abs=6.0)
    assert np.diff(rest["temperature_c"][::600]).max() < 1.0


def test_a_machine_that_starts_again_is_as_if_it_had_never_stopped() -> None:
    never = whole("centrifugal_pump", total=3_600)
    life = Wear({}, 200.0, 260.0)
    again = record(make("centrifugal_pump", life=life), [3_600]).values
    for name, values in never.items():
        np.testing.assert_allclose(again[name][3_000:], values[3_000:], rtol=2e-3, atol=0.11)


def test_shifts_end_on_friday_evening() -> None:
    fleet = FleetSettings(operation="shifts", burst_period_s=60.0, burst_length_s=0.05)
    evening = record(make("electric_motor", fleet=fleet))
    assert evening.running[:299].all()
    assert not evening.running[301:].any()
    assert evening.values["current_a"][302:].max() < 2.0
    still = [np.frombuffer(samples, np.int16) for seq, samples in evening.bursts.items() if seq > 7]
    assert still
    assert all(0 < np.abs(samples).max() < 40 for samples in still)


def test_a_machine_that_begins_at_night_begins_cold_and_at_rest() -> None:
    fleet = FleetSettings(operation="shifts", burst_period_s=0.0)
    night = record(make("electric_motor", fleet=fleet, start_epoch_s=FRIDAY_EVENING_S + 86_400.0))
    assert not night.running.any()
    assert night.values["temperature_c"].max() < 30.0
    assert night.values["speed_rpm"].max() < 10.0


def test_wear_shows_as_a_planned_fault_does() -> None:
    planned = FaultPlan(DEVICE, "overheating", 0.0, 1e6, 0.5)
    worn = record(make("gearbox_fan", life=Wear({"imbalance": 0.5}))).values
    healthy = whole("gearbox_fan")
    rise = worn["velocity_mm_s_rms"] - healthy["velocity_mm_s_rms"]
    assert not rise[: ONSET - 1].any()
    assert rise[ONSET:].mean() > 0.1
    both = record(make("gearbox_fan", planned, life=Wear({"overheating": 0.9}))).values
    full = record(make("gearbox_fan", life=Wear({"overheating": 1.0}))).values
    late = slice(850, 900)
    assert both["temperature_c"][late].mean() >= full["temperature_c"][late].mean()


def test_the_protection_switches_a_motor_off_whose_temperature_runs_away() -> None:
    hot = FleetSettings(operation="continuous", burst_period_s=0.0)
    runaway = FaultPlan(DEVICE, "thermal_runaway", 0.0, 20_000.0, 1.0)
    values = record(make("electric_motor", runaway, fleet=hot), [20_000])
    assert 120.0 < values.values["temperature_c"].max() < 160.0
    off = values.running == 0.0
    assert 0.01 < off.mean() < 0.5
    assert values.values["current_a"][off].max() < 2.0
    healthy = record(make("electric_motor", fleet=hot), [20_000])
    assert (healthy.running == 1.0).all()
    assert healthy.values["temperature_c"].max() < 110.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_moderate_fault_hides_in_the_range_of_each_channel(kind: str) -> None:
    healthy = whole(kind, total=5_400)
    for fault in ("overheating", "imbalance", "bearing_inner_race", "seal_leak", "thermal_runaway"):
        if fault not in KINDS[kind].faults:
            continue
        faulty = whole(kind, FaultPlan(DEVICE, fault, 600.0, 1_800.0, 0.4), total=5_400)
        for name, values in healthy.items():
            outside = (faulty[name] > values.max()) | (faulty[name] < values.min())
            assert outside[900:2_700].mean() < 0.3, (fault, name)


@pytest.mark.parametrize("kind", KINDS)
def test_overheating_warms_and_leaves_no_trace_long_after_its_label(kind: str) -> None:
    long = FaultPlan(DEVICE, "overheating", 600.0, 1_800.0, 1.0)
    healthy, faulty = whole(kind, total=6_000), whole(kind, long, total=6_000)
    rise = faulty["temperature_c"] - healthy["temperature_c"]
    assert rise[900:2_700].max() > 4.0
    assert abs(rise[4_500:]).max() < 0.6


def test_load_moves_all_channels_of_a_pump_together() -> None:
    values = whole("centrifugal_pump", total=5_400)
    together = ("pressure_bar", "current_a", "velocity_mm_s_rms", "flow_m3_h", "speed_rpm")
    assert np.corrcoef([values[name] for name in together]).min() > 0.45
    lag = 200  # the thermal model follows the load minutes later
    later = np.corrcoef(values["current_a"][:-lag], values["temperature_c"][lag:])[0, 1]
    assert later > 0.2


def test_sensors_that_are_not_fitted_change_no_other() -> None:
    few = FleetSettings(sensors=("current_a", "temperature_c"), burst_period_s=0.0)
    values = record(make("centrifugal_pump", fleet=few)).values
    everything = whole("centrifugal_pump")
    assert tuple(values) == ("temperature_c", "current_a")
    for name, shown in values.items():
        np.testing.assert_array_equal(shown, everything[name])


def test_bursts_are_the_same_whoever_asks_for_which_and_when() -> None:
    forwards = record(make("compressor", plan("bearing_ball", 1.0)))
    backwards = {
        burst.seq: burst.samples.tobytes()
        for burst in reversed(make("compressor", plan("bearing_ball", 1.0)).take(TOTAL).bursts)
    }
    assert forwards.bursts == backwards
    assert 13 <= len(backwards) <= 15
    without = Machine(DEVICE, "compressor", 1, SHORT_BURSTS, LIVE_S, with_bursts=False)
    assert not without.take(TOTAL).bursts


def test_a_burst_ends_with_a_sample_and_fits_its_length() -> None:
    block = make("spindle").take(TOTAL)
    for burst in block.bursts:
        assert burst.end_s in block.times_s
        assert burst.start_s == pytest.approx(burst.end_s - 0.05)
        assert len(burst.samples) == round(0.05 * burst.rate_hz)


def test_two_devices_and_two_seeds_differ() -> None:
    def first(device: str, seed: int) -> list[float]:
        machine = Machine(device, "centrifugal_pump", seed, SHORT_BURSTS, LIVE_S)
        return [float(value) for value in machine.take(50).values["pressure_bar"]]

    assert first("pump-001", 1) != first("pump-002", 1)
    assert first("pump-001", 1) != first("pump-001", 2)
    assert first("pump-001", 1) == first("pump-001", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_readings_have_the_resolution_of_the_converter(kind: str) -> None:
    machine = make(kind)
    values = record(machine).values
    for model in machine.physics.models:
        exact = np.round(values[model.name], model.resolution_decimals)
        np.testing.assert_array_equal(values[model.name], exact)


@settings(max_examples=20, deadline=None)
@given(blocks=st.lists(st.floats(0.0, 500.0), min_size=1, max_size=5))
def test_samples_before_a_time_are_those_that_lie_before_it(blocks: list[float]) -> None:
    machine = make("electric_motor")
    for end_s in sorted(blocks):
        times_s = make("electric_motor").take(600).times_s
        assert machine.samples_before(end_s) == int((times_s < end_s - 1e-9).sum())


def test_an_empty_block_has_no_samples() -> None:
    block = make("compressor").take(0)
    assert not len(block.times_s)
    assert not block.bursts


def test_a_fault_that_a_kind_cannot_have_is_refused() -> None:
    with pytest.raises(ScenarioError, match="electric motor has no fault 'cavitation'"):
        make("electric_motor", plan("cavitation"))
