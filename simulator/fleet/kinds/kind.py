"""What every kind of machine is to `machine`: physics of one individual of it.

A `Kind` turns an operating point and the effects of faults into losses, currents, process values
and vibration. It is a function of its arguments but for `Kind.condition`, which may keep a state.
Vibration is kept as squared velocities of components (mm^2/s^2): squares add, and a fault that
adds zero leaves every bit. Both the velocity channel and the bursts come from them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from simulator.fleet.bearings import Bearing
from simulator.fleet.catalogue import SENSOR_LIMITS
from simulator.fleet.faults import HEALTHY, MachineEffects
from simulator.fleet.operation import Duty, Operation
from simulator.fleet.sensors import SensorModel
from simulator.fleet.streams import FloatArray, stream
from simulator.fleet.vibration import Band, Impacts, Line, VibrationState, defect_impacts

LINE_HZ = 50.0

HARMONICS = tuple(range(3, 11))
"""Multiples of the shaft's frequency that a loose machine shows."""

_HARMONIC_SHARE = {
    order: 1.0 / order / math.sqrt(sum(1.0 / k**2 for k in HARMONICS)) for order in HARMONICS
}

DEFECTS = ("outer_race", "inner_race", "ball", "cage")

STANDSTILL_M_S2 = 0.02
"""Noise of the accelerometer and of the building on a machine that stands still."""

CAVITATION_HZ = (3_000.0, 20_000.0)
FRICTION_HZ = (2_000.0, 6_000.0)


def individual(seed: int, device_id: str) -> list[float]:
    """Return 16 normal deviates, clipped to +-2.5, that make one machine an individual."""
    drawn = stream(seed, device_id, "unit").standard_normal(16)
    return [float(value) for value in np.clip(drawn, -2.5, 2.5)]


def flow_torque(point: Operation, *, idle: float, flowing: float) -> FloatArray:
    """Return n^2 (idle + flowing q), the torque of what moves a fluid; in shares of the rated."""
    torque = flowing * point.load
    torque += idle
    torque *= point.speed
    torque *= point.speed
    return torque


def sensor(
    name: str, decimals: int, white: float, slow: float, bias: float, span: float
) -> SensorModel:
    """Return the model of a kind's sensor; what it can show stands in the catalogue."""
    lowest, highest = SENSOR_LIMITS[name]
    return SensorModel(name, lowest, highest, decimals, white, slow, bias, span)


