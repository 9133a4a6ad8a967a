"""Metric math, extended statistics and the rules of composite alarms: pure functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.composite_rules import parse_rule
from simulator.cloud.errors import AwsError
from simulator.cloud.extended_statistics import extended_statistic
from simulator.cloud.metric_math import Scope, Series, Value, compile_expression

NUMBERS = st.integers(-1000, 1000).map(float)
SERIES = st.lists(st.none() | NUMBERS, min_size=4, max_size=4)


def value(text: str, **series: Series) -> Value:
    return compile_expression(text)(Scope({**series}, series, 60, 4))


@settings(deadline=None)
@given(SERIES, SERIES)
def test_arithmetic_is_that_of_python_wherever_both_have_a_value(a: Series, b: Series) -> None:
    expected = [
        None if x is None or y is None else x + y * 2.0 - (x - y) ** 2.0
        for x, y in zip(a, b, strict=True)
    ]
    assert value("a + b * 2 - (a - b) ^ 2", a=a, b=b) == expected


@settings(deadline=None)
@given(SERIES)
def test_a_series_plus_its_missing_periods_is_whole_after_fill(a: Series) -> None:
    assert value("FILL(a, 0)", a=a) == [x or 0.0 for x in a]
    repeated = value("FILL(a, REPEAT)", a=a)
    assert isinstance(repeated, list)
    first = next((at for at, x in enumerate(a) if x is not None), len(a))
    assert repeated[:first] == [None] * first
    assert None not in repeated[first:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SUM(a)", 5.0),
        ("SUM([a, b])", [11.0, 20.0, 34.0, 40.0]),
        ("AVG(METRICS())", [5.5, 20.0, 17.0, 40.0]),
        ('MAX(METRICS("b"))', [10.0, 20.0, 30.0, 40.0]),
        ("IF(b > 15, b, 0)", [0.0, 20.0, 30.0, 40.0]),
        ("IF(b > 15 AND b < 35, 1)", [None, 1.0, 1.0, None]),
        ("a / (a - 1)", [None, None, 4 / 3, None]),
        ("DIFF(a)", [None, None, 3.0, None]),
        ("RATE(b)", [None, 10 / 60, 10 / 60, 10 / 60]),
        ("RATE(a)", [None, None, 3 / 120, None]),
        ("FILL(a, LINEAR)", [1.0, 2.5, 4.0, None]),
        ("RUNNING_SUM(b)", [10.0, 30.0, 60.0, 100.0]),
        ("-2 ^ 2 + PERIOD(a)", 56.0),
        ("METRIC_COUNT(METRICS())", 2.0),
        ("1 || 0 == 0 && 0", 1.0),
    ],
)
def test_functions_give_what_the_user_guide_says(text: str, expected: Value) -> None:
    a: Series = [1.0, None, 4.0, None]
    b: Series = [10.0, 20.0, 30.0, 40.0]
    assert value(text, a=a, b=b) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SEARCH('x')", "NotSupportedByTwin"),
        ("ANOMALY_DETECTION_BAND(a)", "NotSupportedByTwin"),
        ("SELECT AVG(x) FROM y", "NotSupportedByTwin"),
        ("a +", "ValidationError"),
        ("a b", "ValidationError"),
        ("nobody * 2", "ValidationError"),
        ("SUM(a, a)", "ValidationError"),
        ("SUM(1)", "ValidationError"),
        ("a ? 1", "ValidationError"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_is_refused(text: str, code: str) -> None:
    with pytest.raises(AwsError) as error:
        value(text, a=[1.0, 2.0, 3.0, 4.0])
    assert error.value.code == code


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=30, unique=True), st.integers(1, 100))
def test_a_percentile_is_a_value_that_that_share_does_not_exceed(
    numbers: list[float], percent: int
) -> None:
    weighted = [(number, 1.0) for number in sorted(numbers)]
    found = extended_statistic(f"p{percent}")(weighted)
    assert found == sorted(numbers)[math.ceil(round(len(numbers) * percent / 100, 9)) - 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IQM", 5.5),
        ("tm50", 3.0),
        ("TM(2:4)", 3.5),
        ("TC(:3)", 3.0),
        ("TS(80%:)", 19.0),
        ("PR(:3)", 30.0),
        ("WM(20%:80%)", 5.5),
    ],
)
def test_trimmed_statistics_of_one_to_ten(name: str, expected: float) -> None:
    weighted = [(float(number), 1.0) for number in range(1, 11)]
    assert extended_statistic(name)(weighted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rule", "states", "expected"),
    [
        ("ALARM(a) OR ALARM(b) AND OK(c)", {"a": "ALARM", "b": "OK", "c": "ALARM"}, True),
        ("(ALARM(a) OR ALARM(b)) AND OK(c)", {"a": "ALARM", "b": "OK", "c": "ALARM"}, False),
        ("NOT INSUFFICIENT_DATA('a b')", {"a b": "OK"}, True),
        ('ALARM("arn:aws:cloudwatch:us-east-1:0:alarm:a")', {"a": "ALARM"}, True),
        ("TRUE AND NOT FALSE", {}, True),
    ],
)
def test_a_rule_joins_states(rule: str, states: dict[str, str], expected: bool) -> None:
    parsed = parse_rule(rule)
    assert parsed.children == set(states)
    assert parsed.holds(states.__getitem__) is expected


@pytest.mark.parametrize("rule", ["", "ALARM(a) OR", "ALARM a", "(ALARM(a)", "OK(a) OK(b)", "x"])
def test_a_rule_that_is_not_well_formed_is_refused(rule: str) -> None:
    with pytest.raises(AwsError) as error:
        parse_rule(rule)
    assert error.value.code == "ValidationError"
