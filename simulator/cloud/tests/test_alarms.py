"""Alarms: the whole table of missing data, M of N, actions on a change only, the wording."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.alarm_rules import evaluate
from simulator.cloud.alarms import Alarms
from simulator.cloud.errors import AwsError
from simulator.cloud.metrics import Metrics
from simulator.cloud.operations import Call, Operation, Principal
from simulator.cloud.tests.fakes import Twin, fake_twin

TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"
SETTINGS = ("missing", "ignore", "breaching", "notBreaching")
STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
TABLE = [
    # points (right = newest), needed M, then the state for each of SETTINGS
    ("0 - X - X", 3, "OK", "OK", "OK", "OK"),
    ("0 - - - -", 3, "OK", "OK", "OK", "OK"),
    ("- - - - -", 3, "INSUFFICIENT_DATA", "keep", "ALARM", "OK"),
    ("0 X X - X", 3, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("- - X - -", 3, "ALARM", "keep", "ALARM", "OK"),
    ("0 - X - X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 0 X 0 X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 - X - -", 2, "OK", "OK", "ALARM", "OK"),
    ("- - - - 0", 2, "OK", "OK", "ALARM", "OK"),
    ("- - - X -", 2, "ALARM", "keep", "ALARM", "OK"),
]


def _points(text: str) -> list[bool | None]:
    return [{"0": False, "X": True, "-": None}[mark] for mark in text.split()]


@pytest.mark.parametrize("current", STATES)
@pytest.mark.parametrize("column", range(4), ids=SETTINGS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]} of 3")
def test_missing_data_is_treated_as_awss_table_says(
    row: tuple[Any, ...], column: int, current: str
) -> None:
    expected = row[2 + column]
    found = evaluate(_points(row[0]), row[1], 3, SETTINGS[column], current)
    assert found == (current if expected == "keep" else expected)


@pytest.mark.parametrize("text", ["- - - - X", "- - - X -"])
@pytest.mark.parametrize("current", STATES)
def test_the_premature_alarm_waits_until_the_breach_is_m_periods_old(
    text: str, current: str
) -> None:
    assert evaluate(_points(text), 3, 3, "missing", current) == current


POINTS = st.lists(st.sampled_from([True, False, None]), min_size=5, max_size=5)
WITHIN = st.tuples(st.integers(1, 3), st.just(3))


@settings(deadline=None)
@given(POINTS, WITHIN, st.sampled_from(SETTINGS), st.sampled_from(STATES))
def test_with_n_real_points_the_newest_n_decide_and_the_setting_does_not_matter(
    points: list[bool | None], m_of_n: tuple[int, int], setting: str, current: str
) -> None:
    needed, of = m_of_n
    real = [point for point in points if point is not None]
    if len(real) >= of:
        expected = "ALARM" if real[-of:].count(True) >= needed else "OK"
        assert evaluate(points, needed, of, setting, current) == expected


@settings(deadline=None)
@given(POINTS, WITHIN, st.sampled_from(STATES))
def test_breaching_alarms_at_least_as_often_as_not_breaching(
    points: list[bool | None], m_of_n: tuple[int, int], current: str
) -> None:
    if evaluate(points, *m_of_n, "notBreaching", current) == "ALARM":
        assert evaluate(points, *m_of_n, "breaching", current) == "ALARM"
    for setting in ("breaching", "notBreaching"):
        assert evaluate(points, *m_of_n, setting, current) in ("ALARM", "OK")


class Account:
    """Metrics, alarms and a topic that keeps what is published."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.metrics = Metrics(twin.context)
        self.alarms = Alarms(twin.context, self.metrics)
        self.published: list[dict[str, Any]] = []
        self.refusal: AwsError | None = None
        twin.iam.service_principal = lambda service, arn="": Principal(arn)  # type: ignore[attr-defined]
        twin.dispatch.register("cloudwatch", self.alarms.operations())
        twin.dispatch.register("sns", {"Publish": Operation(self._publish)})

    def _publish(self, call: Call) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        self.published.append(call.params)
        return {"MessageId": "m"}

    def put(self, **changes: Any) -> None:
        definition = {
            "AlarmName": "hot",
            "Namespace": "Fleet",
            "MetricName": "Temperature",
            "Dimensions": [{"Name": "Pump", "Value": "1"}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 21.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": [TOPIC],
            **changes,
        }
        definition = {name: value for name, value in definition.items() if value is not None}
        self.twin.do("cloudwatch", "PutMetricAlarm", **definition)
        # The watch begins now, and not together with the first minute that a test lives.
        self.twin.engine.run(self.twin.engine.env.now)

    def minute(self, value: float | None) -> str:
        """Live one minute with a value in the middle of it; return the alarm's state."""
        engine = self.twin.engine
        if value is not None:
            at_s = engine.epoch_s() + 30.0
            self.metrics.record("Fleet", "Temperature", {"Pump": "1"}, value, at_s=at_s)
        engine.run(engine.env.now + 60.0)
        return self.alarms.states()["hot"]

    def described(self, name: str = "hot") -> dict[str, Any]:
        answer = self.twin.do("cloudwatch", "DescribeAlarms", AlarmNames=[name])
        found: dict[str, Any] = answer["MetricAlarms"][0]
        return found


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    twin = fake_twin(tmp_path)
    yield Account(twin)
    twin.close()


def test_an_alarm_is_born_without_data_and_an_update_keeps_its_state(account: Account) -> None:
    account.put()
    assert account.described()["StateValue"] == "INSUFFICIENT_DATA"
    assert account.described()["StateReason"] == "Unchecked: Initial alarm creation"
    assert account.minute(25.0) == "ALARM"
    account.put(Threshold=24.0)
    assert account.described()["StateValue"] == "ALARM"
    assert account.described()["Threshold"] == 24.0


def test_actions_run_when_the_state_changes_and_not_while_it_lasts(account: Account) -> None:
    account.put(OKActions=[TOPIC])
    assert [account.minute(v) for v in (25.0, 26.0, 27.0, 20.0, 19.0)] == (
        ["ALARM"] * 3 + ["OK"] * 2
    )
    assert [json.loads(p["Message"])["NewStateValue"] for p in account.published] == ["ALARM", "OK"]
    first = account.published[0]
    assert first["Subject"] == 'ALARM: "hot" in US East (N. Virginia)'
    assert json.loads(first["Message"])["Trigger"]["Dimensions"] == [{"name": "Pump", "value": "1"}]
    assert [state for _, _, state in account.alarms.changes()] == ["ALARM", "OK"]


def test_m_of_n_needs_m_breaching_periods_among_n(account: Account) -> None:
    account.put(EvaluationPeriods=3, DatapointsToAlarm=2, TreatMissingData="notBreaching")
    values = [25.0, 1.0, 25.0, 1.0, 1.0, 1.0]
    assert [account.minute(v) for v in values] == ["OK", "OK", "ALARM", "OK", "OK", "OK"]


def test_after_the_metric_stops_its_last_points_count_until_they_leave_the_range(
    account: Account,
) -> None:
    account.put()
    states = [account.minute(v) for v in (25.0, None, None, None)]
    assert states == ["ALARM", "ALARM", "ALARM", "INSUFFICIENT_DATA"]
    assert account.described()["StateReason"] == "Insufficient Data: 1 datapoint was unknown."


@pytest.mark.parametrize("treated", ["missing", "ignore", "breaching", "notBreaching"])
def test_an_alarm_that_is_not_evaluated_while_all_is_as_before_misses_nothing(
    account: Account, treated: str
) -> None:
    rng = random.Random(treated)
    how = {"EvaluationPeriods": 2, "TreatMissingData": treated}
    account.put(**how)
    account.put(AlarmName="twin", **how)
    for minute in range(120):
        twin = account.alarms._alarms["twin"]
        twin.values = twin.asleep = None
        account.minute(rng.choice((25.0, 1.0)) if rng.random() < 0.15 else None)
        states = account.alarms.states()
        assert states["hot"] == states["twin"], minute
        if rng.random() < 0.1:
            for name in ("hot", "twin"):
                to = {"AlarmName": name, "StateValue": "OK", "StateReason": "said so"}
                account.twin.do("cloudwatch", "SetAlarmState", **to)
        if rng.random() < 0.1:
            how["TreatMissingData"] = rng.choice(["missing", "ignore", "breaching"])
            account.put(**how)
            account.put(AlarmName="twin", **how)
    changes = [(at, state) for at, name, state in account.alarms.changes() if name == "hot"]
    assert changes == [(at, s) for at, name, s in account.alarms.changes() if name == "twin"]
    assert len(changes) > 5


def test_a_reason_names_the_point_the_start_of_its_period_and_the_threshold(
    account: Account,
) -> None:
    account.put()
    account.minute(21.5)
    assert account.described()["StateReason"] == (
        "Threshold Crossed: 1 datapoint [21.5 (05/01/26 00:00:00)] was greater than the "
        "threshold (21.0)."
    )
    account.minute(20.0)
    assert account.described()["StateReason"] == (
        "Threshold Crossed: 1 datapoint [20.0 (05/01/26 00:01:00)] was not greater than the "
        "threshold (21.0)."
    )


def test_a_reason_lists_only_the_points_that_decided(account: Account) -> None:
    account.put(EvaluationPeriods=2, ComparisonOperator="LessThanThreshold")
    for value in (30.0, 20.0, 19.0):
        account.minute(value)
    assert account.described()["StateReason"] == (
        "Threshold Crossed: 2 datapoints [19.0 (05/01/26 00:02:00), 20.0 (05/01/26 00:01:00)] "
        "were less than the threshold (21.0)."
    )


def test_a_reason_for_missing_points_says_how_they_were_treated(account: Account) -> None:
    account.put(EvaluationPeriods=2, TreatMissingData="breaching")
    account.minute(None)
    assert account.described()["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints "
        "were treated as [Breaching]."
    )


def test_a_topic_that_refuses_is_noted_in_the_history_and_stops_nothing(account: Account) -> None:
    account.put()
    account.refusal = AwsError("NotFound", "Topic does not exist", 404)
    assert account.minute(25.0) == "ALARM"
    items = account.twin.do("cloudwatch", "DescribeAlarmHistory")["AlarmHistoryItems"]
    assert [item["HistoryItemType"] for item in items] == ["Action", "StateUpdate"]
    assert items[0]["HistorySummary"].startswith(f"Failed to execute action {TOPIC}")
    assert items[1]["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to ALARM"


def test_no_action_runs_while_actions_are_disabled(account: Account) -> None:
    account.put(ActionsEnabled=False)
    assert account.minute(25.0) == "ALARM"
    assert account.published == []


def test_a_state_that_is_set_acts_at_once_and_lasts_until_the_next_evaluation(
    account: Account,
) -> None:
    account.put(TreatMissingData="notBreaching")
    change = {"AlarmName": "hot", "StateValue": "ALARM", "StateReason": "test"}
    account.twin.do("cloudwatch", "SetAlarmState", **change)
    assert len(account.published) == 1
    assert account.described()["StateReason"] == "test"
    assert account.minute(None) == "OK"
    with pytest.raises(AwsError) as error:
        account.twin.do("cloudwatch", "SetAlarmState", **{**change, "AlarmName": "none"})
    assert error.value.status == 404


def test_a_unit_in_the_definition_counts_only_values_of_that_unit(account: Account) -> None:
    account.put(Unit="Seconds")
    assert account.minute(25.0) == "INSUFFICIENT_DATA"


def test_alarms_are_found_by_name_prefix_state_and_action_page_by_page(account: Account) -> None:
    for number in range(3):
        account.put(AlarmName=f"hot-{number}", AlarmActions=[TOPIC] if number else [])
    do = account.twin.do

    def names(**params: Any) -> list[str]:
        answer = do("cloudwatch", "DescribeAlarms", **params)
        return [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]

    assert names(AlarmNamePrefix="hot-") == ["hot-0", "hot-1", "hot-2"]
    assert names(ActionPrefix="arn:aws:sns") == ["hot-1", "hot-2"]
    assert names(StateValue="OK") == []
    assert names(AlarmTypes=["CompositeAlarm"]) == []
    first = do("cloudwatch", "DescribeAlarms", MaxRecords=2)
    assert names(MaxRecords=2, NextToken=first["NextToken"]) == ["hot-2"]
    do("cloudwatch", "DeleteAlarms", AlarmNames=["hot-0", "unknown"])
    assert names() == ["hot-1", "hot-2"]


def test_history_is_found_by_date_and_type(account: Account) -> None:
    account.put()
    account.minute(25.0)
    middle = account.twin.engine.now() + timedelta(seconds=1)
    account.minute(20.0)

    def found(**params: Any) -> list[str]:
        answer = account.twin.do("cloudwatch", "DescribeAlarmHistory", **params)
        return [item["HistorySummary"] for item in answer["AlarmHistoryItems"]]

    assert found(StartDate=middle) == ["Alarm updated from ALARM to OK"]
    assert found(EndDate=middle, HistoryItemType="Action") == [
        f"Successfully executed action {TOPIC}"
    ]
    ascending = found(ScanBy="TimestampAscending")
    assert ascending == found()[::-1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Period": 30}, "NotSupportedByTwin"),
        ({"ExtendedStatistic": "p99"}, "ValidationError"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "InvalidParameterValue"),
        ({"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]}, "NotSupportedByTwin"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "NotSupportedByTwin"),
        ({"EvaluationPeriods": 1441}, "ValidationError"),
        ({"EvaluationPeriods": 169, "Period": 3600}, "ValidationError"),
        ({"DatapointsToAlarm": 2}, "ValidationError"),
        ({"TreatMissingData": "sometimes"}, "ValidationError"),
        ({"Threshold": None}, "ValidationError"),
        ({"Period": None}, "ValidationError"),
    ],
)
def test_an_alarm_that_could_not_be_evaluated_is_refused_when_it_is_put(
    account: Account, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as error:
        account.put(**changes)
    assert error.value.code == code


def test_an_hour_long_period_may_look_back_seven_days(account: Account) -> None:
    account.put(EvaluationPeriods=168, Period=3600)
    assert account.described()["EvaluationPeriods"] == 168
