"""Faults inside the history that a model is trained on: what stands out of it by far.

A history is taken for healthy and seldom is. One machine with a fault makes the threshold
higher for all (docs/detection.md), because the tail that it comes from then is
the fault's. So before the threshold is taken, episodes whose peak is beyond what healthy peaks
reach (`calibration.outlier_limit`) are looked for, in scores of models that have not seen the row.
Training calls it. It is no label and no model of faults: small ones stay in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.episodes import Rule
from pipeline.model.alarms import Alarm, alarms_by_device
from pipeline.model.calibration import outlier_limit, threshold_for_rate
from pipeline.model.dataset import Dataset
from pipeline.model.healthy_rows import LeftOut, Span, episode, left_out_of_alarms
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.scoring import Parts
from pipeline.model.thresholds import Levels, Series, uncalibrated

Floats = NDArray[np.float64]


def standing_out(
    data: Dataset, held: Parts, levels: Floats, chosen: Hyperparameters
) -> LeftOut | None:
    """Return the rows of `data` near episodes that stand out by far; None where nothing does.

    `held` and `levels` (n, k) are of models that have not seen the row. Nothing stands out of the
    history of one machine or two, which have no majority to be compared with.
    """
    looked_at = Levels(data, chosen)
    scores = uncalibrated(held, chosen).score(held)
    slowly = levels.shape[1] > 0
    rate = chosen.false_alarms_per_machine_day / (2 if slowly else 1)
    rows = looked_at.of_rows(scores)
    threshold, limit = _levels(rows, looked_at.days, rate)
    far = _beyond(looked_at, rows, limit)
    means = np.zeros((len(data), 0))
    if slowly:
        slow = looked_at.of_slow_means(levels, scores <= threshold)
        slow_threshold, slow_limit = _levels(slow, looked_at.days, rate)
        far |= _beyond(looked_at, slow, slow_limit)
        means = levels / slow_threshold
    if not far.any():
        return None
    rule = Rule(
        chosen.smoothing_rows,
        1.0,
        chosen.exit_level,
        chosen.enter_rows,
        chosen.exit_rows,
        max_gap_ms=chosen.spec.window_ms,
        memory_rows=chosen.memory_rows if slowly else 0,
    )
    alarms = alarms_by_device(
        data.device_ids, data.event_time_ms, (scores / threshold).tolist(), means.tolist(), rule
    )
    return left_out_of_alarms(
        data,
        _with_a_far_row(data, alarms, far),
        {},
        margin_ms=chosen.alarm_margin_s * 1000,
        repair_ms=0,
        start_ms=int(data.event_time_ms.min()),
    )


def _levels(series: Series, days: float, rate: float) -> tuple[float, float]:
    """Return the threshold without what stands out, and from where on something does."""
    peaks, limit = series.all_peaks, outlier_limit(series.peaks)
    return threshold_for_rate(peaks[peaks <= limit], days, rate), limit


def _beyond(looked_at: Levels, series: Series, limit: float) -> NDArray[np.bool_]:
    marked = np.zeros(len(looked_at.data), np.bool_)
    for mine, levels in zip(looked_at.machines, series.levels, strict=True):
        with np.errstate(invalid="ignore"):
            marked[mine] = levels > limit
    return marked


def _with_a_far_row(
    data: Dataset, alarms: dict[str, list[Alarm]], far: NDArray[np.bool_]
) -> dict[str, list[Alarm]]:
    devices, times = np.array(data.device_ids)[far], data.event_time_ms[far]
    found = {}
    for device, own in alarms.items():
        moments = times[devices == device]
        kept = [alarm for alarm in own if _is_within(moments, episode(alarm))]
        if kept:
            found[device] = kept
    return found


def _is_within(moments: NDArray[np.int64], span: Span) -> bool:
    """Tell whether any of the times lies in a span."""
    since_ms, until_ms = span
    return bool(((moments >= since_ms) & (moments <= until_ms)).any())
