"""The raw zone: which object a message belongs to, and the lines in it.

    telemetry/dt=2026-01-05/hour=00/<shard>-<sequence number>.jsonl.gz   by event time
    bursts/dt=2026-01-05/hour=00/<shard>-<sequence number>.jsonl.gz      by event time
    dead-letter/dt=2026-01-05/hour=00/<shard>-<sequence number>.jsonl    by arrival

An object is named after the first record that is new in it. A batch that is tried again begins
with the same record, so it overwrites what an attempt that was not accounted for has left; and
a record that is accounted for never names an object again, so nothing else is overwritten.
"""

from __future__ import annotations

import gzip
from binascii import b2a_base64
from collections.abc import Iterable

import orjson

from pipeline.bursts import encode_samples
from pipeline.kinesis_records import Arrived, Record, Refused
from pipeline.messages import SCHEMA, Reading, present
from pipeline.partitions import HOUR_MS, partition_of

_GZIP_LEVEL = 1
"""Level 6 takes three times as long and saves a tenth."""


def raw_objects(accepted: Iterable[tuple[Arrived, bool]]) -> dict[str, bytes]:
    """Return key and gzip body of each object for messages with their mark ``late``."""
    hours: dict[int, str] = {}
    lines: dict[tuple[str, str], list[bytes]] = {}
    first: dict[tuple[str, str], Record] = {}
    for arrived, late in accepted:
        message = arrived.message
        hour = message.event_time_ms // HOUR_MS
        if hour not in hours:
            hours[hour] = partition_of(message.event_time_ms)
        kind = "telemetry" if isinstance(message, Reading) else "bursts"
        place = kind, hours[hour]
        if place not in lines:
            lines[place], first[place] = [], arrived.record
        lines[place].append(_line(arrived, late))
    return {
        f"{kind}/{partition}/{_name(first[kind, partition])}.jsonl.gz": gzip.compress(
            b"".join(found), _GZIP_LEVEL, mtime=0
        )
        for (kind, partition), found in lines.items()
    }


def dead_letter_objects(refused: Iterable[Refused]) -> dict[str, bytes]:
    """Return key and body of each object for refused records."""
    lines: dict[str, list[bytes]] = {}
    first: dict[str, Record] = {}
    for letter in refused:
        record = letter.record
        partition = partition_of(record.arrival_ms)
        first.setdefault(partition, record)
        lines.setdefault(partition, []).append(
            orjson.dumps(
                {
                    "reason": letter.reason,
                    "payload_b64": b2a_base64(record.payload, newline=False).decode("ascii"),
                    "sequence_number": record.sequence_number,
                    "arrival_ms": record.arrival_ms,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )
    return {
        f"dead-letter/{partition}/{_name(first[partition])}.jsonl": b"".join(found)
        for partition, found in lines.items()
    }


def _name(record: Record) -> str:
    return f"{record.shard_id}-{record.sequence_number}"


def _line(arrived: Arrived, late: bool) -> bytes:
    message = arrived.message
    line: dict[str, object] = {
        "schema": SCHEMA,
        "device_id": message.device_id,
        "seq": message.seq,
        "event_time_ms": message.event_time_ms,
        "late": late,
    }
    if isinstance(message, Reading):
        line["values"] = present(message.values)
    else:
        line["rate_hz"] = message.rate_hz
        line["scale_m_s2"] = message.scale_m_s2
        line["samples_b64"] = encode_samples(message.samples)
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
