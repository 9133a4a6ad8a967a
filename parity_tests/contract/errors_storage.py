"""Refused calls of S3, DynamoDB and Kinesis."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases, many, twice
from parity_tests.contract.examples_tables import ITEM, KEY
from parity_tests.contract.things import table_of
from parity_tests.contract.world import World

storage = ErrorCases()

# -- S3

_NOWHERE = {"Bucket": "not-there"}


def _b(w: World) -> dict[str, Any]:
    return {"Bucket": w.bucket()}


def _completed(parts: list[dict[str, Any]], uploaded: int = 1) -> Any:
    return lambda w: {**w.upload(uploaded), "MultipartUpload": {"Parts": parts}}


_PART = {"ETag": '"3cd0b1ac0e0c8d4bd0a9da5cee1b5f4a"', "PartNumber": 1}
_GONE = {"Key": "k", "UploadId": "none"}
storage.add("s3", "NoSuchBucket", "ListObjectsV2", lambda w: _NOWHERE)
storage.add("s3", "404", "HeadBucket", lambda w: _NOWHERE)
storage.add("s3", "404", "HeadObject", lambda w: {**_b(w), "Key": "none"})
storage.add("s3", "NoSuchKey", "GetObject", lambda w: {**_b(w), "Key": "none"})
storage.add("s3", "InvalidObjectState", "GetObject", lambda w: w.item(StorageClass="GLACIER"))
storage.add("s3", "NoSuchUpload", "ListParts", lambda w: {**_b(w), **_GONE})
storage.add("s3", "BucketNotEmpty", "DeleteBucket", lambda w: {"Bucket": w.item()["Bucket"]})
storage.add("s3", "InvalidBucketName", "CreateBucket", lambda w: {"Bucket": "Not-A-Bucket"})
storage.add("s3", "InvalidRange", "GetObject", lambda w: {**w.item(), "Range": "bytes=99-"})
storage.add("s3", "PreconditionFailed", "GetObject", lambda w: {**w.item(), "IfMatch": '"0"'})
storage.add("s3", "304", "GetObject", lambda w: {**w.item(), "IfNoneMatch": "*"})
storage.add("s3", "KeyTooLongError", "PutObject", lambda w: {**_b(w), "Key": "k" * 1025})
storage.add(
    "s3",
    "BadDigest",
    "PutObject",
    lambda w: {**_b(w), "Key": "k", "Body": b"x", "ChecksumCRC32": "AAAAAA=="},
)
storage.add(
    "s3",
    "BadRequest",
    "PutObjectTagging",
    lambda w: {
        **w.item(),
        "Tagging": {"TagSet": [{"Key": f"{i}", "Value": ""} for i in range(11)]},
    },
)
storage.add(
    "s3",
    "InvalidArgument",
    "ListObjectsV2",
    lambda w: {**_b(w), "ContinuationToken": "%%%"},
)
storage.add(
    "s3",
    "InvalidRequest",
    "CopyObject",
    lambda w: (place := w.item()) and {**place, "CopySource": place},
)
storage.add("s3", "InvalidPart", "CompleteMultipartUpload", _completed([_PART]))
storage.add(
    "s3",
    "InvalidPartOrder",
    "CompleteMultipartUpload",
    _completed([{**_PART, "PartNumber": 2}, _PART]),
)


def _small_parts(w: World) -> dict[str, Any]:
    upload = w.upload(2)
    parts = w.do("s3", "ListParts", **upload)["Parts"]
    chosen = [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in parts]
    return {**upload, "MultipartUpload": {"Parts": chosen}}


storage.add("s3", "EntityTooSmall", "CompleteMultipartUpload", _small_parts)
storage.add("s3", "NoSuchBucketPolicy", "GetBucketPolicy", _b)
storage.add("s3", "NoSuchTagSet", "GetBucketTagging", _b)
storage.add("s3", "NoSuchLifecycleConfiguration", "GetBucketLifecycleConfiguration", _b)

# -- DynamoDB

_ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}
storage.add(
    "dynamodb", "ResourceNotFoundException", "DescribeTable", lambda w: {"TableName": "none"}
)
storage.add(
    "dynamodb",
    "ResourceInUseException",
    "CreateTable",
    twice(("dynamodb", "CreateTable"), lambda w: table_of(w.new("made"))),
)
storage.add(
    "dynamodb",
    "ValidationException",
    "GetItem",
    lambda w: {"TableName": w.table(), "Key": {"pk": {"S": "a"}}},
)
storage.add(
    "dynamodb",
    "ConditionalCheckFailedException",
    "PutItem",
    lambda w: {
        "TableName": w.table(ITEM),
        "Item": KEY,
        **_ABSENT,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    "Item.state.B",
)
storage.add(
    "dynamodb",
    "TransactionCanceledException",
    "TransactWriteItems",
    lambda w: {
        "TransactItems": [
            {
                "Put": {
                    "TableName": w.table(ITEM),
                    "Item": KEY,
                    **_ABSENT,
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        ]
    },
    "CancellationReasons.Code CancellationReasons.Message CancellationReasons.Item.state.B",
)


def _other_transaction(w: World) -> dict[str, Any]:
    table, token = w.table(), w.new("token")
    parts = [[{"Put": {"TableName": table, "Item": item}}] for item in (ITEM, KEY)]
    w.do("dynamodb", "TransactWriteItems", TransactItems=parts[0], ClientRequestToken=token)
    return {"TransactItems": parts[1], "ClientRequestToken": token}


storage.add(
    "dynamodb", "IdempotentParameterMismatchException", "TransactWriteItems", _other_transaction
)

# -- Kinesis


def _written(w: World) -> dict[str, Any]:
    return {"StreamName": w.stream(), "Data": b"x" * 900_000, "PartitionKey": "k"}


def _old_iterator(w: World) -> dict[str, Any]:
    iterator = w.iterator(w.stream())
    w.run(301.0)
    return {"ShardIterator": iterator}


storage.add("kinesis", "ResourceNotFoundException", "ListShards", lambda w: {"StreamName": "none"})
storage.add(
    "kinesis",
    "ResourceInUseException",
    "CreateStream",
    lambda w: {"StreamName": w.stream(), "ShardCount": 1},
)
storage.add(
    "kinesis",
    "LimitExceededException",
    "DescribeStream",
    many(10, ("kinesis", "DescribeStream"), lambda w: {"StreamName": w.stream()}),
)
storage.add(
    "kinesis",
    "ProvisionedThroughputExceededException",
    "PutRecord",
    twice(("kinesis", "PutRecord"), _written),
)
storage.add("kinesis", "InvalidArgumentException", "GetRecords", lambda w: {"ShardIterator": "x"})
storage.add(
    "kinesis",
    "KMSNotFoundException",
    "StartStreamEncryption",
    lambda w: {"StreamName": w.stream(), "EncryptionType": "KMS", "KeyId": "alias/none"},
)
storage.add(
    "kinesis",
    "ExpiredIteratorException",
    "GetRecords",
    _old_iterator,
)
storage.add(
    "kinesis",
    "ValidationException",
    "GetRecords",
    lambda w: {"ShardIterator": w.iterator(w.stream()), "Limit": 10_001},
)
