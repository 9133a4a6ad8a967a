"""The hyperparameters of a training job: SageMaker passes a flat map of strings.

The defaults are the fleet's; `benchmarks/skab_rule.py` has what was tried and measured on SKAB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from pipeline.errors import SettingsError
from pipeline.features import STATISTICS
from pipeline.settings import FeatureSpec

# Keys that SageMaker itself adds to the map (script mode and tuning); they are not ours.
FOREIGN_PREFIXES = ("sagemaker_", "_tuning_")


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of one training job.

    `statistics`: which of each sensor's features the model looks at (burst features always).
    `unit_share`: how much of a machine's covariance is its own, the rest is everybody's.
    `smoothing_rows`, `enter_rows`, `exit_rows`, `exit_level`: the episode rule, in feature rows
    and in thresholds. `false_alarms_per_machine_day`: the designed rate of the threshold.
    """

    feature_spec: str
    statistics: str = "mean,std,slope"
    unit_share: float = 0.5
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
    false_alarms_per_machine_day: float = 0.5
    min_rows: int = 60

    @property
    def spec(self) -> FeatureSpec:
        """The parsed feature spec; raises SettingsError."""
        return FeatureSpec.parse(self.feature_spec)

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
    chosen = Hyperparameters(**parsed)  # type: ignore[arg-type]
    _check(chosen)
    return chosen


_CONVERTERS: Mapping[str, Callable[[str], str | int | float]] = {
    "str": str,
    "int": int,
    "float": float,
}


def _check(chosen: Hyperparameters) -> None:
    positive = (
        "hidden bottleneck epochs patience batch_rows learning_rate smoothing_rows enter_rows "
        "exit_rows false_alarms_per_machine_day min_rows"
    )
    for key in positive.split():
        if not getattr(chosen, key) > 0:
            raise SettingsError(f"{key}: must be above 0")
    if chosen.folds < 2:
        raise SettingsError("folds: must be at least 2, or no row is unseen")
    if not 0.0 <= chosen.unit_share <= 1.0:
        raise SettingsError("unit_share: must be from 0 to 1")
    if not 0.0 < chosen.exit_level <= 1.0:
        raise SettingsError("exit_level: must be above 0 and at most 1 (thresholds)")
    for name in chosen.chosen_statistics:
        if name not in STATISTICS:
            raise SettingsError(f"statistics: {name!r} is not one of {', '.join(STATISTICS)}")
    _ = chosen.spec
