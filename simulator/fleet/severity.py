"""How the severity of a planned fault grows, holds and is taken back over its interval.

`faults` (machines), `sensor_faults` and `clock` say what a severity does. Wear has its own
courses in `degradation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.fleet.settings import FaultPlan
from simulator.fleet.streams import FloatArray


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


def interval_s(plan: FaultPlan, live_start_s: float) -> tuple[float, float]:
    """Return onset and end of a plan in seconds since the fleet began; the end is outside."""
    onset_s = live_start_s + plan.onset_s
    return onset_s, onset_s + plan.duration_s


def severity_at(plan: FaultPlan, growth: Growth, live_start_s: float, t: FloatArray) -> FloatArray:
    """Return the severity of ``plan`` at times ``t`` (seconds since the fleet began), same shape.

    Zero outside the plan's interval.
    """
    onset_s, end_s = interval_s(plan, live_start_s)
    if end_s <= onset_s:
        return np.zeros_like(t)
    level = plan.severity * growth.at((t - onset_s) / plan.duration_s)
    # Rounding may put a sample at the end just inside the shares; the label says outside.
    level[t >= end_s] = 0.0
    return level
