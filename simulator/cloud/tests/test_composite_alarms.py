"""Composite alarms, alarms on expressions and percentiles, dashboards: through their operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.dashboards import Dashboards
from simulator.cloud.errors import AwsError
from simulator.cloud.metric_queries import MetricQueries
from simulator.cloud.tests.fakes import fake_twin
from simulator.cloud.tests.test_alarms import TOPIC, Account


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    twin = fake_twin(tmp_path)
    found = Account(twin)
    twin.dispatch.register("cloudwatch", MetricQueries(found.metrics).operations())
    twin.dispatch.register("cloudwatch", Dashboards(twin.context).operations())
    yield found
    twin.close()


def _composite(account: Account, rule: str, name: str = "both", **more: Any) -> None:
    given = {"AlarmName": name, "AlarmRule": rule, **more}
    account.twin.do("cloudwatch", "PutCompositeAlarm", **given)
    account.twin.engine.run(account.twin.engine.env.now + 0.001)


def test_a_composite_alarm_follows_its_children_and_acts_on_a_change(account: Account) -> None:
    account.put(AlarmActions=[])
    account.put(AlarmName="hotter", Threshold=30.0, AlarmActions=[])
    _composite(account, "ALARM(hot) AND NOT ALARM(hotter)", AlarmActions=[TOPIC])
    states = []
    for celsius in (25.0, 35.0, 25.0, 20.0):
        account.minute(celsius)
        account.twin.engine.run(account.twin.engine.env.now + 0.001)
        states.append(account.alarms.states()["both"])
    assert states == ["ALARM", "OK", "ALARM", "OK"]
    sent = [json.loads(one["Message"]) for one in account.published]
    assert [one["NewStateValue"] for one in sent] == ["ALARM", "ALARM"]
    assert sent[0]["AlarmRule"] == "ALARM(hot) AND NOT ALARM(hotter)"
    assert "alarm:hot transitioned to ALARM at Monday 05 January, 2026" in sent[0]["NewStateReason"]


def test_a_composite_alarm_of_unknown_or_circular_alarms_is_refused(account: Account) -> None:
    account.put()
    _composite(account, "ALARM(hot)")
    _composite(account, "ALARM(both)", "above")
    for name, rule in (("x", "ALARM(nobody)"), ("both", "ALARM(above)"), ("self", "OK(self)")):
        with pytest.raises(AwsError) as error:
            _composite(account, rule, name)
        assert error.value.code == "ValidationError"
    with pytest.raises(AwsError, match="ActionsSuppressor"):
        _composite(account, "ALARM(hot)", ActionsSuppressor="hot")


def test_relatives_of_a_composite_alarm_are_found(account: Account) -> None:
    account.put()
    _composite(account, "ALARM(hot)")
    do = account.twin.do
    below = do("cloudwatch", "DescribeAlarms", ChildrenOfAlarmName="both")
    assert [one["AlarmName"] for one in below["MetricAlarms"]] == ["hot"]
    above = do("cloudwatch", "DescribeAlarms", ParentsOfAlarmName="hot")
    assert [one["AlarmName"] for one in above["CompositeAlarms"]] == ["both"]
    assert do("cloudwatch", "DescribeAlarms")["CompositeAlarms"] == []


def test_an_alarm_tells_eventbridge_of_every_change(account: Account) -> None:
    told: list[tuple[Any, ...]] = []
    account.twin.context.emit = lambda *event: told.append(event)
    account.put()
    account.minute(25.0)
    ((source, kind, detail, arns),) = told
    assert (source, kind) == ("aws.cloudwatch", "CloudWatch Alarm State Change")
    assert detail["state"]["value"] == "ALARM"
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert arns[0].endswith(":alarm:hot")


def _stat(name: str, stat: str = "Maximum") -> dict[str, Any]:
    metric = {
        "Namespace": "Fleet",
        "MetricName": "Temperature",
        "Dimensions": [{"Name": "Pump", "Value": "1"}],
    }
    return {
        "Id": name,
        "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat},
        "ReturnData": False,
    }


_PLAIN = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))


def test_an_alarm_on_an_expression_sees_what_the_expression_gives(account: Account) -> None:
    queries = [_stat("m1"), {"Id": "e1", "Expression": "FILL(m1, 0) - 5"}]
    account.put(**_PLAIN, Metrics=queries)
    assert [account.minute(v) for v in (25.0, 27.0, None)] == ["OK", "ALARM", "OK"]


@pytest.mark.parametrize(
    "expressions",
    [
        [{"Id": "e1", "Expression": "SUM(m1)"}],
        [{"Id": "e1", "Expression": "m2"}],
        [{"Id": "e1", "Expression": "m1"}, {"Id": "e2", "Expression": "m1"}],
        [
            {"Id": "e1", "Expression": "e2 + m1"},
            {"Id": "e2", "Expression": "e1", "ReturnData": False},
        ],
    ],
)
def test_an_alarm_needs_one_time_series(account: Account, expressions: list[Any]) -> None:
    with pytest.raises(AwsError) as error:
        account.put(**_PLAIN, Metrics=[_stat("m1"), *expressions])
    assert error.value.code == "ValidationError"


def test_a_percentile_with_few_samples_keeps_the_state_where_that_is_asked_for(
    account: Account,
) -> None:
    account.put(Statistic=None, ExtendedStatistic="p90", EvaluateLowSampleCountPercentile="ignore")
    assert account.minute(25.0) == "INSUFFICIENT_DATA"
    at_s = account.twin.engine.epoch_s() + 1
    for _ in range(99):
        account.metrics.record("Fleet", "Temperature", {"Pump": "1"}, 1.0, at_s=at_s)
    assert account.minute(25.0) == "OK"


def test_metric_data_has_what_is_asked_for_newest_first(account: Account) -> None:
    account.put()
    for celsius in (25.0, 20.0):
        account.minute(celsius)
    now = account.twin.engine.now()
    queries = [{**_stat("m1", "p50"), "ReturnData": True}, {"Id": "e1", "Expression": "m1 * 2"}]
    answer = account.twin.do(
        "cloudwatch",
        "GetMetricData",
        MetricDataQueries=queries,
        StartTime=now - timedelta(minutes=2),
        EndTime=now,
    )
    values = {one["Id"]: one["Values"] for one in answer["MetricDataResults"]}
    assert values == {"m1": [20.0, 25.0], "e1": [40.0, 50.0]}


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "{}",
        '{"widgets": [{"type": "pie", "properties": {}}]}',
        '{"widgets": [{"type": "text", "properties": {}}]}',
        '{"widgets": [{"type": "metric", "properties": {"metrics": [["A", "b"]]}}]}',
        '{"widgets": [{"type": "metric", "properties": {"region": "r", "metrics": [["A"]]}}]}',
        '{"widgets": [{"type": "text", "width": 25, "properties": {"markdown": "x"}}]}',
    ],
)
def test_a_dashboard_that_could_not_be_drawn_is_refused(account: Account, body: str) -> None:
    with pytest.raises(AwsError) as error:
        account.twin.do("cloudwatch", "PutDashboard", DashboardName="d", DashboardBody=body)
    assert error.value.code == "InvalidParameterInput"
    assert account.twin.do("cloudwatch", "ListDashboards")["DashboardEntries"] == []


def test_dashboards_are_deleted_all_or_none(account: Account) -> None:
    body = '{"widgets": []}'
    account.twin.do("cloudwatch", "PutDashboard", DashboardName="d", DashboardBody=body)
    with pytest.raises(AwsError):
        account.twin.do("cloudwatch", "DeleteDashboards", DashboardNames=["d", "nobody"])
    assert account.twin.do("cloudwatch", "GetDashboard", DashboardName="d")["DashboardBody"] == body
