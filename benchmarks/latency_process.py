"""One process of the latency measurement: ``python -m benchmarks.latency_process ours|moto N``.

Both sides do the same calls by boto3 without sockets, in one process; `ours` also has the hops
that moto has none of. Prints a line of JSON: median and 99th percentile of each, in milliseconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

START = datetime(2026, 1, 5, tzinfo=UTC)
WARM_UP = 10
NAME = "latency-bench"
Found = dict[str, list[float]]


def quantiles_ms(call: Callable[[int], object], count: int) -> list[float]:
    """Return median and 99th percentile of a call."""
    taken = np.empty(count)
    for number in range(-WARM_UP, count):
        began = time.perf_counter()
        call(number)
        taken[max(0, number)] = time.perf_counter() - began
    return [round(float(np.quantile(taken, share)) * 1e3, 4) for share in (0.5, 0.99)]


def calls(client: Callable[[str], Any], count: int) -> Found:
    """Measure the calls that the pipeline's hops consist of."""
    s3, kinesis, sqs, sns, table = map(client, ("s3", "kinesis", "sqs", "sns", "dynamodb"))
    s3.create_bucket(Bucket=NAME)
    kinesis.create_stream(StreamName=NAME, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
    url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    topic = sns.create_topic(Name=NAME)["TopicArn"]
    table.create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    data = bytes(200)

    def through_a_queue(number: int) -> None:
        # Taken out again: moto slows down with every message that stays.
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    asked: dict[str, Callable[[int], object]] = {
        "Kinesis PutRecord": lambda i: kinesis.put_record(
            StreamName=NAME, Data=data, PartitionKey=str(i)
        ),
        "S3 PutObject": lambda i: s3.put_object(Bucket=NAME, Key=str(i), Body=data),
        "DynamoDB PutItem": lambda i: table.put_item(TableName=NAME, Item={"k": {"S": str(i)}}),
        "SNS Publish": lambda i: sns.publish(TopicArn=topic, Message=str(i)),
        "SQS send, receive, delete": through_a_queue,
    }
    return {name: quantiles_ms(call, count) for name, call in asked.items()}


def ours(count: int) -> Found:
    """Measure the twin: the calls, a warm function, and one reading on all of its way."""
    from pipeline.messages import Reading, encode_reading, telemetry_topic
    from simulator.testing.twin import Twin

    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        twin = Twin(START, Path(folder) / "fleetwin")
        try:
            found = calls(twin.client, count)
            name = twin.resource("AWS::Lambda::Function", "raw-writer").physical_id
            event = json.dumps({"Records": []}).encode()

            def invoke(_: int) -> None:
                twin.call("lambda", "Invoke", FunctionName=name, Payload=event)

            found["a warm function"] = quantiles_ms(invoke, count)

            def one_reading(number: int) -> None:
                at_ms = int(twin.now.timestamp() * 1000)
                values = {"temperature_c": 60.0, "velocity_mm_s_rms": 2.0, "pressure_bar": 6.0}
                reading = Reading(
                    "pump-001", number + WARM_UP, at_ms, {**values, "current_a": 25.0}
                )
                if twin.target.publish([_message(reading)]).delivered != 1:
                    raise RuntimeError("the broker refused a reading")
                twin.drain()

            def _message(reading: Reading) -> Any:
                from simulator.fleet.delivery import Message

                topic = telemetry_topic(reading.device_id)
                return Message(
                    topic, encode_reading(reading), reading.device_id, twin.target.clock.now
                )

            began_s = twin.target.clock.now
            found["one reading"] = quantiles_ms(one_reading, max(10, count // 10))
            gone_s = twin.target.clock.now - began_s
            found["one reading, on the run's clock"] = [
                gone_s * 1e3 / (max(10, count // 10) + WARM_UP)
            ]
        finally:
            twin.close()
    return {**found, "a line through a pipe": pipe(count)}


def pipe(count: int) -> list[float]:
    """Measure a line that goes to a Python process and comes back: what any worker costs."""
    program = "import sys\nfor line in sys.stdin:\n    print(line, end='', flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        sent, got = process.stdin, process.stdout
        assert sent is not None
        assert got is not None

        def there_and_back(_: int) -> None:
            sent.write(b'{"Records": []}\n')
            sent.flush()
            got.readline()

        found = quantiles_ms(there_and_back, count)
        sent.close()
    return found


def moto(count: int) -> Found:
    """Measure moto inside this process."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        session = boto3.session.Session("test", "test", region_name="us-east-1")
        make: Any = session.client
        return calls(make, count)


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "moto": moto}[sys.argv[1]](int(sys.argv[2]))))
