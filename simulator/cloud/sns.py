"""SNS: standard topics whose messages really reach queues, functions, HTTP endpoints and mail.

A subscription of an HTTP endpoint is confirmed by the token that it is sent; one of a mail address
is confirmed at once, because the mailbox is a folder of whoever runs the twin. FIFO topics, SMS,
mobile push and endpoints beyond this machine are refused by name. Sources: SNS API reference and
developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page
from simulator.cloud.sns_delivery import Delivery, timestamp
from simulator.cloud.sns_messages import MAX_BYTES, message_of, size_of
from simulator.cloud.sns_topics import (
    SUBSCRIPTION_ATTRIBUTES,
    Subscription,
    Topic,
    check_endpoint,
    check_topic_attributes,
    check_topic_name,
    invalid,
    tags_of,
)

MAX_BATCH = 10
_PAGE = 100


class Sns:
    """The account's topics and subscriptions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._delivery = Delivery(context)
        self.on_publish: list[Callable[[str, str], None]] = []
        """Told of every message that a topic took: its ARN and the message."""

    def operations(self) -> dict[str, Operation]:
        """Return every operation that runs here, keyed by botocore's name."""
        by_topic: dict[str, Any] = {
            "CreateTopic": self._create,
            "DeleteTopic": self._delete,
            "GetTopicAttributes": self._get_topic,
            "SetTopicAttributes": self._set_topic,
            "Subscribe": self._subscribe,
            "ConfirmSubscription": self._confirm,
            "Unsubscribe": self._unsubscribe,
            "GetSubscriptionAttributes": self._get_subscription,
            "SetSubscriptionAttributes": self._set_subscription,
            "ListSubscriptionsByTopic": self._list_by_topic,
            "Publish": self._publish,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }
        table = {name: Operation(execute, self._topic_arn) for name, execute in by_topic.items()}
        return table | {
            "PublishBatch": Operation(self._publish_batch, self._topic_arn, "sns:Publish"),
            "ListTopics": Operation(self._list_topics),
            "ListSubscriptions": Operation(self._list_subscriptions),
        }

    def idle(self) -> bool:
        """Tell whether every message has had its first attempt at every subscription."""
        return self._delivery.in_flight == 0

    def confirm(self, topic_arn: str, token: str) -> str:
        """Confirm a subscription by its token, as who visits its SubscribeURL; return its ARN."""
        for subscription in self._subscriptions.values():
            if subscription.topic.arn == topic_arn and subscription.token == token != "":
                subscription.token = ""
                return subscription.arn
        raise invalid("Token")

    def _topic_arn(self, params: Params) -> Sequence[str]:
        """Return the topic that is named, by ARN, by name or through one of its subscriptions."""
        if "SubscriptionArn" in params:
            return (params["SubscriptionArn"].rpartition(":")[0],)
        arn = params.get("TopicArn") or params.get("TargetArn") or params.get("ResourceArn")
        return (arn or self._context.arn("sns", params.get("Name", "*")),)

    def _topic(self, params: Params) -> Topic:
        found = self._topics.get(self._topic_arn(params)[0])
        if found is None:
            if "ResourceArn" in params:
                raise AwsError("ResourceNotFound", "Resource does not exist", 404)
            raise AwsError("NotFound", "Topic does not exist", 404)
        return found

    # -- topics

    def _create(self, call: Call) -> Answer:
        params = call.params
        if "DataProtectionPolicy" in params:
            raise NotSupportedByTwin("DataProtectionPolicy of CreateTopic")
        check_topic_name(params["Name"])
        given = {k: str(v) for k, v in params.get("Attributes", {}).items()}
        check_topic_attributes(given)
        arn, tags = self._topic_arn(params)[0], tags_of(params.get("Tags", []))
        found = self._topics.get(arn)
        if found is not None:
            if any(found.attributes.get(name) != value for name, value in given.items()):
                raise invalid("Attributes Reason: Topic already exists with different attributes")
            if tags and tags != found.tags:
                raise invalid("Tags Reason: Topic already exists with different tags")
            return {"TopicArn": arn}
        self._topics[arn] = Topic(arn, given, tags)
        if "Policy" in given:
            self._permit(arn, given["Policy"])
        return {"TopicArn": arn}

    def _permit(self, arn: str, policy: str) -> None:
        try:
            document = json.loads(policy)
        except ValueError:
            raise invalid("Policy Error: null") from None
        self._context.iam.put_resource_policy(arn, document)

    def _delete(self, call: Call) -> Answer:
        arn = call.params["TopicArn"]
        if self._topics.pop(arn, None) is not None:
            self._context.iam.remove_resource_policy(arn)
            for subscription in self._of(arn):
                del self._subscriptions[subscription.arn]
        return {}

    def _of(self, topic_arn: str) -> list[Subscription]:
        return [one for one in self._subscriptions.values() if one.topic.arn == topic_arn]

    def _get_topic(self, call: Call) -> Answer:
        topic = self._topic(call.params)
        pending = sum(bool(one.token) for one in self._of(topic.arn))
        shown = {
            "TopicArn": topic.arn,
            "Owner": self._context.account,
            "DisplayName": "",
            "SubscriptionsConfirmed": str(len(self._of(topic.arn)) - pending),
            "SubscriptionsPending": str(pending),
            "SubscriptionsDeleted": str(topic.deleted_subscriptions),
        }
        return {"Attributes": shown | topic.attributes}

    def _set_topic(self, call: Call) -> Answer:
        topic, name = self._topic(call.params), call.params["AttributeName"]
        value = call.params.get("AttributeValue", "")
        check_topic_attributes({name: value})
        if name == "Policy":
            self._permit(topic.arn, value)
        topic.attributes[name] = value
        return {}

    def _list_topics(self, call: Call) -> Answer:
        return _paged("Topics", [{"TopicArn": arn} for arn in sorted(self._topics)], call.params)

    def _tag(self, call: Call) -> Answer:
        self._topic(call.params).tags.update(tags_of(call.params["Tags"]))
        return {}

    def _untag(self, call: Call) -> Answer:
        topic = self._topic(call.params)
        for key in call.params["TagKeys"]:
            topic.tags.pop(key, None)
        return {}

    def _list_tags(self, call: Call) -> Answer:
        tags = self._topic(call.params).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    # -- subscriptions

    def _subscription(self, params: Params) -> Subscription:
        found = self._subscriptions.get(params["SubscriptionArn"])
        if found is None:
            raise AwsError("NotFound", "Subscription does not exist", 404)
        return found

    def _subscribe(self, call: Call) -> Answer:
        params, protocol = call.params, call.params["Protocol"]
        topic, endpoint = self._topic(params), params.get("Endpoint", "")
        check_endpoint(protocol, endpoint)
        given = {k: str(v) for k, v in params.get("Attributes", {}).items()}
        for name in given:
            if name not in SUBSCRIPTION_ATTRIBUTES:
                raise invalid(f"Attributes Reason: Unknown attribute {name}")
        for old in self._of(topic.arn):
            if (old.protocol, old.endpoint) == (protocol, endpoint):
                if any(old.shown().get(name) != value for name, value in given.items()):
                    raise invalid(
                        "Attributes Reason: Subscription already exists with different attributes"
                    )
                return self._subscribed(old, params)
        arn = f"{topic.arn}:{self._context.engine.new_id()}"
        made = Subscription(arn, topic, protocol, endpoint, call.principal.arn)
        made.set(given, "Attributes Reason: ")
        self._subscriptions[arn] = made
        if protocol in ("http", "https"):
            made.token = self._context.engine.new_id().replace("-", "") * 4
            url = f"{self._context.gateway_url}/_fleetwin/confirm"
            url += f"?TopicArn={topic.arn}&Token={made.token}"
            self._delivery.invite(made, made.token, url)
        elif protocol in ("email", "email-json"):
            self._delivery.mail_confirmation(made)
        return self._subscribed(made, params)

    def _subscribed(self, subscription: Subscription, params: Params) -> Answer:
        is_shown = not subscription.token or params.get("ReturnSubscriptionArn")
        return {"SubscriptionArn": subscription.arn if is_shown else "pending confirmation"}

    def _confirm(self, call: Call) -> Answer:
        self._topic(call.params)
        return {"SubscriptionArn": self.confirm(call.params["TopicArn"], call.params["Token"])}

    def _unsubscribe(self, call: Call) -> Answer:
        found = self._subscriptions.pop(call.params["SubscriptionArn"], None)
        if found is not None:
            found.topic.deleted_subscriptions += 1
        return {}

    def _get_subscription(self, call: Call) -> Answer:
        return {"Attributes": self._subscription(call.params).shown()}

    def _set_subscription(self, call: Call) -> Answer:
        name = call.params["AttributeName"]
        if name not in SUBSCRIPTION_ATTRIBUTES:
            raise invalid("AttributeName")
        self._subscription(call.params).set({name: call.params.get("AttributeValue", "")})
        return {}

    def _list_by_topic(self, call: Call) -> Answer:
        found = self._of(self._topic(call.params).arn)
        return _paged("Subscriptions", [one.listed() for one in found], call.params)

    def _list_subscriptions(self, call: Call) -> Answer:
        found = list(self._subscriptions.values())
        return _paged("Subscriptions", [one.listed() for one in found], call.params)

    # -- messages

    def _publish(self, call: Call) -> Answer:
        params = call.params
        if "PhoneNumber" in params:
            raise NotSupportedByTwin("sns:Publish to a phone number")
        if "TopicArn" not in params and "TargetArn" not in params:
            raise invalid("TopicArn or TargetArn Reason: no value for required parameter")
        return {"MessageId": self._take(self._topic(params), params)}

    def _take(self, topic: Topic, params: Params) -> str:
        """Check a message, start its deliveries, return its id."""
        context = self._context
        message_id = context.engine.new_id()
        message = message_of(params, topic.arn, message_id, timestamp(context))
        self._count("NumberOfMessagesPublished", topic, 1.0, "Count")
        self._count("PublishSize", topic, float(size_of(params)), "Bytes")
        for listener in self.on_publish:
            listener(topic.arn, message.text)
        for subscription in self._of(topic.arn):
            if subscription.token:
                continue
            if subscription.takes(message):
                self._delivery.start(subscription, message)
            else:
                self._count("NumberOfNotificationsFilteredOut", topic, 1.0, "Count")
        return message_id

    def _publish_batch(self, call: Call) -> Answer:
        entries = call.params["PublishBatchRequestEntries"]
        topic = self._topic(call.params)
        _check_batch(entries)
        successful: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for entry in entries:
            try:
                successful.append({"Id": entry["Id"], "MessageId": self._take(topic, entry)})
            except NotSupportedByTwin:
                raise
            except AwsError as error:
                said = {"Code": error.code, "Message": error.message, "SenderFault": True}
                failed.append({"Id": entry["Id"], **said})
        return {"Successful": successful, "Failed": failed}

    def _count(self, name: str, topic: Topic, value: float, unit: str) -> None:
        dimensions = {"TopicName": topic.name}
        self._context.cloudwatch.record("AWS/SNS", name, dimensions, value, unit)


def _check_batch(entries: Sequence[Params]) -> None:
    """Raise for a batch that is refused whole; the texts but that of size are from memory."""
    if not entries:
        raise AwsError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > MAX_BATCH:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        )
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise AwsError(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        )
    if sum(map(size_of, entries)) > MAX_BYTES:
        raise AwsError(
            "BatchRequestTooLong",
            "The length of all the messages put together is more than the limit.",
        )


def _paged(name: str, items: Sequence[dict[str, str]], params: Params) -> Answer:
    shown, token = page(items, _PAGE, params.get("NextToken"), "InvalidParameter")
    return {name: shown, **({"NextToken": token} if token else {})}
