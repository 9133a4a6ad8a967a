"""SNS topics and subscriptions, SQS queues, and their policies."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from simulator.cloud.iam import Iam
from simulator.cloud.resources.declarations import NAMED, enforced, honoured, stored
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


@maps(
    "AWS::SNS::Topic",
    {
        "TopicName": NAMED,
        "DisplayName": stored("a name for people"),
        "Subscription": honoured("test_sns.test_a_queue_gets_the_notification_in_its_envelope"),
        "SignatureVersion": honoured(
            "test_sns.test_an_http_endpoint_confirms_and_is_asked_again_while_it_fails"
        ),
        "FifoTopic": honoured("test_sns.test_what_the_twin_does_not_do_is_refused_by_name"),
        "ContentBasedDeduplication": honoured(
            "test_sns.test_what_the_twin_does_not_do_is_refused_by_name"
        ),
        "KmsMasterKeyId": stored("messages are kept in memory, without encryption"),
        "TracingConfig": stored("there is no X-Ray here"),
    },
)
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


@maps(
    "AWS::SNS::Subscription",
    {
        "TopicArn": honoured("test_sns.test_a_queue_gets_the_notification_in_its_envelope"),
        "Protocol": honoured("test_sns.test_a_queue_gets_the_notification_in_its_envelope"),
        "Endpoint": honoured("test_sns.test_a_queue_gets_the_notification_in_its_envelope"),
        "RawMessageDelivery": honoured(
            "test_sns.test_a_raw_delivery_is_the_message_and_its_attributes"
        ),
        "FilterPolicy": honoured(
            "test_sns.test_a_filter_policy_decides_by_attributes_or_by_the_body"
        ),
        "FilterPolicyScope": honoured(
            "test_sns.test_a_filter_policy_decides_by_attributes_or_by_the_body"
        ),
        "RedrivePolicy": honoured("test_sns.test_what_a_queue_refuses_is_redriven_at_once"),
        "DeliveryPolicy": honoured("test_sns.test_retries_wait_as_documented"),
        "Region": enforced(
            "test_declared_properties.test_a_subscription_in_another_region_is_refused"
        ),
    },
)
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


@maps(
    "AWS::SNS::TopicPolicy",
    {
        "PolicyDocument": enforced(
            "test_iam.test_a_resource_policy_allows_a_role_of_the_account_by_itself"
        ),
        "Topics": enforced(
            "test_iam.test_a_resource_policy_allows_a_role_of_the_account_by_itself"
        ),
    },
)
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


@maps(
    "AWS::SQS::Queue",
    {
        "QueueName": NAMED,
        "MessageRetentionPeriod": honoured("test_sqs.test_a_message_is_gone_after_its_retention"),
        "VisibilityTimeout": honoured(
            "test_sqs.test_a_received_message_comes_back_after_its_visibility_timeout"
        ),
        "DelaySeconds": honoured("test_sqs.test_a_delay_is_counted_on_the_clock_of_the_run"),
        "ReceiveMessageWaitTimeSeconds": honoured(
            "test_declared_properties.test_a_queue_without_messages_lets_its_reader_wait_as_long_as_it_says"
        ),
        "RedrivePolicy": honoured(
            "test_declared_properties.test_a_queue_redrives_what_is_received_too_often"
        ),
        "MaximumMessageSize": enforced(
            "test_sqs.test_a_message_beyond_the_queues_limit_is_refused"
        ),
        "RedriveAllowPolicy": enforced("test_sqs.test_a_queue_decides_who_has_it_for_dead_letters"),
        "FifoQueue": honoured("test_sqs.test_a_fifo_queue_keeps_order_within_a_group"),
        "ContentBasedDeduplication": honoured(
            "test_sqs.test_the_same_content_is_taken_once_in_five_minutes"
        ),
        "SqsManagedSseEnabled": stored("messages are kept in memory, without encryption"),
        "KmsMasterKeyId": stored("messages are kept in memory, without encryption"),
        "KmsDataKeyReusePeriodSeconds": stored("messages are kept in memory, without encryption"),
    },
)
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


@maps(
    "AWS::SQS::QueuePolicy",
    {
        "PolicyDocument": enforced("test_sqs_queues.test_a_queues_policy_decides_who_may_send"),
        "Queues": enforced("test_sqs_queues.test_a_queues_policy_decides_who_may_send"),
    },
)
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
