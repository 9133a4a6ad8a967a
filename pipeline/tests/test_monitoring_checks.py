"""Sketches, distances and checks of the monitoring job, against SciPy and by property."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from pipeline.monitoring import distance
from pipeline.monitoring.columns import (
    Column,
    column_of_numbers,
    column_of_values,
    statistics,
    stored_sketch,
)
from pipeline.monitoring.constraints import suggest, violations
from pipeline.monitoring.sketch import KllSketch

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(NUMBERS, NUMBERS)
def test_the_simple_distance_of_small_samples_is_scipys_statistic(
    one: list[float], other: list[float]
) -> None:
    mine = distance.simple(KllSketch.of(np.array(one)), KllSketch.of(np.array(other)))
    with warnings.catch_warnings():
        # Of its p-value, which nobody asks for here.
        warnings.simplefilter("ignore", RuntimeWarning)
        statistic = ks_2samp(one, other, method="exact").statistic
    assert mine == pytest.approx(statistic, abs=1e-12)


@given(st.integers(1, 2050), st.integers(0, 99))
@settings(max_examples=30)
def test_up_to_2050_values_a_sketch_is_exact(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(n)
    sketch = KllSketch.of(values)
    np.testing.assert_array_equal(sketch.distribution()[0], np.sort(values))
    assert len(sketch.levels) == 1


@given(st.integers(0, 99), st.integers(2_051, 60_000))
@settings(max_examples=20, deadline=None)
def test_ranks_in_a_large_sketch_are_off_by_less_than_one_percent(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).gamma(2.0, size=n)
    sketch = KllSketch.of(values)
    assert sketch.count() == n
    points = np.quantile(values, np.linspace(0.0, 1.0, 101))
    exact = np.searchsorted(np.sort(values), points, "right") / n
    assert np.abs(sketch.share_up_to(points) - exact).max() < 0.01


@given(st.integers(0, 99), st.integers(1, 9_000))
@settings(max_examples=20, deadline=None)
def test_taking_values_in_parts_or_at_once_is_the_same(seed: int, cut: int) -> None:
    values = np.random.default_rng(seed).standard_normal(9_000)
    parts = KllSketch.of(values[:cut])
    parts.update(values[cut:])
    whole = KllSketch.of(values)
    for one, other in zip(parts.levels, whole.levels, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(0, 99), st.integers(1, 30_000), st.integers(1, 30_000))
@settings(max_examples=20, deadline=None)
def test_merged_sketches_stand_for_both_samples(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal(n), rng.standard_normal(m) + 1.0
    merged = KllSketch.of(one)
    merged.merge(KllSketch.of(other))
    both = np.sort(np.concatenate([one, other]))
    exact = np.searchsorted(both, both, "right") / len(both)
    assert merged.count() == n + m
    assert np.abs(merged.share_up_to(both) - exact).max() < 0.02


def test_chi_squared_is_pearsons_statistic_and_small_cells_are_put_together() -> None:
    statistic, freedom = distance.chi_squared({"a": 30, "b": 20, "c": 50}, {"a": 1, "b": 1, "c": 2})
    assert statistic == pytest.approx(2.0)
    assert freedom == 2
    # c and d together are still a third of the cells with fewer than 5: they join b.
    rare = {"a": 60, "b": 38, "c": 1, "d": 1}
    assert distance.chi_squared(rare, rare)[1] == 1
    assert distance.chi_squared({"a": 5}, {"a": 5}) == (0.0, 0)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 99), min_size=1))
def test_a_categorical_distribution_is_at_no_distance_from_itself(counts: dict[str, int]) -> None:
    assert distance.categorical(counts, counts) == 0.0
    assert distance.categorical(counts, {"elsewhere": 5}) == 1.0 or "elsewhere" in counts


def test_statistics_have_model_monitors_schema_and_the_sketch_comes_back() -> None:
    values = np.random.default_rng(1).standard_normal(5_000)
    column = column_of_numbers("f", np.append(values, np.nan))
    text = column_of_values("s", ["a", "b", "a", None])
    numeric, string = statistics([column, text], 5_001)["features"]
    assert numeric["inferred_type"] == "Fractional"
    assert numeric["numerical_statistics"]["common"] == {"num_present": 5_000, "num_missing": 1}
    buckets = numeric["numerical_statistics"]["distribution"]["kll"]["buckets"]
    assert len(buckets) == 10
    assert sum(bucket["count"] for bucket in buckets) == 5_000
    assert string["string_statistics"]["distinct_count"] == 2
    back = stored_sketch(numeric)
    assert back is not None
    assert distance.simple(back, KllSketch.of(values)) == 0.0


def checks(*columns: Column, limits: dict[str, float] | None = None) -> Counter[tuple[str, str]]:
    """Return (feature, check) of what columns violate against the baseline below."""
    rng = np.random.default_rng(2)
    baseline = [
        column_of_numbers("x", rng.standard_normal(4_000)),
        column_of_numbers("n", np.arange(100)),
        column_of_values("s", ["on", "off"] * 50),
    ]
    found: list[dict[str, Any]] = violations(
        columns,
        suggest(baseline, limits or {}),
        statistics(baseline, 4_000),
        {column.name: column for column in columns},
    )
    return Counter((each["feature_name"], each["constraint_check_type"]) for each in found)


def good(name: str) -> Column:
    """Return a column that the baseline allows."""
    values = {
        "x": column_of_numbers("x", np.random.default_rng(3).standard_normal(1_000)),
        "n": column_of_numbers("n", np.arange(100)),
        "s": column_of_values("s", ["on", "off"] * 50),
    }
    return values[name]


def test_what_the_baseline_allows_violates_nothing() -> None:
    assert not checks(good("x"), good("n"), good("s"))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (column_of_values("n", [0.5, *range(100)]), ("n", "data_type_check")),
        (column_of_values("n", [*range(100), None]), ("n", "completeness_check")),
        (column_of_values("s", ["on", "off"] * 50 + ["?"]), ("s", "categorical_values_check")),
        (column_of_values("s", ["on"] * 100), ("s", "baseline_drift_check")),
        (column_of_numbers("n", np.arange(100) + 60), ("n", "baseline_drift_check")),
    ],
)
def test_each_check_finds_what_it_is_for_and_no_other_fires(
    column: Column, expected: tuple[str, str]
) -> None:
    others = [good(name) for name in ("x", "n", "s") if name != column.name]
    assert checks(column, *others) == Counter([expected])


def test_a_column_that_is_missing_or_new_is_named() -> None:
    extra = column_of_numbers("y", np.arange(3))
    assert checks(good("x"), good("n"), extra) == Counter(
        [("s", "missing_column_check"), ("y", "extra_column_check")]
    )


def test_a_features_own_limit_replaces_the_general_one() -> None:
    shifted = column_of_numbers("x", good("x").numbers + 0.6)
    drifted = Counter([("x", "baseline_drift_check")])
    assert checks(shifted, good("n"), good("s")) == drifted
    assert not checks(shifted, good("n"), good("s"), limits={"x": 0.4})
