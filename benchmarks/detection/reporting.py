"""The committed table: lines, sweep and fleet as JSON, and the page that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import fleet, judging

JSON_FILE = "detection.json"
PAGE_FILE = "detection.md"
INTRODUCTION = """# What the detector is worth

Written by `python -m benchmarks.detection`; [docs/detection.md](../../docs/detection.md) says how
to read it. FAR and MAR are shares of rows, delays rows (SKAB: seconds). `half_residual` and
`residual_only` give the autoencoder's residual a weight of 0.5 and 1 instead of 0.05,
`input_only` none.
Most rows of TEP are faulty, so that even random scores have a high VUS-PR there; the faults begin
at the same row of each run, so that the row's number alone is perfect.
`skab_healthy` has no fault, so that only its false alarms count; it was held out, as were
`skab_valve2`, `skab_other`, `smap` and the fleet of other seeds, where they are there.
`skab_healthy_long` is the same recording with a history of 1,600 rows instead of 400. It was not
held out: other lengths were tried on it before that one was chosen."""


def load(folder: Path) -> dict[str, Any]:
    """Return the stored details, empty parts where there are none."""
    path = folder / JSON_FILE
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    details: dict[str, Any] = stored.get("details", {})
    return details


def merged(
    body: Mapping[str, Any],
    names: Sequence[str],
    lines: Sequence[judging.Line],
    sweep: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the results with the lines of the sets in `names` replaced."""
    kept = [line for line in body.get("lines", []) if line["set_name"] not in names]
    found = {**body, "lines": kept + [dict(vars(line)) for line in lines]}
    if sweep:
        found["sweep"] = [dict(line) for line in sweep]
    return found


def fleet_values(
    leads: fleet.LeadReport, faults: fleet.FaultsReport, healthy: fleet.HealthyReport
) -> dict[str, Any]:
    """Return the fleet's answers as plain values."""
    return {
        "designed_per_machine_day": healthy.designed_per_day,
        "healthy_plants": [
            {"episodes": plant.count, "machine_days": round(plant.exposure, 2)}
            for plant in healthy.plants
        ],
        "measured_per_machine_day": round(healthy.rate.value, 4),
        "measured_interval": [round(bound, 4) for bound in healthy.rate.interval],
        "ratio": round(healthy.rate.value / healthy.designed_per_day, 3),
        "failures": len(leads.shares),
        "found_before_failure": round(leads.found_share, 4),
        "median_lead_share": round(leads.median_share, 3),
        "p10_lead_share": round(float(np.quantile(leads.shares, 0.1)), 3),
        "median_lead_s": round(float(np.median(leads.leads_s)), 0),
        "faults": {
            kind: {
                "injected": count,
                "found": len(faults.delays_s[kind]),
                "median_delay_s": _median(faults.delays_s[kind]),
            }
            for kind, count in sorted(faults.injected.items())
        },
        "false_among_faults": {
            "episodes": faults.false.count,
            "machine_days": round(faults.false.exposure, 2),
        },
    }


def _median(values: Sequence[float]) -> float | None:
    return round(float(np.median(values)), 0) if values else None


def fleet_text(values: Mapping[str, Any]) -> str:
    """Return the fleet's answers as Markdown."""
    days = sum(plant["machine_days"] for plant in values["healthy_plants"])
    count = sum(plant["episodes"] for plant in values["healthy_plants"])
    low, high = values["measured_interval"]
    rows = [
        f"| {kind} | {found['found']} of {found['injected']} "
        f"| {'' if found['median_delay_s'] is None else format(found['median_delay_s'], '.0f')} |"
        for kind, found in values["faults"].items()
    ]
    others = values["false_among_faults"]
    each = ", ".join(
        f"{plant['episodes']} in {plant['machine_days']:.0f}" for plant in values["healthy_plants"]
    )
    return "\n".join(
        [
            f"- Healthy: {count} episodes in {days:.0f} machine-days ({each}), "
            f"{values['measured_per_machine_day']:.3f} a machine-day (95 %: {low:.3f} to "
            f"{high:.3f}); designed {values['designed_per_machine_day']:g}, "
            f"{values['ratio']:.2f} times that.",
            f"- Bearings that ran to failure: {values['found_before_failure']:.0%} of "
            f"{values['failures']} found before it; median lead "
            f"{values['median_lead_share']:.0%} of the growth time "
            f"({values['median_lead_s'] / 60:.0f} min), one in ten below "
            f"{values['p10_lead_share']:.0%}.",
            f"- Faults of 20 to 60 minutes, severity 0.3 to 0.7; beside them {others['episodes']} "
            f"false episodes in {others['machine_days']:.0f} machine-days:",
            "",
            "| fault | found | median delay (s) |",
            "|---|---|---|",
            *rows,
        ]
    )


def page(body: Mapping[str, Any]) -> str:
    """Return the whole page."""
    lines = [judging.Line(**line) for line in body.get("lines", [])]
    parts = [INTRODUCTION, "## Recorded sets", judging.table(lines)]
    leaders = [line for line in lines if line.set_name == "skab" and line.seed == 0]
    if leaders:
        rows = [f"| {line.detector} | {line.leaderboard_f1:.3f} |" for line in leaders]
        parts += [
            "## SKAB by the leaderboard's protocol",
            "It looks 58 rows ahead, and its limit comes from rows that the model was fitted to; "
            "for comparison with published tables only.",
            "\n".join(["| detector | F1 |", "|---|---|", *rows]),
        ]
    if body.get("sweep"):
        rows = [
            f"| {line['windows'][0]} and {line['windows'][1]} | {line['vus_pr']:.3f} "
            f"| {line['f1']:.3f} | {line['false_alarm_rate']:.3f} "
            f"| {line['median_delay_rows']:.0f} | {line['leaderboard_f1']:.3f} |"
            for line in body["sweep"]
        ]
        head = [
            "| rows | VUS-PR | F1 | FAR | median delay | leaderboard's F1 |",
            "|---|---|---|---|---|---|",
        ]
        parts += ["## SKAB with other windows", "\n".join([*head, *rows])]
    if "fleet" in body:
        parts += ["## Fleet", fleet_text(body["fleet"])]
    if "fleet_held_out" in body:
        parts += [
            "## Fleet, held out",
            "Plants of other seeds, which nobody looked at before the detector was finished.",
            fleet_text(body["fleet_held_out"]),
        ]
    parts += [
        "## Plots",
        "![Precision against recall on SKAB](detection-precision-recall.svg)",
        "![Delays of the pipeline's detections on SKAB](detection-delays.svg)",
        "![Score and alarms over one SKAB run](detection-run.svg)",
    ]
    return "\n\n".join(parts) + "\n"
