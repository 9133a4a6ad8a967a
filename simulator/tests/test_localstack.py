"""LocalStack itself: how it is started without Docker and, where it runs, a twin in front of it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import uuid
from pathlib import Path
from urllib.request import urlopen

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.tests.twin import START
from simulator.errors import EnvironmentMissing
from simulator.localstack_host import KINESIS, PRELOAD, ROOT, VERSION, python_313, settings
from simulator.targets import remote_of


def program(path: Path, text: str) -> str:
    """Write an executable shell script and return its path."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_shim_that_only_prints_an_error_is_no_python(tmp_path: Path) -> None:
    shim = program(tmp_path / "shim", "echo 'python3.13: command not found'; exit 127")
    works = program(tmp_path / "works", "exit 0")
    candidates = [str(tmp_path / "absent"), shim, works]
    assert python_313(iter(candidates)) == works
    with pytest.raises(EnvironmentMissing, match=r"none runs here: install it .* PYTHON313="):
        python_313(iter(candidates[:2]))


def test_all_of_localstack_listens_on_loopback_and_writes_below_its_folder(tmp_path: Path) -> None:
    found = settings(tmp_path, 4600, {"NODE_OPTIONS": "--no-warnings", "PATH": "/bin"})
    assert found["GATEWAY_LISTEN"] == "127.0.0.1:4600"
    assert found["GATEWAY_SERVER"] == "hypercorn"
    assert found["FILESYSTEM_ROOT"] == str(tmp_path)
    assert found["NODE_OPTIONS"] == f"--no-warnings --require {PRELOAD}"
    assert found["PATH"] == "/bin"


def test_one_version_of_localstack_is_pinned_everywhere() -> None:
    pins = (ROOT / "constraints-localstack.txt").read_text("utf-8")
    lines = [line for line in pins.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+-]+", line)] == []
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert re.findall(r"image: localstack/localstack:(\S+)", compose) == [VERSION]
    assert re.search(r"@\d+\.\d+\.\d+$", KINESIS)


@pytest.mark.parametrize(
    "listen",
    ["listen(0, cb)", "listen(0, '0.0.0.0', cb)", "listen({port: 0, host: '0.0.0.0'}, cb)"],
)
def test_the_preload_binds_every_server_of_node_to_loopback(listen: str) -> None:
    say = "const cb = () => { console.log(s.address().address); s.close(); }"
    script = f"const s = require('net').createServer(); {say}; s.{listen};"
    try:
        done = subprocess.run(
            ["node", "--require", str(PRELOAD), "-e", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
    except FileNotFoundError:
        pytest.skip("there is no Node here")
    assert done.stdout.strip() == "127.0.0.1"


@pytest.mark.localstack
def test_what_is_written_through_a_twin_is_in_localstack(localstack: str, tmp_path: Path) -> None:
    with urlopen(f"{localstack}/_localstack/health", timeout=5) as page:
        assert json.loads(page.read())["version"] == VERSION
    remote = remote_of("localstack", localstack)
    assert remote is not None
    cloud = Cloud(START, tmp_path, remote=remote)
    name = f"fleetwin-{uuid.uuid4().hex[:12]}"
    try:
        cloud.call("s3", "CreateBucket", Bucket=name)
        cloud.call("s3", "PutObject", Bucket=name, Key="k", Body=b"row")
        assert remote.forward("s3", "GetObject", {"Bucket": name, "Key": "k"})["Body"] == b"row"
        cloud.call("kinesis", "CreateStream", StreamName=name, ShardCount=1)
        cloud.call("kinesis", "PutRecord", StreamName=name, Data=b"row", PartitionKey="p")
        shard = {"StreamName": name, "ShardId": "shardId-000000000000"}
        first = {**shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = remote.forward("kinesis", "GetShardIterator", first)["ShardIterator"]
        found = remote.forward("kinesis", "GetRecords", {"ShardIterator": iterator})["Records"]
        assert [record["Data"] for record in found] == [b"row"]
        topic = cloud.call("sns", "CreateTopic", Name=name)["TopicArn"]
        url = cloud.call("sqs", "CreateQueue", QueueName=name)["QueueUrl"]
        queue = cloud.context.arn("sqs", name)
        cloud.call("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue)
        cloud.call("sns", "Publish", TopicArn=topic, Message="hot")
        got = cloud.call("sqs", "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        assert json.loads(got[0]["Body"])["Message"] == "hot"
        cloud.call("sqs", "DeleteQueue", QueueUrl=url)
        cloud.call("sns", "DeleteTopic", TopicArn=topic)
        cloud.call("kinesis", "DeleteStream", StreamName=name)
        cloud.call("s3", "DeleteObject", Bucket=name, Key="k")
        cloud.call("s3", "DeleteBucket", Bucket=name)
    finally:
        cloud.close()
