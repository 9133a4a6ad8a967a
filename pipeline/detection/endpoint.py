"""Asks the endpoint for the scores of feature rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.detection.episodes import Rule
from pipeline.settings import FeatureSpec

MAX_ROWS = 4_000
"""Rows of one request: some 2 MB of the 6,291,456 bytes that InvokeEndpoint takes."""

JSON = "application/json"

# JSON has no infinities; this is as unusual, and a finite number.
_LARGEST = 1e300


class SageMakerRuntime(Protocol):
    """The one operation of boto3's client in use."""

    def invoke_endpoint(
        self, *, EndpointName: str, ContentType: str, Accept: str, Body: bytes
    ) -> Any:
        """Invoke an endpoint."""


@dataclass(frozen=True)
class Scored:
    """The answer for n rows; a score is None for a row without any feature.

    `levels` has a row's deviations for the slow mean; no row where the model has no such thing.
    """

    model_version: str
    rule: Rule
    sensors: tuple[str, ...]
    scores: list[float | None]
    no_model_scores: list[float | None]
    contributions: list[list[float]]
    levels: list[list[float]]


def score_rows(
    client: SageMakerRuntime,
    endpoint_name: str,
    device_ids: Sequence[str],
    event_time_ms: Sequence[int],
    features: NDArray[np.float64],
    spec: FeatureSpec,
) -> Scored:
    """Return the scores of (n, width) rows, n > 0, in one call for up to `MAX_ROWS` rows."""
    parts = [
        _invoke(
            client,
            endpoint_name,
            device_ids[start : start + MAX_ROWS],
            event_time_ms[start : start + MAX_ROWS],
            features[start : start + MAX_ROWS],
        )
        for start in range(0, len(device_ids), MAX_ROWS)
    ]
    first = parts[0]
    memory_rows = first.get("memory_rows", 0)
    rule = Rule(
        smoothing_rows=first["smoothing_rows"],
        enter=first["enter"],
        exit=first["exit"],
        enter_rows=first["enter_rows"],
        exit_rows=first["exit_rows"],
        max_gap_ms=spec.window_ms,
        reach_ms=spec.reach_ms + (first["smoothing_rows"] - 1) * spec.hop_ms,
        memory_rows=memory_rows,
        memory_ms=memory_rows * spec.hop_ms,
        level_sensors=tuple(first.get("level_sensors", ())),
    )
    return Scored(
        first["model_version"],
        rule,
        tuple(first["sensors"]),
        [score for part in parts for score in part["scores"]],
        [score for part in parts for score in part["no_model_scores"]],
        [shares for part in parts for shares in part["contributions"]],
        [levels for part in parts for levels in part.get("levels", ())],
    )


def _invoke(
    client: SageMakerRuntime,
    endpoint_name: str,
    device_ids: Sequence[str],
    event_time_ms: Sequence[int],
    features: NDArray[np.float64],
) -> dict[str, Any]:
    # orjson writes NaN as null, which is what the endpoint takes for a missing value.
    limited = np.clip(features, -_LARGEST, _LARGEST).tolist()
    rows = [
        {"device_id": device_id, "event_time_ms": moment, "features": values}
        for device_id, moment, values in zip(device_ids, event_time_ms, limited, strict=True)
    ]
    answer = client.invoke_endpoint(
        EndpointName=endpoint_name,
        ContentType=JSON,
        Accept=JSON,
        Body=orjson.dumps({"rows": rows}),
    )
    scored: dict[str, Any] = orjson.loads(answer["Body"].read())
    return scored
