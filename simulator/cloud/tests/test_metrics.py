"""Metrics: what is put comes back by period, statistic and unit; limits in AWS's words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.metrics import STATISTICS, Metrics, metric_key
from simulator.cloud.tests.fakes import START, Twin, fake_twin
from simulator.cloud.tests.twin import context_of

VALUES = st.lists(st.tuples(st.integers(0, 599), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    made = fake_twin(tmp_path)
    made.dispatch.register("cloudwatch", Metrics(made.context).operations())
    yield made
    made.close()


def put(twin: Twin, *data: dict[str, Any]) -> None:
    full = [{"MetricName": "m", **datum} for datum in data]
    twin.do("cloudwatch", "PutMetricData", Namespace="Fleet", MetricData=full)


def get(twin: Twin, minutes: int = 10, **changes: Any) -> list[dict[str, Any]]:
    params = {
        "Namespace": "Fleet",
        "MetricName": "m",
        "StartTime": START,
        "EndTime": START + timedelta(minutes=minutes),
        "Period": 60,
        "Statistics": list(STATISTICS),
        **changes,
    }
    points: list[dict[str, Any]] = twin.do("cloudwatch", "GetMetricStatistics", **params)[
        "Datapoints"
    ]
    return points


@settings(deadline=None, max_examples=50)
@given(VALUES, st.sampled_from([60, 120, 300]))
def test_statistics_of_a_period_are_those_of_its_values(
    values: list[tuple[int, float]], period_s: int
) -> None:
    metrics = Metrics(context_of(Path("unused")))
    start_s = START.timestamp()
    for at_s, value in values:
        metrics.record("N", "m", {"b": "2", "a": "1"}, value, at_s=start_s + at_s)
    key = metric_key("N", "m", {"a": "1", "b": "2"})
    periods = math.ceil(600 / period_s)
    model: dict[str, list[float | None]] = {name: [] for name in STATISTICS}
    for number in range(periods):
        inside = [v for at, v in values if number * period_s <= at < (number + 1) * period_s]
        functions: dict[str, Callable[[list[float]], float]] = {
            "Sum": sum,
            "Average": lambda vs: sum(vs) / len(vs),
            "Minimum": min,
            "Maximum": max,
            "SampleCount": len,
        }
        for name, function in functions.items():
            model[name].append(float(function(inside)) if inside else None)
    for name in STATISTICS:
        found = metrics.statistics(key, name, start_s, period_s, periods)
        assert [v is None for v in found] == [v is None for v in model[name]]
        expected = [v for v in model[name] if v is not None]
        assert [v for v in found if v is not None] == pytest.approx(expected, abs=1e-3)


def test_values_with_counts_and_statistic_sets_say_the_same(twin: Twin) -> None:
    put(twin, {"Values": [1.0, 5.0], "Counts": [3.0, 1.0], "Unit": "Count"})
    one = get(twin)
    sums = {"Sum": 8.0, "SampleCount": 4.0, "Minimum": 1.0, "Maximum": 5.0}
    assert one == [{"Timestamp": START, "Unit": "Count", "Average": 2.0, **sums}]
    put(twin, {"StatisticValues": sums, "Timestamp": START + timedelta(minutes=1), "Unit": "Count"})
    assert get(twin)[1] == {**one[0], "Timestamp": START + timedelta(minutes=1)}


def test_a_period_is_counted_from_the_start_that_was_asked_for(twin: Twin) -> None:
    put(twin, {"Value": 1.0, "Timestamp": START + timedelta(seconds=130)})
    start = START + timedelta(seconds=121)
    [point] = get(twin, StartTime=start, Period=300)
    assert point["Timestamp"] == START + timedelta(minutes=2)


def test_values_of_different_units_are_different_points(twin: Twin) -> None:
    put(twin, {"Value": 1.0, "Unit": "Seconds"}, {"Value": 2.0, "Unit": "Count"})
    assert [(p["Unit"], p["Sum"]) for p in get(twin)] == [("Count", 2.0), ("Seconds", 1.0)]
    assert [p["Sum"] for p in get(twin, Unit="Seconds")] == [1.0]


def test_metrics_are_listed_by_name_and_dimension(twin: Twin) -> None:
    for pump in ("1", "2"):
        put(twin, {"Value": 1.0, "Dimensions": [{"Name": "Pump", "Value": pump}]})
    put(twin, {"MetricName": "other", "Value": 1.0})

    def found(**params: Any) -> list[tuple[str, list[str]]]:
        metrics = twin.do("cloudwatch", "ListMetrics", **params)["Metrics"]
        return [(m["MetricName"], [d["Value"] for d in m["Dimensions"]]) for m in metrics]

    assert found() == [("m", ["1"]), ("m", ["2"]), ("other", [])]
    assert found(Dimensions=[{"Name": "Pump"}]) == [("m", ["1"]), ("m", ["2"])]
    assert found(Dimensions=[{"Name": "Pump", "Value": "2"}]) == [("m", ["2"])]
    assert found(Namespace="Fleet", MetricName="other") == [("other", [])]
    assert found(Namespace="None") == []


@pytest.mark.parametrize(
    ("datum", "code", "text"),
    [
        (
            {"Value": 1.0, "Values": [1.0]},
            "InvalidParameterCombination",
            "The parameters MetricData.member.2.Value and MetricData.member.2.Values are "
            "mutually exclusive and you have specified both.",
        ),
        (
            {"Values": [1.0, 2.0], "Counts": [1.0]},
            "InvalidParameterValue",
            "must be of the same size.",
        ),
        ({}, "MissingParameter", "MetricData.member.2"),
        ({"Value": math.nan}, "InvalidParameterValue", "nan"),
        ({"Value": 2.0**361}, "InvalidParameterValue", "member.2"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue", "150"),
        (
            {"Value": 1.0, "Dimensions": [{"Name": f"d{n}", "Value": "v"} for n in range(31)]},
            "InvalidParameterValue",
            "30",
        ),
        (
            {"Value": 1.0, "Timestamp": START + timedelta(hours=2, seconds=1)},
            "InvalidParameterValue",
            "too new",
        ),
        (
            {"Value": 1.0, "Timestamp": START - timedelta(weeks=2, seconds=1)},
            "InvalidParameterValue",
            "too old",
        ),
    ],
)
def test_a_datum_that_is_refused_takes_the_whole_request_with_it(
    twin: Twin, datum: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(AwsError) as error:
        put(twin, {"Value": 1.0}, datum)
    assert error.value.code == code
    assert text in error.value.message
    assert get(twin) == []


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {"EndTime": START + timedelta(minutes=1441)},
            "InvalidParameterCombination",
            "You have requested up to 1441 datapoints, which exceeds the limit of 1440.",
        ),
        ({"EndTime": START}, "InvalidParameterCombination", "StartTime"),
        ({"Period": 30}, "NotSupportedByTwin", "below one minute"),
        ({"ExtendedStatistics": ["q99"]}, "InvalidParameterValue", "q99"),
        ({"Statistics": []}, "MissingParameter", "Statistics"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    twin: Twin, changes: dict[str, Any], code: str, text: str
) -> None:
    if changes.get("Statistics") == []:
        # botocore's model wants at least one; clients that leave it out come this far.
        params = {"Namespace": "Fleet", "MetricName": "m", "StartTime": START, "EndTime": START}
        with pytest.raises(AwsError, match=text):
            twin.do("cloudwatch", "GetMetricStatistics", **params, Period=60)
        return
    with pytest.raises(AwsError) as error:
        get(twin, **changes)
    assert error.value.code == code
    assert text in error.value.message
