"""Several invocations of one function at once: environments, their logs, and who is first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator.cloud import function_environments
from simulator.cloud.cloud import Cloud

START = datetime(2026, 1, 5, tzinfo=UTC)
SHARDS = 4
ROLE = "arn:aws:iam::000000000000:role/all"
TRUST = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "lambda.amazonaws.com"},
}
CODE = """
import base64, json, os, time
import boto3

sns, lambdas = boto3.client("sns"), boto3.client("lambda")
SEEN = 0

def handler(event, context):
    global SEEN
    for record in event["Records"]:
        SEEN += 1
        said = json.loads(base64.b64decode(record["kinesis"]["data"]))
        until = time.perf_counter() + said["busy_s"]
        while time.perf_counter() < until:
            pass
        message = {"number": said["number"], "by": context.function_name, "seen": SEEN}
        message["pid"] = os.getpid()
        sns.publish(TopicArn=os.environ["TOPIC"], Message=json.dumps(message))

def deeper(event, context):
    if not event["left"]:
        return 0
    left = json.dumps({"left": event["left"] - 1})
    answer = lambdas.invoke(FunctionName=context.function_name, Payload=left)
    return 1 + json.load(answer["Payload"])
"""


@contextmanager
def twin(state: Path) -> Iterator[Cloud]:
    """Yield a twin with a role that may do everything, and code for functions."""
    cloud = Cloud(START, state / "state", seed=1)
    try:
        (state / "code").mkdir(parents=True)
        (state / "code" / "app.py").write_text(CODE, encoding="utf-8")
        cloud.context.assets["code"] = state / "code"
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        cloud.iam.put_role(ROLE, {"Statement": [TRUST]}, {"own": {"Statement": [everything]}})
        yield cloud
    finally:
        cloud.close()


def processes() -> list[psutil.Process]:
    """Return the running processes of functions."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("function_worker" in word for word in child.cmdline()):
                found.append(child)
    return found


def create(cloud: Cloud, name: str, handler: str, **variables: str) -> None:
    """Create a function of the code."""
    cloud.call(
        "lambda",
        "CreateFunction",
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler=f"app.{handler}",
        Code={"S3Bucket": "assets", "S3Key": "code.zip"},
        Timeout=60,
        Environment={"Variables": variables},
    )


def messages(state: Path, busy_s: list[float]) -> tuple[list[dict[str, Any]], list[str], set[str]]:
    """Process 24 records of four shards twice; return messages, their ids and the log streams."""
    with twin(state) as cloud:
        cloud.call("kinesis", "CreateStream", StreamName="s", ShardCount=SHARDS)
        topic = cloud.call("sns", "CreateTopic", Name="t")["TopicArn"]
        queue = cloud.call("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
        arn = "arn:aws:sqs:us-east-1:000000000000:q"
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        cloud.call("sqs", "SetQueueAttributes", QueueUrl=queue, Attributes={"Policy": policy})
        cloud.call("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
        for name in ("f", "g"):
            create(cloud, name, "handler", TOPIC=topic)
            cloud.call(
                "lambda",
                "CreateEventSourceMapping",
                EventSourceArn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
                FunctionName=name,
                StartingPosition="TRIM_HORIZON",
                BatchSize=3,
            )
        width = 2**128 // SHARDS
        cloud.engine.run(60.0)
        for number in range(24):
            said = {"number": number, "busy_s": busy_s[number % len(busy_s)]}
            cloud.call(
                "kinesis",
                "PutRecord",
                StreamName="s",
                Data=json.dumps(said).encode(),
                PartitionKey=str(number),
                ExplicitHashKey=str(width * (number % SHARDS)),
            )
        cloud.engine.run(cloud.mappings.drained_event())
        cloud.engine.run(cloud.engine.env.now + 60.0)
        found = []
        while True:
            page = cloud.call("sqs", "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10)
            if not page.get("Messages"):
                break
            for message in page["Messages"]:
                found.append(json.loads(message["Body"]))
                cloud.call(
                    "sqs",
                    "DeleteMessage",
                    QueueUrl=queue,
                    ReceiptHandle=message["ReceiptHandle"],
                )
        streams = cloud.call("logs", "DescribeLogStreams", logGroupName="/aws/lambda/f")
        names = {stream["logStreamName"] for stream in streams["logStreams"]}
    return [json.loads(each["Message"]) for each in found], [e["MessageId"] for e in found], names


def test_shards_are_processed_at_once_and_who_is_quicker_decides_nothing(tmp_path: Path) -> None:
    even, even_ids, streams = messages(tmp_path / "even", [0.0])
    uneven, uneven_ids, _ = messages(tmp_path / "uneven", [0.03, 0.0, 0.0, 0.02, 0.0])
    assert sorted(each["number"] for each in even) == sorted([*range(24), *range(24)])
    pids = {each.pop("pid") for each in even if each["by"] == "f"}
    for each in (*even, *uneven):
        each.pop("pid", None)
    # Each environment remembers what it has seen, and it is the same environment's turn.
    assert uneven == even
    assert uneven_ids == even_ids
    assert 1 < len(pids) == len(streams)


def test_a_function_may_call_itself_and_an_endless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_environments, "MOST", 4)
    with twin(tmp_path) as cloud:
        create(cloud, "again", "deeper")

        def invoke(left: int) -> Any:
            payload = json.dumps({"left": left}).encode()
            return cloud.call("lambda", "Invoke", FunctionName="again", Payload=payload)

        assert json.loads(invoke(2)["Payload"]) == 2
        answer = invoke(99)
        assert answer["FunctionError"] == "Unhandled"
        group = cloud.call("logs", "FilterLogEvents", logGroupName="/aws/lambda/again")
        text = "\n".join(event["message"] for event in group["events"])
        assert "more than 4 invocations of again at once" in text


@pytest.mark.parametrize("change", ["UpdateFunctionConfiguration", "DeleteFunction"])
def test_a_changed_function_ends_all_its_environments(tmp_path: Path, change: str) -> None:
    with twin(tmp_path) as cloud:
        create(cloud, "again", "deeper")
        cloud.call("lambda", "Invoke", FunctionName="again", Payload=b'{"left": 1}')
        assert len(processes()) == 2
        more = {"Timeout": 30} if change == "UpdateFunctionConfiguration" else {}
        cloud.call("lambda", change, FunctionName="again", **more)
        psutil.wait_procs(processes(), timeout=10.0)
        assert not processes()
