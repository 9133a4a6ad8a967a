"""The part of JSONPath that a transform job's filters may use.

Used by `transform_association` on JSON values and on CSV rows, which are arrays of texts.
Source: SageMaker developer guide, "Associate Prediction Results with Input Records", and
JsonPath on GitHub, to which it refers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

_STEP = re.compile(
    r"\.?\[\s*(?P<names>'[^']*'(?:\s*,\s*'[^']*')*)\s*\]"
    r"|\.?\[(?P<places>[-\d:,\s]+)\]"
    r"|\.(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<all>\.\*|\.?\[\s*\*\s*\])"
)
_PLACE = re.compile(r"(-?\d+)|(-?\d*):(-?\d*)")


@dataclass(frozen=True)
class Names:
    """Members of an object."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Elements of an array by index and slice; a slice's end is not in it."""

    places: tuple[int | slice, ...]

    @property
    def is_one(self) -> bool:
        """Tell whether it is one element, and not an array of some."""
        return len(self.places) == 1 and isinstance(self.places[0], int)


@dataclass(frozen=True)
class Everything:
    """All members or elements."""


Step: TypeAlias = Names | Places | Everything
Path: TypeAlias = tuple[Step, ...]
WHOLE: Path = ()
"""``$``."""


def parse(text: str) -> Path:
    """Return the steps of an expression; raises ValueError for what is not supported."""
    if not text.startswith("$"):
        raise ValueError(f"JSONPath {text!r} does not begin with $")
    return tuple(_steps(text))


def _steps(text: str) -> Iterator[Step]:
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"JSONPath {text!r} is not supported at {text[at:]!r}")
        at = found.end()
        if found["names"] is not None:
            yield Names(tuple(re.findall(r"'([^']*)'", found["names"])))
        elif found["places"] is not None:
            yield Places(tuple(_place(part.strip(), text) for part in found["places"].split(",")))
        elif found["name"] is not None:
            yield Names((found["name"],))
        else:
            yield Everything()


def _place(part: str, text: str) -> int | slice:
    found = _PLACE.fullmatch(part)
    if found is None:
        raise ValueError(f"JSONPath {text!r} is not supported at {part!r}")
    if found[1] is not None:
        return int(found[1])
    return slice(*(int(end) if end else None for end in (found[2], found[3])))


def only_places(path: Path) -> bool:
    """Tell whether a path fits a CSV row: one step, by index."""
    return len(path) <= 1 and all(isinstance(step, Places) for step in path)


def select(path: Path, value: Any) -> Any:
    """Return the part of a value that a path means.

    One name or index gives what is there, several names an object of them, several indexes, a
    slice or a wildcard an array. Raises LookupError for what is not there.
    """
    for number, step in enumerate(path):
        if isinstance(step, Names):
            value = _members(step, value)
            continue
        found = _all(value) if isinstance(step, Everything) else _elements(step, value)
        if isinstance(step, Everything) or not step.is_one:
            return [select(path[number + 1 :], item) for item in found]
        value = found[0]
    return value


def _members(step: Names, value: Any) -> Any:
    if not isinstance(value, dict):
        raise LookupError(f"{', '.join(step.names)} of what is no object")
    missing = [name for name in step.names if name not in value]
    if missing:
        raise LookupError(f"there is no {', '.join(missing)}")
    if len(step.names) == 1:
        return value[step.names[0]]
    return {name: value[name] for name in step.names}


def _all(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else _array(value)


def _elements(step: Places, value: Any) -> list[Any]:
    array = _array(value)
    chosen: list[Any] = []
    for place in step.places:
        if isinstance(place, slice):
            chosen.extend(array[place])
        elif -len(array) <= place < len(array):
            chosen.append(array[place])
        else:
            # "If you specify indexes that aren't within the dimension size of the joined
            # dataset, you get an error" (API reference, DataProcessing).
            raise LookupError(f"there is no element {place} of {len(array)}")
    return chosen


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise LookupError("elements of what is no array")
    return value
