"""Fit CloudFormation values into the parameter shapes of botocore's service models.

Most resource types have the same members as the operation that creates them, apart from
the case of the first letter and from numbers or truths written as text. Walking the
operation's own model converts them, and finds every property that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.model import Shape, StructureShape

from simulator.cloud.validation import operation_model

Fail = Callable[[str, str], Exception]
"""(property path, why) -> the error to raise."""


@cache
def input_shape(service: str, operation: str) -> StructureShape:
    """Return the parameters' shape of an operation."""
    shape = operation_model(service, operation).input_shape
    assert shape is not None
    return shape


def fit(value: Any, shape: Shape, path: str, renames: Mapping[str, str], fail: Fail) -> Any:
    """Return ``value`` in the form that ``shape`` wants.

    ``renames`` maps a property's name to the member's, anywhere below. Raises what ``fail``
    makes for a property without a member and for a value of another kind.
    """
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return _fit_structure(value, shape, path, renames, fail)
    if kind == "list":
        if not isinstance(value, list):
            raise fail(path, f"must be a list, not {value!r}")
        member: Shape = shape.member  # type: ignore[attr-defined]
        return [fit(e, member, f"{path}[{i}]", renames, fail) for i, e in enumerate(value)]
    if kind == "map":
        if not isinstance(value, Mapping):
            raise fail(path, f"must be an object, not {value!r}")
        inner: Shape = shape.value  # type: ignore[attr-defined]
        return {str(k): fit(e, inner, f"{path}.{k}", renames, fail) for k, e in value.items()}
    return _fit_scalar(value, kind, path, fail)


def _fit_structure(
    value: Any, shape: Shape, path: str, renames: Mapping[str, str], fail: Fail
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise fail(path, f"must be an object, not {value!r}")
    members: Mapping[str, Shape] = shape.members  # type: ignore[attr-defined]
    by_lower = {name.lower(): name for name in members}
    fitted = {}
    for name, each in value.items():
        below = f"{path}.{name}" if path else name
        member = by_lower.get(renames.get(name, name).lower())
        if member is None:
            raise fail(below, "property is not mapped by the twin")
        fitted[member] = fit(each, members[member], below, renames, fail)
    return fitted


def _fit_scalar(value: Any, kind: str, path: str, fail: Fail) -> Any:
    if isinstance(value, Mapping | list):
        raise fail(path, f"must be a {kind}, not {type(value).__name__}")
    try:
        return _SCALARS[kind](value)
    except (KeyError, ValueError):
        raise fail(path, f"must be a {kind}, not {value!r}") from None


def as_text(value: Any) -> str:
    """Return a scalar as CloudFormation writes it in text attributes (``true``, ``60``)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def as_truth(value: Any) -> bool:
    """Return a truth that may be written as text. Raises ValueError for anything else."""
    text = as_text(value).lower()
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _integer(value: Any) -> int:
    number = float(value)
    if number != int(number) or isinstance(value, bool):
        raise ValueError(value)
    return int(value) if isinstance(value, int) else int(number)


def _timestamp(value: Any) -> datetime:
    return datetime.fromtimestamp(float(value), UTC)


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "string": as_text,
    "boolean": as_truth,
    "integer": _integer,
    "long": _integer,
    "float": float,
    "double": float,
    "timestamp": _timestamp,
    "blob": lambda value: as_text(value).encode(),
}
