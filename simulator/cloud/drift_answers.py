"""How each resource type is asked for, and what it answers, spelt as a template spells it.

Used by `simulator.cloud.drift`. An answer may have more than a template asks for; names may
differ in the case of their letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from simulator.cloud.errors import AwsError

Values = dict[str, Any]
Ask = Callable[..., dict[str, Any]]
"""Does one operation: ``ask(service, operation, **params)``."""

Answers = Callable[[Ask, str, Values], Values]
"""(ask, physical id, properties asked for) -> what there is."""


def one(service: str, operation: str, parameter: str, *below: str | int, **names: str) -> Answers:
    """Return what asks an operation for a physical id and takes the answer's inside.

    ``names``: a property, and what the answer calls it.
    """

    def answers(ask: Ask, physical_id: str, values: Values) -> Values:
        asked = [physical_id] if parameter.endswith("Names") else physical_id
        found: Any = ask(service, operation, **{parameter: asked})
        for name in below:
            found = only(found) if name == 0 else found[name]
        return {**found, **{name: found.get(theirs) for name, theirs in names.items()}}

    return answers


def only(found: Iterable[Any]) -> Any:
    """Return the one that was listed; raises AwsError where somebody has deleted it."""
    for each in found:
        return each
    raise AwsError("ResourceNotFound", "It is not there any more.")


def _or_nothing(ask: Ask, service: str, operation: str, member: str, **params: Any) -> Any:
    """Return a setting, None where it is not set."""
    try:
        return ask(service, operation, **params).get(member)
    except AwsError:
        return None


# -- storage


def bucket(ask: Ask, name: str, values: Values) -> Values:
    """Return a bucket's settings, spelt as CloudFormation spells them."""

    def setting(what: str, member: str) -> Any:
        return _or_nothing(ask, "s3", f"Get{what}", member, Bucket=name)

    rules = setting("BucketLifecycleConfiguration", "Rules") or []
    told = ask("s3", "GetBucketNotificationConfiguration", Bucket=name)
    encryption = setting("BucketEncryption", "ServerSideEncryptionConfiguration") or {}
    logs = setting("BucketLogging", "LoggingEnabled") or {}
    return {
        "BucketName": name,
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": r["ApplyServerSideEncryptionByDefault"], **r}
                for r in encryption.get("Rules", [])
            ]
        },
        "LifecycleConfiguration": {"Rules": [_lifecycle(each) for each in rules]},
        "LoggingConfiguration": {
            "DestinationBucketName": logs.get("TargetBucket"),
            "LogFilePrefix": logs.get("TargetPrefix"),
        },
        "OwnershipControls": setting("BucketOwnershipControls", "OwnershipControls"),
        "PublicAccessBlockConfiguration": setting(
            "PublicAccessBlock", "PublicAccessBlockConfiguration"
        ),
        "VersioningConfiguration": {"Status": setting("BucketVersioning", "Status")},
        "NotificationConfiguration": {
            **told,
            "EventBridgeConfiguration": {"EventBridgeEnabled": "EventBridgeConfiguration" in told},
        },
    }


def _lifecycle(rule: Mapping[str, Any]) -> Values:
    expiration, kept = rule.get("Expiration", {}), rule.get("NoncurrentVersionExpiration", {})
    moves = [{**t, "TransitionInDays": t.get("Days")} for t in rule.get("Transitions", [])]
    return {
        **rule,
        **rule.get("Filter", {}),
        "ExpirationInDays": expiration.get("Days"),
        "ExpirationDate": expiration.get("Date"),
        "ExpiredObjectDeleteMarker": expiration.get("ExpiredObjectDeleteMarker"),
        "NoncurrentVersionExpirationInDays": kept.get("NoncurrentDays"),
        "Transitions": moves,
        "Transition": moves[0] if moves else None,
    }


def table(ask: Ask, name: str, values: Values) -> Values:
    """Return a table with its time to live and its backups."""
    found = dict(ask("dynamodb", "DescribeTable", TableName=name)["Table"])
    ttl = ask("dynamodb", "DescribeTimeToLive", TableName=name)["TimeToLiveDescription"]
    backups = ask("dynamodb", "DescribeContinuousBackups", TableName=name)
    point = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    encryption = found.get("SSEDescription", {})
    return {
        **found,
        "BillingMode": found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "PointInTimeRecoverySpecification": {
            **point,
            "PointInTimeRecoveryEnabled": point["PointInTimeRecoveryStatus"] == "ENABLED",
        },
        "SSESpecification": {
            "SSEEnabled": encryption.get("Status") == "ENABLED",
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": _as_asked(
                values.get("SSESpecification", {}).get("KMSMasterKeyId"),
                encryption.get("KMSMasterKeyArn"),
            ),
        },
        "TimeToLiveSpecification": {
            **ttl,
            "Enabled": ttl["TimeToLiveStatus"] in ("ENABLING", "ENABLED"),
        },
    }


