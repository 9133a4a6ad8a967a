"""A quicker form of botocore's JSON protocol in a function's process: converters made once a shape.

botocore asks each value of each request and answer anew what its shape is, also for the hundred
states that a batch reads and writes. What comes out is
the same (a property compares them), and where botocore has a kind of shape that is not known here
its own code stays in use. The text is written and read by orjson where a function has it.
Imports nothing of the project.
"""

from __future__ import annotations

import binascii
import decimal
import json
from collections.abc import Callable
from typing import Any

from botocore.parsers import JSONParser, ResponseParserFactory
from botocore.serialize import JSONSerializer

try:
    import orjson
except ModuleNotFoundError:  # A function that sees only its own archive may be without it.
    orjson = None  # type: ignore[assignment]

Convert = Callable[[Any], Any]
"""A value's conversion; None stands for a value that stays as it is."""

_TYPES = {"blob", "double", "float", "list", "map", "structure", "timestamp"}
_WRITE, _READ = "_serialize_type_", "_handle_"
_WITH_PARTS = {"list", "map", "structure"}
_READ_TYPES = _WITH_PARTS | {"blob", "timestamp"}
_NO_TYPES = {"event_stream", "json_body", "unknown_tagged_union_member"}
_KEPT = "fleetwin_converters"
if orjson is not None:
    # A dataclass or a time in a request is an error, as it is for the module ``json``.
    _AS_JSON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class Text:
    """Stands for the module ``json`` in botocore's, by orjson.

    What orjson refuses (integers of more than 64 bits in a request, NaN in an answer) the module
    does. Answers are read that orjson wrote, so no longer integers come.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(json, name)

    @staticmethod
    def dumps(value: Any, *args: Any, **kwargs: Any) -> str:
        """Write a value; raise TypeError for what JSON cannot hold."""
        if not args and not kwargs:
            try:
                return orjson.dumps(value, option=_AS_JSON).decode()
            except TypeError:
                pass
        return json.dumps(value, *args, **kwargs)

    @staticmethod
    def loads(text: str | bytes, *args: Any, **kwargs: Any) -> Any:
        """Read a text; raise ValueError where it is none."""
        if not args and not kwargs:
            try:
                return orjson.loads(text)
            except ValueError:
                pass
        return json.loads(text, *args, **kwargs)


class Converters:
    """Converters of one serializer or parser of botocore's, by a shape's name and its model.

    One parser reads what several threads get, of several services.
    """

    def __init__(self, botocores: Any) -> None:
        self._botocores = botocores
        self._made: dict[tuple[str, int], Convert] = {}

    def of(self, shape: Any) -> Convert | None:
        """Return what converts values of a shape."""
        kind = shape.type_name
        if kind not in _WITH_PARTS:
            return self._single(kind, shape)
        if kind == "structure" and shape.is_document_type:
            return None
        # What is made keeps the shape and so its model: the number is of no other meanwhile.
        key = shape.name, id(vars(shape).get("_shape_resolver"))
        made = self._made.get(key)
        if made is None:
            # Its parts are made when first asked for, because a shape may be part of itself.
            make = {"structure": self._structure, "map": self._map, "list": self._list}[kind]
            made = self._made[key] = make(shape)
        return made

    def _single(self, kind: str, shape: Any) -> Convert | None:
        raise NotImplementedError

    def _structure(self, shape: Any) -> Convert:
        raise NotImplementedError

    def _map(self, shape: Any) -> Convert:
        raise NotImplementedError

    def _list(self, shape: Any) -> Convert:
        raise NotImplementedError


class Requests(Converters):
    """What a serializer makes of values."""

    def _single(self, kind: str, shape: Any) -> Convert | None:
        if kind == "blob":
            return _encoded
        if kind in ("float", "double"):
            return self._float
        if kind == "timestamp":
            wanted, text = shape.serialization.get("timestampFormat"), self._botocores
            return lambda value: text._convert_timestamp_to_str(value, wanted)
        return None

    def _float(self, value: Any) -> Any:
        return self._botocores._handle_float(
            float(value) if isinstance(value, decimal.Decimal) else value
        )

    def _structure(self, shape: Any) -> Convert:
        members = shape.members
        known: dict[str, tuple[str, Convert | None]] = {}

        def convert(value: Any) -> Any:
            found = {}
            for name, part in value.items():
                entry = known.get(name)
                if entry is None:
                    member = members[name]
                    entry = member.serialization.get("name", name), self.of(member)
                    known[name] = entry
                key, one = entry
                found[key] = part if one is None else one(part)
            return found

        return convert

    def _map(self, shape: Any) -> Convert:
        parts: list[Convert | None] = []

        def convert(value: Any) -> Any:
            if not parts:
                parts.append(self.of(shape.value))
            one = parts[0]
            return dict(value) if one is None else {k: one(v) for k, v in value.items()}

        return convert

    def _list(self, shape: Any) -> Convert:
        parts: list[Convert | None] = []

        def convert(value: Any) -> Any:
            if not parts:
                parts.append(self.of(shape.member))
            one = parts[0]
            return list(value) if one is None else [one(each) for each in value]

        return convert


class Answers(Converters):
    """What a parser makes of values."""

    def _single(self, kind: str, shape: Any) -> Convert | None:
        own = {"blob": "_blob_parser", "timestamp": "_timestamp_parser"}.get(kind)
        return getattr(self._botocores, own) if own else None

    def _structure(self, shape: Any) -> Convert:
        if shape.is_tagged_union:  # Rare, and with rules of its own.
            return lambda value: self._botocores._handle_structure(shape, value)
        known: dict[str, tuple[str, Convert | None]] = {}

        def convert(value: Any) -> Any:
            if value is None:
                return None
            if not known:
                made = [
                    (member.serialization.get("name", name), (name, self.of(member)))
                    for name, member in shape.members.items()
                ]
                known.update(made)  # At once, for other threads.
            found = {}
            if len(value) == 1:  # As each attribute of an item.
                ((key, part),) = value.items()
                entry = known.get(key)
                if entry is not None and part is not None:
                    name, one = entry
                    found[name] = part if one is None else one(part)
                return found
            for key, (name, one) in known.items():
                part = value.get(key)
                if part is not None:
                    found[name] = part if one is None else one(part)
            return found

        return convert

    def _map(self, shape: Any) -> Convert:
        parts: list[Convert | None] = []

        def convert(value: Any) -> Any:
            if not parts:
                parts.extend((self.of(shape.key), self.of(shape.value)))
            key, one = parts[:2]
            if key is not None:
                return self._botocores._handle_map(shape, value)
            return dict(value) if one is None else {k: one(v) for k, v in value.items()}

        return convert

    def _list(self, shape: Any) -> Convert:
        parts: list[Convert | None] = []

        def convert(value: Any) -> Any:
            if not parts:
                parts.append(self.of(shape.member))
            one = parts[0]
            if one is None:
                return list(value)
            return [None if each is None else one(each) for each in value]

        return convert


def _encoded(value: Any) -> str:
    if isinstance(value, str):
        value = value.encode()
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _kinds(of: type, prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in dir(of) if name.startswith(prefix)}


def install(serializer: Any = JSONSerializer, parser: Any = JSONParser) -> bool:
    """Use the converters in every client made from now on; False where botocore is another."""
    if _kinds(serializer, _WRITE) != _TYPES or _kinds(parser, _READ) != _READ_TYPES | _NO_TYPES:
        return False
    long_way = serializer._serialize

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: Any = None) -> None:
        if type(self) is not serializer or key is not None or shape.type_name != "structure":
            long_way(self, serialized, value, shape, key)
            return
        converters = self.__dict__.get(_KEPT)
        if converters is None:
            converters = self.__dict__[_KEPT] = Requests(self)
        convert = converters.of(shape)
        if convert is None:
            long_way(self, serialized, value, shape, key)
        else:
            serialized.update(convert(value))

    def handle_json_body(self: Any, raw_body: Any, shape: Any) -> Any:
        converters = self.__dict__.get(_KEPT)
        if converters is None:
            converters = self.__dict__[_KEPT] = Answers(self)
        parsed, convert = self._parse_body_as_json(raw_body), converters.of(shape)
        return parsed if convert is None else convert(parsed)

    serializer._serialize = serialize
    parser._handle_json_body = handle_json_body
    return True


def keep_parsers(factory: Any = ResponseParserFactory) -> None:
    """Have a session's factory make one parser a protocol: with its converters it is kept."""
    long_way = factory.create_parser

    def create_parser(self: Any, protocol_name: str) -> Any:
        kept = self.__dict__.setdefault("fleetwin_parsers", {})
        key = protocol_name, *self._defaults.items()
        if key not in kept:
            kept[key] = long_way(self, protocol_name)
        return kept[key]

    factory.create_parser = create_parser


def install_text(*modules: Any) -> None:
    """Have modules of botocore's that import ``json`` use orjson, if it is there."""
    for module in modules if orjson is not None else ():
        module.json = Text()
