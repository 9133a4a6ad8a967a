"""What dashboards showed, beside the lake, so that a run that is over can be looked at.

`Cloud.keep_dashboards` writes `cloudwatch/dashboards.json` at the end of a run: each dashboard's
body, the points of every metric in it at its own statistic and period, and the changes of the
alarms. `fleetwin dashboard` draws it. Metrics that no dashboard names are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.cloud.glue_store import write_json
from simulator.cloud.metrics import MetricKey, Metrics, metric_key

FORMAT = 1
DEFAULT_PERIOD_S, DEFAULT_STATISTIC = 300, "Average"
"""Of a graph that says nothing (CloudWatch API reference, "Dashboard body structure")."""


@dataclass(frozen=True)
class Line:
    """One metric of a graph: what it is, how it is counted, what it is called."""

    key: MetricKey
    statistic: str
    period_s: int
    label: str


@dataclass(frozen=True)
class Kept:
    """A run's dashboards by name, the points of their lines, the changes of its alarms."""

    start_s: float
    end_s: float
    bodies: Mapping[str, Mapping[str, Any]]
    points: Mapping[Line, Sequence[tuple[float, float]]]
    changes: Mapping[str, Sequence[tuple[float, str]]]


def lines_of(properties: Mapping[str, Any]) -> tuple[list[Line], list[str]]:
    """Return the lines of a graph, and what of it is no metric (an expression, a search)."""
    found: list[Line] = []
    left: list[str] = []
    before: list[str] = []
    for entry in properties.get("metrics", []):
        options = entry[-1] if isinstance(entry[-1], dict) else {}
        names = [str(part) for part in entry if not isinstance(part, dict)]
        if "expression" in options or len(names) < 2 or len(names) % 2:
            left.append(str(options.get("expression", names)))
            continue
        # "." repeats a part of the metric before, "..." all parts that are not given.
        if names[0] == "...":
            names = before[: len(before) - len(names) + 1] + names[1:]
        names = [before[n] if part == "." else part for n, part in enumerate(names)]
        before = names
        dimensions = dict(zip(names[2::2], names[3::2], strict=True))
        found.append(
            Line(
                metric_key(names[0], names[1], dimensions),
                str(options.get("stat", properties.get("stat", DEFAULT_STATISTIC))),
                int(options.get("period", properties.get("period", DEFAULT_PERIOD_S))),
                str(options.get("label", names[1])),
            )
        )
    return found, left


def save(
    bodies: Mapping[str, str],
    metrics: Metrics,
    changes: Iterable[tuple[datetime, str, str]],
    span_s: tuple[float, float],
    state: Path,
) -> None:
    """Write dashboards (name -> body) with what they showed; nothing where there is none.

    ``changes`` are (time, alarm, state); ``span_s`` the beginning and end of the run (epoch).
    """
    if not bodies:
        return
    parsed = {name: json.loads(body) for name, body in bodies.items()}
    wanted: dict[Line, None] = {}
    for body in parsed.values():
        for widget in body["widgets"]:
            wanted |= dict.fromkeys(lines_of(widget["properties"])[0])
    series = [
        {
            "metric": [line.key[0], line.key[1], dict(line.key[2])],
            "statistic": line.statistic,
            "period_s": line.period_s,
            "label": line.label,
            "points": json.dumps(list(metrics.points(line.key, line.statistic, line.period_s))),
        }
        for line in wanted
    ]
    document = {
        "format": FORMAT,
        "span_s": list(span_s),
        "dashboards": parsed,
        "series": series,
        "changes": [[at.timestamp(), alarm, said] for at, alarm, said in changes],
    }
    write_json(_path(state), document)


def load(state: Path) -> Kept:
    """Return what a run has left.

    Raises FileNotFoundError where it has left none, ValueError for another format.
    """
    document = json.loads(_path(state).read_text("utf-8"))
    if document.get("format") != FORMAT:
        raise ValueError(f"{_path(state)}: format {document.get('format')}, not {FORMAT}")
    points = {}
    for one in document["series"]:
        namespace, name, dimensions = one["metric"]
        key = metric_key(namespace, name, dimensions)
        line = Line(key, one["statistic"], one["period_s"], one["label"])
        points[line] = [(at, value) for at, value in json.loads(one["points"])]
    changes: dict[str, list[tuple[float, str]]] = {}
    for at, alarm, said in document["changes"]:
        changes.setdefault(alarm, []).append((at, said))
    start_s, end_s = document["span_s"]
    return Kept(start_s, end_s, document["dashboards"], points, changes)


def _path(state: Path) -> Path:
    return state / "cloudwatch" / "dashboards.json"
