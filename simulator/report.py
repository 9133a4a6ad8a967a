"""The report of a run: detections joined with the ground truth, counts that must add up.

Pure: `run.py` gathers what the pipeline left behind (detections, scores, raw zone) and what
really happened; this module judges it by the words that the design defines. Whatever depends
on the wall clock is in fields ending in `wall_s` or under `environment`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.errors import InvariantBroken

GRACE_MS = 60_000
"""An episode that starts up to a minute after a fault's end still found it."""

MS_PER_DAY = 86_400_000


@dataclass(frozen=True)
class Fault:
    """One fault interval of the ground truth, in epoch milliseconds.

    ``fails_ms``: when the machine fails, if nothing is done about it; None when it does not.
    """

    device_id: str
    kind: str
    onset_ms: int
    end_ms: int
    severity: float
    fails_ms: int | None = None

    def found_by(self, started_ms: int) -> bool:
        """Tell whether an episode that starts then finds this fault."""
        return self.onset_ms <= started_ms <= self.end_ms + GRACE_MS


@dataclass(frozen=True)
class Standstill:
    """A stop for a failure or for work: an episode that starts in it is not judged."""

    device_id: str
    start_ms: int
    end_ms: int
    reason: str


@dataclass(frozen=True)
class Episode:
    """One detection episode of the pipeline, as its table has it."""

    device_id: str
    rule: str
    started_ms: int
    ended_ms: int | None
    score: float
    contributions: Mapping[str, float]
    detection_id: str = ""
    window_start_ms: int | None = None


@dataclass(frozen=True)
class Readings:
    """Where every message went; `check` holds the books to account."""

    published: int
    lost_in_network: int
    discarded_by_broker: int
    delivered: int
    stored: int
    late: int
    dead_lettered: int
    duplicates_dropped: int = 0

    def problems(self) -> list[str]:
        """Return every sum that does not add up, in words."""
        found = []
        sent = self.lost_in_network + self.discarded_by_broker + self.delivered
        if self.published != sent:
            found.append(f"published {self.published} != lost + discarded + delivered {sent}")
        kept = self.stored + self.late + self.dead_lettered
        if self.delivered != kept:
            found.append(f"delivered {self.delivered} != stored + late + dead-lettered {kept}")
        return found


@dataclass(frozen=True)
class Stage:
    """One stage of the run: real and virtual seconds, and what came of it."""

    name: str
    wall_s: float
    virtual_s: float
    result: str = ""


@dataclass(frozen=True)
class Judged:
    """The episodes of one rule against the truth."""

    found: dict[int, Episode]
    false_alarms: list[Episode]
    repeats: list[Episode]
    delays_s: list[float]
    standstill: list[Episode] = field(default_factory=list)

    @classmethod
    def judge(
        cls,
        faults: Sequence[Fault],
        episodes: Sequence[Episode],
        stops: Sequence[Standstill] = (),
    ) -> Judged:
        """Join episodes and faults by device and time; the first inside a fault finds it.

        What starts while the machine stands still, up to a minute after it runs again, and
        finds nothing is no false alarm: operators know of it.
        """
        found: dict[int, Episode] = {}
        false_alarms: list[Episode] = []
        repeats: list[Episode] = []
        standstill: list[Episode] = []
        for episode in sorted(episodes, key=lambda e: (e.started_ms, e.device_id)):
            inside = [
                number
                for number, fault in enumerate(faults)
                if fault.device_id == episode.device_id and fault.found_by(episode.started_ms)
            ]
            new = [number for number in inside if number not in found]
            found.update(dict.fromkeys(new, episode))
            if not inside and any(
                stop.device_id == episode.device_id
                and stop.start_ms <= episode.started_ms <= stop.end_ms + GRACE_MS
                for stop in stops
            ):
                standstill.append(episode)
            elif not inside:
                false_alarms.append(episode)
            elif not new:
                repeats.append(episode)
        delays_s = [
            (episode.started_ms - faults[number].onset_ms) / 1000
            for number, episode in sorted(found.items())
        ]
        return cls(found, false_alarms, repeats, delays_s, standstill)

    def outcome(self, episode: Episode) -> str:
        """Return ``found``, ``repeat``, ``standstill`` or ``false_alarm`` for a judged episode."""
        if episode in self.false_alarms:
            return "false_alarm"
        if episode in self.standstill:
            return "standstill"
        return "repeat" if episode in self.repeats else "found"


