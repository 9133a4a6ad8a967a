"""EventBridge's event patterns: which events a rule wants.

`compile_pattern` checks a pattern once and returns a predicate over events. Grammar: EventBridge
user guide, "Comparison operators for use in event patterns". What is not there (``cidr``) is
refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.json_patterns import (
    COMPARISONS,
    MISSING,
    Test,
    Wants,
    compares,
    is_number,
    wants_all,
)


def compile_pattern(text: str) -> Wants:
    """Return what a pattern wants; raises InvalidEventPatternException with the reason."""
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise _invalid(f"it is no JSON ({error})") from None
    if not isinstance(pattern, dict) or not pattern:
        raise _invalid("it must be an object with at least one key")
    return _object(pattern, "")


def _invalid(why: str) -> AwsError:
    return AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {why}")


def _object(pattern: Mapping[str, Any], path: str) -> Wants:
    """Return the test of an object: every key, or one of the alternatives of ``$or``."""
    tests: list[tuple[str, Test]] = []
    alternatives: list[Wants] = []
    for key, wanted in pattern.items():
        where = f"{path}.{key}".lstrip(".")
        if key == "$or" and isinstance(wanted, list) and all(isinstance(w, dict) for w in wanted):
            alternatives = [_object(one, path) for one in wanted]
        elif isinstance(wanted, dict):
            tests.append((key, _nested(_object(wanted, where))))
        elif isinstance(wanted, list) and wanted:
            tests.append((key, _any_of([_matcher(one, where) for one in wanted])))
        else:
            raise _invalid(f"{where} must be an object or a list that is not empty")

    return wants_all(tests, alternatives)


def _nested(wants: Wants) -> Test:
    """Return the test of a member that is an object, or a list of objects, or not there."""

    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(isinstance(one, Mapping) and wants(one) for one in value)
        # What is not there may be wanted: {"exists": false} further in.
        return wants(value if isinstance(value, Mapping) else {})

    return test


def _any_of(tests: list[Test]) -> Test:
    def test(value: Any) -> bool:
        values = value if isinstance(value, list) and value else [value]
        return any(one(each) for one in tests for each in values)

    return test


def _matcher(wanted: Any, path: str) -> Test:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise _invalid(f"{path}: an operator has one key")
        ((name, value),) = wanted.items()
        return _operator(name, value, path)
    if isinstance(wanted, list):
        raise _invalid(f"{path}: a list in a list")
    return _equals(wanted)


def _equals(wanted: Any) -> Test:
    # True is no 1 in JSON.
    return lambda value: (
        (type(value) is type(wanted) and value == wanted)
        or (is_number(value) and is_number(wanted) and value == wanted)
    )


def _operator(name: str, value: Any, path: str) -> Test:
    if name == "exists":
        if not isinstance(value, bool):
            raise _invalid(f"{path}: exists must be true or false")
        return lambda found: (found is not MISSING) == value
    if name == "numeric":
        return _numeric(value, path)
    if name == "anything-but":
        return _anything_but(value, path)
    if name in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
        return _text(name, value, path)
    if name == "cidr":
        raise NotSupportedByTwin("an event pattern with cidr")
    raise _invalid(f"{path}: Unrecognized match type {name}")


def _text(name: str, value: Any, path: str) -> Test:
    """Return the test of an operator on strings."""
    fold = False
    if isinstance(value, dict) and list(value) == ["equals-ignore-case"]:
        value, fold = value["equals-ignore-case"], True
    if not isinstance(value, str) or (fold and name not in ("prefix", "suffix")):
        raise _invalid(f"{path}: {name} must be a string")
    if name == "wildcard":
        if "**" in value:
            raise _invalid(f"{path}: consecutive wildcards")
        form = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
        return lambda found: isinstance(found, str) and form.fullmatch(found) is not None
    if fold or name == "equals-ignore-case":
        value = value.casefold()

    def test(found: Any) -> bool:
        if not isinstance(found, str):
            return False
        text = found.casefold() if fold or name == "equals-ignore-case" else found
        if name == "prefix":
            return text.startswith(value)
        return text.endswith(value) if name == "suffix" else text == value

    return test


def _anything_but(value: Any, path: str) -> Test:
    if isinstance(value, dict):
        if len(value) != 1:
            raise _invalid(f"{path}: anything-but has one operator")
        ((name, inner),) = value.items()
        listed = inner if isinstance(inner, list) else [inner]
        refused = [_text(name, one, path) for one in listed]
    else:
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(one, str) or is_number(one) for one in listed):
            raise _invalid(f"{path}: anything-but takes strings and numbers")
        refused = [_equals(one) for one in listed]
    return lambda found: found is not MISSING and not any(one(found) for one in refused)


def _numeric(value: Any, path: str) -> Test:
    if not isinstance(value, list) or len(value) not in (2, 4):
        raise _invalid(f"{path}: numeric is a list of one or two comparisons")
    pairs = [(value[at], value[at + 1]) for at in range(0, len(value), 2)]
    if any(str(sign) not in COMPARISONS or not is_number(bound) for sign, bound in pairs):
        raise _invalid(f"{path}: numeric compares with <, <=, =, > or >= and a number")
    return compares(pairs)
