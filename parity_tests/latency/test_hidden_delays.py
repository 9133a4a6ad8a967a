"""Delays hidden behind a stand-in for AWS are recovered from its traces, within stated bounds.

The stand-in is a twin whose hops take times of other families than those that are fitted. Models
are fitted to half of its traces and put on another twin's clock; that one must take as long as
the other half says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import simpy

from parity_tests.mutations.comparisons import RAW, Observation, observe
from parity_tests.mutations.small_world import SmallWorld, trained_model
from simulator.cloud.cloud import Cloud
from simulator.cloud.latency import Draw
from simulator.parity.latency_diff import LEAST_P99, latency_differences
from simulator.parity.latency_fit import Floats, fit_all
from simulator.testing.plugin import START

MEAN_WITHIN, P99_WITHIN = 0.10, 0.20
CALLS = 3_000


@dataclass(frozen=True)
class Hidden:
    """A delay that the fit does not know of."""

    draw: Callable[[Random], float]

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds."""
        return self.draw(rng)


HIDDEN: dict[str, Draw] = {
    "kinesis:PutRecord": Hidden(lambda rng: 0.004 + rng.gammavariate(2.0, 0.006)),
    # Most are quick; every twentieth meets something cold.
    "s3:PutObject": Hidden(
        lambda rng: rng.uniform(0.4, 0.9) if rng.random() < 0.05 else rng.uniform(0.02, 0.06)
    ),
    "dynamodb:PutItem": Hidden(lambda rng: 0.003 + rng.weibullvariate(0.01, 0.9)),
    "logs:DescribeLogGroups": Hidden(lambda rng: 0.002 / (1.0 - 0.98 * rng.random()) ** 0.5),
}
WORK: dict[str, dict[str, Any]] = {
    "kinesis:PutRecord": {"StreamName": "s", "Data": b"x", "PartitionKey": "k"},
    "s3:PutObject": {"Bucket": "hidden-delays", "Key": "k", "Body": b"x"},
    "dynamodb:PutItem": {"TableName": "table", "Item": {"pk": {"S": "k"}}},
    "logs:DescribeLogGroups": {},
}