def _as_asked(wanted: Any, arn: str | None) -> Any:
    """Return what was asked for where an ARN is of it."""
    return wanted if arn is not None and wanted and arn.endswith(str(wanted)) else arn


def stream(ask: Ask, name: str, values: Values) -> Values:
    """Return a stream's summary."""
    answer = ask("kinesis", "DescribeStreamSummary", StreamName=name)
    found = answer["StreamDescriptionSummary"]
    encryption = {name: found.get(name) for name in ("EncryptionType", "KeyId")}
    more = {"Name": name, "ShardCount": found["OpenShardCount"], "StreamEncryption": encryption}
    return {**found, **more}


# -- policies as text


def policy_of(
    service: str, operation: str, parameter: str, *below: str, where: str = "Bucket"
) -> Answers:
    """Return what asks each of a policy's resources (``where``) for the policy that it has."""

    def answers(ask: Ask, physical_id: str, values: Values) -> Values:
        given = values[where]
        names = given if isinstance(given, list) else [given]
        more = {"AttributeNames": ["All"]} if service == "sqs" else {}
        documents = []
        for name in names:
            found: Any = ask(service, operation, **{parameter: name, **more})
            for member in below:
                found = found.get(member, {})
            documents.append(json.loads(found) if found else {})
        wanted = values["PolicyDocument"]
        unlike = [document for document in documents if document != wanted]
        return {where: given, "PolicyDocument": unlike[0] if unlike else wanted}

    return answers


def key(ask: Ask, key_id: str, values: Values) -> Values:
    """Return a key with its policy and whether it rotates."""
    found = ask("kms", "DescribeKey", KeyId=key_id)["KeyMetadata"]
    policy = ask("kms", "GetKeyPolicy", KeyId=key_id, PolicyName="default")["Policy"]
    rotates = ask("kms", "GetKeyRotationStatus", KeyId=key_id)["KeyRotationEnabled"]
    return {**found, "KeyPolicy": json.loads(policy), "EnableKeyRotation": rotates}


def alias(ask: Ask, name: str, values: Values) -> Values:
    """Return an alias."""
    found = only(a for a in ask("kms", "ListAliases")["Aliases"] if a["AliasName"] == name)
    wanted = str(values.get("TargetKeyId", "")).rpartition("/")[2]
    same = found["TargetKeyId"] == wanted
    return {**found, "TargetKeyId": values["TargetKeyId"] if same else found["TargetKeyId"]}


# -- messages


def topic(ask: Ask, arn: str, values: Values) -> Values:
    """Return a topic's attributes."""
    found = ask("sns", "GetTopicAttributes", TopicArn=arn)["Attributes"]
    return {"FifoTopic": "false", **found, "TopicName": arn.rpartition(":")[2]}


def subscription(ask: Ask, arn: str, values: Values) -> Values:
    """Return a subscription's attributes, objects where the template has objects."""
    found = ask("sns", "GetSubscriptionAttributes", SubscriptionArn=arn)["Attributes"]
    region = str(found["TopicArn"]).split(":")[3]
    return _as_objects({**found, "Region": region}, values)


