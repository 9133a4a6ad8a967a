"""The hyperparameters of a training job: SageMaker passes a flat map of strings.

The defaults are the fleet's; `benchmarks/results/skab_rule.md` has what others give on SKAB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from pipeline.errors import SettingsError
from pipeline.settings import STATISTICS, FeatureSpec

ARCHITECTURES = ("dense", "convolutional")

# Keys that SageMaker itself adds to the map (script mode and tuning); they are not ours.
FOREIGN_PREFIXES = ("sagemaker_", "_tuning_")


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of one training job.

    `train_start`, `train_end`: ISO times with Z; rows outside [start, end) are not used, empty
    means no bound.
    `statistics`: which of each sensor's features the model looks at (burst features always).
    `unit_share`: how much of a machine's covariance is its own, the rest is everybody's.
    `architecture`: `dense` or `convolutional`, see `autoencoder.py`.
    `residual_weight`: the weight of the autoencoder's residual in the score, the rest is the
    input's own distance.
    `smoothing_rows`, `enter_rows`, `exit_rows`, `exit_level`: the episode rule, in feature rows
    and in thresholds. `memory_rows`: the memory of the slow mean of levels, 0 for none; it is kept
    only where the history is long enough (`levels.py`).
    `false_alarms_per_machine_day`: the designed rate of the thresholds.
    `alarm_margin_s`, `repair_s`: what is left out around alarms of the model that served, and how
    long after an alarm a work order may still belong to it (`healthy_rows.py`).
    `holdout_share`: the last share of each machine's rows that is left out for the evaluation.
    """

    feature_spec: str
    train_start: str = ""
    train_end: str = ""
    statistics: str = "mean,std,slope"
    unit_share: float = 0.5
    residual_weight: float = 0.05
    architecture: str = "dense"
    hidden: int = 16
    bottleneck: int = 4
    epochs: int = 20
    patience: int = 5
    batch_rows: int = 512
    learning_rate: float = 0.006
    seed: int = 0
    folds: int = 4
    smoothing_rows: int = 12
    enter_rows: int = 2
    exit_rows: int = 3
    exit_level: float = 0.8
    memory_rows: int = 60
    false_alarms_per_machine_day: float = 0.05
    min_rows: int = 60
    holdout_share: float = 0.0
    alarm_margin_s: int = 1_800
    repair_s: int = 259_200

    @property
    def spec(self) -> FeatureSpec:
        """The parsed feature spec; raises SettingsError."""
        return FeatureSpec.parse(self.feature_spec)

    @property
    def train_range_ms(self) -> tuple[int, int]:
        """The range of event times in epoch milliseconds, end excluded; raises SettingsError."""
        start_ms = _epoch_ms("train_start", self.train_start, -(1 << 62))
        end_ms = _epoch_ms("train_end", self.train_end, 1 << 62)
        if start_ms >= end_ms:
            raise SettingsError(f"train_start: {self.train_start} is not before {self.train_end}")
        return start_ms, end_ms

    @property
    def chosen_statistics(self) -> tuple[str, ...]:
        """The statistics by name."""
        return tuple(name.strip() for name in self.statistics.split(","))


def parse(values: Mapping[str, str]) -> Hyperparameters:
    """Return the hyperparameters in a flat map of strings.

    Raises SettingsError naming the key that is unknown, missing or out of range.
    """
    known = {field.name: field for field in fields(Hyperparameters)}
    parsed: dict[str, str | int | float] = {}
    for key, text in values.items():
        if key.startswith(FOREIGN_PREFIXES):
            continue
        if key not in known:
            raise SettingsError(f"{key}: unknown hyperparameter")
        convert = _CONVERTERS[str(known[key].type)]
        try:
            parsed[key] = convert(text)
        except ValueError:
            raise SettingsError(f"{key}: must be a {known[key].type}, not {text!r}") from None
    if "feature_spec" not in parsed:
        raise SettingsError("feature_spec: the hyperparameter is missing")
    parsed["feature_spec"] = _respelt(str(parsed["feature_spec"]))
    chosen = Hyperparameters(**parsed)  # type: ignore[arg-type]
    _check(chosen)
    return chosen


def _respelt(text: str) -> str:
    """Return JSON in one spelling: a toolkit that parses it in between changes no version."""
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except ValueError:
        return text  # It is refused as what it is.


_CONVERTERS: Mapping[str, Callable[[str], str | int | float]] = {
    "str": str,
    "int": int,
    "float": float,
}


def _epoch_ms(key: str, text: str, unset: int) -> int:
    if not text:
        return unset
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime(1, 1, 1)  # noqa: DTZ001 - stands for a time that cannot be used
    if at.tzinfo is None:
        raise SettingsError(f"{key}: must be an ISO time with a zone, not {text!r}")
    return int(at.timestamp() * 1000)


def _check(chosen: Hyperparameters) -> None:
    positive = (
        "hidden bottleneck epochs patience batch_rows learning_rate smoothing_rows enter_rows "
        "exit_rows false_alarms_per_machine_day min_rows"
    )
    for key in positive.split():
        if not getattr(chosen, key) > 0:
            raise SettingsError(f"{key}: must be above 0")
    for key in ("memory_rows", "alarm_margin_s", "repair_s"):
        if getattr(chosen, key) < 0:
            raise SettingsError(f"{key}: must be 0 or above")
    if chosen.folds < 2:
        raise SettingsError("folds: must be at least 2, or no row is unseen")
    if not 0.0 <= chosen.unit_share <= 1.0:
        raise SettingsError("unit_share: must be from 0 to 1")
    if not 0.0 <= chosen.holdout_share <= 0.5:
        raise SettingsError("holdout_share: must be from 0 to 0.5")
    if chosen.architecture not in ARCHITECTURES:
        raise SettingsError(f"architecture: must be one of {', '.join(ARCHITECTURES)}")
    if not 0.0 <= chosen.residual_weight <= 1.0:
        raise SettingsError("residual_weight: must be from 0 to 1")
    if not 0.0 < chosen.exit_level <= 1.0:
        raise SettingsError("exit_level: must be above 0 and at most 1 (thresholds)")
    for name in chosen.chosen_statistics:
        if name not in STATISTICS:
            raise SettingsError(f"statistics: {name!r} is not one of {', '.join(STATISTICS)}")
    _ = chosen.spec, chosen.train_range_ms
