"""A writer that is throttled backs off on the run's clock and gets everything in, once.

Not covered: a client outside the twin, whose sleeps are real ones.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud

START = datetime(2026, 1, 5, tzinfo=UTC)
STREAM = "telemetry"
WORKER = "writer"

ONE_BY_ONE = """
import boto3, json
from botocore.config import Config
retries = {"mode": "standard", "max_attempts": 20}
client = boto3.client("kinesis", config=Config(retries=retries))
tries = 0
for number in range(6):
    data = json.dumps({"number": number}).ljust(900_000).encode()
    answer = client.put_record(StreamName="telemetry", Data=data, PartitionKey="k")
    tries += 1 + answer["ResponseMetadata"]["RetryAttempts"]
print(json.dumps({"tries": tries}))
"""
"""900 kB records against 1 MB a second: botocore's own retries have to wait for the shard."""

IN_BATCHES = """
import boto3, json, time
client = boto3.client("kinesis")
left = [json.dumps({"number": number}).encode() for number in range(3000)]
tries = 0
while left:
    tries += 1
    batch, rest = left[:500], left[500:]
    records = [{"Data": data, "PartitionKey": "k"} for data in batch]
    answers = client.put_records(StreamName="telemetry", Records=records)["Records"]
    refused = [data for data, answer in zip(batch, answers) if "ErrorCode" in answer]
    left = refused + rest
    if refused:
        time.sleep(0.1)
print(json.dumps({"tries": tries}))
"""
"""3,000 records against 1,000 a second: a batch is taken in part, the rest is sent again."""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Return a twin with a stream of one shard and nothing else."""
    made = Cloud(START, tmp_path / "state")
    try:
        made.call("kinesis", "CreateStream", StreamName=STREAM, ShardCount=1)
        made.engine.run(made.engine.env.now + 60.0)
        yield made
    finally:
        made.close()


def write(cloud: Cloud, script: str) -> dict[str, Any]:
    """Run a script as a worker of the twin and return what it printed last."""
    engine = cloud.engine
    lines: list[str] = []
    ended = engine.env.event()

    def on_exit(code: int) -> None:
        if engine.is_computing(WORKER):
            engine.end_computing(WORKER)
        ended.succeed(code)

    env = {**cloud.processes.base_environment(), **cloud.environment(), "FLEETWIN_WORKER": WORKER}
    # The clock stands while the worker computes, and may only move while it sleeps.
    engine.begin_computing(WORKER)
    argv = [sys.executable, "-c", script]
    cloud.processes.spawn(WORKER, argv, env, on_line=lines.append, on_exit=on_exit)
    assert engine.run(ended) == 0, lines
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def stored(cloud: Cloud) -> list[int]:
    """Return the numbers of all records in the stream, in its order."""
    shard = cloud.call("kinesis", "ListShards", StreamName=STREAM)["Shards"][0]["ShardId"]
    token = cloud.call(
        "kinesis",
        "GetShardIterator",
        StreamName=STREAM,
        ShardId=shard,
        ShardIteratorType="TRIM_HORIZON",
    )["ShardIterator"]
    found: list[int] = []
    while True:
        # Reading has a limit as well: 2 MB a second.
        cloud.engine.run(cloud.engine.env.now + 10.0)
        page = cloud.call("kinesis", "GetRecords", ShardIterator=token)
        found += [json.loads(record["Data"])["number"] for record in page["Records"]]
        token = page["NextShardIterator"]
        if not page["Records"] and not page["MillisBehindLatest"]:
            return found


@pytest.mark.parametrize(
    ("script", "count", "least_s"),
    [(ONE_BY_ONE, 6, 4.0), (IN_BATCHES, 3000, 1.9)],
    ids=["PutRecord with botocore's retries", "PutRecords sent again in part"],
)
def test_a_throttled_writer_recovers_while_the_clock_moves(
    cloud: Cloud, script: str, count: int, least_s: float
) -> None:
    began_s = cloud.engine.env.now
    said = write(cloud, script)
    took_s = cloud.engine.env.now - began_s

    assert said["tries"] > (count if script is ONE_BY_ONE else count / 500), "it was throttled"
    # The shard's limit cannot be beaten; a back-off of botocore is at most 20 s.
    assert least_s <= took_s <= 120.0
    counted = Counter(stored(cloud))
    assert counted == Counter(range(count)), "each record is there once"
    refused = cloud.call(
        "cloudwatch",
        "GetMetricStatistics",
        Namespace="AWS/Kinesis",
        MetricName="WriteProvisionedThroughputExceeded",
        Dimensions=[{"Name": "StreamName", "Value": STREAM}],
        StartTime=START,
        EndTime=datetime(2026, 1, 6, tzinfo=UTC),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in refused) > 0
