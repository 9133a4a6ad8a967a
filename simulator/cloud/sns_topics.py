"""Topics and subscriptions as they are kept, and the checks of their attributes.

`sns.py` has the operations on them, `sns_delivery.py` delivers. Only standard topics: FIFO is
refused by name. Texts of refusals are recorded where they name an attribute's value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.json_patterns import Wants
from simulator.cloud.sns_filters import ATTRIBUTES, BODY, attribute_values, compile_policy
from simulator.cloud.sns_messages import Message
from simulator.cloud.sns_retries import check_policy

PROTOCOLS = ("sqs", "lambda", "http", "https", "email", "email-json")
TOPIC_ATTRIBUTES = frozenset(
    {"DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "Policy", "SignatureVersion"}
    | {"TracingConfig"}
)
SUBSCRIPTION_ATTRIBUTES = frozenset(
    {"DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"}
)
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_\-]{1,256}")
_MAIL = re.compile(r"[^@\s/\\]+@[^@\s/\\]+")


@dataclass
class Topic:
    """A topic; ``attributes`` are those that were set."""

    arn: str
    attributes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    deleted_subscriptions: int = 0

    @property
    def name(self) -> str:
        """Return the last part of the ARN."""
        return self.arn.rpartition(":")[2]


@dataclass
class Subscription:
    """A subscription; without ``token`` it is confirmed."""

    arn: str
    topic: Topic
    protocol: str
    endpoint: str
    principal: str
    attributes: dict[str, str] = field(default_factory=dict)
    token: str = ""
    wants: Wants | None = None

    @property
    def is_raw(self) -> bool:
        """Tell whether the message is delivered as it is, without an envelope."""
        return self.attributes.get("RawMessageDelivery") == "true"

    @property
    def dead_letter_arn(self) -> str | None:
        """Return the queue for what cannot be delivered, if there is one."""
        text = self.attributes.get("RedrivePolicy")
        return json.loads(text).get("deadLetterTargetArn") if text else None

    def takes(self, message: Message) -> bool:
        """Tell whether the filter policy, if any, lets a message pass.

        A message without attributes passes no policy about them, ``{"exists": false}`` neither
        (developer guide, "Key matching"; for null recorded on AWS).
        """
        if self.wants is None:
            return True
        if self.attributes.get("FilterPolicyScope", ATTRIBUTES) == ATTRIBUTES:
            values = attribute_values(message.attributes)
            return bool(message.attributes) and self.wants(values)
        try:
            body = json.loads(message.text)
        except ValueError:
            return False
        return isinstance(body, dict) and self.wants(body)

    def set(self, changes: Mapping[str, str], prefix: str = "") -> None:
        """Set attributes, all or none; raises InvalidParameter. An empty policy removes it."""
        after = {**self.attributes, **changes}
        for name in ("FilterPolicy", "RedrivePolicy", "DeliveryPolicy"):
            if after.get(name) in ("", "{}"):
                del after[name]
        self.wants = wanted_by(after, self.protocol, prefix)
        self.attributes = after

    def listed(self) -> dict[str, str]:
        """Return the entry of ListSubscriptions."""
        return {
            "SubscriptionArn": "PendingConfirmation" if self.token else self.arn,
            "Owner": self.topic.arn.split(":")[4],
            "Protocol": self.protocol,
            "Endpoint": self.endpoint,
            "TopicArn": self.topic.arn,
        }

    def shown(self) -> dict[str, str]:
        """Return the attributes of GetSubscriptionAttributes."""
        scope = {"FilterPolicyScope": ATTRIBUTES} if "FilterPolicy" in self.attributes else {}
        return {
            **self.listed(),
            "SubscriptionArn": self.arn,
            "SubscriptionPrincipal": self.principal,
            "PendingConfirmation": "true" if self.token else "false",
            "ConfirmationWasAuthenticated": "false" if self.token else "true",
            "RawMessageDelivery": "false",
            **scope,
            **self.attributes,
        }


def wanted_by(attributes: Mapping[str, str], protocol: str, prefix: str = "") -> Wants | None:
    """Return which messages a subscription of these attributes wants, None for all.

    Raises InvalidParameter for each attribute that is wrong.
    """
    scope = attributes.get("FilterPolicyScope", ATTRIBUTES)
    if scope not in (ATTRIBUTES, BODY):
        raise invalid(
            f"{prefix}FilterPolicyScope: Invalid value [{scope}]. Please use either "
            "MessageBody or MessageAttributes"
        )
    _check_raw(attributes.get("RawMessageDelivery", "false"), protocol, prefix)
    _check_redrive(attributes.get("RedrivePolicy"), prefix)
    if "DeliveryPolicy" in attributes:
        check_policy(attributes["DeliveryPolicy"], protocol, prefix)
    policy = attributes.get("FilterPolicy")
    return compile_policy(policy, scope, prefix) if policy else None


def invalid(why: str) -> AwsError:
    """Return the refusal of a parameter."""
    return AwsError("InvalidParameter", f"Invalid parameter: {why}")


def check_topic_name(name: str) -> None:
    """Raise for a name that no standard topic has."""
    if name.endswith(".fifo"):
        raise NotSupportedByTwin("FIFO topics of SNS")
    if _TOPIC_NAME.fullmatch(name) is None:
        raise invalid("Topic Name")


def check_topic_attributes(attributes: Mapping[str, str]) -> None:
    """Raise for attributes that a standard topic does not take."""
    for name, value in attributes.items():
        if name in ("FifoTopic", "ContentBasedDeduplication") and value == "false":
            continue
        if name in ("FifoTopic", "ContentBasedDeduplication", "FifoThroughputScope"):
            raise NotSupportedByTwin("FIFO topics of SNS")
        if name in ("ArchivePolicy", "DataProtectionPolicy") or "Feedback" in name:
            raise NotSupportedByTwin(f"the attribute {name} of a topic")
        if name not in TOPIC_ATTRIBUTES:
            raise invalid("AttributeName")
        if name == "DeliveryPolicy" and value:
            check_policy(value, "http", "")


def check_endpoint(protocol: str, endpoint: str) -> None:
    """Raise for an endpoint that does not fit its protocol, or that is not on this machine."""
    if protocol not in PROTOCOLS:
        raise NotSupportedByTwin(f"sns:Subscribe with the protocol {protocol}")
    if protocol in ("sqs", "lambda"):
        parts = endpoint.split(":")
        if parts[:1] != ["arn"] or parts[2:3] != [protocol] or len(parts) < 6:
            raise invalid(f"{'SQS' if protocol == 'sqs' else 'Lambda'} endpoint ARN")
        if endpoint.endswith(".fifo"):
            raise invalid(
                "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
                "standard SNS topics"
            )
    elif protocol in ("email", "email-json"):
        if _MAIL.fullmatch(endpoint) is None:
            raise invalid("Email address")
    else:
        target = urlsplit(endpoint)
        if target.scheme != protocol or not target.hostname:
            raise invalid("Endpoint must match the specified protocol")
        if not _is_loopback(target.hostname):
            raise NotSupportedByTwin(
                f"sns:Subscribe with {target.hostname}: an endpoint that is not on this machine"
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_raw(value: str, protocol: str, prefix: str) -> None:
    if value not in ("true", "false"):
        raise invalid(
            f"{prefix}RawMessageDelivery: Invalid value [{value}]. Must be true or false."
        )
    if value == "true" and protocol not in ("sqs", "http", "https"):
        raise invalid(
            f"{prefix}Delivery protocol [{protocol}] does not support raw message delivery."
        )


def _check_redrive(text: str | None, prefix: str) -> None:
    if text is None:
        return
    try:
        arn = json.loads(text)["deadLetterTargetArn"]
    except (ValueError, KeyError, TypeError):
        raise invalid(f"{prefix}RedrivePolicy: failed to parse JSON.") from None
    if not isinstance(arn, str) or arn.split(":")[2:3] != ["sqs"]:
        raise invalid(f"{prefix}RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if arn.endswith(".fifo"):
        raise invalid(f"{prefix}RedrivePolicy: must use a standard queue as dead-letter queue")


def tags_of(given: Any) -> dict[str, str]:
    """Return tags as a map."""
    return {tag["Key"]: tag["Value"] for tag in given}
