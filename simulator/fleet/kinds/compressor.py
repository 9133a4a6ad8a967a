"""A screw compressor: oil-injected, fixed speed, loaded and unloaded by the pressure of its net.

It fills a receiver from which the consumers draw a share d of its capacity, and unloads between
two pressures. The pressure rises as 1 - d and falls as d: a saw-tooth whose period is
T (1/d + 1/(1 - d)), loaded for exactly the share d. Two-pole motor, male rotor with four lobes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from simulator.fleet.bearings import BEARINGS
from simulator.fleet.faults import MachineEffects
from simulator.fleet.kinds.kind import Kind, individual, sensor
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.streams import FloatArray, Lag, RunningSum

LOBES = 4
AIR_BAR = 1.013
ZERO_C = 273.15
FILL_S = 12.0
"""Time in which the full capacity would raise the receiver through the band of pressure."""

VENT_TAU_S = 25.0
"""The blow-down valve relieves a machine that is switched off."""

UNLOADED_TORQUE = 0.28
UNLOADED_HEAT = 0.45


@dataclass(kw_only=True)
class ScrewCompressor(Kind):
    """A compressor of 600 m3/h at 7 to 7.6 bar. Load is the consumers' share of its capacity."""

    duty: ClassVar = Duty(
        (0.985, 1.0), (0.45, 0.92), (1.0, 0.75), speed_jitter=0.004, speed_wander=0.003
    )
    models: ClassVar = (
        sensor("temperature_c", 1, 0.15, 0.10, 0.8, 15.0),
        sensor("velocity_mm_s_rms", 2, 0.04, 0.03, 0.06, 1.5),
        sensor("pressure_bar", 2, 0.02, 0.015, 0.05, 1.0),
        sensor("flow_m3_h", 0, 3.0, 2.0, 5.0, 100.0),
        sensor("current_a", 1, 0.3, 0.2, 0.6, 20.0),
        sensor("speed_rpm", 0, 2.0, 1.0, 3.0, 100.0),
    )
    rated_hz: ClassVar = 49.2
    bearing: ClassVar = BEARINGS["ER-10K"]
    orders: ClassVar = {
        "once": 1.0,
        "twice": 2.0,
        "pocket": LOBES,
        "pocket_twice": 2.0 * LOBES,
        "half": 0.5,
        "thrice": 3.0,
    }
    vibration_scale: ClassVar = 1.3
    impact_scale: ClassVar = 1.3
    magnetising: ClassVar = 0.3
    roughness: ClassVar = 0.05

    step_s: float
    band_bar: tuple[float, float]
    rated_flow_m3_h: float
    polytropic: float
    phase: float
    once_mm_s: float
    twice_mm_s: float
    pocket_mm_s: float
    broadband_mm_s: float
    _cycles: RunningSum = field(default_factory=RunningSum)
    _vent: Lag = field(init=False)

    def __post_init__(self) -> None:
        self._vent = Lag(VENT_TAU_S, self.step_s, initial=0.0)

    @classmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""
        z = individual(seed, device_id)
        low_bar = 7.0 + 0.04 * z[0]
        high_bar = low_bar + 0.6 * (1.0 + 0.05 * z[1])
        polytropic = 1.10 + 0.004 * z[2]
        return cls(
            step_s=step_s,
            band_bar=(low_bar, high_bar),
            polytropic=polytropic,
            rated_rise_c=float(discharge_rise_c(np.array(high_bar), np.array(24.0), polytropic)),
            rated_current_a=110.0 * (1.0 + 0.03 * z[3]),
            place_c=1.5 * z[4],
            thermal_tau_s=150.0 * (1.0 + 0.08 * z[5]),
            rated_flow_m3_h=600.0 * (1.0 + 0.03 * z[6]),
            once_mm_s=1.2 * (1.0 + 0.12 * z[7]),
            twice_mm_s=0.5 * (1.0 + 0.15 * z[8]),
            pocket_mm_s=1.7 * (1.0 + 0.10 * z[9]),
            broadband_mm_s=1.0 * (1.0 + 0.08 * z[10]),
            noise_m_s2=3.0 * (1.0 + 0.08 * z[11]),
            phase=abs(z[12]),
        )

    def condition(self, point: Operation, effects: MachineEffects) -> Operation:
        """Return 1 as load where the machine is loaded and 0 where not, and the net's pressure.

        A machine that gives less has to load for longer; when it loads does not change, so that
        a fault leaves no trace in the cycles after it.
        """
        drawn = np.clip(point.load, 0.2, 0.95)
        steps = point.powered(drawn * (1.0 - drawn) * (self.step_s / FILL_S))
        within = self._cycles.follow(steps)
        within += self.phase
        within -= np.floor(within)
        flow = effects.get("flow")
        if flow is not None:
            drawn = np.minimum(drawn / (1.0 + flow), 0.98)
        rising = within < drawn
        share = np.where(rising, within / drawn, (1.0 - within) / (1.0 - drawn))
        low_bar, high_bar = self.band_bar
        share *= high_bar - low_bar
        share += low_bar
        off = None if point.switched is None else 1.0 - point.switched
        if off is not None or not self._vent.at_rest:
            off = np.zeros_like(share) if off is None else off
            share *= 1.0 - self._vent.follow(off)
        loaded = point.powered(rising.astype(np.float64))
        return point._replace(load=loaded, pressure_bar=share)

    def torque(self, point: Operation) -> FloatArray:
        """Return the torque: of a fixed displacement it depends on load and pressure alone."""
        torque = (1.0 - UNLOADED_TORQUE) * point.load
        if point.pressure_bar is not None:
            torque *= 0.5 + 0.5 / self.band_bar[1] * point.pressure_bar
        torque += UNLOADED_TORQUE
        return torque

    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return the discharge's rise, less where the machine only turns; none at rest."""
        pressure_bar = self.band_bar[1] if point.pressure_bar is None else point.pressure_bar
        hot = discharge_rise_c(np.asarray(pressure_bar), air_c, self.polytropic)
        hot *= 1.0 / self.rated_rise_c
        hot *= (1.0 - UNLOADED_HEAT) * point.load + UNLOADED_HEAT
        hot *= point.speed
        return effects.scaled(hot, "heat")

    def pressure_bar(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the pressure of the net."""
        assert point.pressure_bar is not None
        return effects.scaled(point.pressure_bar, "pressure")

    def flow_m3_h(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the delivered flow, none while unloaded."""
        flow = point.load * point.speed
        flow *= self.rated_flow_m3_h
        return effects.scaled(flow, "flow")

    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return rotors, the pockets that open at the discharge, and noise; less when unloaded."""
        pulsing = 0.65 * point.load
        pulsing += 0.35
        pulsing *= pulsing
        pulsing *= n4
        return {
            "once": self.once_mm_s**2 * n4,
            "twice": self.twice_mm_s**2 * n4,
            "pocket": self.pocket_mm_s**2 * pulsing,
            "pocket_twice": (0.4 * self.pocket_mm_s) ** 2 * pulsing,
            "broadband": self.broadband_mm_s**2 * pulsing,
        }


def discharge_rise_c(
    pressure_bar: FloatArray, suction_c: FloatArray, polytropic: float
) -> FloatArray:
    """Return T2 - T1 of T2 = T1 (p2/p1)^((n-1)/n), absolute; ``pressure_bar`` is above the air's.

    The oil takes up most of the heat: n is about 1.1, against 1.4 for dry air.
    """
    rise = pressure_bar * (1.0 / AIR_BAR)
    rise = rise + 1.0
    rise = rise ** ((polytropic - 1.0) / polytropic)
    rise = rise - 1.0
    return np.asarray(rise * (suction_c + ZERO_C))
