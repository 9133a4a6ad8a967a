"""A plan: the smallest size that keeps up, its latency, its bottleneck, its quotas and its price.

`fleetwin plan` prints it. Shards follow from Kinesis's limits; concurrent batches a shard,
instances and, where ten batches a shard are not enough, further shards from the simulation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.errors import SimulatorError
from simulator.parity.latency_fit import HopModel
from simulator.plan.shard_model import LENGTH_S, Outcome, Sample, Size
from simulator.plan.workload import SHARD_BYTES_S, SHARD_RECORDS_S, Workload

PRICES_FILE = Path(__file__).with_name("prices.json")
MONTH_S = 730 * 3600
FILL = 0.8
"""How far shards, function slots and instances may be filled: the rest is for peaks."""

MOST_FACTOR = 10
"""ParallelizationFactor, at most (Lambda API reference)."""


CONSUMERS = 2
"""Mappings of the stream: the raw writer's and the detector's. Each reads every shard."""

SHARD_READ_BYTES_S = 2 * SHARD_BYTES_S
"""What a shard gives all its consumers (Kinesis quotas); calls, of which it takes five a second,
cannot run out: each poller makes one."""

KEY_CALLERS = 1 + CONSUMERS
"""Roles whose credentials use the stream's key: the topic rule's, and each consumer's."""
KEY_RENEWED_S = 300
"""How often Kinesis calls KMS for each of them, about (Kinesis developer guide, "Costs, Regions,
and performance considerations"); it does not say that shards multiply it."""
BUCKET_KEY_SHARE = 0.01
"""Of requests to a bucket with a bucket key that still become one to KMS: AWS says that it takes
away up to 99 % (S3 user guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys")."""


class PlanError(SimulatorError):
    """A fleet that cannot be planned."""


@dataclass(frozen=True)
class Quota:
    """An account's limit and what the plan needs of it."""

    name: str
    needed: float
    limit: float
    source: str

    @property
    def must_rise(self) -> bool:
        """Whether it must be raised before the fleet may be switched on."""
        return self.needed > self.limit


@dataclass(frozen=True)
class Plan:
    """What a fleet needs. Latencies are from the stream to the decision on the batch."""

    machines: int
    rate_hz: float
    size: Size
    concurrency: int
    p50_s: float
    p99_s: float
    used: Mapping[str, float]
    quotas: tuple[Quota, ...]
    costs: Mapping[str, float]
    prices: str
    assumed: tuple[str, ...]

    @property
    def bottleneck(self) -> str:
        """Return what is filled most, a quota of the account or a part of the plan."""
        shares = {quota.name: quota.needed / quota.limit for quota in self.quotas}
        shares |= self.used
        return max(shares, key=lambda name: shares[name])

    @property
    def pollers(self) -> int:
        """Return how many read the stream: one a shard for each mapping."""
        return CONSUMERS * self.size.shards

    @property
    def monthly(self) -> float:
        """Return the cost of a month."""
        return sum(self.costs.values())

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            "machines": self.machines,
            "rate_hz": self.rate_hz,
            "shards": self.size.shards,
            "pollers": self.pollers,
            "batches_a_shard": self.size.factor,
            "endpoint_instances": self.size.instances,
            "concurrent_executions": self.concurrency,
            "latency_s": {"p50": round(self.p50_s, 3), "p99": round(self.p99_s, 3)},
            "used": {name: round(share, 4) for name, share in self.used.items()},
            "bottleneck": self.bottleneck,
            "quotas": [{**vars(quota), "must_rise": quota.must_rise} for quota in self.quotas],
            "monthly_usd": {
                "total": round(self.monthly, 2),
                **{name: round(cost, 2) for name, cost in self.costs.items()},
            },
            "prices": self.prices,
            "assumed": list(self.assumed),
        }


def plan(
    machines: int, rate_hz: float, models: Mapping[str, HopModel], *, own_key: bool = True
) -> Plan:
    """Return the plan of a fleet; raises PlanError for one that has no size.

    ``own_key``: lake and stream lie under a key of the stage's own, as in prod.
    """
    if machines < 1 or not math.isfinite(rate_hz) or rate_hz <= 0:
        raise PlanError(f"{machines} machines at {rate_hz} Hz: take at least 1, and a rate above 0")
    work = Workload(machines, rate_hz)
    size, outcome = _sized(work, models)
    sampled = min(4, size.shards)
    scale = size.shards / sampled
    writer_s = _writer_s(work, size, models)
    writes_s = outcome.devices / LENGTH_S * scale * _units_of_device(work)
    # At most: every slot of the detector and one batch a shard of the raw writer.
    concurrency = size.shards * (size.factor + 1)
    used = {
        "shards (records a second)": work.readings_s / size.shards / SHARD_RECORDS_S,
        "reads of a shard (bytes a second)": (
            CONSUMERS * work.readings_s * work.record_b / size.shards / SHARD_READ_BYTES_S
        ),
        "function slots of a shard": outcome.busy_s / LENGTH_S / (sampled * size.factor),
        "endpoint instances": outcome.model_busy_s * scale / LENGTH_S / size.instances,
    }
    facts = json.loads(PRICES_FILE.read_text(encoding="utf-8"))
    needed = {
        "IoT publishes a second": work.readings_s,
        "IoT rule evaluations a second": work.readings_s,
        "IoT connections": float(machines),
        "Kinesis shards": float(size.shards),
        "Lambda concurrent executions": float(concurrency),
        "DynamoDB write units a second of a table": writes_s,
    }
    quotas = tuple(
        Quota(name, needed[name], quota["value"], quota["source"])
        for name, quota in facts["quotas"].items()
    )
    costs = _costs(work, size, outcome, writer_s, scale, writes_s, own_key, facts["prices"])
    assumed = tuple(sorted(hop for hop, model in models.items() if model.source == "assumed"))
    return Plan(
        machines,
        rate_hz,
        size,
        concurrency,
        outcome.quantile(0.5),
        outcome.quantile(0.99),
        used,
        quotas,
        costs,
        f"{facts['region']}, {facts['date']}",
        assumed,
    )


