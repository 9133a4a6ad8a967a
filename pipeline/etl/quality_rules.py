"""Rules that a run's input must keep, and the report of a run.

A rule that is broken fails the run: its report is there to be read, its partitions do not become
known to the catalog.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import JobInputError

SHARES = {
    "max_malformed_share": ("malformed", ("readings", "bursts", "malformed")),
    "max_late_share": ("late", ("readings", "bursts")),
    "max_duplicate_share": ("duplicates", ("readings", "bursts")),
    "max_missing_share": ("missing", ("values",)),
    "max_impossible_share": ("impossible", ("values",)),
}
"""Rule -> what is counted, and of what: lines, messages, or values."""
RULES = (*SHARES, "min_rows")


@dataclass(frozen=True)
class Verdict:
    """One rule, the value that was found, and whether it is kept."""

    rule: str
    limit: float
    value: float
    kept: bool


def parse_rules(text: str) -> dict[str, float]:
    """Return the rules in a JSON object of limits; raises JobInputError."""
    try:
        rules = json.loads(text or "{}")
    except ValueError as error:
        raise JobInputError(f"--quality_rules: not JSON: {error}") from None
    if not isinstance(rules, dict):
        raise JobInputError("--quality_rules: must be a JSON object of limits")
    for name, limit in rules.items():
        if name not in RULES:
            raise JobInputError(f"--quality_rules: {name!r} is not one of {', '.join(RULES)}")
        if type(limit) not in (int, float) or not math.isfinite(limit) or limit < 0:
            raise JobInputError(f"--quality_rules: {name} must be a number of at least 0")
    return rules


def judge(rules: Mapping[str, float], counts: Mapping[str, int], n_sensors: int) -> list[Verdict]:
    """Return the verdict on each rule for what a run counted."""
    every = {**counts, "values": counts["readings"] * n_sensors}
    verdicts = []
    for rule, limit in rules.items():
        if rule == "min_rows":
            value = float(counts["rows"])
            verdicts.append(Verdict(rule, limit, value, value >= limit))
            continue
        counted, of = SHARES[rule]
        whole = sum(every[name] for name in of)
        value = every[counted] / whole if whole else 0.0
        verdicts.append(Verdict(rule, limit, value, value <= limit))
    return verdicts


def broken(verdicts: list[Verdict]) -> str:
    """Return the broken rules in words, empty when all are kept."""
    return "; ".join(
        f"{verdict.rule} is {verdict.limit:g}, found {verdict.value:.6g}"
        for verdict in verdicts
        if not verdict.kept
    )
