"""What the comparison has to judge: sets, detectors, seeds; run by the command line in processes.

In a module of its own, because a process that is spawned cannot import a package's `__main__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.detection import datasets, detectors, judging, rows

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
FLEET, FLEET_HELD_OUT, FLEET_RULES = "fleet", "fleet_held_out", "fleet_rules"
FLEET_DEFECTS = "fleet_defects"
FLEETS = (FLEET, FLEET_HELD_OUT, FLEET_RULES, FLEET_DEFECTS)
WINDOWS = ((3, 9), (3, 15), (4, 16), (5, 15), (5, 20), (6, 30))
"""Lengths of the two windows that are tried on SKAB, to show how much hangs on the choice."""
UNLABELLED = ("skab", "tep", "msl", "nab")
"""Sets that are judged once more with the windows that their healthy rows suggest."""


@dataclass(frozen=True)
class Task:
    """A detector to be judged on a set; `windows` None for the benchmark's own.

    `unlabelled` says that the windows are those that the healthy rows suggest.
    """

    set_name: str
    detector: str
    seed: int
    windows: tuple[int, int] | None = None
    unlabelled: bool = False


def planned(chosen: Sequence[str], *, quick: bool) -> list[Task]:
    """Return what is to be judged."""
    found: list[Task] = []
    for set_name in chosen:
        if set_name in FLEETS:
            continue
        for name in detectors.DETECTORS:
            seeds = SEEDS if name in detectors.SEEDED and not quick else 1
            found += [Task(set_name, name, seed) for seed in range(seeds)]
        if set_name == "skab" and not quick:
            found += [Task(set_name, "pipeline", 0, windows) for windows in WINDOWS]
        if set_name in UNLABELLED and not quick:
            suggested = rows.unlabelled_windows(READERS[set_name](datasets.data_folder()))
            found.append(Task(set_name, "pipeline", 0, suggested, unlabelled=True))
    return found


def judged(task: Task, *, quick: bool) -> tuple[Task, judging.Line, list[judging.Trace]]:
    """Judge one task."""
    runs = READERS[task.set_name](datasets.data_folder())
    some = runs[:2] if quick else runs
    found = judging.judge(task.set_name, some, task.detector, task.seed, task.windows)
    return task, *found
