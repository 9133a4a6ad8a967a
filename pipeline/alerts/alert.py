"""The alert: what a person is told when an episode opens, once per episode."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

SCHEMA = 1

RUNBOOK = "docs/runbooks/episode.md"
"""The page for whoever gets an alert, in the repository of the pipeline."""

# From this share on one sensor is the story, and the sensor itself is the first suspect.
DOMINANT_SHARE = 0.8


def detection_id(device_id: str, rule: str, started_ms: int) -> str:
    """Return the id of an episode: the same device, rule and start give the same id."""
    key = f"{device_id}\n{rule}\n{started_ms}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Alert:
    """One episode of the model's rule, as it was when it opened.

    `since_ms` is the first row of the streak that opened it, `started_ms` the row that did;
    `score` is in thresholds; `shares` has each sensor's part in it, together 1. The readings that
    opened the episode have event times from `window_start_ms` to `started_ms`.
    """

    alert_id: str
    device_id: str
    since_ms: int
    started_ms: int
    score: float
    threshold: float
    shares: tuple[tuple[str, float], ...]
    model_version: str
    window_start_ms: int

    def to_json(self) -> str:
        """Return the message; the sensors in order of their share."""
        ranked = sorted(self.shares, key=lambda share: (-share[1], share[0]))
        return json.dumps(
            {
                "schema": SCHEMA,
                "alert_id": self.alert_id,
                "device_id": self.device_id,
                "since": _iso(self.since_ms),
                "since_ms": self.since_ms,
                "started_ms": self.started_ms,
                "window": {"from": _iso(self.window_start_ms), "to": _iso(self.started_ms)},
                "score": round(self.score, 6),
                "threshold": self.threshold,
                "sensors": [
                    {"sensor": sensor, "share": round(share, 6)} for sensor, share in ranked
                ],
                "model_version": self.model_version,
                "what_to_do": _advice(self.device_id, ranked),
                "runbook": RUNBOOK,
            },
            separators=(",", ":"),
        )

    @property
    def subject(self) -> str:
        """Return a line for an e-mail's subject, at most 100 characters as SNS wants it."""
        return f"{self.device_id}: unusual since {_iso(self.since_ms)}"[:100]


def _advice(device_id: str, ranked: list[tuple[str, float]]) -> str:
    first, share = ranked[0]
    if share >= DOMINANT_SHARE and len(ranked) > 1:
        return (
            f"Only {first} of {device_id} stands out: compare it with a hand-held reading first; "
            f"if the sensor is right, inspect the part that it watches."
        )
    others = ", ".join(sensor for sensor, _ in ranked[1:3])
    return (
        f"Inspect {device_id} at its next safe stop, beginning with what moves {first}"
        f"{f' together with {others}' if others else ''}."
    )


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
