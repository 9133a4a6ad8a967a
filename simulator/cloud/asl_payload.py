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
from typing import Any

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
        else:
            value, rest = _literal(kind, text, scope, name), rest[1:]
        arguments.append(value)
        if rest and rest[0] == ("mark", ","):
            rest = rest[1:]
    if not rest:
        raise IntrinsicFailure(f"{function} has no closing parenthesis")
    implementation = FUNCTIONS.get(function)
    if implementation is None:
        raise NotSupportedByTwin(f"the intrinsic function {function}")
    try:
        return implementation(arguments), rest[1:]
    except (IndexError, TypeError, ValueError, KeyError) as error:
        raise IntrinsicFailure(f"Invalid arguments in {function}: {error}") from error


def _literal(kind: str, text: str, scope: Scope, name: str) -> Any:
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
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


def _format(arguments: Sequence[Any]) -> str:
    parts = str(arguments[0]).split("{}")
    if len(parts) != len(arguments):
        raise ValueError("as many values as {} are needed")
    texts = [a if isinstance(a, str) else dumps(a) for a in arguments[1:]]
    return "".join(text for pair in zip(parts, [*texts, ""], strict=True) for text in pair)


def _merge(arguments: Sequence[Any]) -> dict[str, Any]:
    first, second, deep = arguments
    if deep:
        raise ValueError("deep merging is not supported; pass false")
    return {**first, **second}


def _unique(items: Sequence[Any]) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in items:
        seen.setdefault(dumps(item), item)
    return list(seen.values())


def _random(arguments: Sequence[Any]) -> int:
    # AWS repeats the number for the same seed; without one the twin has nothing to be random with.
    if len(arguments) < 3:
        raise NotSupportedByTwin("States.MathRandom without a seed (it would not be repeatable)")
    return random.Random(int(arguments[2])).randrange(int(arguments[0]), int(arguments[1]))


def _uuid(arguments: Sequence[Any]) -> str:
    raise NotSupportedByTwin("States.UUID (it would not be repeatable)")


def _partition(arguments: Sequence[Any]) -> list[Any]:
    items, size = arguments
    return [items[at : at + size] for at in range(0, len(items), size)]


def _range(arguments: Sequence[Any]) -> list[int]:
    first, last, step = arguments
    return list(range(first, last + (1 if step > 0 else -1), step))


def _hash(arguments: Sequence[Any]) -> str:
    data, algorithm = arguments
    text = data if isinstance(data, str) else dumps(data)
    return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()


FUNCTIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "States.Format": _format,
    "States.StringToJson": lambda a: json.loads(a[0]),
    "States.JsonToString": lambda a: dumps(a[0]),
    "States.Array": list,
    "States.ArrayPartition": _partition,
    "States.ArrayContains": lambda a: a[1] in a[0],
    "States.ArrayRange": _range,
    "States.ArrayGetItem": lambda a: a[0][a[1]],
    "States.ArrayLength": lambda a: len(a[0]),
    "States.ArrayUnique": lambda a: _unique(a[0]),
    "States.Base64Encode": lambda a: base64.b64encode(a[0].encode()).decode(),
    "States.Base64Decode": lambda a: base64.b64decode(a[0]).decode(),
    "States.Hash": _hash,
    "States.JsonMerge": _merge,
    "States.MathAdd": lambda a: a[0] + a[1],
    "States.MathRandom": _random,
    "States.StringSplit": lambda a: [
        part for part in re.split(f"[{re.escape(a[1])}]", a[0]) if part
    ],
    "States.UUID": _uuid,
}
