"""Changes and undoings that are more than one call with the members that differ.

Used by `effects_table`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.cloud.resources.effects import (
    STEPS,
    Ask,
    CannotChange,
    Change,
    Params,
    differing,
    updated_by,
    within,
)
from simulator.cloud.resources.mapping import PERMISSIONS, Made

DEFAULT_RETENTION_H = 24
_CODE = ("Code", "Architectures")
_configure = updated_by(
    "UpdateFunctionConfiguration",
    "FunctionName",
    defaults={
        "Timeout": 3,
        "MemorySize": 128,
        "Description": "",
        "Environment": {"Variables": {}},
        "TracingConfig": {"Mode": "PassThrough"},
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {},
    },
)


def function(made: Made, new: Params) -> Iterable[Ask]:
    """Change a function's configuration by one operation and its code by another."""
    name = made.params["FunctionName"]
    names = differing(made.params, new)
    if any(each not in _CODE for each in names):
        kept = {each: made.params[each] for each in _CODE if each in made.params}
        others = {each: value for each, value in new.items() if each not in _CODE}
        yield from _configure(made, {**others, **kept})
    if any(each in _CODE for each in names):
        code = {"Architectures": new.get("Architectures", ["x86_64"]), **new["Code"]}
        yield Ask("lambda", "UpdateFunctionCode", {"FunctionName": name, **code})


def role(made: Made, new: Params) -> Iterable[Ask]:
    """Change a role's own parts; what other resources have put on it stays."""
    arn = made.params["arn"]
    if made.params["trust_policy"] != new["trust_policy"]:
        yield _permissions("put_trust_policy", role_arn=arn, document=new["trust_policy"])
    old, now = made.params["inline"], new["inline"]
    for name in differing(old, now):
        if name in now:
            yield _permissions("put_role_policy", role_arn=arn, name=name, document=now[name])
        else:
            yield _permissions("remove_role_policy", role_arn=arn, name=name)
    added, gone = within(made.params["managed"], new["managed"])
    yield from (_permissions("attach", role_arn=arn, policy_arn=each) for each in added)
    yield from (_permissions("detach", role_arn=arn, policy_arn=each) for each in gone)


def _permissions(method: str, **given: Any) -> Ask:
    return Ask(PERMISSIONS, method, given)


def shards(made: Made, new: Params) -> Iterable[Ask]:
    """Change the number of a stream's shards, by uniform scaling as CloudFormation does."""
    for name in differing(made.params, new):
        if name != "ShardCount" or name not in new:
            raise CannotChange(name)
    given = {"StreamName": new["StreamName"], "TargetShardCount": new["ShardCount"]}
    yield Ask("kinesis", "UpdateShardCount", {**given, "ScalingType": "UNIFORM_SCALING"})


def retention(made: Made, new: Params) -> Iterable[Ask]:
    """Change a stream's retention: more and less are two operations."""
    rises = new["RetentionPeriodHours"] > made.params["RetentionPeriodHours"]
    operation = f"{'Increase' if rises else 'Decrease'}StreamRetentionPeriod"
    yield Ask("kinesis", operation, dict(new))


def retention_undone(made: Made) -> Iterable[Ask]:
    """Set a stream's retention to what a new stream has."""
    params = {**made.params, "RetentionPeriodHours": DEFAULT_RETENTION_H}
    yield Ask("kinesis", "DecreaseStreamRetentionPeriod", params)


def targets(made: Made, new: Params) -> Iterable[Ask]:
    """Put a rule's targets and remove those that are gone."""
    rule = {"Rule": new["Rule"]}
    left = {each["Id"] for each in new["Targets"]}
    gone = [each["Id"] for each in made.params["Targets"] if each["Id"] not in left]
    if gone:
        yield Ask("events", "RemoveTargets", {**rule, "Ids": gone})
    yield Ask("events", "PutTargets", dict(new))


