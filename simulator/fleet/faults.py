"""Machine faults: what each kind of fault does to a machine at severity 1.

All effects are multiples of the severity at that moment, added to or multiplied with the healthy
signal in such a way that zero leaves every bit as it was. `severity` says how a planned fault
grows, `life` how wear does; `kinds` apply the effects. Sensor faults are in `sensor_faults`.

Sources: ISO 13373-1 annex D and Randall, Vibration-based Condition Monitoring (2011), for which
component shows which fault; Saxena et al. 2008 for losses of flow and efficiency; the formulas
of each effect stand where it is applied. Sizes are chosen, so that a moderate fault stays within
what load and speed do to each single channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import KINDS
from simulator.fleet.settings import FaultPlan
from simulator.fleet.severity import Growth, severity_at
from simulator.fleet.streams import FloatArray


@dataclass(frozen=True)
class MachineFault:
    """Effect of a machine fault at severity 1, for a machine of a pump's size.

    ``heat``, ``pressure``, ``flow``, ``current``, ``speed``: relative change. ``ripple_bar``:
    deviation of added pressure ripple; ``current_swing``: amplitude of the current's swing at
    twice the slip frequency, at rated load. ``*_mm_s``: velocity (RMS at rated speed) added in
    quadrature: at half the shaft's frequency, once, twice, three times, three to ten times, at
    the pass of vanes (lobes, blades), at the gears' mesh, spread over the band. ``*_m_s2``: height
    of the impacts of a damaged race, ball, cage or tooth; RMS of the band noise of cavitation and
    of friction. ``slip_side``, ``mesh_side``: depth of modulation of once per turn at the pole
    pass, and of the mesh by the pinion. ``runaway``: growth of the losses with temperature,
    severity squared, in the unit that is critical at rated load.
    """

    growth: Growth
    heat: float = 0.0
    pressure: float = 0.0
    flow: float = 0.0
    current: float = 0.0
    speed: float = 0.0
    ripple_bar: float = 0.0
    current_swing: float = 0.0
    half_mm_s: float = 0.0
    once_mm_s: float = 0.0
    twice_mm_s: float = 0.0
    thrice_mm_s: float = 0.0
    harmonics_mm_s: float = 0.0
    vane_mm_s: float = 0.0
    mesh_mm_s: float = 0.0
    broadband_mm_s: float = 0.0
    outer_race_m_s2: float = 0.0
    inner_race_m_s2: float = 0.0
    ball_m_s2: float = 0.0
    cage_m_s2: float = 0.0
    tooth_m_s2: float = 0.0
    cavitation_m_s2: float = 0.0
    friction_m_s2: float = 0.0
    slip_side: float = 0.0
    mesh_side: float = 0.0
    runaway: float = 0.0


WEAR = Growth(start=0.3, rise=0.4)
HEAT = Growth(start=0.4, rise=0.25, fall=0.25)
SUDDEN = Growth(start=0.5, rise=0.1)
CLOGGING = Growth(start=0.2, rise=0.7)

MACHINE_FAULTS: Mapping[str, MachineFault] = {
    # Strikes at the pass frequency of the defect, some friction. The fixed outer race stands
    # nearest to the sensor; a ball or the cage is heard through more surfaces.
    "bearing_outer_race": MachineFault(
        WEAR, heat=0.12, current=0.01, broadband_mm_s=1.1, outer_race_m_s2=16.0
    ),
    "bearing_inner_race": MachineFault(
        WEAR, heat=0.12, current=0.01, broadband_mm_s=1.0, inner_race_m_s2=14.0
    ),
    "bearing_ball": MachineFault(
        WEAR, heat=0.14, current=0.01, broadband_mm_s=0.9, ball_m_s2=11.0
    ),
    "bearing_cage": MachineFault(
        WEAR, heat=0.10, current=0.01, half_mm_s=0.4, broadband_mm_s=0.9, cage_m_s2=9.0
    ),
    # Force m e w^2: velocity as w^3 below resonance, flattened to about w^2 by the supports.
    "imbalance": MachineFault(WEAR, once_mm_s=1.8),
    # A coupling bent twice per turn; its losses warm the bearings by 3-10 K.
    "misalignment": MachineFault(
        WEAR, heat=0.16, current=0.01, once_mm_s=0.6, twice_mm_s=1.4, thrice_mm_s=0.5
    ),
    # A joint that lifts off and strikes: many multiples of the shaft, and halves of it.
    "looseness": MachineFault(
        WEAR, half_mm_s=0.6, once_mm_s=0.6, twice_mm_s=0.5, harmonics_mm_s=1.2, broadband_mm_s=0.3
    ),
    # Bubbles that collapse: band noise modulated by the vanes, ripple, flow 5-15 % down.
    "cavitation": MachineFault(
        SUDDEN,
        pressure=-0.14,
        flow=-0.12,
        current=-0.08,
        ripple_bar=0.25,
        vane_mm_s=0.7,
        broadband_mm_s=1.0,
        cavitation_m_s2=6.0,
    ),
    # Cooling is lost: R rises, which for the steady state is the same as more losses.
    "overheating": MachineFault(HEAT, heat=0.45, current=0.015),
    # Metal on metal: friction heat and its torque, noise of the contacts up to several kHz.
    "lubrication_loss": MachineFault(
        WEAR, heat=0.22, current=0.03, broadband_mm_s=0.9, friction_m_s2=3.0
    ),
    # What leaks inside is pumped again: less head and flow, more work.
    "seal_leak": MachineFault(WEAR, heat=0.04, pressure=-0.12, flow=-0.10, current=0.06),
    # A loss of head before the machine: less of both, less load, less that carries heat away.
    "filter_clogging": MachineFault(CLOGGING, heat=0.10, pressure=-0.08, flow=-0.16, current=-0.05),
    # Side bands f (1 +- 2 k s) of the current, once per turn +- the pole pass 2 s f; more slip.
    "rotor_bar": MachineFault(
        WEAR, heat=0.08, current=0.01, speed=-0.004, current_swing=0.05, once_mm_s=0.5,
        slip_side=0.8,
    ),
    # One tooth of the pinion: the mesh grows and is modulated, one strike per turn of it.
    "gear_tooth": MachineFault(
        WEAR, heat=0.06, mesh_mm_s=1.3, broadband_mm_s=0.5, tooth_m_s2=14.0, mesh_side=0.8
    ),
    # P(T) = P0 e^(a (T - T0)) with a steady state only while a R P0 e^(a (Ta - T0)) <= 1/e.
    "thermal_runaway": MachineFault(HEAT, current=0.02, runaway=2.0),
}  # fmt: skip

_OTHERWISE: Mapping[tuple[str, str], Mapping[str, float]] = {
    # A winding, and the discharge, are hotter than the air by twice what a pump's bearing is.
    ("electric_motor", "overheating"): {"heat": 0.18},
    ("compressor", "overheating"): {"heat": 0.24},
    ("compressor", "lubrication_loss"): {"heat": 0.14},
    # The net keeps its pressure as long as the machine can load more often.
    ("compressor", "seal_leak"): {"heat": 0.08, "pressure": -0.03, "flow": -0.14, "current": 0.0},
    ("compressor", "filter_clogging"): {"pressure": -0.02, "flow": -0.14, "current": -0.03},
    # A clogged filter moves the fan to the left on its curve: more pressure, less flow.
    ("gearbox_fan", "filter_clogging"): {
        "heat": 0.16, "pressure": 0.09, "flow": -0.22, "current": -0.08,
    },
    # A spindle's bearings run only some 20 K above the air.
    ("spindle", "misalignment"): {"heat": 0.28},
    # The filter of the coolant.
    ("spindle", "filter_clogging"): {
        "heat": 0.15, "pressure": -0.10, "flow": -0.22, "current": 0.0,
    },
}  # fmt: skip
"""What a fault does otherwise to a machine of another kind than a pump."""

EFFECT_NAMES = tuple(field.name for field in fields(MachineFault) if field.name != "growth")


@lru_cache
def fault_of(kind: str, fault: str) -> MachineFault:
    """Return what ``fault`` does to a machine of ``kind``.

    Raises `ScenarioError` when a machine of that kind cannot have it.
    """
    if fault not in KINDS[kind].faults:
        possible = ", ".join(KINDS[kind].faults)
        raise ScenarioError(f"a {KINDS[kind].title} has no fault {fault!r}; it can have {possible}")
    return replace(MACHINE_FAULTS[fault], **_OTHERWISE.get((kind, fault), {}))  # type: ignore[arg-type]


@lru_cache
def _sizes(kind: str, fault: str) -> tuple[tuple[str, float], ...]:
    what = fault_of(kind, fault)
    return tuple((name, getattr(what, name)) for name in EFFECT_NAMES if getattr(what, name))


class Life(Protocol):
    """What wear, failures and repairs make of one machine; times are those of its samples."""

    def severities(self, t: FloatArray) -> Mapping[str, FloatArray]:
        """Return fault kind -> severity in [0, 1] at each time; kinds without a defect may lack."""
        ...

    def up(self, t: FloatArray) -> npt.NDArray[np.bool_]:
        """Return False where the machine stands still, failed or under repair."""
        ...


def severities(
    kind: str,
    plans: Sequence[FaultPlan],
    life: Life | None,
    live_start_s: float,
    t: FloatArray,
) -> dict[str, FloatArray]:
    """Return fault kind -> severity (n,) of those faults that are there at ``t`` at all.

    Planned faults and wear add up, to 1 at most.
    """
    levels: dict[str, FloatArray] = {}
    for plan in plans:
        onset_s = live_start_s + plan.onset_s
        if plan.severity > 0.0 and onset_s <= t[-1] and t[0] < onset_s + plan.duration_s:
            level = severity_at(plan, fault_of(kind, plan.kind).growth, live_start_s, t)
            before = levels.get(plan.kind)
            levels[plan.kind] = level if before is None else before + level
    if life is not None:
        for fault, level in life.severities(t).items():
            if level.any():
                before = levels.get(fault)
                levels[fault] = level if before is None else before + level
    return {fault: np.minimum(level, 1.0) for fault, level in levels.items()}


class MachineEffects:
    """Sum of the effects of all faults of one machine over one block.

    Each effect is an array of the block's length with the meaning of `MachineFault`, or None
    where no fault of the block has it: healthy machines cost no arithmetic.
    """

    def __init__(self, kind: str, levels: Mapping[str, FloatArray]) -> None:
        """``levels``: fault kind -> severity (n,)."""
        self._sums: dict[str, FloatArray] = {}
        for fault in sorted(levels):
            for name, size in _sizes(kind, fault):
                # Losses that grow with temperature run away from a certain feedback on: squared,
                # a moderate severity stays well on this side of it.
                level = levels[fault] if name != "runaway" else levels[fault] ** 2
                before = self._sums.get(name)
                self._sums[name] = size * level if before is None else before + size * level

    def get(self, name: str) -> FloatArray | None:
        """Return an effect (n,), None when there is none."""
        return self._sums.get(name)

    def scaled(self, values: FloatArray, name: str) -> FloatArray:
        """Return ``values`` times 1 + effect."""
        effect = self._sums.get(name)
        return values if effect is None else values * (1.0 + effect)

    def at(self, name: str, i: int) -> float:
        """Return an effect at sample ``i`` of the block, 0 when there is none."""
        effect = self._sums.get(name)
        return 0.0 if effect is None else float(effect[i])


HEALTHY = MachineEffects("centrifugal_pump", {})
"""No effect at all."""
