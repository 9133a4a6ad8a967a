"""Builds frozen dataclasses from TOML tables; refuses what does not fit, with the key's path.

Types come from the dataclasses, `RANGES` and `CHOICES` say what a value may be. What no single
value shows is in `scenario_checks`.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

from simulator.errors import ScenarioError
from simulator.fleet.catalogue import FAULTS, KINDS, MACHINE_FAULTS, SENSOR_LIMITS
from simulator.fleet.degradation import PROCESSES
from simulator.fleet.operation import OPERATIONS

DAY_S = 86_400
LONGEST_S = 3_660 * DAY_S
SHARE = "(a share, not a percentage)"

RANGES: dict[str, tuple[float, float, str]] = {
    "seed": (0, 2**63 - 1, ""),
    "history_s": (60, LONGEST_S, "s"),
    "live_s": (60, LONGEST_S, "s"),
    "fleet.machines": (1, 100_000, "machines"),
    "fleet.groups.machines": (1, 100_000, "machines"),
    "fleet.rate_hz": (0.0001, 100, "Hz"),
    "fleet.burst_period_s": (0, 30 * DAY_S, "s (0: no bursts)"),
    "fleet.burst_rate_hz": (1_000, 48_000, "Hz"),
    "fleet.burst_length_s": (0.1, 10, "s"),
    "fleet.ambient.mean_c": (-40, 60, "degC"),
    "fleet.ambient.day_swing_c": (0, 30, "degC"),
    "fleet.ambient.season_swing_c": (0, 40, "degC"),
    "network.delay_s": (0, 60, "s"),
    "network.delay_sigma": (0, 3, ""),
    "network.loss": (0, 0.5, SHARE),
    "network.loss_run": (1, 1_000, "messages"),
    "network.loss_in_bad": (0.001, 1, SHARE),
    "network.loss_in_good": (0, 0.5, SHARE),
    "network.duplicate": (0, 0.5, SHARE),
    "network.straggle": (0, 0.5, SHARE),
    "network.straggle_s": (0, 600, "s"),
    "network.backlog_per_s": (1, 100, "publishes/s"),
    "network.buffer": (1, 10_000_000, "messages"),
    "network.offline.onset_s": (-LONGEST_S, LONGEST_S, "s"),
    "network.offline.duration_s": (1, 30 * DAY_S, "s"),
    "network.outages.per_machine_day": (0, 1_000, "outages"),
    "network.outages.mean_s": (1, DAY_S, "s"),
    "network.outages.storms": (0, LONGEST_S, "s"),
    "network.outages.backoff_first_s": (0.1, 600, "s"),
    "network.outages.backoff_most_s": (1, 3_600, "s"),
    "network.clock.offset_sigma_s": (0, 600, "s"),
    "network.clock.drift_ppm_sigma": (0, 1_000, "parts per million"),
    "network.clock.sync_period_s": (0, 30 * DAY_S, "s (0: never)"),
    "faults.onset_s": (-LONGEST_S, LONGEST_S, "s"),
    "faults.duration_s": (1, LONGEST_S, "s"),
    "faults.severity": (0, 1, SHARE),
    "fault_rates.per_machine_day": (0, 1_000, "faults"),
    "fault_rates.severity_low": (0, 1, SHARE),
    "fault_rates.severity_high": (0, 1, SHARE),
    "fault_rates.duration_low_s": (1, LONGEST_S, "s"),
    "fault_rates.duration_high_s": (1, LONGEST_S, "s"),
    "drifts.onset_s": (-LONGEST_S, LONGEST_S, "s"),
    "drifts.severity": (0, 1, SHARE),
    "life.wear.life_s": (60, 100 * LONGEST_S, "s"),
    "life.wear.shape": (0.3, 10, ""),
    "life.wear.growth_s": (60, LONGEST_S, "s"),
    "life.wear.spread": (0.01, 0.5, SHARE),
    "life.maintenance.interval_s": (600, LONGEST_S, "s"),
    "life.maintenance.response_s": (30, LONGEST_S, "s"),
    "life.maintenance.response_least_s": (30, DAY_S, "s"),
    "life.maintenance.work_s": (60, 90 * DAY_S, "s"),
    "life.maintenance.kijima_type": (1, 2, ""),
    "life.maintenance.kijima_q": (0, 1, SHARE),
    "life.maintenance.wrong_part": (0, 0.9, SHARE),
    "life.maintenance.labour_per_h": (0, 100_000, "an hour"),
    "life.maintenance.downtime_per_h": (0, 10_000_000, "an hour"),
    "pipeline.features.window_s": (2, 3_600, "s"),
    "pipeline.features.hop_s": (1, 3_600, "s"),
    "pipeline.features.allowed_lateness_s": (0, 3_600, "s"),
    "pipeline.features.burst_max_age_s": (1, DAY_S, "s"),
    "pipeline.features.min_count": (1, 100_000, "readings"),
    "replay.history_rows": (1, 10_000_000, "rows"),
}
"""Lowest and highest value, with its unit, of every number in a scenario."""

CHOICES: dict[str, tuple[str, ...]] = {
    "fleet.kind": tuple(KINDS),
    "fleet.groups.kind": tuple(KINDS),
    "fleet.sensors": tuple(SENSOR_LIMITS),
    "fleet.operation": tuple(OPERATIONS),
    "network.when_full": ("drop_oldest", "drop_newest"),
    "faults.kind": FAULTS,
    "fault_rates.kind": FAULTS,
    "fault_rates.kinds_of_machine": tuple(KINDS),
    "drifts.kind": ("bias_drift", "gain", "noise_increase"),
    "life.initial_age": ("new", "random"),
    "life.wear.kind": MACHINE_FAULTS,
    "life.wear.process": tuple(PROCESSES),
    "life.wear.kinds_of_machine": tuple(KINDS),
    "life.maintenance.policy": ("run_to_failure", "time_based", "condition_based"),
    "life.maintenance.repair": ("perfect", "imperfect", "minimal"),
}
"""The words that a text in a scenario may be; other texts are free."""

WORDS = {str: 'text in "quotes"', bool: "true or false", int: "a whole number", float: "a number"}


def build(kind: type, table: Any, path: str = "") -> Any:
    """Return a dataclass of type ``kind`` made of a TOML table found at ``path``.

    Raises ScenarioError.
    """
    if not isinstance(table, Mapping):
        raise ScenarioError(f"{path}: expected a table, got {table!r}; write [{path}]")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            raise ScenarioError(f"{join(path, key)}: unknown key; {suggestion(key, known)}")
    values = {key: _value(hints[key], value, join(path, key)) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError:
        needed = [f.name for f in fields(kind) if f.name not in values and is_required(f)]
        raise ScenarioError(f"{join(path, needed[0])}: missing; add it") from None


def is_required(item: Any) -> bool:
    """Tell whether a dataclass's field has no default."""
    return item.default is MISSING and item.default_factory is MISSING


