"""What stands for a value that only the creation of another resource gives.

Made by `template` for the survey; used by `refusals`. A text that holds one is judged several
times, each time with another value in its place: what is wrong with all of them is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_MARK = "not-known-yet-"
_STAND_IN = re.compile(rf"(?:arn:aws:[\w-]+:[\w-]*:\d*:)?(?:[\w.-]+/)?{_MARK}[A-Za-z0-9]+")
_VALUES = (
    "arn:aws:lambda:us-east-1:000000000000:function:any",
    # Within JSON a reference may stand where a number has to be, or a path; a rate's unit goes
    # with its number.
    "1",
    "2",
    "$.any",
    "any",
)
"""Forms that a definition, a pattern or a policy asks for somewhere."""


def stand_in(logical_id: str, attribute: str | None) -> str:
    """Return the last part of an ARN that stands for a resource's attribute, None for its Ref."""
    return f"{attribute or 'ref'}/{_MARK}{logical_id}"


def variants(value: Any) -> Iterator[Any]:
    """Yield what a value would be with others in the place of its stand-ins; nothing without."""
    if _MARK in repr(value):
        for instead in _VALUES:
            yield _replaced(value, instead)


def _replaced(value: Any, instead: str) -> Any:
    if isinstance(value, str):
        return _STAND_IN.sub(lambda _: instead, value)
    if isinstance(value, list):
        return [_replaced(each, instead) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, instead) for key, each in value.items()}
    return value
