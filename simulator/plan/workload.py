"""What so many machines send and what the pipeline does with it, measured on the pipeline itself.

Sizes are not guessed: a reading, a line of the raw zone and a detector's state are made by the
pipeline's own code. Times of calls are the latency models' (`simulator.parity.latency_fit`).
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.detection.device_detection import DeviceDetection
from pipeline.detection.stream_batch import MAX_DEVICES
from pipeline.device_state import DeviceState, advance
from pipeline.messages import Reading, encode_reading
from pipeline.settings import FeatureSpec
from simulator.cloud.invocations import Durations
from simulator.cloud.kinesis_writes import MAX_RECORD_BYTES
from simulator.targets import template_default

__all__ = ["MAX_DEVICES", "Workload"]

SHARD_RECORDS_S = 1_000
SHARD_BYTES_S = MAX_RECORD_BYTES
KIB = 1024


@dataclass(frozen=True)
class Workload:
    """``machines`` that each send ``rate_hz`` readings a second; the template's settings else."""

    machines: int
    rate_hz: float
    batch_size: int = 1_000
    window_s: float = 10.0
    memory_gb: float = 1.0
    durations: Durations = field(default_factory=Durations)

    @property
    def readings_s(self) -> float:
        """Return readings a second of all machines."""
        return self.machines * self.rate_hz

    @cached_property
    def spec(self) -> FeatureSpec:
        """Return the template's feature spec, without bursts."""
        text = template_default("FeatureSpec")
        return FeatureSpec.parse(text.replace('"bursts":true', '"bursts":false'))

    @property
    def hop_s(self) -> float:
        """Return how often a device has a feature row, in seconds."""
        return self.spec.hop_ms / 1000

    @cached_property
    def payload_b(self) -> int:
        """Return bytes of a reading on the wire."""
        return len(encode_reading(self._reading(0)))

    @property
    def record_b(self) -> int:
        """Return bytes of a stream's record: data and partition key, as shards count them."""
        return self.payload_b + len("pump-000001")

    @cached_property
    def stored_b(self) -> float:
        """Return bytes of a reading in the raw zone, compressed with its batch, in tens.

        Compressors differ by a byte or two, and a plan must not.
        """
        lines = [encode_reading(self._reading(number)) for number in range(500)]
        return 10.0 * math.ceil(len(gzip.compress(b"\n".join(lines), 6)) / len(lines) / 10)

    @cached_property
    def state_b(self) -> int:
        """Return bytes of a device's state in the detector's table, when its windows are full."""
        seconds = (self.spec.window_ms + self.spec.allowed_lateness_ms + self.spec.hop_ms) / 1000
        # More readings than the windows hold would only be dropped again.
        count = min(20_000, math.ceil(seconds * max(self.rate_hz, 1 / seconds)) + 1)
        state = DeviceState.new(self.spec)
        advance({"pump-000001": state}, map(self._reading, range(count)), self.spec)
        return len(DeviceDetection(state).to_bytes(self.spec))

    def shards(self, share: float) -> int:
        """Return the shards for the readings, each filled to a share of its limits."""
        records = self.readings_s / SHARD_RECORDS_S
        volume = self.readings_s * self.record_b / SHARD_BYTES_S
        return max(1, math.ceil(max(records, volume) / share))

    def _reading(self, number: int) -> Reading:
        values = {
            name: round(low + (high - low) * 0.37 + math.sin(number) * 0.123, 3)
            for name, (low, high) in zip(self.spec.sensors, self.spec.limits, strict=True)
        }
        at_ms = 1_767_571_200_000 + round(number * 1000 / self.rate_hz)
        return Reading("pump-000001", number, at_ms, values)
