"""Drift monitoring over many windows: how often it cries wolf, and what it finds.

``python -m benchmarks.monitoring`` writes `results/monitoring.json`; docs/monitoring.md quotes it.
First autocorrelated streams without drift against limits from the reference's own blocks and
against a fixed limit; then weeks of the simulated fleet that the tests monitor, hour by hour.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.signal import lfilter

from benchmarks.result import finish, parser
from benchmarks.row import Row
from pipeline.monitoring import blocks
from simulator.tests.monitored_month import MACHINES, ONSET_H, Month, gain, monitored

MEMORY = 0.9
COLUMNS = 8
FRESH_WINDOWS = 60
FIXED_LIMIT = 0.1
STREAMS = ((20, 60), (20, 360), (100, 60))
"""Windows of the reference, and rows of a window."""
SPRING_SWING_C = 12.0


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write."""
    chosen = parser("monitoring", __doc__).parse_args(arguments)
    found: dict[str, Any] = {
        "streams": [stationary(*sizes, seeds=2 if chosen.quick else 10) for sizes in STREAMS]
    }
    print(json.dumps(found["streams"]), flush=True)
    with redirect_stdout(io.StringIO()):
        found["fleet"] = fleets(quick=chosen.quick)
    print(json.dumps(found["fleet"]))
    return finish("monitoring", rows_of(found), chosen, found)


def rows_of(found: dict[str, Any]) -> list[Row]:
    """Return what the results say as rows."""
    rows = [
        Row(
            f"windows without drift that alarm, {each['reference_windows']} reference windows of "
            f"{each['rows']} rows",
            each["alarms"],
            "of all",
            f"a fixed limit of {FIXED_LIMIT}",
            each["alarms_at_a_fixed_limit"],
            ceiling=0.05,
        )
        for each in found["streams"]
    ]
    still, firmware = found["fleet"]["nothing happens"], found["fleet"]["new firmware of all"]
    drifted = still["drifted"] / still["windows"], "of all"
    moved = firmware["drifted"] / firmware["windows"]
    rows.append(
        Row(
            "hours of a fleet without drift that drift",
            *drifted,
            "a fleet with new firmware",
            moved,
            ceiling=0.05,
        )
    )
    alarms = firmware["new_model"]["share_in_alarm"], firmware["old_model"]["share_in_alarm"]
    rows.append(
        Row(
            "time in alarm after new firmware, model trained anew",
            alarms[0],
            "of all",
            "the old model",
            alarms[1],
            ceiling=0.05,
        )
    )
    return rows


def stationary(reference_windows: int, rows: int, *, seeds: int) -> dict[str, Any]:
    """Return the shares of windows of AR(1) streams, all alike, that alarm."""
    by_blocks = by_fixed = windows = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(((reference_windows + FRESH_WINDOWS) * rows, COLUMNS))
        values = lfilter([np.sqrt(1 - MEMORY**2)], [1.0, -MEMORY], noise, axis=0)
        reference, fresh = np.split(values, [reference_windows * rows])
        times_ms = np.arange(len(reference), dtype=np.int64) * 1000
        limits = blocks.drift_limits(times_ms, reference, rows * 1000).by_column
        sketches = blocks.sketches(reference)
        for start in range(0, len(fresh), rows):
            apart = blocks.distances(fresh[start : start + rows], sketches)
            by_blocks += bool((apart > limits).any())
            by_fixed += bool((apart > FIXED_LIMIT).any())
            windows += 1
    return {
        "reference_windows": reference_windows,
        "rows": rows,
        "windows": windows,
        "alarms": round(by_blocks / windows, 4),
        "alarms_at_a_fixed_limit": round(by_fixed / windows, 4),
    }


def fleets(*, quick: bool) -> dict[str, Any]:
    """Return what became of four fleets of `MACHINES` pumps."""
    firmware_days, still_days, spring_days = (6, 4, 10) if quick else (6, 14, 29)
    firmware = monitored(firmware_days, *(gain(pump + 1, 0.3) for pump in range(MACHINES)))
    quarter = monitored(7, gain(1, 0.3), gain(5, 0.3), gain(9, 0.8))
    spring = monitored(spring_days, season_swing_c=SPRING_SWING_C)
    after = range(firmware.retrained[0], 24 * firmware_days)
    return {
        "nothing happens": windows_of(monitored(still_days)),
        "new firmware of all": {
            **windows_of(firmware),
            "onset_h": ONSET_H,
            "old_model": alarms_of(firmware, 0, after),
            "new_model": alarms_of(firmware, 1, after),
        },
        "the same error on three": windows_of(quarter),
        "spring": [
            {
                "from_day": round(hours.start / 24, 1),
                "to_day": round(hours.stop / 24, 1),
                **alarms_of(spring, number, hours),
                "share_of_the_first_model": alarms_of(spring, 0, hours)["share_in_alarm"],
            }
            for number, hours in enumerate(
                range(*pair) for pair in pairwise([24, *spring.retrained, 24 * spring_days])
            )
        ],
    }


def windows_of(month: Month) -> dict[str, Any]:
    """Return how many windows were judged and drifted, and the hours of the trainings."""
    return {
        "windows": month.judged,
        "drifted": len(month.drifted),
        "first_h": min(month.drifted, default=None),
        "trained_at_h": month.retrained,
    }


def alarms_of(month: Month, model: int, hours: range) -> dict[str, Any]:
    """Return a model's episodes in some hours, over machine-days, and its time in alarm."""
    episodes, share = month.false_alarms(model, hours)
    days = round(MACHINES * len(hours) / 24, 1)
    return {"episodes": episodes, "machine_days": days, "share_in_alarm": round(share, 4)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
