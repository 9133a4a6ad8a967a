"""Attribute values of DynamoDB: checks, sizes, comparison, arithmetic.

Values are in boto3's low-level form, one type letter to a content: ``{"N": "1.5"}``,
``{"B": b"..."}``. Rules: DynamoDB developer guide, "Supported data types" and "Item sizes".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from simulator.cloud.errors import ValidationError

Value = dict[str, Any]
Item = Mapping[str, Value]

_CANONICAL_NUMBER = re.compile(r"-?(?:[1-9]\d{0,18}|0)(?:\.\d{0,18}[1-9])?")
_ORDER = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MAX_DIGITS = 38
_EXACT = Context(prec=MAX_DIGITS)


def number(text: str) -> Decimal:
    """Return the number of an N; raise ValidationException for what is none."""
    try:
        found = Decimal(text.strip())
    except (InvalidOperation, AttributeError):
        found = Decimal("nan")
    if not found.is_finite():
        raise ValidationError(f"The parameter cannot be converted to a numeric value: {text}")
    if found and not -130 <= found.adjusted() <= 125:
        side = "overflow" if found.adjusted() > 125 else "underflow"
        raise ValidationError(
            f"Number {side}. Attempting to store a number with magnitude"
            f" {'larger' if side == 'overflow' else 'smaller'} than supported range"
        )
    if len(found.as_tuple().digits) - _trailing_zeros(found) > MAX_DIGITS:
        raise ValidationError("Attempting to store more than 38 significant digits in a Number")
    return found


def _trailing_zeros(found: Decimal) -> int:
    digits = found.as_tuple().digits
    count = 0
    for digit in reversed(digits[1:]):
        if digit:
            break
        count += 1
    return count


def number_text(found: Decimal) -> str:
    """Return a number as DynamoDB answers it: no exponent, no needless zeros."""
    if not found:
        return "0"
    text = format(found, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def stored(value: Value) -> tuple[Value, int]:  # noqa: PLR0911 - one return for each kind
    """Return a value as it is stored, and its size in bytes; raise for an invalid one."""
    if len(value) != 1:
        raise ValidationError(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of"
            " the supported datatypes"
            if value
            else "Supplied AttributeValue is empty, must contain exactly one of the supported"
            " datatypes"
        )
    [(kind, content)] = value.items()
    if kind == "S":
        return value, len(content) if content.isascii() else len(content.encode())
    if kind == "N":
        if not _CANONICAL_NUMBER.fullmatch(content):
            content = number_text(number(content))
            value = {"N": content}
        return value, len(content) // 2 + 2
    if kind == "B":
        return (value if type(content) is bytes else {"B": bytes(content)}), len(content)
    if kind in ("BOOL", "NULL"):
        return value, 1
    if kind == "M":
        members = {name: stored(one) for name, one in content.items()}
        size = 3 + sum(len(name.encode()) + 1 + one[1] for name, one in members.items())
        return {"M": {name: one[0] for name, one in members.items()}}, size
    if kind == "L":
        elements = [stored(one) for one in content]
        return {"L": [one[0] for one in elements]}, 3 + sum(1 + one[1] for one in elements)
    return _stored_set(kind, content)


def _stored_set(kind: str, content: Any) -> tuple[Value, int]:
    if not content:
        raise ValidationError(
            "One or more parameter values were invalid: An "
            f"{ {'SS': 'string', 'NS': 'number', 'BS': 'binary'}[kind] } set  may not be empty"
        )
    elements = [stored({kind[0]: one}) for one in content]
    contents = [one[0][kind[0]] for one in elements]
    if len(set(contents)) != len(contents):
        raise ValidationError(
            "One or more parameter values were invalid: Input collection contains duplicates"
        )
    return {kind: contents}, sum(one[1] for one in elements)


def stored_item(item: Item) -> tuple[dict[str, Value], int]:
    """Return an item as it is stored and its size in bytes, names included."""
    kept: dict[str, Value] = {}
    size = 0
    for name, value in item.items():
        text = value.get("S") if len(value) == 1 else None
        if text is not None and text.isascii():
            kept[name], length = value, len(text)
        else:
            kept[name], length = stored(value)
        size += length + (len(name) if name.isascii() else len(name.encode()))
    return kept, size


def size_of_content(value: Value) -> int:
    """Return what the function ``size`` answers: characters, bytes or elements."""
    [(kind, content)] = value.items()
    if kind in ("N", "BOOL", "NULL"):
        raise ValidationError(
            "Invalid ConditionExpression: Incorrect operand type for operator or function;"
            f" operator or function: size, operand type: {kind}"
        )
    return len(content)


def equal(left: Value | None, right: Value | None) -> bool:  # noqa: PLR0911 - one return for each kind
    """Tell whether two values are of one type and equal; numbers by value, sets without order."""
    if left is None or right is None:
        return False
    if left == right:
        return True
    [(kind, content)] = left.items()
    if kind not in right:
        return False
    other = right[kind]
    if kind == "N":
        return Decimal(content) == Decimal(other)
    if kind == "NS":
        return {Decimal(one) for one in content} == {Decimal(one) for one in other}
    if kind in ("SS", "BS"):
        return set(content) == set(other)
    if kind == "L":
        return len(content) == len(other) and all(map(equal, content, other))
    if kind == "M":
        return content.keys() == other.keys() and all(
            equal(one, other[name]) for name, one in content.items()
        )
    return bool(content == other)


def compare(sign: str, left: Value | None, right: Value | None) -> bool:
    """Apply a comparison; a missing attribute is unequal to everything and never ordered."""
    if sign == "=":
        return equal(left, right)
    if sign == "<>":
        return not equal(left, right)
    if left is None or right is None:
        return False
    [(kind, content)] = left.items()
    if kind not in right or kind not in ("S", "N", "B"):
        return False
    return bool(_ORDER[sign](sort_key(kind, content), sort_key(kind, right[kind])))


def sort_key(kind: str, content: Any) -> Any:
    """Return what orders values of one type: numbers by value, texts by their UTF-8 bytes."""
    if kind == "N":
        return Decimal(content)
    # Code points and UTF-8 bytes sort alike, so texts need no encoding.
    return content


def added(sign: str, left: Value | None, right: Value | None) -> Value:
    """Return the sum or difference of two numbers of an update."""
    if left is None or right is None:
        raise ValidationError(
            "The provided expression refers to an attribute that does not exist in the item"
        )
    if "N" not in left or "N" not in right:
        raise ValidationError("An operand in the update expression has an incorrect data type")
    first, second = number(left["N"]), number(right["N"])
    return {"N": number_text((_EXACT.add if sign == "+" else _EXACT.subtract)(first, second))}
