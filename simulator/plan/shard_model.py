"""Some shards of a stream in virtual time: polls, batches, invocations, the endpoint's queue.

The structure is the twin's and the pipeline's: a poll a second, a batch that is full or whose
window is over, stretches of at most `MAX_DEVICES` devices with a read, a request to the endpoint,
an object and a transaction each. Only a sample of the shards is simulated, with its share of the
endpoint's instances: shards do not know each other but for those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import simpy

from simulator.cloud.shard_reader import POLL_EVERY_S
from simulator.parity.latency_fit import HopModel
from simulator.plan.workload import MAX_DEVICES, Workload

SAMPLE_SHARDS = 4
WARM_UP_S = 60.0
LENGTH_S = 300.0
MOST_READ = 10_000
"""Records of one GetRecords (Kinesis API reference)."""
MODEL_REQUEST_S, MODEL_ROW_S = 0.0003, 0.000002
"""Serving times, rounded from what `python -m benchmarks.model` measured: 0.19 ms for one row,
0.85 ms for 256; these give 0.30 and 0.81."""


@dataclass(frozen=True)
class Size:
    """What a plan provides: shards, concurrent batches a shard, endpoint instances."""

    shards: int
    factor: int
    instances: int


@dataclass
class Outcome:
    """What some minutes of the sample showed. Latencies: from the stream to the decision."""

    latencies_s: list[tuple[float, int]] = field(default_factory=list)
    """Seconds of a batch's records, evenly spread from oldest to newest, with their number."""
    waits_s: list[float] = field(default_factory=list)
    """Of a batch's oldest record, from its arrival until its function is called."""
    invocations: int = 0
    busy_s: float = 0.0
    stretches: int = 0
    model_busy_s: float = 0.0
    backlog: int = 0
    records: int = 0
    devices: int = 0
    """Different devices of each batch, summed."""

    def quantile(self, share: float) -> float:
        """Return the quantile of the records' latencies, in seconds."""
        if not self.latencies_s:
            return math.inf
        values = np.array([seconds for seconds, _ in self.latencies_s])
        weights = np.array([count for _, count in self.latencies_s], np.float64)
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) / weights.sum()
        return float(values[order][np.searchsorted(reached, share)])


class _Reader:
    """What a poller has read of a shard, and what was cut of it; records arrive evenly."""

    def __init__(self, env: simpy.Environment, rate: float, latency_s: Callable[[], float]) -> None:
        self.read = self.cut = 0
        self._env, self._rate, self._latency_s = env, rate, latency_s
        self._polled_s = -POLL_EVERY_S

    @property
    def held(self) -> int:
        """Return how many records were read and not cut yet."""
        return self.read - self.cut

    def sleep(self, wanted: int, until_s: float) -> Generator[simpy.Event, Any, None]:
        """Wait until so many more have arrived, or for a time."""
        there_s = (self.read + wanted) / self._rate
        yield self._env.timeout(max(0.0, min(there_s, until_s) - self._env.now))

    def poll(self) -> Generator[simpy.Event, Any, None]:
        """Read all that is there, at most 10,000 records and once a second."""
        yield self._env.timeout(max(0.0, self._polled_s + POLL_EVERY_S - self._env.now))
        self._polled_s = self._env.now
        # A hair later than the record, whose time is a quotient.
        there = math.floor(self._rate * self._env.now + 1e-6)
        yield self._env.timeout(self._latency_s())
        self.read = min(there, self.read + MOST_READ)


class Sample:
    """The simulation of a sample of shards."""

    def __init__(
        self, work: Workload, size: Size, models: Mapping[str, HopModel], seed: int = 1
    ) -> None:
        self.outcome = Outcome()
        self.sampled = min(SAMPLE_SHARDS, size.shards)
        self._work, self._size, self._models = work, size, models
        self._rng = Random(f"plan/{seed}")
        self._env = simpy.Environment()
        servers = max(1, round(size.instances * self.sampled / size.shards))
        self._endpoint = simpy.Resource(self._env, servers)
        self._rate = work.readings_s / size.shards
        self._devices = work.machines / size.shards

    def run(self) -> Outcome:
        """Run to the end and return what was seen after the warm-up."""
        for number in range(self.sampled):
            self._env.process(self._shard(number / self.sampled))
        self._env.run(WARM_UP_S + LENGTH_S)
        return self.outcome

    def _shard(self, phase: float) -> Generator[simpy.Event, Any, None]:
        """Read a shard and cut its batches, as the twin's `ShardReader` does."""
        env, work, rate = self._env, self._work, self._rate
        functions = simpy.Resource(env, self._size.factor)
        reader = _Reader(env, rate, lambda: self._draw("read"))
        yield env.timeout(phase * POLL_EVERY_S)
        while True:
            # A batch is gathered when it can be handed over: with one at a time, after the last.
            turn = functions.request()
            yield turn
            while not reader.held:
                yield from reader.sleep(1, math.inf)
                yield from reader.poll()
            until_s = env.now + work.window_s
            while reader.held < work.batch_size and env.now < until_s:
                yield from reader.sleep(work.batch_size - reader.held, until_s)
                yield from reader.poll()
            count = min(reader.held, work.batch_size)
            self.outcome.backlog = max(0, math.floor(rate * env.now) - reader.cut - count)
            env.process(self._batch(reader.cut, count, functions, turn))
            reader.cut += count

    def _batch(
        self, first: int, count: int, functions: simpy.Resource, turn: Any
    ) -> Generator[simpy.Event, Any, None]:
        env, work, outcome = self._env, self._work, self.outcome
        began_s = env.now
        oldest_s, newest_s = (first + 1) / self._rate, (first + count) / self._rate
        yield env.timeout(self._draw("start"))
        yield env.timeout(work.durations.of(count))
        devices = min(count, max(1, math.ceil(min(self._devices, count))))
        rows = min(1.0, (count / devices / work.rate_hz) / work.hop_s) * devices
        stretches = math.ceil(devices / MAX_DEVICES)
        for _ in range(stretches):
            yield env.timeout(self._draw("dynamodb:BatchGetItem"))
            yield env.process(self._invoke(rows / stretches))
            yield env.timeout(self._draw("s3:PutObject"))
            yield env.timeout(self._draw("dynamodb:TransactWriteItems"))
        functions.release(turn)
        if began_s < WARM_UP_S:
            return
        outcome.invocations += 1
        outcome.stretches += stretches
        outcome.busy_s += env.now - began_s
        outcome.records += count
        outcome.devices += devices
        outcome.waits_s.append(began_s - oldest_s)
        for part in range(10):
            arrival_s = oldest_s + (newest_s - oldest_s) * (part + 0.5) / 10
            outcome.latencies_s.append((env.now - arrival_s, count))

    def _invoke(self, rows: float) -> Generator[simpy.Event, Any, None]:
        with self._endpoint.request() as turn:
            yield turn
            served_s = MODEL_REQUEST_S + MODEL_ROW_S * rows
            if self._env.now >= WARM_UP_S:
                self.outcome.model_busy_s += served_s
            yield self._env.timeout(served_s)
        # The way there and back is not the instance's time.
        yield self._env.timeout(self._draw("sagemaker-runtime:InvokeEndpoint"))

    def _draw(self, hop: str) -> float:
        model = self._models.get(hop)
        return 0.0 if model is None else model.sample(self._rng)
