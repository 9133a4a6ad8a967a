"""The page's table of false alarms on recorded sets: episodes over time, against the design.

Made of the stored lines by `reporting`. A set without a time base has no machine-days; the design,
so many episodes in a history, needs none. Several seeds of a detector are one row: they judge the
same rows, so that their mean counts as one count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.detection import detectors, judging
from benchmarks.detection.metrics import Rate

NOTES = f"""A false episode begins on a row without a label; the healthy rows of a set, times the
time between two of them, are its machine-days. That time is 1 s for SKAB (a recording's few missing
seconds count as none), 180 s for TEP and 300 s for NAB. The publishers of MSL took the times away:
there are no machine-days of it. Its series are judged as a whole, as TSB-AD does, so that
the rows that were learnt from are among the healthy ones. All are designed for
{detectors.EPISODES_PER_HISTORY:g} false episodes in a history as long as the one that the threshold
came from. Of several seeds the mean counts. Intervals are of a Poisson count, 95 %. A recorded set
holds minutes to days: where the design allows less than one episode, a ratio says nothing."""

HEAD = (
    "| set | detector | healthy machine-days | false episodes | a machine-day | designed "
    "| measured / designed |\n|---|---|---|---|---|---|---|"
)


def table(lines: Sequence[judging.Line]) -> str:
    """Return one row a set and detector as Markdown."""
    groups: dict[tuple[str, str], list[judging.Line]] = {}
    for line in lines:
        groups.setdefault((line.set_name, line.detector), []).append(line)
    return "\n".join([HEAD, *(_row(group) for group in groups.values())])


def _row(seeds: Sequence[judging.Line]) -> str:
    one = seeds[0]
    count = float(np.mean([line.false_episodes for line in seeds]))
    days, designed = one.machine_days, one.designed_episodes
    cells = [one.set_name, one.detector, _or_none(days), f"{count:.3g}"]
    cells.append("-" if np.isnan(days) else _with_interval(count, days))
    cells.append("-" if np.isnan(days) else _or_none(designed / days))
    cells.append("-" if np.isnan(designed) else _with_interval(count, designed))
    return f"| {' | '.join(cells)} |"


def _or_none(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def _with_interval(count: float, exposure: float) -> str:
    """Return the count over the exposure and its interval, of the whole count next to it."""
    low, high = Rate(round(count), exposure).interval
    return f"{count / exposure:.3g} ({low:.3g} to {high:.3g})"
