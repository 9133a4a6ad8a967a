"""EventBridge: a rule hears what its pattern wants, when it is due, and really calls."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.event_patterns import compile_pattern
from simulator.cloud.event_targets import arguments_of
from simulator.cloud.template import deploy, load_assembly
from simulator.targets import SNAPSHOT

START = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::000000000000:role/automation"
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "states.amazonaws.com"]},
        "Action": "sts:AssumeRole",
    }
}
START_IT = {"Statement": {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}}
PASS = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})


def wants(pattern: Any, event: Any) -> bool:
    return compile_pattern(json.dumps(pattern))(event)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.text("ab*", max_size=3), st.just(0.5)
)


@given(scalars, st.lists(scalars, min_size=1, max_size=3))
def test_a_list_wants_exactly_its_values(value: Any, wanted: list[Any]) -> None:
    as_json = json.loads(json.dumps(wanted))
    equal = any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in as_json
    )
    assert wants({"x": wanted}, {"x": value}) == equal
    assert wants({"x": wanted}, {"x": ["other", value]}) == (equal or "other" in wanted)
    assert not wants({"x": wanted}, {})


@given(st.text("abAB", max_size=4), st.text("abAB", min_size=1, max_size=2))
def test_operators_on_text(value: str, wanted: str) -> None:
    event = {"detail": {"key": value}}

    def asked(operator: Any) -> bool:
        return wants({"detail": {"key": [operator]}}, event)

    assert asked({"prefix": wanted}) == value.startswith(wanted)
    assert asked({"suffix": wanted}) == value.endswith(wanted)
    assert asked({"equals-ignore-case": wanted}) == (value.lower() == wanted.lower())
    folded = {"prefix": {"equals-ignore-case": wanted}}
    assert asked(folded) == value.lower().startswith(wanted.lower())
    pattern = f"{wanted}*a"
    assert asked({"wildcard": pattern}) == fnmatch.fnmatchcase(value, pattern)
    assert asked({"anything-but": [wanted, "a"]}) == (value not in (wanted, "a"))
    assert asked({"anything-but": {"prefix": wanted}}) == (not value.startswith(wanted))


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(-5, 5))
def test_operators_on_numbers(value: int, low: int, high: int) -> None:
    assert wants({"x": [{"numeric": [">=", low, "<", high]}]}, {"x": value}) == (
        low <= value < high
    )
    assert not wants({"x": [{"numeric": [">", -9]}]}, {"x": "1"})
    assert not wants({"x": [{"numeric": [">", -9]}]}, {"x": True})


def test_exists_or_and_nesting() -> None:
    assert wants({"a": {"b": [{"exists": False}]}}, {})
    assert not wants({"a": {"b": [{"exists": False}]}}, {"a": {"b": 0}})
    either = {"$or": [{"x": [1]}, {"y": [2]}], "z": [3]}
    assert wants(either, {"y": 2, "z": 3})
    assert not wants(either, {"y": 2, "z": 4})
    assert not wants(either, {"x": 2, "z": 3})
    assert wants({"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]})


@pytest.mark.parametrize(
    "pattern",
    [
        '{"x": "bare"}',
        "{}",
        "[]",
        '{"x": []}',
        "{",
        '{"x": [{"near": 1}]}',
        '{"x": [[1]]}',
        '{"x": [{"numeric": ["~", 1]}]}',
        '{"x": [{"prefix": 1}]}',
        '{"x": [{"exists": 1}]}',
    ],
)
def test_a_wrong_pattern_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(AwsError, match=r"Event pattern is not valid\. Reason: "):
        compile_pattern(pattern)


EVENT = {"detail": {"bucket": {"name": "raw"}, "object": {"key": 'a"b', "size": 3}, "l": [1, 2]}}


@pytest.mark.parametrize(
    ("given_input", "text"),
    [
        ({"Input": '{"fixed": 1}'}, '{"fixed": 1}'),
        ({"InputPath": "$.detail.bucket"}, '{"name": "raw"}'),
        ({"InputPath": "$.detail.l[1]"}, "2"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"k": "$.detail.object.key", "s": "$.detail.object.size"},
                    "InputTemplate": '{"key": <k>, "size": <s>, "told": "of <k>"}',
                }
            },
            '{"key": "a\\"b", "size": 3, "told": "of a\\"b"}',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"b": "$.detail.bucket.name"},
                    "InputTemplate": '"new in <b>"',
                }
            },
            "new in raw",
        ),
    ],
)
def test_what_a_target_is_given(given_input: dict[str, Any], text: str) -> None:
    target = {"Id": "1", "Arn": "arn:aws:sns:us-east-1:000000000000:t", **given_input}
    assert arguments_of(target, EVENT)[2]["Message"] == text


class Automation:
    """A twin with a state machine that rules may start."""

    def __init__(self, folder: Path) -> None:
        self.cloud = Cloud(START, folder / "state")
        self.cloud.iam.put_role(ROLE, TRUST, {"start": START_IT})
        self.machine = self.do(
            "stepfunctions", "CreateStateMachine", name="etl", definition=PASS, roleArn=ROLE
        )["stateMachineArn"]
        self.do("s3", "CreateBucket", Bucket="raw")

    def do(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.cloud.call(service, operation, **params)

    def rule(self, name: str = "etl", role: str = ROLE, **params: Any) -> None:
        self.do("events", "PutRule", Name=name, **params)
        target = {"Id": "machine", "Arn": self.machine, "RoleArn": role}
        self.do("events", "PutTargets", Rule=name, Targets=[target])

    def run(self, seconds: float) -> None:
        self.cloud.engine.run(self.cloud.engine.env.now + seconds)

    def started(self) -> list[dict[str, Any]]:
        """Return time and input of the executions, in their order."""
        listed = self.do("stepfunctions", "ListExecutions", stateMachineArn=self.machine)
        found = []
        for one in reversed(listed["executions"]):
            arn = one["executionArn"]
            described = self.do("stepfunctions", "DescribeExecution", executionArn=arn)
            found.append({"at": one["startDate"], **json.loads(described["input"])})
        return found


@pytest.fixture
def automation(tmp_path: Path) -> Iterator[Automation]:
    made = Automation(tmp_path)
    yield made
    made.cloud.close()


def test_a_schedule_starts_the_machine_on_the_runs_clock(automation: Automation) -> None:
    automation.rule(ScheduleExpression="cron(15 2 * * ? *)")
    automation.run(3 * 86_400)
    started = automation.started()
    assert [one["at"].strftime("%d %H:%M") for one in started] == [
        "05 02:15",
        "06 02:15",
        "07 02:15",
    ]
    assert started[0]["detail-type"] == "Scheduled Event"
    automation.do("events", "DisableRule", Name="etl")
    automation.run(86_400)
    assert len(automation.started()) == 3
    automation.do("events", "EnableRule", Name="etl")
    automation.run(86_400)
    assert len(automation.started()) == 4
    automation.do("events", "PutRule", Name="etl", ScheduleExpression="rate(12 hours)")
    automation.run(86_401)
    assert len(automation.started()) == 6, "a rule that was put again is due once, by the new one"


def test_an_object_that_arrives_starts_the_machine(automation: Automation) -> None:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["raw"]}, "object": {"key": [{"prefix": "imports/"}]}},
    }
    automation.rule(EventPattern=json.dumps(pattern))
    put = {"Bucket": "raw", "Body": b"12"}
    automation.do("s3", "PutObject", Key="imports/early", **put)
    automation.do(
        "s3",
        "PutBucketNotificationConfiguration",
        Bucket="raw",
        NotificationConfiguration={"EventBridgeConfiguration": {}},
    )
    automation.do("s3", "PutObject", Key="telemetry/x", **put)
    automation.do("s3", "PutObject", Key="imports/skab.json", **put)
    automation.run(5)
    (event,) = automation.started()
    assert event["detail"]["object"]["key"] == "imports/skab.json"
    assert event["detail"]["object"]["size"] == 2
    assert event["detail"]["reason"] == "PutObject"
    assert event["resources"] == ["arn:aws:s3:::raw"]


@pytest.mark.parametrize(
    "pattern",
    [
        {"id": [{"exists": True}]},
        {"time": [{"prefix": "20"}]},
        {"detail": {"request-id": [{"anything-but": "none"}]}},
    ],
    ids=str,
)
def test_a_rule_may_ask_for_what_an_objects_event_is_given_last(
    automation: Automation, pattern: dict[str, Any]
) -> None:
    automation.rule(EventPattern=json.dumps({"source": ["aws.s3"]} | pattern))
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
    automation.do(
        "s3",
        "PutBucketNotificationConfiguration",
        Bucket="raw",
        NotificationConfiguration=configuration,
    )
    automation.do("s3", "PutObject", Bucket="raw", Key="imports/a", Body=b"1")
    automation.run(5)
    (event,) = automation.started()
    assert event["detail"]["request-id"]


def test_a_role_that_may_not_start_it_does_not_and_the_queue_gets_the_event(
    automation: Automation,
) -> None:
    other = ROLE.replace("automation", "other")
    automation.cloud.iam.put_role(other, TRUST, {})
    queue = automation.do("sqs", "CreateQueue", QueueName="dead")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:dead"
    automation.cloud.iam.put_resource_policy(
        arn,
        {
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        },
    )
    automation.rule(role=other, EventPattern='{"source": ["plant"]}')
    target = {
        "Id": "machine",
        "Arn": automation.machine,
        "RoleArn": other,
        "DeadLetterConfig": {"Arn": arn},
    }
    automation.do("events", "PutTargets", Rule="etl", Targets=[target])
    entry = {"Source": "plant", "DetailType": "note", "Detail": '{"a": 1}'}
    bad = {"Source": "aws.s3", "DetailType": "note", "Detail": "{}"}
    answer = automation.do("events", "PutEvents", Entries=[entry, bad, {**entry, "Detail": "["}])
    assert answer["FailedEntryCount"] == 2
    automation.run(5)
    assert automation.started() == []
    received = automation.do("sqs", "ReceiveMessage", QueueUrl=queue, MessageAttributeNames=["All"])
    (message,) = received["Messages"]
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "AccessDeniedException"


def test_what_a_rule_cannot_do_here_is_refused_by_name(automation: Automation) -> None:
    automation.do("events", "PutRule", Name="r", ScheduleExpression="rate(1 minute)")
    target = {"Id": "1", "Arn": "arn:aws:ecs:us-east-1:000000000000:cluster/x"}
    with pytest.raises(NotSupportedByTwin, match="ecs"):
        automation.do("events", "PutTargets", Rule="r", Targets=[target])
    target = {"Id": "1", "Arn": automation.machine}
    with pytest.raises(AwsError, match="RoleArn is required"):
        automation.do("events", "PutTargets", Rule="r", Targets=[target])
    with pytest.raises(NotSupportedByTwin, match="event bus other"):
        automation.do("events", "PutRule", Name="x", EventBusName="other", EventPattern="{}")
    with pytest.raises(AwsError, match="must be specified"):
        automation.do("events", "PutRule", Name="x")
    wanted = {"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:a:b:c", "Events": ["s3:*"]}]}
    with pytest.raises(NotSupportedByTwin, match="Queue"):
        automation.do(
            "s3",
            "PutBucketNotificationConfiguration",
            Bucket="raw",
            NotificationConfiguration=wanted,
        )


def test_the_stacks_rules_start_the_features_job_with_what_they_are_about(tmp_path: Path) -> None:
    cloud = Cloud(START, tmp_path / "state")
    try:
        # Without Cloud.boot, which would start Spark; the run is looked at before it needs it.
        cloud.deployment = deploy(load_assembly(SNAPSHOT), cloud.context, {})
        manifest = {"start": "2021-03-01T07", "end": "2021-03-02T00", "rows": 12}
        cloud.call(
            "s3",
            "PutObject",
            Bucket="fleetwin-dev-raw-000000000000",
            Key="imports/skab/manifest.json",
            Body=json.dumps(manifest).encode(),
        )
        cloud.engine.run(10.0)

        def arguments() -> list[tuple[str, str]]:
            runs = cloud.call("glue", "GetJobRuns", JobName="fleetwin-dev-features")["JobRuns"]
            return [(run["Arguments"]["--start"], run["Arguments"]["--end"]) for run in runs]

        assert arguments() == [("2021-03-01T07", "2021-03-02T00")]
        (run,) = cloud.call("glue", "GetJobRuns", JobName="fleetwin-dev-features")["JobRuns"]
        cloud.call(
            "glue", "BatchStopJobRun", JobName="fleetwin-dev-features", JobRunIds=[run["Id"]]
        )
        cloud.engine.run(1_199.0)
        assert len(arguments()) == 1, "the schedule of this stage is off"
        cloud.call("events", "EnableRule", Name="fleetwin-dev-features-schedule")
        cloud.engine.run(1_210.0)
        assert arguments()[0] == ("auto", "auto")
    finally:
        cloud.close()
