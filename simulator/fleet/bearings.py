"""Rolling bearings: how often the parts of one meet a defect, from its geometry.

Kinematics of rolling without slip, outer race fixed (Randall, Vibration-based Condition
Monitoring, section 2.2.3): with r = d/D cos a, BPFO = n/2 fr (1 - r), BPFI = n/2 fr (1 + r),
BSF = D/2d fr (1 - r^2), FTF = fr/2 (1 - r).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Bearing:
    """Geometry of a bearing: balls, their diameter, the pitch circle's, the contact angle."""

    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))

    def outer_race_hz(self, shaft_hz: float) -> float:
        """Return BPFO: balls that pass a point of the fixed outer race."""
        return 0.5 * self.balls * shaft_hz * (1.0 - self._ratio)

    def inner_race_hz(self, shaft_hz: float) -> float:
        """Return BPFI: balls that pass a point of the turning inner race."""
        return 0.5 * self.balls * shaft_hz * (1.0 + self._ratio)

    def ball_spin_hz(self, shaft_hz: float) -> float:
        """Return BSF: turns of a ball. A defect of it strikes both races, so twice as often."""
        return 0.5 * self.pitch_mm / self.ball_mm * shaft_hz * (1.0 - self._ratio**2)

    def cage_hz(self, shaft_hz: float) -> float:
        """Return FTF: turns of the cage."""
        return 0.5 * shaft_hz * (1.0 - self._ratio)


BEARINGS: Mapping[str, Bearing] = {
    "6205": Bearing(balls=9, ball_mm=7.94, pitch_mm=39.04),
    "6203": Bearing(balls=8, ball_mm=6.746, pitch_mm=28.499),
    "ER-10K": Bearing(balls=8, ball_mm=7.9375, pitch_mm=33.5026),
    "7014C": Bearing(balls=19, ball_mm=12.0, pitch_mm=90.0, contact_deg=15.0),
}
"""Deep-groove bearings of the public data sets (CWRU, MFPT and others), and a spindle's
angular-contact bearing."""