def traces_of(state: Path, models: dict[str, Draw], seed: int, calls: int) -> dict[str, Floats]:
    """Return what so many calls of each kind take on a twin with these delays."""
    cloud = Cloud(START, state, seed=seed)
    try:
        cloud.call("kinesis", "CreateStream", StreamName="s", ShardCount=1)
        cloud.call("s3", "CreateBucket", Bucket="hidden-delays")
        cloud.call(
            "dynamodb",
            "CreateTable",
            TableName="table",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cloud.engine.run(cloud.engine.env.now + 60.0)
        cloud.latency.install(models)
        for hop, params in WORK.items():
            service, _, operation = hop.partition(":")
            for _ in range(calls):
                work = partial(cloud.dispatch, cloud.dispatch.root, service, operation, params)
                answer = cloud.latency.call(hop, work)
                if isinstance(answer, simpy.Event):
                    cloud.engine.run(answer)
                # Slower than any limit of the services.
                cloud.engine.run(cloud.engine.env.now + 0.25)
        found: dict[str, list[float]] = defaultdict(list)
        for sample in cloud.latency.samples:
            found[sample.hop].append(sample.took_s)
        return {hop: np.array(values) for hop, values in found.items()}
    finally:
        cloud.close()


def off(wanted: float, got: float) -> float:
    """Return how far a value is off, as a share."""
    return abs(got / wanted - 1.0)


def test_hidden_delays_are_recovered_on_held_out_traces(tmp_path: Path) -> None:
    real = traces_of(tmp_path / "real", dict(HIDDEN), seed=1, calls=CALLS)
    seen = {hop: values[::2] for hop, values in real.items()}
    held_out = {hop: values[1::2] for hop, values in real.items()}
    models = fit_all(seen, "recorded", "the stand-in", "2026-11-29")
    assert set(models) == set(HIDDEN)
    assert all(model.samples == CALLS // 2 for model in models.values())
    twin = traces_of(tmp_path / "twin", dict(models), seed=2, calls=CALLS)
    for hop in HIDDEN:
        assert off(held_out[hop].mean(), twin[hop].mean()) <= MEAN_WITHIN, hop
        wanted, got = np.quantile(held_out[hop], 0.99), np.quantile(twin[hop], 0.99)
        assert off(float(wanted), float(got)) <= P99_WITHIN, hop
    # And as distributions: none is surely a tenth apart.
    assert not [d.hop for d in latency_differences(held_out, twin) if d.beyond(0.1)]


def test_a_model_of_one_hop_is_not_taken_for_another(tmp_path: Path) -> None:
    real = traces_of(tmp_path / "real", dict(HIDDEN), seed=1, calls=200)
    shuffled = dict(zip(real, [*list(real.values())[1:], next(iter(real.values()))], strict=True))
    assert len([d for d in latency_differences(real, shuffled) if d.beyond(0.1)]) == len(HIDDEN)


# -- the whole pipeline

# Narrow enough for some dozen samples to give a mean, and together a third of the way to the raw
# zone: without them no comparison below holds.
PIPELINE: dict[str, Draw] = {
    "rule": Hidden(lambda rng: 0.3 + rng.gammavariate(2.0, 0.05)),
    "read": Hidden(lambda rng: 0.4 + rng.weibullvariate(0.2, 1.2)),
    "start": Hidden(lambda rng: 0.8 if rng.random() < 0.1 else 0.5),
    "s3:PutObject": Hidden(lambda rng: 0.3 + rng.gammavariate(3.0, 0.05)),
    "dynamodb:BatchGetItem": Hidden(lambda rng: rng.uniform(0.1, 0.15)),
    "dynamodb:TransactWriteItems": Hidden(lambda rng: rng.uniform(0.2, 0.3)),
    "sagemaker-runtime:InvokeEndpoint": Hidden(lambda rng: 0.5 + rng.expovariate(20.0)),
}


def journey(
    tmp_path: Path, model: bytes, models: dict[str, Draw], patches: pytest.MonkeyPatch
) -> Observation:
    """Run the small journey with delays; return what it shows."""
    world = SmallWorld(tmp_path, model, model, patches)
    try:
        world.cloud.latency.install(models)
        world.run()
        return observe(world)
    finally:
        world.close()


@dataclass(frozen=True)
class Afresh:
    """Draws another sequence of the same delays than the run's own seed gives."""

    model: Draw
    own: Random

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds."""
        return self.model.sample(self.own)


def beyond_bounds(wanted: dict[str, Floats], got: dict[str, Floats]) -> set[str]:
    """Return which hidden delays are not recovered; p99 only where it is not just the largest."""
    found = set()
    for hop in PIPELINE:
        held_out, again = wanted[hop], got[hop]
        if off(held_out.mean(), again.mean()) > MEAN_WITHIN:
            found.add(hop)
        if min(len(held_out), len(again)) >= LEAST_P99:
            p99 = (float(np.quantile(each, 0.99)) for each in (held_out, again))
            if off(*p99) > P99_WITHIN:
                found.add(hop)
    return found


def test_fitted_models_make_the_pipeline_as_slow_as_the_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained_model(tmp_path / "model")
    quick = journey(tmp_path / "quick", model, {}, monkeypatch)
    slow = journey(tmp_path / "slow", model, dict(PIPELINE), monkeypatch)
    # Half of a run has too few requests to the endpoint: what is held out is another run.
    others = {hop: Afresh(each, Random(hop)) for hop, each in PIPELINE.items()}
    held_out = journey(tmp_path / "held-out", model, dict(others), monkeypatch).traces
    fitted = fit_all(slow.traces, "recorded", "the stand-in", "2026-11-29")
    models: dict[str, Draw] = {hop: each for hop, each in fitted.items() if hop in PIPELINE}
    assert set(models) == set(PIPELINE)
    again = journey(tmp_path / "again", model, models, monkeypatch)
    assert not beyond_bounds(held_out, again.traces)
    assert min(len(again.traces["rule"]), len(held_out["rule"])) >= LEAST_P99
    # And all of them together. Of alerts there are too few, whose time the window decides.
    whole, recovered = held_out[RAW].mean(), again.traces[RAW].mean()
    assert off(whole, recovered) <= MEAN_WITHIN
    # A model that adds nothing is found by each of these.
    assert beyond_bounds(held_out, quick.traces) == set(PIPELINE)
    assert off(whole, quick.traces[RAW].mean()) > MEAN_WITHIN
    # Slower, and still the same readings in the raw zone.
    assert slow.journey.readings["stored"] == quick.journey.readings["stored"]
