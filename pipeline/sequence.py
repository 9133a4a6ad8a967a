"""Which messages of a device are new, repeated or late: the raw writer and the features agree.

Both functions read the same records in the same order, and so reach the same answers apart.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum

REMEMBERED = 4096
"""How many sequence numbers back from the newest a repetition is recognised."""
_MASK = (1 << REMEMBERED) - 1
_HEAD = struct.Struct("<qH")
_WATERMARK = struct.Struct("<q")


class Arrival(Enum):
    """What a message turns out to be."""

    ON_TIME = "on_time"
    LATE = "late"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class SeenSequence:
    """The sequence numbers of one kind of message that have been seen.

    ``missing`` has bit i set when number ``newest - i`` has not been seen; with nothing lost it
    is 0 and takes no room. ``newest`` is -1 before the first message.
    """

    newest: int = -1
    missing: int = 0

    def add(self, seq: int) -> bool:
        """Remember a number; return whether it is new.

        A number older than the memory counts as new: storing a message twice can be repaired
        (the ETL job drops repetitions again), losing one cannot.
        """
        ahead = seq - self.newest
        if ahead == 1:
            self.newest = seq
            self.missing = (self.missing << 1) & _MASK if self.missing else 0
            return True
        if ahead > 0:
            # The numbers that were jumped over may still come.
            jumped = (1 << min(ahead, REMEMBERED)) - 2
            kept = self.missing << ahead if ahead < REMEMBERED else 0
            self.newest = seq
            self.missing = (kept | jumped) & _MASK
            return True
        if -ahead >= REMEMBERED:
            return True
        bit = 1 << -ahead
        if self.missing & bit:
            self.missing ^= bit
            return True
        return False

    def to_bytes(self) -> bytes:
        """Return newest number, length and the bits of the missing ones."""
        size = (self.missing.bit_length() + 7) // 8
        return _HEAD.pack(self.newest, size) + self.missing.to_bytes(size, "little")

    @classmethod
    def from_bytes(cls, data: bytes, offset: int = 0) -> tuple[SeenSequence, int]:
        """Return what `to_bytes` wrote at ``offset``, and where it ends."""
        newest, size = _HEAD.unpack_from(data, offset)
        start = offset + _HEAD.size
        return cls(newest, int.from_bytes(data[start : start + size], "little")), start + size


@dataclass(slots=True)
class Progress:
    """How far a device's messages have come: its watermark and what has been seen of each kind.

    ``watermark_ms`` is the newest event time of any kind, -1 before the first message.
    """

    watermark_ms: int = -1
    readings: SeenSequence = field(default_factory=SeenSequence)
    bursts: SeenSequence = field(default_factory=SeenSequence)

    def take(
        self, seen: SeenSequence, seq: int, event_time_ms: int, allowed_lateness_ms: int
    ) -> Arrival:
        """Account for one message of the kind that ``seen`` (a field of self) remembers.

        Late is a message older than the watermark by more than the allowed lateness.
        """
        if seq == seen.newest + 1 and not seen.missing:
            seen.newest = seq  # The next one, as almost always.
        elif not seen.add(seq):
            return Arrival.DUPLICATE
        if event_time_ms > self.watermark_ms:
            self.watermark_ms = event_time_ms
        elif event_time_ms < self.watermark_ms - allowed_lateness_ms:
            return Arrival.LATE
        return Arrival.ON_TIME

    def to_bytes(self) -> bytes:
        """Return the compact form that is kept in the state table."""
        return (
            _WATERMARK.pack(self.watermark_ms) + self.readings.to_bytes() + self.bursts.to_bytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes, offset: int = 0) -> tuple[Progress, int]:
        """Return what `to_bytes` wrote at ``offset``, and where it ends."""
        (watermark_ms,) = _WATERMARK.unpack_from(data, offset)
        readings, offset = SeenSequence.from_bytes(data, offset + _WATERMARK.size)
        bursts, offset = SeenSequence.from_bytes(data, offset)
        return cls(watermark_ms, readings, bursts), offset
