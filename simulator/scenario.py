"""Scenarios: a TOML file becomes frozen dataclasses, or one line that says what to change.

`simulator.run` and the command line load them. A file is refused as a whole: unknown keys,
wrong types, values out of range and faults that cannot happen raise `ScenarioError` with the
path of the key, the cause and the cure. Built-in scenarios are the files in `scenarios/`.
"""

from __future__ import annotations

import difflib
import math
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from simulator.errors import ScenarioError
from simulator.fleet.faults import FAULT_KINDS, SENSOR_FAULTS, FaultPlan
from simulator.fleet.fleet import device_ids
from simulator.fleet.machine import MachineSettings
from simulator.fleet.network import NetworkSettings, OfflinePeriod
from simulator.fleet.sensors import SENSOR_NAMES

FOLDER = Path(__file__).with_name("scenarios")

MACHINE_KINDS = ("centrifugal_pump",)

MAX_BURST_SAMPLES = 48_000
"""As base64 of int16 with its envelope this just fits AWS IoT Core's 128 KB per publish."""


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
    fleet: MachineSettings = field(default_factory=MachineSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    faults: tuple[FaultPlan, ...] = ()
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    replay: ReplaySettings | None = None

    @classmethod
    def load(cls, path_or_name: str | Path) -> Scenario:
        """Return a built-in scenario by name, or the one in a TOML file.

        Raises ScenarioError.
        """
        path = _find(path_or_name)
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
        scenario: Scenario = _build(cls, table, "")
        _check(scenario)
        return scenario

    def with_seed(self, seed: int) -> Scenario:
        """Return the same scenario with other random numbers."""
        _in_range("seed", seed)
        return replace(self, seed=seed)

    def with_zero_severity(self) -> Scenario:
        """Return the same scenario in which no fault has an effect."""
        return replace(self, faults=tuple(replace(plan, severity=0.0) for plan in self.faults))


def list_scenarios() -> dict[str, str]:
    """Return name -> description of the built-in scenarios."""
    return {path.stem: Scenario.load(path).description for path in sorted(FOLDER.glob("*.toml"))}


RANGES: dict[str, tuple[float, float, str]] = {
    "seed": (0, 2**63 - 1, ""),
    "history_s": (60, 30 * 86_400, "s"),
    "live_s": (60, 30 * 86_400, "s"),
    "fleet.machines": (1, 999, "machines"),
    "fleet.rate_hz": (0.01, 20, "Hz"),
    "fleet.burst_period_s": (1, 86_400, "s"),
    "fleet.burst_rate_hz": (1_000, 48_000, "Hz"),
    "fleet.burst_length_s": (0.1, 10, "s"),
    "network.delay_s": (0, 60, "s"),
    "network.delay_sigma": (0, 3, ""),
    "network.loss": (0, 0.5, "(a share, not a percentage)"),
    "network.loss_run": (1, 1_000, "messages"),
    "network.duplicate": (0, 0.5, "(a share, not a percentage)"),
    "network.straggle": (0, 0.5, "(a share, not a percentage)"),
    "network.straggle_s": (0, 600, "s"),
    "network.backlog_per_s": (1, 100, "publishes/s"),
    "network.offline.onset_s": (0, 30 * 86_400, "s"),
    "network.offline.duration_s": (1, 86_400, "s"),
    "faults.onset_s": (0, 30 * 86_400, "s"),
    "faults.duration_s": (1, 30 * 86_400, "s"),
    "faults.severity": (0, 1, "(a share, not a percentage)"),
    "pipeline.features.window_s": (2, 3_600, "s"),
    "pipeline.features.hop_s": (1, 3_600, "s"),
    "pipeline.features.allowed_lateness_s": (0, 3_600, "s"),
    "pipeline.features.burst_max_age_s": (1, 86_400, "s"),
    "pipeline.features.min_count": (1, 100_000, "readings"),
    "replay.history_rows": (1, 10_000_000, "rows"),
}
"""Lowest and highest value, with its unit, of every number in a scenario."""


def _find(path_or_name: str | Path) -> Path:
    path = Path(path_or_name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not path.is_file():
            raise ScenarioError(f"{path}: no such file; or take one of `fleetwin scenarios`")
        return path
    built_in = {found.stem: found for found in sorted(FOLDER.glob("*.toml"))}
    if str(path) not in built_in:
        raise ScenarioError(f"{path}: no such scenario; {_suggest(str(path), built_in)}")
    return built_in[str(path)]


def _suggest(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}"


def _build(kind: type, table: Any, path: str) -> Any:
    """Return a dataclass of type ``kind`` made of a TOML table found at ``path``."""
    if not isinstance(table, Mapping):
        raise ScenarioError(f"{path}: expected a table, got {table!r}; write [{path}]")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            raise ScenarioError(f"{_join(path, key)}: unknown key; {_suggest(key, known)}")
    values = {key: _value(hints[key], value, _join(path, key)) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError:
        needed = [f.name for f in fields(kind) if f.name not in values and _is_required(f)]
        raise ScenarioError(f"{_join(path, needed[0])}: missing; add it") from None


def _is_required(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _value(hint: Any, value: Any, path: str) -> Any:
    """Return ``value`` as the type that ``hint`` asks for; raises ScenarioError."""
    if isinstance(hint, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if is_dataclass(hint):
        return _build(hint, value, path)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ScenarioError(f"{path}: expected a list of tables; write [[{path}]]")
        kind = get_args(hint)[0]
        return tuple(_build(kind, item, f"{path}[{i}]") for i, item in enumerate(value))
    if get_origin(hint) is Mapping:
        return _scalars(value, path)
    if hint is datetime:
        return _moment(value, path)
    if hint in (int, float):
        return _number(hint, value, path)
    if not isinstance(value, hint):
        raise ScenarioError(f"{path}: expected {WORDS[hint]}, got {value!r}; change its type")
    return value


WORDS = {str: 'text in "quotes"', bool: "true or false", int: "a whole number", float: "a number"}


def _number(kind: type, value: Any, path: str) -> int | float:
    fits = isinstance(value, int) or (kind is float and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        raise ScenarioError(f"{path}: expected {WORDS[kind]}, got {value!r}; change its type")
    _in_range(path, value)
    return float(value) if kind is float else int(value)


def _in_range(path: str, value: float) -> None:
    pattern = ".".join(part.partition("[")[0] for part in path.split("."))
    low, high, unit = RANGES[pattern]
    if not math.isfinite(value) or not low <= value <= high:
        words = f"{low:.15g} to {high:.15g} {unit}".rstrip()
        raise ScenarioError(f"{path}: {value!r} is out of range; use {words}")


def _moment(value: Any, path: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ScenarioError(f"{path}: expected a time with zone; write 2026-01-05T00:00:00Z")
    return value.astimezone(UTC)


def _scalars(value: Any, path: str) -> dict[str, str]:
    """Return a free table as strings, as SageMaker passes hyperparameters."""
    if not isinstance(value, Mapping):
        raise ScenarioError(f"{path}: expected a table, got {value!r}; write [{path}]")
    for key, item in value.items():
        if not isinstance(item, str | int | float):
            raise ScenarioError(f"{path}.{key}: expected text or a number, got {item!r}")
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}


def _check(scenario: Scenario) -> None:
    """Raise ScenarioError for what no single value shows."""
    fleet, network = scenario.fleet, scenario.network
    if fleet.kind not in MACHINE_KINDS:
        raise ScenarioError(
            f"fleet.kind: unknown kind {fleet.kind!r}; {_suggest(fleet.kind, MACHINE_KINDS)}"
        )
    samples = fleet.burst_rate_hz * fleet.burst_length_s
    if samples > MAX_BURST_SAMPLES:
        raise ScenarioError(
            f"fleet.burst_length_s: a burst of {samples:.0f} samples exceeds the 128 KB of an "
            f"MQTT message; use at most {MAX_BURST_SAMPLES / fleet.burst_rate_hz:g} s"
        )
    if fleet.burst_length_s > fleet.burst_period_s:
        raise ScenarioError(
            f"fleet.burst_length_s: {fleet.burst_length_s:g} s is longer than "
            f"fleet.burst_period_s; use at most {fleet.burst_period_s:g} s"
        )
    shortest = 1.0 / (1.0 - network.loss)
    if network.loss_run < shortest:
        raise ScenarioError(
            f"network.loss_run: runs of {network.loss_run:g} are shorter than independent loss "
            f"gives; use at least {math.ceil(shortest * 100) / 100:g} messages"
        )
    devices = device_ids(fleet.machines)
    for i, period in enumerate(network.offline):
        _check_interval(f"network.offline[{i}]", period, scenario.live_s, devices)
    for i, plan in enumerate(scenario.faults):
        _check_interval(f"faults[{i}]", plan, scenario.live_s, devices)
        _check_fault(f"faults[{i}]", plan)
        _check_overlap(i, plan, scenario.faults[:i])
    if scenario.replay and scenario.faults:
        raise ScenarioError("faults: a replay brings its own labels; remove [[faults]]")


def _check_interval(
    path: str, item: OfflinePeriod | FaultPlan, live_s: float, devices: tuple[str, ...]
) -> None:
    if item.device not in devices:
        raise ScenarioError(
            f"{path}.device: no machine {item.device!r} in the fleet; "
            f"use {devices[0]} to {devices[-1]}"
        )
    if item.onset_s + item.duration_s > live_s:
        raise ScenarioError(
            f"{path}.duration_s: ends {item.onset_s + item.duration_s:g} s into a live part of "
            f"{live_s:g} s; use at most {max(0.0, live_s - item.onset_s):g} s or a longer live_s"
        )


def _check_fault(path: str, plan: FaultPlan) -> None:
    if plan.kind not in FAULT_KINDS:
        raise ScenarioError(
            f"{path}.kind: unknown fault {plan.kind!r}; {_suggest(plan.kind, FAULT_KINDS)}"
        )
    if plan.kind in SENSOR_FAULTS and plan.sensor not in SENSOR_NAMES:
        cause = f"unknown sensor {plan.sensor!r}" if plan.sensor else f"{plan.kind} needs a sensor"
        raise ScenarioError(f"{path}.sensor: {cause}; {_suggest(plan.sensor, SENSOR_NAMES)}")
    if plan.kind not in SENSOR_FAULTS and plan.sensor:
        raise ScenarioError(f"{path}.sensor: {plan.kind} is a fault of the machine; remove it")


def _check_overlap(i: int, plan: FaultPlan, earlier: tuple[FaultPlan, ...]) -> None:
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
