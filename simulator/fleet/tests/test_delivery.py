"""Delivery: order, batches, books and what is measured, whatever the network and broker do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.delivery import Delivery, Message
from simulator.fleet.hops import Hops
from simulator.fleet.sent import BURST, NONE, NOTHING, REPEAT, TWICE, Sent, Tally

TOPICS = "readings", "bursts"


class Fate(NamedTuple):
    """A message and when its copies arrive: none if lost."""

    burst: bool
    arrivals_s: tuple[float, ...]


@dataclass
class Answer:
    delivered: int
    discarded: int
    discarded_positions: tuple[int, ...] = ()


@dataclass
class Broker:
    """Takes messages, but for those at some places of its whole input."""

    drop: set[int] = field(default_factory=set)
    seen: list[Message] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    env: simpy.Environment = field(default_factory=simpy.Environment)

    def publish(self, batch: Sequence[Message]) -> Answer:
        assert batch, "an empty batch is not published"
        dropped = tuple(i for i in range(len(batch)) if len(self.seen) + i in self.drop)
        self.seen.extend(batch)
        self.at_s.append(self.env.now)
        return Answer(len(batch) - len(dropped), len(dropped), dropped)


def sent(fates: Sequence[Fate], first: int = 0, dropped: Tally = NONE) -> Sent:
    """Return fates as a connection tells them; the payload is the number."""
    rows = [
        (
            at,
            float(min(fate.arrivals_s)),
            number,
            BURST * fate.burst + TWICE * (len(fate.arrivals_s) > 1) + REPEAT * copy,
        )
        for number, fate in enumerate(fates, first)
        for copy, at in enumerate(fate.arrivals_s)
    ]
    bursts = sum(fate.burst for fate in fates)
    lost_bursts = sum(fate.burst and not fate.arrivals_s for fate in fates)
    lost = sum(not fate.arrivals_s for fate in fates)
    return Sent(
        Tally(len(fates) - bursts, bursts),
        Tally(lost - lost_bursts, lost_bursts),
        dropped,
        np.array([row[0] for row in rows], dtype=np.float64),
        np.array([row[1] for row in rows], dtype=np.float64),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype=np.uint8),
        [str(row[2]).encode() for row in rows],
    )


def deliver(fates: dict[str, list[Fate]], drop: set[int]) -> tuple[Delivery, Broker]:
    """Run each device's fates through a broker."""
    broker = Broker(drop)
    delivery = Delivery(broker.env, broker.publish)
    process = broker.env.process(delivery.run())
    for device, its_fates in fates.items():
        delivery.put(device, TOPICS, sent(its_fates))
    delivery.close()
    broker.env.run(process)
    return delivery, broker


# Few different times, so that many arrive together.
arrivals = st.lists(st.one_of(st.floats(0.0, 9.0), st.integers(0, 9).map(float)), max_size=2)
fates = st.dictionaries(
    st.sampled_from(["b", "a", "c", "aa"]),
    st.lists(st.builds(Fate, st.booleans(), arrivals.map(tuple)), max_size=20),
    min_size=1,
)


@settings(max_examples=100, deadline=None)
@given(fates=fates, drop=st.sets(st.integers(0, 80)))
def test_published_is_lost_plus_discarded_plus_delivered_on_distinct_messages(
    fates: dict[str, list[Fate]], drop: set[int]
) -> None:
    delivery, broker = deliver(fates, drop)
    accepted = Counter((m.client_id, m.payload) for i, m in enumerate(broker.seen) if i not in drop)
    for books, is_burst in (
        (delivery.counters.readings, False),
        (delivery.counters.bursts, True),
    ):
        mine = {
            (device, str(i).encode()): fate
            for device, its_fates in fates.items()
            for i, fate in enumerate(its_fates)
            if fate.burst is is_burst
        }
        assert books.published == len(mine)
        assert books.under_way == 0
        assert books.lost_in_network == sum(not fate.arrivals_s for fate in mine.values())
        assert books.delivered == sum(accepted[key] > 0 for key in mine)
        assert books.duplicates_delivered == sum(accepted[key] > 1 for key in mine)
        assert books.duplicates_sent == sum(len(fate.arrivals_s) > 1 for fate in mine.values())
    for message in broker.seen:
        fate = fates[message.client_id][int(message.payload)]
        assert message.at_s in fate.arrivals_s
        assert message.topic == TOPICS[fate.burst]


