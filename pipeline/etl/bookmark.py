"""What incremental runs remember: the raw hours that features were made of.

Not a time up to which all is done: data arrives late, and whole recordings arrive years late. So
each raw hour is remembered with its number of objects and bytes, and an hour that differs has
the hours that depend on it computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pipeline.errors import JobInputError
from pipeline.partitions import HOUR_MS

Fingerprint = tuple[int, int]
"""Objects, bytes."""


def changed_ranges(
    before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint], reach_ms: int
) -> list[tuple[int, int]]:
    """Return the ranges ``[start_ms, end_ms)`` whose features depend on raw hours that differ.

    Keys are ``dt=YYYY-MM-DD/hour=HH``. Rows of the hour before become final through an hour's
    messages, and rows up to ``reach_ms`` later look back on them. An hour that is gone (its
    retention ended) changes nothing.
    """
    hours: set[int] = set()
    for partition, fingerprint in now.items():
        if before.get(partition) != fingerprint:
            hour = hour_of(partition)
            hours.update(range(hour - 1, hour + 1 + -(-reach_ms // HOUR_MS)))
    ranges: list[tuple[int, int]] = []
    for hour in sorted(hours):
        if ranges and ranges[-1][1] == hour * HOUR_MS:
            ranges[-1] = (ranges[-1][0], (hour + 1) * HOUR_MS)
        else:
            ranges.append((hour * HOUR_MS, (hour + 1) * HOUR_MS))
    return ranges


def hour_of(partition: str) -> int:
    """Return a partition as hours since 1970; raises JobInputError for any other folder."""
    try:
        time = datetime.strptime(partition, "dt=%Y-%m-%d/hour=%H").replace(tzinfo=UTC)
    except ValueError:
        raise JobInputError(f"folder {partition!r} is not dt=YYYY-MM-DD/hour=HH") from None
    return int(time.timestamp()) * 1000 // HOUR_MS


def to_json(hours: Mapping[str, Fingerprint], spec_fingerprint: int) -> str:
    """Return the stored form."""
    body = {"schema": 1, "spec": spec_fingerprint, "hours": dict(sorted(hours.items()))}
    return json.dumps(body, indent=1)


def parse(text: str | None, spec_fingerprint: int) -> dict[str, Fingerprint]:
    """Return what was remembered; nothing for another feature spec, whose columns differ.

    Raises JobInputError when it cannot be read.
    """
    if text is None:
        return {}
    try:
        body = json.loads(text)
        if body["spec"] != spec_fingerprint:
            return {}
        return {str(name): (int(pair[0]), int(pair[1])) for name, pair in body["hours"].items()}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise JobInputError(
            "the state of incremental runs cannot be read; delete it, and all is computed again"
        ) from None
