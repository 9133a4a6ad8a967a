"""Drawn fleets with drawn faults publish the same twice: what "embedded, twice" begins with.

The second run makes its samples in blocks of another length. The whole pipeline behind is
`test_journey`'s, with one scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import simpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.fleet.delivery import Message
from simulator.fleet.fleet import BLOCK_S, Fleet
from simulator.fleet.settings import FleetSettings
from simulator.scenario import Scenario
from simulator.testing.strategies import START_MS, fault_schedules, fleets

LIVE_S = 90.0


@dataclass(frozen=True)
class Taken:
    """What a broker answers to a batch of which it takes everything."""

    delivered: int
    discarded: int = 0


def published(scenario: Scenario, block_s: float) -> list[Message]:
    """Return every message of a run, in the order in which the broker gets them."""
    env = simpy.Environment()
    found: list[Message] = []

    def take(messages: Sequence[Message]) -> Taken:
        found.extend(messages)
        return Taken(len(messages))

    fleet = Fleet(scenario, env, START_MS / 1000, take, block_s)
    fleet.start()
    env.run(fleet.finished)
    return found


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), fleet=fleets(most_machines=2), seed=st.integers(0, 99))
def test_a_drawn_fleet_with_faults_publishes_the_same_twice(
    data: st.DataObject, fleet: FleetSettings, seed: int
) -> None:
    faults = data.draw(fault_schedules(fleet, LIVE_S))
    scenario = replace(
        Scenario(), seed=seed, history_s=30.0, live_s=LIVE_S, fleet=fleet, faults=faults
    )
    once = published(scenario, BLOCK_S)
    assert once
    assert published(scenario, 35.0) == once
