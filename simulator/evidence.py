"""Gathers what a run left behind, through AWS's own APIs and the machines' books.

Detections from their table, scores and readings from the lake, alerts from the inbox queue,
alarms from CloudWatch. `run.py` makes the report of it.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from simulator.cloud.state_lock import refuse_if_held
from simulator.errors import EnvironmentMissing
from simulator.fleet.catalogue import KINDS, SENSOR_LIMITS, devices_of, sensors_of
from simulator.fleet.fleet import Fleet
from simulator.fleet.recording import Recording
from simulator.fleet.replay import Replay
from simulator.parity.journey import BILLABLE_FILE, SCORES_FILE
from simulator.parity.latency_fit import TRACES_FILE
from simulator.report import Episode, Readings
from simulator.report_html import Trace
from simulator.scenario import Scenario
from simulator.target import Target
from simulator.targets import template_default

STATE_FOLDER = "twin"
MARKER = ".fleetwin-state"
ALERTS_FILE = "alerts.jsonl"
"""The alerts as a person got them, a line each; `fleetwin trace` shows what they say."""
APP_REPORT = "app-report.json"
"""What a run of an app that is not ours leaves beside its twin."""

REPORT_FILES = (
    APP_REPORT,
    "app-report.txt",
    "report.html",
    "report.json",
    ALERTS_FILE,
    SCORES_FILE,
    TRACES_FILE,
    BILLABLE_FILE,
)


@dataclass(frozen=True)
class Evidence:
    """What the pipeline and the network say of one run."""

    readings: Readings
    episodes: list[Episode]
    alerts: list[dict[str, Any]]
    """The messages that the inbox got, each once, in the order of their episodes."""
    alarms: list[dict[str, Any]]
    raw_zone: dict[str, Any]
    model: dict[str, Any]
    traces: list[Trace]


def fresh_state(out: Path) -> Path:
    """Return an empty state folder in ``out``; only one that an earlier run made is removed.

    That run's report goes with it: beside another twin it would be taken for that one's.
    """
    state = out / STATE_FOLDER
    if state.exists():
        if not state.is_dir() or (any(state.iterdir()) and not (state / MARKER).exists()):
            raise EnvironmentMissing(
                f"{state} exists and was not made by fleetwin; choose another --out"
            )
        refuse_if_held(state)
        for name in REPORT_FILES:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(state)
    state.mkdir(parents=True)
    (state / MARKER).touch()
    return state


def template_parameters(scenario: Scenario, recording: Recording | None) -> dict[str, str]:
    """Return the template's parameters for a scenario: sensors, windows, training settings."""
    if recording is not None:
        spec, training = recording.feature_spec(), dict(recording.format.training)
    else:
        spec, training = fleet_spec(scenario), {}
    spec.update(scenario.pipeline.features.changes())
    training.update(scenario.pipeline.training)
    values = {"FeatureSpec": spec, "TrainingSettings": training}
    return {name: json.dumps(value, separators=(",", ":")) for name, value in values.items()}


def fleet_spec(scenario: Scenario) -> dict[str, Any]:
    """Return the feature spec for a fleet: its sensors, of which some devices lack some."""
    spec: dict[str, Any] = json.loads(template_default("FeatureSpec"))
    sensors = sensors_of(scenario.fleet)
    known = spec["sensors"]
    spec["sensors"] = {name: known.get(name, list(SENSOR_LIMITS[name])) for name in sensors}
    kinds = set(devices_of(scenario.fleet).values())
    silent = {plan.sensor for plan in scenario.all_faults if plan.kind == "dropout"}
    optional = [
        name
        for name in sensors
        if name in silent or any(name not in KINDS[kind].sensors for kind in kinds)
    ]
    if optional:
        spec["optional"] = optional
    spec["bursts"] = spec["bursts"] and scenario.fleet.burst_period_s > 0
    return spec


