"""JSON filter patterns: ``{ $.user.id = 1 && $.items[*].name = "a*" }``.

A selector that leads to nothing, to an object or to a list satisfies no comparison. An event that
is no JSON object matches nothing. Called by `log_patterns.compile_pattern`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from simulator.cloud.log_conditions import Reader, Scalar, comparison, expression, invalid

Document = dict[str, Any]

MAX_WILDCARDS = 3
"""Wildcard selectors of a pattern; a selector has at most one (user guide)."""

_NAME = re.compile(r"\.([A-Za-z0-9_\-]+)")
_ANY = re.compile(r"\.\*|\[\*\]")
_INDEX = re.compile(r"\[(\d{1,9})\]")
_KEY = re.compile(r"\.?\[(?:'([^']+)'|\"([^\"]+)\")\]")
_IS = re.compile(r"IS\s+(NULL|TRUE|FALSE)\b")
_NOT_EXISTS = re.compile(r"NOT\s+EXISTS\b")
_MISSING = object()
_CONSTANTS = {"NULL": None, "TRUE": True, "FALSE": False}
_EVERY = object()
_Step = str | int | object


def selectors_of(
    reader: Reader,
) -> tuple[
    Callable[[str], Document | None],
    Callable[[Document], bool],
    Callable[[str], Callable[[Document], Scalar | None]],
]:
    """Read a pattern in braces.

    Returns how a message becomes a document, the test of a document, and how a reference
    (``$.a.b``) becomes the value of a document; the last raises InvalidParameterException.
    """
    reader.need("{")
    test = expression(reader, _condition)
    reader.need("}")
    if reader.wildcard_selectors > MAX_WILDCARDS:
        raise invalid(f"more than {MAX_WILDCARDS} wildcard selectors")
    return _document, test, _reference


def _document(message: str) -> Document | None:
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _condition(reader: Reader) -> Callable[[Document], bool]:
    steps = _selector(reader)
    constant = reader.match(_IS)
    if constant is not None:
        wanted = _CONSTANTS[constant[1]]
        return lambda document: any(value is wanted for value in _values(document, steps))
    if reader.match(_NOT_EXISTS) is not None:
        return lambda document: not list(_values(document, steps))
    test = comparison(reader)
    return lambda document: any(
        _is_scalar(value) and test(value) for value in _values(document, steps)
    )


def _selector(reader: Reader) -> list[_Step]:
    """Read ``$.a[0].b``, ``$.['a.b']``, ``$.list[*].x`` or ``$.*``."""
    reader.need("$")
    steps: list[_Step] = []
    while True:
        at = reader.at
        if at < len(reader.text) and reader.text[at].isspace():
            break
        if reader.match(_ANY):
            steps.append(_EVERY)
        elif found := reader.match(_INDEX):
            steps.append(int(found[1]))
        elif found := reader.match(_KEY) or reader.match(_NAME):
            steps.append(next(part for part in found.groups() if part is not None))
        else:
            break
    if not steps:
        raise invalid(f"a property selector is expected at character {reader.at + 1}")
    wildcards = sum(step is _EVERY for step in steps)
    if wildcards > 1:
        raise invalid("a property selector has at most one wildcard")
    reader.wildcard_selectors += wildcards
    return steps


def _values(document: Any, steps: list[_Step]) -> Iterator[Any]:
    """Yield what a selector leads to: nothing, one value, or one per element of its wildcard."""
    found = [document]
    for step in steps:
        if step is _EVERY:
            found = [inner for value in found for inner in _members(value)]
        else:
            below = [_member(value, step) for value in found]
            found = [value for value in below if value is not _MISSING]
    yield from found


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _member(value: Any, step: _Step) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step, _MISSING)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return _MISSING


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _reference(text: str) -> Callable[[Document], Scalar | None]:
    """Return how a reference's first value is found; raises InvalidParameterException."""
    reader = Reader(text)
    steps = _selector(reader)
    if not reader.ended():
        raise invalid(f"'{text}' is no property selector")

    def value(document: Document) -> Scalar | None:
        return next((one for one in _values(document, steps) if _is_scalar(one)), None)

    return value
