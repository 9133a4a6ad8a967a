"""JSON bodies of AWS's json and rest-json protocols, compiled from botocore's shapes.

Compiled, because most calls of a run are JSON and a walk along the model costs more than the
call: a shape without blobs, timestamps and renamed members needs no walk at all. Used by
`simulator.cloud.protocols`.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import parse_timestamp

from simulator.cloud.validation import shape_key

Convert = Callable[[Any], Any]

_Key = tuple[str, int, str]
_decoders: dict[_Key, Convert | None] = {}
_encoders: dict[_Key, Convert | None] = {}
_lock = threading.RLock()
_compiling: set[_Key] = set()


def load(body: bytes) -> Any:
    """Parse JSON; raise ValueError for anything else. An empty body is an empty object."""
    return orjson.loads(body) if body else {}


def dump(value: Any) -> bytes:
    """Write JSON."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def decode(shape: Shape, value: Any) -> Any:
    """Return parsed JSON in boto3's form: bytes for blobs, aware datetimes, modelled names.

    Members that the model does not know stay, so that validation names them.
    """
    convert = _converter(shape, _decoders, _compile_decoder)
    return value if convert is None else convert(value)


def encode(shape: Shape, value: Any) -> Any:
    """Return an answer in boto3's form as what JSON can hold."""
    convert = _converter(shape, _encoders, _compile_encoder)
    return value if convert is None else convert(value)


def timestamp(value: Any) -> datetime:
    """Return any of AWS's timestamp forms as an aware UTC datetime."""
    return parse_timestamp(value).astimezone(UTC)


def epoch(value: datetime) -> float | int:
    """Return seconds since 1970, whole ones as integer; JSON carries milliseconds."""
    seconds = value.timestamp()
    return int(seconds) if seconds.is_integer() else round(seconds, 3)


