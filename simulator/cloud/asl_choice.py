"""The rules of a Choice state: one operator a rule, And/Or/Not around them.

Operators: "Choice workflow state" in the Step Functions developer guide. A comparison of the
wrong type is false, a variable that is not there is an error, unless IsPresent asks for it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from simulator.cloud import asl_paths
from simulator.cloud.asl_paths import PathNotFound, Scope
from simulator.cloud.errors import NotSupportedByTwin

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_COMPARISON = re.compile(
    r"(?:(?P<kind>String|Numeric|Timestamp)"
    r"(?P<order>Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)"
    r"|BooleanEquals)(?P<path>Path)?"
)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: timestamp(value) is not None,
}


_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_AROUND = ("Variable", "Next", "Comment", "Assign")


def timestamp(value: Any) -> datetime | None:
    """Parse a time as AWS demands it (RFC 3339, capital T and Z); ``None`` if it is not one."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        return None


def operator_of(rule: dict[str, Any]) -> str:
    """Return the one operator of a rule; raises NotSupportedByTwin for one that is not there."""
    names = [name for name in rule if name not in _AROUND]
    known = len(names) == 1 and (
        names[0] in ("And", "Or", "Not", "IsPresent", "StringMatches", *_TYPES)
        or _COMPARISON.fullmatch(names[0]) is not None
    )
    if not known:
        raise NotSupportedByTwin(f"the choice operator {', '.join(names) or '(none)'}")
    return names[0]


def matches(rule: dict[str, Any], scope: Scope) -> bool:
    """Evaluate one rule. Raises PathNotFound for a variable that is not there."""
    name = operator_of(rule)
    expected = rule[name]
    if name in ("And", "Or"):
        return (all if name == "And" else any)(matches(part, scope) for part in expected)
    if name == "Not":
        return not matches(expected, scope)
    if name == "IsPresent":
        return bool(_is_present(rule["Variable"], scope) == expected)
    return _holds(name, asl_paths.read(rule["Variable"], scope), expected, scope)


def _is_present(path: str, scope: Scope) -> bool:
    try:
        asl_paths.read(path, scope)
    except PathNotFound:
        return False
    return True


def _holds(name: str, value: Any, expected: Any, scope: Scope) -> bool:
    if name in _TYPES:
        return bool(_TYPES[name](value) == expected)
    if name == "StringMatches":
        return isinstance(value, str) and _wildcard(str(expected), value)
    comparison = _COMPARISON.fullmatch(name)
    assert comparison is not None
    kind, order, by_path = comparison.group("kind", "order", "path")
    if by_path:
        expected = asl_paths.read(str(expected), scope)
    return _compare(kind or "Boolean", order or "Equals", value, expected)


def _compare(kind: str, order: str, value: Any, expected: Any) -> bool:
    if kind == "Timestamp":
        left, right = timestamp(value), timestamp(expected)
        return left is not None and right is not None and _ORDER[order](left, right)
    test = {"String": "IsString", "Numeric": "IsNumeric", "Boolean": "IsBoolean"}[kind]
    return _TYPES[test](value) and _TYPES[test](expected) and _ORDER[order](value, expected)


def _wildcard(pattern: str, value: str) -> bool:
    """Match ``*`` only; every other character is itself, a backslash takes ``*``'s meaning."""
    parts = (
        ".*" if part == "*" else re.escape(part[1:] if part[0] == "\\" and part[1:] else part)
        for part in re.findall(r"\\[*\\]|.", pattern, re.DOTALL)
    )
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None
