"""Payload templates and intrinsic functions of the Amazon States Language.

``{"a.$": "$.b", "c.$": "States.Format('{}', $.d)"}`` with a scope becomes plain JSON.
Functions: "Intrinsics for JSONPath states" in the Step Functions developer guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from simulator.cloud import asl_paths
from simulator.cloud.asl_paths import PathNotFound, Scope
from simulator.cloud.errors import NotSupportedByTwin


class PayloadPathError(Exception):
    """A template's path leads to nothing: which path, for which field."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path)
        self.path = path
        self.name = name


class IntrinsicFailure(Exception):
    """An intrinsic function refused its arguments."""


def render(template: Any, scope: Scope, name: str = "") -> Any:
    """Return ``template`` with every ``"x.$"`` member evaluated.

    Raises:
        PayloadPathError: a path leads to nothing.
        IntrinsicFailure: an intrinsic function failed.
    """
    if isinstance(template, dict):
        rendered = {}
        for key, value in template.items():
            if key.endswith(".$") and isinstance(value, str):
                rendered[key[:-2]] = evaluate(value, scope, key)
            else:
                rendered[key] = render(value, scope, key)
        return rendered
    if isinstance(template, list):
        return [render(item, scope, name) for item in template]
    return template


def evaluate(expression: str, scope: Scope, name: str) -> Any:
    """Evaluate a path or an intrinsic function call for the field ``name``."""
    if expression.startswith("States."):
        tokens = _tokens(expression)
        value, rest = _call(tokens, scope, name)
        if rest:
            raise IntrinsicFailure(f"unexpected text after {expression!r}")
        return value
    try:
        return asl_paths.read(expression, scope)
    except PathNotFound as error:
        raise PayloadPathError(expression, name) from error


_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:\\.|[^'\\])*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"
    r"|(?P<function>States\.\w+)\s*\(|(?P<path>\$(?:[^,()\s'\[]|\[[^\]]*\])*)"
    r"|(?P<word>true|false|null)|(?P<mark>[,)]))"
)
Token = tuple[str, str]


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise IntrinsicFailure(f"cannot parse {text[position:]!r} in {text!r}")
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens


