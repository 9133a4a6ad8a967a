"""The ground truth of a fleet: what was injected, and what the lives of its machines became."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from simulator.fleet.catalogue import SENSOR_FAULTS
from simulator.fleet.ground_truth import FaultInterval, GroundTruth, Stop
from simulator.fleet.life import MachineLife
from simulator.fleet.plant import PlantPlan


def truth_of(plan: PlantPlan, lives: Mapping[str, MachineLife]) -> GroundTruth:
    """Return intervals and stops of a plan whose lives were told to their ends.

    A fault of severity zero has no effect and therefore no label. A defect counts until the
    machine runs again without it.
    """
    span = (_ms(plan, plan.live_start_s), _ms(plan, plan.total_s))
    intervals = [
        FaultInterval(
            start_ms=_ms(plan, plan.live_start_s + fault.onset_s),
            end_ms=_ms(plan, plan.live_start_s + fault.onset_s + fault.duration_s),
            device_id=fault.device,
            kind=fault.kind,
            severity=fault.severity,
            category="sensor_fault" if fault.kind in SENSOR_FAULTS else "unit_fault",
            sensor=fault.sensor,
        )
        for fault in plan.faults
        if fault.severity > 0.0
    ]
    stops = []
    for device, life in lives.items():
        intervals += _wear(plan, device, life)
        stops += [
            Stop(
                _ms(plan, stop.begun_s),
                _ms(plan, min(stop.ended_s, plan.total_s)),
                device,
                stop.reason,
            )
            for stop in life.stops()
        ]
    live = dict.fromkeys(plan.devices, span)
    return GroundTruth(live, tuple(sorted(intervals)), tuple(sorted(stops)))


def told(plan: PlantPlan, lives: Mapping[str, MachineLife]) -> None:
    """Let lives of which no samples are made here happen to the end of the plan."""
    for life in lives.values():
        life.up(np.array([plan.total_s]))


def _wear(plan: PlantPlan, device: str, life: MachineLife) -> list[FaultInterval]:
    found = []
    for defect in life.truth():
        ended_s = plan.total_s if defect.ended_s is None else defect.ended_s
        severity = 1.0
        if not defect.failed:
            lasted_s, whole_s = ended_s - defect.begun_s, defect.fails_s - defect.begun_s
            severity = min(1.0, lasted_s / whole_s) if math.isfinite(whole_s) else 1.0
        found.append(
            FaultInterval(
                start_ms=_ms(plan, defect.begun_s),
                end_ms=_ms(plan, min(ended_s, plan.total_s)),
                device_id=device,
                kind=defect.kind,
                severity=round(severity, 4),
                category="wear",
                fails_ms=_ms(plan, defect.fails_s),
            )
        )
    return found


def _ms(plan: PlantPlan, at_s: float) -> int:
    return plan.base_ms + round(at_s * 1_000.0)
