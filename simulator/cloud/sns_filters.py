"""Filter policies of SNS subscriptions: which messages a subscription wants.

`compile_policy` checks a policy once. Operators: exact values, ``anything-but`` (also with
``prefix`` or ``suffix``), ``prefix``, ``suffix``, ``equals-ignore-case``, ``numeric``, ``exists``,
``cidr``, ``$or``. Source: SNS developer guide, "Subscription filter policies"; the texts of
refusals are recorded, without the position in the text that AWS adds. How many combinations
``$or`` makes is not documented: the sum of its alternatives is taken.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.json_patterns import (
    COMPARISONS,
    MISSING,
    Test,
    Wants,
    compares,
    is_number,
    wants_all,
)

MAX_COMBINATIONS, MAX_KEYS, MAX_BYTES = 150, 5, 256 * 1024
BODY, ATTRIBUTES = "MessageBody", "MessageAttributes"


class _Refused(ValueError):
    """Why a policy is none."""


def compile_policy(text: str, scope: str, prefix: str = "") -> Wants:
    """Return what a policy wants; raises InvalidParameter with the reason.

    ``prefix`` stands before the reason (``Attributes Reason: `` in Subscribe).
    """
    try:
        policy = json.loads(text)
    except ValueError:
        raise AwsError(
            "InvalidParameter", f"Invalid parameter: {prefix}FilterPolicy: failed to parse JSON."
        ) from None
    try:
        if not isinstance(policy, dict):
            raise _Refused("Filter policy must be a JSON object")
        if scope == ATTRIBUTES and any(isinstance(value, dict) for value in policy.values()):
            raise AwsError(
                "InvalidParameter",
                "Invalid parameter: Filter policy scope MessageAttributes does not support nested "
                "filter policy",
            )
        wants = _object(policy)
        if len(text.encode()) > MAX_BYTES or _combinations(policy, 1) > MAX_COMBINATIONS:
            raise _Refused("Filter policy is too complex")
        if len(set(_keys(policy))) > MAX_KEYS:
            raise _Refused(f"Filter policy can not have more than {MAX_KEYS} keys")
    except _Refused as refused:
        raise AwsError(
            "InvalidParameter", f"Invalid parameter: {prefix}FilterPolicy: {refused}"
        ) from None
    return wants


def attribute_values(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return message attributes as plain values; those of type Binary are not looked at."""
    values: dict[str, Any] = {}
    for name, given in attributes.items():
        kind, text = given["DataType"], given.get("StringValue", "")
        if kind == "String.Array":
            try:
                values[name] = json.loads(text)
            except ValueError:
                values[name] = text
        elif kind.startswith("Number"):
            values[name] = float(text)
        elif kind.startswith("String"):
            values[name] = text
    return values


def _combinations(policy: Mapping[str, Any], depth: int) -> int:
    """Return the product of the values of each key, a nested key's times its depth."""
    total = 1
    for key, wanted in policy.items():
        if isinstance(wanted, dict):
            total *= _combinations(wanted, depth + 1)
        elif key == "$or" and _is_or(wanted):
            total *= sum(_combinations(one, depth) for one in wanted)
        else:
            total *= depth * sum(_weight(one) for one in wanted)
    return total


def _weight(wanted: Any) -> int:
    """Return how many values an entry stands for: a list in anything-but is as many."""
    if isinstance(wanted, dict) and isinstance(wanted.get("anything-but"), list):
        return len(wanted["anything-but"])
    return 1


