"""Follows one reading through what a finished run left: log lines, objects, rows, score, alert.

Reads the folder of a run (`report.json` and the twin's state beside it), nothing that still runs.
The text is made by `trace_text`, the command is `cli_trace`.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.correlation import SEPARATOR, correlation_id, parse_correlation_id
from pipeline.partitions import HOUR_MS, partition_of
from pipeline.settings import FeatureSpec
from simulator.errors import EnvironmentMissing, ScenarioError

UNTRAINED_REACH_MS = 5 * 60_000
"""How long a row's window is taken to be where the run has no model that says it."""

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"

SHORTEST_ID = 6
"""Characters of an alert's id that name it."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class LogLine:
    """One line of a log: when it was written (ISO, UTC), by which function or job, what it says."""

    at: str
    group: str
    stream: str
    said: Row


@dataclass(frozen=True)
class Placed:
    """A row and the object that holds it."""

    place: str
    row: Row


@dataclass(frozen=True)
class Trace:
    """What a reading led to. ``reading`` is None when the raw zone does not have it."""

    device_id: str
    event_time_ms: int
    reading: Placed | None
    logs: tuple[LogLine, ...]
    features: Placed | None
    score: Placed | None
    detections: tuple[Row, ...] = field(default=())
    """Episodes as in `report.json`, with the ``alert`` that a person got of each."""
    nearest: tuple[str, ...] = ()
    """Where there is no reading: the ids of those before and after the time."""
    training: tuple[LogLine, ...] = ()
    """What the job printed that trained the model of the score."""

    @property
    def correlation_id(self) -> str:
        """Return the id that was followed."""
        return correlation_id(self.device_id, self.event_time_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the trace as plain values."""
        return {"correlation_id": self.correlation_id, **asdict(self)}