def join(path: str, key: str) -> str:
    """Return the path of a key in the table at ``path``."""
    return f"{path}.{key}" if path else key


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return what to write instead of an unknown word."""
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}"


def pattern_of(path: str) -> str:
    """Return a path without the numbers of list items: the key in `RANGES` and `CHOICES`."""
    return ".".join(part.partition("[")[0] for part in path.split("."))


def in_range(path: str, value: float) -> None:
    """Raise ScenarioError for a number that is not within the bounds of its key."""
    low, high, unit = RANGES[pattern_of(path)]
    if not math.isfinite(value) or not low <= value <= high:
        # As they are written in a file: the highest seed is a number of 19 digits.
        words = f"{low} to {high} {unit}".rstrip()
        raise ScenarioError(f"{path}: {value!r} is out of range; use {words}")


def _value(hint: Any, value: Any, path: str) -> Any:
    """Return ``value`` as the type that ``hint`` asks for; raises ScenarioError."""
    if isinstance(hint, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if is_dataclass(hint):
        return build(hint, value, path)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _items(get_args(hint)[0], value, path)
    if get_origin(hint) is Mapping:
        return _scalars(value, path)
    if hint is datetime:
        return _moment(value, path)
    if hint in (int, float):
        return _number(hint, value, path)
    if not isinstance(value, hint):
        raise ScenarioError(f"{path}: expected {WORDS[hint]}, got {value!r}; change its type")
    choices = CHOICES.get(pattern_of(path))
    if choices is not None and value not in choices:
        pattern = pattern_of(path)
        word = "fault" if pattern.endswith("faults.kind") else pattern.rpartition(".")[2]
        if path.endswith("]"):
            word = word.removesuffix("s")  # one of a list
        raise ScenarioError(f"{path}: unknown {word} {value!r}; {suggestion(value, choices)}")
    return value


def _items(kind: Any, value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        wanted = f"tables; write [[{path}]]" if is_dataclass(kind) else "values; write [ ... ]"
        raise ScenarioError(f"{path}: expected a list of {wanted}")
    return tuple(_value(kind, item, f"{path}[{i}]") for i, item in enumerate(value))


def _number(kind: type, value: Any, path: str) -> int | float:
    fits = isinstance(value, int) or (kind is float and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        raise ScenarioError(f"{path}: expected {WORDS[kind]}, got {value!r}; change its type")
    in_range(path, value)
    return float(value) if kind is float else int(value)


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
