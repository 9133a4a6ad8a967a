"""How much memory the embedded twin takes, by the number of machines and by the length of a run.

``python -m benchmarks.memory`` writes `results/memory.json`. Each size is a process of its own that
boots the stack, waits until Spark is warm, has pumps publish at 1 Hz through all of it, and says
the peaks of itself and of its children together. Without the wait a small fleet would be done
before Spark has started its workers, and be compared with a large one that is not. Beside it
stands what was published, as bytes of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.by_processes import answer_of, own_peak_mb, peak_mb
from benchmarks.result import finish, parser
from benchmarks.row import Row

if TYPE_CHECKING:
    from simulator.targets import Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
SECONDS = 120
LONGER = 5
WARM_WITHIN_S = 120.0
MOST_MB = 1_500.0
"""For a small fleet: the twin, its imports and its warm functions."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("memory", __doc__).parse_args(arguments)
    sizes = (10, 100) if chosen.quick else (10, 100, 1_000)
    found = [measured(machines, SECONDS) for machines in sizes]
    small, middle, large = found[0], found[-2], found[-1]
    rows = [
        Row(
            f"{small['machines']} machines, {SECONDS} s, all processes",
            small["peak_mb"],
            "MB",
            "a twin that has booted and got nothing",
            small["booted_mb"],
            ceiling=MOST_MB,
        ),
        Row(
            f"{large['machines']:,} machines, {SECONDS} s, all processes",
            large["peak_mb"],
            "MB",
            f"{small['machines']} machines",
            small["peak_mb"],
            ceiling=1.25,
            limits="ratio",
        ),
        Row(
            f"what {large['machines']:,} machines add to the twin's own process",
            large["own_mb"] - large["own_booted_mb"],
            "MB",
            "their messages as JSON",
            large["encoded_mb"],
            ceiling=5.0,
            limits="ratio",
        ),
    ]
    if not chosen.quick:
        longer = measured(middle["machines"], SECONDS * LONGER)
        found.append(longer)
        rows.append(
            Row(
                f"{middle['machines']} machines, {LONGER} times as long",
                longer["peak_mb"],
                "MB",
                f"{middle['machines']} machines, {SECONDS} s",
                middle["peak_mb"],
                ceiling=1.25,
                limits="ratio",
            )
        )
    return finish("memory", rows, chosen, found)


def measured(machines: int, seconds: int) -> dict[str, Any]:
    """Return the peaks of a process that runs so many machines for so long."""
    answer = answer_of("benchmarks.memory", "--run", machines, seconds)
    print(json.dumps(answer), flush=True)
    return answer


def run(machines: int, seconds: int) -> dict[str, float]:
    """Run machines through the whole stack; return memory and bytes, in megabytes."""
    from simulator.fleet.fleet import Fleet
    from simulator.scenario import Scenario
    from simulator.targets import Embedded

    scenario = Scenario.from_table(
        {
            "history_s": 60.0,
            "live_s": float(seconds - 60),
            "fleet": {"machines": machines, "burst_period_s": 86_400.0},
        }
    )
    encoded = 0
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        target = Embedded(START, Path(folder), speed=None, seed=1)

        def publish(batch: Sequence[Any]) -> Any:
            nonlocal encoded
            encoded += sum(len(message.payload) for message in batch)
            return target.publish(batch)

        try:
            target.boot({})
            wait_for_spark(target)
            # The first burst of a fleet of any size imports it: no machine's memory.
            import_module("scipy.signal")
            booted_mb = peak_mb()
            own_booted_mb = own_peak_mb()
            fleet = Fleet(scenario, target.clock, target.cloud.engine.epoch_s(), publish)
            fleet.start()
            target.run_until(fleet.finished)
            target.drain()
            # A worker that has ended by now is not among the children any more.
            found = max(booted_mb, peak_mb())
            own_mb = own_peak_mb()
        finally:
            target.close()
    return {
        "machines": machines,
        "seconds": seconds,
        "booted_mb": round(booted_mb, 1),
        "peak_mb": round(found, 1),
        "own_booted_mb": round(own_booted_mb, 1),
        "own_mb": round(own_mb, 1),
        "encoded_mb": round(encoded / 1e6, 2),
    }


def wait_for_spark(target: Embedded) -> None:
    """Wait, in wall time, until Spark has warmed up; raise TimeoutError after two minutes."""
    until = time.monotonic() + WARM_WITHIN_S
    while not target.cloud.glue.warm:
        if time.monotonic() > until:
            raise TimeoutError(f"Spark has not warmed up within {WARM_WITHIN_S:.0f} s")
        time.sleep(0.1)
        # What the process says is heard when the engine runs.
        target.run_until(target.clock.now + 0.01)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(int(sys.argv[2]), int(sys.argv[3]))))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