def queue(ask: Ask, url: str, values: Values) -> Values:
    """Return a queue's attributes."""
    found = ask("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return _as_objects({**found, "QueueName": url.rpartition("/")[2]}, values)


def _as_objects(found: Values, values: Values) -> Values:
    return {
        name: json.loads(value) if isinstance(values.get(name), dict) else value
        for name, value in found.items()
    }


# -- functions and workflows


def function(ask: Ask, name: str, values: Values) -> Values:
    """Return a function's configuration."""
    found = ask("lambda", "GetFunctionConfiguration", FunctionName=name)
    concurrency = _or_nothing(
        ask,
        "lambda",
        "GetFunctionConcurrency",
        "ReservedConcurrentExecutions",
        FunctionName=name,
    )
    return {**found, "ReservedConcurrentExecutions": concurrency}


def event_source_mapping(ask: Ask, uuid: str, values: Values) -> Values:
    """Return a mapping; a function may be named by its name or its ARN."""
    found = ask("lambda", "GetEventSourceMapping", UUID=uuid)
    named = str(values.get("FunctionName", "")).rpartition(":")[2]
    arn = found["FunctionArn"]
    same = arn.rpartition(":")[2] == named
    on = found["State"] in ("Creating", "Enabling", "Enabled", "Updating")
    return {**found, "FunctionName": values["FunctionName"] if same else arn, "Enabled": on}


def permission(ask: Ask, sid: str, values: Values) -> Values:
    """Return what a statement of a function's policy says."""
    given = str(values["FunctionName"])
    policy = json.loads(ask("lambda", "GetPolicy", FunctionName=given)["Policy"])
    found = only(s for s in policy["Statement"] if s["Sid"] == sid)
    principal = found["Principal"]
    condition = found.get("Condition", {})
    return {
        "FunctionName": given,
        "Action": found["Action"],
        "Principal": next(iter(principal.values())) if isinstance(principal, dict) else principal,
        "SourceArn": condition.get("ArnLike", {}).get("AWS:SourceArn"),
        "SourceAccount": condition.get("StringEquals", {}).get("AWS:SourceAccount"),
    }


def state_machine(ask: Ask, arn: str, values: Values) -> Values:
    """Return a state machine, its definition before what the template fills into it."""
    found = ask("stepfunctions", "DescribeStateMachine", stateMachineArn=arn)
    given, text = values.get("DefinitionSubstitutions", {}), found["definition"]
    body = json.dumps(values.get("Definition"))
    found |= {"StateMachineName": found["name"], "StateMachineType": found["type"]}
    wanted = values.get("DefinitionString")
    as_text = wanted if wanted is not None and _filled(wanted, given) == text else text
    as_object = values.get("Definition") if _filled(body, given) == text else text
    return {**found, "DefinitionString": as_text, "Definition": as_object}


def _filled(text: str, given: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        return json.dumps(str(given.get(match[1], match[0])))[1:-1]

    return re.sub(r"\$\{([A-Za-z0-9_]+)\}", value, text)


# -- rules


def rule(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return a rule of EventBridge with its targets, in the template's order."""
    name = physical_id
    found = ask("events", "DescribeRule", Name=name)
    if "EventPattern" in found:
        found["EventPattern"] = json.loads(found["EventPattern"])
    targets = {
        each["Id"]: each for each in ask("events", "ListTargetsByRule", Rule=name)["Targets"]
    }
    asked = [each["Id"] for each in values.get("Targets", [])]
    order = [*asked, *(each for each in targets if each not in asked)]
    return {**found, "Targets": [targets.get(each) for each in order]}


def topic_rule(ask: Ask, name: str, values: Values) -> Values:
    """Return a topic rule."""
    found = ask("iot", "GetTopicRule", ruleName=name)["rule"]
    return {**found, "TopicRulePayload": found}


def iot_policy(ask: Ask, name: str, values: Values) -> Values:
    """Return an IoT policy, its default version."""
    found = ask("iot", "GetPolicy", policyName=name)
    text = found["policyDocument"]
    is_text = isinstance(values.get("PolicyDocument"), str)
    return {**found, "PolicyDocument": text if is_text else json.loads(text)}


def thing(ask: Ask, name: str, values: Values) -> Values:
    """Return a thing."""
    found = ask("iot", "DescribeThing", thingName=name)
    return {**found, "AttributePayload": {"Attributes": found.get("attributes", {})}}


def thing_type(ask: Ask, name: str, values: Values) -> Values:
    """Return a thing type."""
    found = ask("iot", "DescribeThingType", thingTypeName=name)
    return {**found, "DeprecateThingType": found["thingTypeMetadata"]["deprecated"]}


def policy_attachment(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return what is attached to a certificate."""
    found = ask("iot", "ListAttachedPolicies", target=values["Principal"])["policies"]
    there = values["PolicyName"] in [each["policyName"] for each in found]
    return values if there else {}


def thing_attachment(ask: Ask, physical_id: str, values: Values) -> Values:
    """Return the things of a certificate."""
    found = ask("iot", "ListPrincipalThings", principal=values["Principal"])["things"]
    return values if values["ThingName"] in found else {}
