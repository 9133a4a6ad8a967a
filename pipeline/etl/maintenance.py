"""Maintenance logs, joined with feature rows as they were known at the row's time.

A record counts from its ``finished_ms`` on, when the crew closed it: a row never knows of work
that was not done yet, nor of what a later record says about it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.etl.raw_lines import MAX_NUMBER

MAINTENANCE_PREFIX = "maintenance"
SCHEMA = 1

Order = dict[str, Any]
"""A work order as the maintenance system exports it; `orders_in` says what is sure to be in it."""


@dataclass(frozen=True)
class MaintenanceLog:
    """Device -> sorted times (epoch ms) at which work on it was finished."""

    finished_ms: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, orders: Iterable[Order]) -> MaintenanceLog:
        """Return the log of orders that can be used."""
        by_device: dict[str, list[int]] = defaultdict(list)
        for order in orders:
            by_device[order["device_id"]].append(order["finished_ms"])
        found = {name: np.array(sorted(times), np.int64) for name, times in by_device.items()}
        return cls(found)

    def until(
        self, ids: list[str], device: NDArray[np.int64], event_time_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return for each row how many works were finished by then, and seconds since the last.

        ``device`` ``(m,)`` counts ``ids`` and is sorted. NaN where nothing was finished.
        """
        count = np.zeros(len(device), np.int64)
        since_s = np.full(len(device), np.nan)
        cuts = np.searchsorted(device, np.arange(len(ids) + 1))
        for number, name in enumerate(ids):
            times = self.finished_ms.get(name)
            rows = slice(cuts[number], cuts[number + 1])
            if times is None or rows.start == rows.stop:
                continue
            at_ms = event_time_ms[rows]
            done = np.searchsorted(times, at_ms, side="right")
            count[rows] = done
            last = times[np.maximum(done - 1, 0)]
            since_s[rows] = np.where(done > 0, (at_ms - last) / 1000.0, np.nan)
        return count, since_s


def orders_in(lines: Iterable[str | bytes]) -> tuple[list[Order], list[str]]:
    """Return the work orders in JSON lines, and a reason for each line that cannot be used.

    A line needs ``device_id`` and ``finished_ms``; a ``schema`` that is there must be 1. Of
    lines with the same ``order_id`` the last counts: a file that is moved twice doubles
    nothing. A line without one is an order of its own.
    """
    orders: dict[tuple[str, str], Order] = {}
    wrong = []
    for number, line in enumerate(lines):
        if not line or line.isspace():
            continue
        order = _order(line)
        if isinstance(order, str):
            wrong.append(f"maintenance line {number + 1}: {order}")
        else:
            orders[order["device_id"], order.get("order_id") or f"line {number}"] = order
    return list(orders.values()), wrong


def _order(line: str | bytes) -> Order | str:
    """Return the order in a line, or what is wrong with it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(record, dict):
        return "not an object"
    device_id: Any = record.get("device_id")
    finished_ms: Any = record.get("finished_ms")
    order_id: Any = record.get("order_id")
    schema: Any = record.get("schema", SCHEMA)
    wrong = ""
    if type(schema) is not int or schema != SCHEMA:
        wrong = f"schema {schema!r} is not {SCHEMA}"
    elif type(device_id) is not str or not device_id:
        wrong = "device_id is missing or no text"
    elif type(finished_ms) is not int or not 0 <= finished_ms < MAX_NUMBER:
        wrong = "finished_ms is missing or no whole number from 0 to 2^53 - 1"
    elif order_id is not None and (type(order_id) is not str or not order_id):
        wrong = "order_id is no text"
    return wrong or record
