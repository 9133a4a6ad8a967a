"""The conversation that `fleetwin parity record` has: what the pipeline asks of AWS, and errors.

Only services that every target has (S3, Kinesis, DynamoDB, SQS, SNS, Logs); what it makes is small,
has the run's prefix and is deleted at the end.
"""

from __future__ import annotations

from typing import Any

from simulator.parity.cassette import Step

RUN = "{run}"


def _step(name: str, service: str, operation: str, **params: Any) -> Step:
    return Step(name, service, operation, params)


def _tidy(name: str, service: str, operation: str, **params: Any) -> Step:
    return Step(name, service, operation, params, tidies=True)


_OBJECT = {"Bucket": RUN, "Key": "raw/dt=2026-01-05/a b.txt"}
_KEY = {"pk": {"S": "det#pump-001"}}
_TABLE = {
    "TableName": RUN,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_IF_NEW = {
    "ConditionExpression": "attribute_not_exists(pk)",
    "ReturnValuesOnConditionCheckFailure": "NONE",
}

S3 = (
    _step("a bucket", "s3", "CreateBucket", Bucket=RUN),
    _step("an object", "s3", "PutObject", **_OBJECT, Body=b"first\n", ContentType="text/plain"),
    _step("read it", "s3", "GetObject", **_OBJECT),
    _step("a part of it", "s3", "GetObject", **_OBJECT, Range="bytes=1-3"),
    _step("list", "s3", "ListObjectsV2", Bucket=RUN, Prefix="raw/"),
    _step("no such key", "s3", "GetObject", Bucket=RUN, Key="none"),
    _step("beyond its end", "s3", "GetObject", **_OBJECT, Range="bytes=99-"),
    _step("if it has changed", "s3", "GetObject", **_OBJECT, IfMatch='"0"'),
    _step("a bucket with something in it", "s3", "DeleteBucket", Bucket=RUN),
)
KINESIS = (
    _step("a stream", "kinesis", "CreateStream", StreamName=RUN, ShardCount=1),
    Step(
        "until it is there",
        "kinesis",
        "DescribeStreamSummary",
        {"StreamName": RUN},
        until=("StreamDescriptionSummary.StreamStatus", "ACTIVE"),
        wait_s=5.0,
    ),
    _step("the same stream again", "kinesis", "CreateStream", StreamName=RUN, ShardCount=1),
    _step("a record", "kinesis", "PutRecord", StreamName=RUN, Data=b"one", PartitionKey="a"),
    _step(
        "two records",
        "kinesis",
        "PutRecords",
        StreamName=RUN,
        Records=[
            {"Data": b"two", "PartitionKey": "a"},
            {"Data": b"three", "PartitionKey": "b"},
        ],
    ),
    _step("shards", "kinesis", "ListShards", StreamName=RUN),
    _step(
        "from the beginning",
        "kinesis",
        "GetShardIterator",
        StreamName=RUN,
        ShardId="{shards.Shards[0].ShardId}",
        ShardIteratorType="TRIM_HORIZON",
    ),
    _step(
        "records",
        "kinesis",
        "GetRecords",
        ShardIterator="{from the beginning.ShardIterator}",
        Limit=10,
    ),
    _step("an iterator that is none", "kinesis", "GetRecords", ShardIterator="none"),
    _step(
        "a shard that is not there",
        "kinesis",
        "GetShardIterator",
        StreamName=RUN,
        ShardId="shardId-000000000099",
        ShardIteratorType="LATEST",
    ),
    _step("a stream that is not there", "kinesis", "DescribeStreamSummary", StreamName="{run}-x"),
)
DYNAMODB = (
    _step("a table", "dynamodb", "CreateTable", **_TABLE),
    Step(
        "until it is active",
        "dynamodb",
        "DescribeTable",
        {"TableName": RUN},
        until=("Table.TableStatus", "ACTIVE"),
        wait_s=2.0,
    ),
    _step(
        "a new item",
        "dynamodb",
        "PutItem",
        TableName=RUN,
        Item={**_KEY, "n": {"N": "1"}, "state": {"B": b"\x00\x01"}},
        **_IF_NEW,
    ),
    _step("that is not new", "dynamodb", "PutItem", TableName=RUN, Item=_KEY, **_IF_NEW),
    _step(
        "one more",
        "dynamodb",
        "UpdateItem",
        TableName=RUN,
        Key=_KEY,
        UpdateExpression="SET n = n + :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    ),
    _step("get it", "dynamodb", "GetItem", TableName=RUN, Key=_KEY, ConsistentRead=True),
    _step(
        "both or none",
        "dynamodb",
        "TransactWriteItems",
        TransactItems=[
            {"Put": {"TableName": RUN, "Item": {"pk": {"S": "other"}}}},
            {
                "Put": {
                    "TableName": RUN,
                    "Item": _KEY,
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
        ],
    ),
    _step("none", "dynamodb", "GetItem", TableName=RUN, Key={"pk": {"S": "other"}}),
    _step("a table that is not there", "dynamodb", "DescribeTable", TableName="{run}-x"),
)
MESSAGES = (
    _step("a queue", "sqs", "CreateQueue", QueueName=RUN),
    _step("send", "sqs", "SendMessage", QueueUrl="{a queue.QueueUrl}", MessageBody="hello"),
    Step(
        "receive",
        "sqs",
        "ReceiveMessage",
        {"QueueUrl": "{a queue.QueueUrl}", "MaxNumberOfMessages": 1},
        until=("Messages[0].Body", "hello"),
        wait_s=1.0,
    ),
    _step(
        "done with it",
        "sqs",
        "DeleteMessage",
        QueueUrl="{a queue.QueueUrl}",
        ReceiptHandle="{receive.Messages[0].ReceiptHandle}",
    ),
    _step("a topic", "sns", "CreateTopic", Name=RUN),
    _step(
        "publish",
        "sns",
        "Publish",
        TopicArn="{a topic.TopicArn}",
        Subject="alert",
        Message='{"device_id":"pump-001"}',
    ),
)
LOGS = (
    _step("a group", "logs", "CreateLogGroup", logGroupName=RUN),
    _step("the same group", "logs", "CreateLogGroup", logGroupName=RUN),
    _step("a log stream", "logs", "CreateLogStream", logGroupName=RUN, logStreamName="s"),
    _step("nothing in it", "logs", "GetLogEvents", logGroupName=RUN, logStreamName="s"),
    _step(
        "a group that is not there",
        "logs",
        "GetLogEvents",
        logGroupName="{run}-x",
        logStreamName="s",
    ),
)
TIDYING = (
    _tidy("delete the object", "s3", "DeleteObject", **_OBJECT),
    _tidy("delete the bucket", "s3", "DeleteBucket", Bucket=RUN),
    _tidy("delete the stream", "kinesis", "DeleteStream", StreamName=RUN),
    _tidy("delete the table", "dynamodb", "DeleteTable", TableName=RUN),
    _tidy("delete the queue", "sqs", "DeleteQueue", QueueUrl="{a queue.QueueUrl}"),
    _tidy("delete the topic", "sns", "DeleteTopic", TopicArn="{a topic.TopicArn}"),
    _tidy("delete the group", "logs", "DeleteLogGroup", logGroupName=RUN),
)

STEPS: tuple[Step, ...] = (*S3, *KINESIS, *DYNAMODB, *MESSAGES, *LOGS, *TIDYING)
