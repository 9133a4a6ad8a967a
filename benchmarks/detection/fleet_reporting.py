"""The fleet's part of the committed table: plain values to store, and the text made of them.

`values` keeps the pipeline's answers at the top, as the rows and the other pages read them, and
those of every rule under `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.detection.fleet import FaultsReport, HealthyReport, LeadReport

PIPELINE = "pipeline"
RULES_NOTE = """`input_only` is the pipeline without its autoencoder, `no_model` its rule with x_hat
= 0; `random`, `always_alarm` and `row_index` look at no sensor. The first four have thresholds of
the same history at the same design, and all the same hysteresis. An alarm that is always on is one
episode a machine that never ends: few episodes, no lead, and all of the time in alarm. AUC-PR is of
the rows among the short faults."""


def values(
    leads: Mapping[str, LeadReport],
    faults: Mapping[str, FaultsReport],
    healthy: Mapping[str, HealthyReport],
) -> dict[str, Any]:
    """Return the fleet's answers, by rule, as plain values."""
    mine = faults[PIPELINE]
    rules = {name: _of_rule(leads[name], faults[name], healthy[name]) for name in healthy}
    alone = ("faults_found", "faults_injected", "false_among_faults_episodes", "auc_pr", "in_alarm")
    return {
        **{key: value for key, value in rules[PIPELINE].items() if key not in alone},
        "faults": {
            kind: {
                "injected": count,
                "found": len(mine.delays_s[kind]),
                "median_delay_s": _median(mine.delays_s[kind]),
            }
            for kind, count in sorted(mine.injected.items())
        },
        "false_among_faults": {
            "episodes": mine.false.count,
            "machine_days": round(mine.false.exposure, 2),
        },
        "rules": rules,
    }


def _of_rule(leads: LeadReport, faults: FaultsReport, healthy: HealthyReport) -> dict[str, Any]:
    designed, rate = healthy.designed_per_day, healthy.rate
    return {
        "designed_per_machine_day": designed,
        "healthy_plants": [
            {"episodes": plant.count, "machine_days": round(plant.exposure, 2)}
            for plant in healthy.plants
        ],
        "measured_per_machine_day": round(rate.value, 4),
        "measured_interval": [round(bound, 4) for bound in rate.interval],
        "ratio": round(rate.value / designed, 3),
        **leads_of(leads),
        "in_alarm": round(healthy.in_alarm, 5),
        "faults_found": sum(map(len, faults.delays_s.values())),
        "faults_injected": sum(faults.injected.values()),
        "false_among_faults_episodes": faults.false.count,
        "auc_pr": round(faults.auc_pr, 4),
    }


def leads_of(leads: LeadReport) -> dict[str, Any]:
    """Return the leads of bearings that ran to failure as plain values."""
    return {
        "failures": len(leads.shares),
        "found_before_failure": round(leads.found_share, 4),
        "median_lead_share": round(leads.median_share, 3),
        "p10_lead_share": round(float(np.quantile(leads.shares, 0.1)), 3),
        "median_lead_s": round(float(np.median(leads.leads_s)), 0),
    }


def defects_table(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the leads by defect and rule as Markdown."""
    return "\n".join(
        [
            "| defect | rule | found before failure | median lead | one in ten below |",
            "|---|---|---|---|---|",
            *(
                f"| {defect} | {name} | {rule['found_before_failure']:.0%} of {rule['failures']} "
                f"| {rule['median_lead_share']:.0%} ({rule['median_lead_s'] / 60:.0f} min) "
                f"| {rule['p10_lead_share']:.0%} |"
                for defect, rules in stored.items()
                for name, rule in rules.items()
            ),
        ]
    )


def _median(found: Sequence[float]) -> float | None:
    return round(float(np.median(found)), 0) if found else None


def text(stored: Mapping[str, Any]) -> str:
    """Return the fleet's answers as Markdown."""
    days = sum(plant["machine_days"] for plant in stored["healthy_plants"])
    count = sum(plant["episodes"] for plant in stored["healthy_plants"])
    low, high = stored["measured_interval"]
    designed = stored["designed_per_machine_day"]
    kinds = [
        f"| {kind} | {found['found']} of {found['injected']} "
        f"| {'' if found['median_delay_s'] is None else format(found['median_delay_s'], '.0f')} |"
        for kind, found in stored["faults"].items()
    ]
    others = stored["false_among_faults"]
    each = ", ".join(
        f"{plant['episodes']} in {plant['machine_days']:.0f}" for plant in stored["healthy_plants"]
    )
    return "\n".join(
        [
            f"- Healthy: {count} episodes in {days:.0f} machine-days ({each}), "
            f"{stored['measured_per_machine_day']:.3f} a machine-day (95 %: {low:.3f} to "
            f"{high:.3f}); designed {designed:g}, {stored['ratio']:.2f} times that (95 %: "
            f"{low / designed:.2f} to {high / designed:.2f} times).",
            f"- Bearings that ran to failure: {stored['found_before_failure']:.0%} of "
            f"{stored['failures']} found before it; median lead "
            f"{stored['median_lead_share']:.0%} of the growth time "
            f"({stored['median_lead_s'] / 60:.0f} min), one in ten below "
            f"{stored['p10_lead_share']:.0%}.",
            f"- Faults of 20 to 60 minutes, severity 0.3 to 0.7; beside them {others['episodes']} "
            f"false episodes in {others['machine_days']:.0f} machine-days:",
            "",
            "| fault | found | median delay (s) |",
            "|---|---|---|",
            *kinds,
            *(_rules_table(stored["rules"]) if len(stored.get("rules", ())) > 1 else ()),
        ]
    )


def _rules_table(rules: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        "",
        RULES_NOTE,
        "",
        "| rule | false episodes a healthy machine-day (95 %) | x design | time in alarm "
        "| bearings found before | median lead | faults found | false among them | AUC-PR |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {_rate_text(rule)} | {rule['ratio']:.2f} | {rule['in_alarm']:.2%} "
            f"| {rule['found_before_failure']:.0%} of {rule['failures']} "
            f"| {rule['median_lead_share']:.0%} "
            f"| {rule['faults_found']} of {rule['faults_injected']} "
            f"| {rule['false_among_faults_episodes']} | {rule['auc_pr']:.3f} |"
            for name, rule in rules.items()
        ),
    ]


def _rate_text(rule: Mapping[str, Any]) -> str:
    low, high = rule["measured_interval"]
    return f"{rule['measured_per_machine_day']:.3f} ({low:.3f} to {high:.3f})"
