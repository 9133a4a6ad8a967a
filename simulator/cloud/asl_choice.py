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
    r"(String|Numeric|Timestamp|Boolean)(Equals|LessThan|GreaterThan|LessThanEquals|"
    r"GreaterThanEquals)(Path)?"
)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: timestamp(value) is not None,
}


def timestamp(value: Any) -> datetime | None:
    """Parse an ISO 8601 time with an offset or Z, as AWS demands; ``None`` if it is not one."""
    if not isinstance(value, str):
        return None
    text = re.sub(r"(\.\d{6})\d+", r"\1", value)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None and "T" in text else None


def matches(rule: dict[str, Any], scope: Scope) -> bool:
    """Evaluate one rule. Raises PathNotFound for a variable that is not there."""
    if "And" in rule:
        return all(matches(part, scope) for part in rule["And"])
    if "Or" in rule:
        return any(matches(part, scope) for part in rule["Or"])
    if "Not" in rule:
        return not matches(rule["Not"], scope)
    name = next((k for k in rule if k not in ("Variable", "Next", "Comment", "Assign")), "")
    expected = rule[name] if name else None
    if name == "IsPresent":
        try:
            asl_paths.read(rule["Variable"], scope)
        except PathNotFound:
            return not expected
        return bool(expected)
    value = asl_paths.read(rule["Variable"], scope)
    if name in _TYPES:
        return _TYPES[name](value) == expected
    if name == "StringMatches":
        return isinstance(value, str) and _wildcard(str(expected), value)
    comparison = _COMPARISON.fullmatch(name)
    if comparison is None:
        raise NotSupportedByTwin(f"the choice operator {name!r}")
    kind, order, by_path = comparison.groups()
    if by_path:
        expected = asl_paths.read(str(expected), scope)
    return _compare(kind, order, value, expected)


def _compare(kind: str, order: str, value: Any, expected: Any) -> bool:
    if kind == "Timestamp":
        left, right = timestamp(value), timestamp(expected)
        return left is not None and right is not None and _ORDER[order](left, right)
    test = {"String": "IsString", "Numeric": "IsNumeric", "Boolean": "IsBoolean"}[kind]
    return _TYPES[test](value) and _TYPES[test](expected) and _ORDER[order](value, expected)


def _wildcard(pattern: str, value: str) -> bool:
    """Match ``*`` only; every other character is itself, ``\\*`` a star."""
    parts = [re.escape(part.replace("\0", "*")) for part in pattern.replace("\\*", "\0").split("*")]
    return re.fullmatch(".*".join(parts), value, re.DOTALL) is not None
