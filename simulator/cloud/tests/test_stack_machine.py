"""Whatever is asked of a stack, what exists is what its template in force says, and no more.

Templates are changed at random (a property, a resource, a logical id, a dependency turned round),
applied, made to fail by a resource that is refused or by a call in the middle, and destroyed.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from simulator.cloud import stack_calls
from simulator.cloud.errors import AwsError
from simulator.cloud.stack_changes import ChangeSet
from simulator.cloud.stack_events import STACK, StackEvent
from simulator.cloud.stack_update import UpdateFailed
from simulator.cloud.tests.recording import only, written
from simulator.cloud.tests.stack_answers import described
from simulator.cloud.tests.stack_bench import DEPENDENT, POOL, policy, resource, trust, twin
from simulator.errors import TemplateError

Resources = dict[str, dict[str, Any]]


def _function(**more: Any) -> dict[str, Any]:
    given = {
        "FunctionName": "f",
        "Runtime": "python3.11",
        "Handler": "main.handler",
        "Role": {"Fn::GetAtt": ["Worker", "Arn"]},
        "Code": {"S3Bucket": "assets", "S3Key": "code.zip"},
    }
    return resource("AWS::Lambda::Function", {**given, **more})


def _feed(**more: Any) -> dict[str, Any]:
    given = {
        "FunctionName": {"Ref": "Work"},
        "EventSourceArn": {"Fn::GetAtt": ["Stream", "Arn"]},
        "StartingPosition": "LATEST",
    }
    return resource("AWS::Lambda::EventSourceMapping", {**given, **more})


def _permission(source: str) -> dict[str, Any]:
    given = {"FunctionName": {"Ref": "Work"}, "Action": "lambda:InvokeFunction"}
    return resource(
        "AWS::Lambda::Permission", {**given, "Principal": "sns.amazonaws.com", "SourceArn": source}
    )


def _topic_rule(sql: str) -> dict[str, Any]:
    role = {"Fn::GetAtt": ["Worker", "Arn"]}
    action = {"Kinesis": {"RoleArn": role, "StreamName": {"Ref": "Stream"}, "PartitionKey": "k"}}
    return resource(
        "AWS::IoT::TopicRule",
        {"RuleName": "rule", "TopicRulePayload": {"Sql": sql, "Actions": [action]}},
    )


def _queue_policy(action: str) -> dict[str, Any]:
    document = policy(
        action, {"Fn::GetAtt": ["Queue", "Arn"]}, Principal={"Service": "sns.amazonaws.com"}
    )
    return resource(
        "AWS::SQS::QueuePolicy", {"Queues": [{"Ref": "Queue"}], "PolicyDocument": document}
    )


def _value(name: str, value: Any) -> dict[str, Any]:
    return resource("AWS::SSM::Parameter", {"Name": name, "Type": "String", "Value": value})


WORKER = resource(
    "AWS::IAM::Role",
    {"RoleName": "worker", "AssumeRolePolicyDocument": trust("lambda.amazonaws.com")},
)
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    **POOL,
    **{name: variants for name, (_, variants) in DEPENDENT.items()},
    "Worker": (WORKER,),
    "Work": (_function(), _function(Timeout=9), _function(Environment={"Variables": {"A": "1"}})),
    "Feed": (_feed(), _feed(BatchSize=7), _feed(StartingPosition="TRIM_HORIZON")),
    "Let": (_permission("arn:aws:sns:us-east-1:0:a"), _permission("arn:aws:sns:us-east-1:0:b")),
    "Route": (_topic_rule("SELECT * FROM 'a'"), _topic_rule("SELECT * FROM 'b'")),
    "Senders": (_queue_policy("sqs:SendMessage"), _queue_policy("sqs:ReceiveMessage")),
    "Composite": (
        resource("AWS::CloudWatch::CompositeAlarm", {"AlarmName": "c", "AlarmRule": "TRUE"}),
        resource(
            "AWS::CloudWatch::CompositeAlarm",
            {"AlarmName": "c", "AlarmRule": {"Fn::Sub": 'ALARM("${Hot}")'}},
        ),
    ),
    # Whose value the other's is: the dependency is turned round.
    "Left": (_value("/left", "1"), _value("/left", {"Fn::GetAtt": ["Right", "Value"]})),
    "Right": (_value("/right", "2"), _value("/right", {"Fn::GetAtt": ["Left", "Value"]})),
}
LISTED = {
    "AWS::CloudWatch::Alarm": ("cloudwatch", "DescribeAlarms", "MetricAlarms"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "ListDashboards", "DashboardEntries"),
    "AWS::DynamoDB::Table": ("dynamodb", "ListTables", "TableNames"),
    "AWS::Events::Rule": ("events", "ListRules", "Rules"),
    "AWS::Glue::Database": ("glue", "GetDatabases", "DatabaseList"),
    "AWS::IoT::TopicRule": ("iot", "ListTopicRules", "rules"),
    "AWS::Kinesis::Stream": ("kinesis", "ListStreams", "StreamNames"),
    "AWS::Lambda::EventSourceMapping": (
        "lambda",
        "ListEventSourceMappings",
        "EventSourceMappings",
    ),
    "AWS::Lambda::Function": ("lambda", "ListFunctions", "Functions"),
    "AWS::Logs::LogGroup": ("logs", "DescribeLogGroups", "logGroups"),
    "AWS::Logs::MetricFilter": ("logs", "DescribeMetricFilters", "metricFilters"),
    "AWS::S3::Bucket": ("s3", "ListBuckets", "Buckets"),
    "AWS::SNS::Subscription": ("sns", "ListSubscriptions", "Subscriptions"),
    "AWS::SNS::Topic": ("sns", "ListTopics", "Topics"),
    "AWS::SQS::Queue": ("sqs", "ListQueues", "QueueUrls"),
    "AWS::SSM::Parameter": ("ssm", "DescribeParameters", "Parameters"),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "ListStateMachines", "stateMachines"),
}
"""Resource type -> the operation that lists all that there are, and the list's name."""