def _sized(work: Workload, models: Mapping[str, HopModel]) -> tuple[Size, Outcome]:
    """Return the smallest size whose sample keeps up, with what it showed."""
    size = Size(work.shards(FILL), 1, 1)
    for _ in range(40):
        outcome = Sample(work, size, models).run()
        sampled = min(4, size.shards)
        busy = outcome.busy_s / LENGTH_S / (sampled * size.factor)
        rate = work.readings_s / size.shards
        behind = outcome.backlog > 2 * max(work.batch_size, rate * 2)
        model = outcome.model_busy_s * size.shards / sampled / LENGTH_S / size.instances
        if model > FILL:
            size = replace(size, instances=math.ceil(size.instances * model / FILL))
        elif not behind and busy <= FILL:
            return size, outcome
        elif size.factor < MOST_FACTOR:
            size = replace(size, factor=size.factor + 1)
        else:
            size = replace(size, shards=math.ceil(size.shards * 1.25))
    raise PlanError(f"no size found for {work.machines} machines at {work.rate_hz} Hz")


def _writer_s(work: Workload, size: Size, models: Mapping[str, HopModel]) -> float:
    """Return the mean duration of the raw writer's invocation: read, one object, transactions."""
    from simulator.parity.latency_fit import drawn

    count = min(work.batch_size, max(1.0, work.readings_s / size.shards * work.window_s))
    devices = min(count, work.machines / size.shards)

    def mean(hop: str) -> float:
        model = models.get(hop)
        return 0.0 if model is None else float(drawn(model.draw, 2_000).mean())

    calls = math.ceil(devices / 100) * (
        mean("dynamodb:BatchGetItem") + mean("dynamodb:TransactWriteItems")
    )
    return work.durations.of(round(count)) + mean("start") + mean("s3:PutObject") + calls


def _units_of_device(work: Workload) -> float:
    """Return write units of a device in a batch: its two states, twice for the transactions."""
    return 2.0 * (math.ceil(work.state_b / 1024) + 1)


def _costs(
    work: Workload,
    size: Size,
    outcome: Outcome,
    writer_s: float,
    scale: float,
    writes_s: float,
    own_key: bool,
    prices: Mapping[str, Any],
) -> dict[str, float]:
    """Return the cost of a month by service, from the units that it meters."""
    readings = work.readings_s * MONTH_S
    invoked = outcome.invocations * scale / LENGTH_S * MONTH_S
    stretches = outcome.stretches * scale / LENGTH_S * MONTH_S
    gb_s = (outcome.busy_s * scale / LENGTH_S * MONTH_S + invoked * writer_s) * work.memory_gb
    devices = outcome.devices * scale / LENGTH_S * MONTH_S
    reads = devices * (math.ceil(work.state_b / 4096) + 1)
    puts = invoked + stretches
    units = {
        "IoT Core": {
            "IoT messages": readings * math.ceil(work.payload_b / 5120),
            "IoT rules": readings,
            "IoT actions": readings,
            "IoT connection minutes": work.machines * MONTH_S / 60,
        },
        "Kinesis": {
            "Kinesis shard hours": size.shards * MONTH_S / 3600,
            "Kinesis PUT payload units": readings * math.ceil(work.payload_b / 25_600),
        },
        "Lambda": {"Lambda requests": 2 * invoked, "Lambda GB-seconds": gb_s},
        "S3": {
            "S3 PUT requests": puts,
            # What a month adds, kept for that month.
            "S3 GB-months": readings * work.stored_b / 1e9,
        },
        "DynamoDB": {
            "DynamoDB write units": writes_s * MONTH_S,
            "DynamoDB read units": reads,
        },
        "SageMaker": {"SageMaker instance hours": size.instances * MONTH_S / 3600},
        "CloudWatch": {"CloudWatch log GB": 2 * invoked * 500 / 1e9},
    }
    if own_key:
        calls = KEY_CALLERS * MONTH_S / KEY_RENEWED_S + puts * BUCKET_KEY_SHARE
        units["KMS"] = {"KMS key months": 1.0, "KMS requests": calls}
    return {
        service: sum(
            count / prices[unit]["per"] * prices[unit]["price"] for unit, count in of_it.items()
        )
        for service, of_it in units.items()
    }
