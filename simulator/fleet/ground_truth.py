"""What really happened: fault intervals and healthy time, on a channel of its own.

The fleet and the replay fill it, the report reads it. It never travels with a reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Category = Literal["unit_fault", "sensor_fault", "wear", "recorded"]


@dataclass(frozen=True, order=True)
class FaultInterval:
    """One fault that had an effect; times in epoch milliseconds, both ends included.

    ``severity`` is the planned one in (0, 1]; a recording has no severity and says 1. Wear has
    the highest that it reached, and ``fails_ms``, when the machine fails if nothing is done.
    """

    start_ms: int
    end_ms: int
    device_id: str
    kind: str
    severity: float
    category: Category
    sensor: str = ""
    fails_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, order=True)
class Stop:
    """A machine that stands still for a failure or for work on it: neither healthy nor faulty."""

    start_ms: int
    end_ms: int
    device_id: str
    reason: str


@dataclass(frozen=True)
class GroundTruth:
    """Fault intervals and stops, and for each device the live span [start_ms, end_ms]."""

    live_ms: Mapping[str, tuple[int, int]]
    intervals: Sequence[FaultInterval] = field(default=())
    stops: Sequence[Stop] = field(default=())

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the device ids in the order of the fleet."""
        return tuple(self.live_ms)

    @property
    def live_start_ms(self) -> int:
        """Return when the first device's live part starts."""
        return min(start for start, _ in self.live_ms.values())

    @property
    def live_end_ms(self) -> int:
        """Return when the last device's live part ends."""
        return max(end for _, end in self.live_ms.values())

    def of(self, device_id: str) -> list[FaultInterval]:
        """Return the device's fault intervals in order of time."""
        return sorted(f for f in self.intervals if f.device_id == device_id)

    def healthy_ms(self, device_id: str, from_ms: int | None = None, grace_ms: int = 0) -> int:
        """Return the live time outside every fault interval and stop.

        ``from_ms``: count from then (the end of calibration) instead of the start of the live
        part. ``grace_ms`` is added to the end of every interval.
        """
        live_start, live_end = self.live_ms[device_id]
        clock = live_start if from_ms is None else max(live_start, from_ms)
        healthy = 0
        spans = [(f.start_ms, f.end_ms) for f in self.intervals if f.device_id == device_id]
        spans += [(s.start_ms, s.end_ms) for s in self.stops if s.device_id == device_id]
        for start_ms, end_ms in sorted(spans):
            healthy += max(0, min(start_ms, live_end) - clock)
            clock = max(clock, end_ms + grace_ms)
        return healthy + max(0, live_end - clock)

    def machine_days(self, from_ms: int | None = None, grace_ms: int = 0) -> float:
        """Return the healthy live time of all machines in days."""
        total = sum(self.healthy_ms(device, from_ms, grace_ms) for device in self.live_ms)
        return total / 86_400_000.0

    def records(self) -> list[dict[str, object]]:
        """Return the intervals as plain values, ordered by device and time, for a report."""
        ordered = sorted(self.intervals, key=lambda f: (f.device_id, f.start_ms, f.kind))
        return [
            {
                "device_id": f.device_id,
                "kind": f.kind,
                "category": f.category,
                "sensor": f.sensor or None,
                "severity": f.severity,
                "start_ms": f.start_ms,
                "end_ms": f.end_ms,
            }
            for f in ordered
        ]
