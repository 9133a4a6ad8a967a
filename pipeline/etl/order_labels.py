"""What work orders say of machines that were not healthy: labels for the evaluation of models.

Pure; the features job writes them. An order is a label where somebody who came because of the
machine's state, not of the calendar (``type``), named a fault (``failure_mode``). Then

- the machine ran with the fault until it stopped, ``downtime_s`` before ``finished_ms``; of an
  order without ``downtime_s`` this is known until ``opened_ms`` only;
- it had had the fault for a while when the order was opened, for `SURE_S` at least;
- since when, nobody knows: from `DOUBTFUL_S` before the order, and until the work is finished,
  other rows are neither a fault that has to be found nor a healthy machine.

What lies before an earlier order on the machine was finished is that one's. docs/promotion.md says
where the two lengths are from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pipeline.etl.maintenance import Order
from pipeline.etl.raw_lines import MAX_NUMBER

LABELS_KEY = "labels/work-orders.jsonl"
"""Where the features job writes them, in the processed bucket."""

REPAIRS = ("corrective", "condition")
"""Types of orders that are opened because of a machine's state, not of the calendar."""
SURE_S = 3_600
"""Before its order was opened a machine had the fault for at least so long."""
DOUBTFUL_S = 86_400
"""And for at most so long before, so that earlier rows count as healthy."""


def labels_of(orders: Iterable[Order]) -> list[dict[str, Any]]:
    """Return the labels, by machine and time.

    Each has ``device_id``; ``start_ms`` and ``end_ms``, between which an episode must be open;
    ``doubtful_from_ms`` and ``doubtful_until_ms`` around them; ``order_id`` (None where there is
    none) and ``failure_mode``. Orders are those of `orders_in`; other members of them may be
    missing or wrong, and then the order is no label.
    """
    labels = []
    orders = sorted(orders, key=_place)
    finished_ms: dict[str, list[int]] = defaultdict(list)
    for order in orders:
        finished_ms[order["device_id"]].append(order["finished_ms"])
    for order in orders:
        device_id = order["device_id"]
        opened_ms: Any = order.get("opened_ms")
        own = finished_ms[device_id]
        before = bisect_left(own, order["finished_ms"])
        since_ms = own[before - 1] if before else 0
        if not _is_repair(order) or not _is_time(opened_ms, order["finished_ms"]):
            continue
        start_ms = max(opened_ms - SURE_S * 1_000, since_ms)
        end_ms = _stopped_ms(order, opened_ms)
        if start_ms < end_ms:
            labels.append(
                {
                    "device_id": device_id,
                    "start_ms": start_ms,
                    "end_ms": end_ms,
                    "doubtful_from_ms": max(opened_ms - DOUBTFUL_S * 1_000, since_ms),
                    "doubtful_until_ms": order["finished_ms"],
                    "order_id": order.get("order_id"),
                    "failure_mode": order["failure_mode"],
                }
            )
    return labels


def _place(order: Order) -> tuple[str, int, str]:
    return order["device_id"], order["finished_ms"], order.get("order_id") or ""


def _is_repair(order: Order) -> bool:
    mode = order.get("failure_mode")
    return order.get("type") in REPAIRS and type(mode) is str and bool(mode)


def _is_time(opened_ms: Any, finished_ms: int) -> bool:
    return type(opened_ms) is int and 0 <= opened_ms <= finished_ms


def _stopped_ms(order: Order, opened_ms: int) -> int:
    """Return until when the machine ran, as far as the order tells it."""
    down_s: Any = order.get("downtime_s")
    if type(down_s) not in (int, float) or not 0 <= down_s < MAX_NUMBER:
        return opened_ms
    stopped_ms: int = order["finished_ms"] - round(down_s * 1_000)
    return max(opened_ms, stopped_ms)
