"""How fast the embedded target is: readings through the pipeline, PutRecords over HTTP.

``python -m benchmarks.pipeline`` writes `results/pipeline.json`. The readings go from the broker
through rule, stream and mappings to both functions, with a model in service and every limit and
permission on; beside them real time, and the processor time that two cores have for each at the
wanted rate. PutRecords stands beside moto's own server, by turns. Details: where the time of a
reading goes (`hops`).
"""

from __future__ import annotations

import gc
import gzip
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from benchmarks.by_processes import answer_of
from benchmarks.hops import OTHER, Stopwatch, per_reading_us, processor_s
from benchmarks.moto_server import environment, moto_server
from benchmarks.put_records import BOTO3, RAW, RECORD_BYTES, RECORDS
from benchmarks.readings import START, messages, put_in_service, trained, with_shards
from benchmarks.result import finish, parser
from benchmarks.row import Row
from simulator.cloud.cloud import Cloud
from simulator.targets import Embedded

FLEETS = {20: 1, 100: 1, 320: 4}
"""Machines and shards of their stream: the demo's, as many as fill a batch of the mapping in its
window, and a fleet of the stage `prod`, whose shards are processed at once."""
ROUNDS = 7
"""A round lasts a second or two: of three the middle one was a matter of chance."""
WANTED_PER_S = 20_000.0
CORES = 2
SHARDS = 100
STREAM = "bench"


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("pipeline", __doc__).parse_args(arguments)
    rows, details = measure(quick=chosen.quick)
    return finish("pipeline", rows, chosen, details)


