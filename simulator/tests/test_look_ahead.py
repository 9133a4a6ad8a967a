"""A slow fleet's messages go together, and nobody can tell: neither functions nor metrics."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.iot import Iot
from simulator.cloud.latency import Quantiles
from simulator.cloud.metrics import RESOLUTION_S
from simulator.cloud.tests.fakes import ROLE, START
from simulator.cloud.tests.mapping_bench import Bench
from simulator.cloud.unnoticed import Unnoticed
from simulator.fleet.delivery import Delivery
from simulator.fleet.sent import NONE, Sent, Tally

TO_STREAM = {"kinesis": {"roleArn": ROLE, "streamName": "s", "partitionKey": "${topic(2)}"}}
TO_BUCKET = {"s3": {"roleArn": ROLE, "bucketName": "raw", "key": "${timestamp()}"}}

COUNTED = [("AWS/Kinesis", "IncomingRecords"), ("AWS/IoT", "Success")]


@dataclass(frozen=True)
class Mapped:
    """A mapping's settings."""

    batch_size: int
    window_s: int


@dataclass(frozen=True)
class Seen:
    """All that anyone could see of a run."""

    batches: list[tuple[float, list[tuple[bytes, float]]]]
    metrics: dict[tuple[str, str, int], float]
    handed_over: int


def run(
    arrivals: dict[str, list[float]], mappings: list[Mapped], rules: list[Any], *, ahead: bool
) -> Seen:
    """Publish messages through rules into a stream that mappings read."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), lambda _: None)
        twin, env = bench.twin, bench.twin.engine.env
        counts: defaultdict[tuple[str, str, int], float] = defaultdict(float)
        times: list[float] = []

        def record(
            space: str, name: str, _: Any, value: float, __: str, at_s: float | None = None
        ) -> None:
            at_s = twin.engine.epoch_s() if at_s is None else at_s
            counts[space, name, int(at_s // RESOLUTION_S)] += value

        twin.context.cloudwatch.record = record  # type: ignore[method-assign, assignment]
        iot = Iot(twin.context)
        twin.dispatch.register("iot", iot.operations())
        twin.dispatch.register("iot-data", iot.data_operations())
        twin.dispatch.register("s3", {})
        for number, actions in enumerate(rules):
            payload = {"sql": f"SELECT * FROM '{number}/+'", "actions": actions}
            twin.do("iot", "CreateTopicRule", ruleName=f"r{number}", topicRulePayload=payload)
        for number, mapped in enumerate(mappings):
            if number:
                function = twin.do("lambda", "GetFunction", FunctionName="f")["Configuration"]
                again = ("Runtime", "Role", "Handler")
                twin.do(
                    "lambda",
                    "CreateFunction",
                    FunctionName=f"f{number}",
                    Code={"S3Bucket": "assets", "S3Key": "code.zip"},
                    **{name: function[name] for name in again},
                )
            bench.map(
                FunctionName=f"f{number}" if number else "f",
                BatchSize=mapped.batch_size,
                MaximumBatchingWindowInSeconds=mapped.window_s,
            )

        def publish(messages: Any) -> Any:
            times.append(env.now)
            return iot.publish_batch(messages)

        delivery = Delivery(env, publish)
        if ahead:
            twin.engine.before_moving = delivery.look_ahead(
                Unnoticed(twin.engine, iot, bench.kinesis)
            )
        delivered = env.process(delivery.run())
        for device, at_s in arrivals.items():
            delivery.put(device, (f"0/{device}", f"1/{device}"), sent(at_s))
        delivery.close()
        twin.engine.run(delivered)
        bench.drain()
        twin.close()
        batches = [
            (at_s, [(r["kinesis"]["data"], r["kinesis"]["approximateArrivalTimestamp"]) for r in e])
            for at_s, e in zip(bench.function.times_s, bench.function.events, strict=True)
        ]
        return Seen(batches, dict(counts), len(times))


def sent(at_s: list[float]) -> Sent:
    """Return readings as a connection tells them."""
    times, numbers = np.array(sorted(at_s)), np.arange(len(at_s))
    flags = np.zeros(len(at_s), dtype=np.uint8)
    payloads = [b'{"n":%d}' % number for number in numbers]
    return Sent(Tally(len(at_s), 0), NONE, NONE, times, times, numbers, flags, payloads)


# Two minutes, with messages at whole seconds and between them.
times_s = st.integers(0, 4 * 130).map(lambda quarters: quarters / 4.0)
arrivals = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.lists(times_s, min_size=2, max_size=20), min_size=1
)
mapped = st.builds(Mapped, st.sampled_from([1, 2, 5, 100]), st.sampled_from([1, 7, 20, 90]))


@settings(max_examples=60, deadline=None)
@given(
    arrivals=arrivals,
    mappings=st.lists(mapped, min_size=1, max_size=2),
    copies=st.integers(1, 2),
)
def test_functions_get_the_same_batches_at_the_same_times_and_metrics_are_the_same(
    arrivals: dict[str, list[float]], mappings: list[Mapped], copies: int
) -> None:
    rules = [[TO_STREAM] * copies]
    alone = run(arrivals, mappings, rules, ahead=False)
    together = run(arrivals, mappings, rules, ahead=True)
    assert together.batches == alone.batches
    assert together.metrics == alone.metrics
    assert together.handed_over <= alone.handed_over


def test_a_minute_of_a_slow_fleet_is_handed_over_at_once() -> None:
    assert START.timestamp() % RESOLUTION_S == 0
    seconds = [float(second) + 0.5 for second in range(0, 288, 6)]
    seen = run({"a": seconds}, [Mapped(100, 290)], [[TO_STREAM]], ahead=True)
    # The first wakes the sleeping reader; after it each minute's ten go together.
    assert seen.handed_over == 6
    assert len(seen.batches) == 1
    assert [at for _, at in seen.batches[0][1]] == [START.timestamp() + at for at in seconds]


def test_a_message_counts_in_the_minute_of_its_arrival_though_it_is_handed_over_after_it() -> None:
    minute = int(START.timestamp() // RESOLUTION_S)
    for ahead in (False, True):
        seen = run({"a": [59.5, 59.75, 60.0]}, [], [[TO_STREAM]], ahead=ahead)
        counted = {name: [seen.metrics[(*name, minute + n)] for n in (0, 1)] for name in COUNTED}
        assert set(map(tuple, counted.values())) == {(2.0, 1.0)}


def test_what_a_rule_does_besides_is_done_in_its_own_second() -> None:
    seconds = [float(second) + 0.5 for second in range(0, 60, 6)]
    seen = run({"a": seconds}, [], [[TO_STREAM, TO_BUCKET]], ahead=True)
    assert seen.handed_over == len(seconds)


@pytest.mark.parametrize(("speed", "model"), [(1000.0, {}), (None, {"rule": Quantiles(((0, 1),))})])
def test_messages_go_in_their_own_second_where_somebody_watches_or_hops_take_time(
    speed: float | None, model: dict[str, Quantiles], tmp_path: Path
) -> None:
    with closing(Cloud(START, tmp_path, speed=speed)) as cloud:
        cloud.latency.install(model)
        cloud.look_ahead(lambda _: pytest.fail("asked to look ahead"))
        assert cloud.engine.before_moving is None
    with closing(Cloud(START, tmp_path)) as cloud:
        cloud.look_ahead(lambda _: lambda _: None)
        assert cloud.engine.before_moving is not None
