"""Examples of DynamoDB."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.examples_storage import TAGS
from parity_tests.contract.things import table_of

dynamodb = Examples("dynamodb")

ITEM: dict[str, Any] = {
    "pk": {"S": "det#pump-007"},
    "sk": {"N": "12"},
    "state": {"B": b"\x00\xff"},
    "open": {"BOOL": True},
    "ended_ms": {"NULL": True},
    "shares": {"M": {"temperature_c": {"N": "0.25"}}},
    "scores": {"L": [{"N": "1"}, {"S": "two"}]},
    "numbers": {"NS": ["1", "2.5"]},
    "names": {"SS": ["a", "b"]},
    "blobs": {"BS": [b"\x01"]},
}
KEY = {"pk": ITEM["pk"], "sk": ITEM["sk"]}

# -- DynamoDB: tables

_TABLE = """TableName TableArn TableId TableStatus CreationDateTime KeySchema.AttributeName
AttributeDefinitions ProvisionedThroughput.ReadCapacityUnits BillingModeSummary ItemCount
TableSizeBytes DeletionProtectionEnabled"""

dynamodb.add("CreateTable", lambda w: table_of(w.new("made")), below("TableDescription", _TABLE))
dynamodb.add("DescribeTable", lambda w: {"TableName": w.table(ITEM)}, below("Table", _TABLE))
dynamodb.add(
    "UpdateTable",
    lambda w: {
        "TableName": w.table(),
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
        "SSESpecification": {"Enabled": True},
    },
    below("TableDescription", f"{_TABLE} SSEDescription.KMSMasterKeyArn"),
)
dynamodb.add("DeleteTable", lambda w: {"TableName": w.table()}, below("TableDescription", _TABLE))
dynamodb.add("ListTables", lambda w: {"Limit": 1}, "TableNames LastEvaluatedTableName")
dynamodb.add(
    "UpdateTimeToLive",
    lambda w: {
        "TableName": w.table(),
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires_s"},
    },
    "TimeToLiveSpecification.Enabled TimeToLiveSpecification.AttributeName",
)
dynamodb.add(
    "DescribeTimeToLive",
    lambda w: {"TableName": w.table()},
    "TimeToLiveDescription.TimeToLiveStatus",
)
_BACKUPS = "ContinuousBackupsDescription.ContinuousBackupsStatus"
_RECOVERY = "ContinuousBackupsDescription.PointInTimeRecoveryDescription"
dynamodb.add(
    "UpdateContinuousBackups",
    lambda w: {
        "TableName": w.table(),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    },
    f"{_BACKUPS} {_RECOVERY}.PointInTimeRecoveryStatus {_RECOVERY}.RecoveryPeriodInDays"
    f" {_RECOVERY}.EarliestRestorableDateTime {_RECOVERY}.LatestRestorableDateTime",
)
dynamodb.add(
    "DescribeContinuousBackups",
    lambda w: {"TableName": w.table()},
    f"{_BACKUPS} {_RECOVERY}.PointInTimeRecoveryStatus",
)
dynamodb.add("TagResource", lambda w: {"ResourceArn": w.table_arn(), "Tags": TAGS})
dynamodb.add("ListTagsOfResource", lambda w: {"ResourceArn": w.table_arn()}, "Tags.Key Tags.Value")

# -- DynamoDB: items

dynamodb.add("PutItem", lambda w: {"TableName": w.table(), "Item": ITEM})
dynamodb.add(
    "PutItem",
    lambda w: {"TableName": w.table(ITEM), "Item": KEY, "ReturnValues": "ALL_OLD"},
    "Attributes.state.B",
    "old values",
)
dynamodb.add("GetItem", lambda w: {"TableName": w.table(ITEM), "Key": KEY}, "Item.shares.M")
dynamodb.add("GetItem", lambda w: {"TableName": w.table(), "Key": KEY}, note="not there")
dynamodb.add(
    "DeleteItem",
    lambda w: {"TableName": w.table(ITEM), "Key": KEY, "ReturnValues": "ALL_OLD"},
    "Attributes.blobs.BS",
)
dynamodb.add(
    "UpdateItem",
    lambda w: {
        "TableName": w.table(ITEM),
        "Key": KEY,
        "UpdateExpression": "SET score = :s ADD seen :one REMOVE #o",
        "ExpressionAttributeNames": {"#o": "open"},
        "ExpressionAttributeValues": {":s": {"N": "1.5"}, ":one": {"N": "1"}},
        "ReturnValues": "UPDATED_NEW",
    },
    "Attributes.score.N Attributes.seen.N",
)
dynamodb.add(
    "BatchGetItem",
    lambda w: {"RequestItems": {w.table(ITEM): {"Keys": [KEY]}}},
    "Responses UnprocessedKeys",
)
dynamodb.add(
    "BatchWriteItem",
    lambda w: {
        "RequestItems": {
            w.table(ITEM): [
                {"PutRequest": {"Item": {**KEY, "sk": {"N": "13"}}}},
                {"DeleteRequest": {"Key": KEY}},
            ]
        }
    },
    "UnprocessedItems",
)
dynamodb.add(
    "TransactWriteItems",
    lambda w: {"TransactItems": [{"Put": {"TableName": w.table(), "Item": ITEM}}]},
)
dynamodb.add(
    "TransactGetItems",
    lambda w: {
        "TransactItems": [
            {"Get": {"TableName": (table := w.table(ITEM)), "Key": KEY}},
            {"Get": {"TableName": table, "Key": {**KEY, "sk": {"N": "99"}}}},
        ]
    },
    "Responses.Item.pk.S",
)
_TWO = (ITEM, {**KEY, "sk": {"N": "13"}})
dynamodb.add(
    "Query",
    lambda w: {
        "TableName": w.table(*_TWO),
        "KeyConditionExpression": "pk = :p AND sk > :s",
        "ExpressionAttributeValues": {":p": KEY["pk"], ":s": {"N": "0"}},
        "Limit": 1,
    },
    "Items.names.SS Count ScannedCount LastEvaluatedKey.pk.S",
)
dynamodb.add("Scan", lambda w: {"TableName": w.table(*_TWO)}, "Items.pk.S Count ScannedCount")
