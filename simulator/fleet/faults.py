"""Faults: what each kind does to a machine or to a sensor, and how its severity grows.

A plan names kind, interval and severity in [0, 1]; a kind says what severity 1 does. All
effects are multiples of the severity at that moment, added to or multiplied with the healthy
signal in such a way that zero leaves every bit as it was. `machine` and `sensors` apply them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from simulator.fleet.streams import FloatArray, stream


@dataclass(frozen=True)
class FaultPlan:
    """One fault to inject. ``onset_s`` counts from the start of the live part.

    ``sensor`` names the channel of a sensor fault and is empty for a machine fault.
    """

    device: str
    kind: str
    onset_s: float
    duration_s: float
    severity: float = 0.5
    sensor: str = ""


@dataclass(frozen=True)
class Growth:
    """Course of the severity over the interval, as shares of it.

    Begins at ``start`` of the planned severity, reaches all of it after ``rise``, and is
    taken back to nothing over the last ``fall`` (a load that is relieved, a filter cleaned),
    so that slow channels are near normal when the label ends.
    """

    start: float = 1.0
    rise: float = 0.0
    fall: float = 0.0

    def at(self, share: FloatArray) -> FloatArray:
        """Return the factor in [0, 1] at ``share`` of the interval, 0 outside [0, 1)."""
        level = np.ones_like(share)
        if self.rise > 0.0:
            level = np.minimum(1.0, self.start + (1.0 - self.start) * share / self.rise)
        if self.fall > 0.0:
            level = np.minimum(level, (1.0 - share) / self.fall)
        return np.where((share >= 0.0) & (share < 1.0), level, 0.0)


@dataclass(frozen=True)
class MachineFault:
    """Effect of a machine fault at severity 1.

    ``heat``, ``pressure``, ``current``: relative change. ``ripple_bar``: deviation of added
    pressure ripple. ``*_mm_s``: vibration velocity (RMS at rated speed) added in quadrature.
    ``impact_m_s2``: height of the impacts at the outer race's pass frequency;
    ``cavitation_m_s2``: RMS of the band noise above 3 kHz, modulated at vane pass.
    """

    growth: Growth
    heat: float = 0.0
    pressure: float = 0.0
    current: float = 0.0
    ripple_bar: float = 0.0
    once_mm_s: float = 0.0
    twice_mm_s: float = 0.0
    vane_mm_s: float = 0.0
    broadband_mm_s: float = 0.0
    impact_m_s2: float = 0.0
    cavitation_m_s2: float = 0.0


WEAR = Growth(start=0.3, rise=0.4)
HEAT = Growth(start=0.4, rise=0.25, fall=0.25)
SUDDEN = Growth(start=0.5, rise=0.1)

MACHINE_FAULTS: dict[str, MachineFault] = {
    "bearing_wear": MachineFault(
        WEAR, heat=0.12, current=0.01, broadband_mm_s=1.1, impact_m_s2=16.0
    ),
    "cavitation": MachineFault(
        SUDDEN,
        pressure=-0.14,
        current=-0.08,
        ripple_bar=0.25,
        vane_mm_s=0.7,
        broadband_mm_s=1.0,
        cavitation_m_s2=6.0,
    ),
    "overheating": MachineFault(HEAT, heat=0.45, current=0.015),
    "imbalance": MachineFault(WEAR, once_mm_s=1.8),
    "misalignment": MachineFault(WEAR, heat=0.08, once_mm_s=0.6, twice_mm_s=1.4),
    "seal_leak": MachineFault(WEAR, heat=0.04, pressure=-0.12, current=0.06),
}
"""Signatures as in ISO 13373-1 annex D and the sources of each model: impacts at the pass
frequency and some friction heat; band noise, ripple and loss of head; heat that does not
leave; once and twice per turn."""

SENSOR_FAULTS: dict[str, Growth] = {
    "stuck_at": Growth(),
    "drift": Growth(start=0.0, rise=1.0),
    "gain": Growth(),
    "spike": Growth(),
}

FAULT_KINDS = (*MACHINE_FAULTS, *SENSOR_FAULTS)

GAIN_AT_FULL_SEVERITY = 0.3
SPIKE_CHANCE = 0.05
"""Chance of a spike in each sample while the fault lasts."""


def severity_at(plan: FaultPlan, growth: Growth, live_start_s: float, t: FloatArray) -> FloatArray:
    """Return the severity of ``plan`` at times ``t`` (seconds since the fleet began)."""
    share = (t - (live_start_s + plan.onset_s)) / plan.duration_s
    return plan.severity * growth.at(share)


EFFECT_NAMES = tuple(f.name for f in fields(MachineFault) if f.name != "growth")


class MachineEffects:
    """Sum of the effects of all machine faults of one device over one block.

    Each attribute is an array of the block's length with the meaning of `MachineFault`.
    """

    def __init__(self, plans: Sequence[FaultPlan], live_start_s: float, t: FloatArray) -> None:
        self._sums = dict.fromkeys(EFFECT_NAMES, np.zeros_like(t))
        for plan in plans:
            fault = MACHINE_FAULTS[plan.kind]
            level = severity_at(plan, fault.growth, live_start_s, t)
            for name in EFFECT_NAMES:
                size: float = getattr(fault, name)
                if size:
                    self._sums[name] = self._sums[name] + size * level

    def __getitem__(self, name: str) -> FloatArray:
        return self._sums[name]


class SensorFault:
    """One sensor fault in action; keeps the value at which the sensor stuck."""

    def __init__(self, plan: FaultPlan, seed: int, live_start_s: float, span: float) -> None:
        """``span`` is the error, in the sensor's unit, that severity 1 means for drift."""
        self.plan = plan
        self._live_start_s = live_start_s
        self._span = span
        self._stuck_at: float | None = None
        name = f"{plan.kind}@{plan.onset_s}"
        self._rng = stream(seed, plan.device, "fault", plan.sensor, name)

    def apply(self, t: FloatArray, values: FloatArray) -> FloatArray:
        """Return what the faulty sensor shows instead of ``values`` at times ``t``."""
        level = severity_at(self.plan, SENSOR_FAULTS[self.plan.kind], self._live_start_s, t)
        onset_s = self._live_start_s + self.plan.onset_s
        active = np.flatnonzero((t >= onset_s) & (t < onset_s + self.plan.duration_s))
        if not active.size:
            return values
        return values + self._error(level, values, active)

    def _error(self, level: FloatArray, values: FloatArray, active: np.ndarray) -> FloatArray:
        match self.plan.kind:
            case "stuck_at":
                if self._stuck_at is None:
                    self._stuck_at = float(values[active[0]])
                return level * (self._stuck_at - values)
            case "drift":
                return level * self._span
            case "gain":
                return level * GAIN_AT_FULL_SEVERITY * values
            case _:
                error = np.zeros_like(values)
                draws = self._rng.random(2 * active.size)
                hit, side = draws[::2] < SPIKE_CHANCE, np.where(draws[1::2] < 0.5, -1.0, 1.0)
                error[active] = np.where(hit, level[active] * side * self._span, 0.0)
                return error
