"""Heat: the air around a machine, and the temperature that losses bring it to.

One thermal mass: C dT/dt = P(T) - (T - Ta)/R. With the rise above the air in shares of the rated
one, theta = (T - Ta)/(R P0), and the losses in shares of P0 it is the first-order lag
tau d(theta)/dt = p - theta, tau = R C. Who calls it: `machine`. What the losses are: `kinds`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simulator.fleet.settings import AmbientSettings
from simulator.fleet.streams import FloatArray, Wander, first_order, stream

DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
WARMEST_HOUR_S = 15.0 * 3_600.0
WARMEST_DAY_S = 201.0 * DAY_S
"""21 July counted from the epoch, which began a year."""

RESET_BELOW_C = 40.0
"""A self-resetting protector closes again so far below the temperature at which it opened."""


class Room:
    """The air around one machine: a day, a year, and slow drifts of its own."""

    def __init__(
        self,
        seed: int,
        device_id: str,
        step_s: float,
        ambient: AmbientSettings,
        start_epoch_s: float,
        offset_c: float,
    ) -> None:
        """``offset_c``: how much warmer this machine's place is than the mean."""
        self._ambient = ambient
        self._mean_c = ambient.mean_c + offset_c
        self._start_epoch_s = start_epoch_s
        self._drift = Wander(stream(seed, device_id, "ambient"), 0.25, 1_200.0, step_s)

    def take(self, times_s: FloatArray) -> FloatArray:
        """Return the air's temperature (deg C) at the next times."""
        air_c = self._drift.take(len(times_s))
        air_c += self._mean_c
        for swing_c, period_s, warmest_s in (
            (self._ambient.day_swing_c, DAY_S, WARMEST_HOUR_S),
            (self._ambient.season_swing_c, YEAR_S, WARMEST_DAY_S),
        ):
            if swing_c:
                angle = times_s * (2.0 * math.pi / period_s)
                angle += math.fmod(self._start_epoch_s - warmest_s, period_s) * (
                    2.0 * math.pi / period_s
                )
                np.cos(angle, out=angle)
                angle *= swing_c
                air_c += angle
        return air_c


class ThermalMass:
    """One thermal mass: the temperature rise that follows the losses, block after block.

    Rises and losses are shares of the rated ones. Begins warm, in the steady state of
    ``initial``. All paths give the same bits where there is no feedback.
    """

    def __init__(self, tau_s: float, step_s: float, initial: float) -> None:
        self._a = math.exp(-step_s / tau_s)
        self._gain = 1.0 - self._a
        self._coefficients = np.array([self._gain]), np.array([1.0, -self._a])
        # a times the previous rise: the state in the form in which lfilter keeps it.
        self._state = np.array([self._a * initial])
        self._tripped = False

    @property
    def tripped(self) -> bool:
        """Say whether the protection holds the machine switched off."""
        return self._tripped

    def follow(self, losses: FloatArray) -> FloatArray:
        """Return the rise that follows the next ``losses``; shape as given."""
        self._tripped = False
        rise, self._state = first_order(*self._coefficients, losses, self._state)
        return rise

    def run_away(
        self,
        losses: FloatArray,
        feedback_1_c: FloatArray,
        excess_c: FloatArray,
        rated_rise_c: float,
        trip_c: float,
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return the rise with losses P(T) = P0 e^(a (T - T0)), and where the protection is open.

        ``feedback_1_c`` is a (1/K) for each sample, ``excess_c`` the air's Ta - T0. A steady state
        exists only while a R P0 e^(a (Ta - T0)) <= 1/e (`settles`). At T - T0 = ``trip_c`` the
        protection cuts the power, and closes again `RESET_BELOW_C` lower or when a is 0 again.
        Only samples from the first with a > 0 to the last are computed one by one.
        """
        tripped = np.zeros(len(losses), dtype=bool)
        active = np.flatnonzero(feedback_1_c)
        if not active.size:
            return self.follow(losses), tripped
        first, last = int(active[0]), int(active[-1]) + 1
        rise = np.empty_like(losses)
        if first:
            rise[:first] = self.follow(losses[:first])
        state, is_open, a, gain = float(self._state[0]), self._tripped, self._a, self._gain
        inputs = zip(
            losses[first:last].tolist(),
            feedback_1_c[first:last].tolist(),
            excess_c[first:last].tolist(),
            strict=True,
        )
        for k, (loss, feedback, excess) in enumerate(inputs, first):
            warmer_c = excess + rated_rise_c * (state / a)
            if is_open:
                is_open = feedback > 0.0 and warmer_c > trip_c - RESET_BELOW_C
            else:
                is_open = feedback > 0.0 and warmer_c >= trip_c
            power = 0.0 if is_open else loss * math.exp(feedback * min(warmer_c, trip_c))
            level = gain * power + state
            state = a * level
            rise[k], tripped[k] = level, is_open
        self._state, self._tripped = np.array([state]), is_open
        if last < len(losses):
            rise[last:] = self.follow(losses[last:])
        return rise, tripped


def settles(feedback_1_c: float, rated_rise_c: float, excess_c: float = 0.0) -> bool:
    """Say whether a R P0 e^(a (Ta - T0)) <= 1/e: losses that grow with T have a steady state.

    ``rated_rise_c`` is R P0. The last steady state lies at Ta + 1/a, where the curves of losses
    and of cooling touch: a R P0 e^(a (T - T0)) = 1 and T - Ta = R P0 e^(a (T - T0)).
    """
    return feedback_1_c * rated_rise_c * math.exp(feedback_1_c * excess_c) <= math.exp(-1.0)
