"""What no single value of a scenario shows: faults that cannot happen, sizes that do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import DEVICE_FAULTS, KINDS, SENSOR_FAULTS, devices_of, sensors_of
from simulator.fleet.settings import (
    DriftPlan,
    FaultPlan,
    FaultRate,
    FleetSettings,
    LifeSettings,
    NetworkSettings,
    OfflinePeriod,
)
from simulator.scenario_build import suggestion

if TYPE_CHECKING:
    from simulator.scenario import Scenario

MAX_BURST_SAMPLES = 48_000
"""As base64 of int16 with its envelope this just fits AWS IoT Core's 128 KB per publish."""

MOST_MACHINES = 100_000


def check(scenario: Scenario) -> None:
    """Raise ScenarioError for the first thing that cannot be."""
    _check_fleet(scenario.fleet)
    _check_network(scenario.network)
    devices = devices_of(scenario.fleet)
    for i, period in enumerate(scenario.network.offline):
        _check_interval(f"network.offline[{i}]", period, scenario, devices)
    for i, at_s in enumerate(scenario.network.outages.storms):
        if at_s > scenario.live_s:
            raise ScenarioError(
                f"network.outages.storms[{i}]: {at_s:g} s lies after a live part of "
                f"{scenario.live_s:g} s; use less or a longer live_s"
            )
    sensors = sensors_of(scenario.fleet)
    for i, plan in enumerate(scenario.faults):
        _check_interval(f"faults[{i}]", plan, scenario, devices)
        _check_fault(f"faults[{i}]", plan, devices[plan.device], sensors)
        _check_overlap(i, plan, scenario.faults[:i])
    for i, rate in enumerate(scenario.fault_rates):
        _check_rate(f"fault_rates[{i}]", rate, set(devices.values()), sensors)
    for i, drift in enumerate(scenario.drifts):
        _check_drift(f"drifts[{i}]", drift, scenario, sensors)
    _check_life(scenario.life, set(devices.values()))
    kept = {
        "faults": scenario.faults,
        "fault_rates": scenario.fault_rates,
        "drifts": scenario.drifts,
        "life": scenario.life.wear,
    }
    if scenario.replay and any(kept.values()):
        key = next(name for name, there in kept.items() if there)
        raise ScenarioError(f"{key}: a replay brings its own labels; remove [[{key}]]")


def _check_fleet(fleet: FleetSettings) -> None:
    if fleet.groups and (
        fleet.machines != FleetSettings.machines or fleet.kind != FleetSettings.kind
    ):
        raise ScenarioError(
            "fleet.groups: says how many machines of which kind there are; remove fleet.machines "
            "and fleet.kind, or the groups"
        )
    total = sum(group.machines for group in fleet.groups)
    if total > MOST_MACHINES:
        raise ScenarioError(
            f"fleet.groups: {total:,} machines in all; use at most {MOST_MACHINES:,}"
        )
    for i, name in enumerate(fleet.sensors):
        if name not in sensors_of(fleet):
            raise ScenarioError(
                f"fleet.sensors[{i}]: no machine of this fleet has {name!r}; remove it"
            )
    samples = fleet.burst_rate_hz * fleet.burst_length_s
    if samples > MAX_BURST_SAMPLES and fleet.burst_period_s > 0:
        raise ScenarioError(
            f"fleet.burst_length_s: a burst of {samples:.0f} samples exceeds the 128 KB of an "
            f"MQTT message; use at most {MAX_BURST_SAMPLES / fleet.burst_rate_hz:g} s"
        )
    if 0 < fleet.burst_period_s < fleet.burst_length_s:
        raise ScenarioError(
            f"fleet.burst_length_s: {fleet.burst_length_s:g} s is longer than "
            f"fleet.burst_period_s; use at most {fleet.burst_period_s:g} s"
        )


def _check_network(network: NetworkSettings) -> None:
    if network.loss > 0.0 and not network.loss_in_good <= network.loss <= network.loss_in_bad:
        raise ScenarioError(
            f"network.loss: {network.loss:g} lies outside of what the two states lose, "
            f"loss_in_good {network.loss_in_good:g} to loss_in_bad {network.loss_in_bad:g}; "
            "use a value between them"
        )
    bad = 0.0
    if network.loss > network.loss_in_good:
        bad = (network.loss - network.loss_in_good) / (network.loss_in_bad - network.loss_in_good)
    shortest = math.inf if bad >= 1.0 else 1.0 / (1.0 - bad)
    if network.loss > 0.0 and network.loss_run < shortest:
        raise ScenarioError(
            f"network.loss_run: runs of {network.loss_run:g} are shorter than independent loss "
            f"gives; use at least {math.ceil(shortest * 100) / 100:g} messages"
        )
    outages = network.outages
    if outages.backoff_most_s < outages.backoff_first_s:
        raise ScenarioError(
            f"network.outages.backoff_most_s: {outages.backoff_most_s:g} s is less than "
            f"backoff_first_s; use at least {outages.backoff_first_s:g} s"
        )


