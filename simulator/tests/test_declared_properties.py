"""The verdicts on properties: each is declared beside its mapper, and each claim has its test."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.context import Context
from simulator.cloud.resources import MAPPINGS
from simulator.cloud.resources.declarations import ENFORCED, HONOURED, RECORDED
from simulator.cloud.resources.mapping import Resource
from simulator.cloud.tests.recording import recording_context
from simulator.errors import TemplateError
from simulator.targets import ROOT

READS = re.compile(
    r'(?:properties\.(?:take|need|truth|nested|each)|resource\.name)\(\s*"(\w+)"', re.DOTALL
)
"""How a mapper asks for one property by its name; what it takes as a whole is `fit`'s."""


def named_tests() -> dict[str, set[str]]:
    """Return the test functions of each test file, by the file's stem."""
    found: dict[str, set[str]] = {}
    for folder in ("simulator", "parity_tests", "infra_cdk", "pipeline"):
        for file in (ROOT / folder).rglob("test_*.py"):
            tree = ast.parse(file.read_text("utf-8"))
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            found.setdefault(file.stem, set()).update(names)
    return found


def test_each_claim_names_a_test_that_exists() -> None:
    tests = named_tests()
    wrong = [
        (kind, name, each.test)
        for kind, mapping in MAPPINGS.items()
        for name, each in mapping.declared.items()
        if each.verdict != RECORDED
        and each.test.partition(".")[2] not in tests.get(each.test.partition(".")[0], set())
    ]
    assert wrong == []


def test_every_property_has_one_of_three_verdicts() -> None:
    verdicts = {each.verdict for mapping in MAPPINGS.values() for each in mapping.declared.values()}
    assert verdicts == {ENFORCED, HONOURED, RECORDED}


@pytest.mark.parametrize("kind", sorted(MAPPINGS))
def test_a_mapper_asks_for_nothing_that_is_not_declared_beside_it(kind: str) -> None:
    mapping = MAPPINGS[kind]
    body = inspect.getsource(mapping.mapper).partition("\ndef ")[2]
    assert set(READS.findall(body)) <= mapping.declared.keys()


@pytest.mark.parametrize("kind", sorted(MAPPINGS))
def test_what_is_not_declared_is_refused_before_the_mapper_sees_it(
    kind: str, tmp_path: Path
) -> None:
    context, calls = recording_context(tmp_path)
    resource = Resource("Dev", "R", kind, {"Undeclared": 1}, context)
    with pytest.raises(TemplateError, match=r"R\.Properties\.Undeclared: property is not mapped"):
        MAPPINGS[kind].create(resource)
    assert calls.calls == []


def test_a_subscription_in_another_region_is_refused(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    values = {"TopicArn": "t", "Protocol": "sqs", "Endpoint": "q", "Region": "eu-west-1"}
    with pytest.raises(TemplateError, match="the twin has one region, not eu-west-1"):
        MAPPINGS["AWS::SNS::Subscription"].create(
            Resource("Dev", "R", "AWS::SNS::Subscription", values, context)
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path)
    try:
        yield made
    finally:
        made.close()


def queue(context: Context, **attributes: object) -> str:
    values = {"QueueName": "q", **attributes}
    resource = Resource("Dev", "Q", "AWS::SQS::Queue", values, context)
    return MAPPINGS["AWS::SQS::Queue"].create(resource).physical_id


def received(cloud: Cloud, url: str) -> list[str]:
    answer = cloud.call("sqs", "ReceiveMessage", QueueUrl=url)
    return [message["Body"] for message in answer.get("Messages", [])]


def test_a_queue_without_messages_lets_its_reader_wait_as_long_as_it_says(cloud: Cloud) -> None:
    url = queue(cloud.context, ReceiveMessageWaitTimeSeconds=5)
    assert received(cloud, url) == []
    assert cloud.engine.env.now == 5.0


def test_a_queue_redrives_what_is_received_too_often(cloud: Cloud) -> None:
    dead = queue(cloud.context, QueueName="dead")
    redrive = {
        "deadLetterTargetArn": cloud.context.arn("sqs", "dead"),
        "maxReceiveCount": 1,
    }
    url = queue(cloud.context, VisibilityTimeout=0, RedrivePolicy=redrive)
    cloud.call("sqs", "SendMessage", QueueUrl=url, MessageBody="m")
    assert received(cloud, url) == ["m"]
    assert received(cloud, url) == []
    assert received(cloud, dead) == ["m"]
