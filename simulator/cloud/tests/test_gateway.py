"""The gateway: boto3 over HTTP on a free port, keys, own pages, and errors as clients see them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from simulator.cloud.context import Context
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError
from simulator.cloud.gateway import Gateway, is_ours
from simulator.cloud.iam import Iam
from simulator.cloud.logs import Logs
from simulator.cloud.metrics import Metrics
from simulator.cloud.operations import Call, Operation
from simulator.cloud.protocols import serialize_refusal
from simulator.cloud.quotas import Quotas
from simulator.cloud.tests.fakes import START
from simulator.errors import EnvironmentMissing, InvariantBroken

ROLE = "arn:aws:iam::000000000000:role/reader"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}


class Site:
    """A context with logs, metrics and one slow operation, behind a gateway."""

    def __init__(self, state: Path) -> None:
        iam, self.engine = Iam("000000000000"), Engine(START)
        dispatch = Dispatch(iam, Quotas(self.engine))
        self.context = Context(self.engine, dispatch, iam, cast(Any, None), state)
        self.context.cloudwatch = Metrics(self.context)
        self.context.logs = Logs(self.context)
        dispatch.register("logs", self.context.logs.operations())
        dispatch.register("cloudwatch", self.context.cloudwatch.operations())
        dispatch.register("sqs", {"ReceiveMessage": Operation(self._slow)})
        dispatch.register("sns", {"ListTopics": Operation(self._broken)})
        self.gateway = Gateway(self.context)
        self._thread = threading.Thread(target=self.engine.run, daemon=True)
        self._thread.start()

    def _slow(self, call: Call) -> Any:
        return self.engine.env.timeout(20.0, {"Messages": []})

    def _broken(self, call: Call) -> Any:
        raise RuntimeError("a defect")

    def client(self, service: str, keys: tuple[str, ...] = ()) -> Any:
        key, secret, *token = keys or self.context.iam.root_credentials()
        make: Any = boto3.client  # its stubs know each service by its literal name
        return make(
            service,
            region_name="us-east-1",
            endpoint_url=self.gateway.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token[0] if token else None,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def page(self, method: str, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.gateway.port, timeout=10.0)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        self.gateway.close()
        self.engine.interrupt()
        self._thread.join(timeout=5.0)
        self.context.logs.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_boto3_writes_and_reads_as_it_does_on_aws(site: Site) -> None:
    logs = site.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    event = {"timestamp": int(START.timestamp() * 1000), "message": "é"}
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=[event])
    [found] = logs.get_log_events(logGroupName="/g", logStreamName="s")["events"]
    assert found["message"] == "é"
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName="none")


def test_times_and_numbers_come_through_another_protocol_as_well(site: Site) -> None:
    metrics = site.client("cloudwatch")
    datum = {"MetricName": "m", "Value": 2.5, "Timestamp": START}
    metrics.put_metric_data(Namespace="Fleet", MetricData=[datum])
    answer = metrics.get_metric_statistics(
        Namespace="Fleet",
        MetricName="m",
        StartTime=START,
        EndTime=START + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    [point] = answer["Datapoints"]
    assert point["Sum"] == 2.5
    assert point["Timestamp"] == datetime(2026, 1, 5, tzinfo=UTC)


def test_an_operation_that_takes_its_time_answers_when_its_event_has_come(site: Site) -> None:
    began = time.monotonic()
    answer = site.client("sqs").receive_message(QueueUrl=f"{site.gateway.url}/0/q")
    assert answer.get("Messages", []) == []
    assert site.engine.env.now == 20.0
    assert time.monotonic() - began < 10.0


def test_an_unknown_key_is_refused_in_the_services_own_words(site: Site) -> None:
    wrong = ("AKIAUNKNOWN", "secret")
    for service, call, code in [
        ("logs", "describe_log_groups", "UnrecognizedClientException"),
        ("cloudwatch", "list_metrics", "InvalidClientTokenId"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
    ]:
        with pytest.raises(ClientError) as error:
            getattr(site.client(service, wrong), call)()
        assert error.value.response["Error"]["Code"] == code


def test_a_request_without_a_signature_is_refused(site: Site) -> None:
    status, body = site.page("GET", "/bucket")
    assert status == 403
    assert b"MissingAuthenticationToken" in body


@pytest.mark.parametrize(
    ("header", "body", "told"),
    [
        (b"Content-Length: 10", b"five.", b"the body ends after 5 of 10 bytes"),
        (b"Transfer-Encoding: chunked", b"a\r\nfive.", b"the body ends after 5 of 10 bytes"),
    ],
    ids=["length", "chunk"],
)
def test_of_a_client_that_ends_in_the_middle_of_a_body_nothing_is_done(
    site: Site, header: bytes, body: bytes, told: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", site.gateway.port), timeout=10.0) as client:
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: twin\r\n" + header + b"\r\n\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            said = answer.read()
    assert said.startswith(b"HTTP/1.1 400")
    assert told in said


def test_a_session_may_do_what_its_role_allows_and_nothing_else(site: Site) -> None:
    iam = site.context.iam
    statement = {"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"}
    iam.put_role(ROLE, TRUST, {"p": {"Version": "2012-10-17", "Statement": statement}})
    logs = site.client("logs", iam.issue_credentials(ROLE, "me", "worker"))
    assert logs.describe_log_groups()["logGroups"] == []
    with pytest.raises(ClientError) as error:
        logs.create_log_group(logGroupName="g")
    assert error.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "assumed-role/reader/me is not authorized" in str(error.value)


def test_what_the_twin_does_not_have_is_named_with_501(site: Site) -> None:
    for service, call in [("logs", "describe_queries"), ("braket", "search_jobs")]:
        client = site.client(service)
        arguments: dict[str, Any] = {"filters": []} if service == "braket" else {}
        with pytest.raises(ClientError) as error:
            getattr(client, call)(**arguments)
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert error.value.response["Error"]["Code"] == "NotSupportedByTwin"


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("ec2", "describe_instances"),  # a protocol of its own
        ("elbv2", "describe_load_balancers"),  # its signing name is no service; a form
        ("efs", "describe_file_systems"),  # the same, by REST
        ("ecs", "list_clusters"),
        ("cloudfront", "list_distributions"),
    ],
)
def test_a_service_that_the_twin_does_not_have_is_named_whatever_it_speaks(
    site: Site, service: str, call: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(site.client(service), call)()
    assert error.value.response["Error"]["Code"] == "NotSupportedByTwin"
    assert "is not supported by the local twin" in error.value.response["Error"]["Message"]


def test_a_body_that_cannot_be_read_is_refused_in_the_services_own_form(site: Site) -> None:
    scope = "AWS4-HMAC-SHA256 Credential=key/20260105/us-east-1/logs/aws4_request"
    headers = {"authorization": scope, "x-amz-target": "Logs_20140328.DescribeLogGroups"}
    error = AwsError("SerializationException", "could not read the body")
    status, said, body = serialize_refusal("/", "", headers, error)
    assert status == 400
    assert said["Content-Type"] == "application/x-amz-json-1.1"
    assert b'"SerializationException"' in body


def test_a_defect_answers_500_and_the_gateway_lives_on(site: Site) -> None:
    with pytest.raises(ClientError) as error:
        site.client("sns").list_topics()
    assert error.value.response["Error"]["Code"] == "InternalFailure"
    assert site.client("logs").describe_log_groups()["logGroups"] == []


def test_a_workers_sleep_is_a_wait_on_the_runs_clock(site: Site) -> None:
    engine = site.engine
    engine.call(lambda: engine.begin_computing("worker"))
    status, _ = site.page("POST", "/_fleetwin/sleep?worker=worker&seconds=300")
    assert status == 204
    # The clock stands again: the worker computes on.
    assert engine.call(lambda: (engine.env.now, engine.is_computing("worker"))) == (300.0, True)
    engine.call(lambda: engine.end_computing("worker"))


def test_a_worker_that_waits_in_a_call_lets_the_clock_move(site: Site) -> None:
    iam, engine = site.context.iam, site.engine
    statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    iam.put_role(ROLE, TRUST, {"p": {"Version": "2012-10-17", "Statement": statement}})
    engine.call(lambda: engine.begin_computing("worker"))
    sqs = site.client("sqs", iam.issue_credentials(ROLE, "me", "worker"))
    sqs.receive_message(QueueUrl=f"{site.gateway.url}/0/q")
    assert engine.call(lambda: (engine.env.now, engine.is_computing("worker"))) == (20.0, True)
    engine.call(lambda: engine.end_computing("worker"))


def test_its_own_pages_tell_that_it_is_ours(site: Site) -> None:
    assert site.page("GET", "/_fleetwin/health") == (200, b"fleetwin")
    assert site.page("GET", "/_fleetwin/other")[0] == 404
    assert is_ours(site.gateway.url)
    with pytest.raises(InvariantBroken, match="loopback"):
        is_ours("http://example.com")


def test_a_port_in_use_is_told_with_its_cure(site: Site) -> None:
    with pytest.raises(EnvironmentMissing, match="--port"):
        Gateway(site.context, site.gateway.port)


def test_it_listens_on_loopback_and_takes_a_free_port(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    try:
        assert other.gateway.port not in (0, site.gateway.port)
        assert other.context.gateway_url == f"http://127.0.0.1:{other.gateway.port}"
    finally:
        other.close()
