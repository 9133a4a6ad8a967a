"""What the detector remembers of one device, and how scored rows advance it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from pipeline.alerts.alert import Alert, detection_id
from pipeline.detection.episodes import EpisodeState, Rule, Step, advance
from pipeline.device_state import DeviceState
from pipeline.settings import FeatureSpec

MODEL_RULE = "model"
NO_MODEL_RULE = "no_model"
RULES = (MODEL_RULE, NO_MODEL_RULE)

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Detection:
    """An episode that opened or closed; `ended_ms` is None while it is open.

    `score` is the smoothed score that opened it (`opened`), else its peak. `shares` are those of
    the rows that drove it above the threshold, known only where it was opened. The readings that
    opened it lie in [`window_start_ms`, `started_ms`].
    """

    device_id: str
    rule: str
    started_ms: int
    since_ms: int
    ended_ms: int | None
    score: float
    threshold: float
    shares: tuple[tuple[str, float], ...]
    model_version: str
    opened: bool
    window_start_ms: int

    @property
    def detection_id(self) -> str:
        """The id of the episode."""
        return detection_id(self.device_id, self.rule, self.started_ms)

    def alert(self) -> Alert:
        """Return the alert that announces this episode."""
        return Alert(
            alert_id=self.detection_id,
            device_id=self.device_id,
            since_ms=self.since_ms,
            started_ms=self.started_ms,
            score=self.score,
            threshold=self.threshold,
            shares=self.shares,
            model_version=self.model_version,
            window_start_ms=self.window_start_ms,
        )


@dataclass(frozen=True)
class ScoredRow:
    """One row of a device as the endpoint scored it; None where there was nothing to score.

    `levels` are its deviations for the slow mean, none where the model has no such thing.
    """

    event_time_ms: int
    score: float | None
    no_model_score: float | None
    shares: tuple[tuple[str, float], ...]
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class SmoothedRow:
    """One row's smoothed scores; None until the smoothing is full."""

    event_time_ms: int
    score: float | None
    no_model_score: float | None


