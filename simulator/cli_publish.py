"""`fleetwin publish`: a fleet that speaks MQTT to any broker, or to AWS IoT Core, in real time."""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import ScenarioError
from simulator.scenario import Scenario

if TYPE_CHECKING:
    from simulator.fleet.mqtt import MqttPublisher
    from simulator.fleet.plant import PlantPlan

BLOCK_S = 60.0
DRAIN_S = 30.0


def publish(
    scenario: Annotated[
        str, typer.Argument(help="A built-in scenario (see `fleetwin scenarios`) or a TOML file.")
    ],
    broker: Annotated[str, typer.Option(help="mqtt://HOST:1883 or mqtts://HOST:8883.")],
    ca: Annotated[Path | None, typer.Option(help="PEM file of the CA of the broker.")] = None,
    cert: Annotated[Path | None, typer.Option(help="PEM file of the client's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the client's key.")] = None,
    speed: Annotated[
        str, typer.Option(help="Simulated seconds per real second: 1, 60, ... or max.")
    ] = "1",
    seconds: Annotated[
        float | None, typer.Option(help="End after so many simulated seconds.", min=1)
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Only the first so many machines.", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another random seed.")] = None,
) -> None:
    """Publish the live part of a scenario by MQTT 3.1.1 with QoS 1, one connection a machine.

    Event times are as if the live part began now. The network's faults are left out: this network
    is real.

    Example: fleetwin publish demo --broker mqtt://127.0.0.1:1883 --speed 10
    """
    from simulator.fleet.mqtt import Broker, MqttPublisher
    from simulator.fleet.plant import plan_of

    pace = speed_of(speed)
    chosen = Scenario.load(scenario)
    chosen = chosen if seed is None else chosen.with_seed(seed)
    target = Broker.parse(broker, ca, cert, key)
    begin_ms = time.time_ns() // 1_000_000
    plan = plan_of(chosen, begin_ms - round(chosen.history_s * 1000))
    names = list(plan.devices)[:devices]
    end_s = min(plan.total_s, plan.live_start_s + (seconds or math.inf))
    publisher = MqttPublisher(target, names)
    try:
        publisher.connect()
        print(f"fleetwin: {len(names)} machines connected to {broker}", file=sys.stderr)
        _run(publisher, plan, names, end_s, pace)
        if not publisher.drain(DRAIN_S):
            print(f"fleetwin: {publisher.counts.waiting} not acknowledged", file=sys.stderr)
    finally:
        publisher.close()
        counts = publisher.counts
        print(
            f"{counts.published:,} published = {counts.acknowledged:,} acknowledged + "
            f"{counts.waiting:,} not; {counts.reconnects:,} reconnects"
        )


def speed_of(text: str) -> float:
    """Return virtual seconds per real second; ``max`` is infinitely many."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise ScenarioError(f"--speed {text}: must be max or a number above 0, such as 1 or 60")
    return speed


def _run(
    publisher: MqttPublisher, plan: PlantPlan, names: list[str], end_s: float, pace: float
) -> None:
    began = time.monotonic()
    said = began
    for at_s, device, topic, payload in _messages(plan, names, end_s):
        due = began + (at_s - plan.live_start_s) / pace
        while (wait_s := due - time.monotonic()) > 0:
            publisher.work(min(wait_s, 0.5))
        publisher.publish(device, topic, payload)
        # A broker that is slower than we are bounds what waits here.
        while publisher.counts.waiting > 50 * len(names):
            publisher.work(0.05)
        if time.monotonic() - said > 5.0:
            said = time.monotonic()
            counts = publisher.counts
            print(
                f"fleetwin: {at_s - plan.live_start_s:,.0f} s, {counts.acknowledged:,} of "
                f"{counts.published:,} acknowledged",
                file=sys.stderr,
            )


def _messages(
    plan: PlantPlan, names: list[str], end_s: float
) -> Iterator[tuple[float, str, str, bytes]]:
    """Yield time, device, topic and payload of the live part in the order of sending."""
    from pipeline.messages import burst_topic, telemetry_topic
    from simulator.fleet.plant import Unit

    units = {name: Unit(plan, name) for name in names}
    for unit in units.values():
        # What was before is made and not sent: signals go on from their history.
        unit.until(plan.live_start_s)
    from_s = plan.live_start_s
    while from_s < end_s:
        until_s = min(end_s, from_s + BLOCK_S)
        parts = []
        for name, unit in units.items():
            batch = unit.batch(until_s)
            topics = [burst_topic(name), telemetry_topic(name)]
            rows = zip(batch.sent_s.tolist(), batch.payloads, batch.is_reading, strict=True)
            parts.append([(at, name, topics[reading], body) for at, body, reading in rows])
        yield from heapq.merge(*parts, key=lambda row: (row[0], row[1]))
        from_s = until_s
