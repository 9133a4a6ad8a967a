"""What a machine is asked to do: set-points of speed and load, and when it stands still.

The plan of duty is what moves all channels together. It knows nothing of sensors or faults;
`kinds` says which duty a kind of machine has and makes current, heat and vibration of it.

Modes of operation (``FleetSettings.operation``):

- ``cycling``: always on; speed and load change every few minutes, the same levels in every cycle;
- ``continuous``: always on at one steady point;
- ``shifts``: as cycling, but only in two shifts, 06:00-22:00 UTC on weekdays;
- ``start_stop``: as cycling, but in batches of 10-30 minutes with pauses of 3-10 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.streams import FloatArray, Lag, Wander, stream

OPERATIONS = ("cycling", "continuous", "shifts", "start_stop")

DAY_S = 86_400.0
SHIFT_HOURS = (6.0, 22.0)
"""Begin of the first and end of the second shift, UTC."""

BATCH_S = (600.0, 1_800.0)
PAUSE_S = (180.0, 600.0)

AT_REST = 0.02
"""Share of the speed below which a machine that is switched off sticks: friction stops it."""


@dataclass(frozen=True)
class Duty:
    """What a kind of machine is asked to do, as shares of its rated speed and load.

    Every cycle visits each of ``speed_levels`` once in random order, so that a history of a few
    cycles has seen them all; a visit lasts ``dwell_s`` and has a load of ``load_range``, or
    ``idle_load`` in ``idle_share`` of the visits. ``steady`` is speed and load when continuous.
    The drive does not jump to a new set-point: it lags by ``speed_tau_s``, the load by
    ``load_tau_s``. ``coast_tau_s``: decay of the speed after switching off, and the ramp up.
    """

    speed_levels: tuple[float, ...]
    load_range: tuple[float, float]
    steady: tuple[float, float]
    speed_jitter: float = 0.015
    dwell_s: tuple[float, float] = (90.0, 180.0)
    speed_tau_s: float = 20.0
    load_tau_s: float = 20.0
    speed_wander: float = 0.008
    load_wander: float = 0.02
    coast_tau_s: float = 8.0
    idle_share: float = 0.0
    idle_load: float = 0.0


class Operation(NamedTuple):
    """Operating point of each sample, as shares of rated speed and load.

    ``switched`` is 1 where the machine is switched on and 0 where not; None means on throughout.
    ``pressure_bar`` is known here for machines whose control follows it.
    """

    speed: FloatArray
    load: FloatArray
    switched: FloatArray | None = None
    pressure_bar: FloatArray | None = None

    def powered(self, values: FloatArray) -> FloatArray:
        """Return ``values`` while the machine is switched on, else 0."""
        return values if self.switched is None else values * self.switched


class Coasting:
    """The speed of a machine that is switched off and on again, as a share of its set-point.

    While nothing was ever switched off it costs nothing and changes no bit.
    """

    def __init__(self, tau_s: float, step_s: float) -> None:
        self._settings = (tau_s, step_s)
        self._lack: Lag | None = None

    def slow(self, point: Operation, off: npt.NDArray[np.bool_] | None) -> Operation:
        """Return ``point`` with the speed that is left, switched off where ``off`` says so."""
        if self._lack is None:
            # A fleet that begins at night begins with machines at rest.
            self._lack = Lag(*self._settings, initial=0.0 if off is None else float(off[0]))
        if self._lack.at_rest and (off is None or not off.any()):
            return point
        lack = np.zeros(len(point.speed)) if off is None else off.astype(np.float64)
        switched = 1.0 - lack
        share = 1.0 - self._lack.follow(lack)
        share[(share < AT_REST) & (switched == 0.0)] = 0.0
        if point.switched is not None:
            switched *= point.switched
        return point._replace(speed=point.speed * share, switched=switched)


class DutyCycle:
    """Draw the duty of one machine and return its operating point sample by sample."""

    def __init__(
        self,
        seed: int,
        device_id: str,
        step_s: float,
        duty: Duty,
        mode: str = "cycling",
        start_epoch_s: float = 0.0,
    ) -> None:
        """``start_epoch_s`` is the epoch time of time 0; only shifts depend on it."""
        self._duty = duty
        self._mode = mode
        self._start_epoch_s = start_epoch_s
        self._rng = stream(seed, device_id, "regimes")
        self._changes_s: list[float] = [0.0]
        self._speeds: list[float] = []
        self._loads: list[float] = []
        self._batches = Batches(seed, device_id)
        self._speed_lag = Lag(duty.speed_tau_s, step_s)
        self._load_lag = Lag(duty.load_tau_s, step_s)
        self._speed_wander = Wander(
            stream(seed, device_id, "speed"), duty.speed_wander, 150.0, step_s
        )
        self._load_wander = Wander(
            stream(seed, device_id, "valve"), duty.load_wander, 100.0, step_s
        )

    def take(self, times_s: FloatArray) -> Operation:
        """Return the set-points at ``times_s``, which follow the previous call's times."""
        count = len(times_s)
        speed, load = self._speed_wander.take(count), self._load_wander.take(count)
        if self._mode == "continuous":
            steady_speed, steady_load = self._duty.steady
            speed += steady_speed
            load += steady_load
        else:
            while self._changes_s[-1] <= times_s[-1]:
                self._plan_cycle()
            regime = np.searchsorted(np.array(self._changes_s), times_s, side="right") - 1
            speed += self._speed_lag.follow(np.array(self._speeds)[regime])
            load += self._load_lag.follow(np.array(self._loads)[regime])
            self._forget_before(int(regime[0]))
        return Operation(speed, np.maximum(load, 0.0, out=load))

    def off(self, times_s: FloatArray) -> npt.NDArray[np.bool_] | None:
        """Return where the mode of operation switches the machine off; None: nowhere."""
        if self._mode == "shifts":
            return off_shift(times_s + self._start_epoch_s)
        if self._mode == "start_stop":
            return self._batches.pauses(times_s)
        return None

    def _plan_cycle(self) -> None:
        duty = self._duty
        low, high = duty.load_range
        shortest, longest = duty.dwell_s
        for level in self._rng.permutation(np.array(duty.speed_levels)):
            dwell, jitter, load = self._rng.random(3).tolist()
            self._speeds.append(float(level) + duty.speed_jitter * (2.0 * jitter - 1.0))
            if load < duty.idle_share:
                self._loads.append(duty.idle_load)
            else:
                share = (load - duty.idle_share) / (1.0 - duty.idle_share)
                self._loads.append(low + (high - low) * share)
            self._changes_s.append(self._changes_s[-1] + shortest + (longest - shortest) * dwell)

    def _forget_before(self, regime: int) -> None:
        """Drop regimes that are over: memory does not grow with the simulated time."""
        del self._changes_s[:regime], self._speeds[:regime], self._loads[:regime]


