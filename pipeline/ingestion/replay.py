"""Puts dead letters back on the stream; `fleetwin replay-dead-letters` calls it.

An object is taken away only after the stream has accepted all that was chosen of it. A run that
ends in between leaves it there, and the next run sends it again: the raw writer stores each
message once, by device and sequence number. What is refused again becomes a new dead letter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.errors import StreamRefused
from pipeline.ingestion.dead_letters import (
    DeadLetter,
    LetterObject,
    Selection,
    UnreadableDeadLetter,
    letter_keys,
    partition_key,
    read_letters,
    take_away,
)

MAX_RECORDS = 500
MAX_REQUEST_BYTES = 10 * 1024 * 1024
"""PutRecords takes at most so much in one request, partition keys included."""
MAX_ATTEMPTS = 12
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Repair:
    """What is changed in a payload that is a reading: sensors renamed, then sensors left out."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    def applied(self, letter: DeadLetter) -> DeadLetter:
        """Return the letter with its payload repaired; any other payload is as it was."""
        if not self.renamed and not self.dropped:
            return letter
        try:
            message = orjson.loads(letter.payload)
            values = message["values"].items()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            return letter
        named = [(self.renamed.get(name, name), value) for name, value in values]
        message["values"] = {name: value for name, value in named if name not in self.dropped}
        payload = orjson.dumps(message)
        return DeadLetter(letter.reason, payload, letter.partition_key, letter.arrival_ms)


@dataclass(slots=True)
class Replayed:
    """What a replay found and did."""

    reasons: Counter[str] = field(default_factory=Counter)
    """Letters that were chosen, by reason."""
    left: Counter[str] = field(default_factory=Counter)
    """Letters that were not, by reason."""
    accepted: int = 0
    objects: int = 0
    changed: list[str] = field(default_factory=list)
    """Objects that were written again meanwhile; they stay for the next replay."""
    unreadable: list[str] = field(default_factory=list)


class Replay:
    """Moves the chosen letters of one bucket to one stream."""

    def __init__(
        self,
        s3: Any,
        kinesis: Any,
        bucket: str,
        stream: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._s3 = s3
        self._kinesis = kinesis
        self._bucket = bucket
        self._stream = stream
        self._sleep = sleep

    def run(self, selection: Selection, repair: Repair, *, dry: bool = False) -> Replayed:
        """Replay what is chosen; ``dry`` only counts it. Raises StreamRefused."""
        result = Replayed()
        waiting: list[tuple[LetterObject, list[DeadLetter]]] = []
        for found in self._objects(result):
            chosen = [letter for letter in found.letters if selection.takes(letter)]
            taken = set(map(id, chosen))
            result.reasons.update(letter.reason for letter in chosen)
            result.left.update(letter.reason for letter in found.letters if id(letter) not in taken)
            if not chosen or dry:
                continue
            waiting.append((found, chosen))
            # Small objects share a request; one that is large has several of its own.
            if sum(len(letters) for _, letters in waiting) >= MAX_RECORDS:
                self._move(waiting, repair, result)
                waiting = []
        self._move(waiting, repair, result)
        return result

    def _objects(self, result: Replayed) -> Iterator[LetterObject]:
        # Listed before the first is replayed: what comes back refused is not replayed in a circle.
        for key in list(letter_keys(self._s3, self._bucket)):
            try:
                yield read_letters(self._s3, self._bucket, key)
            except UnreadableDeadLetter as error:
                result.unreadable.append(str(error))
            except self._s3.exceptions.NoSuchKey:
                result.changed.append(key)

    def _move(
        self,
        waiting: Sequence[tuple[LetterObject, list[DeadLetter]]],
        repair: Repair,
        result: Replayed,
    ) -> None:
        entries = [_entry(repair.applied(letter)) for _, letters in waiting for letter in letters]
        for request in requests_of(entries):
            self._put(request)
            result.accepted += len(request)
        for found, chosen in waiting:
            if take_away(self._s3, self._bucket, found, chosen):
                result.objects += 1
            else:
                result.changed.append(found.key)

    def _put(self, request: list[dict[str, Any]]) -> None:
        wait_s = FIRST_WAIT_S
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                self._sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            answer = self._kinesis.put_records(StreamName=self._stream, Records=request)
            results = answer["Records"]
            refused = [one for one in results if "ErrorCode" in one]
            if not refused:
                return
            request = [
                entry for entry, one in zip(request, results, strict=True) if "ErrorCode" in one
            ]
        raise StreamRefused(
            f"stream {self._stream} refused {len(request)} records {MAX_ATTEMPTS} times, last "
            f"with {refused[-1]['ErrorCode']}: replay again later, what was not moved is there"
        )


def requests_of(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cut entries into requests that PutRecords takes, in order."""
    request: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        length = len(entry["Data"]) + len(entry["PartitionKey"].encode())
        if request and (len(request) == MAX_RECORDS or size + length > MAX_REQUEST_BYTES):
            yield request
            request, size = [], 0
        request.append(entry)
        size += length
    if request:
        yield request


def _entry(letter: DeadLetter) -> dict[str, Any]:
    key = letter.partition_key or partition_key(letter.payload)
    return {"Data": letter.payload, "PartitionKey": key}
