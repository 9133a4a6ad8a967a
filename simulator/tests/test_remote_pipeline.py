"""The project's stack with an endpoint behind it: a reading goes through to the raw zone there.

moto's server, in a process of its own, is in LocalStack's place.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from simulator.cloud.tests.remote_server import moto_server
from simulator.fleet.delivery import Message
from simulator.targets import Embedded, remote_of
from simulator.tests.test_bad_messages import START, reading

READINGS = 20


def test_readings_go_through_the_endpoints_stream_into_its_raw_zone(tmp_path: Path) -> None:
    with moto_server() as url:
        remote = remote_of("localstack", url)
        assert remote is not None
        # moto has no composite alarms: CloudWatch stays with the twin.
        remote.services = tuple(each for each in remote.services if each != "cloudwatch")
        target = Embedded(START, tmp_path / "state", speed=None, seed=1, remote=remote)
        try:
            target.boot({}, prewarmed=False)
            target.run_until(target.clock.now + 5.0)  # The mappings have begun to read.
            bodies = [json.dumps(reading(target, "pump-001", n)).encode() for n in range(READINGS)]
            target.publish(
                [
                    Message("fleet/pump-001/telemetry", each, "pump-001", target.clock.now)
                    for each in bodies
                ]
            )
            target.drain()
            bucket = target.bucket("raw")
            (stream,) = remote.forward("kinesis", "ListStreams", {})["StreamNames"]
            shards = remote.forward("kinesis", "ListShards", {"StreamName": stream})["Shards"]
            held = 0
            for shard in shards:
                asked = {"StreamName": stream, "ShardId": shard["ShardId"]}
                first = {**asked, "ShardIteratorType": "TRIM_HORIZON"}
                iterator = remote.forward("kinesis", "GetShardIterator", first)["ShardIterator"]
                answer = remote.forward("kinesis", "GetRecords", {"ShardIterator": iterator})
                held += len(answer["Records"])
            assert held == READINGS
            listed = remote.forward("s3", "ListObjectsV2", {"Bucket": bucket})["Contents"]
            seen = []
            for each in listed:
                asked = {"Bucket": bucket, "Key": each["Key"]}
                body = remote.forward("s3", "GetObject", asked)["Body"]
                seen += [json.loads(line)["seq"] for line in gzip.decompress(body).splitlines()]
            assert sorted(seen) == list(range(READINGS))
        finally:
            target.close()
