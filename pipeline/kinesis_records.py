"""What a Kinesis event source mapping hands to a function: records, and the messages in them."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.errors import InvalidReading
from pipeline.messages import Burst, Reading, decode
from pipeline.settings import FeatureSpec


class Record(NamedTuple):
    """One record of a shard. ``arrival_ms`` is when the stream took it (epoch)."""

    shard_id: str
    sequence_number: str
    partition_key: str
    arrival_ms: int
    payload: bytes


class Arrived(NamedTuple):
    """A record whose message is valid."""

    record: Record
    message: Reading | Burst


@dataclass(frozen=True, slots=True)
class Refused:
    """A record whose message is not valid, and why."""

    record: Record
    reason: str


def records(event: Mapping[str, Any]) -> list[Record]:
    """Return the records of an event in the order of the shard.

    Form of the event: Lambda developer guide, "Process Amazon Kinesis Data Streams records";
    ``eventID`` is ``<shard id>:<sequence number>``.
    """
    return [
        Record(
            record["eventID"].partition(":")[0],
            kinesis["sequenceNumber"],
            kinesis["partitionKey"],
            round(kinesis["approximateArrivalTimestamp"] * 1000),
            a2b_base64(kinesis["data"]),
        )
        for record in event["Records"]
        for kinesis in (record["kinesis"],)
    ]


def runs(batch: Iterable[Record], devices: int) -> list[list[Record]]:
    """Cut a batch into runs of at most so many devices, each with all records of its devices.

    Within a run the records keep the shard's order. Which devices share one follows from the
    order in which they first appear, so an attempt after a partial success cuts alike, and the
    first record of a run is the same. One state a device is read and written for a whole batch,
    however the devices took turns in it.
    """
    places: dict[str, int] = {}
    found: list[list[Record]] = []
    for record in batch:
        run = places.setdefault(record.partition_key, len(places)) // devices
        if run == len(found):
            found.append([])
        found[run].append(record)
    return found


def decode_records(
    batch: Iterable[Record], spec: FeatureSpec, max_future_s: float
) -> tuple[list[Arrived], list[Refused]]:
    """Return the valid messages and the refused records, each in the order of the shard.

    Arrival is what an event time in the future is measured by. A message that names another
    device than the partition key, which the topic rule takes from the topic, is refused: one
    device's messages come through one shard, in order, or lateness means nothing.
    """
    arrived, refused = [], []
    for record in batch:
        try:
            message = decode(record.payload, spec, record.arrival_ms, max_future_s)
        except InvalidReading as error:
            refused.append(Refused(record, error.reason))
            continue
        if message.device_id != record.partition_key:
            refused.append(Refused(record, "device_id is not the one of the topic"))
            continue
        arrived.append(Arrived(record, message))
    return arrived, refused
