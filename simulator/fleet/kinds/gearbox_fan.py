"""A fan behind a gearbox: fan laws, blade pass, and the mesh of the gears.

Motor with pinion at 24.5 Hz, 29 teeth on 44: the fan turns at 16.1 Hz, to which all orders
refer. Gears mesh at (teeth of a wheel) x (its speed), 710 Hz; a damaged tooth modulates the mesh
once per turn of its wheel (Randall 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.faults import MachineEffects
from simulator.fleet.kinds.kind import Kind, flow_torque, individual, sensor
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.streams import FloatArray

PINION_TEETH = 29
WHEEL_TEETH = 44
BLADES = 8
MOTOR_HZ = 24.5


@dataclass(kw_only=True)
class GearboxFan(Kind):
    """A fan of 12,000 m3/h at 25 mbar. Load is the flow as a share of that of the duct."""

    duty: ClassVar = Duty((0.70, 0.80, 0.90, 1.0), (0.85, 1.10), (0.9, 1.0), speed_tau_s=25.0)
    models: ClassVar = (
        sensor("temperature_c", 1, 0.10, 0.06, 0.8, 12.0),
        sensor("velocity_mm_s_rms", 2, 0.03, 0.02, 0.05, 1.5),
        sensor("pressure_bar", 5, 0.00012, 0.00008, 0.0003, 0.006),
        sensor("flow_m3_h", 0, 50.0, 30.0, 100.0, 2_500.0),
        sensor("current_a", 2, 0.12, 0.08, 0.25, 8.0),
        sensor("speed_rpm", 0, 1.0, 0.5, 1.5, 150.0),
    )
    rated_hz: ClassVar = MOTOR_HZ * PINION_TEETH / WHEEL_TEETH
    bearing: ClassVar = BEARINGS["6205"]
    orders: ClassVar = {
        "once": 1.0,
        "twice": 2.0,
        "pinion": WHEEL_TEETH / PINION_TEETH,
        "blade": BLADES,
        "mesh": WHEEL_TEETH,
        "mesh_twice": 2.0 * WHEEL_TEETH,
        "half": 0.5,
        "thrice": 3.0,
    }
    vibration_scale: ClassVar = 1.2
    slip: ClassVar = 0.02

    rated_pressure_bar: float
    rated_flow_m3_h: float
    once_mm_s: float
    twice_mm_s: float
    pinion_mm_s: float
    blade_mm_s: float
    mesh_mm_s: float
    broadband_mm_s: float

    @classmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""
        z = individual(seed, device_id)
        return cls(
            rated_pressure_bar=0.025 * (1.0 + 0.04 * z[0]),
            rated_flow_m3_h=12_000.0 * (1.0 + 0.03 * z[1]),
            rated_current_a=40.0 * (1.0 + 0.04 * z[2]),
            rated_rise_c=38.0 * (1.0 + 0.05 * z[3]),
            place_c=1.0 * z[4],
            thermal_tau_s=400.0 * (1.0 + 0.08 * z[5]),
            noise_m_s2=1.8 * (1.0 + 0.08 * z[6]),
            once_mm_s=1.4 * (1.0 + 0.12 * z[7]),
            twice_mm_s=0.4 * (1.0 + 0.15 * z[8]),
            pinion_mm_s=0.4 * (1.0 + 0.15 * z[9]),
            blade_mm_s=0.6 * (1.0 + 0.12 * z[10]),
            mesh_mm_s=0.7 * (1.0 + 0.12 * z[11]),
            broadband_mm_s=0.6 * (1.0 + 0.08 * z[12]),
        )

    def torque(self, point: Operation) -> FloatArray:
        """Return n^2 (0.35 + 0.65 q)."""
        return flow_torque(point, idle=0.35, flowing=0.65)

    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return churning of the oil with the squared speed, and the gears' loss with the load."""
        heat = 0.55 * load_square
        heat += 0.45 * (point.speed * point.speed)
        return effects.scaled(heat, "heat")

    def pressure_bar(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the rise of pressure, n^2 (1.3 - 0.3 q^2) of the rated one."""
        rise = point.load * point.load
        rise *= -0.3
        rise += 1.3
        rise *= point.speed
        rise *= point.speed
        rise *= self.rated_pressure_bar
        return effects.scaled(rise, "pressure")

    def flow_m3_h(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the flow, in proportion to the speed."""
        flow = point.speed * point.load
        flow *= self.rated_flow_m3_h
        return effects.scaled(flow, "flow")

    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return shafts, blades, mesh (with the torque, so n^2 (0.35 + 0.65 q)) and noise."""
        pressed = self.torque(point)
        pressed *= pressed
        return {
            "once": self.once_mm_s**2 * n4,
            "twice": self.twice_mm_s**2 * n4,
            "pinion": self.pinion_mm_s**2 * n4,
            "blade": self.blade_mm_s**2 * n4,
            "mesh": self.mesh_mm_s**2 * pressed,
            "mesh_twice": (0.4 * self.mesh_mm_s) ** 2 * pressed,
            "broadband": self.broadband_mm_s**2 * n4,
        }
