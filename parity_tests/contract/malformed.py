"""Requests that do not fit botocore's model, made of the model: one defect each.

`test_requests` has the twin answer them, and so has the scorecard. What a value means (that a
bucket's name is one) the model does not know: such refusals are in `errors` and in
`parity_tests.behaviour`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import ResponseParserFactory

from simulator.cloud import protocols
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError, ValidationError
from simulator.cloud.validation import operation_model

UNKNOWN = "NoSuchMember"
_WRONG: dict[str, Any] = {
    "string": 7,
    "character": 7,
    "integer": "seven",
    "long": "seven",
    "float": "seven",
    "double": "seven",
    "boolean": "perhaps",
    "blob": 7,
    "timestamp": [],
    "list": "none",
    "map": "none",
    "structure": "none",
}


@dataclass(frozen=True)
class Malformed:
    """One request with one defect; ``member`` is what a refusal has to name."""

    service: str
    operation: str
    defect: str
    member: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Return what a line about it says."""
        return f"{self.service}.{self.operation}: {self.defect} {self.member}"


def malformed(service: str, operation: str) -> Iterator[Malformed]:
    """Yield every request of an operation with one defect, two levels deep."""
    shape = operation_model(service, operation).input_shape
    if shape is None:
        yield Malformed(service, operation, "unknown", UNKNOWN, {UNKNOWN: 1})
        return
    assert isinstance(shape, StructureShape)
    for defect, member, params in _defects(shape):
        yield Malformed(service, operation, defect, member, params)
    for name, inner in shape.members.items():
        if isinstance(inner, StructureShape) and not inner.is_document_type:
            for defect, member, value in _defects(inner):
                params = {**least(shape), name: value}
                yield Malformed(service, operation, f"{defect} in {name}:", member, params)


def least(shape: Shape) -> Any:
    """Return the smallest value that fits a shape, with nothing that is not required."""
    low = int(shape.metadata.get("min") or 0)
    if isinstance(shape, StructureShape):
        if shape.is_tagged_union:
            name = next(iter(shape.members))
            return {name: least(shape.members[name])}
        return {name: least(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, ListShape):
        return [least(shape.member) for _ in range(low)]
    if isinstance(shape, MapShape):
        return {f"{least(shape.key)}{n}": least(shape.value) for n in range(low)}
    if shape.type_name == "string":
        return next(iter(getattr(shape, "enum", [])), "x" * max(1, low))
    return {
        "character": "x",
        "integer": max(low, 1),
        "long": max(low, 1),
        "float": float(low),
        "double": float(low),
        "boolean": True,
        "blob": b"x" * max(1, low),
        "timestamp": datetime(2026, 1, 5, tzinfo=UTC),
    }[shape.type_name]


def _defects(shape: StructureShape) -> Iterator[tuple[str, str, dict[str, Any]]]:
    whole: dict[str, Any] = least(shape)
    for name in shape.required_members:
        yield "without", name, {each: value for each, value in whole.items() if each != name}
    if not shape.is_tagged_union:
        yield "unknown", UNKNOWN, {**whole, UNKNOWN: 1}
    for name, inner in shape.members.items():
        kept = {} if shape.is_tagged_union else whole
        if getattr(inner, "is_document_type", False) or inner.serialization.get("jsonvalue"):
            continue  # Takes any value.
        yield "wrong type of", name, {**kept, name: _WRONG[inner.type_name]}
        low = inner.metadata.get("min")
        # Of blobs botocore's validator, and so the twin's, knows no least length.
        if low and inner.type_name in ("string", "list"):
            yield "too short", name, {**kept, name: "" if inner.type_name == "string" else []}


def not_refused(cloud: Cloud, request: Malformed) -> str | None:
    """Return what is wrong with the twin's answer to a malformed request, None where all is well.

    It has to be a client's error that names the member, in the shape of the service's errors.
    """
    try:
        cloud.dispatch(cloud.dispatch.root, request.service, request.operation, request.params)
    except ValidationError as error:
        return _unlike_aws(request, error)
    except Exception as error:
        return f"{request.name}: {type(error).__name__}: {error}"
    return f"{request.name}: was accepted"


def _unlike_aws(request: Malformed, error: AwsError) -> str | None:
    status, headers, body = protocols.serialize_error(request.service, request.operation, error)
    model = operation_model(request.service, request.operation)
    parser = ResponseParserFactory().create_parser(model.service_model.resolved_protocol)
    response = {"status_code": status, "headers": HeadersDict(headers), "body": body}
    parsed = cast(dict[str, Any], parser.parse(response, cast(Any, model.output_shape)))
    said, named = parsed.get("Error", {}), request.member.lower()
    if status != 400 or not said.get("Code"):
        return f"{request.name}: HTTP {status}, {said}"
    if named not in str(said.get("Message", "")).lower() and request.operation[:4] != "Head":
        return f"{request.name}: does not name it: {said}"
    return None
