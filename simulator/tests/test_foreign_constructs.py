"""What people put into a CDK app of theirs: it runs, or all that is missing is said beforehand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.resources.declarations import REFUSED
from simulator.cloud.template import survey_of
from simulator.cloud.tests.recording import only, recording_context, written
from simulator.cloud.tests.stack_bench import ACCOUNT, applied, policy, resource, trust, twin
from simulator.errors import TemplateError

STREAM = resource("AWS::Kinesis::Stream", {"ShardCount": 1})
ROLE = resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust("lambda.amazonaws.com")})
KEYS = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def function(**more: Any) -> dict[str, Any]:
    code = {"ZipFile": "def handler(event, context):\n    return event['n'] + 1\n"}
    given = {"Runtime": "python3.11", "Handler": "index.handler", "Code": code}
    return resource(
        "AWS::Lambda::Function", {**given, "Role": {"Fn::GetAtt": ["R", "Arn"]}, **more}
    )


def mapping(source: dict[str, Any]) -> dict[str, Any]:
    given = {"FunctionName": {"Ref": "F"}, "EventSourceArn": source, "StartingPosition": "LATEST"}
    return resource("AWS::Lambda::EventSourceMapping", given)


MISSING = {
    "an on-demand stream": (
        {"X": resource("AWS::Kinesis::Stream", {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}})},
        "X: the twin does not have kinesis:CreateStream in on-demand mode",
    ),
    "a mapping of a queue": (
        {
            "R": ROLE,
            "F": function(),
            "Q": resource("AWS::SQS::Queue", {}),
            "X": mapping({"Fn::GetAtt": ["Q", "Arn"]}),
        },
        "X: the twin does not have an event source mapping of sqs",
    ),
    "an index": (
        {
            "X": resource(
                "AWS::DynamoDB::Table", {**KEYS, "GlobalSecondaryIndexes": [{"IndexName": "i"}]}
            )
        },
        "X: the twin does not have dynamodb:CreateTable with GlobalSecondaryIndexes",
    ),
    "another runtime": (
        {"R": ROLE, "X": function(Runtime="nodejs20.x")},
        "X: the twin does not have lambda runtime nodejs20.x",
    ),
    "a FIFO topic": (
        {"X": resource("AWS::SNS::Topic", {"TopicName": "t.fifo", "FifoTopic": True})},
        "X: the twin does not have FIFO topics of SNS",
    ),
    "a rule's action": (
        {
            "X": resource(
                "AWS::IoT::TopicRule",
                {"TopicRulePayload": {"Sql": "SELECT * FROM 'a'", "Actions": [{"Sns": {}}]}},
            )
        },
        "X: the twin does not have IoT rule action sns",
    ),
    "a managed policy of AWS": (
        {
            "X": resource(
                "AWS::IAM::Role",
                {
                    "AssumeRolePolicyDocument": trust("ec2.amazonaws.com"),
                    "ManagedPolicyArns": ["arn:aws:iam::aws:policy/Unheard"],
                },
            )
        },
        "X: the twin does not have AWS managed policy arn:aws:iam::aws:policy/Unheard",
    ),
}


@pytest.mark.parametrize("name", sorted(MISSING))
def test_what_a_service_would_refuse_is_said_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    resources, said = MISSING[name]
    context, calls = recording_context(tmp_path)
    rows = survey_of(written(tmp_path, Dev=only(**resources)), context, {})
    kind = resources["X"]["Type"]
    (row,) = [row for row in rows if row.type == kind]
    assert (row.verdict, row.problems) == (REFUSED, [f"Dev: {said}"])
    cloud = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path / "state")
    try:
        with pytest.raises(TemplateError) as caught:
            cloud.boot(tmp_path, {}, prewarmed=False)
        assert str(caught.value) == f"Dev: {said} ({kind})"
        assert cloud.context.stack_events.all == []
    finally:
        cloud.close()
    assert calls.calls == []


def test_all_that_is_missing_of_one_resource_is_listed_and_its_type_stays_refused(
    tmp_path: Path,
) -> None:
    strange = resource("AWS::DynamoDB::Table", {**KEYS, "Replicas": [], "ImportSource": {}})
    context, _ = recording_context(tmp_path)
    plain = resource("AWS::DynamoDB::Table", KEYS)
    (row,) = survey_of(written(tmp_path, Dev=only(A=strange, B=plain)), context, {})
    assert row.verdict == REFUSED
    assert [problem.split(":")[1].strip() for problem in row.problems] == [
        "A.Properties.Replicas",
        "A.Properties.ImportSource",
    ]


def test_code_in_the_template_itself_runs_and_changes(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        applied(cloud, tmp_path / "app", only(R=ROLE, F=function(FunctionName="f")))
        answer = cloud.call("lambda", "Invoke", FunctionName="f", Payload=b'{"n": 1}')
        assert answer["Payload"] == b"2"
        other = {"ZipFile": "def handler(event, context):\n    return event['n'] * 10\n"}
        changed = only(R=ROLE, F=function(FunctionName="f", Code=other))
        assert "Dev/F  Code" in applied(cloud, tmp_path / "app", changed)
        answer = cloud.call("lambda", "Invoke", FunctionName="f", Payload=b'{"n": 3}')
        assert answer["Payload"] == b"30"


def flow(account: str) -> dict[str, Any]:
    """Return a state machine that logs, with the role that the CDK writes for it."""
    machines = f"arn:aws:states:us-east-1:{account}:stateMachine:*"
    trusted = trust("states.amazonaws.com")
    trusted["Statement"][0]["Condition"] = {
        "ArnLike": {"aws:SourceArn": machines},
        "StringEquals": {"aws:SourceAccount": account},
    }
    delivery = policy("logs:*", "*")
    group = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["G", "Arn"]}}}
    return only(
        G=resource("AWS::Logs::LogGroup", {}),
        R=resource(
            "AWS::IAM::Role",
            {
                "AssumeRolePolicyDocument": trusted,
                "Policies": [{"PolicyName": "logs", "PolicyDocument": delivery}],
            },
        ),
        M=resource(
            "AWS::StepFunctions::StateMachine",
            {
                "StateMachineName": "m",
                "RoleArn": {"Fn::GetAtt": ["R", "Arn"]},
                "LoggingConfiguration": {"Level": "ALL", "Destinations": [group]},
                "DefinitionString": json.dumps(
                    {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
                ),
            },
        ),
    )


def test_a_role_that_only_the_machines_of_the_account_may_take_lets_them(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        applied(cloud, tmp_path / "app", flow(ACCOUNT))
        arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"
        started = cloud.call("stepfunctions", "StartExecution", stateMachineArn=arn)
        cloud.engine.run(cloud.engine.env.now + 5.0)
        found = cloud.call(
            "stepfunctions", "DescribeExecution", executionArn=started["executionArn"]
        )
        assert found["status"] == "SUCCEEDED"
        written(tmp_path, Dev=flow("111111111111"))
        cloud.destroy()
        with pytest.raises(TemplateError, match="not authorized to access the Log Destination"):
            cloud.update(cloud.plan(tmp_path, {}))
