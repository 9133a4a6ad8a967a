"""The id that follows a reading: ``pump-002@2026-01-05T00:30:20.497Z``, device and event time.

Every stage knows both, so the id travels without a field of its own. A log line of a batch names
the span of event times of each device in it, so that a search finds the batches of an id.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pipeline.messages import Burst, Reading

SEPARATOR = "@"


def correlation_id(device_id: str, event_time_ms: int) -> str:
    """Return the id of what a device said at a time (epoch milliseconds)."""
    moment = datetime.fromtimestamp(event_time_ms / 1000, UTC)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{device_id}{SEPARATOR}{text}"


def parse_correlation_id(text: str) -> tuple[str, int]:
    """Return device and event time in epoch milliseconds; raises ValueError for another text.

    The time is ISO 8601 with a zone, or a number of milliseconds.
    """
    device_id, separator, time = text.rpartition(SEPARATOR)
    if not separator or not device_id:
        raise ValueError(f"{text!r} is not DEVICE{SEPARATOR}TIME")
    if time.isdecimal():
        return device_id, int(time)
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone")
    return device_id, round(moment.timestamp() * 1000)


def spans(messages: Iterable[Reading | Burst]) -> dict[str, tuple[int, int]]:
    """Return the earliest and the latest event time of each device, in epoch milliseconds."""
    earliest: dict[str, int] = {}
    latest: dict[str, int] = {}
    for message in messages:
        device_id, at = message.device_id, message.event_time_ms
        if device_id not in earliest:
            earliest[device_id] = latest[device_id] = at
        elif at > latest[device_id]:
            latest[device_id] = at
        elif at < earliest[device_id]:
            earliest[device_id] = at
    return {device_id: (low, latest[device_id]) for device_id, low in earliest.items()}
