"""Detects on a batch of stream records: features, scores, episodes, alerts.

The calls of an ordinary batch: read states and the active model (one BatchGetItem), invoke the
endpoint, put the scores, write states and detections (one transaction). A state says up to
which stream record it accounts for, and the transaction is on condition of the one that was
read, so a batch that is handed out again changes nothing.

Alerts go through an outbox. The transaction that records an episode also leaves its message in
the device's state; after it the message is published, and a second small transaction empties
the outbox. When publishing fails the error has the batch tried again, which finds the message
still there. A worker remembers what it has published; only one that dies between the last two
steps has its successor send an alert twice, with the same alert id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Protocol

import numpy as np
import orjson

from pipeline.correlation import correlation_id, spans
from pipeline.detection.device_detection import (
    MODEL_RULE,
    Detection,
    DeviceDetection,
    ScoredRow,
    SmoothedRow,
    detection_write,
)
from pipeline.detection.endpoint import SageMakerRuntime, Scored, score_rows
from pipeline.device_state import Advance, DeviceState, advance
from pipeline.kinesis_records import Arrived, Record, decode_records, records, runs
from pipeline.metrics import COUNT, MILLISECONDS, embedded_metrics
from pipeline.settings import DetectorSettings
from pipeline.state_table import MAX_ITEMS, Item, StateTable, StateWrite

STATE_PREFIX = "det#"
MODEL_KEY = "#model"

MAX_DEVICES = MAX_ITEMS - 1
"""Devices of one run: their states and the active model are read in one call."""

MAX_REMEMBERED = 2_000
"""Devices whose state a warm worker keeps in memory; some kilobytes each."""


class ObjectStore(Protocol):
    """The one operation of boto3's S3 client in use."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> Any:
        """Write one object."""


class Topic(Protocol):
    """The one operation of boto3's SNS client in use."""

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> Any:
        """Publish one message."""


@dataclass(slots=True)
class _Device:
    """A device's state as the batch goes on, and the sequence number that was read."""

    detection: DeviceDetection
    stored_last_seq: str | None
    last_seq: str = ""
    """Of the newest record that is new; empty when none is."""

    @property
    def accounted(self) -> int:
        return -1 if self.stored_last_seq is None else int(self.stored_last_seq)


@dataclass(slots=True)
class _Outcome:
    """What a run of records led to."""

    rows: int = 0
    newest_row_ms: int = 0
    scored: int = 0
    smoothed: list[tuple[str, SmoothedRow]] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    model_version: str = ""


