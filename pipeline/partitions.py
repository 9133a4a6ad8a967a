"""How objects of all zones are laid out by time: ``dt=YYYY-MM-DD/hour=HH``, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

HOUR_MS = 3_600_000


def partition_of(time_ms: int) -> str:
    """Return ``dt=YYYY-MM-DD/hour=HH`` of an epoch time, in UTC."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("dt=%Y-%m-%d/hour=%H")
