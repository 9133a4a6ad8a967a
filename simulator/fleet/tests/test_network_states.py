"""A connection against its rules: any sequence of sending, waiting, breaks and returns."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.fleet.network import Connection
from simulator.fleet.sent import BURST, REPEAT, Sent
from simulator.fleet.settings import NetworkSettings, OfflinePeriod, OutageSettings

PACE_PER_S = 20.0


class Client(RuleBasedStateMachine):
    """Sends over a connection whose breaks come between the rules, when their time is there."""

    @initialize(
        delay_s=st.sampled_from([0.0, 0.15, 3.0]),
        offline=st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(0.1, 60.0)), max_size=3),
        storms=st.lists(st.floats(0.0, 300.0), max_size=3),
        per_day=st.sampled_from([0.0, 1_500.0]),
        buffer=st.sampled_from([0, 1, 5, 40]),
        when_full=st.sampled_from(["drop_oldest", "drop_newest"]),
        loss=st.sampled_from([0.0, 0.3]),
        duplicate=st.sampled_from([0.0, 0.3]),
    )
    def connect(
        self,
        delay_s: float,
        offline: list[tuple[float, float]],
        storms: list[float],
        per_day: float,
        buffer: int,
        when_full: str,
        loss: float,
        duplicate: float,
    ) -> None:
        self.network = NetworkSettings(
            delay_s=delay_s,
            loss=loss,
            duplicate=duplicate,
            backlog_per_s=PACE_PER_S,
            buffer=buffer,
            when_full=when_full,
            offline=tuple(OfflinePeriod("a", begin, length) for begin, length in offline),
            outages=OutageSettings(per_day, 10.0, tuple(storms), 1.0, 8.0),
        )
        self.link = Connection("a", 7, self.network, horizon_s=400.0)
        self.now_s = 0.0
        self.known_s = 0.0
        self.sent_s: list[float] = []
        self.kinds: list[bool] = []
        self.firsts: dict[int, float] = {}
        self.lost = np.zeros(2, dtype=np.int64)
        self.dropped = np.zeros(2, dtype=np.int64)

    @rule(
        gaps=st.lists(st.sampled_from([0.0, 0.01, 0.2, 1.0, 5.0]), min_size=1, max_size=25),
        bursts=st.booleans(),
        rest_s=st.floats(0.0, 2.0),
    )
    def send(self, gaps: list[float], bursts: bool, rest_s: float) -> None:
        times = self.now_s + np.cumsum(gaps)
        first = len(self.sent_s)
        kinds = [not (bursts and i % 3 == 0) for i in range(len(times))]
        payloads = [b"%d" % i for i in range(first, first + len(times))]
        self.sent_s += times.tolist()
        self.kinds += kinds
        begin_s, self.known_s = self.known_s, float(times[-1]) + rest_s
        self.now_s = self.known_s
        self._take(self.link.send(times, payloads, kinds, self.known_s), begin_s)

    @rule(wait_s=st.floats(0.0, 80.0))
    def wait(self, wait_s: float) -> None:
        begin_s, self.known_s = self.known_s, self.known_s + wait_s
        self.now_s = self.known_s
        self._take(self.link.send(np.empty(0), [], [], self.known_s), begin_s)

    @rule()
    def flush(self) -> None:
        """Let the client send all it has; it sends nothing else meanwhile."""
        self._take(self.link.finish(), self.known_s)
        assert self.link.held == 0
        if self.firsts:
            self.now_s = self.known_s = max(self.now_s, *self.firsts.values())

    def _take(self, sent: Sent, begin_s: float) -> None:
        self.lost += sent.lost
        self.dropped += sent.dropped
        rows = zip(sent.at_s, sent.sent_s, sent.numbers, sent.flags, sent.payloads, strict=True)
        for at, sent_s, number, flags, payload in rows:
            assert at >= begin_s, "a fate came to be known after the message had arrived"
            assert at >= sent_s == self.sent_s[number]
            assert payload == b"%d" % number
            assert bool(flags & BURST) != self.kinds[number]
            assert not any(a.start_s + 1e-8 <= at < a.end_s - 1e-8 for a in self.link.absences)
            if flags < REPEAT:
                assert number not in self.firsts
                self.firsts[int(number)] = float(at)

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "link"):
            assert len(self.sent_s) == len(self.firsts) + self.lost.sum() + self.link.held
            assert np.all(self.dropped <= self.lost)
            if not self.network.loss:
                assert np.array_equal(self.dropped, self.lost)

    @invariant()
    def the_buffer_keeps_its_bound(self) -> None:
        if hasattr(self, "link"):
            assert self.link.buffered <= self.network.buffer

    @invariant()
    def the_pace_keeps_its_limit(self) -> None:
        if hasattr(self, "link") and self.network.delay_s == 0.0:
            # Without a delay, arrival is the time of sending.
            at = np.sort(list(self.firsts.values()))
            assert np.all(np.diff(at) >= 1.0 / PACE_PER_S - 3e-9)
            order = [self.firsts[number] for number in sorted(self.firsts)]
            assert order == sorted(order)


TestClient = Client.TestCase
TestClient.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
