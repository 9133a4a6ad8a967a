"""HTTP headers of REST answers, and the short way for S3's plain object requests.

Used by `simulator.cloud.protocols`. An object's put and get carry no XML: their members are
headers, compiled once per operation from botocore's model.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.model import Shape, StructureShape

from simulator.cloud import json_codec
from simulator.cloud.validation import operation_model, shape_key

_OBJECT_OPERATIONS = {
    "PUT": "PutObject",
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
}

Located = tuple[str, str, str, Shape]
"""Where ("header", "headers", "statusCode"), name on the wire, member, its shape."""


def parse(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, dict[str, Any]] | None:
    """Return operation and parameters of a plain S3 request, None when moto must route it."""
    bucket, _, key = path[1:].partition("/")
    if not bucket:
        return None
    if key:
        # Any sub-resource (?tagging, ?uploads, ?partNumber=...) makes it another operation.
        plain = query == "" or (query.startswith("x-id=") and "&" not in query)
        operation = _OBJECT_OPERATIONS.get(method)
        if not plain or operation is None or "x-amz-copy-source" in headers:
            return None
        params: dict[str, Any] = {"Bucket": unquote(bucket), "Key": unquote(key)}
        if operation == "PutObject":
            params["Body"] = body
    elif method == "GET" and "list-type=2" in query:
        operation, params = "ListObjectsV2", {"Bucket": unquote(bucket)}
        names = _query_names(operation)
        for wire_name, text in parse_qsl(query, keep_blank_values=True):
            if wire_name in names:
                name, shape = names[wire_name]
                params[name] = _from_text(shape, text)
    else:
        return None
    _read_headers(operation, headers, params)
    return operation, params


def _read_headers(operation: str, headers: Mapping[str, str], params: dict[str, Any]) -> None:
    singles, prefixes = _request_headers(operation)
    for wire_name, value in headers.items():
        place = singles.get(wire_name)
        if place is not None:
            name, shape = place
            params[name] = _from_text(shape, value)
            continue
        for prefix, name in prefixes:
            if wire_name.startswith(prefix):
                params.setdefault(name, {})[wire_name[len(prefix) :]] = value


@cache
def _request_headers(
    operation: str,
) -> tuple[dict[str, tuple[str, Shape]], tuple[tuple[str, str], ...]]:
    shape = operation_model("s3", operation).input_shape
    assert shape is not None
    singles, prefixes = {}, []
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location == "header":
            singles[member.serialization["name"].lower()] = (name, member)
        elif location == "headers":
            prefixes.append((member.serialization["name"].lower(), name))
    return singles, tuple(prefixes)


@cache
def _query_names(operation: str) -> dict[str, tuple[str, Shape]]:
    shape = operation_model("s3", operation).input_shape
    assert shape is not None
    return {
        member.serialization["name"]: (name, member)
        for name, member in shape.members.items()
        if member.serialization.get("location") == "querystring"
    }


def _from_text(shape: Shape, text: str) -> Any:
    kind = shape.type_name
    if kind in ("integer", "long"):
        return int(text)
    if kind == "boolean":
        return text.lower() == "true"
    if kind == "timestamp":
        return json_codec.timestamp(text)
    if kind == "list":
        return [one.strip() for one in text.split(",")]
    return text


# -- answers


_by_shape: dict[tuple[str, int], tuple[Located, ...]] = {}


def located_members(shape: StructureShape) -> tuple[Located, ...]:
    """Return the members of an answer that are not in its body."""
    key = shape_key(shape)
    found = _by_shape.get(key)
    if found is None:
        found = _by_shape[key] = tuple(
            (
                member.serialization["location"],
                member.serialization.get("name", name),
                name,
                member,
            )
            for name, member in shape.members.items()
            if "location" in member.serialization
        )
    return found


def answer_headers(
    located: tuple[Located, ...], answer: Mapping[str, Any], headers: dict[str, str], status: int
) -> int:
    """Put the located members of an answer into ``headers``; return the HTTP status."""
    for where, wire_name, name, shape in located:
        value = answer.get(name)
        if value is None:
            continue
        if where == "statusCode":
            status = int(value)
        elif where == "headers":
            headers.update({f"{wire_name}{key}": text for key, text in value.items()})
        else:
            headers[wire_name] = _to_text(shape, value)
    return status


def _to_text(shape: Shape, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if shape.serialization.get("timestampFormat") == "iso8601":
            return json_codec.iso8601(value)
        return format_datetime(value.astimezone(UTC), usegmt=True)
    if shape.serialization.get("jsonvalue"):
        return b64encode(json_codec.dump(value)).decode()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
