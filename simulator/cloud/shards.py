"""One shard of a stream: its records, its hash range and the limits that AWS puts on it.

Used by `simulator.cloud.kinesis` on the engine's thread. A shard knows nothing of callers,
permissions or iterators' text; positions are plain numbers that rise by one a record.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress, repeat
from operator import add

MIB = 1 << 20
WRITE_BYTES_PER_S = 1 * MIB
WRITE_RECORDS_PER_S = 1000
READ_BYTES_PER_S = 2 * MIB
READ_CALLS_PER_S = 5
READ_ANSWER_RECORDS = 10_000
READ_ANSWER_BYTES = 10 * MIB
AFTER_FULL_ANSWER_S = 5.0
"""After an answer of 10 MiB the calls of the next five seconds throw (GetRecords, botocore)."""

SEQUENCE_DIGITS = 56

Listener = Callable[[int, int], None]
"""Told ``(records, bytes)`` after each write that stored something."""


@dataclass(slots=True)
class TokenBucket:
    """A budget that refills at ``rate_per_s`` up to ``capacity``; may be overdrawn by `spend`.

    Time only moves forward here: an earlier ``now_s`` than the last one counts as the last.
    """

    rate_per_s: float
    capacity: float
    tokens: float = field(init=False)
    refilled_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.tokens = self.capacity

    def refill(self, now_s: float) -> float:
        """Return what may be spent at ``now_s``."""
        if now_s > self.refilled_s:
            gained = (now_s - self.refilled_s) * self.rate_per_s
            self.tokens = min(self.capacity, self.tokens + gained)
            self.refilled_s = now_s
        return self.tokens

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Spend ``amount`` if it is there; False leaves the bucket as it was."""
        if self.refill(now_s) < amount:
            return False
        self.tokens -= amount
        return True


StoredRecord = tuple[str, float, str, bytes, str | None]
"""Sequence number, arrival in seconds since the engine's start, key, payload, encryption.

A plain tuple, made when it is read. What is kept is columns: a run keeps hundreds of thousands of
records for a day, and a tuple, a float and a sequence number each cost as much as their payloads.
"""


