"""What a pump is asked to do: speed and valve set-points that change every few minutes.

The plan of duty is what moves all channels together. It knows nothing of sensors or faults;
`machine` turns it into pressure, current, heat and vibration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.fleet.streams import FloatArray, Lag, Wander, stream

SPEED_LEVELS = (0.76, 0.83, 0.90, 0.97)
"""Regimes of duty as shares of rated speed; each is visited once in every cycle, so that a
history of a few cycles has seen them all."""

DWELL_S = (90.0, 180.0)
"""Shortest and longest stay in one regime."""

SPEED_JITTER = 0.015
VALVE_RANGE = (0.88, 1.12)
SPEED_TAU_S = 20.0
"""Ramp of the drive: it does not jump to a new set-point."""

VALVE_TAU_S = 20.0


class Operation(NamedTuple):
    """Operating point of each sample: shares of rated speed, and of best-efficiency flow."""

    speed: FloatArray
    flow: FloatArray


class DutyCycle:
    """Draw the regimes of one pump and return its operating point sample by sample."""

    def __init__(self, seed: int, device_id: str, step_s: float) -> None:
        self._rng = stream(seed, device_id, "regimes")
        self._changes_s: list[float] = [0.0]
        self._speeds: list[float] = []
        self._valves: list[float] = []
        self._speed_lag = Lag(SPEED_TAU_S, step_s)
        self._valve_lag = Lag(VALVE_TAU_S, step_s)
        self._speed_wander = Wander(stream(seed, device_id, "speed"), 0.008, 150.0, step_s)
        self._valve_wander = Wander(stream(seed, device_id, "valve"), 0.02, 100.0, step_s)

    def take(self, times_s: FloatArray) -> Operation:
        """Return the operating point at ``times_s``, which follow the previous call's times."""
        while self._changes_s[-1] <= times_s[-1]:
            self._plan_cycle()
        regime = np.searchsorted(np.array(self._changes_s), times_s, side="right") - 1
        speed = self._speed_lag.follow(np.array(self._speeds)[regime])
        valve = self._valve_lag.follow(np.array(self._valves)[regime])
        self._forget_before(int(regime[0]))
        count = len(times_s)
        return Operation(
            speed + self._speed_wander.take(count), valve + self._valve_wander.take(count)
        )

    def _plan_cycle(self) -> None:
        for level in self._rng.permutation(np.array(SPEED_LEVELS)):
            dwell, jitter, valve = self._rng.random(3)
            self._speeds.append(float(level) + SPEED_JITTER * (2.0 * float(jitter) - 1.0))
            low, high = VALVE_RANGE
            self._valves.append(low + (high - low) * float(valve))
            shortest, longest = DWELL_S
            self._changes_s.append(
                self._changes_s[-1] + shortest + (longest - shortest) * float(dwell)
            )

    def _forget_before(self, regime: int) -> None:
        """Drop regimes that are over: memory does not grow with the simulated time."""
        del self._changes_s[:regime], self._speeds[:regime], self._valves[:regime]
