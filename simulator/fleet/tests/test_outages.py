"""Absences: when connections break, when clients try again, and how a storm is spread."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.outages import (
    CONNECTS_PER_S,
    Absence,
    absences,
    attempts_per_s,
    least_backoff_s,
)
from simulator.fleet.settings import NetworkSettings, OfflinePeriod, OutageSettings

DAY_S = 86_400.0


def absent(
    network: NetworkSettings, device: str = "a", live_start_s: float = 0.0, horizon_s: float = DAY_S
) -> list[Absence]:
    return absences(device, 3, network, live_start_s=live_start_s, horizon_s=horizon_s)


def storm(machines: int, outages: OutageSettings, down_s: float = 0.0) -> list[Absence]:
    """Return the absences of all machines whom the broker, or the network, leaves at once."""
    return [
        absence
        for i in range(machines)
        for absence in absent(
            NetworkSettings(
                offline=(OfflinePeriod(f"m{i}", 100.0, down_s),) if down_s else (), outages=outages
            ),
            f"m{i}",
        )
    ]


periods = st.lists(
    st.builds(OfflinePeriod, st.just("a"), st.floats(0.0, 900.0), st.floats(1.0, 200.0)),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(
    offline=periods,
    storms=st.lists(st.floats(0.0, 900.0), max_size=4),
    per_day=st.sampled_from([0.0, 200.0, 2_000.0]),
    first_s=st.floats(0.0, 20.0),
)
def test_a_client_comes_back_when_there_is_a_network_and_not_before(
    offline: list[OfflinePeriod], storms: list[float], per_day: float, first_s: float
) -> None:
    outages = OutageSettings(per_day, 20.0, tuple(storms), first_s, 60.0)
    network = NetworkSettings(offline=tuple(offline), outages=outages)
    found = absent(network, live_start_s=50.0, horizon_s=1_000.0)
    for absence in found:
        assert absence.start_s <= absence.attempts_s[0]
        assert absence.end_s == absence.attempts_s[-1]
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s
    attempts = [at for absence in found for at in absence.attempts_s]
    assert all(later - at >= 1.0 - 1e-9 for at, later in pairwise(attempts))
    for period in offline:
        begin, end = 50.0 + period.onset_s, 50.0 + period.onset_s + period.duration_s
        assert any(a.start_s <= begin and a.end_s >= end for a in found)
    for at in storms:
        assert any(a.start_s <= 50.0 + at <= a.end_s for a in found)


def test_waits_are_uniform_up_to_a_bound_that_doubles() -> None:
    outages = OutageSettings(backoff_first_s=4.0, backoff_most_s=64.0)
    waits: list[list[float]] = [[] for _ in range(6)]
    for absence in storm(2_000, outages, down_s=600.0):
        for n, (at, later) in enumerate(pairwise(absence.attempts_s)):
            if n < len(waits):
                waits[n].append(later - at)
    for n, found in enumerate(waits):
        bound_s = min(64.0, 4.0 * 2.0 ** (n + 1))
        assert max(found) <= bound_s
        assert np.mean(found) == pytest.approx(bound_s / 2.0, rel=0.1)
        assert np.std(found) == pytest.approx(bound_s / 12.0**0.5, rel=0.1)


def test_networks_fail_as_often_and_as_long_as_asked() -> None:
    outages = OutageSettings(20.0, mean_s=50.0, backoff_first_s=1e-6, backoff_most_s=1.0)
    found = [a for i in range(40) for a in absent(NetworkSettings(outages=outages), f"m{i}")]
    # Failures that begin while the device is away anyway are not absences of their own.
    assert len(found) / 40 == pytest.approx(20.0, rel=0.1)
    # A try a second: half of one is lost until the next.
    assert np.mean([a.end_s - a.start_s for a in found]) == pytest.approx(50.5, rel=0.1)


def test_other_devices_and_a_longer_run_move_no_absence() -> None:
    outages = OutageSettings(per_machine_day=20.0, mean_s=5.0)
    short = absent(NetworkSettings(outages=outages))
    assert absent(NetworkSettings(outages=outages), horizon_s=2 * DAY_S)[: len(short)] == short
    with_other = NetworkSettings(outages=outages, offline=(OfflinePeriod("b", 10.0, 50.0),))
    assert absent(with_other) == short
    assert absent(with_other, "b") != short


def test_full_jitter_flattens_the_storm() -> None:
    machines = 4_000
    at_once = OutageSettings(storms=(100.0,), backoff_first_s=1e-3)
    spread = OutageSettings(storms=(100.0,), backoff_first_s=1.25 * least_backoff_s(machines))
    assert attempts_per_s(storm(machines, at_once)).max() == machines
    calm = attempts_per_s(storm(machines, spread))
    assert calm.sum() == machines
    assert calm.max() <= CONNECTS_PER_S


def test_after_an_hour_without_network_attempts_are_spread_by_what_has_doubled() -> None:
    machines = 1_000
    outages = OutageSettings(backoff_first_s=1.0, backoff_most_s=128.0)
    found = storm(machines, outages, down_s=3_600.0)
    per_s = attempts_per_s(found)
    assert per_s.max() <= machines  # the first tries
    # From then on every client tries about once a minute, whenever it likes.
    assert per_s[600:].max() < 5 * machines / 64


def test_without_absences_nobody_connects() -> None:
    assert absent(NetworkSettings()) == []
    assert len(attempts_per_s([])) == 0
