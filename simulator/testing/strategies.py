"""Hypothesis strategies for what machines send and what may happen to them.

from simulator.testing.strategies import readings, fleets, fault_schedules
"""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pipeline.messages import Reading
from simulator.fleet.catalogue import (
    DEVICE_FAULTS,
    KINDS,
    SENSOR_FAULTS,
    devices_of,
    sensors_of,
)
from simulator.fleet.settings import FaultPlan, FleetSettings, GroupSettings

START_MS = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
PUMP_SENSORS = KINDS["centrifugal_pump"].sensors


@st.composite
def readings(
    draw: DrawFn,
    *,
    device_ids: tuple[str, ...] = ("pump-001", "pump-002"),
    sensors: tuple[str, ...] = PUMP_SENSORS,
    most: int = 50,
    start_ms: int = START_MS,
) -> list[Reading]:
    """Draw up to `most` readings of some devices, in the order in which they were taken.

    Each device counts its own from 0; steps are from a hundredth of a second to a minute.
    """
    number = dict.fromkeys(device_ids, 0)
    at_ms = dict.fromkeys(device_ids, start_ms)
    found = []
    for device in draw(st.lists(st.sampled_from(device_ids), max_size=most)):
        values = {
            sensor: draw(st.floats(-1e3, 1e3, allow_nan=False, width=32)) for sensor in sensors
        }
        found.append(Reading(device, number[device], at_ms[device], values))
        number[device] += 1
        at_ms[device] += draw(st.integers(10, 60_000))
    return found


def fleets(most_machines: int = 10) -> SearchStrategy[FleetSettings]:
    """Return fleets of one to three kinds of machine, with up to `most_machines` of each."""
    groups = st.lists(
        st.builds(
            GroupSettings,
            kind=st.sampled_from(sorted(KINDS)),
            machines=st.integers(1, most_machines),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda group: group.kind,
    )
    return st.builds(
        FleetSettings,
        groups=groups.map(tuple),
        rate_hz=st.sampled_from((0.1, 0.5, 1.0)),
        burst_period_s=st.sampled_from((0.0, 120.0)),
    )


@st.composite
def fault_schedules(
    draw: DrawFn, fleet: FleetSettings, live_s: float, most: int = 5
) -> tuple[FaultPlan, ...]:
    """Draw up to `most` faults that the fleet's machines can have, within the live part.

    At most one a machine, so that none overlap.
    """
    devices = devices_of(fleet)
    chosen = draw(st.lists(st.sampled_from(sorted(devices)), max_size=most, unique=True))
    plans = []
    for device in chosen:
        kind = KINDS[devices[device]]
        name = draw(st.sampled_from(sorted({*kind.faults, *SENSOR_FAULTS})))
        fitted = [sensor for sensor in sensors_of(fleet) if sensor in kind.sensors]
        is_of_a_sensor = name in SENSOR_FAULTS and name not in DEVICE_FAULTS
        sensor = draw(st.sampled_from(fitted)) if is_of_a_sensor else ""
        onset_s = draw(st.floats(0.0, live_s * 0.8))
        duration_s = draw(st.floats(1.0, live_s - onset_s))
        severity = draw(st.floats(0.0, 1.0))
        plans.append(FaultPlan(device, name, onset_s, duration_s, severity, sensor))
    return tuple(plans)
