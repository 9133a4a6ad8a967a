"""Filter groups: which rows are left, of which visual."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.quicksight.filters import filtered

ALL = {"SelectAllOptions": "FILTER_ALL_VALUES"}
NOW = datetime.fromisoformat("2026-01-07T10:30:00")
COLUMN = {"DataSetIdentifier": "d", "ColumnName": "value"}
NAMES = [{"value": name} for name in ("pump-1", "pump-2", "motor-1", None)]
NUMBERS = [{"value": value} for value in (1, 2, 3, None)]
TIMES = [{"value": NOW - timedelta(minutes=minutes)} for minutes in (0, 20, 40, 100, 3000)]


def group(kind: str, body: dict[str, Any], *more: dict[str, Any], **other: Any) -> dict[str, Any]:
    filters = [{kind: {"FilterId": "f", "Column": COLUMN, **one}} for one in (body, *more)]
    return {
        "FilterGroupId": "g",
        "CrossDataset": "SINGLE_DATASET",
        "ScopeConfiguration": {"AllSheets": {}},
        "Filters": filters,
        **other,
    }


def left(rows: list[dict[str, Any]], *groups: dict[str, Any], visual: str = "v") -> list[Any]:
    definition = {"FilterGroups": list(groups)}
    return [row["value"] for row in filtered(definition, "s", visual, "d", rows, NOW)]


def listed(operator: str, *values: str, **more: Any) -> dict[str, Any]:
    settings = {"MatchOperator": operator, "CategoryValues": list(values), **more}
    return {"Configuration": {"FilterListConfiguration": settings}}


def custom(operator: str, value: str, nulls: str = "NON_NULLS_ONLY") -> dict[str, Any]:
    settings = {"MatchOperator": operator, "CategoryValue": value, "NullOption": nulls}
    return {"Configuration": {"CustomFilterConfiguration": settings}}


def since(kind: str, value: int = 1) -> dict[str, Any]:
    return {
        "AnchorDateConfiguration": {"AnchorOption": "NOW"},
        "TimeGranularity": "HOUR",
        "RelativeDateType": kind,
        "RelativeDateValue": value,
    }


@pytest.mark.parametrize(
    ("kind", "body", "rows", "places"),
    [
        ("CategoryFilter", listed("CONTAINS", "pump-1", "motor-1"), NAMES, [0, 2]),
        ("CategoryFilter", listed("CONTAINS", "pump"), NAMES, []),
        ("CategoryFilter", listed("DOES_NOT_CONTAIN", "pump-1"), NAMES, [1, 2]),
        (
            "CategoryFilter",
            listed("CONTAINS", SelectAllOptions="FILTER_ALL_VALUES"),
            NAMES,
            [0, 1, 2],
        ),
        ("CategoryFilter", custom("CONTAINS", "pump"), NAMES, [0, 1]),
        ("CategoryFilter", custom("STARTS_WITH", "motor"), NAMES, [2]),
        ("CategoryFilter", custom("ENDS_WITH", "-1", "ALL_VALUES"), NAMES, [0, 2, 3]),
        ("CategoryFilter", custom("EQUALS", "pump-2"), NAMES, [1]),
        ("NumericRangeFilter", {"RangeMinimum": {"StaticValue": 1}}, NUMBERS, [1, 2]),
        (
            "NumericRangeFilter",
            {
                "RangeMinimum": {"StaticValue": 1},
                "IncludeMinimum": True,
                "NullOption": "ALL_VALUES",
            },
            NUMBERS,
            [0, 1, 2, 3],
        ),
        ("NumericRangeFilter", {"RangeMaximum": {"StaticValue": 3}}, NUMBERS, [0, 1]),
        ("NumericEqualityFilter", {"Value": 2, "MatchOperator": "DOES_NOT_EQUAL"}, NUMBERS, [0, 2]),
        (
            "NumericEqualityFilter",
            {"Value": 2, "MatchOperator": "EQUALS", "NullOption": "NULLS_ONLY"},
            NUMBERS,
            [3],
        ),
        (
            "TimeRangeFilter",
            {"RangeMinimumValue": {"StaticValue": "2026-01-07T09:50:00Z"}, "IncludeMinimum": True},
            TIMES,
            [0, 1, 2],
        ),
        ("RelativeDatesFilter", since("NOW"), TIMES, [0, 1]),
        ("RelativeDatesFilter", since("LAST", 2), TIMES, [0, 1, 2]),
        ("RelativeDatesFilter", since("PREVIOUS"), TIMES, [2]),
        ("RelativeDatesFilter", since("NEXT"), TIMES, []),
    ],
)
def test_a_filter_leaves_the_rows_that_it_describes(
    kind: str, body: dict[str, Any], rows: list[Any], places: list[int]
) -> None:
    assert left(rows, group(kind, body)) == [rows[place]["value"] for place in places]


def test_filters_of_a_group_are_alternatives_and_groups_all_hold() -> None:
    one, two = custom("EQUALS", "pump-1"), custom("EQUALS", "motor-1")
    assert left(NAMES, group("CategoryFilter", one, two)) == ["pump-1", "motor-1"]
    assert left(NAMES, group("CategoryFilter", one), group("CategoryFilter", two)) == []
    assert len(left(NAMES, group("CategoryFilter", one, Status="DISABLED"))) == len(NAMES)


def test_a_group_concerns_the_visuals_that_its_scope_names() -> None:
    scope = {"SheetId": "s", "Scope": "SELECTED_VISUALS", "VisualIds": ["v"]}
    selected = {"SelectedSheets": {"SheetVisualScopingConfigurations": [scope]}}
    body = custom("EQUALS", "pump-1")
    scoped = group("CategoryFilter", body, ScopeConfiguration=selected)
    assert left(NAMES, scoped) == ["pump-1"]
    assert len(left(NAMES, scoped, visual="another")) == len(NAMES)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 99)), max_size=30),
    st.integers(1, 7),
    st.sampled_from(["ASC", "DESC"]),
)
def test_the_top_ones_are_those_that_none_of_the_others_exceeds(
    pairs: list[tuple[str, int]], limit: int, direction: str
) -> None:
    rows = [{"value": name, "score": score} for name, score in pairs]
    how = {"NumericalAggregationFunction": {"SimpleNumericalAggregation": "MAX"}}
    column = {"DataSetIdentifier": "d", "ColumnName": "score"}
    by = {"Column": column, "SortDirection": direction, "AggregationFunction": how}
    body = {"Limit": limit, "AggregationSortConfigurations": [by]}
    kept = set(left(rows, group("TopBottomFilter", body)))
    best = {name: max(score for one, score in pairs if one == name) for name, _ in pairs}
    assert len(kept) == min(limit, len(best))
    others = [best[name] for name in best if name not in kept]
    chosen = [best[name] for name in kept]
    if chosen and others:
        is_right = max(chosen) <= min(others) if direction == "ASC" else min(chosen) >= max(others)
        assert is_right
