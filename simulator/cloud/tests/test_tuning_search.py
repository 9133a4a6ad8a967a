"""Ranges, strategies and stopping rules of tuning jobs, without any training job."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.tuning_ranges import Range, combinations, ranges
from simulator.cloud.tuning_search import BayesianSearch, GridSearch, RandomSearch, Search
from simulator.cloud.tuning_stopping import Halving, MedianRule, stopping

PLACES = st.floats(0.0, 1.0, exclude_max=True)
SCALES = ("Linear", "Logarithmic", "ReverseLogarithmic", "Auto")


def _numbers(low: float, high: float, scale: str = "Linear", whole: bool = False) -> Range:
    kind = "IntegerParameterRanges" if whole else "ContinuousParameterRanges"
    asked = {"Name": "x", "MinValue": str(low), "MaxValue": str(high), "ScalingType": scale}
    (found,) = ranges({kind: [asked]})
    return found


@given(st.sampled_from(SCALES), st.floats(1e-6, 0.4), st.floats(0.5, 0.999999), PLACES)
def test_every_place_of_a_range_is_a_value_within_that_reads_back(
    scale: str, low: float, high: float, place: float
) -> None:
    found = _numbers(low, high, scale)
    value = found.value(place)
    assert low <= float(value) <= high
    assert found.has(value)
    assert found.place(value) == pytest.approx(place, abs=1e-6)  # type: ignore[union-attr]


@given(st.integers(1, 50), st.integers(0, 1000), st.sampled_from(["Linear", "Logarithmic"]))
def test_a_whole_number_is_at_its_own_place(low: int, width: int, scale: str) -> None:
    found = _numbers(low, low + width, scale, whole=True)
    for number in {low, low + width // 2, low + width}:
        assert found.value(found.place(str(number))) == str(number)  # type: ignore[union-attr]


def test_scales_put_the_middle_where_they_say() -> None:
    assert float(_numbers(0.0, 1.0).value(0.5)) == 0.5
    assert float(_numbers(1e-4, 1.0, "Logarithmic").value(0.5)) == pytest.approx(1e-2)
    assert float(_numbers(0.9, 0.9999, "ReverseLogarithmic").value(0.5)) == pytest.approx(
        1 - math.sqrt(0.1 * 1e-4)
    )
    assert float(_numbers(1e-4, 1.0, "Auto").value(0.5)) == pytest.approx(1e-2)
    assert float(_numbers(0.5, 1.5, "Auto").value(0.5)) == 1.0
    counted = Counter(_numbers(1, 4, whole=True).value(place / 100) for place in range(100))
    assert counted == {"1": 25, "2": 25, "3": 25, "4": 25}


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale"),
    [
        ("Integer", "a", "2", "Linear"),
        ("Integer", "1.5", "2", "Linear"),
        ("Continuous", "2", "1", "Linear"),
        ("Continuous", "0", "1", "Logarithmic"),
        ("Continuous", "0", "1", "ReverseLogarithmic"),
        ("Integer", "0", "0", "ReverseLogarithmic"),
        ("Continuous", "nan", "1", "Linear"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(kind: str, low: str, high: str, scale: str) -> None:
    asked = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scale}
    with pytest.raises(ValueError, match="x"):
        ranges({f"{kind}ParameterRanges": [asked]})


SMALL = ranges(
    {
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "3"}],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
    }
)
WIDE = ranges(
    {
        "ContinuousParameterRanges": [
            {"Name": "x", "MinValue": "0", "MaxValue": "1"},
            {"Name": "y", "MinValue": "1e-4", "MaxValue": "1", "ScalingType": "Logarithmic"},
        ],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
    }
)


def _bayesian(found: tuple[Range, ...], seed: int) -> Search:
    return BayesianSearch(found, seed, minimizes=True)


@pytest.mark.parametrize("make", [RandomSearch, _bayesian])
@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_no_combination_is_tried_twice_and_none_is_left_out(
    make: Callable[[tuple[Range, ...], int], Search], seed: int
) -> None:
    search, found = make(SMALL, seed), set()
    while (values := search.ask()) is not None:
        found.add((values["n"], values["c"]))
        search.tell(values, float(values["n"]))
    assert found == set(itertools.product("123", "ab"))
    assert combinations(SMALL) == 6


def test_grid_search_goes_through_all_combinations_in_order() -> None:
    search = GridSearch(SMALL[1:])
    assert [search.ask(), search.ask(), search.ask()] == [{"c": "a"}, {"c": "b"}, None]


def _objective(values: Any) -> float:
    penalty = 0.0 if values["c"] == "b" else 0.5
    return (float(values["x"]) - 0.3) ** 2 + (math.log10(float(values["y"])) + 2) ** 2 + penalty


def _tried(search: Search, count: int, side_by_side: int = 2) -> list[Any]:
    """Ask and tell as a tuning job with some training jobs at once does."""
    asked: list[Any] = []
    told = 0
    while len(asked) < count:
        while len(asked) - told < side_by_side:
            asked.append(search.ask())
        search.tell(asked[told], _objective(asked[told]))
        told += 1
    return asked


@pytest.mark.parametrize("make", [RandomSearch, _bayesian])
def test_the_same_seed_gives_the_same_trials_and_another_one_others(
    make: Callable[[tuple[Range, ...], int], Search],
) -> None:
    assert _tried(make(WIDE, 3), 15) == _tried(make(WIDE, 3), 15)
    assert _tried(make(WIDE, 3), 15) != _tried(make(WIDE, 4), 15)


def test_bayesian_search_comes_closer_than_random_search() -> None:
    best = {
        make: sum(min(map(_objective, _tried(make(WIDE, seed), 40))) for seed in range(5))
        for make in (RandomSearch, _bayesian)
    }
    assert best[_bayesian] < best[RandomSearch] / 2


def test_results_of_parents_are_learnt_from_and_combinations_to_begin_with_come_first() -> None:
    first = {"x": "0.25", "y": "0.01", "c": "b"}
    search = BayesianSearch(WIDE, 1, minimizes=True, first=[first])
    begun = search.ask()
    assert begun is not None
    assert float(begun["x"]) == pytest.approx(0.25)
    assert begun["c"] == "b"
    known = [(values, _objective(values)) for values in _tried(RandomSearch(WIDE, 0), 60)]
    warm, cold = (
        sum(
            sum(map(_objective, _tried(BayesianSearch(WIDE, s, minimizes=True, known=learnt), 5)))
            for s in range(5)
        )
        for learnt in (known, [])
    )
    assert warm < cold / 2


def test_a_trial_without_a_result_is_no_obstacle() -> None:
    search = BayesianSearch(WIDE, 1, minimizes=False)
    for number in range(8):
        values = search.ask()
        assert values is not None
        search.tell(values, None if number % 2 else 1.0)


OTHERS = [[4.0, 2.0, 1.0], [4.0, 3.0, 2.0], [5.0, 5.0, 5.0]]


@pytest.mark.parametrize(
    ("history", "others", "stops"),
    [
        ([4.5], OTHERS, True),  # The median of 4, 4, 5.
        ([4.0], OTHERS, False),
        ([9.0, 3.4], OTHERS, False),  # The median of 3, 3.5, 5.
        ([9.0, 3.6], OTHERS, True),
        ([9.0], OTHERS[:2], False),
        ([9.0, 9.0, 9.0, 9.0], OTHERS, True),
    ],
)
def test_a_job_worse_than_the_median_of_running_averages_is_stopped(
    history: list[float], others: list[list[float]], stops: bool
) -> None:
    assert MedianRule(minimizes=True).stops(4, history, others) is stops
    mirrored = [[-value for value in each] for each in others]
    assert MedianRule(minimizes=False).stops(4, [-v for v in history], mirrored) is stops


def test_halving_looks_at_rungs_only_and_lets_one_of_three_pass() -> None:
    rule = Halving(minimizes=True, least=1, most=9)
    others = [[float(value)] * 9 for value in range(5)]
    assert rule.stops(1, [1.5], others)  # Two of six may pass.
    assert not rule.stops(1, [0.5], others)
    assert not rule.stops(1, [9.0, 9.0], others)  # No rung.
    assert rule.stops(1, [9.0, 9.0, 9.0], others)
    assert not rule.stops(2, [9.0], others)  # The next bracket begins at 3.
    assert rule.stops(2, [9.0, 9.0, 9.0], others)
    assert rule.stops(3, [0.0] * 9, others)  # MaxResource.


def _config(strategy: str, early: str = "Off", **band: int) -> dict[str, Any]:
    objective = {"Type": "Minimize", "MetricName": "loss"}
    config: dict[str, Any] = {
        "Strategy": strategy,
        "HyperParameterTuningJobObjective": objective,
        "TrainingJobEarlyStoppingType": early,
    }
    return config | ({"StrategyConfig": {"HyperbandStrategyConfig": band}} if band else {})


def test_hyperband_takes_its_resource_from_the_epochs() -> None:
    assert stopping(_config("Hyperband"), {"epochs": "27"}) == Halving(True, 1, 27)
    band = _config("Hyperband", MinResource=2, MaxResource=9)
    assert stopping(band, {"epochs": "27"}) == Halving(True, 2, 9)
    assert stopping(_config("Random", "Auto"), {}) == MedianRule(True)


@pytest.mark.parametrize(
    "config",
    [
        _config("Hyperband"),
        _config("Hyperband", "Auto", MaxResource=9),
        _config("Hyperband", MinResource=10, MaxResource=9),
        _config("Random", MaxResource=9),
    ],
)
def test_settings_of_stopping_that_do_not_go_together_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"MaxResource|Hyperband"):
        stopping(config, {})
