"""Which combination of hyperparameters a tuning job tries next.

Used by `tuning_runs`, which asks and tells in an order that the run's clock decides; so the same
seed gives the same combinations. Random and grid search are here, Bayesian search is Optuna's
tree-structured Parzen estimator: AWS's own method is not published.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from simulator.cloud.tuning_ranges import Categories, Range, Values, combinations

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 5
"""Combinations that Bayesian search draws at random before it looks at results."""
TRIES = 20
"""How often a combination that was tried is drawn again, before all are gone through."""


class Search(Protocol):
    """What a strategy can do."""

    def ask(self) -> Values | None:
        """Return a combination that was not tried yet; None when there is none left."""

    def tell(self, values: Values, objective: float | None) -> None:
        """Take a result; None for a training job that has none."""


def _key(values: Values) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def _all(ranges: Sequence[Range]) -> Iterator[Values]:
    """Yield every combination of ranges that can be counted, the last one changing quickest."""
    names = [each.name for each in ranges]
    for chosen in itertools.product(*(each.texts() for each in ranges)):
        yield dict(zip(names, chosen, strict=True))


class GridSearch:
    """Every combination of categories, once."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._left = _all(ranges)

    def ask(self) -> Values | None:
        """Return the next combination."""
        return next(self._left, None)

    def tell(self, values: Values, objective: float | None) -> None:
        """Learn nothing."""


class RandomSearch:
    """Combinations drawn evenly over the ranges' scales, none of them twice.

    ``tried`` are combinations of parents, which are not tried again: with their seed the search
    goes on where they ended.
    """

    def __init__(self, ranges: Sequence[Range], seed: int, tried: Sequence[Values] = ()) -> None:
        self._ranges = ranges
        self._rng = random.Random(seed)
        self._seen = {_key(values) for values in tried}
        # With a parent's seed as many draws as it had results give nothing new.
        self._tries = TRIES + len(self._seen)

    def ask(self) -> Values | None:
        """Return a new combination."""
        for _ in range(self._tries):
            drawn = {each.name: each.value(self._rng.random()) for each in self._ranges}
            if self.is_new(drawn):
                return drawn
        if combinations(self._ranges) == float("inf"):
            return None
        return next(filter(self.is_new, _all(self._ranges)), None)

    def is_new(self, values: Values) -> bool:
        """Tell whether a combination was not seen before; it is from now on."""
        if _key(values) in self._seen:
            return False
        self._seen.add(_key(values))
        return True

    def tell(self, values: Values, objective: float | None) -> None:
        """Learn nothing."""


class BayesianSearch:
    """Combinations that results so far make promising.

    ``known`` are results of parents, not to be tried again, ``first`` combinations to begin with.
    """

    def __init__(
        self,
        ranges: Sequence[Range],
        seed: int,
        *,
        minimizes: bool,
        known: Sequence[tuple[Values, float]] = (),
        first: Sequence[Values] = (),
    ) -> None:
        self._ranges = ranges
        self._optuna = _quiet_optuna()
        self._distributions = self._distributions_of(ranges)
        self._fallback = RandomSearch(ranges, seed, [values for values, _ in known])
        self._open: dict[tuple[tuple[str, str], ...], optuna.trial.Trial] = {}
        # The trials under way count as bad ones, so that those beside them look elsewhere.
        sampler = self._optuna.samplers.TPESampler(
            seed=seed % 2**32,
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=True,
        )
        self._study = self._optuna.create_study(
            sampler=sampler, direction="minimize" if minimizes else "maximize"
        )
        for values, objective in known:
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    params=self._placed(values),
                    distributions=self._distributions,
                    value=objective,
                )
            )
        for values in first:
            self._study.enqueue_trial(self._placed(values))

    def ask(self) -> Values | None:
        """Return a new combination."""
        for _ in range(TRIES):
            trial = self._study.ask(self._distributions)
            values = self._values(trial.params)
            if self._fallback.is_new(values):
                self._open[_key(values)] = trial
                return values
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        drawn = self._fallback.ask()
        if drawn is not None:
            self._study.enqueue_trial(self._placed(drawn))
            self._open[_key(drawn)] = self._study.ask(self._distributions)
        return drawn

    def tell(self, values: Values, objective: float | None) -> None:
        """Learn a result."""
        trial = self._open.pop(_key(values))
        if objective is None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, objective)

    def _distributions_of(
        self, ranges: Sequence[Range]
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        """Let Optuna see places in ranges only: so all of AWS's scales are ours alone."""
        kinds = self._optuna.distributions
        return {
            each.name: kinds.CategoricalDistribution(each.values)
            if isinstance(each, Categories)
            else kinds.FloatDistribution(0.0, 1.0)
            for each in ranges
        }

    def _values(self, params: dict[str, Any]) -> Values:
        return {
            each.name: params[each.name]
            if isinstance(each, Categories)
            else each.value(params[each.name])
            for each in self._ranges
        }

    def _placed(self, values: Values) -> dict[str, Any]:
        return {
            each.name: values[each.name]
            if isinstance(each, Categories)
            else each.place(values[each.name])
            for each in self._ranges
        }


def _quiet_optuna() -> Any:
    """Import Optuna, which takes a quarter of a second, when it is needed; without its log."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
