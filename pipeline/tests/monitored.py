"""A model and traffic for the tests of monitoring: healthy machines, faults, drift of all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.model import inference
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.model.fitting import train
from pipeline.monitoring import baseline as baselines
from pipeline.monitoring.baseline import Baseline
from pipeline.monitoring.traffic import Traffic, read_lines
from pipeline.tests import healthy

HOP_MS = healthy.SPEC.hop_ms
WINDOW_ROWS = 60
WINDOW_MS = WINDOW_ROWS * HOP_MS
MARGIN_MS = 20 * HOP_MS
UNITS = 6
BATCH = 10 * UNITS
"""Rows of one request: a window is a whole number of them."""
REFERENCE_WINDOWS = 30
START_MS = 1_767_571_200_000
"""2026-01-05T00:00Z."""


def rows_of(seed: int, windows: int, first_window: int = 0) -> Dataset:
    """Return healthy rows of the fleet for so many windows, from that window of time on."""
    made = healthy.dataset(seed, UNITS, windows * WINDOW_ROWS)
    offset = START_MS + first_window * WINDOW_MS - HOP_MS
    return Dataset(made.device_ids, made.event_time_ms + offset, made.features)


@cache
def model() -> Artefact:
    """Return a model trained on the reference."""
    return train(rows_of(1, REFERENCE_WINDOWS), healthy.chosen()).artefact


@cache
def baseline() -> Baseline:
    """Return its baseline."""
    return baselines.make(model(), rows_of(1, REFERENCE_WINDOWS), WINDOW_MS, MARGIN_MS)


def shifted(data: Dataset, by: NDArray[np.float64], units: range, since_ms: int = 0) -> Dataset:
    """Return rows of which those of some machines are moved by (n_features,) since a time."""
    names = {f"m{unit}" for unit in units}
    moved = np.array([name in names for name in data.device_ids])
    moved &= data.event_time_ms >= since_ms
    return Dataset(data.device_ids, data.event_time_ms, data.features + np.outer(moved, by))


def captured(data: Dataset, batch: int = BATCH) -> list[bytes]:
    """Return what an endpoint of the model captures when it is asked for the rows, by time."""
    lines = []
    order = np.argsort(data.event_time_ms, kind="stable")
    for start in range(0, len(order), batch):
        rows = order[start : start + batch].tolist()
        asked = json.dumps(
            {
                "rows": [
                    {
                        "device_id": data.device_ids[row],
                        "event_time_ms": int(data.event_time_ms[row]),
                        "features": data.features[row].tolist(),
                    }
                    for row in rows
                ]
            }
        )
        answer = inference.predict_fn(inference.input_fn(asked.encode(), inference.JSON), model())
        body, _ = inference.output_fn(answer, inference.JSON)
        lines.append(record(asked, body.decode(), int(data.event_time_ms[rows[0]])))
    return lines


def record(asked: str, answer: str, at_ms: int, encoding: str = "JSON") -> bytes:
    """Return one line of data capture."""
    sides = {}
    for name, mode, data in (("Input", "INPUT", asked), ("Output", "OUTPUT", answer)):
        sides[f"endpoint{name}"] = {
            "observedContentType": inference.JSON,
            "mode": mode,
            "data": data,
            "encoding": encoding,
        }
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    event = {"eventId": "e", "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    line = {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(line).encode()


def traffic(data: Dataset) -> Traffic:
    """Return the rows as the job reads them."""
    return read_lines(captured(data), model().version)


def window(number: int) -> tuple[int, int]:
    """Return start and end of a window."""
    return START_MS + number * WINDOW_MS, START_MS + (number + 1) * WINDOW_MS
