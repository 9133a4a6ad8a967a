"""What the comparison has to judge: sets, detectors, seeds; run by the command line in processes.

In a module of its own, because a process that is spawned cannot import a package's `__main__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.detection import datasets, detectors, judging

SEEDS = 3
READERS: dict[str, Callable[[Path], list[datasets.Run]]] = {
    "skab": datasets.skab,
    "skab_healthy": datasets.skab_healthy,
    "skab_healthy_long": partial(datasets.skab_healthy, history_rows=datasets.SKAB_LONG_ROWS),
    "skab_valve2": partial(datasets.skab, group="valve2"),
    "skab_other": partial(datasets.skab, group="other"),
    "tep": datasets.tep,
    "tep_invisible": datasets.tep_invisible,
    "msl": datasets.msl,
    "smap": datasets.smap,
    "nab": datasets.nab,
}
FLEET, FLEET_HELD_OUT = "fleet", "fleet_held_out"
FLEETS = (FLEET, FLEET_HELD_OUT)
WINDOWS = ((3, 9), (3, 15), (4, 16), (5, 15), (5, 20), (6, 30))
"""Lengths of the two windows that are tried on SKAB, to show how much hangs on the choice."""

Task = tuple[str, str, int, tuple[int, int] | None]


def planned(chosen: Sequence[str], *, quick: bool) -> list[Task]:
    """Return what is to be judged, (set, detector, seed, windows) each."""
    found: list[Task] = []
    for set_name in chosen:
        if set_name in FLEETS:
            continue
        for name in detectors.DETECTORS:
            seeds = SEEDS if name in detectors.SEEDED and not quick else 1
            found += [(set_name, name, seed, None) for seed in range(seeds)]
        if set_name == "skab" and not quick:
            found += [(set_name, "pipeline", 0, windows) for windows in WINDOWS]
    return found


def judged(task: Task, *, quick: bool) -> tuple[Task, judging.Line, list[judging.Trace]]:
    """Judge one task."""
    set_name, name, seed, windows = task
    runs = READERS[set_name](datasets.data_folder())
    line, traces = judging.judge(set_name, runs[:2] if quick else runs, name, seed, windows)
    return task, line, traces
