"""Pumps: the same signal however it is cut, and physics that a pump would show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.faults import FAULT_KINDS, MACHINE_FAULTS, FaultPlan
from simulator.fleet.machine import MachineSettings, Pump
from simulator.fleet.sensors import PUMP_SENSORS, SENSOR_NAMES
from simulator.fleet.streams import FloatArray

DEVICE = "pump-001"
LIVE_S = 300.0
TOTAL = 900
SHORT_BURSTS = MachineSettings(burst_period_s=60.0, burst_length_s=0.1)


def plan(kind: str, severity: float = 0.6, sensor: str = "pressure_bar") -> FaultPlan:
    where = "" if kind in MACHINE_FAULTS else sensor
    return FaultPlan(DEVICE, kind, 100.0, 400.0, severity, where)


def record(
    pump: Pump, blocks: list[int]
) -> tuple[FloatArray, dict[str, FloatArray], dict[int, bytes]]:
    parts = [pump.take(count) for count in blocks]
    values = {name: np.concatenate([p.values[name] for p in parts]) for name in SENSOR_NAMES}
    bursts = {b.seq: b.samples.tobytes() for p in parts for b in p.bursts}
    return np.concatenate([p.times_s for p in parts]), values, bursts


def whole(*plans: FaultPlan, seed: int = 1, total: int = TOTAL) -> dict[str, FloatArray]:
    return record(Pump(DEVICE, seed, SHORT_BURSTS, LIVE_S, plans), [total])[1]


def cuts(total: int) -> st.SearchStrategy[list[int]]:
    places = st.sets(st.integers(1, total - 1), max_size=8)
    return places.map(lambda cut: np.diff([0, *sorted(cut), total]).tolist())


@settings(max_examples=25, deadline=None)
@given(blocks=cuts(TOTAL), kind=st.sampled_from(FAULT_KINDS), seed=st.integers(0, 2**32))
def test_blocks_of_any_length_give_the_same_signal(blocks: list[int], kind: str, seed: int) -> None:
    plans = [plan(kind)]
    once = record(Pump(DEVICE, seed, SHORT_BURSTS, LIVE_S, plans), [TOTAL])
    cut = record(Pump(DEVICE, seed, SHORT_BURSTS, LIVE_S, plans), blocks)
    np.testing.assert_array_equal(once[0], cut[0])
    for name in SENSOR_NAMES:
        np.testing.assert_array_equal(once[1][name], cut[1][name])
    assert once[2] == cut[2]
    assert sorted(once[2]) == list(range(len(once[2])))


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_fault_of_zero_severity_changes_no_bit(kind: str) -> None:
    healthy = record(Pump(DEVICE, 3, SHORT_BURSTS, LIVE_S), [TOTAL])
    zero = record(Pump(DEVICE, 3, SHORT_BURSTS, LIVE_S, [plan(kind, 0.0)]), [TOTAL])
    for name in SENSOR_NAMES:
        assert healthy[1][name].tobytes() == zero[1][name].tobytes()
    assert healthy[2] == zero[2]


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_the_label_matches_the_effect(kind: str) -> None:
    healthy, faulty = whole(), whole(plan(kind, 1.0))
    onset, end = int(LIVE_S) + 100, int(LIVE_S) + 500
    changed = np.zeros(TOTAL, dtype=bool)
    for name in SENSOR_NAMES:
        differs = healthy[name] != faulty[name]
        assert not differs[:onset].any()
        changed |= differs
        if name != "temperature_c" or kind not in MACHINE_FAULTS:
            assert not differs[end:].any(), "only heat may outlast the label"
    assert changed[onset:end].mean() > (0.02 if kind == "spike" else 0.5)


@pytest.mark.parametrize("kind", FAULT_KINDS)
@settings(max_examples=5, deadline=None)
@given(severity=st.floats(0.0, 1.0), sensor=st.sampled_from(SENSOR_NAMES))
def test_every_value_stays_within_what_its_sensor_can_show(
    kind: str, severity: float, sensor: str
) -> None:
    values = whole(plan(kind, severity, sensor))
    for model in PUMP_SENSORS:
        assert np.isfinite(values[model.name]).all()
        assert values[model.name].min() >= model.lowest
        assert values[model.name].max() <= model.highest


def test_a_sensor_fault_touches_only_its_sensor() -> None:
    healthy, faulty = whole(), whole(plan("drift", 1.0, "current_a"))
    for name in set(SENSOR_NAMES) - {"current_a"}:
        np.testing.assert_array_equal(healthy[name], faulty[name])


def test_a_stuck_sensor_of_full_severity_shows_one_value() -> None:
    stuck = whole(plan("stuck_at", 1.0))["pressure_bar"][401:799]
    assert len(set(stuck.tolist())) == 1


def test_drift_grows_to_its_span_and_ends_with_the_label() -> None:
    error = whole(plan("drift", 1.0))["pressure_bar"] - whole()["pressure_bar"]
    during = error[402:798]
    assert np.all(np.diff(during) > -0.011)
    assert during[-1] == pytest.approx(1.5, abs=0.05)


def test_load_moves_all_channels_together() -> None:
    values = whole(total=5_400)
    n = np.corrcoef([values["pressure_bar"], values["current_a"], values["velocity_mm_s_rms"]])
    assert n.min() > 0.7
    lag = 200  # the thermal model follows the load minutes later
    later = np.corrcoef(values["current_a"][:-lag], values["temperature_c"][lag:])[0, 1]
    assert later > 0.3


def test_a_moderate_fault_hides_in_the_range_of_each_channel() -> None:
    healthy = whole(total=5_400)
    for kind in ("overheating", "imbalance", "seal_leak"):
        faulty = whole(FaultPlan(DEVICE, kind, 600.0, 1_800.0, 0.4), total=5_400)
        for name in SENSOR_NAMES:
            outside = (faulty[name] > healthy[name].max()) | (faulty[name] < healthy[name].min())
            assert outside[900:2_700].mean() < 0.3, (kind, name)


def test_overheating_warms_and_leaves_no_trace_ten_minutes_after_its_label() -> None:
    long = FaultPlan(DEVICE, "overheating", 600.0, 1_800.0, 1.0)
    healthy, faulty = whole(total=5_400), whole(long, total=5_400)
    rise = faulty["temperature_c"] - healthy["temperature_c"]
    assert rise[900:2_700].max() > 8.0
    assert abs(rise[3_300:]).max() < 0.6


def test_two_devices_and_two_seeds_differ() -> None:
    def first(device: str, seed: int) -> list[float]:
        pump = Pump(device, seed, SHORT_BURSTS, LIVE_S)
        return [float(value) for value in pump.take(50).values["pressure_bar"]]

    assert first("pump-001", 1) != first("pump-002", 1)
    assert first("pump-001", 1) != first("pump-001", 2)
    assert first("pump-001", 1) == first("pump-001", 1)


def test_the_readings_have_the_resolution_of_the_converter() -> None:
    values = whole()
    for model in PUMP_SENSORS:
        exact = np.round(values[model.name], model.resolution_decimals)
        np.testing.assert_array_equal(values[model.name], exact)
