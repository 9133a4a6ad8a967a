"""What is written in a service's own language is judged by that service before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.stand_ins import stand_in, variants
from simulator.cloud.template import survey_of
from simulator.cloud.tests.recording import only, written
from simulator.cloud.tests.stack_bench import resource, trust
from simulator.errors import TemplateError

ROLE = resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust("states.amazonaws.com")})
TOPIC = resource("AWS::SNS::Topic", {"TopicName": "t"})
QUEUE = resource("AWS::SQS::Queue", {"QueueName": "q"})
TO_S3 = {"S3": {"BucketName": "b", "Key": "k", "RoleArn": "arn:aws:iam::000000000000:role/r"}}
PARQUET = {
    "Type": "Map",
    "End": True,
    "ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "PARQUET"},
        "Parameters": {"Bucket": "b", "Key": "k"},
    },
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    },
}


def task(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{name}", "End": True, **more}


def machine(*states: Any, **more: Any) -> dict[str, Any]:
    """Return a machine of these states, one after the other; ``more`` may replace anything."""
    named = {f"S{number}": dict(each) for number, each in enumerate(states)}
    for number in range(len(states) - 1):
        named[f"S{number}"].pop("End", None)
        named[f"S{number}"]["Next"] = f"S{number + 1}"
    text = json.dumps({"StartAt": "S0", "States": named})
    given = {"DefinitionString": text, "RoleArn": {"Fn::GetAtt": ["R", "Arn"]}, **more}
    return resource("AWS::StepFunctions::StateMachine", given)


def rule(**more: Any) -> dict[str, Any]:
    return resource("AWS::Events::Rule", {"Name": "r", **more})


def topic_rule(sql: str, *actions: Any, **more: Any) -> dict[str, Any]:
    payload = {"Sql": sql, "Actions": list(actions) or [TO_S3], **more}
    return resource("AWS::IoT::TopicRule", {"TopicRulePayload": payload})


def subscription(policy: Any, **more: Any) -> dict[str, Any]:
    to = {"Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Q", "Arn"]}, "TopicArn": {"Ref": "T"}}
    return resource("AWS::SNS::Subscription", {**to, "FilterPolicy": policy, **more})


def alarm(*queries: Any) -> dict[str, Any]:
    given = {"Metrics": list(queries), "EvaluationPeriods": 1, "Threshold": 1}
    more = {"ComparisonOperator": "GreaterThanThreshold", "AlarmName": "a"}
    return resource("AWS::CloudWatch::Alarm", {**given, **more})


LACKS = "the twin does not have "
REFUSED = {
    "tasks": (
        machine(
            task("ecs:runTask.sync"),
            task("batch:submitJob"),
            task("http:invoke"),
            task("athena:startQueryExecution.sync"),
            task("aws-sdk:ec2:describeInstances"),
            task("sns:publish", Parameters={"TopicArn": "t", "Message": "m"}),
        ),
        [
            LACKS + "the integration arn:aws:states:::ecs:runTask.sync",
            LACKS + "the integration arn:aws:states:::batch:submitJob",
            LACKS + "the integration arn:aws:states:::http:invoke",
            LACKS + "the integration arn:aws:states:::athena:startQueryExecution.sync",
            LACKS + "ec2:DescribeInstances (the Task resource arn:aws:states:::"
            "aws-sdk:ec2:describeInstances)",
        ],
    ),
    "a reader": (
        machine(PARQUET),
        [LACKS + "InputType PARQUET with ['InputType'] at /States/S0/ItemReader/ReaderConfig"],
    ),
    "a definition": (
        machine({"Type": "Nap", "End": True}),
        [
            "stepfunctions:CreateStateMachine would answer InvalidDefinition: "
            "SCHEMA_VALIDATION_FAILED: Value is not a valid state Type at /States/S0/Type"
        ],
    ),
    "a wrong name": (
        machine(task("aws-sdk:ec2:describeVpcs"), StateMachineName="a b"),
        [
            "stepfunctions:CreateStateMachine would answer InvalidName: Invalid Name: 'a b'",
            LACKS + "ec2:DescribeVpcs (the Task resource arn:aws:states:::"
            "aws-sdk:ec2:describeVpcs)",
        ],
    ),
    "a schedule": (
        rule(ScheduleExpression="cron(0 8 L * ? *)"),
        [LACKS + "the schedule field 'L'"],
    ),
    "a wrong schedule": (
        rule(ScheduleExpression="every(1 minute)"),
        [
            "events:PutRule would answer ValidationException: Parameter ScheduleExpression is not "
            "valid. (every(1 minute): it is neither rate(...) nor cron(...))"
        ],
    ),
    "a pattern": (
        rule(EventPattern={"detail": {"address": [{"cidr": "10.0.0.0/8"}]}}),
        [LACKS + "an event pattern with cidr"],
    ),
    "SQL": (
        topic_rule("SELECT aws_lambda('f', *) AS x FROM 'a'", {"Sns": {}}, TO_S3),
        [LACKS + "IoT SQL function aws_lambda()", LACKS + "IoT rule action sns"],
    ),
    "an error action": (
        topic_rule("SELECT * FROM 'a'", ErrorAction={"Sns": {}}),
        [LACKS + "IoT rule action sns"],
    ),
    "metric math": (
        alarm({"Id": "a", "Expression": "SELECT AVG(x) FROM y", "Period": 60}),
        [LACKS + "a Metrics Insights query (SELECT)"],
    ),
    "a rule of alarms": (
        resource(
            "AWS::CloudWatch::CompositeAlarm",
            {"AlarmName": "c", "AlarmRule": "AT_LEAST(1, ALARM, (a, b))"},
        ),
        [LACKS + "AT_LEAST in the rule of a composite alarm"],
    ),
    "a pattern of log lines": (
        resource(
            "AWS::Logs::MetricFilter",
            {
                "LogGroupName": "g",
                "FilterPattern": "{ $.level = ",
                "MetricTransformations": [
                    {"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1"}
                ],
            },
        ),
        None,
    ),
    "a device's policy": (
        resource(
            "AWS::IoT::Policy",
            {
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "iot:Connect",
                            "Resource": "arn:aws:iot:us-east-1:000000000000:client/${iot:Moon}",
                        }
                    ],
                }
            },
        ),
        [LACKS + "the policy variable iot:Moon"],
    ),
    "a filter policy": (
        subscription({"kind": [{"sounds-like": "alarm"}]}),
        None,
    ),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path_factory.mktemp("state"))
    yield made
    made.close()


def problems(cloud: Cloud, folder: Path, body: Any) -> list[str]:
    """Return what the survey says of a resource X among others that are fine."""
    template = only(R=ROLE, T=TOPIC, Q=QUEUE, X=body)
    rows = survey_of(written(folder, Dev=template), cloud.context, {})
    found = [problem for row in rows for problem in row.problems]
    assert all(each.startswith("Dev: X: ") for each in found)
    return [each.removeprefix("Dev: X: ") for each in found]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_the_survey_says_what_the_service_would_refuse(
    cloud: Cloud, tmp_path: Path, name: str
) -> None:
    body, said = REFUSED[name]
    found = problems(cloud, tmp_path, body)
    assert found if said is None else found == said


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_said_is_in_the_error_before_anything_is_created(tmp_path: Path, name: str) -> None:
    fresh = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path / "state")
    try:
        written(tmp_path, Dev=only(R=ROLE, T=TOPIC, Q=QUEUE, X=REFUSED[name][0]))
        with pytest.raises(TemplateError) as caught:
            fresh.boot(tmp_path, {}, prewarmed=False)
        assert fresh.context.stack_events.all == []
        for each in REFUSED[name][1] or ["would answer"]:
            assert each in str(caught.value)
    finally:
        fresh.close()


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("cloudwatch", "PutCompositeAlarm", {"AlarmName": "c", "AlarmRule": "AT_LEAST(1, ALARM, (a))"}),
    ("events", "PutRule", {"Name": "r", "ScheduleExpression": "cron(0 8 L * ? *)"}),
    ("events", "PutRule", {"Name": "r", "EventPattern": '{"a": [{"cidr": "10.0.0.0/8"}]}'}),
]


@pytest.mark.parametrize(("service", "operation", "params"), CALLS)
def test_the_call_itself_refuses_what_the_survey_does(
    cloud: Cloud, service: str, operation: str, params: dict[str, Any]
) -> None:
    with pytest.raises(AwsError):
        cloud.call(service, operation, **params)


def test_a_reference_stands_for_any_value(cloud: Cloud, tmp_path: Path) -> None:
    arn = {"Fn::GetAtt": ["Q", "Arn"]}
    function = {"Type": "Task", "Resource": "${F}", "TimeoutSeconds": "T", "End": True}
    text = machine(function)["Properties"]["DefinitionString"].replace('"T"', "${T}")
    fine = {
        "a task of a function, and a number": machine(
            DefinitionString=text, DefinitionSubstitutions={"F": arn, "T": {"Ref": "Q"}}
        ),
        "a queue in a pattern": rule(EventPattern={"resources": [arn], "source": [{"Ref": "Q"}]}),
        "a period": rule(ScheduleExpression={"Fn::Sub": "rate(${Q} minutes)"}),
        "a topic in SQL": topic_rule("x")
        | resource(
            "AWS::IoT::TopicRule",
            {
                "TopicRulePayload": {
                    "Sql": {"Fn::Sub": "SELECT * FROM '${Q}/a'"},
                    "Actions": [TO_S3],
                }
            },
        ),
        "a filter's value": subscription({"queue": [{"prefix": {"Ref": "Q"}}]}),
        "a queue for what is dead": subscription(
            {"a": ["b"]}, RedrivePolicy={"deadLetterTargetArn": arn}
        ),
    }
    for name, body in fine.items():
        assert (name, problems(cloud, tmp_path, body)) == (name, [])


def test_what_is_wrong_beside_a_reference_is_still_said(cloud: Cloud, tmp_path: Path) -> None:
    body = machine(task("sqs:sendMessage", Parameters={"QueueUrl": "${Q}", "MessageBody": "m"}))
    wrong = machine(task("ecs:runTask", Parameters={"Cluster": "${Q}"}))
    for each in (body, wrong):
        each["Properties"]["DefinitionSubstitutions"] = {"Q": {"Ref": "Q"}}
    assert problems(cloud, tmp_path, body) == []
    assert problems(cloud, tmp_path, wrong) == [
        LACKS + "the integration arn:aws:states:::ecs:runTask"
    ]


plain = st.recursive(
    st.none() | st.integers() | st.text("ab:/$", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(plain, st.text("ab :/", max_size=4), st.text("ab :", max_size=4))
def test_variants_differ_only_where_a_stand_in_is(value: Any, before: str, after: str) -> None:
    assert list(variants(value)) == []
    arn = f"arn:aws:sqs:us-east-1:000000000000:{stand_in('Q', 'Arn')}"
    others = list(variants({"a": value, "b": [f"{before} {arn} {after}"]}))
    assert len(others) > 1
    for each in others:
        assert each["a"] == value
        (text,) = each["b"]
        assert text.startswith(f"{before} ")
        assert text.endswith(f" {after}")
        assert "not-known" not in text
