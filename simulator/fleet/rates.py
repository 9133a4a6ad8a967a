"""Faults drawn at random: a Poisson process for each machine and each rate of a scenario."""

from __future__ import annotations

from bisect import bisect, insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from simulator.fleet.catalogue import DEVICE_FAULTS, KINDS, SENSOR_FAULTS
from simulator.fleet.settings import FaultPlan, FaultRate
from simulator.fleet.streams import stream

DAY_S = 86_400.0


def drawn_faults(
    seed: int,
    devices: Mapping[str, str],
    rates: Sequence[FaultRate],
    live_s: float,
    fitted: Collection[str] = (),
) -> tuple[FaultPlan, ...]:
    """Return the faults of a fleet (device id -> kind) in a live part of ``live_s`` seconds.

    A fault begins after the one before of the same kind on the same device (and sensor) has ended,
    and ends within the live part. Other devices and rates of other faults change none. A rate
    without a sensor draws one of the machine's for each fault, only of ``fitted`` unless empty:
    a sensor that is not there can show no fault.
    """
    plans: list[FaultPlan] = []
    same: Counter[tuple[str, str]] = Counter()
    taken: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for rate in rates:
        # Rates of the same fault are processes of their own, told apart by their order.
        number = same[rate.kind, rate.sensor]
        same[rate.kind, rate.sensor] += 1
        for device, kind in devices.items():
            sensors = [name for name in KINDS[kind].sensors if not fitted or name in fitted]
            if not _can_have(kind, rate, sensors):
                continue
            for plan in _of_device(seed, device, sensors, rate, number, live_s):
                spans = taken.setdefault((device, plan.kind, plan.sensor), [])
                if _insert(spans, plan.onset_s, plan.onset_s + plan.duration_s):
                    plans.append(plan)
    return tuple(plans)


def _insert(spans: list[tuple[float, float]], begin_s: float, end_s: float) -> bool:
    """Add a span to sorted ones that do not overlap; say False and leave it out if it would."""
    at = bisect(spans, (begin_s, end_s))
    if (at and spans[at - 1][1] > begin_s) or (at < len(spans) and spans[at][0] < end_s):
        return False
    insort(spans, (begin_s, end_s))
    return True


def _can_have(kind: str, rate: FaultRate, sensors: Sequence[str]) -> bool:
    if rate.kinds_of_machine and kind not in rate.kinds_of_machine:
        return False
    if rate.kind in DEVICE_FAULTS:
        return True
    if rate.kind in SENSOR_FAULTS:
        return rate.sensor in sensors if rate.sensor else bool(sensors)
    return rate.kind in KINDS[kind].faults


def _of_device(
    seed: int, device: str, sensors: Sequence[str], rate: FaultRate, number: int, live_s: float
) -> Iterator[FaultPlan]:
    """Yield the faults of one process in order of time."""
    if rate.per_machine_day <= 0.0:
        return
    rng = stream(seed, device, "rate", rate.kind, rate.sensor, str(number))
    free_s = 0.0
    while True:
        wait_s = DAY_S / rate.per_machine_day * float(rng.standard_exponential())
        size, length, which = rng.random(3).tolist()
        onset_s = round(free_s + wait_s, 3)
        duration_s = rate.duration_low_s + (rate.duration_high_s - rate.duration_low_s) * length
        duration_s = round(duration_s, 3)
        free_s = onset_s + duration_s
        if free_s > live_s:
            return
        sensor = rate.sensor
        if rate.kind in SENSOR_FAULTS and rate.kind not in DEVICE_FAULTS and not sensor:
            sensor = sensors[int(which * len(sensors))]
        severity = rate.severity_low + (rate.severity_high - rate.severity_low) * size
        yield FaultPlan(device, rate.kind, onset_s, duration_s, round(severity, 4), sensor)
