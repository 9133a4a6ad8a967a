"""Work orders: the records that maintenance leaves, with the free text that a crew would write.

Structured fields are exact; the text is a crew's: short, with abbreviations, now and then a typo
or a missing fact. Both depend on (seed, device, number of the order) alone. Files go the batch
path, beside recorded histories.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.fleet.streams import stream

SCHEMA = 1


class Repair(NamedTuple):
    """How a failure mode is put right: what was seen, what was done, the part and its price."""

    seen: tuple[str, ...]
    done: tuple[str, ...]
    part: str
    cost: float


_BEARING = ("replaced bearing DE", "changed both bearings, regreased", "new bearing fitted hot")

REPAIRS: Mapping[str, Repair] = {
    "bearing_outer_race": Repair(
        ("rumbling noise at DE bearing", "spalling on outer race, load zone", "high env. acc. DE"),
        _BEARING, "BRG-6205-C3", 48.0,
    ),
    "bearing_inner_race": Repair(
        ("bearing rough by hand, IR pitted", "vib up with 1x side bands", "noisy DE, hot"),
        _BEARING, "BRG-6205-C3", 48.0,
    ),
    "bearing_ball": Repair(
        ("ball surface flaked", "clicking, comes and goes", "metal in grease"),
        _BEARING, "BRG-6205-C3", 48.0,
    ),
    "bearing_cage": Repair(
        ("cage worn, rattles", "brass dust in housing", "rattle at low speed"),
        _BEARING, "BRG-6205-C3", 48.0,
    ),
    "imbalance": Repair(
        ("1x high, rest quiet", "deposits on rotor", "shakes at full speed"),
        ("cleaned and balanced in place, G2.5", "balanced rotor, 2 runs", "removed build-up"),
        "BAL-KIT", 25.0,
    ),
    "misalignment": Repair(
        ("2x up, coupling warm", "rubber dust under coupling", "soft foot found"),
        ("laser aligned, 0.04 mm left", "shimmed and aligned", "new coupling element, aligned"),
        "CPL-INSERT", 60.0,
    ),
    "looseness": Repair(
        ("foundation bolt loose", "many harmonics, bolt cracked", "base plate moves"),
        ("bolts retorqued", "replaced 2 bolts, regrouted", "tightened, thread locked"),
        "BOLT-M16", 12.0,
    ),
    "cavitation": Repair(
        ("sounds like gravel", "impeller pitted at vanes", "suction pressure low"),
        ("impeller replaced", "suction valve found throttled, opened; impeller dressed"),
        "IMP-120", 640.0,
    ),
    "overheating": Repair(
        ("fan cover blocked", "cooling fins full of dust", "ran hot, fan blade gone"),
        ("cleaned fins and cover", "new cooling fan", "freed air path"),
        "FAN-AX", 85.0,
    ),
    "thermal_runaway": Repair(
        ("tripped on temp twice", "winding smells", "insulation low 0.8 MOhm"),
        ("rewound", "dried and varnished", "thermal protection reset, cooling fixed"),
        "WDG-SET", 900.0,
    ),
    "lubrication_loss": Repair(
        ("grease dry and dark", "oil below min", "squeals on start"),
        ("regreased, line unblocked", "topped up and changed filter", "new grease, 20 g"),
        "GRS-LGHP2", 18.0,
    ),
    "seal_leak": Repair(
        ("drip at mech seal", "puddle under unit", "seal faces scored"),
        ("mech seal replaced", "new seal and sleeve", "o-ring and seal kit"),
        "SEAL-32", 210.0,
    ),
    "filter_clogging": Repair(
        ("dp high over filter", "filter black", "flow down, filter full"),
        ("filter changed", "element replaced, housing cleaned", "filter washed, new gasket"),
        "FLT-10U", 35.0,
    ),
    "rotor_bar": Repair(
        ("2sf side bands in current", "hums under load", "cracked bar by growler test"),
        ("rotor exchanged", "motor swapped for spare", "bar brazed"),
        "RTR-SPARE", 1_150.0,
    ),
    "gear_tooth": Repair(
        ("tooth chipped on pinion", "mesh side bands at 1x pinion", "chips on magnet plug"),
        ("pinion replaced, oil changed", "gear set exchanged"),
        "GEAR-SET", 780.0,
    ),
}  # fmt: skip

_NOTHING = (
    "checked all, nothing found, ran ok",
    "no fault found. vib normal by hand-held",
    "looked over unit, all ok",
)
_SHORT = {"replaced": "repl.", "bearing": "brg", "temperature": "temp", "pressure": "press."}
_CREWS = ("A", "B", "C")


@dataclass(frozen=True)
class WorkOrder:
    """One order that was finished; times are seconds since the fleet's start.

    ``found`` is the failure mode that was there ("" for none), ``treated`` what was put right;
    ``is_wrong``: another part was treated. ``is_running``: the machine started again after it.
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
        """Return the record as it is stored; ``base_ms`` is the epoch time of second 0."""
        rng = stream(self.seed, self.device_id, "work_order", str(self.number))
        hours = (self.finished_s - self.started_s) / 3_600.0
        parts = [REPAIRS[mode] for mode in self.treated]
        parts_cost = sum(part.cost for part in parts)
        labour_cost = hours * self.labour_per_h
        return {
            "schema": SCHEMA,
            "order_id": self.order_id,
            "device_id": self.device_id,
            "kind_of_machine": self.kind_of_machine,
            "type": self.type,
            "opened_ms": base_ms + round(self.opened_s * 1_000),
            "started_ms": base_ms + round(self.started_s * 1_000),
            "finished_ms": base_ms + round(self.finished_s * 1_000),
            "crew": _CREWS[int(rng.integers(len(_CREWS)))],
            "treated": list(self.treated),
            "parts": [part.part for part in parts],
            "parts_cost": round(parts_cost, 2),
            "labour_h": round(hours, 2),
            "labour_cost": round(labour_cost, 2),
            "downtime_s": round(self.down_s, 3),
            "total_cost": round(
                parts_cost + labour_cost + self.down_s / 3_600.0 * self.downtime_per_h, 2
            ),
            "restarted": self.is_running,
            "alert_id": self.alert_id or None,
            "text": self._text(rng),
        }

    def _text(self, rng: np.random.Generator) -> str:
        """Return what the crew wrote."""
        sentences = []
        if self.type == "preventive":
            sentences.append(
                _one(rng, ("planned overhaul", "PM as per schedule", "yearly PM done"))
            )
        if self.type == "condition":
            sentences.append(_one(rng, ("after alert", "called by monitoring", "CM alarm")))
        if self.found:
            sentences.append(_one(rng, REPAIRS[self.found].seen))
        if self.type != "preventive":
            done = [_one(rng, REPAIRS[mode].done) for mode in self.treated]
            sentences += done or [_one(rng, _NOTHING)]
        if not self.is_running:
            sentences.append(_one(rng, ("still not running", "trips again, to be cont.")))
        elif rng.random() < 0.4:
            sentences.append(_one(rng, ("test run ok", "back in service", "handed over to prod.")))
        return _as_written(rng, "; ".join(sentences))


def write_orders(orders: Iterable[WorkOrder], folder: Path, base_ms: int) -> list[Path]:
    """Write ``maintenance/dt=.../orders.jsonl`` below a folder, a file for each day of finishing.

    The same orders give the same bytes. Each file is there whole or not at all.
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


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _as_written(rng: np.random.Generator, text: str) -> str:
    """Return a text as it is typed with gloves on: shortened, in one case, with a slip."""
    for word, short in _SHORT.items():
        if rng.random() < 0.4:
            text = text.replace(word, short)
    style = rng.random()
    if style < 0.15:
        text = text.upper()
    elif style < 0.6:
        text = text[:1].upper() + text[1:]
    if len(text) > 8 and rng.random() < 0.25:
        at = int(rng.integers(1, len(text) - 2))
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text