def gather(target: Target, machines: Fleet | Replay) -> Evidence:
    """Return the evidence of a run that is over."""
    raw = _RawZone(target)
    books = [machines.counters.readings, machines.counters.bursts]
    readings = Readings(
        published=sum(book.published for book in books),
        lost_in_network=sum(book.lost_in_network for book in books),
        discarded_by_broker=sum(book.discarded_by_broker for book in books),
        delivered=sum(book.delivered for book in books),
        stored=raw.stored,
        late=raw.late,
        dead_lettered=raw.dead_lettered,
        duplicates_dropped=sum(book.duplicates_delivered for book in books),
    )
    return Evidence(
        readings,
        _episodes(target),
        _alerts(target),
        _alarms(target),
        raw.summary(),
        _model(target),
        _traces(target, machines.devices, raw.signals),
    )


def score_lines(traces: Sequence[Trace]) -> Iterator[bytes]:
    """Yield a JSON line for each row that was scored: device, event time, both smoothed scores."""
    for trace in traces:
        if trace.score is None or trace.no_model is None:
            continue
        rows = zip(trace.score[0].tolist(), trace.score[1], trace.no_model[1], strict=True)
        for at_ms, score, no_model in rows:
            # orjson writes NaN, where there was no score, as null.
            row = {
                "device_id": trace.device_id,
                "event_time_ms": at_ms,
                "score": float(score),
                "no_model_score": float(no_model),
            }
            yield orjson.dumps(row) + b"\n"


def trace_lines(target: Target) -> Iterator[bytes]:
    """Yield a JSON line for each hop that was gone: which, when it began, how long it took."""
    for hop, began_s, took_s in target.hops():
        row = {"hop": hop, "began_s": round(began_s, 6), "took_s": round(took_s, 6)}
        yield orjson.dumps(row) + b"\n"


def keep_billable(target: Target, out: Path) -> None:
    """Write what a run used of what AWS charges for, where the target knows it."""
    if units := target.billable():
        (out / BILLABLE_FILE).write_bytes(orjson.dumps(units, option=orjson.OPT_INDENT_2) + b"\n")


class _RawZone:
    """Reads the raw zone once: counts what lies there, checks that nothing lies there twice.

    ``signals`` has, for each device, event times and values in the order of storing.
    """

    def __init__(self, target: Target) -> None:
        self.bucket = target.bucket("raw")
        self.stored = self.late = self.objects = 0
        self.signals: dict[str, list[tuple[int, dict[str, float]]]] = defaultdict(list)
        self._numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in self._rows(target, "telemetry/"):
            self._count("telemetry", row)
            self.signals[row["device_id"]].append((row["event_time_ms"], row["values"]))
        for row in self._rows(target, "bursts/"):
            self._count("bursts", row)
        self.dead_lettered = sum(1 for _ in self._rows(target, "dead-letter/"))

    def _rows(self, target: Target, prefix: str) -> Iterator[dict[str, Any]]:
        for key, body in target.objects(self.bucket, prefix):
            self.objects += 1
            data = gzip.decompress(body) if key.endswith(".gz") else body
            # One parse for a whole object is several times quicker than one for each line.
            yield from orjson.loads(b"[" + b",".join(data.split(b"\n")).rstrip(b",") + b"]")

    def _count(self, kind: str, row: dict[str, Any]) -> None:
        self._numbers[kind, row["device_id"]].append(row["seq"])
        if row["late"]:
            self.late += 1
        else:
            self.stored += 1

    def summary(self) -> dict[str, Any]:
        """Return counts, and problems in words."""
        twice = sum(len(seqs) - len(set(seqs)) for seqs in self._numbers.values())
        problems = [f"{twice} readings lie in the raw zone twice"] if twice else []
        return {"objects": self.objects, "problems": problems}


def _episodes(target: Target) -> list[Episode]:
    table = target.name_of("AWS::DynamoDB::Table", "detections")
    items: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while True:
        start = page.get("LastEvaluatedKey")
        more = {"ExclusiveStartKey": start} if start else {}
        page = target.call("dynamodb", "Scan", TableName=table, **more)
        items.extend(page.get("Items", []))
        if "LastEvaluatedKey" not in page:
            break
    episodes = [_episode({k: next(iter(v.values())) for k, v in item.items()}) for item in items]
    return sorted(episodes, key=lambda e: (e.started_ms, e.device_id, e.rule))


