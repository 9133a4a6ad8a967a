"""Scenarios: a TOML file becomes frozen dataclasses, or one line that says what to change.

`simulator.run` and the command line load them. A file is refused as a whole: unknown keys,
wrong types, values out of range and faults that cannot happen raise `ScenarioError` with the
path of the key, the cause and the cure. Built-in scenarios are the files in `scenarios/`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import devices_of
from simulator.fleet.rates import drawn_faults
from simulator.fleet.settings import (
    DriftPlan,
    FaultPlan,
    FaultRate,
    FleetSettings,
    LifeSettings,
    NetworkSettings,
)
from simulator.scenario_build import build, in_range, suggestion
from simulator.scenario_checks import check

FOLDER = Path(__file__).with_name("scenarios")


@dataclass(frozen=True)
class FeatureOverrides:
    """Settings of the feature spec that this scenario changes; None leaves the template's."""

    window_s: int | None = None
    hop_s: int | None = None
    allowed_lateness_s: int | None = None
    burst_max_age_s: int | None = None
    min_count: int | None = None
    bursts: bool | None = None

    def changes(self) -> dict[str, int | bool]:
        """Return only what differs from the template, by the feature spec's own names."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class PipelineSettings:
    """What the scenario asks of the pipeline: feature spec and training hyperparameters.

    ``training`` is passed on as it is (SageMaker: names and values are strings); the training
    job refuses names that it does not know.
    """

    features: FeatureOverrides = field(default_factory=FeatureOverrides)
    training: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StackSettings:
    """What the scenario asks of the stack: its own parameters, by the template's names.

    `simulator.stack_parameters` checks them against a template. Those that other tables of a
    scenario set (FeatureSpec, TrainingSettings) are refused here.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplaySettings:
    """Recorded runs in place of simulated machines; a relative folder counts from the file."""

    folder: str
    history_rows: int | None = None


@dataclass(frozen=True)
class Scenario:
    """Everything that defines a run; times in seconds, ``start`` aware UTC."""

    name: str = "unnamed"
    description: str = ""
    seed: int = 1
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    history_s: float = 5_400.0
    live_s: float = 9_000.0
    fleet: FleetSettings = field(default_factory=FleetSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    faults: tuple[FaultPlan, ...] = ()
    fault_rates: tuple[FaultRate, ...] = ()
    drifts: tuple[DriftPlan, ...] = ()
    life: LifeSettings = field(default_factory=LifeSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    stack: StackSettings = field(default_factory=StackSettings)
    replay: ReplaySettings | None = None

    @classmethod
    def load(cls, path_or_name: str | Path) -> Scenario:
        """Return a built-in scenario by name, or the one in a TOML file.

        Raises ScenarioError.
        """
        path = source_of(path_or_name)
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ScenarioError(f"{path}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ScenarioError(f"{path}: not TOML: {error}; correct that line") from None
        table.setdefault("name", path.stem)
        scenario = cls.from_table(table)
        if scenario.replay and not Path(scenario.replay.folder).is_absolute():
            folder = str(path.parent / scenario.replay.folder)
            scenario = replace(scenario, replay=replace(scenario.replay, folder=folder))
        return scenario

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Scenario:
        """Return the scenario that a parsed TOML table describes; raises ScenarioError."""
        scenario: Scenario = build(cls, table)
        check(scenario)
        return scenario

    @cached_property
    def all_faults(self) -> tuple[FaultPlan, ...]:
        """The planned faults and those that the rates give with this seed."""
        devices = devices_of(self.fleet)
        drawn = drawn_faults(
            self.seed, devices, self.fault_rates, self.live_s, fitted=self.fleet.sensors
        )
        return (*self.faults, *drawn)

    def with_seed(self, seed: int) -> Scenario:
        """Return the same scenario with other random numbers."""
        in_range("seed", seed)
        return replace(self, seed=seed)

    def with_zero_severity(self) -> Scenario:
        """Return the same scenario in which no fault has an effect and nothing wears."""
        return replace(
            self,
            faults=tuple(replace(plan, severity=0.0) for plan in self.faults),
            fault_rates=tuple(
                replace(rate, severity_low=0.0, severity_high=0.0) for rate in self.fault_rates
            ),
            drifts=tuple(replace(drift, severity=0.0) for drift in self.drifts),
            life=replace(self.life, wear=()),
        )


def list_scenarios() -> dict[str, str]:
    """Return name -> description of the built-in scenarios."""
    return {path.stem: Scenario.load(path).description for path in sorted(FOLDER.glob("*.toml"))}


def source_of(path_or_name: str | Path) -> Path:
    """Return the file of a built-in scenario, or the given one; raises ScenarioError."""
    path = Path(path_or_name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not path.is_file():
            raise ScenarioError(f"{path}: no such file; or take one of `fleetwin scenarios`")
        return path
    built_in = {found.stem: found for found in sorted(FOLDER.glob("*.toml"))}
    if str(path) not in built_in:
        raise ScenarioError(f"{path}: no such scenario; {suggestion(str(path), built_in)}")
    return built_in[str(path)]