@dataclass(kw_only=True)
class Kind(ABC):
    """One machine of a kind. Speeds, loads, currents and losses are shares of the rated ones.

    ``orders``: line of vibration -> multiple of the shaft's frequency. ``vibration_scale`` and
    ``impact_scale``: size of what faults add, relative to a pump. ``magnetising``: share of the
    rated current that flows without load. ``roughness``: slow relative change of the velocity.
    ``trip_c``: rise above the mean air at which the protection switches off.
    """

    duty: ClassVar[Duty]
    models: ClassVar[tuple[SensorModel, ...]]
    rated_hz: ClassVar[float]
    bearing: ClassVar[Bearing]
    orders: ClassVar[Mapping[str, float]]
    vibration_scale: ClassVar[float] = 1.0
    impact_scale: ClassVar[float] = 1.0
    magnetising: ClassVar[float] = 0.3
    slip: ClassVar[float] = 1.0 / 60.0
    roughness: ClassVar[float] = 0.02
    resonance_hz: ClassVar[float] = 3_200.0
    trip_c: ClassVar[float] = 130.0

    rated_current_a: float
    rated_rise_c: float
    place_c: float
    thermal_tau_s: float
    noise_m_s2: float

    @classmethod
    @abstractmethod
    def draw(cls, seed: int, device_id: str, step_s: float) -> Self:
        """Return the individual that (seed, device) always gives."""

    @abstractmethod
    def torque(self, point: Operation) -> FloatArray:
        """Return the torque of the healthy machine."""

    @abstractmethod
    def losses(
        self, point: Operation, effects: MachineEffects, load_square: FloatArray, air_c: FloatArray
    ) -> FloatArray:
        """Return the heat flow; ``load_square`` is the squared current."""

    @abstractmethod
    def healthy_powers(self, point: Operation, n4: FloatArray) -> dict[str, FloatArray]:
        """Return the squared velocity of each component; ``n4`` is the speed to the fourth."""

    def condition(self, point: Operation, effects: MachineEffects) -> Operation:
        """Return what the machine's own control makes of the set-points, once for each block."""
        return point

    def pressure_bar(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the pressure of the process."""
        raise NotImplementedError

    def flow_m3_h(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the flow of the process."""
        raise NotImplementedError

    def load_square(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the squared current: magnetising and torque current in quadrature."""
        idle = self.magnetising**2
        square = self.torque(point)
        square *= square
        square *= 1.0 - idle
        square += idle
        current = effects.get("current")
        if current is not None:
            square *= (1.0 + current) ** 2
        return point.powered(square)

    def shaft_share(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the shaft's speed; a broken rotor bar adds slip."""
        return effects.scaled(point.speed, "speed")

    def mean_losses(self, mode: str, air_c: float) -> float:
        """Return the losses of an average machine: it begins warm, not cold."""
        duty = self.duty
        speeds, load = np.array(duty.speed_levels), sum(duty.load_range) / 2.0
        load += duty.idle_share * (duty.idle_load - load)
        if mode == "continuous":
            speeds, load = np.array(duty.steady[:1]), duty.steady[1]
        point = Operation(speeds, np.full_like(speeds, load))
        square = self.load_square(point, HEALTHY)
        return float(np.mean(self.losses(point, HEALTHY, square, np.full_like(speeds, air_c))))

    def powers(self, point: Operation, effects: MachineEffects) -> dict[str, FloatArray]:
        """Return the squared velocity (mm^2/s^2) of each component.

        Faults add forces that grow with the squared speed, as velocities do below resonance on
        flexible supports (imbalance on rigid ones: w^3).
        """
        n4 = point.speed * point.speed
        n4 *= n4
        powers = self.healthy_powers(point, n4)
        for name in FAULT_COMPONENTS:
            effect = effects.get(f"{name}_mm_s")
            if effect is not None:
                added = n4 * (self.vibration_scale * effect) ** 2
                powers[name] = powers[name] + added if name in powers else added
        return powers

    def state(
        self, i: int, point: Operation, effects: MachineEffects, powers: Mapping[str, FloatArray]
    ) -> VibrationState:
        """Return what drives a burst at sample ``i`` of the block."""
        speed = float(point.speed[i])
        if speed <= 0.0:
            return VibrationState((), STANDSTILL_M_S2, resonance_hz=self.resonance_hz)
        shaft_hz = self.rated_hz * float(self.shaft_share(point, effects)[i])
        velocities = {name: math.sqrt(float(power[i])) for name, power in powers.items()}
        return VibrationState(
            tuple(self._lines(shaft_hz, velocities, i, point, effects)),
            max(self.noise_m_s2 * speed**2, STANDSTILL_M_S2),
            tuple(self._impacts(shaft_hz, i, effects)),
            tuple(self._bands(shaft_hz, i, effects)),
            self.resonance_hz,
        )

    def _lines(
        self,
        shaft_hz: float,
        velocities: Mapping[str, float],
        i: int,
        point: Operation,
        effects: MachineEffects,
    ) -> list[Line]:
        # Lines without velocity keep their place: each line of a burst has its own phase.
        lines = [
            self._line(name, order * shaft_hz, velocities.get(name, 0.0), i, point, effects)
            for name, order in self.orders.items()
        ]
        loose = velocities.get("harmonics", 0.0)
        if loose > 0.0:
            lines += [Line(k * shaft_hz, loose * _HARMONIC_SHARE[k]) for k in HARMONICS]
        return lines

    def _line(
        self,
        name: str,
        frequency_hz: float,
        velocity_mm_s: float,
        i: int,
        point: Operation,
        effects: MachineEffects,
    ) -> Line:
        """Return one line, with the side bands of a broken rotor bar or a damaged tooth.

        Pole pass 2 s f with the slip s in proportion to the load: no load, no side band.
        """
        if name == "once" and effects.at("slip_side", i) > 0.0:
            load = min(1.0, float(self.torque(point)[i]))
            pole_pass_hz = 2.0 * self.slip * load * LINE_HZ * float(point.speed[i])
            return Line(
                frequency_hz, velocity_mm_s, pole_pass_hz, effects.at("slip_side", i) * load
            )
        if name == "mesh" and effects.at("mesh_side", i) > 0.0:
            wheel_hz = frequency_hz / self.orders["mesh"] * self.orders["pinion"]
            return Line(frequency_hz, velocity_mm_s, wheel_hz, effects.at("mesh_side", i))
        return Line(frequency_hz, velocity_mm_s)

    def _impacts(self, shaft_hz: float, i: int, effects: MachineEffects) -> list[Impacts]:
        impacts = []
        for defect in DEFECTS:
            height_m_s2 = self.impact_scale * effects.at(f"{defect}_m_s2", i)
            if height_m_s2 > 0.0:
                impacts.append(defect_impacts(defect, self.bearing, shaft_hz, height_m_s2))
        tooth_m_s2 = self.impact_scale * effects.at("tooth_m_s2", i)
        if tooth_m_s2 > 0.0:
            impacts.append(Impacts("tooth", self.orders["pinion"] * shaft_hz, tooth_m_s2))
        return impacts

    def _bands(self, shaft_hz: float, i: int, effects: MachineEffects) -> list[Band]:
        bands = []
        cavitation_m_s2 = effects.at("cavitation_m_s2", i)
        if cavitation_m_s2 > 0.0:
            vane_hz = self.orders["vane"] * shaft_hz
            bands.append(Band("cavitation", cavitation_m_s2, *CAVITATION_HZ, vane_hz, 0.6))
        friction_m_s2 = self.impact_scale * effects.at("friction_m_s2", i)
        if friction_m_s2 > 0.0:
            bands.append(Band("friction", friction_m_s2, *FRICTION_HZ))
        return bands


FAULT_COMPONENTS = (
    "once", "twice", "half", "thrice", "harmonics", "vane", "mesh", "broadband",
)  # fmt: skip
"""Components of vibration that faults add to; all but the last two are lines."""
