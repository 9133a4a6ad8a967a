"""Sensors: what a physical quantity looks like after noise, bias, faults and the converter.

`machine` gives the true quantity; a sensor adds the bias of the unit, coloured and white noise,
its own faults, and rounds to its resolution. Each kind of machine brings its own models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.fleet.sensor_faults import SensorFault
from simulator.fleet.settings import FaultPlan
from simulator.fleet.streams import FloatArray, Wander, stream


@dataclass(frozen=True)
class SensorModel:
    """Describe one kind of sensor, in its own unit.

    ``resolution_decimals``: the converter's step is 10 to minus this. ``span``: error that a
    drift of severity 1 reaches, about the swing that load alone causes.
    """

    name: str
    lowest: float
    highest: float
    resolution_decimals: int
    white_sigma: float
    slow_sigma: float
    bias_sigma: float
    span: float
    slow_tau_s: float = 20.0

    @property
    def resolution(self) -> float:
        """Step of the converter; rounding to it adds noise of deviation step / sqrt(12)."""
        return float(10.0**-self.resolution_decimals)


class Sensor:
    """One sensor of one device; successive calls continue the same noise."""

    def __init__(
        self,
        model: SensorModel,
        device_id: str,
        seed: int,
        *,
        step_s: float,
        live_start_s: float,
        plans: Sequence[FaultPlan] = (),
    ) -> None:
        """``plans`` are the device's sensor faults; those of other sensors are left out.

        Raises `ScenarioError` for a fault that no single sensor can have.
        """
        self.model = model
        self._white = stream(seed, device_id, model.name, "white")
        slow = stream(seed, device_id, model.name, "slow")
        self._slow = Wander(slow, model.slow_sigma, model.slow_tau_s, step_s)
        unit = stream(seed, device_id, model.name, "unit")
        self._bias = model.bias_sigma * float(unit.standard_normal())
        self._scale = 10.0**model.resolution_decimals
        mine = [plan for plan in plans if plan.sensor == model.name]
        self._faults = [
            SensorFault(
                plan, seed, live_start_s, model.span, white_sigma=model.white_sigma, step_s=step_s
            )
            for plan in sorted(mine, key=lambda plan: (plan.onset_s, plan.kind))
        ]

    def read(self, t: FloatArray, truth: FloatArray) -> FloatArray:
        """Return what the sensor shows for ``truth`` at times ``t`` (seconds), same shape.

        NaN where it shows nothing. ``truth`` is left as it is. Faults change what goes into the
        converter: what is shown stays within its limits and on its steps.
        """
        model = self.model
        shown = self._white.standard_normal(len(t))
        shown *= model.white_sigma
        shown += self._slow.take(len(t))
        shown += self._bias
        shown += truth
        for fault in self._faults:
            shown = fault.apply(t, shown)
        np.maximum(shown, model.lowest, out=shown)
        np.minimum(shown, model.highest, out=shown)
        # The quotient of two whole numbers is the double nearest to the decimal fraction.
        shown *= self._scale
        np.rint(shown, out=shown)
        shown /= self._scale
        # Both zeros are the same reading, but not the same text.
        shown += 0.0
        return shown
