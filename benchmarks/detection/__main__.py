"""Compares detectors on recorded sets and fleets: `python -m benchmarks.detection [--quick]`.

Writes `benchmarks/results/detection.json`, `.md` and the plots beside them, part by part: a run
with `--sets` renews the parts that it ran. A quick run (one seed, two runs a set, small plants) is
written elsewhere, without plots. Sets that are not there are named with the reason. With `--rows`
nothing is measured: rows and page are made again of what is stored.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks.detection import (
    datasets,
    figures,
    fleet,
    fleet_reporting,
    fleet_rules,
    fleet_scenarios,
    judging,
    plots,
    reporting,
    tasks,
)
from benchmarks.result import RESULTS, finish, folder_of, load, parser, stored


def there(chosen: Sequence[str]) -> list[str]:
    """Return the sets that are there; say of the others why not."""
    found = []
    for name in chosen:
        try:
            if name not in tasks.FLEETS:
                tasks.READERS[name](datasets.data_folder())
            found.append(name)
        except datasets.SetMissing as missing:
            print(f"skipped {name}: {missing}")
    return found


def fleets(
    workers: int,
    seeds: fleet_scenarios.Seeds,
    sizes: fleet_scenarios.Sizes,
    names: Sequence[str],
) -> dict[str, Any]:
    """Return three answers of the fleets of these seeds as values for the report."""
    print("fleet: bearings that run to failure ...", flush=True)
    leads = fleet.run_to_failure(workers, seeds.bearings, sizes.bearings, names)
    print("fleet: faults of all kinds ...", flush=True)
    size = sizes.faulty_machines, sizes.faulty_d
    faults = fleet.faults(workers, seeds.faults, *size, names)
    print("fleet: healthy plants ...", flush=True)
    healthy = fleet.healthy(
        workers, seeds.healthy, sizes.machines, live_d=sizes.healthy_d, names=names
    )
    return fleet_reporting.values(leads, faults, healthy)


def defects(workers: int, machines: int) -> dict[str, Any]:
    """Return the leads of each defect of a bearing, by every rule, as values for the report."""
    found = {}
    for defect in fleet_scenarios.DEFECTS:
        print(f"fleet: {defect} that runs to failure ...", flush=True)
        leads = fleet.run_to_failure(workers, fleet_scenarios.DEFECTS_SEED, machines, defect=defect)
        found[defect] = {name: fleet_reporting.leads_of(each) for name, each in leads.items()}
    return found


def again(chosen: argparse.Namespace) -> int:
    """Make rows and page of the stored lines and fleets; the date stays that of the measurement."""
    found = load(RESULTS / reporting.JSON_FILE)
    found.rows = figures.rows_of(found.details)
    code = stored(found, chosen)
    page = folder_of(chosen) / reporting.PAGE_FILE
    page.write_text(reporting.page(found.details), encoding="utf-8")
    return code


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; return the exit code."""
    options = parser("detection", __doc__)
    options.add_argument(
        "--sets",
        nargs="+",
        choices=[*tasks.READERS, *tasks.FLEETS],
        default=[*tasks.READERS, *tasks.FLEETS],
    )
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options.add_argument(
        "--rows", action="store_true", help="measure nothing: rows and page of the stored lines"
    )
    chosen = options.parse_args(arguments)
    if chosen.rows:
        return again(chosen)
    names = there(chosen.sets)
    folder = folder_of(chosen)
    body = {} if chosen.quick else reporting.load(folder)
    lines, traces = [], {}
    sweep: list[dict[str, Any]] = []
    unlabelled: list[dict[str, Any]] = []
    with ProcessPoolExecutor(chosen.workers, get_context("spawn")) as pool:
        work = partial(tasks.judged, quick=chosen.quick)
        for task, line, found in pool.map(work, tasks.planned(names, quick=chosen.quick)):
            print(judging.table([line]).splitlines()[-1], flush=True)
            if task.windows is not None:
                others = unlabelled if task.unlabelled else sweep
                others.append({"windows": list(task.windows), **vars(line)})
                continue
            lines.append(line)
            if task.seed == 0:
                traces[task.set_name, task.detector] = found
    body = reporting.merged(body, names, lines, sweep, unlabelled)
    pipeline, every = (fleet_reporting.PIPELINE,), fleet_rules.RULES
    full, some = fleet_scenarios.FULL, fleet_scenarios.SOME
    plants = {
        tasks.FLEET: (fleet_scenarios.USUAL, full, pipeline),
        tasks.FLEET_HELD_OUT: (fleet_scenarios.HELD_OUT, full, pipeline),
        tasks.FLEET_RULES: (fleet_scenarios.COMPARED, some, every),
    }
    for name, (seeds, sizes, rules) in plants.items():
        if name in names:
            first = replace(seeds, healthy=seeds.healthy[:1]), fleet_scenarios.QUICK
            which = first if chosen.quick else (seeds, sizes)
            body[name] = fleets(chosen.workers, *which, rules)
            print(fleet_reporting.text(body[name]))
    if tasks.FLEET_DEFECTS in names:
        machines = (fleet_scenarios.QUICK if chosen.quick else fleet_scenarios.SOME).bearings
        body[tasks.FLEET_DEFECTS] = defects(chosen.workers, machines)
        print(fleet_reporting.defects_table(body[tasks.FLEET_DEFECTS]))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    body["renewed"] = {**body.get("renewed", {}), **dict.fromkeys(names, today)}
    if not chosen.quick:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / reporting.PAGE_FILE).write_text(reporting.page(body), encoding="utf-8")
        plots.draw(folder, traces)
    return finish("detection", figures.rows_of(body), chosen, body)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
