"""What boto3 sends is what we read, and what we answer is what boto3 reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud import json_codec, protocols, validation
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.tests.wire import client_of
from simulator.errors import InvariantBroken

AT = datetime(2026, 1, 5, 12, 0, 7, tzinfo=UTC)
STREAM = "fleetwin-dev-telemetry"

Case = tuple[str, str, dict[str, Any], dict[str, Any]]
CASES: list[Case] = [
    (
        "kinesis",
        "put_records",
        {"StreamName": STREAM, "Records": [{"Data": b"\x00\xff", "PartitionKey": "p"}]},
        {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1", "ShardId": "s"}]},
    ),
    (
        "kinesis",
        "get_records",
        {"ShardIterator": "i", "Limit": 5},
        {
            "Records": [
                {
                    "SequenceNumber": "1",
                    "ApproximateArrivalTimestamp": AT,
                    "Data": b"\x01",
                    "PartitionKey": "p",
                }
            ],
            "MillisBehindLatest": 0,
        },
    ),
    (
        "kinesis",
        "get_shard_iterator",
        {
            "StreamName": STREAM,
            "ShardId": "s",
            "ShardIteratorType": "AT_TIMESTAMP",
            "Timestamp": AT,
        },
        {"ShardIterator": "i"},
    ),
    (
        "lambda",
        "invoke",
        {"FunctionName": "fleetwin-dev-detector", "Payload": b'{"a":1}'},
        {"StatusCode": 200, "ExecutedVersion": "$LATEST"},
    ),
    (
        "lambda",
        "create_event_source_mapping",
        {"FunctionName": "f", "EventSourceArn": "arn:aws:kinesis:::s", "BatchSize": 1000},
        {"UUID": "u", "BatchSize": 1000, "LastModified": AT},
    ),
    (
        "lambda",
        "list_event_source_mappings",
        {"FunctionName": "f", "MaxItems": 5},
        {"EventSourceMappings": []},
    ),
    ("iot-data", "publish", {"topic": "fleet/pump-007/telemetry", "qos": 1, "payload": b"x"}, {}),
    (
        "iot",
        "create_topic_rule",
        {"ruleName": "r", "topicRulePayload": {"sql": "SELECT *", "actions": []}},
        {},
    ),
    (
        "sagemaker",
        "describe_endpoint",
        {"EndpointName": "fleetwin-dev-detector"},
        {
            "EndpointName": "fleetwin-dev-detector",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
            "EndpointStatus": "InService",
            "CreationTime": AT,
            "LastModifiedTime": AT,
        },
    ),
    (
        "stepfunctions",
        "start_execution",
        {"stateMachineArn": "arn:aws:states:::m", "input": "{}"},
        {"executionArn": "arn:aws:states:::e", "startDate": AT},
    ),
    (
        "glue",
        "start_job_run",
        {"JobName": "fleetwin-dev-features", "Arguments": {"--feature_spec": "{}"}},
        {"JobRunId": "jr_1"},
    ),
    (
        "cloudwatch",
        "put_metric_data",
        {
            "Namespace": "Fleetwin",
            "MetricData": [{"MetricName": "Readings", "Timestamp": AT, "Value": 1.5}],
        },
        {},
    ),
    (
        "cloudwatch",
        "describe_alarms",
        {"AlarmNames": ["a"]},
        {"MetricAlarms": [{"AlarmName": "a", "StateValue": "OK", "StateUpdatedTimestamp": AT}]},
    ),
    (
        "logs",
        "put_log_events",
        {
            "logGroupName": "/aws/lambda/f",
            "logStreamName": "s",
            "logEvents": [{"timestamp": 1, "message": "m"}],
        },
        {},
    ),
    (
        "sqs",
        "receive_message",
        {"QueueUrl": "http://127.0.0.1/000000000000/q", "MaxNumberOfMessages": 10},
        {"Messages": [{"MessageId": "1", "Body": "b"}]},
    ),
    ("sns", "publish", {"TopicArn": "arn:aws:sns:::t", "Message": "a&b"}, {"MessageId": "1"}),
    (
        "sns",
        "list_subscriptions_by_topic",
        {"TopicArn": "arn:aws:sns:::t"},
        {"Subscriptions": [{"Protocol": "sqs", "Endpoint": "arn"}]},
    ),
    ("sts", "get_caller_identity", {}, {"Account": "000000000000", "Arn": "arn", "UserId": "u"}),
    (
        "iam",
        "get_role",
        {"RoleName": "r"},
        {
            "Role": {
                "RoleName": "r",
                "Path": "/",
                "RoleId": "AROA000000000000",
                "Arn": "arn:aws:iam::000000000000:role/r",
                "CreateDate": AT,
            }
        },
    ),
    ("ssm", "get_parameters", {"Names": ["/a"]}, {"Parameters": [{"Name": "/a", "Version": 1}]}),
    (
        "s3",
        "list_objects_v2",
        {"Bucket": "bucket", "Prefix": "a b/", "StartAfter": "a b/é", "MaxKeys": 3},
        {
            "Contents": [{"Key": "a%20b/%C3%AA", "Size": 1, "LastModified": AT}],
            "EncodingType": "url",
        },
    ),
    ("s3", "delete_object", {"Bucket": "bucket", "Key": "a//b é?x=1"}, {}),
]


@pytest.mark.parametrize(("service", "method", "params", "wanted"), CASES)
def test_a_request_arrives_and_its_answer_returns(
    service: str, method: str, params: dict[str, Any], wanted: dict[str, Any]
) -> None:
    seen: list[tuple[str, str, dict[str, Any]]] = []

    def execute(name: str, operation: str, found: dict[str, Any]) -> dict[str, Any]:
        seen.append((name, operation, found))
        return wanted

    client = client_of(service, execute)
    answer = getattr(client, method)(**params)
    [(name, operation, found)] = seen
    assert name == service
    assert operation == client.meta.method_to_api_mapping[method]
    assert {key: found.get(key) for key in params} == params
    if service != "s3":
        assert {key: answer[key] for key in wanted} == wanted
    else:
        assert [one["Key"] for one in answer.get("Contents", [])] in ([], ["a b/ê"])


def test_an_invocation_keeps_body_and_headers_as_they_are() -> None:
    seen: dict[str, Any] = {}

    def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        seen.update(params, service=service, operation=operation)
        return {"Body": b'{"scores":[]}', "ContentType": "application/json"}

    client = client_of("sagemaker-runtime", execute)
    answer = client.invoke_endpoint(
        EndpointName="fleetwin-dev-detector",
        Body=b'{"rows":[]}',
        ContentType="application/json",
        CustomAttributes="trace",
    )
    assert answer["Body"].read() == b'{"scores":[]}'
    assert answer["ContentType"] == "application/json"
    assert (seen["service"], seen["operation"]) == ("sagemaker-runtime", "InvokeEndpoint")
    assert (seen["Body"], seen["CustomAttributes"]) == (b'{"rows":[]}', "trace")


@pytest.mark.parametrize(
    ("service", "method", "params", "code"),
    [
        ("kinesis", "list_streams", {}, "AccessDeniedException"),
        ("lambda", "list_functions", {}, "AccessDeniedException"),
        ("sqs", "list_queues", {}, "AccessDeniedException"),
        ("s3", "list_buckets", {}, "AccessDenied"),
        ("sts", "get_caller_identity", {}, "AccessDenied"),
        ("sns", "list_topics", {}, "AuthorizationError"),
    ],
)
def test_a_refusal_has_the_code_of_its_service(
    service: str, method: str, params: dict[str, Any], code: str
) -> None:
    def execute(name: str, operation: str, found: dict[str, Any]) -> dict[str, Any]:
        raise AccessDenied("arn:aws:iam::0:role/r", "a:B", "*", explicit=False)

    with pytest.raises(ClientError) as refused:
        getattr(client_of(service, execute), method)(**params)
    response = refused.value.response
    assert response["Error"]["Code"] == code
    assert "is not authorized to perform: a:B" in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_modelled_error_carries_its_members() -> None:
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": {"b": {"B": b"\xff"}}}]

    def execute(name: str, operation: str, found: dict[str, Any]) -> dict[str, Any]:
        raise AwsError("TransactionCanceledException", "why", 400, {"CancellationReasons": reasons})

    with pytest.raises(ClientError) as cancelled:
        client_of("dynamodb", execute).transact_write_items(
            TransactItems=[{"Delete": {"TableName": "t", "Key": {"pk": {"S": "1"}}}}]
        )
    assert cancelled.value.response["CancellationReasons"] == reasons


def test_an_unknown_service_or_route_is_refused_by_name() -> None:
    scope = "AWS4-HMAC-SHA256 Credential=A/20260105/us-east-1/{}/aws4_request, Signature=0"
    with pytest.raises(NotSupportedByTwin, match="nonsense"):
        protocols.parse_request("POST", "/", "", {"authorization": scope.format("nonsense")}, b"")
    with pytest.raises(NotSupportedByTwin, match="lambda: GET /nowhere"):
        protocols.parse_request(
            "GET", "/nowhere", "", {"authorization": scope.format("lambda")}, b""
        )
    with pytest.raises(AwsError, match="MissingAuthenticationToken"):
        protocols.parse_request("GET", "/", "", {}, b"")


@pytest.mark.parametrize("body", [b"{", b"[]", b"nonsense", b"\xff"])
def test_a_body_that_is_no_json_object_is_a_serialization_error(body: bytes) -> None:
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=A/20260105/us-east-1/kinesis/aws4_request",
        "x-amz-target": "Kinesis_20131202.PutRecord",
    }
    with pytest.raises(AwsError, match="SerializationException"):
        protocols.parse_request("POST", "/", "", headers, body)


ATTRIBUTES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=5)),
        st.builds(lambda blob: {"B": blob}, st.binary(max_size=5)),
        st.builds(lambda many: {"BS": many}, st.lists(st.binary(max_size=3), max_size=3)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda many: {"L": many}, st.lists(inner, max_size=3)),
        st.builds(
            lambda many: {"M": many}, st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5), ATTRIBUTES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_json_returns_what_went_in(item: dict[str, Any]) -> None:
    shape = validation.operation_model("dynamodb", "GetItem").output_shape
    assert shape is not None
    answer = {"Item": item}
    wire = json_codec.dump(json_codec.encode(shape, answer))
    assert json_codec.decode(shape, json_codec.load(wire)) == answer


def test_nulls_of_a_request_are_left_out_and_what_is_unknown_stays() -> None:
    shape = validation.operation_model("dynamodb", "PutItem").input_shape
    assert shape is not None
    asked = {
        "TableName": "t",
        "ReturnValues": None,
        "Unknown": {"a": None},
        "Item": {
            "null": {"S": None},
            "two": {"B": None, "S": "x"},
            "blobs": {"BS": ["aGk=", "aG8="]},
            "deep": {"L": [{"B": "aGk="}, {"B": None}, {"M": {"a": {"B": "aGk="}, "b": None}}]},
            "number": {"N": "1"},
            "blob": {"B": "aGk="},
            "text": "no structure",
            "nothing": None,
            "other": {"X": "1"},
        },
    }
    assert json_codec.decode(shape, asked) == {
        "TableName": "t",
        "Unknown": {"a": None},
        "Item": {
            "null": {},
            "two": {"S": "x"},
            "blobs": {"BS": [b"hi", b"ho"]},
            "deep": {"L": [{"B": b"hi"}, {}, {"M": {"a": {"B": b"hi"}, "b": None}}]},
            "number": {"N": "1"},
            "blob": {"B": b"hi"},
            "text": "no structure",
            "nothing": None,
            "other": {"X": "1"},
        },
    }


def test_an_attribute_value_of_another_service_is_no_item_of_dynamodb() -> None:
    shape = validation.operation_model("verifiedpermissions", "IsAuthorized").input_shape
    assert shape is not None
    asked = {"policyStoreId": "p", "context": {"contextMap": {"a": {"B": "aGk="}}}}
    assert json_codec.decode(shape, asked) == {
        "policyStoreId": "p",
        "context": {"contextMap": {"a": {"B": "aGk="}}},
    }


# -- validation


def test_requests_are_refused_in_the_words_of_aws() -> None:
    with pytest.raises(ValidationError) as missing:
        validation.validate_request(
            "kinesis", "PutRecords", {"StreamName": STREAM, "Records": [{"PartitionKey": "p"}]}
        )
    assert missing.value.message == (
        "1 validation error detected: Value null at 'records.1.member.data' failed to"
        " satisfy constraint: Member must not be null"
    )
    with pytest.raises(ValidationError, match="Member must have length greater than or equal"):
        validation.validate_request("kinesis", "PutRecords", {"StreamName": "", "Records": []})
    with pytest.raises(ValidationError, match="Unknown parameter"):
        validation.validate_request("kinesis", "ListStreams", {"Nonsense": 1})
    with pytest.raises(ValidationError, match="Invalid type"):
        validation.validate_request("kinesis", "ListStreams", {"Limit": "5"})


def test_an_answer_of_ours_that_does_not_fit_is_a_defect() -> None:
    validation.validate_answer("kinesis", "ListShards", {"Shards": []})
    with pytest.raises(InvariantBroken, match="kinesis:ListShards"):
        validation.validate_answer("kinesis", "ListShards", {"Shards": [{"Id": "x"}]})


def test_an_operation_that_aws_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(NotSupportedByTwin, match="kinesis:PutEverything"):
        validation.validate_request("kinesis", "PutEverything", {})