names = st.sampled_from(sorted(VARIANTS))


def referred(body: Any) -> Iterator[str]:
    """Yield the logical ids that a body speaks of."""
    if isinstance(body, dict):
        for key, value in body.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)\}", value)
            else:
                yield from referred(value)
    elif isinstance(body, list):
        for each in body:
            yield from referred(each)


def renamed(body: Any, old: str, new: str) -> Any:
    """Return a body that speaks of a resource by another logical id."""
    if isinstance(body, list):
        return [renamed(each, old, new) for each in body]
    if not isinstance(body, dict):
        return body
    if body == {"Ref": old}:
        return {"Ref": new}
    if next(iter(body), "") == "Fn::GetAtt" and body["Fn::GetAtt"][0] == old:
        return {"Fn::GetAtt": [new, *body["Fn::GetAtt"][1:]]}
    if "Fn::Sub" in body:
        return {"Fn::Sub": body["Fn::Sub"].replace(f"${{{old}}}", f"${{{new}}}")}
    return {key: renamed(value, old, new) for key, value in body.items()}


class Loader(RuleBasedStateMachine):
    """One twin; ``wanted`` is the template being written, ``force`` the one that was applied."""

    @initialize()
    def start(self) -> None:
        self.left = ExitStack()
        self.folder = Path(self.left.enter_context(tempfile.TemporaryDirectory()))
        self.cloud = self.left.enter_context(twin(self.folder))
        code = self.folder / "code"
        code.mkdir()
        (code / "main.py").write_text("def handler(event, context):\n    return 1\n")
        self.cloud.context.assets["code"] = code
        self.wanted: Resources = {}
        self.force: Resources = {}
        self.seen: dict[str, Any] = {"{}": described(self.cloud)}
        self.events: list[StackEvent] = []
        self.cloud.context.stack_events.listeners.append(self.events.append)

    def teardown(self) -> None:
        if hasattr(self, "left"):
            self.left.close()

    # -- the template

    @rule(chosen=st.lists(st.tuples(names, st.integers(0, 2)), min_size=1, max_size=6))
    def write(self, chosen: list[tuple[str, int]]) -> None:
        """Write some resources in one of their variants, with what they refer to."""
        for name, number in chosen:
            self._write(name, number)

    def _write(self, name: str, number: int) -> None:
        variants = VARIANTS[name]
        body = copy.deepcopy(variants[number % len(variants)])
        if name in referred(self.wanted.get(next(iter(referred(body)), ""), {})):
            body = copy.deepcopy(variants[0])
        self.wanted[name] = body
        for each in referred(body):
            if each not in self.wanted:
                self._write(each, 0)

    @rule(name=names)
    def strike(self, name: str) -> None:
        """Strike a resource, and what refers to it."""
        self.wanted.pop(name, None)
        for each, body in list(self.wanted.items()):
            if name in referred(body):
                self.strike(each)

    @rule(name=names)
    def rename(self, name: str) -> None:
        """Give a resource another logical id; who refers to it follows."""
        if name in self.wanted:
            new = f"{name}Anew"
            self.wanted = {
                new if each == name else each: renamed(body, name, new)
                for each, body in self.wanted.items()
            }

    @rule()
    @precondition(lambda self: {"Left", "Right"} <= self.force.keys())
    def turn_round(self) -> None:
        turned = "Ref" not in str(self.force["Left"]) and "GetAtt" not in str(self.force["Left"])
        self._write("Left", 0)
        self._write("Right", 0)
        self._write("Left" if turned else "Right", 1)

    # -- what is done with it

    @rule()
    def deploy(self) -> None:
        """Apply what is written; what is refused changes nothing."""
        before = self._look()
        changes = self._planned(self.wanted)
        if changes is None:
            assert self._look() == before
            self.wanted = copy.deepcopy(self.force)
            return
        self.events.clear()
        left_behind, problem = self._updated(changes)
        if problem:
            # As on AWS: a function has one mapping of a stream, so it cannot be replaced.
            assert "provided mapping already exists" in problem
            self._as_before(before, problem)
            return
        assert left_behind == []
        self.force = copy.deepcopy(self.wanted)
        self._check_order()
        self._check()

    @rule(after=st.sets(names))
    def fail(self, after: set[str]) -> None:
        """Apply what is written with a resource that is refused, after some of the others."""
        waits = sorted(after & self.wanted.keys())
        late = resource("AWS::S3::Bucket", {"BucketName": "Not A Name"}, DependsOn=waits)
        self._failing({**self.wanted, "Late": late})

    @rule(number=st.integers(1, 12))
    def interrupt(self, number: int) -> None:
        """Apply what is written; one call, somewhere in the middle, is refused."""
        once, left = stack_calls._once, iter(range(number))

        def failing(*asked: Any) -> dict[str, Any]:
            if asked[2].startswith(("Get", "Describe", "List")) or next(left, 0) != number - 1:
                return once(*asked)
            raise AwsError("ValidationException", "refused for once")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stack_calls, "_once", failing)
            self._failing(self.wanted, certain=False)

    def _failing(self, template: Resources, *, certain: bool = True) -> None:
        changes = self._planned(template)
        if changes is None:
            return
        before = self._look()
        self.events.clear()
        left_behind, problem = self._updated(changes)
        if problem:
            self._as_before(before, problem)
            return
        # The call was one of the clean-up's, or there were fewer.
        assert not certain
        self.force = copy.deepcopy(self.wanted)
        if left_behind:
            # What could not be deleted is nobody's: this twin is not like the model any more.
            self.left.close()
            self.start()

    def _as_before(self, before: Any, problem: str) -> None:
        assert "ROLLBACK_COMPLETE" in problem
        assert self._look() == before
        assert self.events[-1].status.endswith("ROLLBACK_COMPLETE")
        self._check()

    def _updated(self, changes: ChangeSet) -> tuple[list[str], str]:
        try:
            return self.cloud.update(changes), ""
        except UpdateFailed as error:
            return [], str(error)

    def _look(self) -> Any:
        """Return what is there, after a moment in which Kinesis takes calls again."""
        engine = self.cloud.engine
        engine.run(engine.env.now + 2.0)
        return described(self.cloud)

    @rule()
    def destroy(self) -> None:
        self.events.clear()
        self.cloud.destroy()
        self.force = {}
        assert not self.events or self.events[-1].status == "DELETE_COMPLETE"
        assert self._look() == self.seen["{}"]

    # -- what must hold

    def _planned(self, template: Resources) -> ChangeSet | None:
        folder = self.folder / "app"
        folder.mkdir(exist_ok=True)
        written(folder, Dev=only(**template))
        try:
            return self.cloud.plan(folder, {})
        except TemplateError as error:
            refused = str(error)
        assert "has this name already" in refused or "custom-named" in refused
        return None

    def _check(self) -> None:
        cloud = self.cloud
        assert cloud.drift() == []
        changes = self._planned(self.force)
        assert changes is not None
        assert changes.table() == "nothing changes"
        counts = Counter(str(body["Type"]) for body in self.force.values())
        for kind, (service, operation, member) in LISTED.items():
            found = cloud.call(service, operation).get(member, [])
            assert len(found) == counts[kind], (kind, found)
        assert len(cloud.iam.role_arns()) == counts["AWS::IAM::Role"]
        text = json.dumps(self.force, sort_keys=True)
        found = self._look()
        assert found == self.seen.setdefault(text, found)

    def _check_order(self) -> None:
        """What is needed is there before, and goes after; each that is begun comes to an end."""
        deployment = self.cloud.deployment
        assert deployment is not None
        done: dict[tuple[tuple[str, str], str], int] = {}
        begun: set[tuple[tuple[str, str], str]] = set()
        for event in self.events:
            if event.type == STACK:
                continue
            verb, _, state = event.status.partition("_")
            if state == "IN_PROGRESS":
                begun.add((event.node, verb))
                for need in deployment.live[event.node].needs if verb == "CREATE" else ():
                    assert (need, "DELETE") not in begun
                    assert (need, "CREATE") not in begun or (need, "CREATE") in done
            elif state == "COMPLETE":
                done[event.node, verb] = event.number
        assert begun <= done.keys()


Loader.TestCase.settings = settings(max_examples=6, stateful_step_count=12, deadline=None)
TestLoader = Loader.TestCase
