"""Features while the stream flows: the compact state of a device, and how messages advance it.

The detector keeps one state per device in the state table, advances the states of all devices
of a batch at once, and gets the rows that became final. How the stream was cut into batches
changes nothing: rows, states and all bits are the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from pipeline.bursts import burst_feature_names, burst_features
from pipeline.features import FeatureRows, Signals, feature_rows
from pipeline.messages import Burst, Reading
from pipeline.sequence import Arrival, Progress
from pipeline.settings import FeatureSpec

_HEAD = struct.Struct("<BIII")
_VERSION = 1


@dataclass(slots=True)
class DeviceState:
    """What must be remembered of a device: its progress, and readings of windows not yet final.

    Arrays are sorted by (event time, seq): ``event_time_ms``, ``seq`` ``(n,) int64``, ``values``
    ``(n, n_sensors) float64``; of bursts only the features are kept, ``burst_values``
    ``(b, n_burst_features)``.
    """

    progress: Progress
    event_time_ms: NDArray[np.int64]
    seq: NDArray[np.int64]
    values: NDArray[np.float64]
    burst_time_ms: NDArray[np.int64]
    burst_seq: NDArray[np.int64]
    burst_values: NDArray[np.float64]

    @classmethod
    def new(cls, spec: FeatureSpec, progress: Progress | None = None) -> DeviceState:
        """Return the state of a device that has sent nothing yet."""
        none = np.zeros(0, np.int64)
        values = np.zeros((0, len(spec.sensors)))
        bursts = np.zeros((0, len(burst_feature_names(spec))))
        return cls(progress or Progress(), none, none, values, none, none, bursts)

    def to_bytes(self, spec: FeatureSpec) -> bytes:
        """Return the form that the state table keeps: some 50 bytes per reading in the window."""
        return b"".join(
            [
                _HEAD.pack(
                    _VERSION, spec.fingerprint, len(self.event_time_ms), len(self.burst_time_ms)
                ),
                self.progress.to_bytes(),
                self.event_time_ms.tobytes(),
                self.seq.tobytes(),
                self.values.tobytes(),
                self.burst_time_ms.tobytes(),
                self.burst_seq.tobytes(),
                self.burst_values.tobytes(),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, spec: FeatureSpec) -> DeviceState:
        """Return the state that `to_bytes` wrote.

        A state that was written under another spec keeps its progress, so that nothing counts
        twice, and starts its windows afresh.
        """
        version, fingerprint, n_readings, n_bursts = _HEAD.unpack_from(data, 0)
        if version != _VERSION:
            return cls.new(spec)
        progress, offset = Progress.from_bytes(data, _HEAD.size)
        if fingerprint != spec.fingerprint:
            return cls.new(spec, progress)
        times, offset = _integers(data, n_readings, offset)
        seqs, offset = _integers(data, n_readings, offset)
        values, offset = _table(data, n_readings, len(spec.sensors), offset)
        burst_times, offset = _integers(data, n_bursts, offset)
        burst_seqs, offset = _integers(data, n_bursts, offset)
        burst_values, _ = _table(data, n_bursts, len(burst_feature_names(spec)), offset)
        return cls(progress, times, seqs, values, burst_times, burst_seqs, burst_values)


def _integers(data: bytes, count: int, offset: int) -> tuple[NDArray[np.int64], int]:
    """Return the column at ``offset``, and where it ends."""
    return np.frombuffer(data, np.int64, count, offset), offset + 8 * count


def _table(data: bytes, rows: int, columns: int, offset: int) -> tuple[NDArray[np.float64], int]:
    """Return the ``(rows, columns)`` table at ``offset``, and where it ends."""
    cells = rows * columns
    table = np.frombuffer(data, np.float64, cells, offset).reshape(rows, columns)
    return table, offset + 8 * cells


@dataclass(frozen=True)
class Advance:
    """What a batch of messages led to; ``rows.device`` counts ``device_ids``."""

    device_ids: tuple[str, ...]
    rows: FeatureRows
    late: int
    duplicates: int


@dataclass(slots=True)
class _Accepted:
    """The on-time messages of a batch, column by column."""

    device: list[int] = field(default_factory=list)
    event_time_ms: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    values: list[tuple[float, ...] | NDArray[np.float64]] = field(default_factory=list)


def advance(
    states: Mapping[str, DeviceState], messages: Iterable[Reading | Burst], spec: FeatureSpec
) -> Advance:
    """Advance the devices' states, in place, by messages in order of arrival.

    ``states`` has every device that a message is from. Returns the rows that became final: the
    device's newest event time has passed their time by more than the allowed lateness.
    """
    index = {device_id: number for number, device_id in enumerate(states)}
    ordered = list(states.values())
    before_ms = np.array([state.progress.watermark_ms for state in ordered], np.int64)
    readings, bursts, late, duplicates = _accept(index, ordered, messages, spec)
    device, times, seqs, values = _merge(
        [(state.event_time_ms, state.seq, state.values) for state in ordered], readings
    )
    burst_device, burst_times, burst_seqs, burst_values = _merge(
        [(state.burst_time_ms, state.burst_seq, state.burst_values) for state in ordered], bursts
    )
    signals = Signals(device, times, values, burst_device, burst_times, burst_values)
    after_ms = np.array([state.progress.watermark_ms for state in ordered], np.int64)
    upper_ms = after_ms - spec.allowed_lateness_ms
    rows = feature_rows(signals, before_ms - spec.allowed_lateness_ms, upper_ms, spec)

    keep = times > upper_ms[device] - spec.reach_ms
    parts = _split(device[keep], len(ordered), times[keep], seqs[keep], values[keep])
    keep = _bursts_needed(burst_device, burst_times, upper_ms, spec)
    burst_parts = _split(
        burst_device[keep], len(ordered), burst_times[keep], burst_seqs[keep], burst_values[keep]
    )
    for state, part, burst_part in zip(ordered, parts, burst_parts, strict=True):
        state.event_time_ms, state.seq, state.values = part
        state.burst_time_ms, state.burst_seq, state.burst_values = burst_part
    return Advance(tuple(states), rows, late, duplicates)


def _accept(
    index: Mapping[str, int],
    ordered: list[DeviceState],
    messages: Iterable[Reading | Burst],
    spec: FeatureSpec,
) -> tuple[_Accepted, _Accepted, int, int]:
    """Sort the messages out; return readings, bursts, and how many were late and repeated."""
    readings, bursts = _Accepted(), _Accepted()
    lateness_ms = spec.allowed_lateness_ms
    late = duplicates = 0
    in_order = itemgetter(*spec.sensors, *spec.sensors[:1])
    for message in messages:
        number = index[message.device_id]
        progress = ordered[number].progress
        is_reading = isinstance(message, Reading)
        seen = progress.readings if is_reading else progress.bursts
        arrival = progress.take(seen, message.seq, message.event_time_ms, lateness_ms)
        if arrival is not Arrival.ON_TIME:
            late += arrival is Arrival.LATE
            duplicates += arrival is Arrival.DUPLICATE
            continue
        target = readings if is_reading else bursts
        target.device.append(number)
        target.event_time_ms.append(message.event_time_ms)
        target.seq.append(message.seq)
        if isinstance(message, Reading):
            target.values.append(in_order(message.values)[:-1])
        else:
            target.values.append(
                burst_features(
                    message.samples, message.rate_hz, message.scale_m_s2, spec.bearing_hz
                )
            )
    return readings, bursts, late, duplicates


def _merge(
    stored: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
    accepted: _Accepted,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Join what the states hold with what came; return it sorted by (device, time, seq)."""
    times, seqs, values = zip(*stored, strict=True)
    lengths = [len(column) for column in times]
    device = np.concatenate(
        [np.repeat(np.arange(len(stored)), lengths), np.array(accepted.device, np.int64)]
    )
    all_times = np.concatenate([*times, np.array(accepted.event_time_ms, np.int64)])
    all_seqs = np.concatenate([*seqs, np.array(accepted.seq, np.int64)])
    came = np.array(accepted.values, np.float64).reshape(-1, values[0].shape[1])
    all_values = np.concatenate([*values, came])
    order = np.lexsort((all_seqs, all_times, device))
    return device[order], all_times[order], all_seqs[order], all_values[order]


def _bursts_needed(
    device: NDArray[np.int64],
    times: NDArray[np.int64],
    upper_ms: NDArray[np.int64],
    spec: FeatureSpec,
) -> NDArray[np.bool_]:
    """Return which bursts rows from ``upper_ms`` on can refer to."""
    needed = times > upper_ms[device] - spec.burst_max_age_ms
    superseded = (device[1:] == device[:-1]) & (times[1:] <= upper_ms[device[1:]])
    needed[:-1] &= ~superseded
    return needed


def _split(
    device: NDArray[np.int64],
    n_devices: int,
    times: NDArray[np.int64],
    seqs: NDArray[np.int64],
    values: NDArray[np.float64],
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Cut columns that are sorted by device into one part per device."""
    cuts = np.searchsorted(device, np.arange(n_devices + 1)).tolist()
    return [(times[low:high], seqs[low:high], values[low:high]) for low, high in pairwise(cuts)]
