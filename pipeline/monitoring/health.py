"""Which rows are of healthy machines: drift is judged on these, else every fault were drift.

Used for the baseline and for each window. The alarm state is found anew from the scores, by the
detector's own episode rule. Nothing is read of the detector's tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.episodes import EpisodeState, Rule, advance

Mask = NDArray[np.bool_]

COMMON_SHARE = 0.5
"""Machines fail one by one. When more than this share of the rows is of machines in alarm, the
cause is common to them, and leaving their rows out would hide the very change that is looked
for."""


def in_alarm(
    device_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    scores: Sequence[float | None],
    rule: Rule,
    margin_ms: int,
) -> Mask:
    """Mark the rows inside an episode or less than `margin_ms` from one, (n,).

    Rows are by device and time. An episode begins here where its scores rose, not where it was
    opened; one that is open at the end has no end.
    """
    marked = np.zeros(len(device_ids), np.bool_)
    names = np.array(device_ids)
    for name in sorted(set(device_ids)):
        rows = np.flatnonzero(names == name)
        times = event_time_ms[rows]
        for start_ms, end_ms in _episodes(times, [scores[row] for row in rows.tolist()], rule):
            near = (times >= start_ms - margin_ms) & (times <= end_ms + margin_ms)
            marked[rows[near]] = True
    return marked


def _episodes(
    times: NDArray[np.int64], scores: Sequence[float | None], rule: Rule
) -> list[tuple[int, int]]:
    state = EpisodeState()
    found = []
    for moment, score in zip(times.tolist(), scores, strict=True):
        if score is None:
            continue
        state, step = advance(state, rule, moment, score)
        if step.closed and step.episode is not None:
            found.append((step.episode.above_since_ms, moment))
    if state.is_open:
        found.append((state.above_since_ms, int(times[-1])))
    return found


def healthy(alarmed: Mask) -> Mask:
    """Return the rows to judge drift on: those not in alarm, or all where the cause is common."""
    if len(alarmed) and alarmed.mean() > COMMON_SHARE:
        return np.ones(len(alarmed), np.bool_)
    return ~alarmed
