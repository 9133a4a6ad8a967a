"""A centrifugal pump: operating point and faults in, sensor readings and bursts out.

Physics: affinity laws for head and torque, motor current as magnetising and torque current
in quadrature, a first-order thermal model fed by friction and copper loss, vibration velocity
per component. Samples are made in blocks; nothing here knows messages, networks or SimPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.faults import MACHINE_FAULTS, FaultPlan, MachineEffects
from simulator.fleet.operation import SPEED_LEVELS, DutyCycle, Operation
from simulator.fleet.sensors import PUMP_SENSORS, Sensor
from simulator.fleet.streams import FloatArray, Lag, Wander, stream
from simulator.fleet.vibration import VibrationState, burst

RATED_SPEED_HZ = 49.2
"""Two-pole motor at 50 Hz with slip: 2,950 rpm."""

DAY_S = 86_400.0


@dataclass(frozen=True)
class MachineSettings:
    """How the fleet measures. Rates in Hz, times in s; a burst must fit an MQTT payload."""

    machines: int = 20
    kind: str = "centrifugal_pump"
    rate_hz: float = 1.0
    burst_period_s: float = 120.0
    burst_rate_hz: int = 12_000
    burst_length_s: float = 1.0


@dataclass(frozen=True)
class PumpUnit:
    """Parameters of one pump: a nominal design and what this unit makes of it."""

    rated_pressure_bar: float
    suction_bar: float
    rated_current_a: float
    rated_rise_c: float
    ambient_c: float
    thermal_tau_s: float
    once_mm_s: float
    twice_mm_s: float
    vane_mm_s: float
    broadband_mm_s: float
    noise_m_s2: float

    @classmethod
    def draw(cls, seed: int, device_id: str) -> PumpUnit:
        """Return the unit that (seed, device) always gives."""
        z = np.clip(stream(seed, device_id, "unit").standard_normal(16), -2.5, 2.5)
        return cls(
            rated_pressure_bar=5.6 * (1.0 + 0.04 * z[0]),
            suction_bar=0.4 + 0.05 * z[1],
            rated_current_a=28.0 * (1.0 + 0.04 * z[2]),
            rated_rise_c=42.0 * (1.0 + 0.05 * z[3]),
            ambient_c=24.0 + 1.0 * z[4],
            thermal_tau_s=240.0 * (1.0 + 0.08 * z[5]),
            once_mm_s=1.1 * (1.0 + 0.12 * z[6]),
            twice_mm_s=0.35 * (1.0 + 0.15 * z[7]),
            vane_mm_s=0.6 * (1.0 + 0.12 * z[8]),
            broadband_mm_s=0.7 * (1.0 + 0.08 * z[9]),
            noise_m_s2=1.6 * (1.0 + 0.08 * z[10]),
        )


class PumpBurst(NamedTuple):
    """One acceleration burst from ``start_s`` to ``end_s``, when it is sent."""

    start_s: float
    end_s: float
    seq: int
    samples: npt.NDArray[np.int16]


class Block(NamedTuple):
    """Consecutive readings of one device: times (n,), sensor name -> (n,), and its bursts."""

    first_seq: int
    times_s: FloatArray
    values: Mapping[str, FloatArray]
    bursts: Sequence[PumpBurst]


class Pump:
    """One pump; successive blocks continue every signal.

    Times count from the start of the fleet. ``live_start_s`` is where fault onsets count from.
    """

    def __init__(
        self,
        device_id: str,
        seed: int,
        settings: MachineSettings,
        live_start_s: float,
        plans: Sequence[FaultPlan] = (),
    ) -> None:
        step_s = 1.0 / settings.rate_hz
        self.device_id = device_id
        self.unit = PumpUnit.draw(seed, device_id)
        self._seed = seed
        self._settings = settings
        self._live_start_s = live_start_s
        self._plans = [plan for plan in plans if plan.device == device_id]
        # Devices are not synchronised: each has its own moment within the sampling period.
        phase = stream(seed, device_id, "phase").random(2)
        self._phase_s = round(float(phase[0]) * step_s, 3)
        self._burst_every = max(1, round(settings.burst_period_s * settings.rate_hz))
        lead = math.ceil(settings.burst_length_s * settings.rate_hz)
        self._first_burst = lead + int(phase[1] * self._burst_every)
        self._duty = DutyCycle(seed, device_id, step_s)
        self._thermal = Lag(self.unit.thermal_tau_s, step_s, _mean_heat())
        self._room = Wander(stream(seed, device_id, "ambient"), 0.25, 1_200.0, step_s)
        self._rough = Wander(stream(seed, device_id, "roughness"), 0.02, 30.0, step_s)
        self._ripple = stream(seed, device_id, "ripple")
        sensor_plans = [plan for plan in self._plans if plan.kind not in MACHINE_FAULTS]
        self._sensors = [
            Sensor(
                model,
                device_id,
                seed,
                step_s=step_s,
                live_start_s=live_start_s,
                plans=sensor_plans,
            )
            for model in PUMP_SENSORS
        ]
        self._machine_plans = [plan for plan in self._plans if plan.kind in MACHINE_FAULTS]
        self._next = 0

    def samples_before(self, time_s: float) -> int:
        """Return how many samples lie before ``time_s``."""
        exact = (time_s - self._phase_s) * self._settings.rate_hz
        return max(0, math.ceil(exact - 1e-9))

    def take(self, count: int) -> Block:
        """Return the next ``count`` samples and the bursts that fall among them."""
        first = self._next
        self._next += count
        t = self._phase_s + np.arange(first, first + count) / self._settings.rate_hz
        duty = self._duty.take(t)
        effects = MachineEffects(self._machine_plans, self._live_start_s, t)
        vibration = self._vibration(duty, effects)
        truth = self._scalars(t, duty, effects, vibration)
        values = {s.model.name: s.read(t, truth[s.model.name]) for s in self._sensors}
        bursts = list(self._bursts(first, t, duty, effects, vibration))
        return Block(first, t, values, bursts)

    def _scalars(
        self,
        t: FloatArray,
        duty: Operation,
        effects: MachineEffects,
        vibration: Mapping[str, FloatArray],
    ) -> dict[str, FloatArray]:
        """Return the true value of each scalar channel."""
        unit, n2 = self.unit, duty.speed**2
        head = n2 * (1.25 - 0.25 * duty.flow**2)
        ripple = self._ripple.standard_normal(len(t)) * effects["ripple_bar"]
        pressure = unit.suction_bar + unit.rated_pressure_bar * head * (1.0 + effects["pressure"])
        torque = n2 * (0.45 + 0.55 * duty.flow)
        current = unit.rated_current_a * np.sqrt(0.09 + 0.91 * torque**2)
        current = current * (1.0 + effects["current"])
        heat = _heat(duty.speed, current / unit.rated_current_a) * (1.0 + effects["heat"])
        room = unit.ambient_c + 0.4 * np.sin(2.0 * np.pi * t / DAY_S) + self._room.take(len(t))
        velocity = np.sqrt(np.sum([part**2 for part in vibration.values()], axis=0))
        return {
            "temperature_c": room + unit.rated_rise_c * self._thermal.follow(heat),
            "velocity_mm_s_rms": velocity * (1.0 + self._rough.take(len(t))),
            "pressure_bar": pressure + ripple,
            "current_a": current,
        }

    def _vibration(self, duty: Operation, effects: MachineEffects) -> dict[str, FloatArray]:
        """Return the velocity (mm/s RMS) of each component.

        Below resonance imbalance gives m e w^2 / k as displacement, so w^3 as velocity; the
        bearing housing's share of flexible support flattens that to about w^2.
        """
        unit, n2 = self.unit, duty.speed**2
        off_best = 1.0 + 3.0 * (duty.flow - 1.0) ** 2
        healthy = {
            "once": unit.once_mm_s * n2,
            "twice": unit.twice_mm_s * n2,
            "vane": unit.vane_mm_s * n2 * off_best,
            "broadband": unit.broadband_mm_s * n2 * off_best,
        }
        return {
            name: np.sqrt(part**2 + (n2 * effects[f"{name}_mm_s"]) ** 2)
            for name, part in healthy.items()
        }

    def _bursts(
        self,
        first: int,
        t: FloatArray,
        duty: Operation,
        effects: MachineEffects,
        vibration: Mapping[str, FloatArray],
    ) -> Iterator[PumpBurst]:
        settings = self._settings
        due = self._first_burst - first
        if due < 0:
            due %= self._burst_every
        for i in range(due, len(t), self._burst_every):
            seq = (first + i - self._first_burst) // self._burst_every
            speed = float(duty.speed[i])
            state = VibrationState(
                shaft_hz=RATED_SPEED_HZ * speed,
                once_mm_s=float(vibration["once"][i]),
                twice_mm_s=float(vibration["twice"][i]),
                vane_mm_s=float(vibration["vane"][i]),
                broadband_m_s2=self.unit.noise_m_s2 * speed**2,
                impact_m_s2=float(effects["impact_m_s2"][i]),
                cavitation_m_s2=float(effects["cavitation_m_s2"][i]),
            )
            rng = stream(self._seed, self.device_id, "burst", str(seq))
            samples = burst(state, settings.burst_rate_hz, settings.burst_length_s, rng)
            end_s = float(t[i])
            yield PumpBurst(end_s - settings.burst_length_s, end_s, seq, samples)


def _heat(speed: FloatArray, load: FloatArray) -> FloatArray:
    """Return the heat flow as a share of the rated one: friction, and copper loss by load^2."""
    return 0.25 * speed + 0.75 * load**2


def _mean_heat() -> float:
    """Return the heat flow of an average duty cycle: a pump begins warm, not cold."""
    speed = np.array(SPEED_LEVELS)
    return float(np.mean(_heat(speed, np.sqrt(0.09 + 0.91 * speed**4))))
