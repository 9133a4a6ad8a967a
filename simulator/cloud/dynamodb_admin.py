"""DynamoDB tables as resources: create, describe, delete, and recorded settings.

Part of `simulator.cloud.dynamodb`. A table is ACTIVE at once; time to live and backups are
recorded and have no effect within a run.
"""

from __future__ import annotations

import copy
import re
from datetime import timedelta
from typing import Any

from simulator.cloud.dynamodb_tables import Table
from simulator.cloud.dynamodb_writes import Tables
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Answer, Call, Operation, Params

_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
RESTORABLE_AFTER = timedelta(minutes=5)
"""How far the latest point of recovery is behind now (API reference)."""
_CHANGED = (
    "BillingMode",
    "ProvisionedThroughput",
    "DeletionProtectionEnabled",
    "SSESpecification",
)
_PROVISIONED = {"BillingMode": "PROVISIONED"}
_REFUSED = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "GlobalTableSettingsReplicationMode")


class TableOperations:
    """The operations on tables themselves."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def operations(self) -> dict[str, Operation]:
        """Return the table of operations."""
        one = self._tables.resources
        table: dict[str, Operation] = {
            "CreateTable": Operation(self._create, one),
            "DescribeTable": Operation(self._describe, one),
            "UpdateTable": Operation(self._update, one),
            "DeleteTable": Operation(self._delete, one),
            "ListTables": Operation(self._list),
            "UpdateTimeToLive": Operation(self._put_ttl, one),
            "DescribeTimeToLive": Operation(self._get_ttl, one),
            "UpdateContinuousBackups": Operation(self._put_backups, one),
            "DescribeContinuousBackups": Operation(self._get_backups, one),
            "TagResource": Operation(self._tag, lambda params: (params["ResourceArn"],)),
            "ListTagsOfResource": Operation(
                self._list_tags, lambda params: (params["ResourceArn"],)
            ),
        }
        return table

    def _create(self, call: Call) -> Answer:
        params = call.params
        name = params["TableName"]
        refuse_table(params)
        if not _NAME.fullmatch(name):
            raise ValidationError(
                "TableName must be at least 3 characters long and at most 255 characters long"
            )
        if name in self._tables.by_name:
            raise AwsError("ResourceInUseException", f"Table already exists: {name}")
        hash_key, range_key, types = _schema(params)
        arn = self._tables.arn(name)
        engine = self._tables.context.engine
        throughput = params.get("ProvisionedThroughput", {})
        description: dict[str, Any] = {
            "TableName": name,
            "TableArn": arn,
            "TableId": engine.new_id(),
            "CreationDateTime": engine.now(),
            "TableStatus": "ACTIVE",
            "KeySchema": params["KeySchema"],
            "AttributeDefinitions": params["AttributeDefinitions"],
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": throughput.get("ReadCapacityUnits", 0),
                "WriteCapacityUnits": throughput.get("WriteCapacityUnits", 0),
            },
            "DeletionProtectionEnabled": params.get("DeletionProtectionEnabled", False),
        }
        if params.get("BillingMode") == "PAY_PER_REQUEST":
            description["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
        elif not throughput:
            raise ValidationError(
                "One or more parameter values were invalid: ReadCapacityUnits and"
                " WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
            )
        description |= self._encrypted(params.get("SSESpecification", {}))
        table = Table(name, arn, hash_key, range_key, types, copy.deepcopy(description))
        table.settings["Tags"] = {one["Key"]: one["Value"] for one in params.get("Tags", [])}
        self._tables.by_name[name] = table
        return {"TableDescription": _described(table)}

    def _find(self, params: Params) -> Table:
        name = params["TableName"]
        message = f"Requested resource not found: Table: {name} not found"
        return self._tables.find(name, message)

    def _describe(self, call: Call) -> Answer:
        return {"Table": _described(self._find(call.params))}

    def _update(self, call: Call) -> Answer:
        """Change how a table is paid for, encrypted and protected; its items stay."""
        params, table = call.params, self._find(call.params)
        if unknown := params.keys() - {"TableName", *_CHANGED, "TableClass"}:
            raise NotSupportedByTwin(f"dynamodb:UpdateTable with {min(unknown)}")
        shown = table.description
        was = shown.get("BillingModeSummary", _PROVISIONED)["BillingMode"]
        mode = params.get("BillingMode", was)
        throughput = params.get("ProvisionedThroughput")
        had = shown["ProvisionedThroughput"]
        if mode == "PAY_PER_REQUEST" and throughput:
            raise ValidationError(
                "One or more parameter values were invalid: Neither ReadCapacityUnits nor"
                " WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        if mode == "PROVISIONED" and not throughput and not had["ReadCapacityUnits"]:
            raise ValidationError(
                "One or more parameter values were invalid: ReadCapacityUnits and"
                " WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
            )
        if "BillingMode" in params or throughput:
            shown["BillingModeSummary"] = {"BillingMode": mode}
            if mode == "PAY_PER_REQUEST":
                throughput = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
            shown["ProvisionedThroughput"] = had | (throughput or {})
        if "DeletionProtectionEnabled" in params:
            shown["DeletionProtectionEnabled"] = params["DeletionProtectionEnabled"]
        if "SSESpecification" in params:
            shown.pop("SSEDescription", None)
            shown |= self._encrypted(params["SSESpecification"])
        return {"TableDescription": _described(table)}

    def _encrypted(self, setting: Params) -> Answer:
        """Return what is described of a key other than DynamoDB's own."""
        if not setting.get("Enabled"):
            return {}
        key = setting.get("KMSMasterKeyId", "alias/aws/dynamodb")
        context = self._tables.context
        path = key if key.startswith("alias/") else f"key/{key}"
        arn = key if key.startswith("arn:") else context.arn("kms", path)
        described = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}
        return {"SSEDescription": described}

    def _delete(self, call: Call) -> Answer:
        table = self._find(call.params)
        if table.description["DeletionProtectionEnabled"]:
            raise ValidationError(
                "Resource cannot be deleted as it is currently protected against deletion."
                " Disable deletion protection first."
            )
        del self._tables.by_name[table.name]
        return {"TableDescription": {**_described(table), "TableStatus": "DELETING"}}

    def _list(self, call: Call) -> Answer:
        names = sorted(self._tables.by_name)
        after = call.params.get("ExclusiveStartTableName")
        names = [name for name in names if after is None or name > after]
        limit = call.params.get("Limit", 100)
        answer: Answer = {"TableNames": names[:limit]}
        if len(names) > limit:
            answer["LastEvaluatedTableName"] = names[limit - 1]
        return answer

    # -- settings without effect within a run

    def _put_ttl(self, call: Call) -> Answer:
        setting = call.params["TimeToLiveSpecification"]
        self._find(call.params).settings["TimeToLive"] = dict(setting)
        return {"TimeToLiveSpecification": setting}

    def _get_ttl(self, call: Call) -> Answer:
        setting = self._find(call.params).settings.get("TimeToLive", {})
        if not setting.get("Enabled"):
            return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
        return {
            "TimeToLiveDescription": {
                "TimeToLiveStatus": "ENABLED",
                "AttributeName": setting["AttributeName"],
            }
        }

    def _put_backups(self, call: Call) -> Answer:
        setting = dict(call.params["PointInTimeRecoverySpecification"])
        now = self._tables.context.engine.now()
        self._find(call.params).settings["PointInTimeRecovery"] = {**setting, "since": now}
        return self._get_backups(call)

    def _get_backups(self, call: Call) -> Answer:
        setting = self._find(call.params).settings.get("PointInTimeRecovery", {})
        recovery: Answer = {"PointInTimeRecoveryStatus": "DISABLED"}
        if setting.get("PointInTimeRecoveryEnabled"):
            latest = self._tables.context.engine.now() - RESTORABLE_AFTER
            recovery = {
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": setting.get("RecoveryPeriodInDays", 35),
                "EarliestRestorableDateTime": setting["since"],
                "LatestRestorableDateTime": max(latest, setting["since"]),
            }
        return {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": recovery,
            }
        }

    def _tag(self, call: Call) -> Answer:
        table = self._tables.find(call.params["ResourceArn"])
        table.settings["Tags"].update({one["Key"]: one["Value"] for one in call.params["Tags"]})
        return {}

    def _list_tags(self, call: Call) -> Answer:
        tags = self._tables.find(call.params["ResourceArn"]).settings["Tags"]
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def refuse_table(params: Params) -> None:
    """Raise NotSupportedByTwin for a table that the twin does not have."""
    for refused in _REFUSED:
        if params.get(refused):
            raise NotSupportedByTwin(f"dynamodb:CreateTable with {refused}")
    if params.get("StreamSpecification", {}).get("StreamEnabled"):
        raise NotSupportedByTwin("dynamodb:CreateTable with StreamSpecification")


def _described(table: Table) -> dict[str, Any]:
    return {
        **copy.deepcopy(table.description),
        "ItemCount": table.count,
        "TableSizeBytes": table.size_bytes,
    }


def _schema(params: Params) -> tuple[str, str | None, dict[str, str]]:
    """Return hash key, range key and the key attributes' types of a CreateTable."""
    keys = {one["KeyType"]: one["AttributeName"] for one in params["KeySchema"]}
    types = {one["AttributeName"]: one["AttributeType"] for one in params["AttributeDefinitions"]}
    if "HASH" not in keys or len(keys) != len(params["KeySchema"]):
        raise ValidationError(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
        )
    if set(keys.values()) != set(types):
        raise ValidationError(
            "One or more parameter values were invalid: Some index key attributes are not defined"
            f" in AttributeDefinitions, or too many are. Keys: {sorted(keys.values())},"
            f" AttributeDefinitions: {sorted(types)}"
        )
    return keys["HASH"], keys.get("RANGE"), types
