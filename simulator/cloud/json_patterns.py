"""What EventBridge's event patterns and SNS's filter policies have in common: tests of JSON values.

`event_patterns` and `sns_filters` read their own grammars, with their own refusals, into these.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Wants = Callable[[Mapping[str, Any]], bool]
"""Over an object: an event, a message's body, its attributes as plain values."""
Test = Callable[[Any], bool]
"""Over a value, or `MISSING`."""

MISSING = object()
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
}


def is_number(value: Any) -> bool:
    """Tell numbers from everything else; true is none in JSON."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def wants_all(tests: Sequence[tuple[str, Test]], alternatives: Sequence[Wants]) -> Wants:
    """Return the test of an object: of every key, and one of the alternatives of ``$or``."""

    def wants(found: Mapping[str, Any]) -> bool:
        if alternatives and not any(one(found) for one in alternatives):
            return False
        return all(test(found.get(key, MISSING)) for key, test in tests)

    return wants


def compares(pairs: Sequence[tuple[str, float]]) -> Test:
    """Return the test of a number that holds against every (comparison, bound)."""
    return lambda value: (
        is_number(value) and all(COMPARISONS[sign](value, bound) for sign, bound in pairs)
    )
