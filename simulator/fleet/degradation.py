"""How parts wear: a time without a defect, then a severity that grows from 0 to 1, the failure.

The delay-time model (Christer 1984): the defect begins after a Weibull time; from then on the
severity follows one of three processes. A course is drawn whole when its defect begins, on a grid
of `STEPS` steps to the mean failure, straight lines between: it depends on its random stream
alone. `life` decides when a part is renewed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.fleet.settings import WearSettings
from simulator.fleet.streams import FloatArray

STEPS = 200
"""Grid points in the mean time from defect to failure."""

CURVATURE = (2.0, 4.0)
"""Bounds of a in (e^(a x) - 1) / (e^a - 1): rates are random but bounded (Saxena et al. 2008)."""


def defect_after_s(rng: np.random.Generator, life_s: float, shape: float, age_s: float) -> float:
    """Return the time until a part of virtual age ``age_s`` has a defect.

    From P(X > x) = S(V + x) / S(V) with S(t) = exp(-(t / eta)^b): the residual is
    eta ((V / eta)^b - ln u)^(1/b) - V.
    """
    u = 1.0 - float(rng.random())
    aged = (age_s / life_s) ** shape
    return max(0.0, float(life_s * (aged - math.log(u)) ** (1.0 / shape) - age_s))


@dataclass(frozen=True, eq=False)
class Course:
    """The severity of one defect: ``levels`` (n,) at times ``grid_s`` (n,) since it began.

    ``fails_s``, the last grid point, is when it reaches 1.
    """

    grid_s: FloatArray
    levels: FloatArray

    @property
    def fails_s(self) -> float:
        """Time from defect to failure."""
        return float(self.grid_s[-1])

    def at(self, since_s: FloatArray) -> FloatArray:
        """Return the severity ``since_s`` after the defect began: 0 before, 1 after the failure."""
        return np.interp(since_s, self.grid_s, self.levels, left=0.0, right=1.0)


def course_of(wear: WearSettings, rng: np.random.Generator) -> Course:
    """Return a new course of a failure mode."""
    return PROCESSES[wear.process](rng, wear.growth_s, wear.spread)


def _exponential(rng: np.random.Generator, growth_s: float, spread: float) -> Course:
    """Return the usual form of C-MAPSS: a loss that grows exponentially at a random rate."""
    draws = rng.random(2).tolist()
    low, high = CURVATURE
    rate = low + (high - low) * draws[0]
    # Uniform with the deviation asked for; three deviations below the mean is still positive.
    width = math.sqrt(3.0) * min(spread, 0.5)
    fails_s = growth_s * (1.0 + width * (2.0 * draws[1] - 1.0))
    share: FloatArray = np.arange(STEPS + 1, dtype=np.float64) / STEPS
    grown = np.expm1(rate * share)
    # By its own last value: math.expm1 may differ from NumPy's in the last bit, on some CPUs.
    return Course(share * fails_s, grown / grown[-1])


def _gamma(rng: np.random.Generator, growth_s: float, spread: float) -> Course:
    """Return a gamma process: independent increments Ga(shape a dt, rate b), monotone.

    First passage of 1 lies at (b + 1/2) / a on average with a relative deviation of about
    1 / sqrt(b) (van Noortwijk 2009, section 2).
    """
    rate = 1.0 / spread**2
    step_s = growth_s / STEPS
    shape = (rate + 0.5) / growth_s * step_s

    def steps(count: int) -> FloatArray:
        return rng.standard_gamma(shape, count) / rate

    levels = _until_one(steps)
    last, beyond = float(levels[-2]), float(levels[-1])
    # The moment within the last step, by a straight line.
    moment = len(levels) - 2 + (1.0 - last) / (beyond - last)
    grid_s: FloatArray = np.arange(len(levels), dtype=np.float64) * step_s
    grid_s[-1] = moment * step_s
    levels[-1] = 1.0
    return Course(grid_s, levels)


def _wiener(rng: np.random.Generator, growth_s: float, spread: float) -> Course:
    """Return a Wiener process with drift, dX = mu dt + s dB; not monotone.

    First passage of 1 is inverse Gaussian with mean 1 / mu and shape 1 / s^2. Between two grid
    points below 1 the path has crossed with probability exp(-2 (1 - x0)(1 - x1) / (s^2 dt)),
    the Brownian bridge's: without that test lives come out long.
    """
    step_s = growth_s / STEPS
    variance = spread**2 / growth_s * step_s
    levels = [0.0]
    while True:
        normal, uniform = rng.standard_normal(STEPS), rng.random(STEPS)
        for jump, chance in zip(normal.tolist(), uniform.tolist(), strict=True):
            before = levels[-1]
            level = before + 1.0 / STEPS + math.sqrt(variance) * jump
            if level >= 1.0:
                moment = len(levels) - 1 + (1.0 - before) / (level - before)
            elif chance < math.exp(-2.0 * (1.0 - before) * (1.0 - level) / variance):
                moment = len(levels) - 0.5
            else:
                levels.append(level)
                continue
            grid_s = np.append(np.arange(len(levels)), moment) * step_s
            return Course(grid_s, np.clip(np.append(levels, 1.0), 0.0, 1.0))


def _until_one(steps: Callable[[int], FloatArray]) -> FloatArray:
    """Return the sums of increments from 0 up to the first of at least 1."""
    levels: npt.NDArray[np.float64] = np.zeros(1)
    while levels[-1] < 1.0:
        levels = np.concatenate([levels, levels[-1] + np.cumsum(steps(STEPS))])
    return np.array(levels[: int(np.argmax(levels >= 1.0)) + 1])


PROCESSES: Mapping[str, Callable[[np.random.Generator, float, float], Course]] = {
    "exponential": _exponential,
    "gamma": _gamma,
    "wiener": _wiener,
}
"""Stream, mean time from defect to failure (s), its relative deviation -> course."""
