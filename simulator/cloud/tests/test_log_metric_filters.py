"""Metric filters: which values come of events, at which time, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.tests.fakes import START, Twin
from simulator.cloud.tests.test_logs import filtered, put, with_logs

METRIC = {"metricName": "Late", "metricNamespace": "Fleet", "metricValue": "1"}


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    made = with_logs(tmp_path)
    yield made
    made.context.logs.close()
    made.close()


def put_filter(twin: Twin, pattern: str, name: str = "f", **transformation: Any) -> None:
    twin.do(
        "logs",
        "PutMetricFilter",
        logGroupName="g",
        filterName=name,
        filterPattern=pattern,
        metricTransformations=[{**METRIC, **transformation}],
    )


def points(twin: Twin) -> list[tuple[float, float, dict[str, str], str]]:
    start_s = START.timestamp()
    return [
        (float(at_s or 0.0) - start_s, value, dimensions, unit)
        for _, _, dimensions, value, unit, at_s in twin.cloudwatch.points
    ]


def test_a_match_is_a_value_at_the_events_own_time(twin: Twin) -> None:
    put_filter(twin, "ERROR", unit="Count")
    put(twin, (-90_000, "ERROR a"), (-5_000, "fine"), (1_500, "ERROR b"))
    assert points(twin) == [(-90.0, 1.0, {}, "Count"), (1.5, 1.0, {}, "Count")]


def test_a_value_and_dimensions_come_from_the_event(twin: Twin) -> None:
    put_filter(twin, "{ $.ms = * }", metricValue="$.ms", dimensions={"Device": "$.device.id"})
    events = [{"ms": 4.5, "device": {"id": "p1"}}, {"ms": "7", "device": {"id": 2}}]
    others = [{"ms": "long", "device": {"id": "p1"}}, {"ms": 3}, {"device": {"id": "p1"}}]
    put(twin, *[(0, json.dumps(event)) for event in events + others])
    assert points(twin) == [
        (0.0, 4.5, {"Device": "p1"}, "None"),
        (0.0, 7.0, {"Device": "2"}, "None"),
    ]


def test_columns_give_values_too(twin: Twin) -> None:
    put_filter(twin, "[method, path, size > 10]", metricValue="$size")
    put(twin, (0, "GET / 12"), (0, "GET / 9"), (0, "GET / much"))
    assert [value for _, value, *_ in points(twin)] == [12.0]


def test_what_functions_print_is_filtered_like_what_clients_put(twin: Twin) -> None:
    put_filter(twin, "ERROR")
    twin.context.logs.append("g", "s", ["ERROR", "fine"])
    assert points(twin) == [(0.0, 1.0, {}, "None")]


def test_the_default_is_given_to_minutes_with_events_and_no_match(twin: Twin) -> None:
    put_filter(twin, "ERROR", defaultValue=0.0)
    twin.context.logs.append("g", "s", ["fine", "fine"])
    twin.engine.run(59.0)
    assert points(twin) == []
    twin.engine.run(61.0)
    assert points(twin) == [(0.0, 0.0, {}, "None")]
    twin.context.logs.append("g", "s", ["fine", "ERROR"])
    twin.engine.run(300.0)
    assert points(twin)[1:] == [(61.0, 1.0, {}, "None")], "and none to silent minutes"
    twin.context.logs.append("g", "s", ["fine"])
    twin.engine.run(361.0)
    assert points(twin)[2:] == [(300.0, 0.0, {}, "None")]


def test_filters_are_listed_replaced_and_deleted(twin: Twin) -> None:
    put_filter(twin, "a", "one")
    put_filter(twin, "b", "two", metricName="Other")
    put_filter(twin, "c", "one")

    def listed(**params: Any) -> list[tuple[str, str]]:
        found = twin.do("logs", "DescribeMetricFilters", **params)["metricFilters"]
        return [(one["filterName"], one["filterPattern"]) for one in found]

    assert listed() == listed(logGroupName="g") == [("one", "c"), ("two", "b")]
    assert listed(filterNamePrefix="t") == [("two", "b")]
    assert listed(metricName="Late", metricNamespace="Fleet") == [("one", "c")]
    assert twin.do("logs", "DescribeLogGroups")["logGroups"][0]["metricFilterCount"] == 2
    twin.do("logs", "DeleteMetricFilter", logGroupName="g", filterName="one")
    assert listed() == [("two", "b")]
    with pytest.raises(AwsError, match="metric filter does not exist"):
        twin.do("logs", "DeleteMetricFilter", logGroupName="g", filterName="one")
    twin.do("logs", "DeleteLogGroup", logGroupName="g")
    assert listed() == []


@pytest.mark.parametrize(
    ("pattern", "transformation", "said"),
    [
        ("{ $.a = 1 }", {"dimensions": {"A": "$.a"}, "defaultValue": 0.0}, "default"),
        ("{ $.a = 1 }", {"dimensions": dict.fromkeys("ABCD", "$.a")}, "More than 3"),
        ("ERROR", {"metricValue": "$.a"}, "no field"),
        ("[a, b]", {"metricValue": "$c"}, "no field"),
        ("{ $.a = 1 }", {"metricValue": "$a"}, "no field"),
        ("ERROR", {"metricValue": "many"}, "metric value"),
        ("{ $.a = }", {}, "filter pattern"),
    ],
)
def test_a_filter_that_cannot_give_a_metric_is_refused(
    twin: Twin, pattern: str, transformation: dict[str, Any], said: str
) -> None:
    with pytest.raises(AwsError, match=said) as error:
        put_filter(twin, pattern, **transformation)
    assert error.value.code == "InvalidParameterException"


def test_a_group_has_room_for_a_hundred_filters_and_five_regular_expressions(twin: Twin) -> None:
    for number in range(5):
        put_filter(twin, "%a%", f"regular{number}")
    with pytest.raises(AwsError, match="limit"):
        put_filter(twin, "%a%", "sixth")
    put_filter(twin, "%b%", "regular0")
    for number in range(95):
        put_filter(twin, "a", f"plain{number}")
    with pytest.raises(AwsError, match="limit"):
        put_filter(twin, "a", "more")


def test_what_the_twin_does_not_do_is_refused_by_name(twin: Twin) -> None:
    with pytest.raises(NotSupportedByTwin, match="fieldSelectionCriteria"):
        twin.do(
            "logs",
            "PutMetricFilter",
            logGroupName="g",
            filterName="f",
            filterPattern="",
            metricTransformations=[METRIC],
            fieldSelectionCriteria="x",
        )


def test_testing_a_filter_shows_the_events_that_match_with_their_numbers(twin: Twin) -> None:
    answer = twin.do(
        "logs",
        "TestMetricFilter",
        filterPattern="[method = GET, size]",
        logEventMessages=["GET 12", "PUT 1", "GET 7 8"],
    )
    assert answer["matches"] == [
        {
            "eventNumber": 1,
            "eventMessage": "GET 12",
            "extractedValues": {"$method": "GET", "$size": "12"},
        },
        {
            "eventNumber": 3,
            "eventMessage": "GET 7 8",
            "extractedValues": {"$method": "GET", "$size": "7 8"},
        },
    ]


def test_events_are_searched_by_pattern(twin: Twin) -> None:
    put(twin, (0, '{"level": "ERROR", "n": 1}'), (1, '{"level": "INFO"}'), (2, "ERROR"))
    assert filtered(twin, filterPattern='{ $.level = "ERROR" }')[0] == [
        '{"level": "ERROR", "n": 1}'
    ]
    assert len(filtered(twin, filterPattern="ERROR")[0]) == 2
