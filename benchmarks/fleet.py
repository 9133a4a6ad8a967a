"""How fast the fleet is, on one core: ``python -m benchmarks.fleet [--quick] [--days]``.

Machines are shared, so what counts are the ratios, both sides of which are measured in one run:
against NumPy's own random numbers and against a naive simulation with a SimPy event, a Python
draw and a JSON dump for every message. ``--days`` also writes 100 machines x 3 days to Parquet.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import simpy

from benchmarks.result import finish, parser
from benchmarks.row import Row
from pipeline.messages import encode_readings
from simulator.fleet.delivery import Message
from simulator.fleet.fleet import Fleet
from simulator.fleet.machine import Machine
from simulator.fleet.settings import FleetSettings
from simulator.scenario import Scenario

BLOCK = 14_400
CHANNELS = 6
NO_BURSTS = 86_400.0
TIMES_REAL = 10.0
"""How much faster than real time a large fleet must be."""
PARQUET_MOST_S = 60.0
MEMORY_MOST_MB = 500.0


def rate(work: Callable[[], int], least_s: float) -> float:
    """Return units of work a second; ``work`` returns how many it did. Best of three rounds."""
    best = 0.0
    for _ in range(3):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < least_s / 3:
            done += work()
        best = max(best, done / (time.perf_counter() - began))
    return best


def channel_samples(least_s: float) -> Row:
    """Measure true and shown values of all channels of a pump, against bare normal numbers."""
    settings = FleetSettings(machines=1, burst_period_s=NO_BURSTS)
    machine = Machine("pump-001", "centrifugal_pump", 1, settings, 3_600.0, with_bursts=False)
    rng = np.random.Generator(np.random.SFC64(1))

    def block() -> int:
        return sum(len(column) for column in machine.take(BLOCK).values.values())

    def numbers() -> int:
        return len(rng.standard_normal(BLOCK))

    return Row(
        "channel samples, six channels, block mode",
        rate(block, least_s),
        "samples/s",
        "NumPy's normal numbers",
        rate(numbers, least_s / 4),
        floor=5e6,
    )


def encoded_messages(least_s: float) -> Row:
    """Measure messages from prepared samples, against one json.dumps each."""
    settings = FleetSettings(machines=1, burst_period_s=NO_BURSTS)
    machine = Machine("pump-001", "centrifugal_pump", 1, settings, 3_600.0, with_bursts=False)
    block = machine.take(300)
    stamps_ms = np.rint(block.times_s * 1000).astype(np.int64)
    rows = [{name: float(column[i]) for name, column in block.values.items()} for i in range(300)]

    def bulk() -> int:
        return len(encode_readings("pump-001", 0, stamps_ms, block.values))

    def single() -> int:
        for seq, values in enumerate(rows):
            json.dumps({"schema": 1, "device_id": "pump-001", "seq": seq, "values": values})
        return len(rows)

    return Row(
        "messages encoded from prepared samples",
        rate(bulk, least_s),
        "messages/s",
        "json.dumps each",
        rate(single, least_s / 4),
        floor=250_000.0,
    )


def whole_fleet(machines: int, live_s: float) -> Row:
    """Measure a fleet end to end with a broker that takes everything, against the naive way."""
    scenario = Scenario.from_table(
        {
            "history_s": 60.0,
            "live_s": live_s,
            "fleet": {"machines": machines, "burst_period_s": NO_BURSTS},
        }
    )
    env = simpy.Environment()
    taken = SimpleNamespace(messages=0)

    def publish(batch: Sequence[Message]) -> SimpleNamespace:
        taken.messages += len(batch)
        return SimpleNamespace(delivered=len(batch), discarded=0)

    fleet = Fleet(scenario, env, 1_767_571_200.0, publish)
    fleet.start()
    # As `simulator.run` has it: the collector need not visit what lives as long as the run.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    began = time.perf_counter()
    env.run(fleet.finished)
    wall_s = time.perf_counter() - began
    return Row(
        f"{machines:,} machines at 1 Hz, end to end",
        taken.messages / wall_s,
        "messages/s",
        "a SimPy event, a draw and a dump a message",
        naive(min(machines, 1_000), 30),
        floor=TIMES_REAL * machines,
    )


def naive(machines: int, seconds: int) -> float:
    """Return messages/s of the simulation that everybody writes first."""
    env = simpy.Environment()
    sent: list[str] = []

    def machine(name: str) -> Generator[simpy.Event, Any, None]:
        rng = random.Random(name)
        for seq in range(seconds):
            values = {f"channel_{i}": round(rng.gauss(50.0, 3.0), 2) for i in range(6)}
            sent.append(
                json.dumps(
                    {
                        "schema": 1,
                        "device_id": name,
                        "seq": seq,
                        "event_time_ms": int(env.now * 1000),
                        "values": values,
                    }
                )
            )
            yield env.timeout(1.0)

    for number in range(machines):
        env.process(machine(f"pump-{number:03d}"))
    began = time.perf_counter()
    env.run()
    return len(sent) / (time.perf_counter() - began)


def days_to_parquet(machines: int, days: float) -> list[Row]:
    """Measure `fleetwin history` on one core: its seconds and its highest memory."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "days.toml"
        scenario.write_text(
            f"history_s = {days * 86_400}\nlive_s = 60\n[fleet]\nmachines = {machines}\n"
            f"burst_period_s = {NO_BURSTS}\n",
            encoding="utf-8",
        )
        began = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "simulator.cli", "history", str(scenario)),
                *("--out", str(Path(folder) / "out"), "--workers", "1", "--no-bursts"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall_s = time.perf_counter() - began
        written = sum(path.stat().st_size for path in Path(folder, "out").rglob("*.parquet"))
    rows = machines * days * 86_400
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    name = f"{machines} machines x {days:g} days at 1 Hz to Parquet"
    numpy_s = rows * CHANNELS / numbers_rate()
    return [
        Row(name, wall_s, "s", "NumPy's normal numbers alone", numpy_s, ceiling=PARQUET_MOST_S),
        Row(
            f"{name}, peak memory",
            memory_mb,
            "MB",
            "the files written",
            written / 1e6,
            ceiling=MEMORY_MOST_MB,
        ),
    ]


def numbers_rate() -> float:
    """Return normal numbers a second of NumPy alone."""
    rng = np.random.Generator(np.random.SFC64(1))
    return rate(lambda: len(rng.standard_normal(BLOCK)), 0.3)


def main(arguments: Sequence[str]) -> int:
    """Print the figures and write them."""
    options = parser("fleet", __doc__)
    options.add_argument(
        "--days", action="store_true", help="also 100 machines x 3 days to Parquet"
    )
    chosen = options.parse_args(arguments)
    least_s = 0.6 if chosen.quick else 6.0
    rows: list[Row] = []
    if chosen.days:
        # First, while this process is small: a child's highest memory begins with its parent's.
        rows += days_to_parquet(10 if chosen.quick else 100, 3.0)
    rows += [
        channel_samples(least_s),
        encoded_messages(least_s),
        whole_fleet(1_000 if chosen.quick else 10_000, 60.0 if chosen.quick else 300.0),
    ]
    return finish("fleet", rows, chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
