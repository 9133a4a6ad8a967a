"""Put another endpoint behind the twin's own gateway: what it executes is forwarded to it.

Dispatch, permissions, quotas and validation stay the twin's; only what an operation does is
replaced. SQS and SSM are forwarded by `simulator.cloud.forward` instead of going to moto. Called
by `simulator.cloud.cloud` while a twin is made; `missing_there` after its template is deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.dynamodb import DynamoDb
from simulator.cloud.errors import AwsError
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.operations import Call, Execute
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.remote_kinesis import RemoteKinesis
from simulator.cloud.remote_s3 import RemoteS3
from simulator.cloud.remote_sns import RemoteSns
from simulator.cloud.resources import Created
from simulator.cloud.s3 import S3
from simulator.cloud.sns import Sns

_DESCRIBES: dict[str, tuple[str, str, Callable[[Created], dict[str, Any]]]] = {
    "AWS::S3::Bucket": ("s3", "HeadBucket", lambda one: {"Bucket": one.physical_id}),
    "AWS::Kinesis::Stream": (
        "kinesis",
        "DescribeStreamSummary",
        lambda one: {"StreamName": one.physical_id},
    ),
    "AWS::SNS::Topic": ("sns", "GetTopicAttributes", lambda one: {"TopicArn": one.physical_id}),
    "AWS::SQS::Queue": (
        "sqs",
        "GetQueueUrl",
        lambda one: {"QueueName": one.attributes["QueueName"]},
    ),
    "AWS::SSM::Parameter": ("ssm", "GetParameter", lambda one: {"Name": one.physical_id}),
    "AWS::DynamoDB::Table": (
        "dynamodb",
        "DescribeTable",
        lambda one: {"TableName": one.physical_id},
    ),
}


def forward_to(
    remote: RemoteEndpoint,
    context: Context,
    dispatch: Dispatch,
    *,
    s3: S3,
    kinesis: Kinesis,
    sns: Sns,
    dynamodb: DynamoDb,
) -> None:
    """Have the services of ``remote`` executed there from now on."""
    objects = RemoteS3(s3, remote)
    context.stage = objects.refresh
    tables: dict[str, dict[str, Execute]] = {
        "s3": objects.executes(),
        "kinesis": RemoteKinesis(context, kinesis, remote).executes(),
        "sns": RemoteSns(sns, remote).executes(),
        "dynamodb": {name: _forwarded(remote, "dynamodb", name) for name in dynamodb.operations()},
    }
    for service, executes in tables.items():
        if service in remote.services:
            for name, execute in executes.items():
                dispatch.replace(service, name, execute)


def missing_there(remote: RemoteEndpoint, resources: Iterable[tuple[str, Created]]) -> list[str]:
    """Return the logical ids of forwarded resources that the endpoint does not know."""
    missing: list[str] = []
    for logical_id, one in resources:
        service, operation, params = _DESCRIBES.get(one.type, ("", "", lambda _: {}))
        if service not in remote.services:
            continue
        try:
            remote.forward(service, operation, params(one))
        except AwsError as error:
            missing.append(f"{logical_id} ({one.physical_id}: {error.code})")
    return missing


def _forwarded(remote: RemoteEndpoint, service: str, operation: str) -> Execute:
    def execute(call: Call) -> Any:
        return remote.forward(service, operation, call.params)

    return execute