@settings(max_examples=100, deadline=None)
@given(fates=fates)
def test_the_broker_sees_arrival_order_in_batches_of_one_second(
    fates: dict[str, list[Fate]],
) -> None:
    _, broker = deliver(fates, set())
    keys = [(message.at_s, message.client_id, int(message.payload)) for message in broker.seen]
    assert keys == sorted(keys)
    assert broker.at_s == sorted({int(message.at_s) + 1 for message in broker.seen})


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60),
    travels=st.lists(st.floats(0.0, 40.0), min_size=60, max_size=60),
    block_s=st.sampled_from([2.5, 10.0, 50.0]),
)
def test_blocks_put_ahead_make_the_same_batches_whatever_their_length(
    gaps: list[float], travels: list[float], block_s: float
) -> None:
    produced = np.cumsum(gaps).tolist()
    its_fates = [Fate(False, (at + travel,)) for at, travel in zip(produced, travels, strict=False)]

    def run(block_s: float) -> list[tuple[float, tuple[Message, ...]]]:
        broker = Broker()
        delivery = Delivery(broker.env, broker.publish)

        def machine() -> Generator[simpy.Event, Any, None]:
            begun = 0
            while begun < len(produced):
                end = sum(at < broker.env.now + block_s for at in produced)
                delivery.put("a", TOPICS, sent(its_fates[begun:end], begun))
                begun = end
                yield broker.env.timeout(block_s)
            delivery.close()

        broker.env.process(machine())
        broker.env.run(broker.env.process(delivery.run()))
        found, begin = [], 0
        for at in broker.at_s:
            batch = tuple(m for m in broker.seen[begin:] if int(m.at_s) + 1 == at)
            begin += len(batch)
            found.append((at, batch))
        assert begin == len(broker.seen) == len(produced)
        return found

    assert run(block_s) == run(1_000.0)


def test_messages_that_arrive_together_are_ordered_by_device() -> None:
    one = [Fate(False, (1.5,))]
    _, broker = deliver({"c": one, "a": one, "b": one}, set())
    assert [message.client_id for message in broker.seen] == ["a", "b", "c"]


def test_drops_without_positions_are_the_last_of_their_batch() -> None:
    env = simpy.Environment()
    delivery = Delivery(env, lambda m: SimpleNamespace(delivered=len(m) - 1, discarded=1))
    its_fates = [Fate(True, (0.5,)), Fate(False, (0.6,)), Fate(False, (0.7,))]
    delivery.put("a", TOPICS, sent(its_fates))
    delivery.close()
    env.run(env.process(delivery.run()))
    assert delivery.counters.bursts.delivered == 1
    assert delivery.counters.readings.delivered == 1
    assert delivery.counters.readings.discarded_by_broker == 1


def test_what_the_buffer_dropped_is_counted_apart_and_as_lost() -> None:
    delivery = Delivery(simpy.Environment(), lambda batch: Answer(len(batch), 0))
    delivery.put("a", TOPICS, sent([Fate(False, ())] * 3, dropped=Tally(2, 0)))
    books = delivery.counters.readings
    assert (books.published, books.lost_in_network, books.dropped_in_buffer) == (3, 3, 2)
    assert books.under_way == 0


def test_it_tells_when_nothing_is_under_way_and_goes_on_afterwards() -> None:
    broker = Broker()
    env, delivery = broker.env, Delivery(broker.env, broker.publish)
    process = env.process(delivery.run())
    assert delivery.emptied().triggered
    delivery.put("a", TOPICS, NOTHING)
    assert delivery.emptied().triggered
    delivery.put("a", TOPICS, sent([Fate(False, (3.5,))]), origin_s=10.0)
    env.run(delivery.emptied())
    assert (env.now, broker.seen[0].at_s) == (14.0, 13.5)
    env.run(until=50.0)
    delivery.put("a", TOPICS, sent([Fate(False, (60.25,))], 1))
    delivery.close()
    env.run(process)
    assert broker.at_s == [14.0, 61.0]


@settings(max_examples=60, deadline=None)
@given(
    came=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=60, unique=True),
    cut=st.integers(0, 60),
    at_once=st.sampled_from([1, 10, 1_000]),
)
def test_sequence_numbers_tell_what_was_reordered_and_is_missing(
    came: list[tuple[int, int]], cut: int, at_once: int
) -> None:
    hops = Hops()
    with patch("simulator.fleet.hops.ROWS_AT_ONCE", at_once):
        for part in (came[:cut], came[cut:]):
            devices = np.array([device for device, _ in part], dtype=np.int64)
            numbers = np.array([number for _, number in part], dtype=np.int64)
            hops.follow(devices, numbers, numbers / 10.0)
    for device in range(5):
        mine = [number for its, number in came if its == device]
        found = hops.of(device)
        assert found.arrived == len(mine)
        assert found.reordered == sum(n < max(mine[:i]) for i, n in enumerate(mine) if i)
        assert found.missing == (max(mine) + 1 - len(mine) if mine else 0)
        if mine:
            assert found.most_travel_s == max(mine) / 10.0
            assert found.mean_travel_s == pytest.approx(float(np.mean(mine)) / 10.0)


def test_hops_are_those_of_first_copies_by_device() -> None:
    its_fates = [Fate(False, (1.5, 6.0)), Fate(False, ()), Fate(True, (2.0,)), Fate(False, (1.8,))]
    delivery, _ = deliver({"a": its_fates, "b": []}, set())
    hops = delivery.hops()
    assert (hops["a"].arrived, hops["a"].reordered, hops["a"].missing) == (3, 1, 1)
    assert hops["b"].arrived == 0
