"""Maintenance: who orders work on a machine, when it begins, and what a repair leaves.

`life` asks; nothing here knows a machine's state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.fleet.settings import MaintenanceSettings
from simulator.fleet.streams import stream

WORK_SPREAD = 0.3
"""Work takes its mean time, give or take this share."""

LOOK_SHARE = 0.25
"""Share of the time of a repair that it takes to find nothing."""


@dataclass(frozen=True, order=True)
class Decision:
    """Somebody, or an alert, asked for work on a machine at ``at_s`` since the fleet's start."""

    at_s: float
    device_id: str
    cause: str = "alert"
    alert_id: str = ""


@dataclass(frozen=True)
class Draws:
    """The luck of one order: response and work times, and whether the wrong part comes."""

    response_s: float
    work_s: float
    is_wrong: bool
    which: float

    @classmethod
    def of(cls, seed: int, device_id: str, number: int, settings: MaintenanceSettings) -> Draws:
        """Return the luck of a device's order number ``number``."""
        rng = stream(seed, device_id, "order", str(number))
        spare_s = max(0.0, settings.response_s - settings.response_least_s)
        response_s = settings.response_least_s + spare_s * float(rng.standard_exponential())
        spread, wrong, which = rng.random(3).tolist()
        work_s = settings.work_s * (1.0 + WORK_SPREAD * (2.0 * spread - 1.0))
        return cls(response_s, work_s, wrong < settings.wrong_part, which)


def virtual_age_s(settings: MaintenanceSettings, age_s: float, lived_s: float) -> float:
    """Return the virtual age of a part after a repair.

    ``age_s``: its virtual age after the repair before, ``lived_s``: the time since then. Perfect
    is as good as new, minimal as bad as old. Imperfect (Kijima 1989): type 1 repairs what came
    since the last repair, V + q X, so lives keep falling; type 2 repairs all, q (V + X), so they
    level off.
    """
    if settings.repair == "perfect":
        return 0.0
    if settings.repair == "minimal":
        return age_s + lived_s
    if settings.kijima_type == 1:
        return age_s + settings.kijima_q * lived_s
    return settings.kijima_q * (age_s + lived_s)


def first_age_s(rng: np.random.Generator, initial_age: str, life_s: float) -> float:
    """Return the age of a part when the fleet starts."""
    return 0.5 * life_s * float(rng.random()) if initial_age == "random" else 0.0
