"""JSONPath as Step Functions reads it: paths, the context object, variables, reference paths.

Called by the workflow interpreter. The plain steps (names, indexes, wildcards, slices) are
evaluated here, because what AWS says about a path that is not there is part of the contract;
filter expressions and deep scans go to the jsonpath-ng library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from simulator.cloud.errors import NotSupportedByTwin

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]()\s]+)
      |\[\s*(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).)*)(?P=quote)\s*\]
      |\[\s*(?P<index>-?\d+)\s*\]
      |\[\s*(?P<start>-?\d*)\s*:\s*(?P<stop>-?\d*)\s*\]
      |(?P<all>\[\s*\*\s*\]|\.\*)""",
    re.VERBOSE,
)

Step = tuple[str, Any]


class PathNotFound(Exception):
    """A definite path leads to nothing; ``detail`` is Jayway's wording, which AWS repeats."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass
class Scope:
    """What a path may refer to: the effective input, the context object, the variables.

    ``new_id`` draws a UUID from the run's seed, for the functions that are random on AWS.
    """

    data: Any
    context: Mapping[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    new_id: Callable[[], str] | None = None


def is_path(text: Any) -> bool:
    """Tell whether a string is a path (``$...``)."""
    return isinstance(text, str) and text.startswith("$")


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[Step, ...] | None:
    """Parse what follows the root; ``None`` for a path that needs the library."""
    if "?(" in path or ".." in path:
        return None
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise NotSupportedByTwin(f"the JSONPath {path!r} from character {position}")
        position = match.end()
        if match["name"] is not None:
            steps.append(("all", None) if match["name"] == "*" else ("name", match["name"]))
        elif match["quoted"] is not None:
            steps.append(("name", match["quoted"]))
        elif match["index"] is not None:
            steps.append(("index", int(match["index"])))
        elif match["all"] is not None:
            steps.append(("all", None))
        else:
            bounds = [int(text) if text else None for text in (match["start"], match["stop"])]
            steps.append(("slice", slice(*bounds)))
    return tuple(steps)


def _root(path: str, scope: Scope) -> tuple[Any, str]:
    """Return the value that a path starts from, and the rest of the path."""
    if path.startswith("$$"):
        return scope.context, path[2:]
    if path == "$" or path[1:2] in (".", "["):
        return scope.data, path[1:]
    match = re.match(r"\$([A-Za-z_][A-Za-z0-9_]*)", path)
    if match is None:
        raise NotSupportedByTwin(f"the JSONPath {path!r}")
    if match[1] not in scope.variables:
        raise PathNotFound(f"No such variable: {match[0]}")
    return scope.variables[match[1]], path[match.end() :]


def read(path: str, scope: Scope) -> Any:
    """Evaluate a path.

    A definite path gives its value; one with a wildcard, slice or filter a list, which may be
    empty. Raises PathNotFound when a definite path leads to nothing.
    """
    value, rest = _root(path, scope)
    steps = _steps(rest)
    if steps is None:
        return _read_with_library(rest, value)
    definite = all(kind in ("name", "index") for kind, _ in steps)
    values = [value]
    for depth, (kind, argument) in enumerate(steps):
        found: list[Any] = []
        for item in values:
            found.extend(_take(kind, argument, item))
        if definite and not found:
            raise PathNotFound(_not_found(steps, depth))
        values = found
    return values[0] if definite else values


def _take(kind: str, argument: Any, item: Any) -> list[Any]:
    if kind == "name":
        return [item[argument]] if isinstance(item, Mapping) and argument in item else []
    if kind == "index":
        inside = isinstance(item, list) and -len(item) <= argument < len(item)
        return [item[argument]] if inside else []
    if kind == "slice":
        return list(item[argument]) if isinstance(item, list) else []
    if isinstance(item, Mapping):
        return list(item.values())
    return list(item) if isinstance(item, list) else []


def _not_found(steps: tuple[Step, ...], depth: int) -> str:
    def shown(upto: int) -> str:
        return "$" + "".join(f"['{a}']" if k == "name" else f"[{a}]" for k, a in steps[:upto])

    if depth == len(steps) - 1:
        return f"No results for path: {shown(depth + 1)}"
    return f"Missing property in path {shown(depth + 1)}"


def _read_with_library(rest: str, value: Any) -> list[Any]:
    from jsonpath_ng.ext.parser import parse

    expression = re.sub(r"\?\(\s*(.*?)\s*\)\]", r"?(\1)]", "$" + rest)
    try:
        return [match.value for match in parse(expression).find(value)]
    except Exception as error:
        raise NotSupportedByTwin(f"the JSONPath '${rest}' ({error})") from error


def write(path: str, data: Any, value: Any) -> Any:
    """Return ``data`` with ``value`` at a reference path (names and indexes only).

    Missing objects on the way are created, as ResultPath does. Nothing is changed in place.
    Raises PathNotFound where the path goes through something that is no object or list.
    """
    steps = _steps(path[1:]) if path[:1] == "$" else None
    if steps is None or any(kind not in ("name", "index") for kind, _ in steps):
        raise NotSupportedByTwin(f"the reference path {path!r}")
    return _write(steps, data, value)


def _write(steps: tuple[Step, ...], data: Any, value: Any) -> Any:
    if not steps:
        return value
    kind, argument = steps[0]
    if kind == "name":
        if not isinstance(data, Mapping):
            raise PathNotFound(f"Unable to apply the step ['{argument}'] to what is no object")
        return {**data, argument: _write(steps[1:], data.get(argument, {}), value)}
    if not isinstance(data, list) or not 0 <= argument < len(data):
        raise PathNotFound(f"Array index {argument} is out of range")
    return [
        _write(steps[1:], item, value) if number == argument else item
        for number, item in enumerate(data)
    ]
