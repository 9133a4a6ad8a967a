"""What a message may hold, its digests, and what of it is handed out.

Limits and the digest of attributes: SendMessage and "message metadata" in the SQS developer guide.
Used by `simulator.cloud.sqs_messages`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any

from simulator.cloud.sqs_errors import invalid, missing, plain

MOST_ATTRIBUTES = 10
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!.*\.\Z)[A-Za-z0-9_.-]{1,256}\Z")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?\Z")


def md5_of(data: bytes) -> str:
    """Return the digest that SQS gives back, in hexadecimal."""
    return md5(data, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the digest of message attributes: by name, each part with its length before it."""
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        kind, value = attributes[name]["DataType"], _value(attributes[name])
        for part in (name.encode(), kind.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        transport = b"\x02" if kind.startswith("Binary") else b"\x01"
        digest.update(transport + len(value).to_bytes(4, "big") + value)
    return digest.hexdigest()


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes that count against the limit: the body, and attributes in all parts."""
    size = len(body) if body.isascii() else len(body.encode())
    for name, each in attributes.items():
        size += len(name.encode()) + len(each["DataType"].encode()) + len(_value(each))
    return size


def check_body(body: str) -> None:
    """Raise MissingParameter for an empty body, InvalidMessageContents for what XML cannot hold."""
    if not body:
        raise missing("MessageBody")
    found = _FORBIDDEN.search(body)
    if found:
        raise plain(
            "InvalidMessageContents",
            f"Invalid binary character '#x{ord(found[0]):X}' was found in the message body, the "
            "set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
            "#x10000 to #x10FFFF",
        )


def check_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise InvalidParameterValue for attributes that a message cannot have."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum "
            f"[{MOST_ATTRIBUTES}]."
        )
    for name, each in attributes.items():
        kind = each["DataType"]
        if not _ATTRIBUTE_NAME.match(name) or name.lower().startswith(("aws.", "amazon.")):
            raise invalid(f"Message (user) attribute name '{name}' is not valid.")
        if not _TYPE.match(kind):
            raise invalid(
                f"The type of message (user) attribute '{name}' is invalid. You must use only the "
                "following supported type prefixes: Binary, Number, String."
            )
        if not _value(each):
            raise invalid(
                f"Message (user) attribute '{name}' must contain a non-empty value of type "
                f"'{kind.partition('.')[0]}'."
            )
        if kind.startswith("Number"):
            _check_number(name, each["StringValue"])


def _check_number(name: str, text: str) -> None:
    try:
        float(text)
    except ValueError:
        raise invalid(
            f"Can't cast the value of message (user) attribute '{name}' to a number."
        ) from None


def _value(attribute: Mapping[str, Any]) -> bytes:
    if attribute["DataType"].startswith("Binary"):
        return bytes(attribute.get("BinaryValue", b""))
    return str(attribute.get("StringValue", "")).encode()


def wanted_attributes(
    attributes: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Return the attributes that a receiver asked for: all, by name, or by ``prefix.*``."""
    if not attributes or not names:
        return {}
    if "All" in names or ".*" in names:
        return dict(attributes)
    prefixes = tuple(name.removesuffix("*") for name in names if name.endswith(".*"))
    return {
        name: each
        for name, each in attributes.items()
        if name in names or (prefixes and name.startswith(prefixes))
    }
