"""An electric motor: an induction machine on a converter that drives a nearly constant torque.

Four poles, 30 kW, 1,455 rpm at 50 Hz: rated slip 0.03. The temperature is the winding's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.faults import MachineEffects
from simulator.fleet.kinds.kind import Kind, individual, sensor
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.streams import FloatArray

POLE_PAIRS = 2


@dataclass(kw_only=True)
class ElectricMotor(Kind):
    """A motor of 30 kW. Load is its torque. Class F winding: it trips at 155 deg C."""

    duty: ClassVar = Duty(
        speed_levels=(0.62, 0.75, 0.88, 1.0),
        load_range=(0.55, 1.0),
        steady=(0.9, 0.85),
        dwell_s=(180.0, 360.0),
        load_tau_s=6.0,
        load_wander=0.03,
    )
    models: ClassVar = (
        sensor("temperature_c", 1, 0.15, 0.10, 1.0, 20.0),
        sensor("velocity_mm_s_rms", 2, 0.02, 0.015, 0.03, 0.8),
        sensor("current_a", 2, 0.15, 0.10, 0.3, 12.0),
        sensor("speed_rpm", 0, 1.0, 0.5, 1.5, 200.0),
    )
    rated_hz: ClassVar = 24.25
    bearing: ClassVar = BEARINGS["6205"]
    # The magnetic forces pull at twice the frequency of the line: once for every pole.
    orders: ClassVar = {
        "once": 1.0,
        "twice": 2.0,
        "magnetic": 2.0 * POLE_PAIRS / 0.97,
        "half": 0.5,
        "thrice": 3.0,
    }
    vibration_scale: ClassVar = 0.7
    magnetising: ClassVar = 0.38
    slip: ClassVar = 0.03
    trip_c: ClassVar = 131.0

    once_mm_s: float
    twice_mm_s: float
    magnetic_mm_s: float
    broadband_mm_s: float

    @classmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""
        z = individual(seed, device_id)
        return cls(
            rated_current_a=56.0 * (1.0 + 0.03 * z[0]),
            rated_rise_c=78.0 * (1.0 + 0.05 * z[1]),
            place_c=1.0 * z[2],
            thermal_tau_s=360.0 * (1.0 + 0.08 * z[3]),
            noise_m_s2=1.0 * (1.0 + 0.08 * z[4]),
            once_mm_s=0.8 * (1.0 + 0.12 * z[5]),
            twice_mm_s=0.3 * (1.0 + 0.15 * z[6]),
            magnetic_mm_s=0.35 * (1.0 + 0.15 * z[7]),
            broadband_mm_s=0.4 * (1.0 + 0.08 * z[8]),
        )

    def torque(self, point: Operation) -> FloatArray:
        """Return the load's torque, of which a fifth grows with the speed."""
        torque = 0.2 * point.speed
        torque += 0.8
        torque *= point.load
        return torque

    def shaft_share(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the speed of the shaft: the slip is in proportion to the torque."""
        share = self.torque(point)
        share *= -self.slip
        share += 1.0 + self.slip
        share *= point.speed
        return effects.scaled(share, "speed")

    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return iron and friction losses in proportion to the speed, and copper loss."""
        heat = 0.72 * load_square
        heat += 0.28 * point.speed
        return effects.scaled(heat, "heat")

    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return shaft, magnetic forces (with the load) and noise."""
        pull = point.powered(point.load * point.load)
        pull *= self.magnetic_mm_s**2
        return {
            "once": self.once_mm_s**2 * n4,
            "twice": self.twice_mm_s**2 * n4,
            "magnetic": pull * point.speed * point.speed,
            "broadband": self.broadband_mm_s**2 * n4,
        }