class Shard:
    """A shard. ``prefix`` holds the leading digits of all its sequence numbers.

    ``parents`` are the ids of those it came of; ``children`` those that follow a closed one.
    """

    def __init__(self, index: int, first_hash: int, last_hash: int, prefix: str) -> None:
        self.index = index
        self.id = f"shardId-{index:012d}"
        self.first_hash = first_hash
        self.last_hash = last_hash
        self.listeners: list[Listener] = []
        self.parents: tuple[str, ...] = ()
        self.children: tuple[Shard, ...] = ()
        self.closed_s = float("inf")
        """Seconds since the engine's start; it is open before."""
        self._prefix = prefix
        self._digits = SEQUENCE_DIGITS - len(prefix)
        self._arrivals_s = array("d")
        self._keys: list[str] = []
        self._payloads: list[bytes] = []
        self._encryptions: list[str | None] = []
        self._base = 0
        self._write_records = TokenBucket(WRITE_RECORDS_PER_S, WRITE_RECORDS_PER_S)
        self._write_bytes = TokenBucket(WRITE_BYTES_PER_S, WRITE_BYTES_PER_S)
        self._read_calls = TokenBucket(READ_CALLS_PER_S, READ_CALLS_PER_S)
        self._read_bytes = TokenBucket(READ_BYTES_PER_S, READ_BYTES_PER_S)
        self._no_reads_before_s = 0.0

    @property
    def closed(self) -> bool:
        """Tell whether it takes no more records."""
        return self.closed_s != float("inf")

    def close(self, now_s: float) -> None:
        """Take no more records; readers are woken, to see the end."""
        self.closed_s = now_s
        self.announce(1, 1)

    @property
    def tip(self) -> int:
        """The position that the next record will have."""
        return self._base + len(self._payloads)

    @property
    def horizon(self) -> int:
        """The position of the oldest record that is kept."""
        return self._base

    def sequence_of(self, position: int) -> str:
        """Return the sequence number of a position; 56 digits, so text order is their order."""
        return f"{self._prefix}{position:0{self._digits}d}"

    def position_of(self, sequence: str) -> int | None:
        """Return the position of a sequence number, None if it is not one of this shard's."""
        if len(sequence) != SEQUENCE_DIGITS or not sequence.startswith(self._prefix):
            return None
        rest = sequence[len(self._prefix) :]
        return int(rest) if rest.isdecimal() else None

    def _sequences(self, first: int, count: int) -> list[str]:
        """Return the sequence numbers of ``count`` positions from ``first`` on."""
        if len(str(first)) != len(str(first + count)):
            return [self.sequence_of(position) for position in range(first, first + count)]
        head = self._prefix + "0" * (self._digits - len(str(first)))
        return [head + text for text in map(str, range(first, first + count))]

    def position_at(self, arrival_s: float) -> int:
        """Return the position of the first record that arrived at or after ``arrival_s``."""
        return self._base + bisect_left(self._arrivals_s, arrival_s)

    def put(
        self,
        keys: Sequence[str],
        payloads: Sequence[bytes],
        sizes: Sequence[int],
        arrivals_s: Sequence[float],
        encryption: str | None = None,
    ) -> list[str | None]:
        """Store records in order; give their sequence numbers, None for a throttled one.

        The limits refill with the arrival times, not with the engine's clock: a batch that a
        connection delivers in one go is measured by when its records reached the service.
        Sizes are bytes of key and data.
        """
        admitted, times_s = self._admit(sizes, arrivals_s)
        count = sum(admitted)
        numbers = self._sequences(self.tip, count)
        self._encryptions.extend(repeat(encryption, count))
        if count == len(admitted):
            self._arrivals_s.extend(times_s)
            self._keys.extend(keys)
            self._payloads.extend(payloads)
            return list(numbers)
        self._arrivals_s.extend(compress(times_s, admitted))
        self._keys.extend(compress(keys, admitted))
        self._payloads.extend(compress(payloads, admitted))
        given = iter(numbers)
        return [next(given) if stored else None for stored in admitted]

    def _admit(
        self, sizes: Sequence[int], arrivals_s: Sequence[float]
    ) -> tuple[list[bool], list[float]]:
        """Spend the shard's budgets record by record; also return arrivals that never fall.

        A loop over local numbers: a method call a record would double the cost of a write.
        """
        if arrivals_s[0] == arrivals_s[-1]:
            at_once = self._admit_at_once(sizes, arrivals_s[0])
            if at_once is not None:
                return at_once
        records, volume = self._write_records, self._write_bytes
        last_s, tokens, room = records.refilled_s, records.tokens, volume.tokens
        newest_s = self._arrivals_s[-1] if self._arrivals_s else float("-inf")
        admitted, times_s = [], []
        for size, arrival_s in zip(sizes, arrivals_s, strict=True):
            if arrival_s > last_s:
                gone_s = arrival_s - last_s
                tokens = min(records.capacity, tokens + gone_s * records.rate_per_s)
                room = min(volume.capacity, room + gone_s * volume.rate_per_s)
                last_s = arrival_s
            if tokens >= 1.0 and room >= size:
                tokens -= 1.0
                room -= size
                admitted.append(True)
                newest_s = max(newest_s, arrival_s)
            else:
                admitted.append(False)
            times_s.append(newest_s)
        records.refilled_s = volume.refilled_s = last_s
        records.tokens, volume.tokens = tokens, room
        return admitted, times_s

    def _admit_at_once(
        self, sizes: Sequence[int], arrival_s: float
    ) -> tuple[list[bool], list[float]] | None:
        """Admit records of one moment together if the budgets hold all of them, else None.

        The loop would leave the same numbers: whole numbers are taken away without rounding.
        """
        volume = sum(sizes)
        tokens = self._write_records.refill(arrival_s)
        if tokens < len(sizes) or self._write_bytes.refill(arrival_s) < volume:
            return None
        self._write_records.tokens -= len(sizes)
        self._write_bytes.tokens -= volume
        if self._arrivals_s:
            arrival_s = max(arrival_s, self._arrivals_s[-1])
        return [True] * len(sizes), [arrival_s] * len(sizes)

    def announce(self, records: int, volume: int) -> None:
        """Tell the listeners that something was stored."""
        for listener in tuple(self.listeners):
            listener(records, volume)

    def admit_read(self, now_s: float) -> bool:
        """Tell whether a GetRecords call may be answered now, and count it if so."""
        if now_s < self._no_reads_before_s or self._read_bytes.refill(now_s) <= 0.0:
            return False
        return self._read_calls.take(now_s)

    def read(self, position: int, limit: int, now_s: float) -> list[StoredRecord]:
        """Return up to ``limit`` records and at most 10 MiB from ``position`` on."""
        start = max(position, self._base) - self._base
        keys, payloads = self._keys[start : start + limit], self._payloads[start : start + limit]
        volume = sum(map(len, keys)) + sum(map(len, payloads))
        if volume > READ_ANSWER_BYTES:
            volumes = list(accumulate(map(add, map(len, keys), map(len, payloads))))
            fitting = bisect_right(volumes, READ_ANSWER_BYTES)
            keys, payloads = keys[:fitting], payloads[:fitting]
            volume = volumes[fitting - 1]
            self._no_reads_before_s = now_s + AFTER_FULL_ANSWER_S
        self._read_bytes.tokens -= volume
        stop = start + len(keys)
        return list(
            zip(
                self._sequences(self._base + start, len(keys)),
                self._arrivals_s[start:stop],
                keys,
                payloads,
                self._encryptions[start:stop],
                strict=True,
            )
        )

    def arrival_of(self, position: int) -> float | None:
        """Return when the record at ``position`` arrived, None at the tip."""
        index = max(position, self._base) - self._base
        return self._arrivals_s[index] if index < len(self._arrivals_s) else None

    def trim(self, before_s: float) -> None:
        """Forget the records that arrived before ``before_s`` (retention)."""
        if self._arrivals_s and self._arrivals_s[0] < before_s:
            gone = bisect_left(self._arrivals_s, before_s)
            for column in (self._arrivals_s, self._keys, self._payloads, self._encryptions):
                del column[:gone]
            self._base += gone
