"""A twin with another endpoint behind it; what goes there is there. moto plays LocalStack."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.job_files import local_source
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.remote_resources import missing_there
from simulator.cloud.resources import Created
from simulator.cloud.tests.remote_server import moto_server
from simulator.cloud.tests.twin import START
from simulator.errors import EnvironmentMissing
from simulator.targets import remote_of


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Return the URL of moto's server in another process."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def twin(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a twin that forwards to the endpoint."""
    remote = RemoteEndpoint(endpoint)
    assert list(remote.check()) == []
    cloud = Cloud(START, tmp_path_factory.mktemp("twin"), remote=remote)
    yield cloud
    cloud.close()


def test_records_put_through_the_twin_are_in_the_endpoint(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    twin.call("kinesis", "CreateStream", StreamName="rows", ShardCount=1)
    records = [{"Data": b"%d" % n, "PartitionKey": "p"} for n in range(3)]
    twin.call("kinesis", "PutRecords", StreamName="rows", Records=records)
    wanted = {"StreamName": "rows", "ShardId": "shardId-000000000000"}
    iterator = there.forward(
        "kinesis", "GetShardIterator", {**wanted, "ShardIteratorType": "TRIM_HORIZON"}
    )["ShardIterator"]
    found = there.forward("kinesis", "GetRecords", {"ShardIterator": iterator})["Records"]
    assert [record["Data"] for record in found] == [b"0", b"1", b"2"]


def test_records_are_read_through_the_twin_with_arrivals_on_the_runs_clock(twin: Cloud) -> None:
    twin.call("kinesis", "CreateStream", StreamName="clocked", ShardCount=1)
    wanted = {"StreamName": "clocked", "ShardId": "shardId-000000000000"}
    for data in (b"early", b"late"):
        twin.engine.run(twin.engine.env.timeout(60.0))
        put = {"StreamName": "clocked", "Data": data, "PartitionKey": "p"}
        twin.call("kinesis", "PutRecord", **put)
    now = twin.engine.now()
    position = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": now}
    iterator = twin.call("kinesis", "GetShardIterator", **wanted, **position)["ShardIterator"]
    answer = twin.call("kinesis", "GetRecords", ShardIterator=iterator)
    assert [record["Data"] for record in answer["Records"]] == [b"late"]
    assert [record["ApproximateArrivalTimestamp"] for record in answer["Records"]] == [now]
    assert twin.dispatch.root  # The iterator names its stream, for permissions:
    with pytest.raises(AwsError, match=r"Invalid ShardIterator"):
        twin.call("kinesis", "GetRecords", ShardIterator="AAAA")


def test_objects_and_items_and_parameters_are_in_the_endpoint(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    twin.call("s3", "CreateBucket", Bucket="lake")
    twin.call("s3", "PutObject", Bucket="lake", Key="a/b", Body=b"row", Metadata={"k": "v"})
    found = there.forward("s3", "GetObject", {"Bucket": "lake", "Key": "a/b"})
    assert (found["Body"], found["Metadata"]) == (b"row", {"k": "v"})
    assert twin.call("s3", "GetObject", Bucket="lake", Key="a/b")["Body"] == b"row"
    twin.call(
        "dynamodb",
        "CreateTable",
        TableName="state",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    twin.call("dynamodb", "PutItem", TableName="state", Item={"id": {"S": "pump"}})
    key = {"TableName": "state", "Key": {"id": {"S": "pump"}}}
    assert there.forward("dynamodb", "GetItem", key)["Item"] == {"id": {"S": "pump"}}
    twin.call("ssm", "PutParameter", Name="/rate", Value="1", Type="String")
    assert there.forward("ssm", "GetParameter", {"Name": "/rate"})["Parameter"]["Value"] == "1"


def test_a_message_published_through_the_twin_reaches_the_endpoints_queue(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    heard: list[str] = []
    twin.sns.on_publish.append(lambda arn, message: heard.append(message))
    topic = twin.call("sns", "CreateTopic", Name="alerts")["TopicArn"]
    url = twin.call("sqs", "CreateQueue", QueueName="inbox")["QueueUrl"]
    assert url == f"{twin.gateway.url}/000000000000/inbox"
    queue = "arn:aws:sqs:us-east-1:000000000000:inbox"
    raw = {"RawMessageDelivery": "true"}
    made = twin.call(
        "sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=raw
    )
    listed = twin.call("sns", "ListSubscriptionsByTopic", TopicArn=topic)["Subscriptions"]
    assert [each["SubscriptionArn"] for each in listed] == [made["SubscriptionArn"]]
    twin.call("sns", "Publish", TopicArn=topic, Message="hot")
    assert heard == ["hot"]
    there_url = there.forward("sqs", "GetQueueUrl", {"QueueName": "inbox"})["QueueUrl"]
    (message,) = there.forward("sqs", "ReceiveMessage", {"QueueUrl": there_url})["Messages"]
    assert message["Body"] == "hot"
    twin.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_what_a_job_writes_is_uploaded_and_what_others_put_is_fetched(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    twin.call("s3", "CreateBucket", Bucket="jobs")
    root = twin.s3.bucket_path("jobs")
    (root / "out").mkdir()
    (root / "out" / "part-0").write_bytes(b"table")
    assert twin.s3.commit_scan("jobs") == ["out/part-0"]
    found = there.forward("s3", "GetObject", {"Bucket": "jobs", "Key": "out/part-0"})
    assert found["Body"] == b"table"
    there.forward("s3", "PutObject", {"Bucket": "jobs", "Key": "in/x", "Body": b"theirs"})
    path = local_source(twin.context, twin.dispatch.root, "s3://jobs/in/x")
    assert path.read_bytes() == b"theirs"
    (root / "out" / "part-0").unlink()
    twin.s3.commit_scan("jobs")
    with pytest.raises(AwsError, match="NoSuchKey"):
        there.forward("s3", "GetObject", {"Bucket": "jobs", "Key": "out/part-0"})


def test_a_bucket_of_an_earlier_run_is_refused(twin: Cloud, there: RemoteEndpoint) -> None:
    there.forward("s3", "CreateBucket", {"Bucket": "old"})
    with pytest.raises(AwsError, match="earlier run: start the endpoint afresh"):
        twin.call("s3", "CreateBucket", Bucket="old")


def test_permissions_are_still_the_twins(twin: Cloud) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = {"Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    twin.iam.put_role("arn:aws:iam::000000000000:role/nobody", document)
    caller = twin.iam.principal_for_role("arn:aws:iam::000000000000:role/nobody", "s")
    with pytest.raises(AccessDenied):
        twin.dispatch(caller, "kinesis", "ListStreams", {})


def test_what_is_not_there_after_deployment_is_named(there: RemoteEndpoint) -> None:
    bucket = Created("stack", "Raw1", "AWS::S3::Bucket", "no-such-bucket")
    role = Created("stack", "Role1", "AWS::IAM::Role", "unknown")
    assert missing_there(there, [("Raw1", bucket), ("Role1", role)]) == [
        "Raw1 (no-such-bucket: 404)"
    ]


def test_an_endpoint_that_is_not_there_is_an_error_with_its_cure() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Bound and not listening: nobody answers.
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(EnvironmentMissing, match=r"nothing answers at .*make localstack"):
            remote_of("localstack", url)


@pytest.mark.parametrize(
    ("target", "url", "why"),
    [
        ("localstack", "https://kinesis.us-east-1.amazonaws.com", "is AWS"),
        ("localstack", "https://s3.cn-north-1.amazonaws.com.cn", "is AWS"),
        ("localstack", "127.0.0.1:4566", "must be a URL"),
        ("aws", None, "--target aws: choose embedded, localstack"),
        ("embedded", "http://127.0.0.1:1", "--endpoint is for localstack"),
    ],
)
def test_other_targets_and_aws_are_refused(target: str, url: str | None, why: str) -> None:
    with pytest.raises(EnvironmentMissing, match=why):
        remote_of(target, url)


@pytest.mark.parametrize(
    ("version", "why"),
    [("3.8.1", "LocalStack 3.8.1 .* too old"), ("4.14.0", "does not execute s3")],
)
def test_an_old_or_a_hollow_localstack_is_an_error(version: str, why: str) -> None:
    class Hollow(BaseHTTPRequestHandler):
        """Healthy, and 500 for every service."""

        def do_GET(self) -> None:
            healthy = self.path == "/_localstack/health"
            body = json.dumps({"version": version, "services": {"s3": "available"}}).encode()
            self.send_response(200 if healthy else 500)
            self.send_header("Content-Length", str(len(body) if healthy else 0))
            self.end_headers()
            self.wfile.write(body if healthy else b"")

        def log_message(self, *parts: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hollow) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(EnvironmentMissing, match=why):
            remote_of("localstack", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
