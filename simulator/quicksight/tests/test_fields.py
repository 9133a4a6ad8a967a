"""Groups and aggregates: against `statistics`, and as properties of all rows."""

from __future__ import annotations

import math
import statistics
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.quicksight.fields import (
    Dimension,
    Measure,
    aggregate,
    grouped,
    shifted,
    truncated,
)
from simulator.quicksight.reading import OTHER, categories

GRANULARITIES = (
    *("YEAR", "QUARTER", "MONTH", "WEEK", "DAY"),
    *("HOUR", "MINUTE", "SECOND", "MILLISECOND"),
)
numbers = st.integers(-1000, 1000)
moments = st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2040-01-01"))
rows = st.lists(
    st.fixed_dictionaries(
        {"machine": st.sampled_from("abcdef"), "at": moments, "value": st.none() | numbers}
    ),
    max_size=40,
)
BY, AT = Dimension("by", "machine"), Dimension("at", "at", "MONTH")
SUM, COUNT = Measure("sum", "value", "SUM"), Measure("count", "value", "COUNT")


@given(st.lists(st.none() | numbers, max_size=20))
def test_an_aggregate_is_that_of_the_values_that_are_there(values: list[int | None]) -> None:
    there = [value for value in values if value is not None]
    expected: dict[str, Any] = {"COUNT": len(there), "DISTINCT_COUNT": len(set(there))}
    none = dict.fromkeys(("SUM", "MIN", "MAX", "AVERAGE", "MEDIAN", "VARP", "STDEVP", "P90"))
    if there:
        expected |= {"SUM": sum(there), "MIN": min(there), "MAX": max(there)}
        expected |= {"AVERAGE": statistics.mean(there), "MEDIAN": statistics.median(there)}
        expected |= {"VARP": np.var(there), "STDEVP": np.std(there)}
        expected |= {"P90": np.percentile(there, 90)}
    expected |= {"VAR": np.var(there, ddof=1) if len(there) > 1 else None}
    expected |= {"STDEV": np.std(there, ddof=1) if len(there) > 1 else None}
    for how, value in (none | expected).items():
        found = aggregate(how, values)
        assert found == value or found == pytest.approx(value, abs=1e-6), how


@given(rows)
def test_groups_part_the_rows_and_their_sums_are_the_sum(given_rows: list[Any]) -> None:
    found = grouped(given_rows, [BY, AT], [SUM, COUNT])
    assert len({group.key for group in found}) == len(found)
    assert sum(group.values[1] for group in found) == COUNT.of(given_rows)
    assert math.fsum(group.values[0] or 0 for group in found) == (SUM.of(given_rows) or 0)


@given(moments, st.sampled_from(GRANULARITIES))
def test_a_time_is_in_the_period_that_it_is_cut_to(moment: datetime, granularity: str) -> None:
    begun = truncated(moment, granularity)
    assert begun <= moment < shifted(begun, granularity, 1)
    assert truncated(begun, granularity) == begun
    assert shifted(shifted(begun, granularity, 3), granularity, -3) == begun


@given(rows, st.integers(1, 8), st.booleans())
def test_a_limit_keeps_the_largest_and_sums_up_the_rest_or_leaves_it_out(
    given_rows: list[Any], limit: int, is_kept: bool
) -> None:
    others = "INCLUDE" if is_kept else "EXCLUDE"
    settings = {"ItemsLimit": limit, "OtherCategories": others}
    found = categories(given_rows, BY, [SUM], (), settings)
    totals = {group.key[0]: group.values[0] for group in grouped(given_rows, [BY], [SUM])}
    ranked = sorted(totals, key=lambda one: (totals[one] is None, -(totals[one] or 0), one))
    assert [totals[one] for one in found.values] == [totals[one] for one in ranked[:limit]]
    shown = found.relabelled(given_rows)
    if is_kept:
        assert len(shown) == len(given_rows)
        assert found.has_other == (len(totals) > limit)
        assert (OTHER in found.labels) == found.has_other
    else:
        assert {row["machine"] for row in shown} == set(found.values)


def test_a_sort_by_another_column_goes_by_its_aggregate() -> None:
    given_rows = [
        {"machine": "a", "value": 5, "cost": 1},
        {"machine": "b", "value": 1, "cost": 7},
        {"machine": "b", "value": 1, "cost": 1},
    ]
    how = {"NumericalAggregationFunction": {"SimpleNumericalAggregation": "MAX"}}
    column = {"DataSetIdentifier": "d", "ColumnName": "cost"}
    sort = {"ColumnSort": {"SortBy": column, "Direction": "DESC", "AggregationFunction": how}}
    assert categories(given_rows, BY, [SUM], [sort]).values == ("b", "a")
    assert categories(given_rows, BY, [SUM]).values == ("a", "b")
