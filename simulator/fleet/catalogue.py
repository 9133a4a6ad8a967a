"""Which kinds of machine, sensor and fault there are, and which belongs to which.

Only names and ranges: `kinds` has the physics of a machine, `faults` what a fault does to it,
`sensors` what a fault does to a sensor. Scenarios are checked against this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.fleet.settings import FleetSettings

SENSOR_LIMITS: Mapping[str, tuple[float, float]] = {
    "temperature_c": (-40.0, 200.0),
    "velocity_mm_s_rms": (0.0, 100.0),
    "pressure_bar": (-1.0, 40.0),
    "flow_m3_h": (0.0, 20_000.0),
    "current_a": (0.0, 200.0),
    "speed_rpm": (0.0, 40_000.0),
}
"""Every scalar channel, with the lowest and the highest value that its sensor can show."""

ROTATING_FAULTS = (
    "bearing_outer_race",
    "bearing_inner_race",
    "bearing_ball",
    "bearing_cage",
    "imbalance",
    "misalignment",
    "looseness",
    "overheating",
    "lubrication_loss",
)
"""Faults that every machine with a shaft in rolling bearings can have."""


@dataclass(frozen=True)
class KindOfMachine:
    """One kind: ``word`` begins its devices' ids; ``faults`` are those that it can have."""

    word: str
    title: str
    sensors: tuple[str, ...]
    faults: tuple[str, ...]


_THERMAL = ("temperature_c", "velocity_mm_s_rms")
_PROCESS = (*_THERMAL, "pressure_bar", "flow_m3_h", "current_a", "speed_rpm")

KINDS: Mapping[str, KindOfMachine] = {
    "centrifugal_pump": KindOfMachine(
        "pump",
        "centrifugal pump",
        _PROCESS,
        (*ROTATING_FAULTS, "cavitation", "seal_leak", "filter_clogging", "rotor_bar"),
    ),
    "electric_motor": KindOfMachine(
        "motor",
        "electric motor",
        (*_THERMAL, "current_a", "speed_rpm"),
        (*ROTATING_FAULTS, "rotor_bar", "thermal_runaway"),
    ),
    "compressor": KindOfMachine(
        "compressor",
        "screw compressor",
        _PROCESS,
        (*ROTATING_FAULTS, "seal_leak", "filter_clogging", "rotor_bar"),
    ),
    "gearbox_fan": KindOfMachine(
        "fan",
        "fan with gearbox",
        _PROCESS,
        (*ROTATING_FAULTS, "gear_tooth", "filter_clogging", "rotor_bar"),
    ),
    "spindle": KindOfMachine(
        "spindle",
        "CNC spindle",
        _PROCESS,
        (*ROTATING_FAULTS, "filter_clogging", "thermal_runaway"),
    ),
}

MACHINE_FAULTS = tuple(dict.fromkeys(fault for kind in KINDS.values() for fault in kind.faults))

SENSOR_FAULTS = (
    "bias_drift",
    "stuck_at",
    "spike",
    "gain",
    "noise_increase",
    "dropout",
    "saturation",
    "lag",
    "frozen_timestamp",
)
"""All but ``frozen_timestamp`` concern one sensor; that one concerns the whole device."""

DEVICE_FAULTS = ("frozen_timestamp",)

FAULTS = (*MACHINE_FAULTS, *SENSOR_FAULTS)


def devices_of(settings: FleetSettings) -> dict[str, str]:
    """Return device id -> kind, in the order of the fleet: pump-001, pump-002, ...

    Ids count within a kind, so that more machines of another kind rename none.
    """
    groups = [(group.kind, group.machines) for group in settings.groups]
    counted: dict[str, int] = {}
    devices: dict[str, str] = {}
    for kind, machines in groups or [(settings.kind, settings.machines)]:
        for _ in range(machines):
            counted[kind] = counted.get(kind, 0) + 1
            devices[f"{KINDS[kind].word}-{counted[kind]:03d}"] = kind
    return devices


def sensors_of(settings: FleetSettings) -> tuple[str, ...]:
    """Return the channels that at least one machine of the fleet has, in the table's order."""
    kinds = set(devices_of(settings).values())
    present = {name for kind in kinds for name in KINDS[kind].sensors}
    wanted = set(settings.sensors) or present
    return tuple(name for name in SENSOR_LIMITS if name in present & wanted)
