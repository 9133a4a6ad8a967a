"""The sensors that a detection names are those that the fault moves.

A small plant without a cloud: the machines' own samples, the pipeline's features, training,
scores and detector. What a fault moves is read from the fault's own table, not from the samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.detection.fleet_data import FleetRows, rows_of
from benchmarks.detection.fleet_rules import defaults, trained
from benchmarks.detection.fleet_scenarios import spec
from pipeline.detection.device_detection import MODEL_RULE, DeviceDetection, ScoredRow
from pipeline.detection.episodes import Rule
from pipeline.device_state import DeviceState
from pipeline.model import inference
from pipeline.model.artefact import Artefact
from simulator.fleet.catalogue import SENSOR_FAULTS
from simulator.fleet.faults import EFFECT_NAMES, fault_of
from simulator.scenario import Scenario

KIND = "centrifugal_pump"
FAULTS = (
    ("bearing_outer_race", ""),
    ("imbalance", ""),
    ("cavitation", ""),
    ("overheating", ""),
    ("gain", "pressure_bar"),
    ("bias_drift", "temperature_c"),
)
"""Those that a history of eighty minutes is enough for: thresholds are high after so little."""
LEAST = 0.03
"""A relative effect below this is not what a fault is known by."""


class Found(NamedTuple):
    """A detection in a fault's time: what it names, the first first, and what the fault moves."""

    fault: str
    named: tuple[str, ...]
    moved: frozenset[str]


def sensors_of(effect: str) -> tuple[str, ...]:
    """Return the sensors that an effect of `MachineFault` shows on."""
    if effect.endswith("_mm_s"):
        return ("velocity_mm_s_rms", "vibration_burst")
    if effect.endswith("_m_s2"):
        return ("vibration_burst",)
    return {
        "heat": ("temperature_c",),
        "runaway": ("temperature_c",),
        "pressure": ("pressure_bar",),
        "ripple_bar": ("pressure_bar",),
        "current": ("current_a",),
        "current_swing": ("current_a",),
    }.get(effect, ())


def moved_by(fault: str, sensor: str) -> frozenset[str]:
    """Return the sensors that a fault of a pump moves, or the one that is broken."""
    if fault in SENSOR_FAULTS:
        return frozenset({sensor})
    effects = fault_of(KIND, fault)
    large = [name for name in EFFECT_NAMES if abs(getattr(effects, name)) >= LEAST]
    return frozenset(sensor for name in large for sensor in sensors_of(name))


def plant() -> FleetRows:
    """Return the rows of a plant in which each machine has one of the faults."""
    table = {
        "name": "drivers",
        "seed": 4,
        "history_s": 4_800.0,
        "live_s": 2_400.0,
        "fleet": {"sensors": list(spec().sensors), "machines": len(FAULTS), "burst_period_s": 120},
        "faults": [
            {
                "device": f"pump-{number:03}",
                "kind": kind,
                **({"sensor": sensor} if sensor else {}),
                "onset_s": 300.0,
                "duration_s": 1_800.0,
                "severity": 0.7,
            }
            for number, (kind, sensor) in enumerate(FAULTS, 1)
        ],
    }
    return rows_of(Scenario.from_table(table), spec(), workers=1)


def detected(rows: FleetRows, model: Artefact) -> list[Found]:
    """Return what the detector finds in the faults' time, as it would in the cloud."""
    answered = spec()
    rule = Rule(
        model.rule.smoothing_rows,
        model.rule.enter,
        model.rule.exit,
        model.rule.enter_rows,
        model.rule.exit_rows,
        max_gap_ms=answered.window_ms,
    )
    found = []
    for machine, (fault, sensor) in zip(rows.machines, FAULTS, strict=True):
        live = machine.event_time_ms >= rows.live_start_ms
        times = machine.event_time_ms[live].tolist()
        owners = [machine.device_id] * len(times)
        answer = inference.predict_fn(inference.Request(owners, machine.features[live]), model)
        named = [
            tuple(zip(model.model.sensors, shares, strict=True))
            for shares in answer["contributions"].tolist()
        ]
        scored = zip(times, answer["scores"].tolist(), named, strict=True)
        device = DeviceDetection(DeviceState.new(answered))
        _, detections = device.detect(
            machine.device_id,
            [ScoredRow(at_ms, score, None, shares) for at_ms, score, shares in scored],
            rule,
            model.version,
        )
        (truth,) = rows.truth.of(machine.device_id)
        for each in detections:
            if each.rule == MODEL_RULE and truth.start_ms <= each.started_ms <= truth.end_ms:
                ranked = sorted(each.shares, key=lambda share: -share[1])
                names = tuple(name for name, _ in ranked)
                found.append(Found(fault, names, moved_by(fault, sensor)))
    return found


@pytest.fixture(scope="module")
def found() -> list[Found]:
    rows = plant()
    return detected(rows, trained(rows, defaults()))


def strangers(found: list[Found], most: int = 1) -> list[Found]:
    """Return the detections that name none of the moved sensors among the first."""
    return [each for each in found if not each.moved & set(each.named[:most])]


def test_every_fault_is_found_and_moves_some_sensors_but_not_all(found: list[Found]) -> None:
    assert {each.fault for each in found} == {fault for fault, _ in FAULTS}
    for each in found:
        assert each.moved < set(each.named)
        assert each.moved


def test_the_first_sensor_that_a_detection_names_is_one_that_its_fault_moves(
    found: list[Found],
) -> None:
    assert strangers(found) == []


def test_so_it_is_with_the_detections_of_the_demo() -> None:
    text = (Path(__file__).with_name("golden") / "demo_report.json").read_text("utf-8")
    kinds = {truth["device_id"]: truth["kind"] for truth in json.loads(text)["truth"]}
    sensors = {plan.device: plan.sensor for plan in Scenario.load("demo").faults}
    of_demo = []
    for each in json.loads(text)["detections"]:
        fault, shares = kinds[each["device_id"]], each["contributions"]
        named = tuple(sorted(shares, key=lambda name: -shares[name]))
        of_demo.append(Found(fault, named, moved_by(fault, sensors[each["device_id"]])))
    assert {each.fault for each in of_demo} == set(kinds.values())
    assert strangers(of_demo) == []


def test_names_of_other_faults_would_not_do(found: list[Found]) -> None:
    names: Mapping[str, tuple[str, ...]] = {each.fault: each.named for each in found}
    faults = [fault for fault, _ in FAULTS]
    swapped = [
        each._replace(named=names[faults[(faults.index(each.fault) + shift) % len(faults)]])
        for each in found
        for shift in range(1, len(faults))
    ]
    assert len(strangers(swapped)) > len(swapped) / 2
