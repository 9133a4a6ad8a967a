"""Connections and delivery: every distinct message has exactly one end, whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.delivery import Delivery, Message
from simulator.fleet.network import Connection, Fate
from simulator.fleet.settings import NetworkSettings

HOSTILE = NetworkSettings(loss=0.1, loss_run=3.0, duplicate=0.1, straggle=0.2)


def connection(settings: NetworkSettings, *offline: tuple[float, float]) -> Connection:
    return Connection("pump-001", 1, settings, offline)


@dataclass(frozen=True)
class Answer:
    delivered: int
    discarded: int
    discarded_positions: tuple[int, ...] = ()


@settings(max_examples=30, deadline=None)
@given(
    cut=st.lists(st.integers(1, 80), min_size=1, max_size=6),
    offline=st.floats(0.0, 200.0),
)
def test_fates_do_not_depend_on_how_messages_are_grouped(cut: list[int], offline: float) -> None:
    times = np.arange(float(sum(cut)))
    once = connection(HOSTILE, (offline, offline + 20.0)).send(times)
    pieces = connection(HOSTILE, (offline, offline + 20.0))
    grouped = [f for part in np.split(times, np.cumsum(cut)[:-1]) for f in pieces.send(part)]
    assert once == grouped


@pytest.mark.parametrize(("loss", "run"), [(0.01, 1.5), (0.05, 4.0), (0.2, 2.0)])
def test_loss_has_the_share_and_the_runs_that_were_asked_for(loss: float, run: float) -> None:
    fates = connection(NetworkSettings(loss=loss, loss_run=run)).send(np.arange(200_000.0))
    lost = np.array([not fate.arrivals_s for fate in fates])
    runs = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.mean() == pytest.approx(loss, rel=0.1)
    assert lost.sum() / runs == pytest.approx(run, rel=0.1)


def test_a_quiet_network_loses_repeats_and_reorders_nothing() -> None:
    fates = connection(NetworkSettings()).send(np.arange(5_000.0))
    arrivals = [fate.arrivals_s for fate in fates]
    assert {len(copies) for copies in arrivals} == {1}
    assert all(a[0] > sent for sent, a in enumerate(arrivals))
    assert arrivals == sorted(arrivals)


def test_stragglers_reorder() -> None:
    fates = connection(NetworkSettings(straggle=0.05)).send(np.arange(2_000.0))
    first = [fate.arrivals_s[0] for fate in fates]
    assert first != sorted(first)


def test_a_backlog_waits_for_the_connection_and_is_paced_in_order() -> None:
    still = NetworkSettings(delay_s=0.0)
    fates = connection(still, (100.0, 400.0)).send(np.arange(600.0))
    arrivals = np.array([fate.arrivals_s[0] for fate in fates])
    assert not np.any((arrivals >= 100.0) & (arrivals < 400.0))
    assert np.all(np.diff(arrivals) > 0.0)
    assert np.diff(arrivals).min() == pytest.approx(1.0 / 50.0)
    assert arrivals[-1] == 599.0


def deliver(
    fates: Sequence[Fate], drop: set[int], *, device: str = "a"
) -> tuple[Delivery, list[Message], list[float]]:
    """Run fates through a broker that drops the messages at these places of its whole input."""
    env = simpy.Environment()
    seen: list[Message] = []
    at: list[float] = []

    def publish(batch: Sequence[Message]) -> Answer:
        dropped = tuple(i for i in range(len(batch)) if len(seen) + i in drop)
        seen.extend(batch)
        at.append(env.now)
        return Answer(len(batch) - len(dropped), len(dropped), dropped)

    delivery = Delivery(env, publish)
    process = env.process(delivery.run())
    for i, fate in enumerate(fates):
        books = delivery.counters.bursts if i % 5 == 0 else delivery.counters.readings
        delivery.add(device, books, "t", str(i).encode(), fate)
    delivery.close()
    env.run(process)
    return delivery, seen, at


arrivals = st.lists(st.floats(0.0, 30.0), max_size=3).map(lambda copies: Fate(tuple(copies)))


@given(fates=st.lists(arrivals, max_size=40), drop=st.sets(st.integers(0, 80)))
def test_published_is_lost_plus_discarded_plus_delivered_on_distinct_messages(
    fates: list[Fate], drop: set[int]
) -> None:
    delivery, seen, _ = deliver(fates, drop)
    accepted = [m.payload for i, m in enumerate(seen) if i not in drop]
    for kind, books in enumerate((delivery.counters.bursts, delivery.counters.readings)):
        mine = [i for i in range(len(fates)) if (i % 5 != 0) == bool(kind)]
        arrived = {i for i in mine if str(i).encode() in accepted}
        assert books.published == len(mine)
        assert books.under_way == 0
        assert books.lost_in_network == sum(not fates[i].arrivals_s for i in mine)
        assert books.delivered == len(arrived)
        copies = sum(str(i).encode() == payload for i in mine for payload in accepted)
        assert books.duplicates_delivered == copies - len(arrived)
        assert books.duplicates_sent == sum(max(0, len(fates[i].arrivals_s) - 1) for i in mine)


@given(fates=st.lists(arrivals, max_size=40))
def test_the_broker_sees_arrival_order_in_batches_of_one_second(fates: list[Fate]) -> None:
    _, seen, at = deliver(fates, set())
    times = [message.at_s for message in seen]
    assert times == sorted(times)
    assert at == sorted({int(time) + 1 for time in times})


def test_messages_that_arrive_together_are_ordered_by_device() -> None:
    env = simpy.Environment()
    seen: list[str] = []

    def publish(batch: Sequence[Message]) -> Answer:
        seen.extend(message.client_id for message in batch)
        return Answer(len(batch), 0)

    delivery = Delivery(env, publish)
    for device in ("c", "a", "b"):
        delivery.add(device, delivery.counters.readings, "t", b"", Fate((1.5,)))
    delivery.close()
    env.run(env.process(delivery.run()))
    assert seen == ["a", "b", "c"]