class Detector:
    """Handles the events of one function."""

    def __init__(
        self,
        settings: DetectorSettings,
        states: StateTable,
        endpoint: SageMakerRuntime,
        store: ObjectStore,
        topic: Topic,
        write_line: Callable[[str], None] = print,
    ) -> None:
        self._settings = settings
        self._states = states
        self._endpoint = endpoint
        self._store = store
        self._topic = topic
        self._write_line = write_line
        self._published: set[str] = set()
        self._remembered: dict[str, _Device] = {}

    def handle(self, event: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Detect on the records of an event; any error raised has the batch tried again."""
        for run in runs(records(event), MAX_DEVICES):
            # What is remembered is what is stored: nothing while a run is half done.
            remembered, self._remembered = self._remembered, {}
            devices = self._detect(run, remembered)
            if len(remembered) + len(devices) <= MAX_REMEMBERED:
                devices = {**remembered, **devices}
            self._remembered = devices
        return {"batchItemFailures": []}

    def _detect(
        self, run: Sequence[Record], remembered: Mapping[str, _Device]
    ) -> dict[str, _Device]:
        """Detect on a run and return its devices, as they are now stored."""
        spec = self._settings.spec
        # Refused messages are the raw writer's to keep and to count.
        arrived, _ = decode_records(run, spec, self._settings.max_future_s)
        device_ids = sorted({found.message.device_id for found in arrived})
        devices, model = self._load(device_ids, remembered)
        new = _new_records(arrived, devices)
        outcome = _Outcome()
        if new:
            states = {name: device.detection.features for name, device in devices.items()}
            advanced = advance(states, (found.message for found in new), spec)
            outcome.rows = len(advanced.rows)
            if outcome.rows:
                outcome.newest_row_ms = int(advanced.rows.event_time_ms.max())
            if model is not None and outcome.rows:
                self._score(advanced, devices, model, outcome)
            self._store_all(devices, outcome, new)
        alerts = self._send(devices)
        self._report(run, outcome, new, alerts)
        return devices

    def _load(
        self, device_ids: Sequence[str], remembered: Mapping[str, _Device]
    ) -> tuple[dict[str, _Device], Item | None]:
        """Return the devices as they are stored, and the active model, None while there is none.

        A remembered device is used if it still is what is stored.
        """
        spec = self._settings.spec
        known = {
            STATE_PREFIX + name: remembered[name].stored_last_seq or ""
            for name in device_ids
            if name in remembered
        }
        keys = [MODEL_KEY, *(STATE_PREFIX + name for name in device_ids)]
        items = self._states.get(keys, known)
        devices = {}
        for device_id in device_ids:
            item = items.get(STATE_PREFIX + device_id)
            if item is None:
                devices[device_id] = _Device(DeviceDetection(DeviceState.new(spec)), None)
            elif "state" not in item:
                devices[device_id] = remembered[device_id]
            else:
                state = DeviceDetection.from_bytes(bytes(item["state"]["B"]), spec)
                devices[device_id] = _Device(state, item["last_seq"]["S"])
        return devices, items.get(MODEL_KEY)

    def _score(
        self,
        advanced: Advance,
        devices: Mapping[str, _Device],
        model: Item,
        outcome: _Outcome,
    ) -> None:
        rows = advanced.rows
        owners = [advanced.device_ids[number] for number in rows.device.tolist()]
        scored = score_rows(
            self._endpoint,
            model.get("endpoint", {}).get("S") or self._settings.endpoint_name,
            owners,
            rows.event_time_ms.tolist(),
            rows.features,
            spec=self._settings.spec,
        )
        outcome.scored = sum(score is not None for score in scored.scores)
        outcome.model_version = scored.model_version
        for device_id, of_device in _by_device(owners, rows.event_time_ms, scored).items():
            smoothed, detections = devices[device_id].detection.detect(
                device_id, of_device, scored.rule, scored.model_version
            )
            outcome.smoothed += [(device_id, row) for row in smoothed]
            outcome.detections += detections

    def _store_all(
        self, devices: Mapping[str, _Device], outcome: _Outcome, new: Sequence[Arrived]
    ) -> None:
        """Store scores, states and detections, in as many parts as transactions are needed.

        Nearly always one. What a part leaves in the bucket is named by the first record of its own
        devices, so an attempt after a partial success overwrites nothing of what is stored.
        """
        writes = defaultdict(list)
        for found in outcome.detections:
            writes[found.device_id].append(detection_write(found, self._settings.detections_table))
        for part in _parts(devices, writes):
            first = next(each.record for each in new if each.message.device_id in part)
            self._put_scores(outcome, part, first)
            self._commit(part, writes)

    def _put_scores(self, outcome: _Outcome, part: Mapping[str, _Device], first: Record) -> None:
        """Put the smoothed scores, one object an hour of event time; repeated puts are equal."""
        by_hour: dict[str, list[bytes]] = defaultdict(list)
        for device_id, row in outcome.smoothed:
            if device_id not in part:
                continue
            if row.score is None and row.no_model_score is None:
                continue
            moment = datetime.fromtimestamp(row.event_time_ms / 1000, UTC)
            by_hour[f"dt={moment:%Y-%m-%d}/hour={moment:%H}"].append(
                orjson.dumps(
                    {
                        "device_id": device_id,
                        "event_time_ms": row.event_time_ms,
                        "score": row.score,
                        "no_model_score": row.no_model_score,
                        "model_version": outcome.model_version,
                    }
                )
            )
        for partition, lines in sorted(by_hour.items()):
            self._store.put_object(
                Bucket=self._settings.processed_bucket,
                Key=f"scores/{partition}/{first.shard_id}-{first.sequence_number}.jsonl",
                Body=b"\n".join(lines) + b"\n",
            )

    def _commit(
        self, part: Mapping[str, _Device], detections: Mapping[str, Sequence[dict[str, Any]]]
    ) -> None:
        """Write the states of a part and its devices' detections in one transaction."""
        also = [write for name in part for write in detections.get(name, ())]
        self._states.put([self._write(name, device) for name, device in part.items()], also)
        for device in part.values():
            device.stored_last_seq, device.last_seq = device.last_seq, ""

    def _write(self, device_id: str, device: _Device) -> StateWrite:
        return StateWrite(
            STATE_PREFIX + device_id,
            device.detection.to_bytes(self._settings.spec),
            device.last_seq or device.stored_last_seq or "",
            device.stored_last_seq,
        )

    def _send(self, devices: Mapping[str, _Device]) -> list[str]:
        """Publish what is in the outboxes and then empty them; return the messages."""
        waiting = {name: device for name, device in devices.items() if device.detection.outbox}
        sent: list[str] = []
        try:
            for device in waiting.values():
                while device.detection.outbox:
                    subject, message = device.detection.outbox[0]
                    if message not in self._published:
                        self._topic.publish(
                            TopicArn=self._settings.alert_topic_arn,
                            Subject=subject,
                            Message=message,
                        )
                        self._published.add(message)
                    device.detection.outbox.pop(0)
                    sent.append(message)
        finally:
            # Also when one could not be sent: those before it must not be sent again.
            if sent:
                self._states.put([self._write(name, device) for name, device in waiting.items()])
                self._published.clear()
        return sent

    def _report(
        self,
        run: Sequence[Record],
        outcome: _Outcome,
        new: Sequence[Arrived],
        alerts: Sequence[str],
    ) -> None:
        arrival_ms = max(record.arrival_ms for record in run)
        levels = [row.score for _, row in outcome.smoothed if row.score is not None]
        opened = [found.rule for found in outcome.detections if found.opened]
        metrics: dict[str, tuple[float, str]] = {
            "FeatureRows": (outcome.rows, COUNT),
            "ScoredRows": (outcome.scored, COUNT),
            "EpisodesOpened": (opened.count(MODEL_RULE), COUNT),
            "NoModelEpisodesOpened": (len(opened) - opened.count(MODEL_RULE), COUNT),
            "AlertsSent": (len(alerts), COUNT),
        }
        if outcome.rows:
            metrics["FeatureLag"] = (arrival_ms - outcome.newest_row_ms, MILLISECONDS)
        if levels:
            metrics["MaxScore"] = (max(levels), "None")
        self._write_line(
            embedded_metrics(
                self._settings.metric_namespace,
                metrics,
                timestamp_ms=arrival_ms,
                properties={
                    "shard_id": run[0].shard_id,
                    "first_sequence_number": run[0].sequence_number,
                    "records": len(run),
                    "new_records": len(new),
                    "model_version": outcome.model_version,
                    "devices": spans(found.message for found in new),
                    "alerts": [_announced(message) for message in alerts],
                },
            )
        )


def _parts(
    devices: Mapping[str, _Device], detections: Mapping[str, Sequence[Any]]
) -> list[dict[str, _Device]]:
    """Divide the devices with new records so that each part fits into a transaction.

    A device's state and its detections are never parted.
    """
    found: list[dict[str, _Device]] = []
    room = 0
    for device_id, device in devices.items():
        if not device.last_seq:
            continue
        needed = 1 + len(detections.get(device_id, ()))
        if not found or needed > room:
            found.append({})
            room = MAX_ITEMS
        found[-1][device_id] = device
        room -= needed
    return found


def _announced(message: str) -> dict[str, str]:
    """Return what a log line says of an alert that was published."""
    alert = orjson.loads(message)
    opened = correlation_id(alert["device_id"], alert["started_ms"])
    return {"alert_id": alert["alert_id"], "correlation_id": opened}


def _new_records(arrived: Sequence[Arrived], devices: Mapping[str, _Device]) -> list[Arrived]:
    """Return the records that no state accounts for yet, and note the newest of each device."""
    new = []
    for found in arrived:
        device = devices[found.message.device_id]
        if int(found.record.sequence_number) > device.accounted:
            device.last_seq = found.record.sequence_number
            new.append(found)
    return new


def _by_device(
    owners: Sequence[str], event_time_ms: np.ndarray[Any, np.dtype[np.int64]], scored: Scored
) -> dict[str, list[ScoredRow]]:
    rows: dict[str, list[ScoredRow]] = defaultdict(list)
    columns = zip(
        owners,
        event_time_ms.tolist(),
        scored.scores,
        scored.no_model_scores,
        scored.contributions,
        scored.levels or repeat((), len(owners)),
        strict=True,
    )
    for device_id, moment, score, no_model_score, shares, levels in columns:
        named = tuple(zip(scored.sensors, shares, strict=True))
        rows[device_id].append(ScoredRow(moment, score, no_model_score, named, tuple(levels)))
    return rows
