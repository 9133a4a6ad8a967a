"""Streams of messages for the tests: what devices send, and what a network makes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pipeline.messages import Burst, Reading, encode_burst, encode_reading
from pipeline.settings import FeatureSpec

SPEC = FeatureSpec.parse(
    json.dumps(
        {
            "sensors": {"temperature_c": [-40, 200], "pressure_bar": [-1, 40]},
            "window_s": 20,
            "hop_s": 5,
            "allowed_lateness_s": 4,
            "burst_max_age_s": 30,
            "min_count": 3,
        }
    )
)
RICH = SPEC.extended(
    json.dumps(
        {
            "long_windows_s": [60, 33.5],
            "statistics": ["min", "max", "difference", "ewma"],
            "ratios": [["temperature_c", "pressure_bar"]],
            "gap_s": 5,
            "bearing_hz": {"bpfo": 107.3, "bpfi": 162.1},
        }
    )
)
"""Every kind of feature there is."""
START_MS = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""


@dataclass(frozen=True)
class Weather:
    """How bad the network is, and how the devices behave."""

    seed: int
    devices: int
    readings: int
    lost: float
    repeated: float
    delay_s: float
    silences: float


weathers = st.builds(
    Weather,
    seed=st.integers(0, 2**32 - 1),
    devices=st.integers(1, 3),
    readings=st.integers(0, 90),
    lost=st.sampled_from([0.0, 0.2]),
    repeated=st.sampled_from([0.0, 0.2]),
    delay_s=st.sampled_from([0.0, 3.0, 8.0]),
    silences=st.sampled_from([0.0, 0.03]),
)


def stream(weather: Weather) -> list[Reading | Burst]:
    """Return messages in order of arrival; several share an event time."""
    rng = np.random.default_rng(weather.seed)
    sent: list[tuple[float, Reading | Burst]] = []
    for number in range(weather.devices):
        device_id = f"pump-{number}"
        time_ms = START_MS + int(rng.integers(0, 5_000))
        bursts = 0
        for seq in range(weather.readings):
            time_ms += int(rng.choice([0, 500, 1_000]))
            if rng.random() < weather.silences:
                time_ms += int(rng.integers(10_000, 100_000))
            values = rng.normal(50, 3, len(SPEC.sensors)).tolist()
            messages: list[Reading | Burst] = [
                Reading(device_id, seq, time_ms, dict(zip(SPEC.sensors, values, strict=True)))
            ]
            if rng.random() < 0.1:
                samples = rng.normal(0, 900, int(rng.integers(64, 300))).astype(np.int16)
                messages.append(Burst(device_id, bursts, time_ms, 12_000, 0.01, samples))
                bursts += 1
            for message in messages:
                copies = 1 + int(rng.random() < weather.repeated) - int(rng.random() < weather.lost)
                for _ in range(copies):
                    sent.append((time_ms + rng.random() * weather.delay_s * 1000, message))
    sent.sort(key=lambda pair: pair[0])
    return [message for _, message in sent]


def cut(messages: Sequence[Any], seed: int) -> list[Sequence[Any]]:
    """Return the messages in batches of random length."""
    rng = np.random.default_rng(seed)
    batches = []
    start = 0
    while start < len(messages):
        size = int(rng.integers(1, 40))
        batches.append(messages[start : start + size])
        start += size
    return batches


def payload(message: Reading | Burst) -> bytes:
    """Return a message as it is published."""
    return encode_reading(message) if isinstance(message, Reading) else encode_burst(message)


def kinesis_record(number: int, data: bytes, key: str, arrival_s: float) -> dict[str, Any]:
    """Return a record as an event source mapping hands it over."""
    sequence_number = f"4954{number:052d}"
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrival_s,
        },
        "eventSource": "aws:kinesis",
        "eventID": f"shardId-000000000000:{sequence_number}",
        "eventName": "aws:kinesis:record",
    }
