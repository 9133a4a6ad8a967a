"""What was refused on its way to the raw zone: finding it, reading it, taking it away.

    dead-letter/dt=/hour=/*.jsonl          records that the raw writer refused, a line each
    aws/lambda/<mapping>/<shard>/<day>/*   batches that a function gave up (on-failure destination)
    dead-letter/iot/<device>/*.json        messages that a topic rule could not put on the stream
    dead-letter-replayed/<key>             where an object goes once it is on the stream again

`replay` puts the payloads back. Nothing here knows how a message has to look.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from botocore.exceptions import ClientError

RECORDS, BATCHES, MESSAGES = "dead-letter/dt=", "aws/lambda/", "dead-letter/iot/"
REPLAYED = "dead-letter-replayed/"
IMPERSONATION = "device_id is not the one of the topic"
"""Replayed under the payload's own name it would pass for genuine; only when asked for by name."""
MAX_PARTITION_KEY = 256

_TOPIC_RULE_KEY = re.compile(r"dead-letter/iot/(?P<device>[^/]+)/(?P<time_ms>\d+)-[^/]*\.json")


class UnreadableDeadLetter(Exception):
    """An object that is not what its prefix says; it is left where it lies."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One payload that was refused. ``line`` is what the object has for it, if it has lines."""

    reason: str
    payload: bytes
    partition_key: str
    arrival_ms: int
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class LetterObject:
    """One object with dead letters as it was read; ``etag`` tells whether it still is."""

    key: str
    etag: str
    letters: Sequence[DeadLetter]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: a part of the reason, and arrival in [since, until)."""

    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Tell whether a letter is meant."""
        if letter.reason == IMPERSONATION and self.reason != IMPERSONATION:
            return False
        arrival = datetime.fromtimestamp(letter.arrival_ms / 1000, UTC)
        return (
            self.reason in letter.reason
            and (self.since is None or arrival >= self.since)
            and (self.until is None or arrival < self.until)
        )


def letter_keys(s3: Any, bucket: str) -> Iterator[str]:
    """Yield the keys of all objects with dead letters, oldest first within each kind."""
    for prefix in (RECORDS, BATCHES, MESSAGES):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"]


def read_letters(s3: Any, bucket: str, key: str) -> LetterObject:
    """Read one object; raises UnreadableDeadLetter."""
    answer = s3.get_object(Bucket=bucket, Key=key)
    return LetterObject(key, answer["ETag"], decode_letters(key, answer["Body"].read()))


def decode_letters(key: str, body: bytes) -> list[DeadLetter]:
    """Return the letters of an object by the form that its key promises."""
    try:
        if key.startswith(RECORDS):
            return [_refused_record(line) for line in body.splitlines() if line.strip()]
        if key.startswith(BATCHES):
            return _failed_batch(orjson.loads(body))
        return [_failed_message(key, orjson.loads(body))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # orjson's and binascii's errors are ValueErrors.
        raise UnreadableDeadLetter(f"{key}: {type(error).__name__}: {error}") from None


def _refused_record(line: bytes) -> DeadLetter:
    letter = orjson.loads(line)
    payload = _bytes(letter["payload_b64"])
    return DeadLetter(
        str(letter["reason"]), payload, partition_key(payload), int(letter["arrival_ms"]), line
    )


def _failed_batch(document: Mapping[str, Any]) -> list[DeadLetter]:
    context = document["requestContext"]
    function = str(context["functionArn"]).split(":function:")[-1]
    payload = document["payload"]
    # Lambda writes the event as a text within the document.
    event = orjson.loads(payload) if isinstance(payload, str) else payload
    return [
        DeadLetter(
            f"batch given up by {function}: {context['condition']}",
            _bytes(record["kinesis"]["data"]),
            str(record["kinesis"]["partitionKey"]),
            round(record["kinesis"]["approximateArrivalTimestamp"] * 1000),
        )
        for record in event["Records"]
    ]


def _failed_message(key: str, document: Mapping[str, Any]) -> DeadLetter:
    found = _TOPIC_RULE_KEY.fullmatch(key)
    if found is None:
        raise ValueError("the key is not <device>/<milliseconds>-<id>.json")
    failed = document["failures"][0]
    return DeadLetter(
        f"rule {document['ruleName']}: {failed['failedAction']} failed",
        _bytes(document["base64OriginalPayload"]),
        # What the topic rule would have taken: the topic says who spoke, whatever the payload.
        found["device"],
        int(found["time_ms"]),
    )


def partition_key(payload: bytes) -> str:
    """Return the payload's device id, or a hash of a payload that names none."""
    try:
        device = orjson.loads(payload)["device_id"]
    except (KeyError, TypeError, ValueError, IndexError):
        device = None
    if isinstance(device, str) and 0 < len(device) <= MAX_PARTITION_KEY:
        return device
    return hashlib.sha256(payload).hexdigest()


def take_away(s3: Any, bucket: str, found: LetterObject, chosen: Sequence[DeadLetter]) -> bool:
    """Move an object, or those of its lines that were chosen, below ``dead-letter-replayed/``.

    The copy is made before anything is taken away. Returns False, with nothing taken away, when
    the object has changed since it was read: the raw writer may have tried its batch again.
    """
    try:
        if len(chosen) == len(found.letters):
            s3.copy_object(
                Bucket=bucket,
                Key=REPLAYED + found.key,
                CopySource={"Bucket": bucket, "Key": found.key},
                CopySourceIfMatch=found.etag,
            )
            s3.delete_object(Bucket=bucket, Key=found.key)
            return True
        lines = [letter.line for letter in chosen]
        stem, dot, ending = found.key.rpartition(".")
        digest = hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]
        s3.put_object(
            Bucket=bucket, Key=f"{REPLAYED}{stem}-{digest}{dot}{ending}", Body=_joined(lines)
        )
        taken = set(map(id, chosen))
        rest = [letter.line for letter in found.letters if id(letter) not in taken]
        s3.put_object(Bucket=bucket, Key=found.key, Body=_joined(rest), IfMatch=found.etag)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "NoSuchKey"):
            return False
        raise
    return True


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True) if text else b""
