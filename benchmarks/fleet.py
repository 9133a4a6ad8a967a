"""How fast the fleet is, on one core: ``python -m benchmarks.fleet [--quick] [--days]``.

Machines are shared, so what counts are the ratios, both sides of which are measured in one run:
against NumPy's own random numbers and against a naive simulation with a SimPy event, a Python
draw and a JSON dump for every message. ``--days`` also writes 100 machines x 3 days to Parquet.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import simpy

from pipeline.messages import encode_readings
from simulator.fleet.delivery import Message
from simulator.fleet.fleet import Fleet
from simulator.fleet.machine import Machine
from simulator.fleet.settings import FleetSettings
from simulator.scenario import Scenario

RESULTS = Path(__file__).with_name("results")
BLOCK = 14_400
NO_BURSTS = 86_400.0


@dataclass(frozen=True)
class Figure:
    """One measurement beside what it is compared with; the ratio is value / against_value."""

    name: str
    value: float
    unit: str
    against: str
    against_value: float

    def row(self) -> str:
        """Return one line of the table."""
        ratio = self.value / self.against_value if self.against_value else float("nan")
        return (
            f"{self.name:<44} {self.value:>14,.0f} {self.unit:<12} {ratio:>9.2f} x {self.against}"
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "name": self.name,
            "value": round(self.value, 1),
            "unit": self.unit,
            "against": self.against,
            "against_value": round(self.against_value, 1),
            "ratio": round(self.value / self.against_value, 3) if self.against_value else None,
        }


def rate(work: Callable[[], int], least_s: float) -> float:
    """Return units of work a second; ``work`` returns how many it did. Best of three rounds."""
    best = 0.0
    for _ in range(3):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < least_s / 3:
            done += work()
        best = max(best, done / (time.perf_counter() - began))
    return best


def channel_samples(least_s: float) -> Figure:
    """Measure true and shown values of all channels of a pump, against bare normal numbers."""
    settings = FleetSettings(machines=1, burst_period_s=NO_BURSTS)
    machine = Machine("pump-001", "centrifugal_pump", 1, settings, 3_600.0, with_bursts=False)
    rng = np.random.Generator(np.random.SFC64(1))

    def block() -> int:
        return sum(len(column) for column in machine.take(BLOCK).values.values())

    def numbers() -> int:
        return len(rng.standard_normal(BLOCK))

    return Figure(
        "channel samples, six channels, block mode",
        rate(block, least_s),
        "samples/s",
        "NumPy's normal numbers",
        rate(numbers, least_s / 4),
    )


def encoded_messages(least_s: float) -> Figure:
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

    return Figure(
        "messages encoded from prepared samples",
        rate(bulk, least_s),
        "messages/s",
        "json.dumps each",
        rate(single, least_s / 4),
    )


def whole_fleet(machines: int, live_s: float) -> Figure:
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
    return Figure(
        f"{machines:,} machines at 1 Hz, end to end",
        taken.messages / wall_s,
        "messages/s",
        "a SimPy event, a draw and a dump a message",
        naive(min(machines, 1_000), 30),
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


def days_to_parquet(machines: int, days: float) -> tuple[Figure, float]:
    """Measure `fleetwin history` on one core; return rows/s and the highest memory in MB."""
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
    rows = machines * days * 86_400
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    name = f"{machines} machines x {days:g} days to Parquet ({wall_s:.0f} s)"
    return Figure(name, rows / wall_s, "rows/s", "real time", float(machines)), memory_mb


def main(arguments: Sequence[str]) -> int:
    """Print the figures and write them to `results/fleet.json`, unless the run is quick."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work; no file")
    parser.add_argument("--days", action="store_true", help="also 100 machines x 3 days to Parquet")
    chosen = parser.parse_args(arguments)
    least_s = 0.6 if chosen.quick else 6.0
    machines = 1_000 if chosen.quick else 10_000
    figures = []
    if chosen.days:
        # First, while this process is small: a child's highest memory begins with its parent's.
        figure, memory_mb = days_to_parquet(10 if chosen.quick else 100, 3.0)
        figures.append(figure)
        print(figure.row())
        print(f"{'':<44} {memory_mb:>14,.0f} MB at most")
    figures += [
        channel_samples(least_s),
        encoded_messages(least_s),
        whole_fleet(machines, 60.0 if chosen.quick else 600.0),
    ]
    for figure in figures[-3:]:
        print(figure.row())
    speed = figures[-1].value / machines
    print(f"{'':<44} {speed:>14,.1f} x real time")
    if not chosen.quick:
        RESULTS.mkdir(exist_ok=True)
        body = {
            "figures": [figure.to_json() for figure in figures],
            "environment": {"cpus": os.cpu_count()},
        }
        (RESULTS / "fleet.json").write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
