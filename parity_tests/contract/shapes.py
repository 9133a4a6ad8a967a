"""Does an answer fit botocore's output shape to the letter, and does it survive the wire?

Stricter than `simulator.cloud.validation`, which a run can afford on every request: here enums,
patterns and limits count as well, an integer is no boolean, and a time has a zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import ResponseParserFactory

from simulator.cloud import protocols
from simulator.cloud.validation import operation_model

LIMITS_OF_REQUESTS = {
    # A table on demand shows zero units, a request needs one at least.
    "ReadCapacityUnits",
    "WriteCapacityUnits",
    "NumberOfDecreasesToday",
    # A stream without enhanced monitoring lists no metric, a batch that went well no failure.
    "ShardLevelMetrics",
    "FailedRecordCount",
    # Parameters of which all are there, and without labels, have empty lists.
    "InvalidParameters",
    "Labels",
}
"""Members whose limits in the model are those of requests; AWS's answers break them."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "blob": (bytes, bytearray),
    "timestamp": (datetime,),
}


def misfits(shape: Shape | None, value: Any, path: str = "") -> Iterator[str]:
    """Yield one line for each place in which an answer does not fit its shape."""
    if shape is None:
        if value:
            yield f"the operation has no answer, ours is {value!r}"
    elif isinstance(shape, StructureShape):
        yield from _structure_misfits(shape, value, path)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list | tuple):
            yield f"{path}: {type(value).__name__} instead of a list"
            return
        yield from _size_misfits(shape, len(value), path)
        for number, one in enumerate(value):
            yield from misfits(shape.member, one, f"{path}[{number}]")
    elif isinstance(shape, MapShape):
        if not isinstance(value, dict):
            yield f"{path}: {type(value).__name__} instead of a map"
            return
        for key, one in value.items():
            yield from misfits(shape.key, key, f"{path} (key)")
            yield from misfits(shape.value, one, f"{path}.{key}")
    else:
        yield from _scalar_misfits(shape, value, path)


def _structure_misfits(shape: StructureShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {type(value).__name__} instead of a structure"
        return
    if shape.is_document_type:
        return
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path}: {len(value)} members of a union"
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name}: missing, the model requires it"
    for name, one in value.items():
        if name in shape.members:
            yield from misfits(shape.members[name], one, f"{path}.{name}")
        else:
            yield f"{path}.{name}: the model has no such member"


def _scalar_misfits(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    known: tuple[type, ...] = _TYPES[kind]
    if type(value) not in known:  # A subclass is none: bool is an int to Python.
        yield f"{path}: {type(value).__name__} instead of {kind}"
    elif kind == "timestamp" and value.tzinfo is None:
        yield f"{path}: a time without a zone"
    elif kind == "string":
        choices = getattr(shape, "enum", [])
        if choices and value not in choices:
            yield f"{path}: {value!r} is none of {', '.join(choices)}"
        yield from _pattern_misfits(shape, value, path)
        yield from _size_misfits(shape, len(value), path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _size_misfits(shape, value, path)


def _size_misfits(shape: Shape, size: float, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if path.rpartition(".")[2] in LIMITS_OF_REQUESTS:
        return
    if least is not None and size < float(least):
        yield f"{path}: {size} is below {least}"
    if most is not None and size > float(most):
        yield f"{path}: {size} is above {most}"


def _pattern_misfits(shape: Shape, value: str, path: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        return
    try:
        fits = re.fullmatch(pattern, value) is not None
    except re.error:
        return  # Java's classes (\p{L}) are not Python's.
    if not fits:
        yield f"{path}: {value!r} does not match {pattern}"


def absent(answer: dict[str, Any], present: str) -> list[str]:
    """Return those of the paths (``Table.TableName``) that an answer does not have.

    A list on the way stands for its first element.
    """
    missing = []
    for path in present.split():
        value: Any = answer
        for name in path.split("."):
            if isinstance(value, list):
                value = value[0] if value else None
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            missing.append(path)
    return missing


def carried(service: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what botocore's parser makes of an answer after its way over the wire."""
    status, headers, body = protocols.serialize_answer(service, operation, answer)
    model = operation_model(service, operation)
    parser = ResponseParserFactory().create_parser(model.service_model.resolved_protocol)
    # A stream is handed through as it is; bytes the parser would take for text.
    content = bytearray(body) if model.has_streaming_output else body
    response = {"status_code": status, "headers": HeadersDict(headers), "body": content}
    parsed: dict[str, Any] = parser.parse(response, cast(Any, model.output_shape))
    assert status < 300, f"HTTP {status}"
    del parsed["ResponseMetadata"]
    return parsed


def comparable(value: Any) -> Any:
    """Return an answer so that equal ones are equal: UTC times in milliseconds, plain bytes."""
    if isinstance(value, dict):
        return {name: comparable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(one) for one in value]
    if isinstance(value, datetime):
        utc = value.astimezone(UTC)
        return utc.replace(microsecond=round(utc.microsecond, -3) % 1_000_000)
    return bytes(value) if isinstance(value, bytearray) else value
