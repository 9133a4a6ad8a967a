"""Which rows of a training range are of machines that were not healthy, as far as is known.

What is in the training data counts as healthy, so that a fault that is trained on is not found
again. The training script leaves out rows of two kinds, by what the model that served says of the
rows and by the maintenance log as the features have it, never by what really happened:

- `alarm`: inside an episode, with a margin on both sides;
- `repair`: from such an episode to the work order that followed it, though the alarm may have
  ended before.

Machines fail one by one. In an hour in which more than half of them are in alarm the cause is
common to them, as when all of them have drifted, and the rows are what has to be learnt. Orders
are told apart in the same way: where more than half are between alarm and order, that is no sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.model.alarms import Alarm, alarms_by_device, rule_of, scored
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset, feature_files
from pipeline.partitions import HOUR_MS

Mask = NDArray[np.bool_]
Times = NDArray[np.int64]
Span = tuple[int, int]
"""From and until, both included, in epoch milliseconds."""

COMMON_SHARE = 0.5
SINCE_ORDER = "since_maintenance_s"
"""The column of the features job from which the times of work orders are read back."""

_FOR_EVER = 1 << 62


@dataclass(frozen=True)
class LeftOut:
    """What is not trained on: `rows` (n,) of it marked, and how the card tells it."""

    rows: Mask
    in_alarm: int
    to_repair: int
    common_hours: int
    spans: dict[str, list[list[int]]]

    def to_json(self, devices_without_rows: Sequence[str]) -> dict[str, Any]:
        """Return what the model card keeps; `spans` has [from, until] of each machine."""
        return {
            "rows": int(self.rows.sum()),
            "rows_in_alarm": self.in_alarm,
            "rows_until_a_work_order": self.to_repair,
            "hours_of_a_common_cause": self.common_hours,
            "devices_without_rows": list(devices_without_rows),
            "spans": self.spans,
        }


def finished_orders(folder: Path) -> dict[str, Times]:
    """Return when work orders on each machine were finished, by the features below a folder.

    A row tells the last order before it, so that one is known as soon as a later row is. Files
    without the column tell nothing.
    """
    found: dict[str, set[int]] = {}
    for path in feature_files(folder):
        with pq.ParquetFile(path) as file:
            if SINCE_ORDER not in file.schema_arrow.names:
                continue
            table = file.read(columns=["device_id", "event_time_ms", SINCE_ORDER])
        since_s = table[SINCE_ORDER].to_numpy().astype(np.float64)
        known = np.flatnonzero(np.isfinite(since_s))
        times = table["event_time_ms"].to_numpy().astype(np.int64)[known]
        finished = times - np.rint(since_s[known] * 1000.0).astype(np.int64)
        devices = np.array(table["device_id"].to_pylist(), np.str_)[known]
        for device in np.unique(devices).tolist():
            own = finished[devices == device]
            found.setdefault(device, set()).update(np.unique(own).tolist())
    return {device: np.array(sorted(times), np.int64) for device, times in found.items()}


def left_out(
    data: Dataset,
    served: Artefact,
    features_served: NDArray[np.float64],
    finished_ms: Mapping[str, Times],
    margin_ms: int,
    repair_ms: int,
    start_ms: int,
) -> LeftOut:
    """Return which rows of `data` from `start_ms` on are not of healthy machines.

    Rows before that tell of alarms that have begun already. `features_served` (n, d) are the
    features of the same rows that the served model takes. An order belongs to an alarm when it
    is the first since this began, and finished at most `repair_ms` after its end.
    """
    scores, levels = scored(served, data.device_ids, features_served)
    rule = rule_of(served)
    alarms = alarms_by_device(data.device_ids, data.event_time_ms, scores, levels, rule)
    return left_out_of_alarms(data, alarms, finished_ms, margin_ms, repair_ms, start_ms)


def left_out_of_alarms(
    data: Dataset,
    alarms: Mapping[str, Sequence[Alarm]],
    finished_ms: Mapping[str, Times],
    margin_ms: int,
    repair_ms: int,
    start_ms: int,
) -> LeftOut:
    """Return the same of episodes that are known already."""
    nothing = np.zeros(0, np.int64)
    episodes = {name: [episode(alarm) for alarm in own] for name, own in alarms.items()}
    repairs = {
        name: [
            (alarm.since_ms, until_ms)
            for alarm in own
            if (until_ms := _repaired_ms(alarm, finished_ms.get(name, nothing), repair_ms))
        ]
        for name, own in alarms.items()
    }
    in_range = data.event_time_ms >= start_ms
    in_alarm, hours = _own_cause(data, episodes, margin_ms)
    to_repair, _ = _own_cause(data, repairs, margin_ms)
    in_alarm &= in_range
    to_repair &= in_range
    rows = in_alarm | to_repair
    common = sum(hour * HOUR_MS >= start_ms for hour in hours)
    return LeftOut(
        rows, int(in_alarm.sum()), int((to_repair & ~in_alarm).sum()), common, _spans(data, rows)
    )


def rows_in(data: Dataset, spans: Mapping[str, Sequence[Sequence[int]]]) -> Mask:
    """Mark the rows of `data` (n,) that lie in a machine's spans, both ends included."""
    marked = np.zeros(len(data), np.bool_)
    for device, rows in _rows_of(data, spans):
        times = data.event_time_ms[rows]
        for from_ms, until_ms in spans[device]:
            marked[rows[(times >= from_ms) & (times <= until_ms)]] = True
    return marked


