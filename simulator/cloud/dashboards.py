"""CloudWatch dashboards: kept, and checked when they are put.

Nothing is drawn here: a client reads the body and asks GetMetricData, `dashboards_store` keeps both
for a run that is over. Source: CloudWatch API
reference, "Dashboard body structure and syntax".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WIDTH, _HEIGHT = 24, 1000
_TYPES = ("metric", "text", "log", "alarm", "explorer", "custom")
_NEEDED = {"text": "markdown", "alarm": "alarms", "log": "query", "custom": "endpoint"}
MAX_WIDGETS = 500


@dataclass(frozen=True)
class _Dashboard:
    body: str
    modified: datetime


class Dashboards:
    """The account's dashboards."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._dashboards: dict[str, _Dashboard] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations on dashboards."""
        return {
            "PutDashboard": Operation(self._put, resources=self._one),
            "GetDashboard": Operation(self._get, resources=self._one),
            "ListDashboards": Operation(self._list),
            "DeleteDashboards": Operation(self._delete, resources=self._named),
        }

    def bodies(self) -> dict[str, str]:
        """Return every dashboard's body by its name."""
        return {name: one.body for name, one in sorted(self._dashboards.items())}

    def _arn(self, name: str) -> str:
        # Dashboards belong to no region.
        return f"arn:aws:cloudwatch::{self._context.account}:dashboard/{name}"

    def _one(self, params: Params) -> list[str]:
        return [self._arn(params["DashboardName"])]

    def _named(self, params: Params) -> list[str]:
        return [self._arn(name) for name in params["DashboardNames"]]

    def _put(self, call: Call) -> Answer:
        name, body = call.params["DashboardName"], call.params["DashboardBody"]
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidParameterValue", f"Invalid DashboardName: {name}")
        found = list(problems(body))
        if found:
            raise AwsError(
                "InvalidParameterInput",
                "The dashboard body is invalid, there are "
                f"{len(found)} validation errors: {json.dumps([why for _, why in found])}",
                fields={
                    "dashboardValidationMessages": [
                        {"DataPath": path, "Message": why} for path, why in found
                    ]
                },
            )
        self._dashboards[name] = _Dashboard(body, self._context.engine.now())
        return {"DashboardValidationMessages": []}

    def _get(self, call: Call) -> Answer:
        name = call.params["DashboardName"]
        return {
            "DashboardArn": self._arn(name),
            "DashboardBody": self._dashboard(name).body,
            "DashboardName": name,
        }

    def _dashboard(self, name: str) -> _Dashboard:
        if name not in self._dashboards:
            raise AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
        return self._dashboards[name]

    def _list(self, call: Call) -> Answer:
        prefix = call.params.get("DashboardNamePrefix", "")
        entries = [
            {
                "DashboardName": name,
                "DashboardArn": self._arn(name),
                "LastModified": one.modified,
                "Size": len(one.body.encode()),
            }
            for name, one in sorted(self._dashboards.items())
            if name.startswith(prefix)
        ]
        shown, token = page(entries, 1_000, call.params.get("NextToken"), "InvalidParameterValue")
        return {"DashboardEntries": shown, **({"NextToken": token} if token else {})}

    def _delete(self, call: Call) -> Answer:
        # All or none: a name that is unknown deletes nothing (DeleteDashboards API reference).
        for name in call.params["DashboardNames"]:
            self._dashboard(name)
        for name in call.params["DashboardNames"]:
            del self._dashboards[name]
        return {}


def problems(body: str) -> Iterator[tuple[str, str]]:
    """Yield (path, why) of everything that is wrong with a dashboard's body."""
    try:
        parsed = json.loads(body)
    except ValueError:
        yield "", "The field DashboardBody must be a valid JSON object"
        return
    if not isinstance(parsed, dict) or not isinstance(parsed.get("widgets"), list):
        yield "/widgets", "Should have required property 'widgets'"
        return
    if len(parsed["widgets"]) > MAX_WIDGETS:
        yield "/widgets", f"Should NOT have more than {MAX_WIDGETS} items"
    for number, widget in enumerate(parsed["widgets"]):
        yield from _widget_problems(widget, f"/widgets/{number}")


def _widget_problems(widget: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(widget, dict):
        yield path, "Should be object"
        return
    kind = widget.get("type")
    if kind not in _TYPES:
        yield f"{path}/type", "Should be equal to one of the allowed values"
        return
    for name, low, high in (
        ("x", 0, _WIDTH - 1),
        ("y", 0, None),
        ("width", 1, _WIDTH),
        ("height", 1, _HEIGHT),
    ):
        value = widget.get(name, low)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or value < low or (high is not None and value > high):
            yield f"{path}/{name}", f"Should be an integer from {low} to {high or 'any'}"
    properties = widget.get("properties")
    if not isinstance(properties, dict):
        yield f"{path}/properties", "Should be object"
        return
    if kind in _NEEDED and not properties.get(_NEEDED[kind]):
        yield f"{path}/properties", f"Should have required property '{_NEEDED[kind]}'"
    if kind == "metric":
        yield from _metric_problems(properties, f"{path}/properties")


def _metric_problems(properties: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a graph: it needs a region, and metrics or an alarm."""
    if not isinstance(properties.get("region"), str):
        yield path, "Should have required property 'region'"
    metrics = properties.get("metrics")
    if metrics is None:
        alarms = properties.get("annotations", {}).get("alarms")
        if not alarms:
            yield path, "Should have required property 'metrics' or an alarm annotation"
        return
    if not isinstance(metrics, list):
        yield f"{path}/metrics", "Should be array"
        return
    for number, metric in enumerate(metrics):
        where = f"{path}/metrics/{number}"
        if not isinstance(metric, list) or not metric:
            yield where, "Should be an array that is not empty"
            continue
        names = metric[:-1] if isinstance(metric[-1], dict) else metric
        if not all(isinstance(name, str) for name in names):
            yield where, "Should be namespace, metric name and dimensions as strings"
        elif names and (len(names) < 2 or len(names) % 2):
            yield where, "Invalid metric field type: a dimension lacks its value"
        elif not names and "expression" not in metric[-1]:
            yield where, "Should name a metric or an expression"