@dataclass
class RunReport:
    """Everything that a run showed; `to_json` is `report.json`."""

    scenario: str
    seed: int
    target: str
    virtual_s: float
    wall_s: float
    readings: Readings
    faults: list[Fault]
    episodes: list[Episode]
    machine_days: float
    stages: list[Stage]
    started: datetime
    model: dict[str, Any] = field(default_factory=dict)
    workflow: dict[str, Any] = field(default_factory=dict)
    alerts: int = 0
    alarms: list[dict[str, Any]] = field(default_factory=list)
    raw_zone: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    recorded_only: dict[str, list[str]] = field(default_factory=dict)
    stops: list[Standstill] = field(default_factory=list)
    maintenance: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """The alerts as a person got them, in order; the page shows them, `report.json` counts."""

    @property
    def judged(self) -> Judged:
        """Return the model's episodes against the truth."""
        return self._judge("model")

    @property
    def judged_no_model(self) -> Judged:
        """Return the episodes of the rule without a model against the truth."""
        return self._judge("no_model")

    def _judge(self, rule: str) -> Judged:
        episodes = [episode for episode in self.episodes if episode.rule == rule]
        return Judged.judge(self.faults, episodes, self.stops)

    @property
    def lead_times_s(self) -> list[float]:
        """Return how long before the failure each fault that leads to one was found."""
        return [
            (fails_ms - episode.started_ms) / 1000
            for number, episode in sorted(self.judged.found.items())
            if (fails_ms := self.faults[number].fails_ms) is not None
        ]

    def check(self) -> None:
        """Raise InvariantBroken when the readings do not add up: something was lost or doubled."""
        problems = self.readings.problems() + list(self.raw_zone.get("problems", []))
        if problems:
            raise InvariantBroken("the readings do not add up: " + "; ".join(problems))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values, in the order in which people read it."""
        judged, no_model = self.judged, self.judged_no_model
        rate = len(judged.false_alarms) / self.machine_days if self.machine_days else 0.0
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "target": self.target,
            "started": _iso(int(self.started.timestamp() * 1000)),
            "virtual_s": round(self.virtual_s, 3),
            "wall_s": round(self.wall_s, 3),
            "readings": asdict(self.readings),
            "faults": {"total": len(self.faults), "found": len(judged.found)},
            "detection_delay_s": {
                "median": _quantile(judged.delays_s, 0.5),
                "p90": _quantile(judged.delays_s, 0.9),
            },
            "lead_time_s": {
                "median": _quantile(self.lead_times_s, 0.5),
                "shortest": min(self.lead_times_s, default=None),
            },
            "false_alarms": {
                "episodes": len(judged.false_alarms),
                "per_machine_day": round(rate, 4),
            },
            "no_model": {
                "found": len(no_model.found),
                "false_alarm_episodes": len(no_model.false_alarms),
            },
            "machine_days": round(self.machine_days, 6),
            "alerts": self.alerts,
            "detections": [_detection(e, judged) for e in self.episodes if e.rule == "model"],
            "truth": [self._truth(n, judged, no_model) for n in range(len(self.faults))],
            "maintenance": self.maintenance,
            "stops": [
                {
                    "device_id": stop.device_id,
                    "start": _iso(stop.start_ms),
                    "end": _iso(stop.end_ms),
                    "reason": stop.reason,
                }
                for stop in self.stops
            ],
            "model": self.model,
            "workflow": self.workflow,
            "alarms": self.alarms,
            "raw_zone": self.raw_zone,
            "stages": [
                {
                    "name": stage.name,
                    "wall_s": round(stage.wall_s, 3),
                    "virtual_s": round(stage.virtual_s, 3),
                    "result": stage.result,
                }
                for stage in self.stages
            ],
            "environment": self.environment,
            "recorded_only": self.recorded_only,
        }

    def _truth(self, number: int, judged: Judged, no_model: Judged) -> dict[str, Any]:
        fault = self.faults[number]
        episode = judged.found.get(number)
        delay_s = (episode.started_ms - fault.onset_ms) / 1000 if episode else None
        return {
            "device_id": fault.device_id,
            "kind": fault.kind,
            "onset": _iso(fault.onset_ms),
            "end": _iso(fault.end_ms),
            "severity": fault.severity,
            "found": episode is not None,
            "delay_s": delay_s,
            "fails": None if fault.fails_ms is None else _iso(fault.fails_ms),
            "lead_time_s": (fault.fails_ms - episode.started_ms) / 1000
            if episode and fault.fails_ms is not None
            else None,
            "found_by_no_model": number in no_model.found,
        }


def _detection(episode: Episode, judged: Judged) -> dict[str, Any]:
    return {
        "detection_id": episode.detection_id,
        "device_id": episode.device_id,
        "started": _iso(episode.started_ms),
        "ended": None if episode.ended_ms is None else _iso(episode.ended_ms),
        "window": None
        if episode.window_start_ms is None
        else {"from": _iso(episode.window_start_ms), "to": _iso(episode.started_ms)},
        "outcome": judged.outcome(episode),
        "score": round(episode.score, 6),
        "contributions": {name: round(share, 6) for name, share in episode.contributions.items()},
    }


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that ``share`` of the sorted values do not exceed (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
