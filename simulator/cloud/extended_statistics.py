"""Statistics beyond sum, mean, minimum and maximum: percentiles, trimmed means, ranks.

Over the values of a period with their counts. Percentiles are nearest rank: CloudWatch does not
document how it interpolates. Lower bounds are exclusive and upper ones inclusive. Source:
CloudWatch user guide, "CloudWatch statistics definitions". Used by `metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from simulator.cloud.errors import AwsError

Weighted = Sequence[tuple[float, float]]
"""Values in rising order, each with how often it was seen."""
Statistic = Callable[[Weighted], float | None]

_SHORT = re.compile(r"(p|tm|tc|ts|wm)(\d{1,3}(?:\.\d{1,10})?)")
_LONG = re.compile(r"(TM|TC|TS|WM|PR)\(([^:()]*):([^:()]*)\)")
_BOUND = re.compile(r"(-?\d+(?:\.\d+)?)(%?)")


@cache
def extended_statistic(name: str) -> Statistic:
    """Return the statistic of a name such as ``p99``, ``tm95`` or ``PR(:300)``.

    Raises InvalidParameterValue for any other name, as CloudWatch does (the wording is ours).
    """
    if name == "IQM":
        return _named("TM", "25%", "75%")
    if (short := _SHORT.fullmatch(name)) and float(short[2]) <= 100:
        if short[1] == "p":
            share = float(short[2]) / 100
            return lambda values: percentile(values, share)
        return _named(short[1].upper(), "", f"{short[2]}%")
    if (long := _LONG.fullmatch(name)) and (long[2] or long[3]):
        return _named(long[1], long[2], long[3])
    raise _invalid(name)


def percentile_share(name: str | None) -> float | None:
    """Return 0.99 for ``p99``, ``None`` for a statistic that is no percentile."""
    found = _SHORT.fullmatch(name or "")
    return float(found[2]) / 100 if found and found[1] == "p" else None


def percentile(values: Weighted, share: float) -> float | None:
    """Return the smallest value that at least ``share`` (0-1) of all values do not exceed."""
    wanted, seen = share * sum(count for _, count in values), 0.0
    for value, count in values:
        seen += count
        # The product of share and count may be a hair above a whole number.
        if seen >= wanted - 1e-9:
            return value
    return None


def _invalid(name: str) -> AwsError:
    return AwsError("InvalidParameterValue", f"The statistic {name} is not valid")


def _named(kind: str, low: str, high: str) -> Statistic:
    name = f"{kind}({low}:{high})"
    bounds = [_BOUND.fullmatch(text) if text else None for text in (low, high)]
    for text, bound in zip((low, high), bounds, strict=True):
        if text and (bound is None or (bound[2] and not 0 <= float(bound[1]) <= 100)):
            raise _invalid(name)
    units = {bound[2] for bound in bounds if bound}
    if len(units) != 1 or (kind == "PR" and units == {"%"}):
        raise _invalid(name)
    least = float(bounds[0][1]) if bounds[0] else None
    most = float(bounds[1][1]) if bounds[1] else None
    keep = _within_ranks if units == {"%"} else _within_values

    def statistic(values: Weighted) -> float | None:
        total = sum(count for _, count in values)
        if not total:
            return None
        kept = keep(values, least, most)
        inside = sum(count for _, count in kept)
        amount = sum(value * count for value, count in kept)
        always = {"PR": 100 * inside / total, "TC": inside, "TS": amount}
        if kind in always or not inside:
            return always.get(kind)
        return amount / inside if kind == "TM" else _winsorized(values, kept, total)

    return statistic


def _within_values(values: Weighted, low: float | None, high: float | None) -> Weighted:
    return [
        (value, count)
        for value, count in values
        if (low is None or value > low) and (high is None or value <= high)
    ]


def _within_ranks(values: Weighted, low: float | None, high: float | None) -> Weighted:
    """Return what lies between two percentages of the count; a value may lie there in part."""
    total = sum(count for _, count in values)
    first = total * (low or 0.0) / 100
    last = total * (100.0 if high is None else high) / 100
    kept, seen = [], 0.0
    for value, count in values:
        inside = min(last, seen + count) - max(first, seen)
        seen += count
        if inside > 0:
            kept.append((value, inside))
    return kept


def _winsorized(values: Weighted, kept: Weighted, total: float) -> float:
    """Return the mean with what lies outside moved to the nearest value that is kept."""
    low, high = kept[0][0], kept[-1][0]
    return sum(min(max(value, low), high) * count for value, count in values) / total
