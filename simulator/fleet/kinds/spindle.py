"""A spindle of a milling machine: 6,000 to 18,000 rpm, cuts and moves through the air.

Every tool has its speed, and cuts or moves for 20 to 60 s. Angular-contact bearings under
preload: what warms them presses them harder, which is how a spindle's temperature runs away
(Abele, Altintas and Brecher, Machine tool spindle units, 2010). Pressure and flow are those of
the coolant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.faults import MachineEffects
from simulator.fleet.kinds.kind import Kind, individual, sensor
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.streams import FloatArray

FLUTES = 4
RATED_RPM = 18_000.0


@dataclass(kw_only=True)
class Spindle(Kind):
    """A spindle of 18,000 rpm and 15 kW. Load is the cut, as a share of the heaviest."""

    duty: ClassVar = Duty(
        speed_levels=(6 / 18, 8 / 18, 10 / 18, 12 / 18, 15 / 18, 1.0),
        load_range=(0.35, 1.0),
        steady=(12 / 18, 0.6),
        speed_jitter=0.01,
        dwell_s=(20.0, 60.0),
        speed_tau_s=1.5,
        load_tau_s=1.0,
        speed_wander=0.002,
        load_wander=0.02,
        coast_tau_s=2.0,
        idle_share=0.25,
        idle_load=0.0,
    )
    models: ClassVar = (
        sensor("temperature_c", 1, 0.08, 0.05, 0.5, 8.0),
        sensor("velocity_mm_s_rms", 3, 0.010, 0.006, 0.015, 0.5),
        sensor("pressure_bar", 2, 0.05, 0.04, 0.15, 3.0),
        sensor("flow_m3_h", 3, 0.005, 0.003, 0.01, 0.3),
        sensor("current_a", 2, 0.10, 0.06, 0.2, 8.0),
        sensor("speed_rpm", 0, 4.0, 2.0, 5.0, 2_000.0),
    )
    rated_hz: ClassVar = RATED_RPM / 60.0
    bearing: ClassVar = BEARINGS["7014C"]
    orders: ClassVar = {"once": 1.0, "twice": 2.0, "tooth": FLUTES, "half": 0.5, "thrice": 3.0}
    vibration_scale: ClassVar = 0.4
    magnetising: ClassVar = 0.25
    roughness: ClassVar = 0.04
    trip_c: ClassVar = 60.0

    coolant_bar: float
    coolant_m3_h: float
    once_mm_s: float
    twice_mm_s: float
    tooth_mm_s: float
    broadband_mm_s: float

    @classmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""
        z = individual(seed, device_id)
        return cls(
            coolant_bar=20.0 * (1.0 + 0.03 * z[0]),
            coolant_m3_h=1.2 * (1.0 + 0.03 * z[1]),
            rated_current_a=32.0 * (1.0 + 0.03 * z[2]),
            rated_rise_c=24.0 * (1.0 + 0.05 * z[3]),
            place_c=0.5 * z[4],
            thermal_tau_s=180.0 * (1.0 + 0.08 * z[5]),
            noise_m_s2=4.0 * (1.0 + 0.08 * z[6]),
            once_mm_s=0.45 * (1.0 + 0.12 * z[7]),
            twice_mm_s=0.12 * (1.0 + 0.15 * z[8]),
            tooth_mm_s=0.6 * (1.0 + 0.10 * z[9]),
            broadband_mm_s=0.3 * (1.0 + 0.08 * z[10]),
        )

    def torque(self, point: Operation) -> FloatArray:
        """Return windage and bearings with the speed, and the cut."""
        torque = 0.15 * point.speed
        torque += 0.85 * point.load
        return torque

    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return bearing friction, about n^1.5, and the motor's copper loss."""
        heat = np.sqrt(point.speed)
        heat *= point.speed
        heat *= 0.6
        heat += 0.4 * load_square
        return effects.scaled(heat, "heat")

    def pressure_bar(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the coolant's pressure: the more nozzles a cut has open, the lower."""
        pressure = -0.25 * point.load
        pressure += 1.0
        pressure *= self.coolant_bar
        return point.powered(effects.scaled(pressure, "pressure"))

    def flow_m3_h(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the coolant's flow, a third of it while nothing is cut."""
        flow = 0.65 * point.load
        flow += 0.35
        flow *= self.coolant_m3_h
        return point.powered(effects.scaled(flow, "flow"))

    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return shaft, the pass of the cutter's teeth with the cut, and noise."""
        cut = point.load * point.speed
        cut *= cut
        cutting = cut * self.tooth_mm_s**2
        cut *= self.broadband_mm_s**2
        cut += self.broadband_mm_s**2 * n4
        return {
            "once": self.once_mm_s**2 * n4,
            "twice": self.twice_mm_s**2 * n4,
            "tooth": cutting,
            "broadband": cut,
        }
