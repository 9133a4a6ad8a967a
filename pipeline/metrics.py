"""Metrics as log lines: CloudWatch's embedded metric format, which needs no call.

Format: CloudWatch user guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

COUNT = "Count"
BYTES = "Bytes"
MILLISECONDS = "Milliseconds"

MAX_METRICS = 100
"""A line may define this many metrics; CloudWatch drops lines with more."""


def embedded_metrics(
    namespace: str,
    metrics: Mapping[str, tuple[float, str]],
    timestamp_ms: int,
    dimensions: Mapping[str, str] | None = None,
    properties: Mapping[str, object] | None = None,
) -> str:
    """Return one log line (JSON) with metrics ``name -> (value, unit)``.

    ``timestamp_ms`` is the event's own time (epoch), not the wall clock. ``properties`` are
    written beside the metrics for whoever searches the logs.
    """
    if len(metrics) > MAX_METRICS:
        raise ValueError(f"{len(metrics)} metrics in one line, at most {MAX_METRICS}")
    dimensions = dimensions or {}
    line = {
        "_aws": {
            "Timestamp": timestamp_ms,
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [list(dimensions)],
                    "Metrics": [
                        {"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()
                    ],
                }
            ],
        },
        **(properties or {}),
        **dimensions,
        **{name: value for name, (value, _) in metrics.items()},
    }
    return orjson.dumps(line).decode()
