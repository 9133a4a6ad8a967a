"""Stores a batch of stream records in the raw zone, each message exactly once.

Objects first, then the devices' states on condition: what is accounted for is stored, and what
was stored but not accounted for is overwritten by the next attempt (see `raw_zone`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.correlation import spans
from pipeline.ingestion.raw_zone import dead_letter_objects, raw_objects
from pipeline.kinesis_records import Arrived, Record, decode_records, records, runs
from pipeline.messages import Reading
from pipeline.metrics import BYTES, COUNT, MILLISECONDS, embedded_metrics
from pipeline.sequence import Arrival, Progress
from pipeline.settings import RawWriterSettings
from pipeline.state_table import MAX_ITEMS, StateTable, StateWrite

STATE_PREFIX = "raw#"
MAX_REMEMBERED = 10_000
"""Devices whose progress a warm worker keeps in memory; a few hundred bytes each."""


class ObjectStore(Protocol):
    """The one operation of boto3's S3 client in use."""

    @property
    def put_object(self) -> Callable[..., Any]:
        """Write one object."""


@dataclass(slots=True)
class _Device:
    """A device's progress as the batch goes on, and the sequence number that was read."""

    progress: Progress
    stored_last_seq: str | None
    last_seq: str = ""
    """Of the newest record that changed the progress; empty when none did."""
    accounted: int = -1
    """Stream sequence numbers, which rise, up to this one are in the stored progress."""


class RawWriter:
    """Handles the events of one function."""

    def __init__(
        self,
        settings: RawWriterSettings,
        store: ObjectStore,
        states: StateTable,
        write_line: Callable[[str], None] = print,
    ) -> None:
        self._settings = settings
        self._store = store
        self._states = states
        self._write_line = write_line
        self._remembered: dict[str, _Device] = {}

    def handle(self, event: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Store the records of an event; any error that is raised has the batch tried again."""
        batch = records(event)
        devices: dict[str, _Device] = {}
        # What is remembered is what is stored: not while a batch is half done, nor after an error.
        remembered, self._remembered = self._remembered, {}
        for run in runs(batch, MAX_ITEMS):
            self._store_run(run, devices, remembered)
        if len(remembered) + len(devices) <= MAX_REMEMBERED:
            devices = {**remembered, **devices}
        self._remembered = devices
        return {"batchItemFailures": []}

    def _store_run(
        self,
        run: Sequence[Record],
        devices: dict[str, _Device],
        remembered: Mapping[str, _Device],
    ) -> None:
        spec = self._settings.spec
        arrived, refused = decode_records(run, spec, self._settings.max_future_s)
        new = {found.message.device_id for found in arrived} - devices.keys()
        devices |= self._load(sorted(new), remembered)
        accepted, duplicates = self._sort_out(arrived, devices)
        objects = {**raw_objects(accepted), **dead_letter_objects(refused)}
        for key, body in objects.items():
            self._store.put_object(Bucket=self._settings.raw_bucket, Key=key, Body=body)
        self._commit(devices)
        late = sum(is_late for _, is_late in accepted)
        self._write_line(
            embedded_metrics(
                self._settings.metric_namespace,
                {
                    "Stored": (len(accepted) - late, COUNT),
                    "Late": (late, COUNT),
                    "DeadLettered": (len(refused), COUNT),
                    "Duplicates": (duplicates, COUNT),
                    "PayloadBytes": (sum(len(record.payload) for record in run), BYTES),
                    **_delay(accepted),
                },
                timestamp_ms=max(record.arrival_ms for record in run),
                properties={
                    "shard_id": run[0].shard_id,
                    "first_sequence_number": run[0].sequence_number,
                    "records": len(run),
                    "reasons": sorted({letter.reason for letter in refused}),
                    "objects": list(objects),
                    "devices": spans(found.message for found in arrived),
                },
            )
        )

    def _load(
        self, device_ids: Sequence[str], remembered: Mapping[str, _Device]
    ) -> dict[str, _Device]:
        """Return devices as they are stored; a remembered one is used if it still is."""
        known = {
            STATE_PREFIX + device_id: remembered[device_id].stored_last_seq or ""
            for device_id in device_ids
            if device_id in remembered
        }
        items = self._states.get([STATE_PREFIX + device_id for device_id in device_ids], known)
        devices = {}
        for device_id in device_ids:
            item = items.get(STATE_PREFIX + device_id)
            if item is None:
                devices[device_id] = _Device(Progress(), None)
            elif "state" not in item:
                devices[device_id] = remembered[device_id]
            else:
                last_seq = item["last_seq"]["S"]
                progress, _ = Progress.from_bytes(item["state"]["B"])
                devices[device_id] = _Device(progress, last_seq, accounted=int(last_seq))
        return devices

    def _sort_out(
        self, arrived: Sequence[Arrived], devices: Mapping[str, _Device]
    ) -> tuple[list[tuple[Arrived, bool]], int]:
        """Return the new messages with their mark ``late``, and the number of repetitions.

        The stream's sequence numbers tell a record that is handed out again, the device's own
        tell a message that was published twice.
        """
        accepted = []
        duplicates = 0
        lateness_ms = self._settings.spec.allowed_lateness_ms
        for found in arrived:
            message = found.message
            device = devices[message.device_id]
            if int(found.record.sequence_number) <= device.accounted:
                duplicates += 1
                continue
            progress = device.progress
            seen = progress.readings if isinstance(message, Reading) else progress.bursts
            arrival = progress.take(seen, message.seq, message.event_time_ms, lateness_ms)
            if arrival is Arrival.DUPLICATE:
                duplicates += 1
                continue
            device.last_seq = found.record.sequence_number
            accepted.append((found, arrival is Arrival.LATE))
        return accepted, duplicates

    def _commit(self, devices: Mapping[str, _Device]) -> None:
        """Write the states that changed, at most 100: all or none."""
        changed = {name: device for name, device in devices.items() if device.last_seq}
        self._states.put(
            [
                StateWrite(
                    STATE_PREFIX + device_id,
                    device.progress.to_bytes(),
                    device.last_seq,
                    device.stored_last_seq,
                )
                for device_id, device in changed.items()
            ]
        )
        for device in changed.values():
            device.accounted = int(device.last_seq)
            device.stored_last_seq, device.last_seq = device.last_seq, ""


def _delay(accepted: Sequence[tuple[Arrived, bool]]) -> dict[str, tuple[float, str]]:
    """Return the longest time from a message's event to its arrival; nothing without messages."""
    if not accepted:
        return {}
    longest = max(found.record.arrival_ms - found.message.event_time_ms for found, _ in accepted)
    return {"ArrivalDelay": (longest, MILLISECONDS)}
