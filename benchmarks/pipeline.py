"""How fast the embedded target is: boot, readings through the pipeline, PutRecords over HTTP.

Each figure stands next to what it is compared with, measured in the same run: real time for the
readings, moto's own server (another process on this machine) for what goes over HTTP. Called by
``python -m benchmarks``.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3
import numpy as np

from benchmarks.put_records import RECORD_BYTES, RECORDS
from pipeline.messages import Reading, encode_reading, telemetry_topic
from simulator.cloud.cloud import Cloud
from simulator.fleet.delivery import Message
from simulator.targets import Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
MACHINES = 20
SHARDS = 100
STREAM = "bench"


@dataclass(frozen=True)
class Figure:
    """One line of the table; `ratio` above 1 is better than `against`."""

    name: str
    value: float
    unit: str
    against: str
    against_value: float
    ratio: float

    def to_json(self) -> dict[str, str | float]:
        """Return plain values."""
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def measure(*, quick: bool) -> list[Figure]:
    """Return the figures; ``quick`` sends a tenth of the messages."""
    seconds, requests = (150, 10) if quick else (1_500, 100)
    figures = []
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        boot_s, rate = _through_the_pipeline(Path(folder), seconds)
        ours = _put_records_ours(Path(folder, "put"), requests)
    moto_boot_s, moto = _put_records_moto(requests)
    figures.append(
        Figure(
            "boot: template to warm functions",
            boot_s,
            "s",
            "moto's server, started empty (less work)",
            moto_boot_s,
            moto_boot_s / boot_s,
        )
    )
    figures.append(
        Figure(
            f"published to stored and detected ({MACHINES} machines, no model in service)",
            rate,
            "readings/s",
            "real time at 1 Hz",
            float(MACHINES),
            rate / MACHINES,
        )
    )
    figures.append(
        Figure(
            f"PutRecords over HTTP, {RECORDS} x {RECORD_BYTES} B a request",
            ours,
            "records/s",
            "moto's server",
            moto,
            ours / moto,
        )
    )
    return figures


def _through_the_pipeline(state: Path, seconds: int) -> tuple[float, float]:
    """Return boot seconds and readings per second from topic rule to both functions' ends."""
    batches = [_readings(second) for second in range(seconds)]
    began = time.perf_counter()
    target = Embedded(START, state, speed=None, seed=1)
    try:
        target.boot({})
        booted_s = time.perf_counter() - began
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
    return booted_s, seconds * MACHINES / took_s


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


def _put_records_moto(requests: int) -> tuple[float, float]:
    """Return seconds until moto's server answers, and records per second through it."""
    with _moto() as (environment, booted_s):
        variables = {**os.environ, **environment}
        os.environ.update(environment)
        try:
            boto3.client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        finally:
            for name in environment:
                os.environ.pop(name)
        return booted_s, _client(variables, requests)


@contextmanager
def _moto() -> Iterator[tuple[dict[str, str], float]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() - began > 60:
                    raise RuntimeError("moto's server did not start") from None
                time.sleep(0.02)
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        yield environment, time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(10)


def _client(environment: dict[str, str], requests: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.put_records", STREAM, str(requests)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    if answer["failed"]:
        raise RuntimeError(f"{answer['failed']} records were refused")
    return requests * RECORDS / float(answer["seconds"])
