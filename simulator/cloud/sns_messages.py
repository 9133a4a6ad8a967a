"""A message of a topic: what Publish checks, and the forms in which it is delivered.

Source: SNS API reference (Publish) and developer guide, "HTTP/HTTPS notification JSON format".
The ``Signature`` is the digest of what AWS would sign: nobody but AWS has the key of AWS's
certificate, so a receiver that verifies signatures must not in the twin.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin

MAX_BYTES = 262_144
MAX_SUBJECT = 100
MAX_RAW_ATTRIBUTES = 10
"""Of a raw message to SQS: SQS takes no more (developer guide, "Raw message delivery")."""

_ATTRIBUTE_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_\-.]{1,256}(?<!\.)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SUBJECT = re.compile(r"[!-~][ -~]*")


@dataclass(frozen=True)
class Message:
    """One published message. ``text`` is what one protocol gets, ``at`` an ISO time in UTC."""

    message_id: str
    topic_arn: str
    text: str
    at: str
    subject: str | None
    attributes: Mapping[str, Mapping[str, Any]]
    by_protocol: Mapping[str, str] | None = None

    def for_protocol(self, protocol: str) -> Message:
        """Return the message with the text that a protocol gets (MessageStructure json)."""
        if self.by_protocol is None:
            return self
        return replace(self, text=self.by_protocol.get(protocol, self.by_protocol["default"]))

    def envelope(self, subscription_arn: str, base_url: str) -> dict[str, Any]:
        """Return the notification as JSON members, in AWS's order."""
        members: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": self.message_id,
            "TopicArn": self.topic_arn,
            **({"Subject": self.subject} if self.subject else {}),
            "Message": self.text,
            "Timestamp": self.at,
            "SignatureVersion": "1",
            "Signature": _signature(self),
            "SigningCertURL": f"{base_url}/SimpleNotificationService-twin.pem",
            "UnsubscribeURL": f"{base_url}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}",
        }
        if self.attributes:
            members["MessageAttributes"] = {
                name: {"Type": given["DataType"], "Value": _text(given)}
                for name, given in self.attributes.items()
            }
        return members

    def lambda_event(self, subscription_arn: str, base_url: str) -> dict[str, Any]:
        """Return the event that a function gets."""
        members = self.envelope(subscription_arn, base_url)
        for name in ("SigningCertURL", "UnsubscribeURL"):
            members[name.replace("URL", "Url")] = members.pop(name)
        sns = {"Subject": None, "MessageAttributes": {}, **members}
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "Sns": sns,
        }
        return {"Records": [record]}


def _text(given: Mapping[str, Any]) -> str:
    if "BinaryValue" in given:
        return base64.b64encode(given["BinaryValue"]).decode()
    return str(given["StringValue"])


def _signature(message: Message) -> str:
    parts = ["Message", message.text, "MessageId", message.message_id]
    parts += ["Subject", message.subject] if message.subject else []
    parts += ["Timestamp", message.at, "TopicArn", message.topic_arn, "Type", "Notification"]
    return base64.b64encode(hashlib.sha256("\n".join([*parts, ""]).encode()).digest()).decode()


def size_of(params: Mapping[str, Any]) -> int:
    """Return the bytes of a message and its attributes, which count towards MAX_BYTES."""
    size = len(params["Message"].encode())
    for name, given in params.get("MessageAttributes", {}).items():
        value = given.get("BinaryValue", b"") or given.get("StringValue", "").encode()
        size += len(name.encode()) + len(given["DataType"].encode()) + len(value)
    return size


def message_of(params: Mapping[str, Any], topic_arn: str, message_id: str, at: str) -> Message:
    """Return a message from the parameters of Publish; raises InvalidParameter."""
    text = params["Message"]
    if not text:
        raise _invalid("Empty message")
    if size_of(params) > MAX_BYTES:
        raise _invalid("Message too long")
    if "MessageDeduplicationId" in params:
        raise _invalid(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter "
            "that is not valid for this topic type"
        )
    if "MessageGroupId" in params:
        raise NotSupportedByTwin("sns:Publish with MessageGroupId (fair queues)")
    subject = params.get("Subject")
    if subject is not None and (len(subject) > MAX_SUBJECT or _SUBJECT.fullmatch(subject) is None):
        raise _invalid("Subject")
    attributes = params.get("MessageAttributes", {})
    for name, given in attributes.items():
        _check_attribute(name, given)
    structure = params.get("MessageStructure")
    by_protocol = _by_protocol(text) if structure == "json" else None
    if structure not in (None, "json"):
        raise _invalid("MessageStructure")
    return Message(message_id, topic_arn, text, at, subject, attributes, by_protocol)


def _by_protocol(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _invalid("Message Structure - JSON message body failed to parse")
    if not isinstance(found.get("default"), str):
        raise _invalid("Message Structure - No default entry in JSON message body")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _check_attribute(name: str, given: Mapping[str, Any]) -> None:
    prefix = "MessageAttributes Reason: The message attribute"
    if _ATTRIBUTE_NAME.fullmatch(name) is None or name.lower().startswith(("aws.", "amazon.")):
        raise _invalid(f"{prefix} name '{name}' is invalid.")
    kind = given["DataType"]
    if kind.split(".")[0] not in ("String", "Number", "Binary"):
        raise _invalid(
            f"{prefix} '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    if not given.get("StringValue") and not given.get("BinaryValue"):
        raise _invalid(
            f"{prefix} '{name}' must contain non-empty message attribute value for message "
            f"attribute type '{kind}'."
        )
    if kind.startswith("Number") and _NUMBER.fullmatch(given["StringValue"]) is None:
        raise _invalid(
            f"{prefix} '{name}' with type '{kind}' must use field 'StringValue' that holds a "
            "number."
        )


def _invalid(why: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: {why}")