def _keys(policy: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, wanted in policy.items():
        if isinstance(wanted, dict):
            yield from _keys(wanted, f"{path}{key}.")
        elif key == "$or" and _is_or(wanted):
            for one in wanted:
                yield from _keys(one, path)
        else:
            yield f"{path}{key}"


def _is_or(wanted: Any) -> bool:
    """Tell whether a list under ``$or`` is one of alternatives; else it is a plain key."""
    return (
        isinstance(wanted, list)
        and len(wanted) > 1
        and all(isinstance(w, dict) and w for w in wanted)
        and not any(set(w) & _OPERATORS.keys() for w in wanted)
    )


def _object(policy: Mapping[str, Any]) -> Wants:
    tests: list[tuple[str, Test]] = []
    alternatives: list[Wants] = []
    for key, wanted in policy.items():
        if key == "$or" and _is_or(wanted):
            alternatives = [_object(one) for one in wanted]
        elif isinstance(wanted, dict):
            tests.append((key, _nested(_object(wanted))))
        elif not isinstance(wanted, list):
            raise _Refused(f'"{key}" must be an object or an array')
        elif not wanted:
            raise _Refused("Empty arrays are not allowed")
        else:
            tests.append((key, _any_of([_matcher(one) for one in wanted])))
    wants, dotted = wants_all(tests, alternatives), [key for key in policy if "." in key]
    if not dotted:
        return wants
    return lambda found: wants({**found, **_within(found, dotted)})


def _within(found: Mapping[str, Any], dotted: list[str]) -> dict[str, Any]:
    """Return the values at keys with dots, which are also paths (recorded): ``a.b`` is b in a."""
    there = {key: list(_at(found, key)) for key in dotted}
    return {
        key: values[0] if len(values) == 1 else values for key, values in there.items() if values
    }


def _at(found: Any, key: str) -> Iterator[Any]:
    """Yield what is at a key, or at its end below what its beginning leads to."""
    for one in found if isinstance(found, list) else (found,):
        if not isinstance(one, Mapping):
            continue
        if key in one:
            yield one[key]
        parts = key.split(".")
        for at in range(1, len(parts)):
            yield from _at(one.get(".".join(parts[:at])), ".".join(parts[at:]))


def _nested(wants: Wants) -> Test:
    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(test(one) for one in value)
        # What is not there may be wanted: {"exists": false} further in.
        return wants(value if isinstance(value, Mapping) else {})

    return test


def _any_of(tests: list[Test]) -> Test:
    def test(value: Any) -> bool:
        values = list(_flat(value)) or [value]
        return any(one(each) for one in tests for each in values)

    return test


def _flat(value: Any) -> Iterator[Any]:
    """Yield a value, or the elements of a list, lists in it included."""
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _matcher(wanted: Any) -> Test:
    if isinstance(wanted, list):
        raise _Refused("Match value must be String, number, true, false, or null")
    if not isinstance(wanted, dict):
        return _equals(wanted)
    if len(wanted) != 1:
        raise _Refused("Only one key allowed in match expression")
    ((name, value),) = wanted.items()
    made = _OPERATORS.get(name)
    if made is None:
        raise _Refused(f"Unrecognized match type {name}")
    return made(value)


def _equals(wanted: Any) -> Test:
    if wanted is None:
        # Recorded: null also wants messages without the attribute.
        return lambda value: value is None or value is MISSING
    if is_number(wanted):
        # "five digits of accuracy after the decimal point"
        return lambda value: is_number(value) and round(value, 5) == round(wanted, 5)
    return lambda value: type(value) is type(wanted) and value == wanted


def _string(name: str, matches: Callable[[str, str], bool]) -> Callable[[Any], Test]:
    def made(wanted: Any) -> Test:
        if not isinstance(wanted, str):
            raise _Refused(f"{name} match pattern must be a string")
        return lambda value: isinstance(value, str) and matches(value, wanted)

    return made


def _exists(wanted: Any) -> Test:
    if not isinstance(wanted, bool):
        raise _Refused("exists match pattern must be either true or false.")
    return lambda value: (value is not MISSING) == wanted


def _cidr(wanted: Any) -> Test:
    if not isinstance(wanted, str):
        raise _Refused("prefix match pattern must be a string")
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        raise _Refused(f"Malformed CIDR: {wanted}") from None

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


def _anything_but(wanted: Any) -> Test:
    if isinstance(wanted, dict):
        if len(wanted) != 1 or not set(wanted) <= {"prefix", "suffix"}:
            raise _Refused("Unsupported anything-but pattern")
        ((name, value),) = wanted.items()
        refused = [_OPERATORS[name](value)]
    else:
        listed = wanted if isinstance(wanted, list) else [wanted]
        if not listed or not all(isinstance(one, str) or is_number(one) for one in listed):
            raise _Refused("Inside anything but list, start|null|boolean is not supported.")
        refused = [_equals(one) for one in listed]
    return lambda value: value is not MISSING and not any(one(value) for one in refused)


def _numeric(wanted: Any) -> Test:
    """Read one comparison, or two that make a range (``[">", 0, "<=", 100]``)."""
    if not isinstance(wanted, list):
        raise _Refused("Value of numeric must be an array.")
    if not wanted or not isinstance(wanted[0], str):
        raise _Refused(f"Invalid member in numeric match: {wanted[0] if wanted else ']'}")
    pairs = [_comparison(wanted, 0)]
    if len(wanted) > 2:
        if wanted[0] not in (">", ">="):
            raise _Refused("Too many elements in numeric expression")
        if not isinstance(wanted[2], str):
            raise _Refused(f"Bad value in numeric range: {wanted[2]}")
        if wanted[2] not in ("<", "<="):
            raise _Refused(f"Bad numeric range operator: {wanted[2]}")
        pairs.append(_comparison(wanted, 2))
        if not pairs[0][1] < pairs[1][1]:
            raise _Refused("Bottom must be less than top")
        if len(wanted) > 4:
            raise _Refused("Too many terms in numeric range expression")
    return compares(pairs)


def _comparison(wanted: list[Any], at: int) -> tuple[str, float]:
    sign = wanted[at]
    if sign not in COMPARISONS:
        raise _Refused(f"Unrecognized numeric range operator: {sign}")
    if len(wanted) <= at + 1 or not is_number(wanted[at + 1]):
        raise _Refused(f"Value of {'equals' if sign == '=' else sign} must be numeric")
    return sign, float(wanted[at + 1])


_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "prefix": _string("prefix", str.startswith),
    "suffix": _string("suffix", str.endswith),
    "equals-ignore-case": _string(
        "equals-ignore-case", lambda value, wanted: value.casefold() == wanted.casefold()
    ),
    "exists": _exists,
    "cidr": _cidr,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
