"""The committed table: lines, sweep and fleet as JSON, and the page that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detection import false_alarms, fleet_reporting, judging

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

UNLABELLED = """The two windows were chosen with the labels of SKAB in view. Here the pipeline
(seed 0) has lengths that no label had a part in: the longer one is the time over which the healthy
rows are correlated, in rows (the integral of their autocorrelation, mean of all channels and
runs), the shorter one its square root. No other rule was tried; the figures of the pairs above
were known by then."""


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
    unlabelled: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the results with the lines of the sets in `names` replaced."""

    def kept(key: str) -> list[Mapping[str, Any]]:
        return [line for line in body.get(key, []) if line["set_name"] not in names]

    found = {**body, "lines": kept("lines") + [dict(vars(line)) for line in lines]}
    found["unlabelled"] = kept("unlabelled") + [dict(line) for line in unlabelled]
    if sweep:
        found["sweep"] = [dict(line) for line in sweep]
    return found


def windows_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return what the pipeline has with other windows as Markdown."""
    head = [
        "| set | rows | VUS-PR | F1 | FAR | MAR | median delay | leaderboard's F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [
        f"| {line['set_name']} | {line['windows'][0]} and {line['windows'][1]} "
        f"| {line['vus_pr']:.3f} | {line['f1']:.3f} | {line['false_alarm_rate']:.3f} "
        f"| {line['missed_alarm_rate']:.3f} | {line['median_delay_rows']:.0f} "
        f"| {line['leaderboard_f1']:.3f} |"
        for line in lines
    ]
    return "\n".join([*head, *rows])


def page(body: Mapping[str, Any]) -> str:
    """Return the whole page."""
    lines = [judging.Line(**line) for line in body.get("lines", [])]
    parts = [INTRODUCTION, "## Recorded sets", judging.table(lines)]
    if lines:
        parts += ["## False alarms on recorded sets", false_alarms.NOTES, false_alarms.table(lines)]
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
        parts += ["## SKAB with other windows", windows_text(body["sweep"])]
    if body.get("unlabelled"):
        parts += [
            "## Windows that the healthy rows suggest",
            UNLABELLED,
            windows_text(body["unlabelled"]),
        ]
    if "fleet" in body:
        parts += ["## Fleet", fleet_reporting.text(body["fleet"])]
    if "fleet_held_out" in body:
        parts += [
            "## Fleet, held out",
            "Plants of other seeds, which nobody looked at before the detector was finished.",
            fleet_reporting.text(body["fleet_held_out"]),
        ]
    if "fleet_rules" in body:
        parts += [
            "## Fleet, every rule",
            "Smaller plants of other seeds again, with all rules on the same rows.",
            fleet_reporting.text(body["fleet_rules"]),
        ]
    if "fleet_defects" in body:
        parts += [
            "## Fleet, each defect of a bearing",
            "Plants of a seed of their own, in which all bearings fail by one defect.",
            fleet_reporting.defects_table(body["fleet_defects"]),
        ]
    parts += [
        "## Plots",
        "![Precision against recall on SKAB](detection-precision-recall.svg)",
        "![Delays of the pipeline's detections on SKAB](detection-delays.svg)",
        "![Score and alarms over one SKAB run](detection-run.svg)",
    ]
    return "\n\n".join(parts) + "\n"
