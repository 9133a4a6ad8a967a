"""CloudWatch, Logs, EventBridge and IAM with another endpoint behind the twin.

moto plays it and, where it was prepared, LocalStack is it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.tests.remote_server import moto_server
from simulator.cloud.tests.twin import START

ROLE = "arn:aws:iam::000000000000:role/machines/reader"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
MAY_LIST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "kinesis:ListStreams", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def twin(forwarding_twin: Cloud) -> Cloud:
    """Return a twin that forwards to the endpoint."""
    return forwarding_twin


def later(twin: Cloud, seconds: float) -> None:
    """Let the run's clock go on."""
    twin.engine.run(twin.engine.env.timeout(seconds))


def statistics(name: str, **dimensions: str) -> dict[str, Any]:
    """Return a request for an hour of a metric since the start."""
    return {
        "Namespace": "Fleet",
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "StartTime": START,
        "EndTime": START + timedelta(hours=1),
        "Period": 60,
        "Statistics": ["Sum", "Maximum"],
    }


def publishes(topic: str) -> dict[str, Any]:
    """Return the statement that lets alarms publish to a topic."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }


def put_metric(twin: Cloud, datum: dict[str, Any]) -> None:
    """Put one datum through the twin."""
    twin.call("cloudwatch", "PutMetricData", Namespace="Fleet", MetricData=[datum])


def alarms(there: RemoteEndpoint, name: str) -> list[dict[str, Any]]:
    """Return the alarms of a name in the endpoint."""
    found = there.forward("cloudwatch", "DescribeAlarms", {"AlarmNames": [name]})
    return list(found["MetricAlarms"])


def test_metrics_of_the_twins_services_are_in_the_endpoint_at_the_runs_time(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    at_s = START.timestamp()
    for minute, value in ((0, 2.0), (0, 3.0), (4, 7.0)):
        twin.metrics.record("Fleet", "Rows", {"Pump": "1"}, value, "Count", at_s + 60 * minute)
    later(twin, 61.0)
    found = there.forward("cloudwatch", "GetMetricStatistics", statistics("Rows", Pump="1"))
    points = sorted(found["Datapoints"], key=lambda point: point["Timestamp"])
    assert [(each["Timestamp"], each["Sum"]) for each in points] == [
        (START, 5.0),
        (START + timedelta(minutes=4), 7.0),
    ]


def test_statistics_are_read_there_and_by_the_twin_where_the_endpoint_would_mistake_them(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    put = {"MetricName": "Heat", "Unit": "Count", "Timestamp": START, "Value": 1.0}
    pump = {"Name": "Pump", "Value": "1"}
    twin.call(
        "cloudwatch", "PutMetricData", Namespace="Fleet", MetricData=[put | {"Dimensions": [pump]}]
    )
    past = {**put, "Dimensions": [pump], "Value": 10.0}
    twin.call("cloudwatch", "GetMetricStatistics", **statistics("Heat", Pump="1"))
    there.forward("cloudwatch", "PutMetricData", {"Namespace": "Fleet", "MetricData": [past]})
    (point,) = twin.call("cloudwatch", "GetMetricStatistics", **statistics("Heat", Pump="1"))[
        "Datapoints"
    ]
    # What was put past the twin counts: the endpoint has answered.
    assert (point["Sum"], point["Maximum"], point["Unit"]) == (11.0, 10.0, "Count")
    longer = {"Name": "Pump", "Value": "12"}
    twin.call(
        "cloudwatch",
        "PutMetricData",
        Namespace="Fleet",
        MetricData=[put | {"Dimensions": [longer]}],
    )
    (point,) = twin.call("cloudwatch", "GetMetricStatistics", **statistics("Heat", Pump="1"))[
        "Datapoints"
    ]
    assert point["Sum"] == 1.0, "LocalStack would find Pump=12 as well"


def test_an_alarms_definition_and_state_are_there_and_its_action_happens_once(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    heard: list[str] = []
    twin.sns.on_publish.append(lambda arn, message: heard.append(message))
    topic = twin.call("sns", "CreateTopic", Name="alarms")["TopicArn"]
    twin.call(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName="hot",
        Namespace="Fleet",
        MetricName="Bearing",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    may = {"Version": "2012-10-17", "Statement": [publishes(topic)]}
    twin.iam.put_resource_policy(topic, may)
    twin.metrics.record("Fleet", "Bearing", {}, 9.0)
    later(twin, 125.0)
    (alarm,) = there.forward("cloudwatch", "DescribeAlarms", {"AlarmNames": ["hot"]})[
        "MetricAlarms"
    ]
    assert alarm["StateValue"] == "ALARM"
    assert alarm["ActionsEnabled"] is False
    metric = alarm["Metrics"][0]["MetricStat"]
    assert (metric["Metric"]["MetricName"], metric["Stat"], metric["Period"]) == (
        "Bearing",
        "Maximum",
        60,
    )
    assert len(heard) == 1
    (own,) = twin.call("cloudwatch", "DescribeAlarms", AlarmNames=["hot"])["MetricAlarms"]
    assert own["ActionsEnabled"] is True
    twin.call("cloudwatch", "DeleteAlarms", AlarmNames=["hot"])
    assert not there.forward("cloudwatch", "DescribeAlarms", {"AlarmNames": ["hot"]})[
        "MetricAlarms"
    ]


def test_the_alarms_of_a_scaling_policy_are_there_and_go_with_it(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    tracked = {
        "AlarmName": "TargetTracking-endpoint/e/variant/v-AlarmHigh-1",
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationsPerInstance",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 10.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    name = str(tracked["AlarmName"])
    twin.alarms.put_tracking(tracked, "arn:aws:autoscaling:us-east-1:000000000000:scalingPolicy:1")
    at_s = twin.engine.epoch_s()
    twin.metrics.record(
        "AWS/SageMaker", "InvocationsPerInstance", {"EndpointName": "e"}, 11.0, "None", at_s
    )
    later(twin, 120.0)
    assert twin.alarms.state(name) == "ALARM"
    (found,) = alarms(there, name)
    assert (found["StateValue"], found["ActionsEnabled"]) == ("ALARM", False)
    twin.alarms.remove([name])
    assert alarms(there, name) == []


def test_a_dashboard_is_there(twin: Cloud, there: RemoteEndpoint) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "pumps"}}]})
    twin.call("cloudwatch", "PutDashboard", DashboardName="fleet", DashboardBody=body)
    found = there.forward("cloudwatch", "GetDashboard", {"DashboardName": "fleet"})
    assert json.loads(found["DashboardBody"]) == json.loads(body)
    twin.call("cloudwatch", "DeleteDashboards", DashboardNames=["fleet"])
    with pytest.raises(AwsError, match="does not exist"):
        twin.call("cloudwatch", "GetDashboard", DashboardName="fleet")


def test_log_events_are_there_and_are_read_with_the_runs_times(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    twin.call("logs", "CreateLogGroup", logGroupName="/fleet/own")
    twin.call("logs", "PutRetentionPolicy", logGroupName="/fleet/own", retentionInDays=1)
    (group,) = there.forward("logs", "DescribeLogGroups", {"logGroupNamePrefix": "/fleet/own"})[
        "logGroups"
    ]
    assert group["retentionInDays"] == 1
    twin.call("logs", "CreateLogStream", logGroupName="/fleet/own", logStreamName="s")
    at_ms = int(twin.engine.epoch_s() * 1000)
    where = {"logGroupName": "/fleet/own", "logStreamName": "s"}
    events = [{"timestamp": at_ms + n, "message": f"line {n}"} for n in range(3)]
    twin.call("logs", "PutLogEvents", **where, logEvents=events)
    read = twin.call("logs", "GetLogEvents", **where, startFromHead=True, startTime=at_ms + 1)
    assert [(each["timestamp"] - at_ms, each["message"]) for each in read["events"]] == [
        (1, "line 1"),
        (2, "line 2"),
    ]
    held = there.forward("logs", "GetLogEvents", {**where, "startFromHead": True})["events"]
    assert [each["message"] for each in held] == ["line 0", "line 1", "line 2"]
    moved_ms = held[0]["timestamp"] - at_ms
    assert moved_ms % 86_400_000 == 0
    later(twin, 2 * 86_400.0)
    assert twin.call("logs", "GetLogEvents", **where)["events"] == [], "retention is the twin's"


def test_what_a_function_logs_is_there_within_a_minute(twin: Cloud, there: RemoteEndpoint) -> None:
    twin.logs.append("/aws/lambda/score", "one", ["START", "END"])
    later(twin, 61.0)
    where = {"logGroupName": "/aws/lambda/score", "logStreamName": "one"}
    held = there.forward("logs", "GetLogEvents", {**where, "startFromHead": True})["events"]
    assert [each["message"] for each in held] == ["START", "END"]
    twin.call("logs", "DeleteLogGroup", logGroupName="/aws/lambda/score")
    twin.logs.append("/aws/lambda/score", "one", ["again"])
    assert twin.call("logs", "GetLogEvents", **where)["events"][0]["message"] == "again"


def test_a_rule_is_there_and_its_target_is_called_once_by_the_twin(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    url = twin.call("sqs", "CreateQueue", QueueName="events")["QueueUrl"]
    queue = twin.context.arn("sqs", "events")
    allow = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
            }
        ],
    }
    policy = {"Policy": json.dumps(allow)}
    twin.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=policy)
    pattern = json.dumps({"source": ["fleet"]})
    twin.call("events", "PutRule", Name="heard", EventPattern=pattern)
    twin.call("events", "PutTargets", Rule="heard", Targets=[{"Id": "q", "Arn": queue}])
    assert there.forward("events", "DescribeRule", {"Name": "heard"})["EventPattern"] == pattern
    kept = there.forward("events", "ListTargetsByRule", {"Rule": "heard"})["Targets"]
    assert [each["Arn"] for each in kept] == [queue]
    event = {"Source": "fleet", "DetailType": "hot", "Detail": "{}"}
    twin.call("events", "PutEvents", Entries=[event])
    later(twin, 5.0)
    there_url = there.forward("sqs", "GetQueueUrl", {"QueueName": "events"})["QueueUrl"]
    asked = {"QueueUrl": there_url, "MaxNumberOfMessages": 10}
    (message,) = there.forward("sqs", "ReceiveMessage", asked)["Messages"]
    assert json.loads(message["Body"])["detail-type"] == "hot"
    twin.call("events", "DisableRule", Name="heard")
    assert there.forward("events", "DescribeRule", {"Name": "heard"})["State"] == "DISABLED"
    twin.call("events", "RemoveTargets", Rule="heard", Ids=["q"])
    twin.call("events", "DeleteRule", Name="heard")
    assert not there.forward("events", "ListRules", {"NamePrefix": "heard"})["Rules"]


def test_the_endpoint_is_not_told_whom_a_schedule_calls(twin: Cloud, there: RemoteEndpoint) -> None:
    queue = twin.context.arn("sqs", "events")
    twin.call("events", "PutRule", Name="nightly", ScheduleExpression="rate(1 day)")
    twin.call("events", "PutTargets", Rule="nightly", Targets=[{"Id": "q", "Arn": queue}])
    assert not there.forward("events", "ListTargetsByRule", {"Rule": "nightly"})["Targets"]
    (target,) = twin.call("events", "ListTargetsByRule", Rule="nightly")["Targets"]
    assert target["Arn"] == queue
    twin.call("events", "RemoveTargets", Rule="nightly", Ids=["q"])


def test_roles_and_policies_are_there_and_follow_their_changes(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    shared = "arn:aws:iam::000000000000:policy/shared"
    twin.iam.put_role(ROLE, TRUST, {"own": MAY_LIST})
    twin.iam.put_managed_policy(shared, MAY_LIST)
    twin.iam.attach(ROLE, shared)
    later(twin, 61.0)
    role = twin.call("iam", "GetRole", RoleName="reader")["Role"]
    assert role["Arn"] == ROLE
    found = there.forward("iam", "GetRolePolicy", {"RoleName": "reader", "PolicyName": "own"})
    assert found["PolicyDocument"] == MAY_LIST
    attached = there.forward("iam", "ListAttachedRolePolicies", {"RoleName": "reader"})
    assert [each["PolicyArn"] for each in attached["AttachedPolicies"]] == [shared]
    twin.iam.put_role(ROLE, TRUST)
    twin.iam.put_managed_policy(shared, MAY_LIST)
    twin.iam.remove_role(ROLE)
    later(twin, 61.0)
    with pytest.raises(AwsError, match="NoSuchEntity"):
        there.forward("iam", "GetRole", {"RoleName": "reader"})


def test_a_service_that_the_endpoint_lacks_is_executed_by_the_twin(
    endpoint: str, there: RemoteEndpoint, tmp_path: Any
) -> None:
    bare = RemoteEndpoint(endpoint)  # As if `check` had found no optional service.
    cloud = Cloud(START, tmp_path, remote=bare)
    try:
        cloud.call("logs", "CreateLogGroup", logGroupName="/twin/only")
        cloud.call("events", "PutRule", Name="twin-only", ScheduleExpression="rate(1 day)")
        assert cloud.call("events", "DescribeRule", Name="twin-only")["State"] == "ENABLED"
    finally:
        cloud.close()
    asked = {"logGroupNamePrefix": "/twin/only"}
    assert not there.forward("logs", "DescribeLogGroups", asked)["logGroups"]
    assert not there.forward("events", "ListRules", {"NamePrefix": "twin-only"})["Rules"]


def test_what_waits_is_told_of_when_the_endpoint_has_ended(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with moto_server() as url:
        remote = RemoteEndpoint(url)
        remote.check()
        cloud = Cloud(START, tmp_path, remote=remote)
    cloud.metrics.record("Fleet", "Rows", {}, 1.0)
    cloud.close()
    assert f"{url} did not take the rest: ServiceUnavailable" in capsys.readouterr().err
