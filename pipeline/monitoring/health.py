"""Which rows are of healthy machines: drift is judged on these, else every fault were drift.

Used for the baseline and for each window. The alarm state is found anew from what the endpoint
answered, by the detector's own episode rule (`pipeline.model.alarms`), the slow score included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.episodes import Rule
from pipeline.model.alarms import Levels, alarms_by_device

Mask = NDArray[np.bool_]

COMMON_SHARE = 0.5
"""Machines fail one by one. When more than this share of the rows is of machines in alarm, the
cause is common to them, and leaving their rows out would hide the very change that is looked
for."""


def in_alarm(
    device_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    scores: Sequence[float | None],
    levels: Levels,
    rule: Rule,
    margin_ms: int,
) -> Mask:
    """Mark the rows inside an episode or less than `margin_ms` from one, (n,).

    Rows are by device and time; `levels` are empty where the model has no slow mean. An episode
    begins here where its scores rose, not where it was opened; one that is open at the end has
    no end.
    """
    marked = np.zeros(len(device_ids), np.bool_)
    names = np.array(device_ids)
    for name, alarms in alarms_by_device(device_ids, event_time_ms, scores, levels, rule).items():
        rows = np.flatnonzero(names == name)
        times = event_time_ms[rows]
        for alarm in alarms:
            near = times >= alarm.since_ms - margin_ms
            if alarm.ended_ms is not None:
                near &= times <= alarm.ended_ms + margin_ms
            marked[rows[near]] = True
    return marked


def healthy(alarmed: Mask) -> Mask:
    """Return the rows to judge drift on: those not in alarm, or all where the cause is common."""
    if len(alarmed) and alarmed.mean() > COMMON_SHARE:
        return np.ones(len(alarmed), np.bool_)
    return ~alarmed
