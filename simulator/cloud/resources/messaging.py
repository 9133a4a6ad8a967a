"""SNS topics and subscriptions, SQS queues, and their policies."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from simulator.cloud.iam import Iam
from simulator.cloud.resources.mapping import Outcome, Properties, Resource, maps
from simulator.cloud.resources.shapes import as_text

_TOPIC_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoTopic",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
_SUBSCRIPTION_ATTRIBUTES = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
)
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)


def _attributes(properties: Properties, names: tuple[str, ...]) -> dict[str, str]:
    """Return string attributes, as both services take them: objects as JSON text."""
    values = {name: properties.take(name) for name in names if name in properties}
    return {name: _attribute(value) for name, value in values.items()}


def _attribute(value: Any) -> str:
    is_json = isinstance(value, dict | list)
    return json.dumps(value, separators=(",", ":")) if is_json else as_text(value)


@maps("AWS::SNS::Topic")
def topic(resource: Resource) -> Outcome:
    """Create a topic and the subscriptions written inside it."""
    properties = resource.properties
    name = resource.name("TopicName", longest=256)
    attributes = _attributes(properties, _TOPIC_ATTRIBUTES)
    inside = [(s.need("Protocol"), s.need("Endpoint")) for s in properties.each("Subscription")]
    answer = resource.call("sns", "CreateTopic", {"Name": name, "Attributes": attributes})
    arn = str(answer["TopicArn"])
    for protocol, endpoint in inside:
        params = {"TopicArn": arn, "Protocol": protocol, "Endpoint": endpoint}
        resource.call("sns", "Subscribe", params)
    return arn, {"TopicArn": arn, "TopicName": name, "Arn": arn}


@maps("AWS::SNS::Subscription")
def subscription(resource: Resource) -> Outcome:
    """Subscribe an endpoint to a topic."""
    properties = resource.properties
    region = properties.take("Region", resource.context.region)
    if region != resource.context.region:
        raise resource.error("Region", f"the twin has one region, not {region}")
    params = {
        "TopicArn": properties.need("TopicArn"),
        "Protocol": properties.need("Protocol"),
        "Endpoint": properties.need("Endpoint"),
        "Attributes": _attributes(properties, _SUBSCRIPTION_ATTRIBUTES),
        "ReturnSubscriptionArn": True,
    }
    arn = str(resource.call("sns", "Subscribe", params)["SubscriptionArn"])
    return arn, {"Arn": arn}


@maps("AWS::SNS::TopicPolicy")
def topic_policy(resource: Resource) -> Outcome:
    """Set the policy of topics in SNS and register it for decisions."""
    document = resource.properties.need("PolicyDocument")
    topics = [str(arn) for arn in resource.properties.need("Topics")]
    for arn in topics:
        resource.call(
            "sns",
            "SetTopicAttributes",
            {"TopicArn": arn, "AttributeName": "Policy", "AttributeValue": json.dumps(document)},
        )
        resource.register(partial(Iam.put_resource_policy, arn=arn, document=document))
    return resource.logical_id, {"Id": resource.logical_id}


@maps("AWS::SQS::Queue")
def queue(resource: Resource) -> Outcome:
    """Create a queue; Ref gives its URL."""
    properties = resource.properties
    name = resource.name("QueueName", longest=80)
    attributes = _attributes(properties, _QUEUE_ATTRIBUTES)
    answer = resource.call("sqs", "CreateQueue", {"QueueName": name, "Attributes": attributes})
    url = str(answer["QueueUrl"])
    return url, {
        "Arn": resource.context.arn("sqs", name),
        "QueueName": name,
        "QueueUrl": url,
    }


@maps("AWS::SQS::QueuePolicy")
def queue_policy(resource: Resource) -> Outcome:
    """Set the policy of queues in SQS and register it for decisions."""
    document = resource.properties.need("PolicyDocument")
    queues = [str(url) for url in resource.properties.need("Queues")]
    for url in queues:
        attributes = {"Policy": json.dumps(document)}
        resource.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": attributes})
        arn = resource.context.arn("sqs", url.rpartition("/")[2])
        resource.register(partial(Iam.put_resource_policy, arn=arn, document=document))
    return resource.logical_id, {"Id": resource.logical_id}
