"""Examples of SNS: topics, subscriptions, messages."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

sns = Examples("sns")

POLICY = json.dumps({"device_id": ["pump-007", {"prefix": "fan-"}]})
ATTRIBUTES = {"device_id": {"DataType": "String", "StringValue": "pump-007"}}


def topic(w: World) -> dict[str, Any]:
    """Return the ARN of a new topic, as parameters."""
    made = w.do("sns", "CreateTopic", Name=w.new("topic"), Tags=[{"Key": "a", "Value": "b"}])
    return {"TopicArn": made["TopicArn"]}


def _mail(w: World) -> dict[str, Any]:
    address = {"Protocol": "email", "Endpoint": f"{w.new('ops')}@example.com"}
    return {**topic(w), **address, "Attributes": {"FilterPolicy": POLICY}}


def _subscription(w: World) -> dict[str, Any]:
    return {"SubscriptionArn": w.do("sns", "Subscribe", **_mail(w))["SubscriptionArn"]}


def _pending(w: World) -> dict[str, Any]:
    """Return the topic and token of a subscription that waits for its confirmation."""
    named = topic(w)
    w.do("sns", "Subscribe", **named, Protocol="http", Endpoint="http://127.0.0.1:9/closed")
    (found,) = w.cloud.sns._of(named["TopicArn"])
    return {**named, "Token": found.token}


def _tagged(w: World) -> dict[str, Any]:
    return {"ResourceArn": topic(w)["TopicArn"]}


sns.add("CreateTopic", lambda w: {"Name": w.new("topic")}, "TopicArn")
sns.add("DeleteTopic", topic)
sns.add(
    "GetTopicAttributes",
    topic,
    "Attributes.TopicArn Attributes.Owner Attributes.DisplayName"
    " Attributes.SubscriptionsConfirmed Attributes.SubscriptionsPending"
    " Attributes.SubscriptionsDeleted",
)
sns.add(
    "SetTopicAttributes",
    lambda w: {**topic(w), "AttributeName": "DisplayName", "AttributeValue": "Fleet"},
)
sns.add("ListTopics", lambda w: topic(w) and {}, "Topics.TopicArn")
sns.add("Subscribe", _mail, "SubscriptionArn")
sns.add("ConfirmSubscription", _pending, "SubscriptionArn")
sns.add("Unsubscribe", _subscription)
sns.add(
    "GetSubscriptionAttributes",
    _subscription,
    "Attributes.SubscriptionArn Attributes.TopicArn Attributes.Owner Attributes.Protocol"
    " Attributes.Endpoint Attributes.PendingConfirmation Attributes.RawMessageDelivery"
    " Attributes.ConfirmationWasAuthenticated Attributes.FilterPolicy"
    " Attributes.FilterPolicyScope Attributes.SubscriptionPrincipal",
)
sns.add(
    "SetSubscriptionAttributes",
    lambda w: {
        **_subscription(w),
        "AttributeName": "FilterPolicyScope",
        "AttributeValue": "MessageBody",
    },
)
_LISTED = ["SubscriptionArn", "TopicArn", "Owner", "Protocol", "Endpoint"]
_IN_LIST = " ".join(f"Subscriptions.{name}" for name in _LISTED)


def _subscribed(w: World) -> dict[str, Any]:
    params = _mail(w)
    w.do("sns", "Subscribe", **params)
    return {"TopicArn": params["TopicArn"]}


sns.add("ListSubscriptionsByTopic", _subscribed, _IN_LIST)
sns.add("ListSubscriptions", lambda w: _subscribed(w) and {}, _IN_LIST)
sns.add(
    "Publish",
    lambda w: {
        **_subscribed(w),
        "Subject": "Alert",
        "Message": "bearing <worn>",
        "MessageAttributes": ATTRIBUTES,
    },
    "MessageId",
)
sns.add(
    "PublishBatch",
    lambda w: {
        **_subscribed(w),
        "PublishBatchRequestEntries": [
            {"Id": "good", "Message": "m"},
            {"Id": "bad", "Message": "m", "Subject": "two\nlines"},
        ],
    },
    "Successful.Id Successful.MessageId Failed.Id Failed.Code Failed.Message Failed.SenderFault",
)
sns.add("TagResource", lambda w: {**_tagged(w), "Tags": [{"Key": "stage", "Value": "dev"}]})
sns.add("UntagResource", lambda w: {**_tagged(w), "TagKeys": ["a"]})
sns.add("ListTagsForResource", _tagged, "Tags.Key Tags.Value")
