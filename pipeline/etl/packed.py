"""Messages on their way through Spark: many of one device packed into one row.

A shuffle of a million small rows costs the JVM more than the features cost; packed, it moves a
few thousand binaries. Written by `raw_objects`, read by `arrow_kernel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PACKED_SCHEMA = (
    "device_id string, is_burst boolean, n long, packed binary, "
    "source string, reason string, malformed binary"
)
"""A row has either packed messages, or what is malformed: object, reason, and the bytes."""

_FIELDS = (
    ("device_id", pa.string()),
    ("is_burst", pa.bool_()),
    ("n", pa.int64()),
    ("packed", pa.binary()),
    ("source", pa.string()),
    ("reason", pa.string()),
    ("malformed", pa.binary()),
)


class Columns(NamedTuple):
    """Messages of one kind: ``seq``, ``event_time_ms`` ``(n,) int64``, ``late`` ``(n,) bool``,
    ``values`` ``(n, width) float64`` (NaN: no value)."""

    seq: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    late: NDArray[np.bool_]
    values: NDArray[np.float64]

    def pack(self) -> bytes:
        """Return the bytes that `unpack` reads."""
        parts = (
            self.seq.astype("<i8"),
            self.event_time_ms.astype("<i8"),
            self.values.astype("<f8"),
            self.late.astype("u1"),
        )
        return b"".join(part.tobytes() for part in parts)

    def taken(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Columns:
        """Return some of the messages, by place or by mark."""
        return Columns(
            self.seq[chosen], self.event_time_ms[chosen], self.late[chosen], self.values[chosen]
        )

    @classmethod
    def unpack(cls, data: bytes, n: int, width: int) -> Columns:
        """Return ``n`` messages of ``width`` values each."""
        values_at, late_at = 16 * n, 16 * n + 8 * n * width
        return cls(
            np.frombuffer(data, "<i8", n),
            np.frombuffer(data, "<i8", n, 8 * n),
            np.frombuffer(data, "u1", n, late_at).astype(np.bool_),
            np.frombuffer(data, "<f8", n * width, values_at).reshape(n, width),
        )

    @classmethod
    def joined(cls, parts: Iterable[Columns], width: int) -> Columns:
        """Return the parts one after the other; none gives no messages."""
        nothing = np.zeros(0, np.int64)
        none = cls(nothing, nothing, np.zeros(0, np.bool_), np.zeros((0, width)))
        found = [none, *parts]
        return cls(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


@dataclass
class PackedRows:
    """Collects rows of a batch in the order in which they were found."""

    rows: list[tuple[object, ...]] = field(default_factory=list)

    def add(
        self, device_ids: list[str], device: NDArray[np.int64], columns: Columns, *, is_burst: bool
    ) -> None:
        """Pack messages by device; ``device`` ``(n,)`` counts ``device_ids``."""
        order = np.argsort(device, kind="stable")
        cuts = np.flatnonzero(np.diff(device[order])) + 1
        for places in np.split(order, cuts) if len(order) else ():
            part = columns.taken(places)
            name = device_ids[int(device[places[0]])]
            self.rows.append((name, is_burst, len(places), part.pack(), None, None, None))

    def refuse(self, source: str, reason: str, line: bytes = b"") -> None:
        """Note a line, or with no line a whole object, that is not as it should be."""
        self.rows.append((None, False, 0, None, source, reason, line))

    def batch(self) -> pa.RecordBatch:
        """Return the rows as `PACKED_SCHEMA` says."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(_FIELDS)
        return pa.RecordBatch.from_arrays(
            [pa.array(column, kind) for column, (_, kind) in zip(columns, _FIELDS, strict=True)],
            names=[name for name, _ in _FIELDS],
        )
