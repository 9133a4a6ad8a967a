"""The kinds of machine, one module each: which there are is in `simulator.fleet.catalogue`."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.errors import ScenarioError
from simulator.fleet.kinds.compressor import ScrewCompressor
from simulator.fleet.kinds.gearbox_fan import GearboxFan
from simulator.fleet.kinds.kind import Kind
from simulator.fleet.kinds.motor import ElectricMotor
from simulator.fleet.kinds.pump import CentrifugalPump
from simulator.fleet.kinds.spindle import Spindle

_PHYSICS: Mapping[str, type[Kind]] = {
    "centrifugal_pump": CentrifugalPump,
    "electric_motor": ElectricMotor,
    "compressor": ScrewCompressor,
    "gearbox_fan": GearboxFan,
    "spindle": Spindle,
}


def physics_of(kind: str) -> type[Kind]:
    """Return the class whose `Kind.draw` makes an individual of ``kind``.

    Raises `ScenarioError` for a kind that there is not.
    """
    if kind not in _PHYSICS:
        raise ScenarioError(f"there is no machine {kind!r}; there are {', '.join(_PHYSICS)}")
    return _PHYSICS[kind]
