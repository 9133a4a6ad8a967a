"""Lists of S3 objects as XML, written straight from botocore's shape.

`protocols` asks for the two operations that answer up to a thousand keys, whose XML took most of a
request's time by way of moto's serializer. It writes the same bytes; all other answers go there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, Shape, StructureShape

OPERATIONS = frozenset(("ListObjects", "ListObjectsV2"))
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
)

Write = Callable[[str, Any], str]
"""Returns the elements of a value under a name."""


def list_body(shape: Shape, answer: Mapping[str, Any]) -> bytes:
    """Return the body of an answer to ListObjects or ListObjectsV2."""
    inner = "".join(
        write(name, answer[member]) for member, name, write in _plan(shape) if member in answer
    )
    return f"{_HEAD}{inner}</ListBucketResult>".encode()


@cache
def _plan(shape: Shape) -> tuple[tuple[str, str, Write], ...]:
    """Return of each member that is in the body: its key, its element and what writes it."""
    assert isinstance(shape, StructureShape)
    return tuple(
        (member, inner.serialization.get("name", member), _writer(inner))
        for member, inner in shape.members.items()
        if "location" not in inner.serialization
    )


def _writer(shape: Shape) -> Write:
    if isinstance(shape, ListShape):  # All lists of these answers are flattened.
        write = _writer(shape.member)
        return lambda name, values: "".join(write(name, each) for each in values)
    if isinstance(shape, StructureShape):
        plan = _plan(shape)

        def structure(name: str, value: Mapping[str, Any]) -> str:
            inner = "".join(put(under, value[key]) for key, under, put in plan if key in value)
            return f"<{name}>{inner}</{name}>"

        return structure
    text = _TEXTS.get(shape.type_name, _escaped)
    return lambda name, value: f"<{name}>{text(value)}</{name}>"


def _escaped(value: object) -> str:
    return escape(str(value))


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _iso(at: datetime) -> str:
    """Return a time in S3's form, whose milliseconds are always zero."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


_TEXTS: Mapping[str, Callable[[Any], str]] = {"timestamp": _iso, "boolean": _boolean}
