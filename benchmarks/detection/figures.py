"""What the comparison says in rows, with the floors that the detector must keep.

Made of the stored table, so that the rows of sets that a run left out stay. Where a detector has
several seeds the pipeline's worst stands beside the other's best. The table itself is
`reporting`'s; which rule a figure is for, and how to read it, is in docs/detection.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.detection.metrics import Rate
from benchmarks.row import Row

VUS_PR_FLOORS = {"skab": 0.86, "msl": 0.45}
"""Other sets: at least what random scores have there."""
F1_FLOOR, LEADERBOARD_F1_FLOOR, FALSE_ALARM_CEILING, DELAY_CEILING_S = 0.79, 0.82, 0.25, 30.0
TEP_DETECTION_FLOOR, TEP_FALSE_ALARM_CEILING = 0.80, 0.05
"""The ceiling is a choice: a twentieth of what an alarm that is always on has."""
RATE_FACTOR = 1.5
"""Within which the measured rate of false episodes is to be of the designed one, either way."""
HEALTHY = {
    "skab_healthy": "SKAB without a fault",
    "skab_healthy_long": "SKAB without a fault, a history of 1,600 rows",
}
UNSEEN_FLEETS = ("fleet_held_out", "fleet_rules")
"""Of plants that nobody had looked at before the detector was finished."""
DETECTORS = ("pipeline", "random", "no_model", "always_alarm")


Seeds = list[Mapping[str, Any]]
"""The lines of one detector on one set, one a seed."""


def rows_of(body: Mapping[str, Any]) -> list[Row]:
    """Return the rows of all sets in the stored table, and of the fleet."""
    sets: dict[str, dict[str, Seeds]] = {}
    for line in body.get("lines", []):
        if line["detector"] in DETECTORS:
            sets.setdefault(line["set_name"], {}).setdefault(line["detector"], []).append(line)
    found = []
    for name, by in sets.items():
        if not by.keys() >= set(DETECTORS):
            continue
        mine, chance = _least(by["pipeline"], "vus_pr"), _most(by["random"], "vus_pr")
        values = mine, "VUS-PR", "random scores", chance
        title = f"{name.replace('_', ' ').upper()}, the pipeline's score"
        if name in VUS_PR_FLOORS:
            found.append(Row(title, *values, floor=VUS_PR_FLOORS[name]))
        elif name in HEALTHY:
            found += _healthy(by, HEALTHY[name])
        elif name != "tep_invisible":
            found.append(Row(title, *values, floor=1.0, limits="ratio"))
        if name == "skab":
            found += _skab(by)
        elif name == "tep":
            found += _tep(by)
    for name, title in (("fleet", "fleet"), ("fleet_held_out", "held-out fleet")):
        found += _fleet(body[name], title) if name in body else []
    if all(name in body for name in UNSEEN_FLEETS):
        found.append(_pooled([body[name] for name in UNSEEN_FLEETS]))
    if "fleet_defects" in body:
        found += _defects(body["fleet_defects"])
    return found


def _least(lines: Seeds, figure: str) -> float:
    return min(float(line[figure]) for line in lines)


def _most(lines: Seeds, figure: str) -> float:
    return max(float(line[figure]) for line in lines)


def _skab(by: Mapping[str, Seeds]) -> list[Row]:
    mine, null = by["pipeline"], by["no_model"]
    return [
        Row(
            "SKAB, alarms of the pipeline's threshold",
            _least(mine, "f1"),
            "F1",
            "the rule without a model",
            _most(null, "f1"),
            floor=F1_FLOOR,
        ),
        Row(
            "SKAB, alarms by the leaderboard's protocol",
            _least(mine, "leaderboard_f1"),
            "F1",
            "the rule without a model",
            _most(null, "leaderboard_f1"),
            floor=LEADERBOARD_F1_FLOOR,
        ),
        _false_alarms("SKAB", by, FALSE_ALARM_CEILING),
        Row(
            "SKAB, median delay",
            _most(mine, "median_delay_rows"),
            "s",
            "the rule without a model",
            _least(null, "median_delay_rows"),
            ceiling=DELAY_CEILING_S,
        ),
    ]


def _tep(by: Mapping[str, Seeds]) -> list[Row]:
    return [
        Row(
            "TEP, faulty rows in alarm",
            1.0 - _most(by["pipeline"], "missed_alarm_rate"),
            "of all",
            "the rule without a model",
            1.0 - _least(by["no_model"], "missed_alarm_rate"),
            floor=TEP_DETECTION_FLOOR,
        ),
        _false_alarms("TEP", by, TEP_FALSE_ALARM_CEILING),
    ]


def _healthy(by: Mapping[str, Seeds], title: str) -> list[Row]:
    """Return no limit of its own: 400 rows do not say where the levels go in the next 750."""
    return [
        Row(
            f"{title}, rows in alarm",
            _most(by["pipeline"], "false_alarm_rate"),
            "of all",
            "the rule without a model",
            _least(by["no_model"], "false_alarm_rate"),
            ceiling=1.25,
            limits="ratio",
        )
    ]


def _false_alarms(title: str, by: Mapping[str, Seeds], ceiling: float) -> Row:
    return Row(
        f"{title}, healthy rows in alarm",
        _most(by["pipeline"], "false_alarm_rate"),
        "of all",
        "an alarm that is always on",
        _least(by["always_alarm"], "false_alarm_rate"),
        ceiling=ceiling,
    )


def _defects(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Row]:
    """Return all defects together, and the one that is found latest."""
    mine = {defect: rules["pipeline"] for defect, rules in stored.items()}
    failures = sum(each["failures"] for each in mine.values())
    found = sum(each["found_before_failure"] * each["failures"] for each in mine.values())
    latest = min(mine, key=lambda defect: float(mine[defect]["median_lead_share"]))
    lead_s, share = mine[latest]["median_lead_s"], mine[latest]["median_lead_share"]
    return [
        Row(
            f"bearings of {len(mine)} defects found before they fail",
            float(round(found)),
            "failures",
            "all of them",
            float(failures),
            floor=0.95,
            limits="ratio",
        ),
        Row(
            f"median lead of the defect that is found latest ({latest.replace('_', ' ')})",
            lead_s,
            "s",
            "the time that it grows",
            lead_s / max(share, 1e-9),
            floor=0.2,
            limits="ratio",
        ),
    ]


def _pooled(fleets: Seeds) -> Row:
    """Return the design against what all unseen healthy plants together have.

    A plant's threshold comes from 40 machine-days, and its count is a small one: only of several
    plants does the ratio say whether the design is kept.
    """
    plants = [plant for fleet in fleets for plant in fleet["healthy_plants"]]
    rate = Rate(sum(p["episodes"] for p in plants), sum(p["machine_days"] for p in plants))
    designed = fleets[0]["designed_per_machine_day"]
    low, high = (designed / max(bound, 1e-9) for bound in reversed(rate.interval))
    return Row(
        f"{len(plants)} unseen plants together, designed false episodes a healthy machine-day",
        designed,
        "episodes",
        f"{rate.count} in {rate.exposure:.0f} machine-days (95 %: {low:.2f} to {high:.2f} times)",
        max(rate.value, 1e-9),
        ceiling=RATE_FACTOR,
        limits="ratio",
    )


def _fleet(fleet: Mapping[str, Any], title: str) -> list[Row]:
    kinds = fleet["faults"].values()
    injected = sum(kind["injected"] for kind in kinds)
    measured, designed = fleet["measured_per_machine_day"], fleet["designed_per_machine_day"]
    low, high = (bound / designed for bound in fleet["measured_interval"])
    return [
        Row(
            f"{title}, false episodes a healthy machine-day",
            measured,
            "episodes",
            f"the designed rate (95 %: {low:.2f} to {high:.2f} times)",
            designed,
            ceiling=RATE_FACTOR,
            limits="ratio",
        ),
        Row(
            f"{title}, designed false episodes a healthy machine-day",
            designed,
            "episodes",
            f"the measured rate (95 %: {1 / high:.2f} to {1 / max(low, 1e-9):.2f} times)",
            max(measured, 1e-9),
            ceiling=RATE_FACTOR,
            limits="ratio",
        ),
        Row(
            f"{title}, bearings found before they fail",
            float(round(fleet["found_before_failure"] * fleet["failures"])),
            "failures",
            "all of them",
            float(fleet["failures"]),
            floor=0.95,
            limits="ratio",
        ),
        Row(
            f"{title}, median lead of the bearings' detections",
            fleet["median_lead_s"],
            "s",
            "the time that the defect grows",
            fleet["median_lead_s"] / max(fleet["median_lead_share"], 1e-9),
            floor=0.2,
            limits="ratio",
        ),
        Row(
            f"{title}, faults of 20 to 60 minutes found",
            float(sum(kind["found"] for kind in kinds)),
            "faults",
            "all of them",
            float(injected),
            floor=0.6,
            limits="ratio",
        ),
    ]