@dataclass(slots=True)
class DeviceDetection:
    """The detector's state of one device: its features, its episodes, its unsent alerts.

    `outbox` holds (subject, message) of alerts that were decided and may not have been sent.
    While an update of the endpoint shifts traffic, two models answer by turns: `resting` is what
    the other one has to smooth, by rule, and `resting_version` its version, "" for none.
    """

    features: DeviceState
    model_version: str = ""
    episodes: dict[str, EpisodeState] = field(
        default_factory=lambda: {rule: EpisodeState() for rule in RULES}
    )
    outbox: list[tuple[str, str]] = field(default_factory=list)
    resting_version: str = ""
    resting: dict[str, EpisodeState] = field(default_factory=dict)

    def to_bytes(self, spec: FeatureSpec) -> bytes:
        """Return the form that the state table keeps."""
        parts = [
            self.features.to_bytes(spec),
            self.model_version.encode(),
            orjson.dumps(self.outbox) if self.outbox else b"",
            *(self.episodes[rule].to_bytes() for rule in RULES),
        ]
        if self.resting:
            parts.append(self.resting_version.encode())
            parts += [self.resting[rule].to_bytes() for rule in RULES]
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes, spec: FeatureSpec) -> DeviceDetection:
        """Return the state that `to_bytes` wrote."""
        parts = []
        offset = 0
        while offset < len(data):
            (length,) = _LENGTH.unpack_from(data, offset)
            offset += _LENGTH.size
            parts.append(data[offset : offset + length])
            offset += length
        features, version, outbox, *episodes = parts[: 3 + len(RULES)]
        resting_version, *resting = parts[3 + len(RULES) :] or [b""]
        return cls(
            features=DeviceState.from_bytes(features, spec),
            model_version=version.decode(),
            episodes={
                rule: EpisodeState.from_bytes(stored)
                for rule, stored in zip(RULES, episodes, strict=True)
            },
            outbox=[tuple(alert) for alert in orjson.loads(outbox)] if outbox else [],
            resting_version=resting_version.decode(),
            resting={
                rule: EpisodeState.from_bytes(stored)
                for rule, stored in zip(RULES, resting, strict=False)
            },
        )

    def detect(
        self, device_id: str, rows: Sequence[ScoredRow], rule: Rule, model_version: str
    ) -> tuple[list[SmoothedRow], list[Detection]]:
        """Advance both rules by rows in order of time; alerts go to the outbox.

        Another model's scores are not averaged with this one's: the smoothing of a new version
        starts afresh, that of one which has answered a moment ago goes on where it was. Open
        episodes stay open.
        """
        if model_version != self.model_version:
            self._change_model(model_version, rule, rows)
        elif self.resting and rows:
            self._forget_resting(rule, rows[-1].event_time_ms)
        smoothed: list[SmoothedRow] = []
        detections: dict[str, Detection] = {}
        for row in rows:
            steps = {
                MODEL_RULE: self._advance(MODEL_RULE, rule, row, row.score, row.levels),
                NO_MODEL_RULE: self._advance(NO_MODEL_RULE, rule, row, row.no_model_score),
            }
            levels = {name: step.smoothed if step else None for name, step in steps.items()}
            smoothed.append(
                SmoothedRow(row.event_time_ms, levels[MODEL_RULE], levels[NO_MODEL_RULE])
            )
            for name, step in steps.items():
                if step is not None and step.episode is not None:
                    self._note(detections, device_id, name, step, row, rule)
        return smoothed, list(detections.values())

    def _change_model(self, model_version: str, rule: Rule, rows: Sequence[ScoredRow]) -> None:
        """Smooth with this version from now on, and keep what the one before has to smooth."""
        if rows:
            self._forget_resting(rule, rows[0].event_time_ms)
        back = self.resting if model_version == self.resting_version else {}
        if self.model_version:
            self.resting_version, self.resting = self.model_version, dict(self.episodes)
        self.model_version = model_version
        for name, state in self.episodes.items():
            known = back.get(name)
            # A streak counts rows towards an episode, or towards the end of this one.
            streak = known.streak if known and known.started_ms == state.started_ms else 0
            kept = known or EpisodeState()
            since_ms = known.above_since_ms if known and streak else state.above_since_ms
            self.episodes[name] = replace(
                state,
                recent=kept.recent,
                streak=streak,
                above_since_ms=since_ms,
                memory=kept.memory,
                drivers=kept.drivers,
            )

    def _forget_resting(self, rule: Rule, at_ms: int) -> None:
        """Drop a version that has not answered for longer than a smoothing bridges."""
        newest_ms = max((state.last_ms for state in self.resting.values()), default=at_ms)
        if at_ms - newest_ms > rule.max_gap_ms:
            self.resting_version, self.resting = "", {}

    def _advance(
        self,
        name: str,
        rule: Rule,
        row: ScoredRow,
        score: float | None,
        levels: tuple[float, ...] = (),
    ) -> Step | None:
        if score is None:
            return None
        self.episodes[name], step = advance(
            self.episodes[name], rule, row.event_time_ms, score, levels, row.shares
        )
        return step

    def _note(
        self,
        detections: dict[str, Detection],
        device_id: str,
        name: str,
        step: Step,
        row: ScoredRow,
        rule: Rule,
    ) -> None:
        """Write an opening or closing down; one that does both at once is one detection."""
        episode = step.episode
        if episode is None:
            return
        key = detection_id(device_id, name, episode.started_ms)
        if step.opened:
            slow = episode.is_slow
            reach_ms = rule.reach_ms + (rule.memory_ms if slow else 0)
            found = Detection(
                device_id,
                name,
                episode.started_ms,
                episode.above_since_ms,
                None,
                episode.peak,
                rule.enter,
                episode.slow_shares(rule) if slow else _drove(episode, row),
                self.model_version,
                opened=True,
                window_start_ms=episode.above_since_ms - reach_ms,
            )
            detections[key] = found
            if name == MODEL_RULE:
                alert = found.alert()
                self.outbox.append((alert.subject, alert.to_json()))
        elif key in detections:
            detections[key] = replace(
                detections[key], ended_ms=step.event_time_ms, score=episode.peak
            )
        else:
            detections[key] = Detection(
                device_id,
                name,
                episode.started_ms,
                episode.above_since_ms,
                step.event_time_ms,
                episode.peak,
                rule.enter,
                (),
                self.model_version,
                opened=False,
                window_start_ms=episode.above_since_ms - rule.reach_ms,
            )


def _drove(episode: EpisodeState, row: ScoredRow) -> tuple[tuple[str, float], ...]:
    """Return the shares of the rows that drove an episode, by sensor, as it opens with a row."""
    found = episode.driving_shares()
    # A state that an earlier version left has none of the rows before.
    if not found:
        return row.shares
    # As the endpoint rounds those of a row.
    return tuple(
        (name, round(share, 6)) for (name, _), share in zip(row.shares, found, strict=True)
    )


def detection_write(found: Detection, table: str) -> dict[str, Any]:
    """Return the TransactItem that records an episode's opening (Put) or its end (Update)."""
    if found.opened:
        item = {
            "detection_id": {"S": found.detection_id},
            "device_id": {"S": found.device_id},
            "rule": {"S": found.rule},
            "started_ms": {"N": str(found.started_ms)},
            "since_ms": {"N": str(found.since_ms)},
            "window_start_ms": {"N": str(found.window_start_ms)},
            "score": {"N": repr(found.score)},
            "threshold": {"N": repr(found.threshold)},
            "contributions": {"S": orjson.dumps(dict(found.shares)).decode()},
            "model_version": {"S": found.model_version},
        }
        if found.ended_ms is not None:
            item["ended_ms"] = {"N": str(found.ended_ms)}
        return {"Put": {"TableName": table, "Item": item}}
    return {
        "Update": {
            "TableName": table,
            "Key": {"detection_id": {"S": found.detection_id}},
            "UpdateExpression": "SET ended_ms = :ended, score = :score",
            "ExpressionAttributeValues": {
                ":ended": {"N": str(found.ended_ms)},
                ":score": {"N": repr(found.score)},
            },
        }
    }