class Run:
    """The folder of a finished run."""

    def __init__(self, out: Path) -> None:
        self._state = out / "twin"
        if not (self._state / "s3").is_dir():
            raise EnvironmentMissing(f"no run has left its twin in {out}: run `fleetwin run` first")
        report = out / "report.json"
        self._report = json.loads(report.read_text("utf-8")) if report.is_file() else {}
        alerts = out / "alerts.jsonl"
        lines = alerts.read_text("utf-8").splitlines() if alerts.is_file() else []
        self._alerts = {alert["alert_id"]: alert for alert in map(json.loads, lines)}
        self._reach_ms = _reach_ms(self._state)

    def trace(self, text: str) -> Trace:
        """Follow ``DEVICE@TIME``, ``DEVICE#SEQUENCE`` or the id of an alert (or how it begins).

        Of an alert the newest reading of the row that opened it is followed.
        Raises ScenarioError for what is none of these, and for a reading or alert that the run
        does not have.
        """
        device_id, time_ms, sequence = self._meant(text)
        reading = self._reading(device_id, time_ms, sequence)
        if reading is None and time_ms is not None and SEPARATOR not in text:
            reading = self._last_before(device_id, time_ms)
        if reading is None and time_ms is None:
            raise ScenarioError(f"{text}: the raw zone has no such reading; {self._has(device_id)}")
        if reading is not None:
            time_ms = int(reading.row["event_time_ms"])
        assert time_ms is not None
        score = self._first_after("scores", device_id, time_ms, _lines)
        features = self._first_after("features", device_id, time_ms, _parquet_rows)
        row_ms = int(score.row["event_time_ms"]) if score else time_ms
        detections = tuple(self._detections(device_id, time_ms, row_ms))
        alerts = {found["detection_id"] for found in detections}
        logs = tuple(self._logs(device_id, time_ms, reading, alerts))
        if reading is None and score is None and features is None and not logs:
            raise ScenarioError(
                f"{text}: the run has nothing of {device_id} at that time; {self._has(device_id)}"
            )
        nearest = () if reading else tuple(self._nearest(device_id, time_ms))
        training = tuple(self._training(score.row["model_version"])) if score else ()
        return Trace(
            device_id,
            time_ms,
            reading,
            logs,
            features,
            score,
            detections,
            nearest=nearest,
            training=training,
        )

    def _meant(self, text: str) -> tuple[str, int | None, int | None]:
        """Return device, event time and sequence number that a text names."""
        device_id, hash_sign, number = text.rpartition("#")
        if hash_sign and device_id and number.isdecimal():
            return device_id, None, int(number)
        found = [each for each in self._report.get("detections", []) if _is_of(each, text)]
        if len(found) == 1:
            return found[0]["device_id"], _ms(found[0]["started"]), None
        try:
            device_id, time_ms = parse_correlation_id(text)
        except ValueError as error:
            raise ScenarioError(
                f"{text}: no DEVICE@TIME, DEVICE#SEQUENCE or id of an alert of this run ({error})"
            ) from None
        return device_id, time_ms, None

    # -- objects

    def _objects(self, prefix: str, time_ms: int | None) -> Iterator[tuple[str, Path]]:
        """Yield URI and file of the objects below a prefix, of one hour or of all."""
        hour = partition_of(time_ms) if time_ms is not None else "dt=*/hour=*"
        for path in sorted((self._state / "s3").glob(f"*/{prefix}/{hour}/*")):
            yield "s3://" + path.relative_to(self._state / "s3").as_posix(), path

    def _reading(self, device_id: str, time_ms: int | None, sequence: int | None) -> Placed | None:
        for place, path in self._objects("telemetry", time_ms):
            for row in _lines(path, device_id):
                if row["event_time_ms"] == time_ms or (time_ms is None and row["seq"] == sequence):
                    return Placed(place, row)
        return None

    def _has(self, device_id: str) -> str:
        """Return what there is of a device, in words."""
        rows = [
            row for _, path in self._objects("telemetry", None) for row in _lines(path, device_id)
        ]
        if not rows:
            return f"nothing of {device_id} was stored"
        first, last = min(rows, key=_numbered), max(rows, key=_numbered)
        return (
            f"of {device_id} there are {device_id}#{first['seq']} to {device_id}#{last['seq']}, "
            "but for what was lost on its way or refused"
        )

    def _nearest(self, device_id: str, time_ms: int) -> Iterator[str]:
        """Yield the ids of the readings before and after a time, within its hour."""
        times = sorted(
            int(row["event_time_ms"])
            for _, path in self._objects("telemetry", time_ms)
            for row in _lines(path, device_id)
        )
        place = bisect_left(times, time_ms)
        yield from (correlation_id(device_id, at) for at in times[max(0, place - 1) : place + 1])

    def _last_before(self, device_id: str, time_ms: int) -> Placed | None:
        """Return the newest reading that the row at a time has: an alert is about a row."""
        found: Placed | None = None
        for hour_ms in _hours(time_ms - self._reach_ms, time_ms):
            for place, path in self._objects("telemetry", hour_ms):
                for row in _lines(path, device_id):
                    newest = int(found.row["event_time_ms"]) if found else time_ms - self._reach_ms
                    if newest < row["event_time_ms"] <= time_ms:
                        found = Placed(place, row)
        return found

    def _first_after(
        self, prefix: str, device_id: str, time_ms: int, rows_of: Any
    ) -> Placed | None:
        """Return the first row of a device at a time or after it: the reading is in its window."""
        found: Placed | None = None
        for hour_ms in _hours(time_ms, time_ms + self._reach_ms):
            for place, path in self._objects(prefix, hour_ms):
                for row in rows_of(path, device_id):
                    at = int(row["event_time_ms"])
                    is_sooner = found is None or at < int(found.row["event_time_ms"])
                    if time_ms <= at <= time_ms + self._reach_ms and is_sooner:
                        found = Placed(place, row)
            if found is not None:
                break
        return found

    # -- logs and detections

    def _logs(
        self, device_id: str, time_ms: int, reading: Placed | None, alerts: Set[str]
    ) -> Iterator[LogLine]:
        """Yield the lines of the batches that had the reading or sent its alert, in order of time.

        A batch has the reading when the span of its device covers it; where messages overtake each
        other that may be two. Of the raw writer's lines the one that names the reading's object is
        meant. Where compaction has replaced that object no line names it any more: then those are
        meant that put an object into the reading's hour.
        """
        found: list[LogLine] = []
        put: list[LogLine] = []
        mark = f'"{device_id}":['
        logs = self._state / "logs"
        for path in sorted(logs.glob("aws/lambda/*.log")):
            group = "/" + path.relative_to(logs).with_suffix("").as_posix()
            for line in path.read_text("utf-8").splitlines():
                if mark not in line and not any(alert in line for alert in alerts):
                    continue
                at, stream, said = line.split(" ", 2)
                document = json.loads(said)
                sent = {alert["alert_id"] for alert in document.get("alerts", [])}
                if sent & alerts or _covers(document, device_id, time_ms):
                    is_writer = reading is not None and "objects" in document
                    (put if is_writer else found).append(LogLine(at, group, stream, document))
        if reading is not None:
            found += _that_put(put, reading.place)
        yield from sorted(found, key=lambda line: (line.at, line.group))

    def _training(self, model_version: str | None) -> Iterator[LogLine]:
        """Yield the lines of the training job that says it made a model."""
        path = self._state / "logs" / f"{TRAINING_LOGS.removeprefix('/')}.log"
        if model_version is None or not path.is_file():
            return
        found = []
        for line in path.read_text("utf-8").splitlines():
            at, stream, said = line.split(" ", 2)
            # Tracebacks, and what a library prints, are no JSON.
            if said.startswith('{"event"'):
                found.append(LogLine(at, TRAINING_LOGS, stream, json.loads(said)))
        made = {
            line.said["job"] for line in found if line.said.get("model_version") == model_version
        }
        yield from (line for line in found if line.said["job"] in made)

    def _detections(self, device_id: str, time_ms: int, row_ms: int) -> Iterator[Row]:
        """Yield the episodes that were open between the reading and its row."""
        for found in self._report.get("detections", []):
            started, ended = _ms(found["started"]), found["ended"]
            is_over = ended is not None and _ms(ended) < time_ms
            if found["device_id"] == device_id and started <= row_ms and not is_over:
                alert = self._alerts.get(found["detection_id"])
                yield {**found, "alert": alert} if alert else found


