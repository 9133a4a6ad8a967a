"""SQS with a clock and metrics and nothing else, asked through boto3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import simpy
from botocore.exceptions import ClientError

from simulator.cloud.metrics import Metrics
from simulator.cloud.operations import Call
from simulator.cloud.sqs import Sqs
from simulator.cloud.tests.twin import ROOT, START, context_of
from simulator.cloud.tests.wire import client_of

ACCOUNT_ARN = "arn:aws:sqs:us-east-1:000000000000"


class Bench:
    """One SQS. ``client`` is boto3's; `run` moves the clock."""

    def __init__(self, state: Path) -> None:
        self.context = context_of(state)
        self.context.gateway_url = "http://127.0.0.1:9"
        self.context.cloudwatch = self.metrics = Metrics(self.context)
        self.engine = self.context.engine
        self.sqs = Sqs(self.context)
        table = self.sqs.operations()

        def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
            assert service == "sqs"
            answer: Any = table[operation].execute(Call(ROOT, params))
            done = self.engine.run(answer) if isinstance(answer, simpy.Event) else answer
            return dict(done)

        self.client = client_of("sqs", execute)

    def queue(self, name: str = "q", **attributes: str) -> str:
        """Create a queue and return its URL."""
        return str(self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def fifo(self, name: str = "q.fifo", **attributes: str) -> str:
        """Create a FIFO queue and return its URL."""
        return self.queue(name, FifoQueue="true", **attributes)

    def send(self, url: str, body: str, **params: Any) -> dict[str, Any]:
        """Send a message."""
        return dict(self.client.send_message(QueueUrl=url, MessageBody=body, **params))

    def receive(self, url: str, **params: Any) -> list[dict[str, Any]]:
        """Receive messages, ten at most where nothing else is said."""
        asked = {"MaxNumberOfMessages": 10, **params}
        return list(self.client.receive_message(QueueUrl=url, **asked).get("Messages", []))

    def bodies(self, url: str, **params: Any) -> list[str]:
        """Receive messages and return their bodies."""
        return [message["Body"] for message in self.receive(url, **params)]

    def delete(self, url: str, message: dict[str, Any]) -> None:
        """Delete a message that was received."""
        self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def counts(self, url: str) -> tuple[int, int, int]:
        """Return how many messages are visible, in flight and delayed."""
        names = ("", "NotVisible", "Delayed")
        asked = [f"ApproximateNumberOfMessages{name}" for name in names]
        found = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
        visible, in_flight, delayed = (int(found[name]) for name in asked)
        return visible, in_flight, delayed

    def run(self, seconds: float) -> None:
        """Let the clock run."""
        self.engine.run(self.engine.env.now + seconds)

    def metric(self, name: str, statistic: str = "Sum", queue: str = "q") -> float:
        """Return a metric's statistic over the run."""
        key = ("AWS/SQS", name, (("QueueName", queue),))
        found = self.metrics.statistics(key, statistic, START.timestamp(), 60, 24 * 60)
        values = [value for value in found if value is not None]
        return max(values, default=0.0) if statistic == "Maximum" else sum(values)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an SQS without queues."""
    return Bench(tmp_path)


def refused(call: Any, **params: Any) -> tuple[str, str]:
    """Return code and message of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    said: Any = caught.value.response["Error"]
    return said["Code"], said["Message"]


def redrive(name: str, most: int = 2) -> str:
    """Return a redrive policy to a queue of the account."""
    return json.dumps({"deadLetterTargetArn": f"{ACCOUNT_ARN}:{name}", "maxReceiveCount": most})
