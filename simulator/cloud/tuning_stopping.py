"""When a training job of a tuning job is stopped, by the objective's values so far.

Used by `tuning_runs` at each value that a training job prints. The others' values are those of
the jobs that had ended when this one was launched, so that it does not matter which of two
processes is quicker. Source: SageMaker developer guide, "Stop Training Jobs Early"; Li and
others, "A System for Massively Parallel Hyperparameter Tuning" (2020) for Hyperband.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.cloud.operations import Params

LEAST_OTHERS = 3
"""How many others there must be to stop a job; AWS does not say."""
FACTOR = 3
"""Hyperband goes on with one of so many at each rung."""
MOST_RESOURCE = 20_000
INFERRED_FROM = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
"""Static hyperparameters that may say MaxResource (API reference, HyperbandStrategyConfig)."""

Histories = Sequence[Sequence[float]]


class Stopping(Protocol):
    """A rule."""

    def stops(self, number: int, history: Sequence[float], others: Histories) -> bool:
        """Tell whether the training job of a number is to be stopped after its last value."""


class Never:
    """Lets every job come to its own end."""

    def stops(self, number: int, history: Sequence[float], others: Histories) -> bool:
        """Tell that it goes on."""
        return False


@dataclass(frozen=True)
class MedianRule:
    """Stops a job that is worse than the median of the others' running averages (``Auto``)."""

    minimizes: bool

    def stops(self, number: int, history: Sequence[float], others: Histories) -> bool:
        """Compare the last value with the averages up to the same epoch."""
        averages = [statistics.fmean(each[: len(history)]) for each in others if each]
        if len(averages) < LEAST_OTHERS:
            return False
        median = statistics.median(averages)
        return history[-1] > median if self.minimizes else history[-1] < median


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving in brackets; a value of the objective is one resource."""

    minimizes: bool
    least: int
    most: int

    def stops(self, number: int, history: Sequence[float], others: Histories) -> bool:
        """Go on past a rung with one of `FACTOR`; end every job at MaxResource."""
        reached = len(history)
        if reached >= self.most:
            return True
        if reached not in self._rungs(number):
            return False
        values = [each[reached - 1] for each in others if len(each) >= reached]
        if len(values) < LEAST_OTHERS:
            return False
        sign = 1.0 if self.minimizes else -1.0
        better = sum(sign * each < sign * history[-1] for each in values)
        return better >= math.ceil((len(values) + 1) / FACTOR)

    def _rungs(self, number: int) -> list[int]:
        """Return where a job is looked at: brackets take turns, each begins a rung later."""
        highest = int(math.log(self.most / self.least, FACTOR) + 1e-9)
        first = (number - 1) % (highest + 1)
        return [self.least * FACTOR**rung for rung in range(first, highest + 1)]


def stopping(config: Params, static: Params) -> Stopping:
    """Return the rule of a HyperParameterTuningJobConfig; raises ValueError."""
    minimizes = config["HyperParameterTuningJobObjective"]["Type"] == "Minimize"
    auto = config.get("TrainingJobEarlyStoppingType", "Off") == "Auto"
    if config["Strategy"] != "Hyperband":
        if "StrategyConfig" in config:
            raise ValueError("StrategyConfig is only for the Hyperband strategy")
        return MedianRule(minimizes) if auto else Never()
    if auto:
        raise ValueError("TrainingJobEarlyStoppingType must be Off to use Hyperband")
    own = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    least, most = own.get("MinResource", 1), own.get("MaxResource") or _inferred(static)
    if not least <= most <= MOST_RESOURCE:
        raise ValueError(f"MinResource <= MaxResource <= {MOST_RESOURCE} must hold")
    return Halving(minimizes, least, most)


def _inferred(static: Params) -> int:
    for name in INFERRED_FROM:
        if static.get(name, "").isdecimal():
            return int(static[name])
    raise ValueError(
        f"MaxResource is missing and cannot be inferred from {', '.join(INFERRED_FROM)}"
    )
