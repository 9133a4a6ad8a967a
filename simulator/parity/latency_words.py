"""The L4 part of `fleetwin parity diff` and `fleetwin parity latency` as text, a row for a hop."""

from __future__ import annotations

from simulator.parity.latency_diff import LEAST, TOO_FEW, HopDifference, Latencies
from simulator.parity.latency_distance import CONFIDENCE

NOTHING = "no hop has traces on both sides"
HEAD = ("hop", "samples", "", "p50 ms", "", "p90 ms", "", "p99 ms", "", "apart", "interval", "")


def latency_words(found: Latencies) -> str:
    """Return the comparison as a table; the last line is the verdict."""
    rows = [HEAD, *(cells(each, found.tolerance) for each in found.hops)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows if found.hops else []:
        name, *numbers = (cell for cell in row[:-1])
        said = "  ".join(
            cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)
        )
        lines.append(f"  {name.ljust(widths[0])}  {said}  {row[-1]}".rstrip())
    for where, names in (("here", found.only_here), ("there", found.only_there)):
        if names:
            lines.append(f"  only {where}: {', '.join(names)}")
    return "\n".join([*lines, latency_verdict(found)])


def latency_verdict(found: Latencies) -> str:
    """Return one line: which hops surely differ, and of which nothing can be said."""
    if not found.hops:
        return f"latency: {NOTHING}"
    if found.different:
        text = f"latency: DIFFERENT by more than {found.tolerance:.0%}: "
        return text + ", ".join(found.different)
    said = [each.verdict(found.tolerance) for each in found.hops]
    few = said.count(TOO_FEW)
    if few == len(said):
        return f"latency: fewer than {LEAST} samples of every hop"
    left = f"; {few} with fewer than {LEAST} samples" if few else ""
    return f"latency: no hop is surely more than {found.tolerance:.0%} apart{left}"


def explained(found: Latencies) -> str:
    """Return what the numbers of the table are."""
    return (
        "apart: Wasserstein-1 distance as a share of the mean of both sides, with its "
        f"{CONFIDENCE:.0%} interval; same, DIFFERENT: all of the interval is within, beyond "
        f"{found.tolerance:.0%}; {of_runs(found)}"
    )


def of_runs(found: Latencies) -> str:
    """Return of how many runs the intervals are, and what they do not hold."""
    here, there = found.runs
    if not found.within_a_run:
        return f"of {here} runs here and {there} there, so that intervals hold how much runs differ"
    sides = [where for where, runs in (("here", here), ("there", there)) if runs < 2]
    return (
        f"one run {' and '.join(sides)}: intervals are within a run, and no verdict on the target"
    )


def cells(each: HopDifference, tolerance: float) -> tuple[str, ...]:
    """Return a hop's row: name, samples, quantiles here and there, distance, interval, verdict."""
    pairs = [
        text
        for pair in each.quantiles_s
        for text in (("-", "-") if pair is None else (_ms(pair[0]), _ms(pair[1])))
    ]
    apart, interval = "-", "-"
    if each.distance is not None:
        low, high = each.distance.interval
        apart, interval = f"{each.distance.share:.1%}", f"{low:.1%} to {high:.1%}"
    samples = (f"{count:,}" for count in each.samples)
    return (each.hop, *samples, *pairs, apart, interval, each.verdict(tolerance))


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f}"
