"""A finished run as a cassette keeps it: what its report says, its scores, the traces of its hops.

Made of the folder that `fleetwin run` wrote, by `fleetwin parity record`; read again as the
`Journey` that `fleetwin parity diff` compares. Pictures, logs and the twin's state are not kept.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ParityError
from simulator.parity.journey import (
    Journey,
    ScoreRow,
    journey_of,
    read_billable,
    read_report,
    read_scores,
)
from simulator.parity.latency_fit import TRACES_FILE, Floats

KEPT = ("scenario", "seed", "target", "readings", "alerts", "detections")
"""What of `report.json` a comparison needs."""

Hops = Mapping[str, tuple[tuple[float, float], ...]]
"""By hop: when it began and how long it took, in seconds of the run's clock."""


@dataclass(frozen=True)
class RecordedRun:
    """One run of a scenario; ``hops`` are in the order in which they were gone."""

    report: Mapping[str, Any]
    scores: tuple[ScoreRow, ...]
    hops: Hops
    billable: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, out: Path) -> RecordedRun:
        """Read the ``--out`` folder of a run; raises ParityError."""
        report = read_report(out)
        rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
        path = out / TRACES_FILE
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                rows[row["hop"]].append((float(row["began_s"]), float(row["took_s"])))
        except (OSError, ValueError, KeyError) as error:
            raise ParityError(f"{path}: no traces: {error!r}; they are what a run wrote") from None
        hops = {hop: tuple(gone) for hop, gone in rows.items()}
        kept = {name: report[name] for name in KEPT}
        return cls(kept, tuple(read_scores(out)), hops, read_billable(out))

    @property
    def words(self) -> str:
        """Return what is kept of which run."""
        samples = sum(map(len, self.hops.values()))
        return (
            f"{self.report['scenario']} with seed {self.report['seed']} on "
            f"{self.report['target']}: {len(self.report['detections'])} detections, "
            f"{len(self.scores):,} scores, traces of {len(self.hops)} hops ({samples:,} samples)"
        )

    def seconds(self) -> dict[str, Floats]:
        """Return how long each hop took, in order."""
        return {hop: np.array([took for _, took in gone]) for hop, gone in self.hops.items()}

    def journey(self, name: str) -> Journey:
        """Return the run for a comparison."""
        return journey_of(name, self.report, self.scores, self.seconds(), self.billable)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what a cassette has of it: the report, a row a device, a row a hop."""
        yield {"report": dict(self.report), "billable": dict(self.billable)}
        by_device: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for device, at_ms, score in self.scores:
            by_device[device].append((at_ms, score))
        for device, scored in by_device.items():
            yield {"scores_of": device, **_columns(scored, "event_time_ms", "score")}
        for hop, gone in self.hops.items():
            yield {"hop": hop, **_columns(gone, "began_s", "took_s")}

    @classmethod
    def all_of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> tuple[RecordedRun, ...]:
        """Return the runs whose `rows` these are, one run's after the other's."""
        found: list[tuple[dict[str, Any], list[ScoreRow], dict[str, Any], dict[str, float]]] = []
        for row in rows:
            if "report" in row:
                kept = {name: row["report"][name] for name in KEPT}
                found.append((kept, [], {}, row.get("billable", {})))
            elif "scores_of" in row:
                scored = zip(row["event_time_ms"], row["score"], strict=True)
                found[-1][1].extend((row["scores_of"], at_ms, score) for at_ms, score in scored)
            elif "hop" in row:
                found[-1][2][row["hop"]] = tuple(zip(row["began_s"], row["took_s"], strict=True))
        return tuple(cls(report, tuple(scores), *rest) for report, scores, *rest in found)


def _columns(pairs: Iterable[tuple[float, float]], *names: str) -> dict[str, list[float]]:
    """Return pairs as two lists: a file of columns has each name once."""
    return dict(zip(names, map(list, zip(*pairs, strict=True)), strict=True))
