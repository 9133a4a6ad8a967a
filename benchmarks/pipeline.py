"""How fast the embedded target is: readings through the pipeline, PutRecords over HTTP.

``python -m benchmarks.pipeline`` writes `results/pipeline.json`. The readings stand beside real
time, what goes over HTTP beside moto's own server, another process on this machine.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
import numpy as np

from benchmarks.moto_server import environment, moto_server
from benchmarks.put_records import RECORD_BYTES, RECORDS
from benchmarks.result import finish, parser
from benchmarks.row import Row
from pipeline.messages import Reading, encode_reading, telemetry_topic
from simulator.cloud.cloud import Cloud
from simulator.fleet.delivery import Message
from simulator.targets import Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
MACHINES = 20
SHARDS = 100
STREAM = "bench"


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    chosen = parser("pipeline", __doc__).parse_args(arguments)
    return finish("pipeline", measure(quick=chosen.quick), chosen)


def measure(*, quick: bool) -> list[Row]:
    """Return the rows; ``quick`` sends a tenth of the messages."""
    seconds, requests = (150, 10) if quick else (1_500, 100)
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        rate = _through_the_pipeline(Path(folder), seconds)
        ours = _put_records_ours(Path(folder, "put"), requests)
    moto = _put_records_moto(requests)
    return [
        Row(
            f"published to stored and detected ({MACHINES} machines, no model in service)",
            rate,
            "readings/s",
            "real time at 1 Hz",
            float(MACHINES),
            floor=20_000.0,
        ),
        Row(
            f"PutRecords over HTTP, {RECORDS} x {RECORD_BYTES} B a request",
            ours,
            "records/s",
            "moto's server",
            moto,
            floor=50_000.0,
        ),
    ]


def _through_the_pipeline(state: Path, seconds: int) -> float:
    """Return readings per second from topic rule to both functions' ends."""
    batches = [_readings(second) for second in range(seconds)]
    target = Embedded(START, state, speed=None, seed=1)
    try:
        target.boot({})
        origin = target.clock.now
        began = time.perf_counter()
        for second, batch in enumerate(batches):
            at_s = origin + second
            target.publish([Message(t, p, device, at_s) for t, p, device in batch])
            target.run_until(at_s + 1.0)
        target.drain()
        took_s = time.perf_counter() - began
        stored = sum(
            len(gzip.decompress(body).splitlines())
            for _, body in target.objects(target.bucket("raw"), "telemetry/")
        )
        if stored != seconds * MACHINES:
            raise RuntimeError(f"{stored} of {seconds * MACHINES} readings were stored")
    finally:
        target.close()
    return seconds * MACHINES / took_s


def _readings(second: int) -> list[tuple[str, bytes, str]]:
    """Return (topic, payload, device) of one second of the fleet."""
    rng = np.random.default_rng(second)
    start_ms = int(START.timestamp() * 1000)
    batch = []
    for number in range(MACHINES):
        device = f"pump-{number:03d}"
        noise = rng.standard_normal(4)
        values = {
            "temperature_c": 60.0 + noise[0],
            "velocity_mm_s_rms": 2.0 + 0.1 * noise[1],
            "pressure_bar": 6.0 + 0.1 * noise[2],
            "current_a": 25.0 + 0.2 * noise[3],
        }
        reading = Reading(
            device, second, start_ms + second * 1000, {k: float(v) for k, v in values.items()}
        )
        batch.append((telemetry_topic(device), encode_reading(reading), device))
    return batch


def _put_records_ours(state: Path, requests: int) -> float:
    """Return records per second through our gateway, on the real clock as shards count by it."""
    cloud = Cloud(START, state, speed=1.0)
    try:
        cloud.call("kinesis", "CreateStream", StreamName=STREAM, ShardCount=SHARDS)
        cloud.engine.run_in_background_until_called()
        return _client(cloud.environment(), requests)
    finally:
        cloud.engine.interrupt()
        cloud.close()


def _put_records_moto(requests: int) -> float:
    """Return records per second through moto's server."""
    with moto_server() as (variables, _):
        with environment(variables):
            boto3.client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        return _client(variables, requests)


def _client(variables: dict[str, str], requests: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.put_records", STREAM, str(requests)],
        env={**os.environ, **variables},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    if answer["failed"]:
        raise RuntimeError(f"{answer['failed']} records were refused")
    return requests * RECORDS / float(answer["seconds"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
