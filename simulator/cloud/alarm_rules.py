"""The rules of one alarm: what it may say, which state its points give, how a change is worded.

Pure functions for `alarms.py`. Source of the missing-data rules: "Configuring how CloudWatch
alarms treat missing data" in the CloudWatch user guide; its tables are this module's test.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.cloud.errors import NotSupportedByTwin, ValidationError
from simulator.cloud.extended_statistics import percentile_share
from simulator.cloud.metric_queries import alarm_queries
from simulator.cloud.metrics import RESOLUTION_S, STATISTICS, check_statistic

EXTRA_PERIODS = 2
"""How many periods beyond N are looked at; AWS shows 5 for N = 3 and documents no rule."""

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
ACTIONS = {
    "ALARM": "AlarmActions",
    "OK": "OKActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}
"""Which actions of a definition belong to a new state."""

_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}
_MISSING = ("missing", "ignore", *_TREATED)
_REFUSED = (
    "ThresholdMetricId",
    "EvaluationCriteria",
    "EvaluationInterval",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "ActionConfiguration",
)
_NEEDED = ("EvaluationPeriods", "Threshold", "ComparisonOperator")
_OF_A_METRIC = ("MetricName", "Namespace", "Period")
_NOT_WITH_METRICS = (*_OF_A_METRIC, "Dimensions", "Unit", "Statistic", "ExtendedStatistic")


@dataclass(frozen=True, slots=True)
class Terms:
    """What each minute's evaluation needs of a metric alarm's definition, looked up once.

    ``least`` samples make a period count; ``needed`` of the newest ``of`` periods must breach.
    """

    statistic: str
    unit: str | None
    period_s: int
    least: float
    breaches: Callable[[float, float], bool]
    threshold: float
    needed: int
    of: int
    missing: str

    @classmethod
    def read(cls, definition: dict[str, Any], period_s: int) -> Terms:
        """Return the terms of a definition that `check_definition` has passed."""
        of = int(definition["EvaluationPeriods"])
        return cls(
            statistic=definition.get("Statistic") or definition.get("ExtendedStatistic", ""),
            unit=definition.get("Unit"),
            period_s=period_s,
            least=samples_needed(definition),
            breaches=COMPARISONS[definition["ComparisonOperator"]][0],
            threshold=definition["Threshold"],
            needed=int(definition.get("DatapointsToAlarm", of)),
            of=of,
            missing=str(definition.get("TreatMissingData", "missing")),
        )


def check_definition(params: dict[str, Any]) -> None:
    """Check the parameters of PutMetricAlarm.

    Raises:
        ValidationError: an alarm that AWS refuses as well (the wording is ours).
        NotSupportedByTwin: an alarm that this evaluation does not have.
    """
    for name in _REFUSED:
        if name in params:
            raise NotSupportedByTwin(f"{name} of an alarm")
    for name in _NEEDED:
        if name not in params:
            raise ValidationError(f"The parameter {name} is required", "ValidationError")
    if params["ComparisonOperator"] not in COMPARISONS:
        raise NotSupportedByTwin(f"the comparison {params['ComparisonOperator']} of an alarm")
    period_s = _checked_period_s(params)
    if params.get("TreatMissingData", "missing") not in _MISSING:
        raise ValidationError("The parameter TreatMissingData is invalid", "ValidationError")
    if not 1 <= params.get("DatapointsToAlarm", 1) <= params["EvaluationPeriods"]:
        raise ValidationError(
            "DatapointsToAlarm must be between 1 and EvaluationPeriods", "ValidationError"
        )
    day_s = 86_400
    most_s = day_s if period_s < 3600 else 7 * day_s
    if period_s * params["EvaluationPeriods"] > most_s:
        many = "a day" if most_s == day_s else "seven days"
        raise ValidationError(
            f"Metrics cannot be checked across more than {many} (EvaluationPeriods * Period must "
            f"be <= {most_s}).",
            "ValidationError",
        )
    check_actions(params)


def check_actions(params: dict[str, Any]) -> None:
    """Raise NotSupportedByTwin for an action that is no topic."""
    for kind in ACTIONS.values():
        for action in params.get(kind, []):
            if ":sns:" not in action:
                raise NotSupportedByTwin(f"the alarm action {action}")


def _checked_period_s(params: dict[str, Any]) -> int:
    """Return the period of the alarm's metric, or of the queries of its expression."""
    if "Metrics" in params:
        for name in _NOT_WITH_METRICS:
            if name in params:
                raise ValidationError(
                    f"{name} and Metrics are mutually exclusive", "ValidationError"
                )
        return alarm_queries(params["Metrics"]).period_s
    for name in _OF_A_METRIC:
        if name not in params:
            raise ValidationError(f"The parameter {name} is required", "ValidationError")
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        raise ValidationError(
            "Give exactly one of Statistic and ExtendedStatistic", "ValidationError"
        )
    if "Statistic" in params and params["Statistic"] not in STATISTICS:
        raise ValidationError("The parameter Statistic is invalid", "ValidationError")
    if "ExtendedStatistic" in params:
        check_statistic(params["ExtendedStatistic"])
    if params.get("EvaluateLowSampleCountPercentile", "evaluate") not in ("evaluate", "ignore"):
        raise ValidationError(
            "EvaluateLowSampleCountPercentile must be evaluate or ignore", "ValidationError"
        )
    if params["Period"] % RESOLUTION_S:
        raise NotSupportedByTwin("an alarm's period below one minute")
    return int(params["Period"])