def targets_undone(made: Made) -> Iterable[Ask]:
    """Remove a rule's targets."""
    names = [each["Id"] for each in made.params["Targets"]]
    yield Ask("events", "RemoveTargets", {"Rule": made.params["Rule"], "Ids": names})


def job(made: Made, new: Params) -> Iterable[Ask]:
    """Replace a job's definition."""
    update = {name: value for name, value in new.items() if name not in ("Name", "Tags")}
    yield Ask("glue", "UpdateJob", {"JobName": made.params["Name"], "JobUpdate": update})


def database(made: Made, new: Params) -> Iterable[Ask]:
    """Update a database."""
    yield Ask("glue", "UpdateDatabase", {"Name": made.params["DatabaseInput"]["Name"], **new})


def database_undone(made: Made) -> Iterable[Ask]:
    """Delete a database."""
    yield Ask("glue", "DeleteDatabase", {"Name": made.params["DatabaseInput"]["Name"]})


def table_undone(made: Made) -> Iterable[Ask]:
    """Delete a table."""
    where = {"DatabaseName": made.params["DatabaseName"], "Name": made.params["TableInput"]["Name"]}
    yield Ask("glue", "DeleteTable", where)


_PAID = ("BillingMode", "ProvisionedThroughput")
_OF_A_TABLE = {"DeletionProtectionEnabled": False, "SSESpecification": {"Enabled": False}}


def item_table(made: Made, new: Params) -> Iterable[Ask]:
    """Change how a table is paid for, encrypted and protected."""
    names = differing(made.params, new)
    for name in names:
        if name not in (*_PAID, *_OF_A_TABLE):
            raise CannotChange(name)
    given: dict[str, Any] = {"TableName": made.params["TableName"]}
    if any(name in _PAID for name in names):
        given |= {name: new[name] for name in _PAID if name in new}
    given |= {name: new.get(name, _OF_A_TABLE[name]) for name in names if name in _OF_A_TABLE}
    yield Ask("dynamodb", "UpdateTable", given)


def published(update: Change) -> Change:
    """Return a dashboard's change, which publishes the version that an update makes."""

    def change(made: Made, new: Params) -> Iterable[Ask]:
        for ask in update(made, new):
            yield Ask(STEPS, "dashboard_published", ask.params)

    return change


def iot_policy(made: Made, new: Params) -> Iterable[Ask]:
    """Make another document the policy's default version."""
    yield Ask(STEPS, "iot_policy_document", dict(new))


def iot_policy_undone(made: Made) -> Iterable[Ask]:
    """Delete a policy with its versions."""
    yield Ask(STEPS, "iot_policy_deleted", {"policyName": made.params["policyName"]})


def agent(made: Made, new: Params) -> Iterable[Ask]:
    """Give an agent another name; its activation key has been used up."""
    for name in differing(made.params, new):
        if name != "AgentName":
            raise CannotChange(name)
    which = {"AgentArn": made.answer.get("AgentArn", "")}
    yield Ask("datasync", "UpdateAgent", {**which, "Name": new.get("AgentName", "agent")})


def ttl_undone(made: Made) -> Iterable[Ask]:
    """Switch a table's time to live off."""
    setting = {**made.params["TimeToLiveSpecification"], "Enabled": False}
    params = {"TableName": made.params["TableName"], "TimeToLiveSpecification": setting}
    yield Ask("dynamodb", "UpdateTimeToLive", params)


def key(made: Made, new: Params) -> Iterable[Ask]:
    """Change a key's policy and description; nothing else of a key can change."""
    which = {"KeyId": _key_id(made)}
    for name in differing(made.params, new):
        if name == "Policy":
            given = {**which, "PolicyName": "default", "Policy": new["Policy"]}
            yield Ask("kms", "PutKeyPolicy", given)
        elif name == "Description":
            given = {**which, "Description": new.get("Description", "")}
            yield Ask("kms", "UpdateKeyDescription", given)
        else:
            raise CannotChange(name)


def key_undone(made: Made) -> Iterable[Ask]:
    """Schedule a key's deletion, as CloudFormation does, after 30 days."""
    yield Ask("kms", "ScheduleKeyDeletion", {"KeyId": _key_id(made), "PendingWindowInDays": 30})