def _episode(item: dict[str, Any]) -> Episode:
    contributions = item.get("contributions", "{}")
    if isinstance(contributions, str):
        shares = json.loads(contributions)
    else:
        shares = {name: next(iter(value.values())) for name, value in contributions.items()}
    ended, window = item.get("ended_ms"), item.get("window_start_ms")
    return Episode(
        device_id=item["device_id"],
        rule=item["rule"],
        started_ms=int(item["started_ms"]),
        ended_ms=None if ended is None else int(ended),
        score=float(item["score"]),
        contributions={name: float(share) for name, share in shares.items()},
        detection_id=item["detection_id"],
        window_start_ms=None if window is None else int(window),
    )


def _alerts(target: Target) -> list[dict[str, Any]]:
    """Return the detection alerts that the inbox got, each once."""
    name = target.name_of("AWS::SQS::Queue", "alert-inbox").rsplit("/", 1)[-1]
    url = target.call("sqs", "GetQueueUrl", QueueName=name)["QueueUrl"]
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = target.call("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
        messages = page.get("Messages", [])
        if not messages:
            return sorted(found.values(), key=lambda each: (each["started_ms"], each["alert_id"]))
        for message in messages:
            body = json.loads(message["Body"])
            if "alert_id" in body:
                found[body["alert_id"]] = body
            target.call(
                "sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
            )


def _alarms(target: Target) -> list[dict[str, Any]]:
    """Return the alarms' states, without those that are levers of Application Auto Scaling."""
    page = target.call("cloudwatch", "DescribeAlarms")
    return [
        {"name": alarm["AlarmName"], "state": alarm["StateValue"]}
        for alarm in page["MetricAlarms"]
        if not alarm["AlarmName"].startswith("TargetTracking-")
    ]


def _model(target: Target) -> dict[str, Any]:
    table = target.name_of("AWS::DynamoDB::Table", "device-state")
    answer = target.call("dynamodb", "GetItem", TableName=table, Key={"pk": {"S": "#model"}})
    item = answer.get("Item", {})
    found: dict[str, Any] = {
        name: item[name]["S"] for name in ("endpoint", "model_version", "activated") if name in item
    }
    return found | {"evaluations": evaluations(target)}


def evaluations(target: Target) -> list[dict[str, Any]]:
    """Return what was found of each candidate that was compared with a current model, by name."""
    found = []
    for key, body in target.objects(target.bucket("artefacts"), "evaluations/"):
        result = orjson.loads(body)
        told = {name: result[name] for name in ("promote", "reasons", "events")}
        found.append({"candidate": key.split("/")[1], **told})
    return sorted(found, key=itemgetter("candidate"))


def _traces(
    target: Target,
    devices: Sequence[str],
    signals: dict[str, list[tuple[int, dict[str, float]]]],
) -> list[Trace]:
    """Return every machine's signals and scores for the pictures."""
    scores: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for _, body in target.objects(target.bucket("processed"), "scores/"):
        for line in body.splitlines():
            row = orjson.loads(line)
            scores[row["device_id"]].append(
                (row["event_time_ms"], row["score"], row["no_model_score"])
            )
    return [_trace(device, signals[device], scores[device]) for device in devices]


def _trace(
    device: str,
    signals: list[tuple[int, dict[str, float]]],
    scores: list[tuple[int, float, float]],
) -> Trace:
    trace = Trace(device)
    signals.sort(key=lambda row: row[0])
    scores.sort()
    if signals:
        times = np.array([at for at, _ in signals], dtype=np.int64)
        rows = [values for _, values in signals]
        for name in signals[0][1]:
            trace.signals[name] = (times, _column(rows, name))
    if scores:
        times = np.array([row[0] for row in scores], dtype=np.int64)
        trace.score = (times, np.array([row[1] for row in scores], dtype=np.float64))
        trace.no_model = (times, np.array([row[2] for row in scores], dtype=np.float64))
    return trace


def _column(rows: list[dict[str, float]], name: str) -> npt.NDArray[np.float64]:
    """Return one value of each row, NaN where there is none."""
    try:
        return np.fromiter(map(itemgetter(name), rows), np.float64, len(rows))
    except KeyError:
        return np.array([row.get(name, np.nan) for row in rows], np.float64)
