"""Work orders: the records that maintenance leaves, for the batch path.

Structured fields are exact but say what the crew knew: after a wrong diagnosis they name the part
that was treated. `crew_notes` has the free text. All of it depends on (seed, device, number of
the order) alone. Files lie beside recorded histories.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulator.fleet.crew_notes import note
from simulator.fleet.repairs import work_on
from simulator.fleet.streams import stream

SCHEMA = 1
CREWS = ("A", "B", "C")


@dataclass(frozen=True)
class WorkOrder:
    """One order that was finished; times are seconds since the fleet's start.

    ``found`` is the failure mode that was there ("" for none), ``treated`` what was put right;
    ``is_wrong``: another part was treated. ``is_running``: the machine started again after it.
    ``down_s``: how long the machine stood still for it; orders of one standstill share its time.
    """

    number: int
    device_id: str
    kind_of_machine: str
    type: str
    cause: str
    found: str
    treated: tuple[str, ...]
    is_wrong: bool
    opened_s: float
    started_s: float
    finished_s: float
    down_s: float
    is_running: bool
    alert_id: str
    seed: int
    labour_per_h: float
    downtime_per_h: float

    @property
    def order_id(self) -> str:
        """Id of the order, the same for the same seed."""
        return f"WO-{self.device_id}-{self.number + 1:04d}"

    def to_record(self, base_ms: int) -> dict[str, Any]:
        """Return the record as it is stored; ``base_ms`` is the epoch time of second 0.

        ``failure_mode`` is what the crew thinks it found, None for nothing: see `found` for what
        there was. ``action``: overhaul, inspect, or that of the work (replace, adjust, ...).
        """
        rng = stream(self.seed, self.device_id, "work_order", str(self.number))
        crew, choice = CREWS[int(rng.integers(len(CREWS)))], float(rng.random())
        is_overhaul = self.type == "preventive"
        # An overhaul takes the first way, with a new part wherever there is one.
        works = [
            work_on(mode, self.kind_of_machine, 0.0 if is_overhaul else choice)
            for mode in self.treated
        ]
        hours = (self.finished_s - self.started_s) / 3_600.0
        # Failure modes of the same part take it once.
        parts = {work.part: work.cost for work in works}
        parts_cost = sum(parts.values())
        labour_cost = hours * self.labour_per_h
        seen = self.found if is_overhaul else "".join(self.treated[:1])
        return {
            "schema": SCHEMA,
            "order_id": self.order_id,
            "device_id": self.device_id,
            "kind_of_machine": self.kind_of_machine,
            "type": self.type,
            "opened_ms": base_ms + round(self.opened_s * 1_000),
            "started_ms": base_ms + round(self.started_s * 1_000),
            "finished_ms": base_ms + round(self.finished_s * 1_000),
            "crew": crew,
            "failure_mode": seen or None,
            "action": "overhaul" if is_overhaul else works[0].action if works else "inspect",
            "treated": list(self.treated),
            "parts": list(parts),
            "parts_cost": round(parts_cost, 2),
            "labour_h": round(hours, 2),
            "labour_cost": round(labour_cost, 2),
            "downtime_s": round(self.down_s, 3),
            "total_cost": round(
                parts_cost + labour_cost + self.down_s / 3_600.0 * self.downtime_per_h, 2
            ),
            "restarted": self.is_running,
            "alert_id": self.alert_id or None,
            "text": note(rng, self.type, self.found, works, hours, is_running=self.is_running),
        }


def write_orders(orders: Iterable[WorkOrder], folder: Path, base_ms: int) -> list[Path]:
    """Write ``maintenance/dt=.../orders.jsonl`` below a folder, a file for each day of finishing.

    The same orders give the same bytes. Each file is there whole or not at all; a day's file
    that is there already is replaced.
    """
    days: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in orders:
        record = order.to_record(base_ms)
        day = datetime.fromtimestamp(record["finished_ms"] / 1_000, UTC).strftime("%Y-%m-%d")
        days[day].append(record)
    written = []
    for day, records in sorted(days.items()):
        records.sort(key=lambda record: (record["finished_ms"], record["order_id"]))
        path = folder / "maintenance" / f"dt={day}" / "orders.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        lines = (json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        unfinished.write_text("".join(lines), encoding="utf-8")
        os.replace(unfinished, path)
        written.append(path)
    return written
