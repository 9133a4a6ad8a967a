"""Client of `http_services`, a process of its own so that it costs the server under test no time.

``python -m benchmarks.http_client SCALE`` with the environment of the server. Prints one line of
JSON: requests a second of each operation. Each operation warms up first.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

KIB, MIB = 1 << 10, 1 << 20
WARM_UP = 3
NAME = "http-bench"


def main(scale: float) -> dict[str, float]:
    """Ask the server ``scale`` times the usual number of requests; return their rates."""
    # A refused request must not be asked again unseen.
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    client: Any = lambda name: boto3.client(name, config=config)  # noqa: E731
    found: dict[str, float] = {}
    for name, usual, ask in [
        *_s3(client("s3")),
        *_kinesis(client("kinesis")),
        *_sqs(client("sqs")),
    ]:
        count = max(5, round(usual * scale))
        for number in range(WARM_UP):
            ask(-1 - number)
        began = time.perf_counter()
        for number in range(count):
            ask(number)
        found[name] = count / (time.perf_counter() - began)
    return found


Operation = tuple[str, int, Callable[[int], object]]


def _s3(s3: Any) -> list[Operation]:
    small, large = random.Random(0).randbytes(KIB), random.Random(1).randbytes(MIB)
    s3.create_bucket(Bucket=NAME)
    s3.put_object(Bucket=NAME, Key="large", Body=large)

    def read(_: int) -> None:
        assert len(s3.get_object(Bucket=NAME, Key="large")["Body"].read()) == MIB

    return [
        ("S3 PutObject, 1 KiB", 400, lambda i: s3.put_object(Bucket=NAME, Key=f"{i}", Body=small)),
        ("S3 PutObject, 1 MiB", 60, lambda i: s3.put_object(Bucket=NAME, Key="l", Body=large)),
        ("S3 GetObject, 1 MiB", 60, read),
        ("S3 ListObjectsV2, 100 keys", 60, lambda _: s3.list_objects_v2(Bucket=NAME, MaxKeys=100)),
    ]


def _kinesis(kinesis: Any) -> list[Operation]:
    data = random.Random(2).randbytes(200)
    kinesis.create_stream(StreamName=NAME, ShardCount=4)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1})

    def put(number: int) -> None:
        kinesis.put_record(StreamName=NAME, Data=data, PartitionKey=str(number))

    return [("Kinesis PutRecord, 200 B", 400, put)]


def _sqs(sqs: Any) -> list[Operation]:
    url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    body = "x" * 200

    def round_trip(_: int) -> None:
        sqs.send_message(QueueUrl=url, MessageBody=body)
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    entries = [{"Id": str(i), "MessageBody": body} for i in range(10)]
    many = sqs.create_queue(QueueName=f"{NAME}-many")["QueueUrl"]

    def batch(_: int) -> None:
        # Taken out again: moto slows down with every message that stays.
        sqs.send_message_batch(QueueUrl=many, Entries=entries)
        got = sqs.receive_message(QueueUrl=many, MaxNumberOfMessages=10)["Messages"]
        handles = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in got]
        sqs.delete_message_batch(QueueUrl=many, Entries=handles)

    return [
        ("SQS send, receive, delete", 120, round_trip),
        ("SQS send, receive, delete, 10 x 200 B", 100, batch),
    ]


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]))))