def iso8601(value: datetime) -> str:
    """Return a time as XML bodies carry it, with milliseconds."""
    text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{value.microsecond // 1000:03d}Z"


def _converter(
    shape: Shape,
    known: dict[_Key, Convert | None],
    compile_shape: Callable[[Shape], Convert | None],
) -> Convert | None:
    key = (*shape_key(shape), shape.serialization.get("timestampFormat", ""))
    if key in known:
        return known[key]
    with _lock:
        if key in _compiling:
            # A recursive shape met itself: it converts through what will be compiled by then.
            return lambda value: _finished(known, key, value)
        _compiling.add(key)
        try:
            known[key] = compile_shape(shape)
        finally:
            _compiling.discard(key)
        return known[key]


def _finished(known: dict[_Key, Convert | None], key: _Key, value: Any) -> Any:
    if key not in known:
        # Another thread is about to publish it.
        with _lock:
            convert = known[key]
    else:
        convert = known[key]
    return value if convert is None else convert(value)


def _member_name(shape: Shape, name: str) -> str:
    return str(shape.serialization.get("name", name))


def _compile_decoder(shape: Shape) -> Convert | None:  # noqa: PLR0911 - one return for each kind
    kind = shape.type_name
    if kind == "blob":
        return a2b_base64
    if kind == "timestamp":
        return timestamp
    if kind in ("float", "double"):
        return _number
    if isinstance(shape, ListShape):
        each = _each(_converter(shape.member, _decoders, _compile_decoder))
        blobs = _only_blobs(shape.member)
        return each if blobs is None or each is None else _in_place(blobs, each)
    if isinstance(shape, MapShape):
        each = _converter(shape.value, _decoders, _compile_decoder)
        return _each_attribute(each) if _is_attribute(shape.value) else _each_value(each)
    if not isinstance(shape, StructureShape) or shape.is_document_type:
        return None
    members = {
        _member_name(member, name): (name, _converter(member, _decoders, _compile_decoder))
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }

    def structure(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {}
        for wire_name, one in value.items():
            if one is None:
                continue
            name, convert = members.get(wire_name, (wire_name, None))
            found[name] = one if convert is None else convert(one)
        return found

    if any(wire_name != name for wire_name, (name, _) in members.items()):
        return structure
    converted = {name: convert for name, (_, convert) in members.items() if convert is not None}

    def in_place(value: Any) -> Any:
        """Convert members of a parsed structure where it is: an item's attributes, no copies."""
        if not isinstance(value, dict):
            return value
        has_nulls = False
        for name, one in value.items():
            if one is None:
                has_nulls = True
            elif (convert := converted.get(name)) is not None:
                value[name] = convert(one)
        return {k: one for k, one in value.items() if one is not None} if has_nulls else value

    return in_place


def _is_attribute(shape: Shape) -> bool:
    """Tell whether a shape is DynamoDB's value of an attribute; others have the name, too."""
    if shape.name != "AttributeValue" or not isinstance(shape, StructureShape):
        return False
    kinds = {name: member.type_name for name, member in shape.members.items()}
    return kinds.get("S") == "string" and kinds.get("B") == "blob"


def _each_attribute(convert: Convert | None) -> Convert | None:
    """Convert an item where it is; most of DynamoDB's attributes are texts, which stay."""
    if convert is None:
        return None

    def item(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for name, one in value.items():
            if type(one) is not dict or len(one) != 1:
                value[name] = convert(one)
                continue
            [(kind, content)] = one.items()
            if kind == "B" and content is not None:
                one[kind] = a2b_base64(content)
            elif kind != "S" or content is None:
                value[name] = convert(one)
        return value

    return item


def _each_text(convert: Convert | None) -> Convert | None:
    """Convert an item of an answer; its texts go out as they are."""
    if convert is None:
        return None

    def item(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: one if len(one) == 1 and one.get("S") is not None else convert(one)
            for name, one in value.items()
        }

    return item


def _only_blobs(shape: Shape) -> tuple[str, ...] | None:
    """Return the blobs of a structure in which nothing else has to be converted or renamed."""
    if not isinstance(shape, StructureShape) or shape.is_document_type:
        return None
    blobs = []
    for name, member in shape.members.items():
        if "location" in member.serialization or _member_name(member, name) != name:
            return None
        if member.type_name == "blob":
            blobs.append(name)
        elif member.type_name not in ("string", "integer", "long", "boolean"):
            return None
    return tuple(blobs)


def _in_place(blobs: tuple[str, ...], each: Convert) -> Convert:
    """Convert the blobs of parsed structures where they are; 500 records a call need no copies.

    A list with anything unusual in it (nulls, other types) goes through ``each``.
    """

    def elements(value: Any) -> Any:
        if not isinstance(value, list) or set(map(type, value)) != {dict}:
            return each(value)
        if any(None in one.values() for one in value):
            return each(value)
        for name in blobs:
            for one in value:
                if name in one:
                    one[name] = a2b_base64(one[name])
        return value

    return elements


def _number(value: Any) -> Any:
    """Return a float; JSON has no NaN, AWS writes it and the infinities as text."""
    return float(value) if isinstance(value, str) else value


def _compile_encoder(shape: Shape) -> Convert | None:  # noqa: PLR0911 - one return for each kind
    kind = shape.type_name
    if kind == "blob":
        return _base64
    if kind == "timestamp":
        return iso8601 if shape.serialization.get("timestampFormat") == "iso8601" else epoch
    if isinstance(shape, ListShape):
        return _each(_converter(shape.member, _encoders, _compile_encoder))
    if isinstance(shape, MapShape):
        each = _converter(shape.value, _encoders, _compile_encoder)
        return _each_text(each) if _is_attribute(shape.value) else _each_value(each)
    if not isinstance(shape, StructureShape) or shape.is_document_type:
        return None
    members = {
        name: (_member_name(member, name), _converter(member, _encoders, _compile_encoder))
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    if all(name == wire and convert is None for name, (wire, convert) in members.items()):
        return None if len(members) == len(shape.members) else _without_located(members)

    def structure(value: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, one in value.items():
            place = members.get(name)
            if place is not None and one is not None:
                wire_name, convert = place
                found[wire_name] = one if convert is None else convert(one)
        return found

    return structure


def _without_located(members: dict[str, Any]) -> Convert:
    def structure(value: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in value.items() if name in members}

    return structure


def _base64(value: bytes | bytearray | str) -> str:
    return b64encode(value.encode() if isinstance(value, str) else value).decode()


def _each(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None

    def elements(value: Any) -> Any:
        return [convert(one) for one in value] if isinstance(value, list | tuple) else value

    return elements


def _each_value(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None

    def entries(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: convert(one) for key, one in value.items()}

    return entries
