"""Metrics that a program prints: CloudWatch's embedded metric format (EMF) in log lines.

Used for what functions print; a line without ``_aws`` is only a log line.
Source: CloudWatch user guide, "Embedded metric format specification".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

MARK = '"_aws"'


class Point(NamedTuple):
    """One value of one metric; ``at_epoch_s`` is the line's own time stamp."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str
    at_epoch_s: float


def points_in(lines: Iterable[str]) -> Iterator[Point]:
    """Yield the values in EMF lines; a line that is not well-formed EMF yields nothing.

    CloudWatch does the same: it stores such a line as a log event and extracts no metric.
    """
    for line in lines:
        if MARK not in line:
            continue
        try:
            document = orjson.loads(line)
            yield from list(_points(document))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _points(document: dict[str, Any]) -> Iterator[Point]:
    meta = document["_aws"]
    at_epoch_s = meta["Timestamp"] / 1000.0
    for directive in meta["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                found = document[metric["Name"]]
                for value in found if isinstance(found, list) else [found]:
                    yield Point(
                        directive["Namespace"],
                        metric["Name"],
                        dimensions,
                        float(value),
                        metric.get("Unit", "None"),
                        at_epoch_s,
                    )