def measure(*, quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows and the details; ``quick`` sends a tenth of the messages."""
    readings, rounds, requests = (3_000, 1, 10) if quick else (30_000, ROUNDS, 60)
    rows: list[Row] = []
    details: dict[str, Any] = {"steps": {}, "processes": {}, "rounds": {}}
    model = trained(max(FLEETS), 600 if quick else 1_500)
    for machines, shards in FLEETS.items():
        found = through_the_pipeline(machines, shards, readings, rounds, model)
        rows += rows_of(machines, found)
        details["processes"][machines] = found[-1].processes_us
        details["rounds"][machines] = [(round(f.per_s), round(f.processor_us, 1)) for f in found]
    rows += put_records(1 if quick else 3, requests)
    for machines, shards in FLEETS.items():  # Last: the steps stay timed.
        details["steps"][machines] = steps(machines, shards, readings, model)
    return rows, details


@dataclass(frozen=True)
class Found:
    """One round: readings a second of real time, and processor time a reading by process."""

    per_s: float
    processes_us: dict[str, float]

    @property
    def processor_us(self) -> float:
        """The processor time of the processes that a reading passes; Spark's start is not."""
        return sum(us for name, us in self.processes_us.items() if name != OTHER)


def rows_of(machines: int, found: Sequence[Found]) -> list[Row]:
    """Return a fleet's two rows: of the middle round, and of the least disturbed one."""
    what = f"published to stored and detected ({machines} machines, {named(FLEETS[machines])})"
    return [
        Row(
            what,
            statistics.median(each.per_s for each in found),
            "readings/s",
            "real time at 1 Hz",
            float(machines),
            floor=WANTED_PER_S,
        ),
        Row(
            f"{what}: processor time of all processes",
            min(each.processor_us for each in found),
            "us/reading",
            f"what {CORES} cores have at {WANTED_PER_S:,.0f} readings/s",
            CORES / WANTED_PER_S * 1e6,
            ceiling=CORES / WANTED_PER_S * 1e6,
        ),
    ]


def named(shards: int) -> str:
    """Return a number of shards in words of the rows."""
    return "one shard" if shards == 1 else f"{shards} shards"


@contextmanager
def booted(model: bytes, shards: int = 1) -> Iterator[Embedded]:
    """Yield the pipeline with a model in service; the collector as a run sets it."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        assembly = with_shards(shards, Path(folder, "assembly"))
        target = Embedded(START, Path(folder, "state"), speed=None, seed=1, assembly=assembly)
        try:
            target.boot({})
            put_in_service(target, model)
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            yield target
        finally:
            target.close()


def through_the_pipeline(
    machines: int, shards: int, readings: int, rounds: int, model: bytes
) -> list[Found]:
    """Send the same number of readings several times; raises RuntimeError if one is not stored."""
    seconds = readings // machines
    with booted(model, shards) as target:
        origin_s = target.clock.now
        send(target, machines, 0, 60, origin_s)
        found = []
        for number in range(rounds):
            before, first_s = processor_s(), 60 + number * seconds
            took_s = send(target, machines, first_s, seconds, origin_s)
            used = per_reading_us(before, processor_s(), machines * seconds)
            found.append(Found(machines * seconds / took_s, used))
        stored = sum(
            len(gzip.decompress(body).splitlines())
            for _, body in target.objects(target.bucket("raw"), "telemetry/")
        )
    if stored != (sent := machines * (60 + rounds * seconds)):
        raise RuntimeError(f"{stored} of {sent} readings were stored")
    return found


def send(target: Embedded, machines: int, first_s: int, seconds: int, origin_s: float) -> float:
    """Publish a second after the other until all is processed; return real seconds."""
    batches = messages(machines, first_s, seconds, origin_s)
    began = time.perf_counter()
    for number, batch in enumerate(batches, first_s):
        target.publish(batch)
        target.run_until(origin_s + number + 1.0)
    target.drain()
    return time.perf_counter() - began


def steps(machines: int, shards: int, readings: int, model: bytes) -> dict[str, dict[str, float]]:
    """Return microseconds a reading of each step, by process."""
    seconds = readings // machines
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        stopwatch = Stopwatch(Path(folder))
        with booted(model, shards) as target:
            origin_s = target.clock.now
            send(target, machines, 0, 60, origin_s)
            before = stopwatch.taken_s()
            send(target, machines, 60, seconds, origin_s)
            after = stopwatch.taken_s()
    return {
        name: per_reading_us(before.get(name, {}), taken, machines * seconds)
        for name, taken in after.items()
    }


def put_records(rounds: int, requests: int) -> list[Row]:
    """Measure our gateway and moto's server by turns, by prepared requests and by boto3."""
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for server in ("ours", "moto"):
            with (ours if server == "ours" else moto)() as variables:
                for how in (RAW, BOTO3):
                    found = client(variables, requests, how)
                    rates.setdefault((server, how), []).append(found)
    middle = {place: statistics.median(found) for place, found in rates.items()}
    name = f"PutRecords over HTTP, {RECORDS} x {RECORD_BYTES} B a request"
    return [
        Row(
            f"{name}, {words}",
            middle["ours", how],
            "records/s",
            "moto's server",
            middle["moto", how],
            floor=floor,
            limits=limits,
        )
        for how, words, floor, limits in (
            (RAW, "prepared requests", 50_000.0, "value"),
            (BOTO3, "boto3 as client", 2.0, "ratio"),
        )
    ]


@contextmanager
def ours() -> Iterator[dict[str, str]]:
    """Yield the variables of our gateway, on the real clock as shards count by it."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        cloud = Cloud(START, Path(folder), speed=1.0)
        try:
            cloud.call("kinesis", "CreateStream", StreamName=STREAM, ShardCount=SHARDS)
            cloud.engine.run_in_background_until_called()
            yield cloud.environment()
        finally:
            cloud.engine.interrupt()
            cloud.close()


@contextmanager
def moto() -> Iterator[dict[str, str]]:
    """Yield the variables of moto's server, with the same stream."""
    with moto_server() as (variables, _):
        with environment(variables):
            boto3.client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        yield variables


def client(variables: dict[str, str], requests: int, how: str) -> float:
    """Return records a second; raises RuntimeError when some were refused."""
    module = "benchmarks.put_records"
    answer = answer_of(module, STREAM, requests, how, variables={**os.environ, **variables})
    if answer["failed"]:
        raise RuntimeError(f"{answer['failed']} records were refused")
    return requests * RECORDS / float(answer["seconds"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
