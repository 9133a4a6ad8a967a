"""A centrifugal pump: affinity laws for head, flow and torque, at a variable speed.

Two-pole motor at 50 Hz with slip, 2,950 rpm; six vanes; bearing 6205.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.faults import MachineEffects
from simulator.fleet.kinds.kind import Kind, flow_torque, individual, sensor
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.streams import FloatArray

VANES = 6


@dataclass(kw_only=True)
class CentrifugalPump(Kind):
    """A pump of 120 m3/h at 5.6 bar. Load is the flow as a share of that of best efficiency."""

    duty: ClassVar = Duty((0.76, 0.83, 0.90, 0.97), (0.88, 1.12), (0.92, 1.0))
    models: ClassVar = (
        sensor("temperature_c", 1, 0.10, 0.06, 0.8, 12.0),
        sensor("velocity_mm_s_rms", 2, 0.03, 0.02, 0.05, 1.2),
        sensor("pressure_bar", 2, 0.02, 0.015, 0.05, 1.5),
        sensor("flow_m3_h", 1, 0.5, 0.3, 1.0, 25.0),
        sensor("current_a", 2, 0.10, 0.06, 0.2, 7.0),
        sensor("speed_rpm", 0, 2.0, 1.0, 3.0, 400.0),
    )
    rated_hz: ClassVar = 49.2
    bearing: ClassVar = BEARINGS["6205"]
    orders: ClassVar = {"once": 1.0, "twice": 2.0, "vane": VANES, "half": 0.5, "thrice": 3.0}

    rated_pressure_bar: float
    suction_bar: float
    rated_flow_m3_h: float
    once_mm_s: float
    twice_mm_s: float
    vane_mm_s: float
    broadband_mm_s: float

    @classmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""
        z = individual(seed, device_id)
        return cls(
            rated_pressure_bar=5.6 * (1.0 + 0.04 * z[0]),
            suction_bar=0.4 + 0.05 * z[1],
            rated_current_a=28.0 * (1.0 + 0.04 * z[2]),
            rated_rise_c=42.0 * (1.0 + 0.05 * z[3]),
            place_c=1.0 * z[4],
            thermal_tau_s=240.0 * (1.0 + 0.08 * z[5]),
            once_mm_s=1.1 * (1.0 + 0.12 * z[6]),
            twice_mm_s=0.35 * (1.0 + 0.15 * z[7]),
            vane_mm_s=0.6 * (1.0 + 0.12 * z[8]),
            broadband_mm_s=0.7 * (1.0 + 0.08 * z[9]),
            noise_m_s2=1.6 * (1.0 + 0.08 * z[10]),
            rated_flow_m3_h=120.0 * (1.0 + 0.03 * z[11]),
        )

    def torque(self, point: Operation) -> FloatArray:
        """Return n^2 (0.45 + 0.55 q): the power at no flow is about half of the rated one."""
        return flow_torque(point, idle=0.45, flowing=0.55)

    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return friction in proportion to the speed, and copper loss."""
        heat = 0.75 * load_square
        heat += 0.25 * point.speed
        return effects.scaled(heat, "heat")

    def pressure_bar(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return suction pressure and head, n^2 (1.25 - 0.25 q^2) of the rated one."""
        head = point.load * point.load
        head *= -0.25
        head += 1.25
        head *= point.speed
        head *= point.speed
        head *= self.rated_pressure_bar
        head = effects.scaled(head, "pressure")
        head += self.suction_bar
        return head

    def flow_m3_h(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the flow, in proportion to the speed."""
        flow = point.speed * point.load
        flow *= self.rated_flow_m3_h
        return effects.scaled(flow, "flow")

    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return shaft, vane pass and flow noise; away from the best flow the latter two grow."""
        off_best = point.load - 1.0
        off_best *= off_best
        off_best *= 3.0
        off_best += 1.0
        off_best *= off_best
        off_best *= n4
        return {
            "once": self.once_mm_s**2 * n4,
            "twice": self.twice_mm_s**2 * n4,
            "vane": self.vane_mm_s**2 * off_best,
            "broadband": self.broadband_mm_s**2 * off_best,
        }
