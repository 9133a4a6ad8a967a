"""Scenarios: what loads, and the exact words with which the rest is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.scenario import Scenario, list_scenarios
from simulator.scenario_build import CHOICES, RANGES


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_table(table)
    return str(caught.value)


def fault(**changes: Any) -> dict[str, Any]:
    plan = {"device": "pump-001", "kind": "imbalance", "onset_s": 10, "duration_s": 60}
    return {"faults": [{**plan, **changes}]}


@pytest.mark.parametrize("name", ["demo", "healthy", "tiny"])
def test_every_built_in_scenario_loads_and_describes_itself(name: str) -> None:
    assert Scenario.load(name).name == name
    assert list_scenarios()[name] == Scenario.load(name).description != ""


def test_the_demo_is_the_size_that_the_product_promises() -> None:
    demo = Scenario.load("demo")
    readings = demo.fleet.machines * demo.fleet.rate_hz * (demo.history_s + demo.live_s)
    assert readings > 200_000
    assert len({plan.device for plan in demo.faults}) == len(demo.faults) == 6
    assert len({plan.kind for plan in demo.faults}) == 6


def test_an_empty_table_is_a_scenario_of_defaults_at_an_aware_start() -> None:
    assert Scenario.from_table({}) == Scenario()
    assert Scenario().start == datetime(2026, 1, 5, tzinfo=UTC)


def test_a_scenario_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scenario().seed = 2  # type: ignore[misc]


def test_another_seed_changes_nothing_else() -> None:
    demo = Scenario.load("demo")
    assert demo.with_seed(7) == dataclasses.replace(demo, seed=7)


def test_zero_severity_keeps_the_plan_of_faults() -> None:
    demo = Scenario.load("demo")
    zero = demo.with_zero_severity()
    assert {plan.severity for plan in zero.faults} == {0.0}
    assert [p.device for p in zero.faults] == [p.device for p in demo.faults]


def test_training_values_become_strings_as_hyperparameters_are() -> None:
    table = {"pipeline": {"training": {"epochs": 3, "rate": 0.5, "whiten": True}}}
    training = Scenario.from_table(table).pipeline.training
    assert training == {"epochs": "3", "rate": "0.5", "whiten": "true"}


def test_only_the_features_that_a_scenario_sets_are_changes() -> None:
    table = {"pipeline": {"features": {"window_s": 30, "bursts": False}}}
    changes = Scenario.from_table(table).pipeline.features.changes()
    assert changes == {"window_s": 30, "bursts": False}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sead": 1}, "sead: unknown key; did you mean 'seed'?"),
        ({"fleet": {"machnes": 3}}, "fleet.machnes: unknown key; did you mean 'machines'?"),
        (fault(severty=1), "faults[0].severty: unknown key; did you mean 'severity'?"),
        ({"fleet": {"rate_hz": "1"}}, "fleet.rate_hz: expected a number, got '1'; change its type"),
        ({"seed": True}, "seed: expected a whole number, got True; change its type"),
        ({"seed": 1.5}, "seed: expected a whole number, got 1.5; change its type"),
        ({"fleet": 3}, "fleet: expected a table, got 3; write [fleet]"),
        ({"faults": {"a": 1}}, "faults: expected a list of tables; write [[faults]]"),
        (
            {"start": datetime(2026, 1, 5)},  # noqa: DTZ001
            "start: expected a time with zone; write 2026-01-05T00:00:00Z",
        ),
        (
            {"seed": -1},
            "seed: -1 is out of range; use 0 to 9223372036854775807",
        ),
        (
            {"fleet": {"sensors": ["temprature_c"]}},
            "fleet.sensors[0]: unknown sensor 'temprature_c'; did you mean 'temperature_c'?",
        ),
        (
            {"network": {"loss": 5}},
            "network.loss: 5 is out of range; use 0 to 0.5 (a share, not a percentage)",
        ),
        (
            {"network": {"loss": 0.5, "loss_run": 1}},
            "network.loss_run: runs of 1 are shorter than independent loss gives; "
            "use at least 2 messages",
        ),
        (
            fault(severity=float("nan")),
            "faults[0].severity: nan is out of range; use 0 to 1 (a share, not a percentage)",
        ),
        (
            fault(kind="imbalanse"),
            "faults[0].kind: unknown fault 'imbalanse'; did you mean 'imbalance'?",
        ),
        (
            fault(device="pump-099"),
            "faults[0].device: no machine 'pump-099' in the fleet; use pump-001 to pump-020",
        ),
        (
            fault(kind="bias_drift", sensor="pressure"),
            "faults[0].sensor: unknown sensor 'pressure'; did you mean 'pressure_bar'?",
        ),
        (
            fault(kind="bias_drift"),
            "faults[0].sensor: bias_drift needs a sensor; choose one of temperature_c, "
            "velocity_mm_s_rms, pressure_bar, flow_m3_h, current_a, speed_rpm",
        ),
        (
            fault(sensor="current_a"),
            "faults[0].sensor: imbalance is a fault of the machine; remove it",
        ),
        (
            {"live_s": 100, **fault(onset_s=50, duration_s=80)},
            "faults[0].duration_s: ends 130 s into a live part of 100 s; use at most 50 s or a "
            "longer live_s",
        ),
        (
            {"live_s": 100, **fault(onset_s=150, duration_s=80)},
            "faults[0].onset_s: 150 s lies after the end of a live part of 100 s; use less than "
            "100 s or a longer live_s",
        ),
        (
            {"faults": fault()["faults"] * 2},
            "faults[1].onset_s: overlaps faults[0], the same fault of pump-001; move one of them",
        ),
        ({"faults": [{"device": "pump-001"}]}, "faults[0].kind: missing; add it"),
        ({"replay": {}}, "replay.folder: missing; add it"),
        (
            {"fleet": {"kind": "centrifugal_bump"}},
            "fleet.kind: unknown kind 'centrifugal_bump'; did you mean 'centrifugal_pump'?",
        ),
        (
            {"fleet": {"burst_length_s": 9}},
            "fleet.burst_length_s: a burst of 108000 samples exceeds the 128 KB of an MQTT "
            "message; use at most 4 s",
        ),
        (
            {"pipeline": {"training": {"layers": [1]}}},
            "pipeline.training.layers: expected text or a number, got [1]",
        ),
        (
            {"drifts": [{"kind": "gain", "sensor": "current", "onset_s": 0}]},
            "drifts[0].sensor: unknown sensor 'current'; did you mean 'current_a'?",
        ),
        (
            {"drifts": [{"kind": "stuck_at", "sensor": "current_a", "onset_s": 0}]},
            "drifts[0].kind: unknown kind 'stuck_at'; choose one of bias_drift, gain, "
            "noise_increase",
        ),
        (
            {"live_s": 100, "drifts": [{"kind": "gain", "sensor": "current_a", "onset_s": 100}]},
            "drifts[0].onset_s: 100 s is not within the run; use -5400 to less than 100 s",
        ),
        (
            {"replay": {"folder": "x"}, **fault()},
            "faults: a replay brings its own labels; remove [[faults]]",
        ),
    ],
)
def test_a_scenario_is_refused_with_path_cause_and_cure(
    table: dict[str, Any], message: str
) -> None:
    assert refusal(table) == message


def test_an_unknown_scenario_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ScenarioError, match=r"^dmo: no such scenario; did you mean 'demo'\?$"):
        Scenario.load("dmo")
    with pytest.raises(ScenarioError, match="no such file"):
        Scenario.load("nowhere/demo.toml")


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("seed = \n")
    with pytest.raises(ScenarioError, match=r"broken\.toml: not TOML: .*line 1"):
        Scenario.load(path)


def test_a_replay_folder_counts_from_the_scenario_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[replay]\nfolder = "runs"\n')
    scenario = Scenario.load(path)
    assert scenario.name == "own"
    assert scenario.replay is not None
    assert scenario.replay.folder == str(tmp_path / "runs")


LISTS = ("faults", "fault_rates", "drifts", "groups", "offline", "wear", "storms")


def nested(path: str, value: Any) -> tuple[dict[str, Any], str]:
    """Return a table with one value at a path of `RANGES`, and the path as a refusal names it."""
    table: Any = value
    named = []
    for key in reversed(path.split(".")):
        table = {key: [table] if key in LISTS else table}
        named.append(f"{key}[0]" if key in LISTS else key)
    return table, ".".join(reversed(named))


@given(path=st.sampled_from(sorted(RANGES)), excess=st.floats(0.001, 1e6), above=st.booleans())
def test_no_number_outside_its_range_passes(path: str, excess: float, above: bool) -> None:
    low, high, _ = RANGES[path]
    wrong = high + excess if above else low - excess
    table, named = nested(path, wrong)
    said = refusal(table)
    if "expected a whole number" in said:
        wrong = int(high) + 1 if above else int(low) - 1
        table, named = nested(path, wrong)
        said = refusal(table)
    assert said.startswith(f"{named}: {wrong!r} is out of range; use ")


@given(path=st.sampled_from(sorted(CHOICES)), word=st.text("abcdefgh_", min_size=1, max_size=12))
def test_no_word_passes_that_is_not_a_choice(path: str, word: str) -> None:
    if word in CHOICES[path]:
        return
    table, named = nested(path, word)
    if path in ("fleet.sensors", "fault_rates.kinds_of_machine", "life.wear.kinds_of_machine"):
        table, named = nested(path, [word])
        named += "[0]"
    said = refusal(table)
    assert said.startswith(f"{named}: unknown ")
    assert "did you mean" in said or "choose one of" in said


def test_every_number_and_every_word_of_a_scenario_is_bounded() -> None:
    """A field without a range would be taken as it is: find it before a user does."""
    free = {"name", "description", "faults.device", "faults.sensor", "fault_rates.sensor"}
    free |= {"network.offline.device", "replay.folder", "drifts.sensor"}

    def walk(kind: Any, path: str) -> None:
        for name, hint in get_type_hints(kind).items():
            where = f"{path}.{name}" if path else name
            inner = [h for h in (hint, *get_args(hint)) if dataclasses.is_dataclass(h)]
            if inner:
                walk(inner[0], where)
            elif {int, float} & {hint, *get_args(hint)}:
                assert where in RANGES, where
            elif str in (hint, *get_args(hint)) and get_origin(hint) is not Mapping:
                assert where in CHOICES or where in free, where

    walk(Scenario, "")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"fleet": {"kind": "spindle"}, **fault(device="spindle-001", kind="cavitation")},
            "faults[0].kind: spindle-001 is a CNC spindle and cannot have 'cavitation'; "
            "a centrifugal pump can",
        ),
        (
            {"fleet": {"kind": "electric_motor", "sensors": ["pressure_bar"]}},
            "fleet.sensors[0]: no machine of this fleet has 'pressure_bar'; remove it",
        ),
        (
            {"fleet": {"machines": 3, "groups": [{"kind": "spindle"}]}},
            "fleet.groups: says how many machines of which kind there are; remove fleet.machines "
            "and fleet.kind, or the groups",
        ),
        (
            fault(onset_s=-6_000),
            "faults[0].onset_s: -6000 s lies before a history of 5400 s; use at least -5400 s",
        ),
        (
            fault(kind="frozen_timestamp", sensor="current_a"),
            "faults[0].sensor: frozen_timestamp concerns the device; remove it",
        ),
        (
            {"fault_rates": [{"kind": "gear_tooth", "per_machine_day": 1}]},
            "fault_rates[0].kind: no machine of this fleet can have 'gear_tooth'; "
            "a fan with gearbox can",
        ),
        (
            {"fault_rates": [{"kind": "imbalance", "per_machine_day": 1, "severity_low": 0.9}]},
            "fault_rates[0].severity_low: is above severity_high; use at most 0.7",
        ),
        (
            {"life": {"wear": [{"kind": "imbalance", "life_s": 9e5}] * 2}},
            "life.wear[1].kind: 'imbalance' twice; remove one",
        ),
        (
            {"life": {"maintenance": {"response_s": 60}}},
            "life.maintenance.response_s: 60 s is less than response_least_s; use at least 600 s",
        ),
        (
            {"network": {"loss": 0.2, "loss_in_bad": 0.1}},
            "network.loss: 0.2 lies outside of what the two states lose, loss_in_good 0 to "
            "loss_in_bad 0.1; use a value between them",
        ),
        (
            {"network": {"outages": {"storms": [9_999_999]}}},
            "network.outages.storms[0]: 1e+07 s lies after a live part of 9000 s; use less or a "
            "longer live_s",
        ),
        (
            {"fleet": {"sensors": "current_a"}},
            "fleet.sensors: expected a list of values; write [ ... ]",
        ),
    ],
)
def test_what_no_single_value_shows_is_refused(table: dict[str, Any], message: str) -> None:
    assert refusal(table) == message


def test_drawn_faults_depend_on_the_seed_and_not_on_other_machines() -> None:
    rates = {"fault_rates": [{"kind": "imbalance", "per_machine_day": 12}]}
    few = Scenario.from_table({"fleet": {"machines": 5}, **rates})
    many = Scenario.from_table({"fleet": {"machines": 9}, **rates})
    assert few.all_faults
    assert [p for p in many.all_faults if p.device <= "pump-005"] == list(few.all_faults)
    assert few.with_seed(2).all_faults != few.all_faults
    assert all(p.onset_s + p.duration_s <= few.live_s for p in few.all_faults)
    assert {p.severity for p in few.with_zero_severity().all_faults} == {0.0}


@given(key=st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1))
def test_no_key_that_is_not_known_passes(key: str) -> None:
    known = {f.name for f in dataclasses.fields(Scenario)}
    if key not in known:
        assert refusal({key: 1}).startswith(f"{key}: unknown key; ")