def _call(tokens: list[Token], scope: Scope, name: str) -> tuple[Any, list[Token]]:
    function, rest = tokens[0][1], tokens[1:]
    arguments: list[Any] = []
    while rest and rest[0] != ("mark", ")"):
        kind, text = rest[0]
        if kind == "function":
            value, rest = _call(rest, scope, name)
        elif kind == "string" and function == "States.Format" and not arguments:
            # Escaped braces are text, so the template is cut before it is unescaped.
            value, rest = _template(text[1:-1]), rest[1:]
        else:
            value, rest = _literal(kind, text, scope, name), rest[1:]
        arguments.append(value)
        if rest and rest[0] == ("mark", ","):
            rest = rest[1:]
    if not rest:
        raise IntrinsicFailure(f"{function} has no closing parenthesis")
    if function in _RANDOM and scope.new_id is not None:
        # Drawn from the run's seed, so that two runs give the same.
        arguments = [*arguments, scope.new_id()]
    implementation = FUNCTIONS.get(function)
    if implementation is None:
        raise NotSupportedByTwin(f"the intrinsic function {function}")
    try:
        return implementation(arguments), rest[1:]
    except (IndexError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise IntrinsicFailure(f"Invalid arguments in {function}: {error}") from error


def _literal(kind: str, text: str, scope: Scope, name: str) -> Any:
    if kind == "string":
        return _unescaped(text[1:-1])
    if kind == "number":
        return float(text) if "." in text else int(text)
    if kind == "word":
        return json.loads(text)
    if kind == "path":
        return evaluate(text, scope, name)
    raise IntrinsicFailure(f"unexpected {text!r}")


def dumps(value: Any) -> str:
    """Return compact JSON, the way Step Functions writes inputs and outputs."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _template(text: str) -> list[str]:
    """Return what stands between the ``{}`` of a template, unescaped."""
    parts = [""]
    for token in re.findall(r"\\.|\{\}|.", text, re.DOTALL):
        if token == "{}":
            parts.append("")
        else:
            parts[-1] += token
    return [_unescaped(part) for part in parts]


def _format(arguments: Sequence[Any]) -> str:
    first = arguments[0]
    parts = first if isinstance(first, list) else _template(_of(str, first))
    if len(parts) != len(arguments):
        raise ValueError("as many values as {} are needed")
    texts = [a if isinstance(a, str) else dumps(a) for a in arguments[1:]]
    return "".join(text for pair in zip(parts, [*texts, ""], strict=True) for text in pair)


T = TypeVar("T")


def _of(kind: type[T], value: Any) -> T:
    """Return the value if it is of the kind that a function demands; a boolean is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{dumps(value)} is not of the type that the function takes")
    return value


def _exactly(count: int, function: Callable[..., Any]) -> Callable[[Sequence[Any]], Any]:
    """Return an implementation that refuses any other number of arguments."""

    def checked(arguments: Sequence[Any]) -> Any:
        if len(arguments) != count:
            raise ValueError(f"{count} arguments are needed, not {len(arguments)}")
        return function(*arguments)

    return checked


def _merge(first: Any, second: Any, deep: Any) -> dict[str, Any]:
    if deep is not False:
        raise ValueError("deep merging is not supported; pass false")
    return {**_of(dict, first), **_of(dict, second)}


def _contains(items: Any, wanted: Any) -> bool:
    # In Python, but not in JSON, 1 and true are equal.
    return dumps(wanted) in [dumps(item) for item in _of(list, items)]


def _item(items: Any, index: Any) -> Any:
    if _of(int, index) < 0:
        raise IndexError("the index is negative")
    return _of(list, items)[index]


def _unique(items: Any) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in _of(list, items):
        seen.setdefault(dumps(item), item)
    return list(seen.values())


def _random(arguments: Sequence[Any]) -> int:
    """Return a number of a range; AWS repeats it for the same seed."""
    first, last, seed, *rest = arguments
    if len(rest) > 1 or not (isinstance(seed, str) or _of(int, seed) == seed):
        raise ValueError("two or three whole numbers are needed")
    return random.Random(seed).randrange(_of(int, first), _of(int, last))


def _uuid(new_id: Any) -> str:
    return str(new_id)


def _partition(items: Any, size: Any) -> list[Any]:
    if _of(int, size) < 1:
        raise ValueError("a chunk has at least one item")
    return [_of(list, items)[at : at + size] for at in range(0, len(items), size)]


def _range(first: Any, last: Any, step: Any) -> list[int]:
    first, last, step = _of(int, first), _of(int, last), _of(int, step)
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > MAX_RANGE:
        raise ValueError(f"more than {MAX_RANGE} items")
    return list(numbers)


def _hash(data: Any, algorithm: Any) -> str:
    if algorithm not in HASHES:
        raise ValueError(f"the algorithm is one of {', '.join(HASHES)}")
    text = data if isinstance(data, str) else dumps(data)
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


def _split(text: Any, separators: Any) -> list[str]:
    """Split at each of the separators' characters; empty parts are dropped."""
    if not _of(str, separators):
        raise ValueError("the separator is empty")
    return [part for part in re.split(f"[{re.escape(separators)}]", _of(str, text)) if part]


def _encode(text: Any) -> str:
    return base64.b64encode(_short(text).encode()).decode()


def _decode(text: Any) -> str:
    return base64.b64decode(_short(text), validate=True).decode()


def _short(text: Any) -> str:
    if len(_of(str, text)) > MAX_BASE64_CHARS:
        raise ValueError(f"more than {MAX_BASE64_CHARS} characters")
    return str(text)


HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
MAX_RANGE = 1_000
MAX_BASE64_CHARS = 10_000
"""Limits and names: "Intrinsics for JSONPath states" in the Step Functions developer guide."""

FUNCTIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "States.Format": _format,
    "States.StringToJson": _exactly(1, lambda text: json.loads(_of(str, text))),
    "States.JsonToString": _exactly(1, dumps),
    "States.Array": list,
    "States.ArrayPartition": _exactly(2, _partition),
    "States.ArrayContains": _exactly(2, _contains),
    "States.ArrayRange": _exactly(3, _range),
    "States.ArrayGetItem": _exactly(2, _item),
    "States.ArrayLength": _exactly(1, lambda items: len(_of(list, items))),
    "States.ArrayUnique": _exactly(1, _unique),
    "States.Base64Encode": _exactly(1, _encode),
    "States.Base64Decode": _exactly(1, _decode),
    "States.Hash": _exactly(2, _hash),
    "States.JsonMerge": _exactly(3, _merge),
    "States.MathAdd": _exactly(2, lambda a, b: _of(int, a) + _of(int, b)),
    "States.MathRandom": _random,
    "States.StringSplit": _exactly(2, _split),
    "States.UUID": _exactly(1, _uuid),
}
_RANDOM = {"States.MathRandom", "States.UUID"}
"""Functions that get an id of the run as their last argument."""