class Batches:
    """Batches and pauses of one machine, which begins somewhere within a batch."""

    def __init__(self, seed: int, device_id: str) -> None:
        self._rng = stream(seed, device_id, "batches")
        self._changes_s = [0.0, BATCH_S[1] * float(self._rng.random())]
        self._first_runs = True

    def pauses(self, times_s: FloatArray) -> npt.NDArray[np.bool_]:
        """Return where the machine waits for the next batch; times follow the previous call's."""
        while self._changes_s[-1] <= times_s[-1]:
            runs_next = (len(self._changes_s) % 2 == 1) == self._first_runs
            shortest, longest = BATCH_S if runs_next else PAUSE_S
            length_s = shortest + (longest - shortest) * float(self._rng.random())
            self._changes_s.append(self._changes_s[-1] + length_s)
        stretch = np.searchsorted(np.array(self._changes_s), times_s, side="right") - 1
        pauses = (stretch % 2 == 1) == self._first_runs
        over = int(stretch[0])
        del self._changes_s[:over]
        self._first_runs = self._first_runs == (over % 2 == 0)
        return np.asarray(pauses)


def off_shift(epoch_s: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where no shift is at work: nights and week-ends. 1 January 1970 was a Thursday."""
    day = np.floor(epoch_s / DAY_S)
    hour = (epoch_s - day * DAY_S) / 3_600.0
    begin, end = SHIFT_HOURS
    return np.asarray((hour < begin) | (hour >= end) | ((day + 3.0) % 7.0 >= 5.0))
