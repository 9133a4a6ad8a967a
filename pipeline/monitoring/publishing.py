"""Tells others of a judged window: metrics to CloudWatch, drift to EventBridge.

Metric names are Model Monitor's (`feature_baseline_drift_<feature>`, `feature_non_null_<feature>`),
namespace and dimensions (Endpoint, MonitoringSchedule) are the project's: PutMetricData may
refuse namespaces that begin with "aws/". All times are the window's, never the wall clock's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pipeline.monitoring.window import Judgement

SOURCE = "fleetwin.monitoring"
DETAIL_TYPE = "Model Drift"

MAX_DATA = 500
"""Of one PutMetricData request; the service takes 1,000 in at most 1 MB."""


class CloudWatch(Protocol):
    """The one operation of boto3's client in use."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> Any:
        """Put metrics."""


class Events(Protocol):
    """The one operation of boto3's client in use."""

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:
        """Put events on the default bus."""


@dataclass(frozen=True)
class Retraining:
    """What to train on, and whether to do it now."""

    drifted_since_ms: int
    start_ms: int
    end_ms: int
    due: bool


def retraining(
    drifted_since_ms: int, end_ms: int, needed_ms: int, every_ms: int, *, again: bool
) -> Retraining:
    """Return what to train on at the end of a window that drifted.

    One is judged `every_ms`. Due when the drift has lasted for `needed_ms`. If it had when it was
    last seen (`again`), because the training failed or its model was not better, due once in that
    time only.
    """
    start_ms = end_ms - needed_ms
    is_its_turn = end_ms // needed_ms > (end_ms - every_ms) // needed_ms
    due = drifted_since_ms <= start_ms and (not again or is_its_turn)
    return Retraining(drifted_since_ms, start_ms, end_ms, due)


def put_metrics(
    client: CloudWatch,
    namespace: str,
    endpoint_name: str,
    schedule_name: str,
    judged: Judgement,
) -> None:
    """Put what was measured of a window, at its end."""
    dimensions = [
        {"Name": "Endpoint", "Value": endpoint_name},
        {"Name": "MonitoringSchedule", "Value": schedule_name},
    ]
    values: dict[str, tuple[float, str]] = {
        "violations": (len(judged.violations), "Count"),
        "drifted_features": (len(judged.drifted), "Count"),
        "rows": (judged.rows, "Count"),
        "rows_in_alarm": (judged.alarmed_rows, "Count"),
    }
    for name, far in judged.apart.items():
        values[f"feature_baseline_drift_{name}"] = (far, "None")
    for feature in judged.statistics["features"]:
        common = _counts(feature)
        if common is not None:
            values[f"feature_non_null_{feature['name']}"] = (common["num_present"], "Count")
    data = [
        {
            "MetricName": name,
            "Dimensions": dimensions,
            "Timestamp": datetime.fromtimestamp(judged.end_ms / 1000, UTC),
            "Value": float(value),
            "Unit": unit,
        }
        for name, (value, unit) in values.items()
    ]
    for start in range(0, len(data), MAX_DATA):
        client.put_metric_data(Namespace=namespace, MetricData=data[start : start + MAX_DATA])


def _counts(feature: dict[str, Any]) -> dict[str, int] | None:
    for kind in ("numerical_statistics", "string_statistics"):
        if kind in feature:
            counts: dict[str, int] = feature[kind]["common"]
            return counts
    return None


def drift_detail(
    endpoint_name: str,
    schedule_name: str,
    model_version: str,
    judged: Judgement,
    limits: dict[str, float],
    retraining: Retraining,
) -> dict[str, Any]:
    """Return the detail of a `Model Drift` event; `training` is input for the workflow."""
    return {
        "endpoint": endpoint_name,
        "schedule": schedule_name,
        "model_version": model_version,
        "window": {"start": iso(judged.start_ms), "end": iso(judged.end_ms)},
        "features": [
            {"name": name, "distance": round(judged.apart[name], 6), "limit": limits[name]}
            for name in judged.drifted
        ],
        "drifted_since": iso(retraining.drifted_since_ms),
        "retrain": retraining.due,
        "training": {
            "start": iso(retraining.start_ms),
            "end": iso(retraining.end_ms),
            "run": f"drift-{datetime.fromtimestamp(retraining.end_ms / 1000, UTC):%Y%m%d-%H%M%S}",
        },
    }


def put_drift(client: Events, detail: dict[str, Any]) -> None:
    """Put the event; raises RuntimeError when the bus did not take it."""
    answer = client.put_events(
        Entries=[
            {
                "Source": SOURCE,
                "DetailType": DETAIL_TYPE,
                "Detail": json.dumps(detail),
                "Time": datetime.fromisoformat(detail["window"]["end"]),
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise RuntimeError(f"the event was not taken: {answer['Entries']}")


def iso(moment_ms: int) -> str:
    """Return an ISO time with Z, as the training workflow takes it."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