def episode(alarm: Alarm) -> Span:
    """Return from when to when a machine was in alarm; an open one has no end."""
    return alarm.since_ms, _FOR_EVER if alarm.ended_ms is None else alarm.ended_ms


def _repaired_ms(alarm: Alarm, finished: Times, repair_ms: int) -> int | None:
    """Return when the first order since an alarm was finished, None where none belongs to it."""
    place = int(np.searchsorted(finished, alarm.since_ms, side="right"))
    if place == len(finished):
        return None
    first = int(finished[place])
    return first if alarm.ended_ms is None or first <= alarm.ended_ms + repair_ms else None


def _own_cause(
    data: Dataset, spans: Mapping[str, Sequence[Span]], margin_ms: int
) -> tuple[Mask, list[int]]:
    """Mark rows in spans, or near one, outside the hours of a common cause; return these too."""
    inside = rows_in(data, spans)
    hours = data.event_time_ms // HOUR_MS
    names = np.unique(np.array(data.device_ids, np.str_), return_inverse=True)[1]
    there = _machines_by_hour(hours, names)
    marked = _machines_by_hour(hours[inside], names[inside])
    common = [
        hour
        for hour, count in sorted(marked.items())
        # One machine alone has nothing in common with others.
        if count > 1 and count > COMMON_SHARE * there[hour]
    ]
    wide = {
        name: [(from_ms - margin_ms, until_ms + margin_ms) for from_ms, until_ms in own]
        for name, own in spans.items()
    }
    return rows_in(data, wide) & ~np.isin(hours, common), common


def _machines_by_hour(hours: Times, names: NDArray[np.int64]) -> dict[int, int]:
    """Return how many machines have a row in each hour."""
    pairs = np.unique(np.column_stack([hours, names]), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _spans(data: Dataset, rows: Mask) -> dict[str, list[list[int]]]:
    """Return stretches of marked rows in a row by machine, [from, until] of each."""
    found: dict[str, list[list[int]]] = {}
    before = -2
    for row in np.flatnonzero(rows).tolist():
        own = found.setdefault(data.device_ids[row], [])
        moment = int(data.event_time_ms[row])
        if own and row == before + 1:
            own[-1][1] = moment
        else:
            own.append([moment, moment])
        before = row
    return found


def _rows_of(data: Dataset, wanted: Mapping[str, object]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the positions of the rows of each machine that is wanted; rows are by machine."""
    names, starts, counts = np.unique(
        np.array(data.device_ids, np.str_), return_index=True, return_counts=True
    )
    return [
        (name, np.arange(start, start + count))
        for name, start, count in zip(names.tolist(), starts.tolist(), counts.tolist(), strict=True)
        if name in wanted
    ]