def _check_interval(
    path: str,
    item: OfflinePeriod | FaultPlan,
    scenario: Scenario,
    devices: Mapping[str, str],
) -> None:
    if item.device not in devices:
        names = list(devices)
        raise ScenarioError(
            f"{path}.device: no machine {item.device!r} in the fleet; use {names[0]} to {names[-1]}"
        )
    if item.onset_s < -scenario.history_s:
        raise ScenarioError(
            f"{path}.onset_s: {item.onset_s:g} s lies before a history of {scenario.history_s:g} "
            f"s; use at least {-scenario.history_s:g} s"
        )
    live_s = scenario.live_s
    if item.onset_s >= live_s:
        raise ScenarioError(
            f"{path}.onset_s: {item.onset_s:g} s lies after the end of a live part of {live_s:g} "
            f"s; use less than {live_s:g} s or a longer live_s"
        )
    if item.onset_s + item.duration_s > live_s:
        raise ScenarioError(
            f"{path}.duration_s: ends {item.onset_s + item.duration_s:g} s into a live part of "
            f"{live_s:g} s; use at most {live_s - item.onset_s:g} s or a longer live_s"
        )


def _check_fault(path: str, plan: FaultPlan, kind: str, sensors: Sequence[str]) -> None:
    if plan.kind not in SENSOR_FAULTS:
        if plan.sensor:
            raise ScenarioError(f"{path}.sensor: {plan.kind} is a fault of the machine; remove it")
        if plan.kind not in KINDS[kind].faults:
            raise ScenarioError(
                f"{path}.kind: {plan.device} is a {KINDS[kind].title} and cannot have "
                f"{plan.kind!r}; {_who_can(plan.kind)}"
            )
        return
    if plan.kind in DEVICE_FAULTS:
        if plan.sensor:
            raise ScenarioError(f"{path}.sensor: {plan.kind} concerns the device; remove it")
        return
    fitted = [name for name in KINDS[kind].sensors if name in sensors]
    if plan.sensor not in fitted:
        cause = f"unknown sensor {plan.sensor!r}" if plan.sensor else f"{plan.kind} needs a sensor"
        raise ScenarioError(f"{path}.sensor: {cause}; {suggestion(plan.sensor, fitted)}")


def _who_can(fault: str) -> str:
    titles = [f"a {kind.title}" for kind in KINDS.values() if fault in kind.faults]
    return f"{' or '.join(titles)} can"


def _check_overlap(i: int, plan: FaultPlan, earlier: Sequence[FaultPlan]) -> None:
    for j, other in enumerate(earlier):
        same = (plan.device, plan.kind, plan.sensor) == (other.device, other.kind, other.sensor)
        apart = (
            plan.onset_s >= other.onset_s + other.duration_s
            or other.onset_s >= plan.onset_s + plan.duration_s
        )
        if same and not apart:
            raise ScenarioError(
                f"faults[{i}].onset_s: overlaps faults[{j}], the same fault of {plan.device}; "
                "move one of them"
            )


def _check_rate(path: str, rate: FaultRate, kinds: set[str], sensors: Sequence[str]) -> None:
    for low, high in (("severity_low", "severity_high"), ("duration_low_s", "duration_high_s")):
        if getattr(rate, low) > getattr(rate, high):
            raise ScenarioError(
                f"{path}.{low}: is above {high}; use at most {getattr(rate, high):g}"
            )
    if rate.kind not in SENSOR_FAULTS:
        if rate.sensor:
            raise ScenarioError(f"{path}.sensor: {rate.kind} is a fault of the machine; remove it")
        if not any(rate.kind in KINDS[kind].faults for kind in kinds):
            raise ScenarioError(
                f"{path}.kind: no machine of this fleet can have {rate.kind!r}; "
                f"{_who_can(rate.kind)}"
            )
    elif rate.sensor and (rate.kind in DEVICE_FAULTS or rate.sensor not in sensors):
        raise ScenarioError(
            f"{path}.sensor: {rate.kind} of {rate.sensor!r} cannot be; "
            f"{suggestion(rate.sensor, sensors)}"
        )


def _check_drift(path: str, drift: DriftPlan, scenario: Scenario, sensors: Sequence[str]) -> None:
    if drift.sensor not in sensors:
        raise ScenarioError(
            f"{path}.sensor: unknown sensor {drift.sensor!r}; {suggestion(drift.sensor, sensors)}"
        )
    if not -scenario.history_s <= drift.onset_s < scenario.live_s:
        raise ScenarioError(
            f"{path}.onset_s: {drift.onset_s:g} s is not within the run; use "
            f"{-scenario.history_s:g} to less than {scenario.live_s:g} s"
        )


def _check_life(life: LifeSettings, kinds: set[str]) -> None:
    seen: set[str] = set()
    for i, wear in enumerate(life.wear):
        if not any(wear.kind in KINDS[kind].faults for kind in kinds):
            raise ScenarioError(
                f"life.wear[{i}].kind: no machine of this fleet can have {wear.kind!r}; "
                f"{_who_can(wear.kind)}"
            )
        if wear.kind in seen:
            raise ScenarioError(f"life.wear[{i}].kind: {wear.kind!r} twice; remove one")
        seen.add(wear.kind)
    work = life.maintenance
    if work.response_s < work.response_least_s:
        raise ScenarioError(
            f"life.maintenance.response_s: {work.response_s:g} s is less than response_least_s; "
            f"use at least {work.response_least_s:g} s"
        )
