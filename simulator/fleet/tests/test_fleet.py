"""The fleet on its clock: what is published, when, and that nothing else moves it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import simpy

from simulator.errors import InvariantBroken
from simulator.fleet.delivery import Message
from simulator.fleet.fleet import Fleet
from simulator.fleet.plant import FleetPlan
from simulator.fleet.settings import (
    DriftPlan,
    FaultPlan,
    FleetSettings,
    GroupSettings,
    LifeSettings,
    MaintenanceSettings,
    NetworkSettings,
    OfflinePeriod,
    WearSettings,
)

START = 1_767_571_200.0
FAULTS = (
    FaultPlan("pump-001", "cavitation", 60.0, 100.0, 0.6),
    FaultPlan("pump-002", "stuck_at", 80.0, 60.0, 1.0, "current_a"),
)
HOSTILE = NetworkSettings(
    loss=0.02,
    duplicate=0.03,
    straggle=0.02,
    offline=(OfflinePeriod("pump-001", 30.0, 20.0),),
)


@dataclass(frozen=True)
class Plan:
    seed: int = 5
    history_s: float = 120.0
    live_s: float = 200.0
    fleet: FleetSettings = field(
        default_factory=lambda: FleetSettings(machines=3, burst_period_s=60, burst_length_s=0.1)
    )
    network: NetworkSettings = HOSTILE
    all_faults: Sequence[FaultPlan] = FAULTS
    drifts: Sequence[DriftPlan] = ()
    life: LifeSettings = field(default_factory=LifeSettings)


def run(
    plan: FleetPlan, block_s: float = 300.0, begin_s: float = 0.0
) -> tuple[Fleet, list[Message]]:
    env = simpy.Environment(begin_s)
    seen: list[Message] = []

    def publish(batch: Sequence[Message]) -> SimpleNamespace:
        assert batch, "an empty batch is not published"
        assert all(env.now - 1.0 <= message.at_s <= env.now for message in batch)
        seen.extend(batch)
        return SimpleNamespace(delivered=len(batch), discarded=0)

    fleet = Fleet(plan, env, START, publish, block_s)
    fleet.start()
    env.run(fleet.finished)
    return fleet, seen


def by_device(messages: Sequence[Message]) -> dict[str, list[Message]]:
    found = defaultdict(list)
    for message in messages:
        found[message.client_id].append(message)
    return found


def test_the_books_add_up_and_every_message_is_published_once_by_the_devices() -> None:
    fleet, seen = run(Plan())
    readings, bursts = fleet.counters.readings, fleet.counters.bursts
    assert readings.published == 3 * 320
    assert readings.under_way == bursts.under_way == 0
    assert readings.lost_in_network > 0
    assert readings.duplicates_sent > 0
    copies = readings.duplicates_delivered + bursts.duplicates_delivered
    assert len(seen) == readings.delivered + bursts.delivered + copies
    assert len({m.payload for m in seen}) == readings.delivered + bursts.delivered


def test_a_quiet_fleet_delivers_gapless_sequences_at_regular_times() -> None:
    fleet, seen = run(Plan(network=NetworkSettings()))
    for device, messages in by_device(seen).items():
        bodies = [json.loads(m.payload) for m in messages if m.topic.endswith("telemetry")]
        assert [body["seq"] for body in bodies] == list(range(320))
        times = [body["event_time_ms"] for body in bodies]
        assert all(b - a == 1_000 for a, b in pairwise(times))
        assert START * 1_000 <= times[0] < START * 1_000 + 1_000
        assert {body["device_id"] for body in bodies} == {device}
        bursts = [json.loads(m.payload) for m in messages if m.topic.endswith("burst")]
        assert [body["seq"] for body in bursts] == list(range(len(bursts)))
        assert len(bursts) >= 4
    assert fleet.devices == ("pump-001", "pump-002", "pump-003")


@pytest.mark.parametrize("block_s", [7.0, 60.0, 1_000.0])
def test_the_block_length_changes_nothing(block_s: float) -> None:
    _, seen = run(Plan(), block_s)
    assert seen == run(Plan())[1]


def test_other_devices_change_nothing() -> None:
    few = by_device(run(Plan())[1])
    more = replace(Plan().fleet, machines=5)
    many = by_device(run(Plan(fleet=more))[1])
    for device, messages in few.items():
        assert messages == many[device]


def test_two_seeds_differ_and_one_seed_repeats() -> None:
    assert run(Plan())[1] == run(Plan())[1]
    assert run(Plan())[1] != run(replace(Plan(), seed=6))[1]


def test_zero_severity_publishes_what_a_healthy_fleet_does_and_labels_nothing() -> None:
    zero = tuple(replace(plan, severity=0.0) for plan in FAULTS)
    fleet, seen = run(Plan(all_faults=zero))
    assert seen == run(Plan(all_faults=()))[1]
    assert fleet.truth.records() == []


def test_a_drift_is_in_what_every_machine_shows_from_its_onset_on_and_in_no_label() -> None:
    plain = Plan(all_faults=(), network=NetworkSettings())
    fleet, seen = run(replace(plain, drifts=(DriftPlan("gain", "current_a", 40.0, 0.5),)))
    _, before = run(plain)
    assert fleet.truth.records() == []
    onset_ms = round((START + 120 + 40) * 1000)
    drifted = set()
    for message, usual in zip(seen, before, strict=True):
        shown, was = json.loads(message.payload), json.loads(usual.payload)
        if "values" not in shown:
            assert message == usual
            continue
        factor = shown["values"].pop("current_a") / was["values"].pop("current_a")
        assert shown == was
        if shown["event_time_ms"] < onset_ms:
            assert factor == 1.0
        else:
            assert factor == pytest.approx(1.15, abs=0.02)
            drifted.add(shown["device_id"])
    assert drifted == {"pump-001", "pump-002", "pump-003"}
    zero = replace(plain, drifts=(DriftPlan("gain", "current_a", 40.0, 0.0),))
    assert run(zero)[1] == before


def test_no_payload_carries_a_label() -> None:
    for message in run(Plan())[1]:
        assert b"cavitation" not in message.payload
        assert b"stuck" not in message.payload


def test_truth_counts_onsets_from_the_start_of_the_live_part() -> None:
    fleet, _ = run(Plan(), begin_s=10.4)
    live_ms = round((START + 11 + 120) * 1_000)
    assert fleet.truth.live_ms["pump-003"] == (live_ms, live_ms + 200_000)
    first, second = fleet.truth.intervals
    assert (first.device_id, first.start_ms, first.end_ms) == (
        "pump-001",
        live_ms + 60_000,
        live_ms + 160_000,
    )
    assert (second.category, second.sensor) == ("sensor_fault", "current_a")


def test_the_history_ends_when_the_live_part_begins() -> None:
    env = simpy.Environment()
    fleet = Fleet(Plan(), env, START, lambda m: SimpleNamespace(delivered=len(m), discarded=0))
    with pytest.raises(InvariantBroken):
        _ = fleet.truth
    fleet.start()
    env.run(fleet.history_over)
    assert env.now == 120.0
    with pytest.raises(InvariantBroken):
        fleet.start()


WORN = LifeSettings(
    wear=(WearSettings("bearing_outer_race", 100.0, 3.0, "gamma", 60.0),),
    maintenance=MaintenanceSettings(
        "run_to_failure", response_s=30.0, response_least_s=30.0, work_s=60.0
    ),
)


@pytest.mark.parametrize("apart", [False, True])
def test_wear_and_failures_are_in_the_truth_of_both_gears(apart: bool) -> None:
    plan = Plan(life=WORN, all_faults=(), network=NetworkSettings())
    env = simpy.Environment()
    fleet = Fleet(
        plan, env, START, lambda m: SimpleNamespace(delivered=len(m), discarded=0), apart=apart
    )
    fleet.start()
    env.run(fleet.finished)
    fleet.close()
    here, _ = run(plan)
    assert fleet.truth == here.truth
    assert fleet.work_orders == here.work_orders
    worn = [f for f in fleet.truth.intervals if f.category == "wear"]
    assert worn
    assert fleet.truth.stops
    assert all(f.fails_ms is not None and f.fails_ms >= f.start_ms for f in worn)
    assert fleet.work_orders[0].treated == ("bearing_outer_race",)


def test_both_gears_send_the_same_bytes() -> None:
    """A fleet that may react, but is told nothing, against one that is made ahead."""
    ready = replace(WORN, maintenance=replace(WORN.maintenance, policy="condition_based"))
    assert run(Plan(life=ready))[1] == run(Plan(life=WORN))[1]


def test_an_alert_has_a_machine_repaired_and_the_log_repeats_it() -> None:
    ready = replace(
        WORN,
        wear=(replace(WORN.wear[0], growth_s=10_000.0),),
        maintenance=replace(WORN.maintenance, policy="condition_based"),
    )
    plan = Plan(life=ready, all_faults=(), network=NetworkSettings())
    env = simpy.Environment()
    fleet = Fleet(plan, env, START, lambda m: SimpleNamespace(delivered=len(m), discarded=0))
    fleet.start()
    env.run(130.0)
    fleet.order("pump-002", "alert-1")
    with pytest.raises(ValueError, match="pump-999"):
        fleet.order("pump-999")
    env.run(fleet.finished)
    [order] = fleet.work_orders
    assert (order.device_id, order.type, order.alert_id) == ("pump-002", "condition", "alert-1")
    assert order.started_s >= 160.0
    assert [d.alert_id for d in fleet.decisions] == ["alert-1"]


def test_a_mixed_fleet_names_its_machines_by_their_kind() -> None:
    mixed = FleetSettings(
        groups=(GroupSettings("electric_motor", 2), GroupSettings("spindle")), burst_period_s=0.0
    )
    fleet, seen = run(Plan(fleet=mixed, all_faults=(), network=NetworkSettings()))
    assert fleet.devices == ("motor-001", "motor-002", "spindle-001")
    sensors = {
        device: set(json.loads(messages[0].payload)["values"])
        for device, messages in by_device(seen).items()
    }
    assert "pressure_bar" not in sensors["motor-001"]
    assert "pressure_bar" in sensors["spindle-001"]
