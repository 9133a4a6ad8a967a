"""Metric lines have the form that CloudWatch extracts metrics from."""

from __future__ import annotations

import json

import pytest

from pipeline.metrics import BYTES, COUNT, embedded_metrics


def test_a_line_names_its_metrics_and_carries_their_values() -> None:
    line = embedded_metrics(
        "Fleetwin",
        {"Stored": (3, COUNT), "PayloadBytes": (512, BYTES)},
        timestamp_ms=1_767_571_200_000,
        dimensions={"Function": "raw"},
        properties={"shard_id": "s"},
    )
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 1_767_571_200_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Fleetwin",
                    "Dimensions": [["Function"]],
                    "Metrics": [
                        {"Name": "Stored", "Unit": "Count"},
                        {"Name": "PayloadBytes", "Unit": "Bytes"},
                    ],
                }
            ],
        },
        "shard_id": "s",
        "Function": "raw",
        "Stored": 3,
        "PayloadBytes": 512,
    }
    assert "\n" not in line


def test_more_metrics_than_a_line_may_have_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 100"):
        embedded_metrics("Fleetwin", {str(n): (1, COUNT) for n in range(101)}, 0)
