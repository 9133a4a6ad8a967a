"""The parts of a machine that wear, and what is told of them: defects, failures, standstills.

`life` tells their story.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simulator.fleet.degradation import Course
from simulator.fleet.maintenance import Draws
from simulator.fleet.settings import WearSettings
from simulator.fleet.streams import FloatArray

NEVER = math.inf


@dataclass(frozen=True)
class Defect:
    """One defect in the ground truth: from ``begun_s`` until it was repaired (None: still there).

    ``fails_s``: when it reaches severity 1 if nothing is done; ``failed``: it did.
    """

    kind: str
    begun_s: float
    fails_s: float
    ended_s: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class Failure:
    """A machine that stopped by itself."""

    at_s: float
    kind: str


@dataclass(frozen=True)
class Standstill:
    """A stop of the machine; ``ended_s`` is infinite while it lasts."""

    begun_s: float
    ended_s: float
    reason: str


@dataclass(eq=False)
class Part:
    """One failure mode of the machine, in its present life."""

    wear: WearSettings
    age_s: float
    since_s: float = 0.0
    renewals: int = 0
    begun_s: float = NEVER
    course: Course | None = None
    failed: bool = False
    stood_s: float = 0.0

    @property
    def wears_s(self) -> float:
        """When the defect would have begun if the machine had never stood still since."""
        return self.begun_s + self.stood_s

    @property
    def fails_s(self) -> float:
        return NEVER if self.course is None else self.wears_s + self.course.fails_s

    def severity(self, at_s: float) -> float:
        if self.course is None or at_s < self.begun_s:
            return 0.0
        return float(self.course.at(np.array([at_s - self.wears_s]))[0])


class Spell(NamedTuple):
    """A stretch of time in which a part's severity follows its course, or is held."""

    part: Part
    from_s: float
    to_s: float
    wears_s: float
    held_s: float | None = None

    def at(self, t: FloatArray) -> FloatArray:
        assert self.part.course is not None
        since_s = t - self.wears_s if self.held_s is None else np.full(len(t), self.held_s)
        level = self.part.course.at(since_s)
        return np.where((t >= self.from_s) & (t < self.to_s), level, 0.0)


@dataclass(eq=False)
class OpenOrder:
    """An order that is open: planned, or in work."""

    number: int
    kind: str
    opened_s: float
    starts_s: float
    draws: Draws
    cause: str = ""
    alert_id: str = ""
    began_s: float = NEVER
    ends_s: float = NEVER
    treated: list[Part] = field(default_factory=list)
    found: str = ""
    is_wrong: bool = False