def _key_id(made: Made) -> str:
    return str(made.answer.get("KeyMetadata", {}).get("KeyId", ""))


def tag(made: Made, new: Params) -> Iterable[Ask]:
    """Change a tag's values."""
    added, gone = within(made.params["TagValues"], new["TagValues"])
    lists = {"TagValuesToAdd": added, "TagValuesToDelete": gone}
    given = {name: values for name, values in lists.items() if values}
    yield Ask("lakeformation", "UpdateLFTag", {"TagKey": made.params["TagKey"], **given})


def tags_of_resource(made: Made, new: Params) -> Iterable[Ask]:
    """Give a resource other tags."""
    left = {each["TagKey"] for each in new["LFTags"]}
    gone = [each for each in made.params["LFTags"] if each["TagKey"] not in left]
    if gone:
        where = {**new, "LFTags": gone}
        yield Ask("lakeformation", "RemoveLFTagsFromResource", where)
    added = [each for each in new["LFTags"] if each not in made.params["LFTags"]]
    if added:
        yield Ask("lakeformation", "AddLFTagsToResource", {**new, "LFTags": added})


def grant(made: Made, new: Params) -> Iterable[Ask]:
    """Grant what is new and revoke what is gone."""
    passed = "PermissionsWithGrantOption"
    added, gone = within(made.params["Permissions"], new["Permissions"])
    more, less = within(made.params.get(passed, []), new.get(passed, []))
    if added or more:
        # A permission that may be passed on has to be granted as well.
        both = [one for one in new["Permissions"] if one in added or one in more]
        yield Ask("lakeformation", "GrantPermissions", {**new, "Permissions": both, passed: more})
    if gone or less:
        yield Ask(
            "lakeformation", "RevokePermissions", {**made.params, "Permissions": gone, passed: less}
        )


DEFAULT_TOPIC_POLICY = (
    '{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":'
    '"__default_statement_ID","Effect":"Deny","Principal":{"AWS":"*"},"Action":"sns:None",'
    '"Resource":"%s"}]}'
)
"""A policy that says nothing. AWS's default lets the owner's account in, which IAM does anyway."""


def topic_attribute_undone(made: Made) -> Iterable[Ask]:
    """Give a topic the policy that says nothing."""
    params = {**made.params, "AttributeValue": DEFAULT_TOPIC_POLICY % made.params["TopicArn"]}
    yield Ask("sns", "SetTopicAttributes", params)


def queue_attributes_undone(made: Made) -> Iterable[Ask]:
    """Take a queue's policy away."""
    params = {"QueueUrl": made.params["QueueUrl"], "Attributes": {"Policy": ""}}
    yield Ask("sqs", "SetQueueAttributes", params)


def alarm_undone(made: Made) -> Iterable[Ask]:
    """Delete an alarm."""
    yield Ask("cloudwatch", "DeleteAlarms", {"AlarmNames": [made.params["AlarmName"]]})


def dashboard_undone(made: Made) -> Iterable[Ask]:
    """Delete a dashboard."""
    names = {"DashboardNames": [made.params["DashboardName"]]}
    yield Ask("cloudwatch", "DeleteDashboards", names)


FILTER_NAMES = ("TableCatalogId", "DatabaseName", "TableName", "Name")


def filter_undone(made: Made) -> Iterable[Ask]:
    """Delete a filter of columns and rows."""
    data = made.params["TableData"]
    given = {name: data[name] for name in FILTER_NAMES if name in data}
    yield Ask("lakeformation", "DeleteDataCellsFilter", given)


def thing_type_undone(made: Made) -> Iterable[Ask]:
    """Deprecate a thing type and delete it; IoT wants five minutes between the two."""
    which = {"thingTypeName": made.params["thingTypeName"]}
    yield Ask("iot", "DeprecateThingType", which)
    yield Ask("iot", "DeleteThingType", which)
