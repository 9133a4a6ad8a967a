"""What the comparison says in rows, with the floors that the detector must keep.

Made of the stored table, so that the rows of sets that a run left out stay. The table itself is
`reporting`'s; which rule a figure is for, and how to read it, is in docs/detection.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.row import Row

VUS_PR_FLOORS = {"skab": 0.86, "msl": 0.45}
"""Other sets: at least what random scores have there."""
F1_FLOOR, FALSE_ALARM_CEILING, DELAY_CEILING_S = 0.79, 0.25, 30.0
HEALTHY = {
    "skab_healthy": "SKAB without a fault",
    "skab_healthy_long": "SKAB without a fault, a history of 1,600 rows",
}
DETECTORS = ("pipeline", "random", "no_model", "always_alarm")


def rows_of(body: Mapping[str, Any]) -> list[Row]:
    """Return the rows of all sets in the stored table, and of the fleet."""
    lines = {
        (line["set_name"], line["detector"]): line
        for line in body.get("lines", [])
        if line["seed"] == 0 and line["detector"] in DETECTORS
    }
    found = []
    for name in dict.fromkeys(name for name, _ in lines):
        by = {detector: lines.get((name, detector)) for detector in DETECTORS}
        mine, chance = by["pipeline"], by["random"]
        if mine is None or chance is None:
            continue
        values = mine["vus_pr"], "VUS-PR", "random scores", chance["vus_pr"]
        title = f"{name.replace('_', ' ').upper()}, the pipeline's score"
        if name in VUS_PR_FLOORS:
            found.append(Row(title, *values, floor=VUS_PR_FLOORS[name]))
        elif name in HEALTHY:
            found += _healthy(by, HEALTHY[name])
        elif name != "tep_invisible":
            found.append(Row(title, *values, floor=1.0, limits="ratio"))
        if name == "skab":
            found += _skab(by)
    for name, title in (("fleet", "fleet"), ("fleet_held_out", "held-out fleet")):
        found += _fleet(body[name], title) if name in body else []
    return found


def _skab(by: Mapping[str, Any]) -> list[Row]:
    mine, null, always = by["pipeline"], by["no_model"], by["always_alarm"]
    if null is None or always is None:
        return []
    return [
        Row(
            "SKAB, alarms of the pipeline's threshold",
            mine["f1"],
            "F1",
            "the rule without a model",
            null["f1"],
            floor=F1_FLOOR,
        ),
        _false_alarms("SKAB", mine, always),
        Row(
            "SKAB, median delay",
            mine["median_delay_rows"],
            "s",
            "the rule without a model",
            null["median_delay_rows"],
            ceiling=DELAY_CEILING_S,
        ),
    ]


def _healthy(by: Mapping[str, Any], title: str) -> list[Row]:
    """Return no limit of its own: 400 rows do not say where the levels go in the next 750."""
    mine, null = by["pipeline"], by["no_model"]
    if null is None:
        return []
    return [
        Row(
            f"{title}, rows in alarm",
            mine["false_alarm_rate"],
            "of all",
            "the rule without a model",
            null["false_alarm_rate"],
            ceiling=1.25,
            limits="ratio",
        )
    ]


def _false_alarms(title: str, mine: Mapping[str, Any], always: Mapping[str, Any]) -> Row:
    return Row(
        f"{title}, healthy rows in alarm",
        mine["false_alarm_rate"],
        "of all",
        "an alarm that is always on",
        always["false_alarm_rate"],
        ceiling=FALSE_ALARM_CEILING,
    )


def _fleet(fleet: Mapping[str, Any], title: str) -> list[Row]:
    kinds = fleet["faults"].values()
    injected = sum(kind["injected"] for kind in kinds)
    return [
        Row(
            f"{title}, false episodes a healthy machine-day",
            fleet["measured_per_machine_day"],
            "episodes",
            "the designed rate",
            fleet["designed_per_machine_day"],
            ceiling=1.5,
            limits="ratio",
        ),
        Row(
            f"{title}, bearings found before they fail",
            fleet["found_before_failure"] * fleet["failures"],
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
