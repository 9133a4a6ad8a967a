"""The clock of a device: what it stamps on a reading, which is not quite the time.

Offset and drift belong to the individual; NTP steps the clock back to its offset now and then; a
clock that has stopped stamps the same time on reading after reading. `plant` stamps with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from simulator.fleet.settings import ClockSettings, FaultPlan
from simulator.fleet.severity import interval_s
from simulator.fleet.streams import FloatArray, stream


class DeviceClock:
    """The clock of one device; what it shows depends on nothing but the time.

    A crystal is off by 20 to 100 parts per million, 1.7 to 8.6 s a day; the drift adds up from
    the fleet's start or from the latest NTP step, which leaves the offset (an asymmetric path to
    the server). ``plans``: those ``frozen_timestamp`` that are the device's stop the clock at
    their onset, whatever their severity if it is above zero: half stopped there is not. At the
    end the clock is right again.
    """

    def __init__(
        self,
        seed: int,
        device_id: str,
        settings: ClockSettings,
        *,
        live_start_s: float,
        plans: Sequence[FaultPlan] = (),
    ) -> None:
        offset, drift = stream(seed, device_id, "clock").standard_normal(2).tolist()
        self._offset_s = settings.offset_sigma_s * offset
        self._drift = 1e-6 * settings.drift_ppm_sigma * drift
        self._period_s = settings.sync_period_s
        # Clocks are not set at the same moment.
        phase = float(stream(seed, device_id, "clock", "sync").random())
        self._phase_s = phase * self._period_s
        self._frozen = _joined(
            interval_s(plan, live_start_s)
            for plan in plans
            if plan.device == device_id and plan.kind == "frozen_timestamp" and plan.severity > 0.0
        )

    def stamp(self, t: FloatArray) -> FloatArray:
        """Return what the clock shows at times ``t``, same shape; seconds since the fleet's start.

        ``t`` ascends. A clock without any error returns ``t`` itself.
        """
        shown = self._running(t)
        if not self._frozen or not t.size:
            return shown
        for onset_s, end_s in self._frozen:
            if onset_s <= t[-1] and t[0] < end_s:
                stopped_s = self._running(np.array([onset_s]))[0]
                shown = np.where((t >= onset_s) & (t < end_s), stopped_s, shown)
        return shown

    def _running(self, t: FloatArray) -> FloatArray:
        """Return what the clock would show if it never stopped."""
        if not self._drift:
            return t + self._offset_s if self._offset_s else t
        since_s = np.mod(t + self._phase_s, self._period_s) if self._period_s > 0.0 else t
        shown: FloatArray = self._drift * since_s
        shown += self._offset_s
        shown += t
        return shown


def _joined(intervals: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return intervals that do not overlap: a clock that stands cannot stop again."""
    joined: list[tuple[float, float]] = []
    for onset_s, end_s in sorted(intervals):
        if joined and onset_s < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        else:
            joined.append((onset_s, end_s))
    return tuple(joined)
