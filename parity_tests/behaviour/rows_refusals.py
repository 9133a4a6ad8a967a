"""More refused calls, by service: codes, statuses and the stable part of the words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from parity_tests.behaviour.table import DOCUMENTED, RECORDED, Behaviours, differs
from parity_tests.contract.world import World

READ = "2026-11"
"""When the documentation was read."""
kinesis = Behaviours("kinesis")
functions = Behaviours("lambda")
workflows = Behaviours("stepfunctions")
metrics = Behaviours("cloudwatch")
logs = Behaviours("logs")
s3 = Behaviours("s3")
dynamodb = Behaviours("dynamodb")
glue = Behaviours("glue")

# -- Kinesis


def _iterator(world: World, kind: str, **more: Any) -> dict[str, Any]:
    stream = world.stream()
    shard = world.do("kinesis", "ListShards", StreamName=stream)["Shards"][0]["ShardId"]
    return {"StreamName": stream, "ShardId": shard, "ShardIteratorType": kind, **more}


kinesis.refuses(
    "GetShardIterator",
    "at a time that is not given",
    lambda w: _iterator(w, "AT_TIMESTAMP"),
    "InvalidArgumentException",
    r"^Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP\.",
    date="2020",
)
kinesis.refuses(
    "GetShardIterator",
    "at a time to come",
    lambda w: _iterator(w, "AT_TIMESTAMP", Timestamp=w.now + timedelta(hours=1)),
    "InvalidArgumentException",
    r"^The timestampInMillis parameter cannot be greater than the currentTimestampInMillis\.",
    date="2020",
)
kinesis.refuses(
    "GetShardIterator",
    "at a sequence number that is not given",
    lambda w: _iterator(w, "AT_SEQUENCE_NUMBER"),
    "InvalidArgumentException",
    r"^Must either specify \(1\) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and",
    date="2020",
)


def _old_iterator(world: World) -> dict[str, Any]:
    token = world.iterator(world.stream())
    world.run(301.0)
    return {"ShardIterator": token}


kinesis.refuses(
    "GetRecords",
    "an iterator older than five minutes",
    _old_iterator,
    "ExpiredIteratorException",
    r"^Iterator expired\. The iterator was created at time .* which is further in the future than "
    r"the tolerated delay of 300000 milliseconds\.$",
    date="2020",
)
kinesis.refuses(
    "GetRecords",
    "more than 10,000 records",
    lambda w: {"ShardIterator": w.iterator(w.stream()), "Limit": 10_001},
    "ValidationException",
    r"Member must have value less than or equal to 10000",
    date="2020",
)

# -- Lambda, Step Functions

functions.refuses(
    "Invoke",
    "a function that is not there",
    lambda w: {"FunctionName": "not-there", "Payload": b"{}"},
    "ResourceNotFoundException",
    r"^Function not found: arn:aws:lambda:",
    date="2025",
    status=404,
)
functions.refuses(
    "Invoke",
    "a payload that is not JSON",
    lambda w: {"FunctionName": w.function(), "Payload": b"{"},
    "InvalidRequestContentException",
    r"^Could not parse request body into json: Could not parse payload into json: ",
    date="2025",
)
workflows.refuses(
    "CreateStateMachine",
    "a name with a blank",
    lambda w: {
        "name": "a b",
        "definition": '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}',
        "roleArn": w.role,
    },
    "InvalidName",
    r"^Invalid Name: 'a b'$",
    date="2025",
)


def _diagnosed(world: World) -> str | None:
    params = {"definition": '{"States": {"A": {"Type": "Pass", "End": true}}}'}
    answer = world.ask("stepfunctions", "ValidateStateMachineDefinition", params)
    wanted = {
        "severity": "ERROR",
        "code": "SCHEMA_VALIDATION_FAILED",
        "message": "These fields are required: [StartAt]",
        "location": "/",
    }
    return differs(("FAIL", [wanted]), (answer["result"], answer["diagnostics"]))


workflows.add(
    "ValidateStateMachineDefinition",
    "a definition that does not say where it starts",
    RECORDED,
    "2025",
    _diagnosed,
)

# -- CloudWatch, Logs

metrics.refuses(
    "SetAlarmState",
    "an alarm that is not there",
    lambda w: {"AlarmName": "not-there", "StateValue": "OK", "StateReason": "asked"},
    "ResourceNotFound",
    date="2025",
    status=404,
)
metrics.refuses(
    "PutMetricData",
    "values and counts of different length",
    lambda w: {
        "Namespace": "Parity",
        "MetricData": [{"MetricName": "m", "Values": [1.0, 2.0], "Counts": [1.0]}],
    },
    "InvalidParameterValue",
    r"must be of the same size\.$",
    date="2025",
)


def _no_stream(world: World) -> dict[str, Any]:
    group = world.new("group")
    world.do("logs", "CreateLogGroup", logGroupName=group)
    return {"logGroupName": group, "logStreamName": "not-there"}


logs.refuses(
    "GetLogEvents",
    "a stream that is not there",
    _no_stream,
    "ResourceNotFoundException",
    r"^The specified log stream does not exist\.$",
    date="2025",
)

# -- S3: "Error responses" in its API reference

for _operation, _what, _make, _code, _status in (
    ("GetObject", "a key that is not there", {"Key": "none"}, "NoSuchKey", 404),
    ("ListObjectsV2", "a bucket that is not there", {"Bucket": "not-there-2"}, "NoSuchBucket", 404),
    ("DeleteBucket", "a bucket with an object", {}, "BucketNotEmpty", 409),
    ("GetObject", "a range beyond the end", {"Range": "bytes=99-"}, "InvalidRange", 416),
    ("GetObject", "another version than expected", {"IfMatch": '"0"'}, "PreconditionFailed", 412),
):

    def _place(world: World, more: dict[str, Any] = _make, operation: str = _operation) -> Any:
        item = world.item()
        if operation != "GetObject":
            del item["Key"]
        return {**item, **more}

    s3.refuses(_operation, _what, _place, _code, source=DOCUMENTED, date=READ, status=_status)

# -- DynamoDB, Glue: their service models

_BOTOCORE = "2026-11 (botocore 1.44.5)"
dynamodb.refuses(
    "PutItem",
    "a condition that does not hold",
    lambda w: {
        "TableName": w.table(),
        "Item": {"pk": {"S": "a"}, "sk": {"N": "1"}},
        "ConditionExpression": "attribute_exists(pk)",
    },
    "ConditionalCheckFailedException",
    source=DOCUMENTED,
    date=_BOTOCORE,
)
dynamodb.refuses(
    "DescribeTable",
    "a table that is not there",
    lambda w: {"TableName": "not-there"},
    "ResourceNotFoundException",
    source=DOCUMENTED,
    date=_BOTOCORE,
)
glue.refuses(
    "GetJob",
    "a job that is not there",
    lambda w: {"JobName": "not-there"},
    "EntityNotFoundException",
    source=DOCUMENTED,
    date=_BOTOCORE,
)
glue.refuses(
    "GetTable",
    "a table that is not there",
    lambda w: {"DatabaseName": "not-there", "Name": "nothing"},
    "EntityNotFoundException",
    source=DOCUMENTED,
    date=_BOTOCORE,
)
