"""A trace as text, a stage a line, for `fleetwin trace`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from simulator.trace import LogLine, Placed, Trace

_COUNTS = (
    "Stored",
    "Late",
    "DeadLettered",
    "Duplicates",
    "FeatureRows",
    "ScoredRows",
    "AlertsSent",
)


def text_of(trace: Trace) -> str:
    """Return the lines of a trace."""
    return "\n".join(_lines(trace))


def _lines(trace: Trace) -> Iterator[str]:
    yield trace.correlation_id
    yield from _reading(trace)
    for line in trace.logs:
        yield from _log(line)
    yield from _features(trace.features)
    yield from _score(trace.score)
    yield from _training(trace.training)
    if not trace.detections:
        yield _row("alert", "none: no episode was open then")
    for found in trace.detections:
        until = f"until {found['ended']}" if found["ended"] else "still open"
        said = f"{found['detection_id']}, open since {found['started']}, {until}"
        yield _row("alert", said)
        shares = sorted(found["contributions"].items(), key=lambda one: -one[1])[:3]
        parts = ", ".join(f"{sensor} {share:.0%}" for sensor, share in shares)
        yield _more(f"score {found['score']:.2f}: {parts}")
        if "alert" in found:
            yield _more(f"told: {found['alert']['what_to_do']}")


def _reading(trace: Trace) -> Iterator[str]:
    if trace.reading is None:
        yield _row("raw object", "none: nothing was stored with this event time")
        if trace.nearest:
            yield _more(f"the nearest: {', '.join(trace.nearest)}")
        return
    row = trace.reading.row
    yield _row("raw object", trace.reading.place)
    yield _more(f"sequence {row['seq']}, {'late' if row['late'] else 'in time'}")
    yield _more(", ".join(f"{name} {value}" for name, value in row["values"].items()))


def _log(line: LogLine) -> Iterator[str]:
    said = line.said
    counts = ", ".join(f"{name} {said[name]}" for name in _COUNTS if name in said)
    yield _row("log line", f"{line.at} {line.group}")
    yield _more(f"stream {line.stream}")
    yield _more(f"{said['shard_id']}, {said['records']} records: {counts}")
    for alert in said.get("alerts", []):
        yield _more(f"published alert {alert['alert_id']}")


def _features(found: Placed | None) -> Iterator[str]:
    if found is None:
        yield _row("features", "no row in the processed zone: no features job has run since")
        return
    yield _row("features", f"{_time(found.row)} of {found.row['n']} readings")
    yield _more(found.place)


def _score(found: Placed | None) -> Iterator[str]:
    if found is None:
        yield _row("score", "none: no model was in service, or smoothing was not full")
        return
    row: Mapping[str, Any] = found.row
    level = "none" if row["score"] is None else f"{row['score']:.3f} thresholds"
    yield _row("score", f"{_time(row)} {level}, model {row['model_version']}")
    yield _more(found.place)


def _training(lines: Sequence[LogLine]) -> Iterator[str]:
    """Yield where the model's training is in the logs, and what it began with."""
    if lines:
        yield _row("training", f"{lines[0].said['job']}, {len(lines)} lines in {lines[0].group}")
        yield _more(f"{lines[0].at} {lines[0].said['message']}")


def _time(row: Mapping[str, Any]) -> str:
    moment = datetime.fromtimestamp(row["event_time_ms"] / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(name: str, text: str) -> str:
    return f"  {name:<12}{text}"


def _more(text: str) -> str:
    return f"  {'':<12}{text}"
