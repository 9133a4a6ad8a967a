"""Sensor faults: what a broken sensor shows instead of the quantity that it measures.

One `SensorFault` per planned fault of a sensor; `sensors` applies them in the order of their
onsets, each to what the one before it shows. Kinds as in the literature on sensor validation
(Ni et al. 2009, Sharma et al. 2010). Each has its own random stream and draws for every sample of
its interval, so that a higher severity makes the same course worse; one of severity zero draws
nothing and leaves every bit. `frozen_timestamp` concerns the device: see `clock`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from simulator.errors import ScenarioError
from simulator.fleet.settings import FaultPlan
from simulator.fleet.severity import Growth, interval_s, severity_at
from simulator.fleet.streams import FloatArray, Lag, Wander, stream

SENSOR_FAULTS: Mapping[str, Growth] = {
    "bias_drift": Growth(start=0.0, rise=1.0),
    "stuck_at": Growth(),
    "spike": Growth(),
    "gain": Growth(),
    "noise_increase": Growth(),
    "dropout": Growth(),
    "saturation": Growth(),
    "lag": Growth(),
}
"""Every fault of a single sensor, with its course over the interval."""

GAIN_AT_FULL_SEVERITY = 0.3

SPIKE_CHANCE = 0.05
"""Chance of a spike in each sample while the fault lasts: a Poisson process, sampled."""

NOISE_AT_FULL_SEVERITY = 10.0
"""Deviation of the added noise, in deviations of the sensor's own white noise, which severity s
therefore raises by the factor sqrt(1 + (10 s)^2)."""

DROPOUT_TAU_S = 12.0
"""How long a loose contact stays as it is: at 1 Hz and severity 0.5, runs without a value are
pi / arccos(exp(-1 / 12)) = 7.7 samples long on average."""

LAG_AT_FULL_SEVERITY_S = 300.0
"""Time constant of a sensor whose well is fouled or that hangs loose in it."""


class SensorFault:
    """One sensor fault in action; successive calls continue it.

    ``span`` is the error, in the sensor's unit, that severity 1 means for drift and spikes;
    ``white_sigma`` the deviation of the healthy noise; ``step_s`` the sampling period. Raises
    `ScenarioError` for a fault that no single sensor can have.
    """

    def __init__(
        self,
        plan: FaultPlan,
        seed: int,
        live_start_s: float,
        span: float,
        *,
        white_sigma: float = 0.0,
        step_s: float = 1.0,
    ) -> None:
        if plan.kind not in SENSOR_FAULTS:
            known = ", ".join(SENSOR_FAULTS)
            raise ScenarioError(f"a sensor has no fault {plan.kind!r}; it can have {known}")
        self.plan = plan
        self.start_s, self.end_s = interval_s(plan, live_start_s)
        self._live_start_s = live_start_s
        self._span = span
        self._noise_sigma = NOISE_AT_FULL_SEVERITY * white_sigma
        self._first: float | None = None
        name = f"{plan.kind}@{float(plan.onset_s)}"
        self._rng = stream(seed, plan.device, "fault", plan.sensor, name)
        if plan.kind == "dropout":
            self._contact = Wander(self._rng, 1.0, DROPOUT_TAU_S, step_s)
        if plan.kind == "lag" and plan.severity > 0.0:
            self._lag = Lag(plan.severity * LAG_AT_FULL_SEVERITY_S, step_s)

    def apply(self, t: FloatArray, values: FloatArray) -> FloatArray:
        """Return what the faulty sensor shows instead of ``values`` at times ``t``, ascending.

        The values themselves where the fault has no effect on any; otherwise a new array. What is
        NaN stays NaN: no fault brings back what another has taken away.
        """
        if not t.size or self.plan.severity <= 0.0:
            return values
        if t[-1] < self.start_s or t[0] >= self.end_s:
            return values
        first, end = np.searchsorted(t, (self.start_s, self.end_s)).tolist()
        if first == end:
            return values
        growth = SENSOR_FAULTS[self.plan.kind]
        level = severity_at(self.plan, growth, self._live_start_s, t[first:end])
        shown = values.copy()
        shown[first:end] = self._shown(level, values[first:end])
        return shown

    def _shown(self, level: FloatArray, values: FloatArray) -> FloatArray:
        """Return the values (n,) of samples inside the interval at severities ``level`` (n,)."""
        match self.plan.kind:
            case "bias_drift":
                shown = values + level * self._span
            case "stuck_at":
                shown = values + level * (self._value_at_onset(values) - values)
            case "spike":
                draws = self._rng.random(2 * len(values))
                height = np.where(draws[1::2] < 0.5, -self._span, self._span)
                shown = values + np.where(draws[::2] < SPIKE_CHANCE, level * height, 0.0)
            case "gain":
                shown = values * (1.0 + level * GAIN_AT_FULL_SEVERITY)
            case "noise_increase":
                noise = self._rng.standard_normal(len(values))
                shown = values + level * self._noise_sigma * noise
            case "dropout":
                shown = np.where(self._silent(level), np.nan, values)
            case "saturation":
                shown = self._limited(level, values)
            case _:
                shown = self._lagged(values)
        return shown

    def _value_at_onset(self, values: FloatArray) -> float:
        """Return the first value that the sensor had within the interval; NaN before there is one.

        While there is none all values are NaN, so that it does not matter where a block ends.
        """
        if self._first is None:
            there = values[~np.isnan(values)]
            if not there.size:
                return np.nan
            self._first = float(there[0])
        return self._first

    def _silent(self, level: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which samples have no value: in runs, their share of the time is the severity.

        The contact is a stationary Gaussian process that breaks below its quantile: silent
        samples of a low severity are silent at a higher one too, and at 1 all are.
        """
        from scipy.special import ndtri  # Only where a contact fails: it takes a quarter second.

        return np.asarray(self._contact.take(len(level)) < ndtri(level))

    def _limited(self, level: FloatArray, values: FloatArray) -> FloatArray:
        """Return values between limits that close in on the value at the onset.

        They are span (1 / s - 1) away from it: infinite at severity 0, one span at 0.5 (load alone
        hardly reaches them), a quarter of one at 0.8, and at 1 nothing is left.
        """
        centre = self._value_at_onset(values)
        # Limits too far for a float are no limits.
        with np.errstate(divide="ignore", over="ignore"):
            room = self._span * (1.0 / level - 1.0)
        return np.minimum(np.maximum(values, centre - room), centre + room)

    def _lagged(self, values: FloatArray) -> FloatArray:
        """Return the first-order response, noise included; it begins in its steady state.

        A sample without a value is left out, the lag goes on after it as if it had not been.
        """
        there = ~np.isnan(values)
        if there.all():
            return self._lag.follow(values)
        shown = values.copy()
        if there.any():
            shown[there] = self._lag.follow(values[there])
        return shown
