"""Connections: what becomes of messages, whichever way it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InvariantBroken
from simulator.fleet.network import Connection
from simulator.fleet.sent import BURST, REPEAT, TWICE, Produced, Sent, joined
from simulator.fleet.settings import NetworkSettings, OfflinePeriod, OutageSettings
from simulator.fleet.streams import FloatArray

AT_ONCE = OutageSettings(backoff_first_s=1e-3, backoff_most_s=1.0)
STILL = NetworkSettings(delay_s=0.0, outages=AT_ONCE)
HOSTILE = NetworkSettings(
    loss=0.1,
    loss_run=3.0,
    loss_in_bad=0.8,
    duplicate=0.1,
    straggle=0.2,
    buffer=8,
    outages=OutageSettings(per_machine_day=2_000.0, mean_s=5.0, storms=(100.0,)),
)


class Messages(NamedTuple):
    sent_s: FloatArray
    payloads: list[bytes]
    is_reading: list[bool]

    def part(self, begin: int, end: int) -> Messages:
        return Messages(
            self.sent_s[begin:end], self.payloads[begin:end], self.is_reading[begin:end]
        )


def messages(sent_s: Sequence[float] | FloatArray, size: int = 10) -> Messages:
    count = len(sent_s)
    payloads = [b"%d" % i + bytes(size) for i in range(count)]
    return Messages(np.asarray(sent_s, dtype=np.float64), payloads, [True] * count)


def offline(*spans: tuple[float, float]) -> tuple[OfflinePeriod, ...]:
    return tuple(OfflinePeriod("pump-001", begin, end - begin) for begin, end in spans)


def connection(network: NetworkSettings) -> Connection:
    return Connection("pump-001", 1, network, horizon_s=1_000.0)


def everything(link: Connection, given_in: Messages) -> Sent:
    return joined([link.send(*given_in), link.finish()])


def copies(sent: Sent) -> list[tuple[float, float, int, int, bytes]]:
    columns = sent.at_s, sent.sent_s, sent.numbers, sent.flags
    return sorted(zip(*(column.tolist() for column in columns), sent.payloads, strict=True))


def firsts(sent: Sent) -> FloatArray:
    """Return the arrivals of first copies in the order of production."""
    first = sent.flags < REPEAT
    return sent.at_s[first][np.argsort(sent.numbers[first])]


class Stepping(Connection):
    """A connection that steps through every message."""

    def _quiet(self, produced: Produced, until_ns: int) -> Sent | None:
        return None


@st.composite
def days(draw: st.DrawFn) -> tuple[NetworkSettings, Messages]:
    """Return a network and what a device produces: readings, bursts, some at the same time."""
    gaps = draw(st.lists(st.sampled_from([0.0, 0.004, 0.1, 1.0, 7.0]), min_size=1, max_size=120))
    sizes = draw(
        st.lists(st.sampled_from([0, 200, 40_000]), min_size=len(gaps), max_size=len(gaps))
    )
    given_in = Messages(
        np.cumsum(gaps) + 0.37,
        [b"%d" % i + bytes(size) for i, size in enumerate(sizes)],
        [size < 1_000 for size in sizes],
    )
    network = replace(
        draw(st.sampled_from([NetworkSettings(), STILL, HOSTILE, replace(HOSTILE, straggle=0.0)])),
        when_full=draw(st.sampled_from(["drop_oldest", "drop_newest"])),
        buffer=draw(st.sampled_from([0, 3, 1_000])),
    )
    if draw(st.booleans()):
        begin = draw(st.floats(0.0, 150.0))
        network = replace(network, offline=offline((begin, begin + draw(st.floats(0.1, 60.0)))))
    return network, given_in


@settings(max_examples=150, deadline=None)
@given(day=days(), cut=st.lists(st.integers(1, 40), max_size=6), slack=st.floats(0.0, 1.0))
def test_fates_do_not_depend_on_how_messages_are_grouped(
    day: tuple[NetworkSettings, Messages], cut: list[int], slack: float
) -> None:
    network, given_in = day
    whole = everything(connection(network), given_in)
    pieces, begin, parts = connection(network), 0, []
    for end in [*np.cumsum(cut).tolist(), len(given_in.sent_s)]:
        piece = given_in.part(begin, end)
        following = given_in.sent_s[end : end + 1]
        until_s = None
        if len(following) and len(piece.sent_s):
            last_s = float(piece.sent_s[-1])
            until_s = last_s + slack * (float(following[0]) - last_s)
        parts.append(pieces.send(*piece, until_s))
        begin = min(end, len(given_in.sent_s))
    grouped = joined([*parts, pieces.finish()])
    assert copies(grouped) == copies(whole)
    assert grouped[:3] == whole[:3]


@settings(max_examples=150, deadline=None)
@given(day=days())
def test_a_block_at_once_has_the_same_bits_as_message_by_message(
    day: tuple[NetworkSettings, Messages],
) -> None:
    network, given_in = day
    stepping = Stepping("pump-001", 1, network, horizon_s=1_000.0)
    at_once = everything(connection(network), given_in)
    stepped = everything(stepping, given_in)
    assert copies(at_once) == copies(stepped)
    assert at_once[:3] == stepped[:3]


@settings(max_examples=150, deadline=None)
@given(day=days())
def test_every_message_has_one_end_and_no_copy_comes_early_or_while_offline(
    day: tuple[NetworkSettings, Messages],
) -> None:
    network, given_in = day
    link = connection(network)
    sent = everything(link, given_in)
    assert sent.produced == (
        sum(given_in.is_reading),
        len(given_in.is_reading) - sum(given_in.is_reading),
    )
    for kind in (0, BURST):
        mine = sent.flags & BURST == kind
        arrived = np.count_nonzero(mine & (sent.flags < REPEAT))
        lost, dropped = sent.lost[kind], sent.dropped[kind]
        assert arrived + lost == sent.produced[kind]
        assert dropped <= lost
        assert np.count_nonzero(mine & (sent.flags & TWICE > 0)) == 2 * np.count_nonzero(
            mine & (sent.flags >= REPEAT)
        )
    for at, sent_s, number, flags, payload in copies(sent):
        assert at >= sent_s == given_in.sent_s[number]
        assert payload == given_in.payloads[number]
        assert bool(flags & BURST) != given_in.is_reading[number]
        assert not any(a.start_s + 1e-8 <= at < a.end_s - 1e-8 for a in link.absences)
    assert link.held == 0


def test_a_quiet_network_loses_repeats_and_reorders_nothing() -> None:
    sent = connection(NetworkSettings()).send(*messages(np.arange(5_000.0)))
    assert sent.lost == sent.dropped == (0, 0)
    assert not sent.flags.any()
    assert np.all(sent.at_s > sent.sent_s)
    assert np.all(np.diff(sent.at_s) > 0.0)


@pytest.mark.parametrize(
    "worse",
    [{"loss": 0.1}, {"duplicate": 0.1}, {"straggle": 0.1}, {"offline": offline((300.0, 310.0))}],
)
def test_a_fault_of_the_network_moves_no_message_that_it_does_not_meet(
    worse: dict[str, object],
) -> None:
    day = messages(np.arange(1_000.0))
    healthy = dict(
        zip(range(1_000), connection(NetworkSettings()).send(*day).at_s.tolist(), strict=True)
    )
    sent = everything(connection(replace(NetworkSettings(), **worse)), day)  # type: ignore[arg-type]
    moved = [
        number
        for at, number, flags in zip(sent.at_s, sent.numbers, sent.flags, strict=True)
        if flags < REPEAT and at != healthy[int(number)]
    ]
    if "straggle" in worse:
        assert 50 < len(moved) < 200
    elif "offline" in worse:
        assert moved
        assert all(299 <= number < 320 for number in moved)
    else:
        assert not moved


def test_stragglers_reorder() -> None:
    arrivals = firsts(connection(NetworkSettings(straggle=0.05)).send(*messages(range(2_000))))
    assert np.any(np.diff(arrivals) < 0.0)


def test_a_share_of_messages_comes_twice_after_a_retry_time() -> None:
    sent = connection(NetworkSettings(duplicate=0.05)).send(*messages(range(40_000)))
    repeats = sent.flags >= REPEAT
    assert repeats.sum() == pytest.approx(2_000, rel=0.1)
    first = dict(zip(sent.numbers[~repeats], sent.at_s[~repeats], strict=True))
    waits = [at - first[n] for at, n in zip(sent.at_s[repeats], sent.numbers[repeats], strict=True)]
    assert np.mean(waits) == pytest.approx(2.0 + 0.17, rel=0.1)


def test_a_backlog_waits_for_the_connection_and_is_paced_in_order() -> None:
    link = connection(replace(STILL, offline=offline((100.0, 400.0))))
    arrivals = firsts(everything(link, messages(np.arange(600.0))))
    (absence,) = link.absences
    assert not np.any((arrivals >= absence.start_s) & (arrivals < absence.end_s))
    assert absence.end_s < 402.0
    assert np.diff(arrivals).min() == pytest.approx(1.0 / 50.0, abs=2e-9)
    assert arrivals[100] == pytest.approx(absence.end_s, abs=1e-8)
    assert arrivals[-1] == 599.0


def test_long_messages_are_paced_by_the_throughput_of_the_connection() -> None:
    size = 100_000
    arrivals = firsts(everything(connection(STILL), messages([0.05 * i for i in range(40)], size)))
    assert np.diff(arrivals).min() >= size / (512 * 1024)
    assert arrivals[-1] == pytest.approx(39 * (size + 2) / (512 * 1024), abs=1e-3)


@pytest.mark.parametrize(
    ("when_full", "kept"), [("drop_oldest", range(190, 200)), ("drop_newest", range(100, 110))]
)
def test_a_full_buffer_drops_from_the_end_that_was_asked_for(when_full: str, kept: range) -> None:
    network = replace(STILL, offline=offline((99.5, 199.5)), buffer=10, when_full=when_full)
    sent = everything(connection(network), messages(np.arange(300.0)))
    came = set(sent.numbers.tolist())
    missing = set(range(300)) - came
    assert sent.dropped == sent.lost == (len(missing), 0)
    assert set(kept) - came <= {190, 191}  # a late return leaves no room for the oldest
    assert missing <= set(range(100, 202))
    assert len(came & set(range(100, 200))) in (8, 9, 10)


def test_what_was_on_its_way_when_the_connection_broke_is_sent_again_first() -> None:
    network = NetworkSettings(
        delay_s=5.0, delay_sigma=0.0, offline=offline((50.0, 60.0)), outages=AT_ONCE
    )
    link = connection(network)
    arrivals = firsts(everything(link, messages(np.arange(100.0))))
    (absence,) = link.absences
    assert arrivals[45] == pytest.approx(absence.end_s + 5.0)
    assert np.all(np.diff(arrivals) > 0.0)
    assert np.all(arrivals[:45] == np.arange(45) + 5.0)


def test_what_waits_at_the_end_is_sent_when_the_connection_is_back() -> None:
    link = connection(replace(STILL, offline=offline((90.0, 500.0))))
    before = link.send(*messages(np.arange(100.0)), until_s=100.0)
    assert (len(before.at_s), link.held, link.buffered) == (90, 10, 10)
    after = link.finish()
    assert len(after.at_s) == 10
    assert after.at_s.min() >= 500.0
    assert link.held == 0


def test_the_fate_of_what_waits_is_told_when_it_is_known() -> None:
    link = connection(replace(STILL, offline=offline((10.0, 20.0)), buffer=3))
    nothing = messages([])
    assert len(link.send(*messages(np.arange(10.0, 15.0)), until_s=15.0).at_s) == 0
    assert len(link.send(*nothing, until_s=19.0).at_s) == 0
    back = link.send(*nothing, until_s=30.0)
    assert back.numbers.tolist() == [2, 3, 4]
    assert link.send(*nothing, until_s=40.0).at_s.tolist() == []


@pytest.mark.parametrize(
    ("sent_s", "until_s"), [([3.0], 10.0), ([5.0, 12.0], 10.0), ([6.0, 5.0], 5.5)]
)
def test_messages_out_of_their_time_are_refused(sent_s: list[float], until_s: float) -> None:
    link = connection(NetworkSettings())
    link.send(*messages([1.0]), until_s=4.0)
    with pytest.raises(InvariantBroken):
        link.send(*messages(sent_s), until_s)