def _reach_ms(state: Path) -> int:
    """Return how far a row reaches back, or how far rows lie apart where that is more.

    The features of a run are described in the card of each model that it trained.
    """
    found = []
    for card in sorted(state.glob("sagemaker/training/*/model/model_card.json")):
        text = json.loads(card.read_text("utf-8"))["hyperparameters"]["feature_spec"]
        spec = FeatureSpec.parse(text)
        found.append(max(spec.reach_ms, spec.hop_ms))
    return max(found, default=UNTRAINED_REACH_MS)


def _hours(first_ms: int, last_ms: int) -> range:
    """Return a time in each hour from one time to another."""
    return range(first_ms - first_ms % HOUR_MS, last_ms + 1, HOUR_MS)


def _covers(document: Row, device_id: str, time_ms: int) -> bool:
    span = document.get("devices", {}).get(device_id)
    return span is not None and span[0] <= time_ms <= span[1]


def _that_put(lines: Sequence[LogLine], place: str) -> list[LogLine]:
    """Return the lines that name an object, or else those that name one of its folder."""
    named = [line for line in lines if any(place.endswith(f"/{k}") for k in line.said["objects"])]
    folder = place.rpartition("/")[0]
    return named or [
        line
        for line in lines
        if any(folder.endswith("/" + key.rpartition("/")[0]) for key in line.said["objects"])
    ]


def _is_of(detection: Row, text: str) -> bool:
    return len(text) >= SHORTEST_ID and str(detection["detection_id"]).startswith(text)


def _numbered(row: Row) -> int:
    return int(row["seq"])


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _lines(path: Path, device_id: str) -> Iterator[Row]:
    mark = f'"device_id":"{device_id}"'
    body = path.read_bytes()
    for line in (gzip.decompress(body) if path.suffix == ".gz" else body).decode().splitlines():
        if mark in line:
            yield json.loads(line)


def _parquet_rows(path: Path, device_id: str) -> Iterator[Row]:
    from pyarrow import parquet

    if path.suffix == ".parquet":
        filters = [("device_id", "=", device_id)]
        yield from parquet.read_table(path, filters=filters, partitioning=None).to_pylist()
