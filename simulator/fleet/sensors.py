"""Sensors: what a physical quantity looks like after noise, bias, faults and the converter.

`machine` gives the true quantity; a sensor adds the bias of the unit, coloured and white
noise, its own faults, and rounds to its resolution. Four scalar channels per pump.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.fleet.faults import FaultPlan, SensorFault
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


PUMP_SENSORS = (
    SensorModel("temperature_c", -40.0, 200.0, 1, 0.10, 0.06, 0.8, 12.0),
    SensorModel("velocity_mm_s_rms", 0.0, 100.0, 2, 0.03, 0.02, 0.05, 1.2),
    SensorModel("pressure_bar", -1.0, 40.0, 2, 0.02, 0.015, 0.05, 1.5),
    SensorModel("current_a", 0.0, 200.0, 2, 0.10, 0.06, 0.2, 7.0),
)

SENSOR_NAMES = tuple(model.name for model in PUMP_SENSORS)


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
        plans: Sequence[FaultPlan],
    ) -> None:
        """``plans`` are the device's sensor faults; those of other sensors are left out."""
        self.model = model
        self._white = stream(seed, device_id, model.name, "white")
        slow = stream(seed, device_id, model.name, "slow")
        self._slow = Wander(slow, model.slow_sigma, model.slow_tau_s, step_s)
        unit = stream(seed, device_id, model.name, "unit")
        self._bias = model.bias_sigma * float(unit.standard_normal())
        self._faults = [
            SensorFault(plan, seed, live_start_s, model.span)
            for plan in plans
            if plan.sensor == model.name
        ]

    def read(self, t: FloatArray, truth: FloatArray) -> FloatArray:
        """Return what the sensor shows for ``truth`` at times ``t`` (seconds), same shape."""
        model = self.model
        noise = self._white.standard_normal(len(t)) * model.white_sigma
        shown = truth + self._bias + self._slow.take(len(t)) + noise
        for fault in self._faults:
            shown = fault.apply(t, shown)
        limited = np.clip(shown, model.lowest, model.highest)
        return np.round(limited, model.resolution_decimals)