def samples_needed(definition: dict[str, Any]) -> float:
    """Return how many samples a period must have for a percentile to count; 0 for any number.

    10 / (1 - p) for p of 0.5 and more, else 10 / p (user guide, "Percentile-based alarms and low
    data samples"); the other half of the rule is from memory.
    """
    share = percentile_share(definition.get("ExtendedStatistic"))
    if share is None or definition.get("EvaluateLowSampleCountPercentile") != "ignore":
        return 0.0
    rare = min(share, 1 - share)
    # Rounded: 1 - 0.9 is a hair below 0.1.
    return round(10 / rare, 6) if rare > 0 else 0.0


def evaluate(
    points: Sequence[bool | None], needed: int, of: int, missing: str, current: str
) -> str:
    """Return the state that AWS gives for points (oldest first; ``None`` is missing).

    ``needed`` of the newest ``of`` must breach; ``missing`` is TreatMissingData. With ``of``
    real points or more the newest of them decide; else all real ones do, and ``missing`` says
    what stands for the others.
    """
    real = [point for point in points if point is not None]
    used = real[-of:]
    breaching = sum(used)
    if missing in _TREATED or len(used) == of:
        filled = of - len(used) if missing == "breaching" else 0
        return "ALARM" if breaching + filled >= needed else "OK"
    if breaching >= needed:
        return "ALARM"
    if breaching < len(used):
        return "OK"
    if missing == "ignore":
        return current
    if not used:
        return "INSUFFICIENT_DATA"
    # Premature alarm: fewer than M points, but all of them breach and the oldest is old enough.
    oldest_age = len(points) - list(points).index(True)
    return "ALARM" if oldest_age >= needed else current


def reason(
    values: Sequence[tuple[float, float] | None],
    breaches: Sequence[bool | None],
    definition: dict[str, Any],
    state: str,
) -> str:
    """Word a change as AWS does: the points that decided it, newest first, and the threshold.

    ``values`` are (value, start of its period in seconds since 1970), oldest first. The
    wording for one point is recorded; that several are listed newest first, and the sentence
    for INSUFFICIENT_DATA, are from memory.
    """
    of: int = definition["EvaluationPeriods"]
    used = [pair for pair in zip(values, breaches, strict=True) if pair[0] is not None][-of:]
    absent = of - len(used)
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {absent} datapoint{_s(absent)} {_was(absent)} unknown."
    wanted = state == "ALARM"
    shown = [value for value, breach in used if value is not None and breach is wanted][::-1]
    if not shown:
        treated = _TREATED.get(definition.get("TreatMissingData", "missing"), "Missing")
        return (
            f"Threshold Crossed: no datapoints were received for {absent} period{_s(absent)} and "
            f"{absent} missing datapoint{_s(absent)} {_was(absent)} treated as [{treated}]."
        )
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(at_s, UTC):%d/%m/%y %H:%M:%S})" for value, at_s in shown
    )
    words = COMPARISONS[definition["ComparisonOperator"]][1]
    not_ = "" if wanted else "not "
    return (
        f"Threshold Crossed: {len(shown)} datapoint{_s(len(shown))} [{listed}] "
        f"{_was(len(shown))} {not_}{words} the threshold ({float(definition['Threshold'])})."
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
